//! Hooks that post to web addresses.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response};
use tachi_domain::hooks::{HookOutcome, HookVerdict};
use tachi_engine::ports::hooks::HookRun;
use tokio::time::timeout;

use crate::text::{MAX_OUTPUT, chain, with_output};
use crate::{SetupError, failed};

/// Maximum length of a bearer token, in bytes.
const TOKEN_LIMIT: u64 = 16 << 10;

#[derive(Debug)]
pub(crate) struct Web {
    http: Client,
}

impl Web {
    pub(crate) fn new(ca_file: Option<PathBuf>) -> Result<Self, SetupError> {
        let mut builder = Client::builder()
            .user_agent(concat!("tachi/", env!("CARGO_PKG_VERSION")))
            // A redirect could send the document to any server, without TLS.
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(10));
        if let Some(path) = ca_file {
            for authority in authorities(path)? {
                builder = builder.add_root_certificate(authority);
            }
        }
        let http = builder.build().map_err(SetupError::Client)?;
        Ok(Self { http })
    }

    pub(crate) async fn run(&self, url: &str, token_file: Option<&str>, run: &HookRun) -> HookOutcome {
        let limit = run.hook.timeout;
        match timeout(limit, self.ask(url, token_file, run)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(why)) => failed(why),
            Err(_) => failed(format!("took longer than {} s", limit.as_secs_f64())),
        }
    }

    async fn ask(&self, url: &str, token_file: Option<&str>, run: &HookRun) -> Result<HookOutcome, String> {
        let mut request = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("Idempotency-Key", &run.key)
            .body(run.document.clone());
        if let Some(path) = token_file {
            request = request.header(AUTHORIZATION, bearer(path).await?);
        }
        let mut response = request
            .send()
            .await
            .map_err(|error| format!("no answer: {}", chain(&error.without_url())))?;
        let status = response.status();
        let body = read_beginning(&mut response).await;
        let verdict = match status {
            StatusCode::CONFLICT => HookVerdict::Skip,
            _ if status.is_success() => HookVerdict::GoOn,
            _ => HookVerdict::Failed,
        };
        let end = if status.is_redirection() {
            format!("status {}; redirects are not followed", status.as_u16())
        } else {
            format!("status {}", status.as_u16())
        };
        Ok(HookOutcome {
            verdict,
            text: with_output(&end, &body),
        })
    }
}

/// Reads the first bytes of the body; on a broken connection, what arrived before.
async fn read_beginning(response: &mut Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_OUTPUT {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend(chunk.iter().take(MAX_OUTPUT - bytes.len())),
            Ok(None) | Err(_) => break,
        }
    }
    bytes
}

/// Reads the token for each request, so that it can be replaced.
async fn bearer(path: &str) -> Result<HeaderValue, String> {
    let wrong = |why: &str| format!("not called: the token in {path} {why}");
    let unread = |error: std::io::Error| wrong(&format!("cannot be read: {error}"));
    let meta = tokio::fs::metadata(path).await.map_err(unread)?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(wrong("can be read by other users: chmod 0600"));
    }
    if meta.len() > TOKEN_LIMIT {
        return Err(wrong("is too long"));
    }
    let token = tokio::fs::read_to_string(path).await.map_err(unread)?;
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| wrong("contains characters that a header cannot"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn authorities(path: PathBuf) -> Result<Vec<Certificate>, SetupError> {
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(SetupError::Authorities { path, source }),
    };
    match Certificate::from_pem_bundle(&pem) {
        Ok(found) if found.is_empty() => Err(SetupError::Certificate { path, source: None }),
        Ok(found) => Ok(found),
        Err(source) => Err(SetupError::Certificate {
            path,
            source: Some(source),
        }),
    }
}

#[cfg(test)]
mod tests;
