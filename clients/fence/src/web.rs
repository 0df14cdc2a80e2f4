//! Shared code of the devices with an HTTP interface.

use std::path::{Path, PathBuf};

use reqwest::{Certificate, Response, Url};

/// Maximum size of a body, in bytes.
const BODY_LIMIT: usize = 8 << 20;

/// An error in loading authorities.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The file cannot be read.
    #[error("reading the CA file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: std::io::Error,
    },
    /// The file contains something other than certificates.
    #[error("reading the certificates in the CA file {}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        #[source]
        source: reqwest::Error,
    },
    /// The file contains no certificate.
    #[error("there is no PEM certificate in the CA file {}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Reads the certificates in a PEM file.
pub(crate) fn authorities(path: &Path) -> Result<Vec<Certificate>, AuthorityError> {
    let owned = || PathBuf::from(path);
    let pem = std::fs::read(path).map_err(|source| AuthorityError::Read {
        path: owned(),
        source,
    })?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|source| AuthorityError::Certificate {
        path: owned(),
        source,
    })?;
    if found.is_empty() {
        return Err(AuthorityError::Empty { path: owned() });
    }
    Ok(found)
}

/// Reads the body of a response, up to a limit.
pub(crate) async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| tachi_text::chain(&error.without_url()))?
    {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(format!("larger than {BODY_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// True if the address is on this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
