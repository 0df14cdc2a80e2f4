//! The client.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::{Class, Failed, SetupError};
use crate::http;
use crate::keystone::{self, Token};
use crate::notification::EVIDENCE_HEADER;
use crate::options::Options;

/// Longest wait that the API is granted when it asks for one.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// How long an early renewal that failed is not tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(30);

/// No clock was compared yet.
const NO_SKEW: i64 = i64::MIN;

/// What the API said to a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It will look after it.
    Accepted {
        /// What it calls it.
        uuid: Option<String>,
    },
    /// It knows already: the same was reported before, or the host is on maintenance.
    Known,
}

/// What a log-in gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Where the API is.
    pub endpoint: String,
    /// Keystone's clock minus ours, in seconds.
    pub skew_seconds: Option<i64>,
}

/// A client of the API with one token.
pub struct Client {
    http: reqwest::Client,
    keystone: Url,
    options: Options,
    /// Held while one is fetched, so that only one is.
    token: Mutex<Option<Token>>,
    skew_seconds: AtomicI64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("keystone", &self.keystone.as_str())
            .finish_non_exhaustive()
    }
}

/// An answer with its body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Client {
    /// A client. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// An address or a certificate is wrong.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        Ok(Self {
            http: http::client(&options)?,
            keystone: keystone::base_url(&options.auth_url)?,
            options,
            token: Mutex::new(None),
            skew_seconds: AtomicI64::new(NO_SKEW),
        })
    }

    /// Sends a notification's body, and the evidence for it beside it.
    ///
    /// # Errors
    ///
    /// What came of it instead, with its meaning for trying again.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the API may have accepted the notification. Sending it again is harmless: it is known then.
    pub async fn notify(&self, body: &str, evidence: Option<&str>) -> Result<Answer, Failed> {
        let line = "POST /notifications";
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(evidence) = evidence {
            let value = HeaderValue::from_str(evidence)
                .map_err(|_| Failed::new(Class::Rejected, format!("{line}: the evidence is no header")))?;
            headers.insert(EVIDENCE_HEADER, value);
        }
        let reply = self
            .call(Method::POST, "/notifications", &headers, Some(body))
            .await?;
        match reply.status {
            StatusCode::CONFLICT => Ok(Answer::Known),
            status if status.is_success() => Ok(Answer::Accepted {
                uuid: uuid_of(&reply.body),
            }),
            _ => Err(refused(line, &reply)),
        }
    }

    /// Logs in, if that was not done yet, and finds the API.
    ///
    /// # Errors
    ///
    /// Keystone does not answer, does not let us in, or does not know the service.
    pub async fn login(&self) -> Result<Login, Failed> {
        let token = self.token(None).await?;
        let endpoint = endpoint(&token)?;
        Ok(Login {
            endpoint: endpoint.to_string(),
            skew_seconds: token.skew_seconds,
        })
    }

    /// The server's clock minus ours, in seconds, as of the last answer that told its time.
    pub fn skew_seconds(&self) -> Option<i64> {
        let skew = self.skew_seconds.load(Ordering::Relaxed);
        (skew != NO_SKEW).then_some(skew)
    }

    /// One call to the API; once more with a new token when the first was refused.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<&str>,
    ) -> Result<Reply, Failed> {
        self.call_at(method, headers, body, |endpoint| {
            format!("{}{path}", endpoint.as_str().trim_end_matches('/'))
        })
        .await
    }

    /// The same at the address that `at` makes of the API's.
    pub(crate) async fn call_at(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: Option<&str>,
        at: impl Fn(&Url) -> String,
    ) -> Result<Reply, Failed> {
        let token = self.token(None).await?;
        let url = at(endpoint(&token)?);
        let reply = self.once(&token, method.clone(), &url, headers, body).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let token = self.token(Some(&token.value)).await?;
        let url = at(endpoint(&token)?);
        self.once(&token, method, &url, headers, body).await
    }

    async fn once(
        &self,
        token: &Token,
        method: Method,
        url: &str,
        headers: &HeaderMap,
        body: Option<&str>,
    ) -> Result<Reply, Failed> {
        let line = format!("{method} {url}");
        let mut request = self
            .http
            .request(method, url)
            .headers(headers.clone())
            .header("x-auth-token", token.value.clone());
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let response = request
            .send()
            .await
            .map_err(|error| http::unanswered(&line, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(skew) = keystone::skew(&headers) {
            self.skew_seconds.store(skew, Ordering::Relaxed);
        }
        let body = http::body(response)
            .await
            .map_err(|why| Failed::new(Class::Away, format!("{line}: {why}")))?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    /// A token that is not `refused`.
    async fn token(&self, refused: Option<&HeaderValue>) -> Result<Token, Failed> {
        let mut current = self.token.lock().await;
        if let Some(token) = current.as_ref()
            && Instant::now() < token.renew_at
            && refused != Some(&token.value)
        {
            return Ok(token.clone());
        }
        let fetched = keystone::fetch(&self.http, &self.keystone, &self.options, |catalog| {
            catalog.find(self.options.interface, self.options.region.as_deref())
        })
        .await;
        let failed = match fetched {
            Ok(token) => {
                // Without the API in its catalogue it is of no use: the next call asks for another.
                *current = token.endpoint.is_ok().then(|| token.clone());
                return Ok(token);
            }
            Err(failed) => failed,
        };
        match current.as_mut() {
            Some(token) if refused != Some(&token.value) && Instant::now() < token.ends_at => {
                tracing::warn!(reason = %failed.text, "the token ends soon and could not be renewed; it is used as long as it lasts");
                token.renew_at = token.ends_at.min(Instant::now() + RENEWAL_PAUSE);
                Ok(token.clone())
            }
            _ => {
                *current = None;
                Err(failed)
            }
        }
    }
}

/// The API's address; a catalogue without it may have it later.
fn endpoint(token: &Token) -> Result<&Url, Failed> {
    token
        .endpoint
        .as_ref()
        .map_err(|why| Failed::new(Class::Barred, why.clone()))
}

fn uuid_of(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let uuid = value.get("notification")?.get("notification_uuid")?.as_str()?;
    Some(tachi_text::one_line(uuid, &[]))
}

/// What an answer other than success means.
pub(crate) fn refused(line: &str, reply: &Reply) -> Failed {
    let status = reply.status;
    let class = match status.as_u16() {
        401 | 403 | 404 | 300..=399 => Class::Barred,
        429 => Class::Busy,
        502..=504 if retry_after(&reply.headers).is_some() => Class::Busy,
        502..=504 => Class::Away,
        400..=499 => Class::Rejected,
        _ => Class::Broken,
    };
    let said = tachi_text::one_line(&tachi_text::message_of(&reply.body), &[]);
    Failed {
        retry_after: retry_after(&reply.headers),
        status: Some(status.as_u16()),
        ..Failed::new(class, format!("{line}: {}: {said}", status.as_u16()))
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests;
