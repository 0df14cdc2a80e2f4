//! The HTTP client, and bodies with a limit.

use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Response};

use crate::error::{Class, Failed, SetupError};
use crate::options::Options;

/// Largest body that is read, in bytes: a token's catalogue of a large cloud is 100 KB.
const BODY_LIMIT: usize = 4 << 20;

pub(crate) fn client(options: &Options) -> Result<Client, SetupError> {
    if options.insecure {
        tracing::warn!(auth_url = %options.auth_url, "TLS certificates of Keystone and of the API are NOT verified");
    }
    let mut builder = Client::builder()
        .user_agent(options.user_agent)
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        // Apache closes idle connections after 5 s; a request on a connection that is just being closed fails without
        // telling whether it was read.
        .pool_idle_timeout(Duration::from_secs(4))
        .pool_max_idle_per_host(2)
        .redirect(Policy::none())
        .danger_accept_invalid_certs(options.insecure);
    if let Some(path) = &options.ca_file {
        builder = builder.tls_built_in_root_certs(false);
        for authority in authorities(path)? {
            builder = builder.add_root_certificate(authority);
        }
    }
    if let Some((certificate, key)) = &options.client_certificate {
        builder = builder.identity(own_certificate(certificate, key)?);
    }
    builder.build().map_err(SetupError::Client)
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::File {
        path: path.to_owned(),
        source,
    })
}

fn authorities(path: &Path) -> Result<Vec<Certificate>, SetupError> {
    let wrong = |source| SetupError::Certificate {
        path: path.to_owned(),
        source,
    };
    let found = Certificate::from_pem_bundle(&read(path)?).map_err(|error| wrong(Some(error)))?;
    if found.is_empty() {
        Err(wrong(None))
    } else {
        Ok(found)
    }
}

fn own_certificate(certificate: &Path, key: &Path) -> Result<Identity, SetupError> {
    let mut pem = read(certificate)?;
    if key != certificate {
        pem.push(b'\n');
        pem.extend(read(key)?);
    }
    Identity::from_pem(&pem).map_err(|source| SetupError::Certificate {
        path: certificate.to_owned(),
        source: Some(source),
    })
}

/// Reads a body.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| tachi_text::chain(&error.without_url()))?
    {
        if body.len() + chunk.len() > BODY_LIMIT {
            return Err(format!("the answer is larger than {BODY_LIMIT} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// A request that got no answer.
pub(crate) fn unanswered(line: &str, error: reqwest::Error) -> Failed {
    let how = if error.is_timeout() {
        "no answer in time"
    } else {
        "no answer"
    };
    let error = error.without_url();
    Failed::new(
        Class::Away,
        format!("{line}: {how}: {}", tachi_text::chain(&error)),
    )
}
