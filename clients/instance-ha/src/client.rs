//! The client.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use tachi_keystone::{Keystone, Need, SetupError, Token, read_body, skew};
use tokio::time::Instant;

use crate::catalog;
use crate::error::{CallFailure, Class};
use crate::http;
use crate::notification::EVIDENCE_HEADER;
use crate::options::Options;

/// Longest wait to accept from the API's `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);

/// Value before the first clock comparison.
const UNKNOWN_SKEW: i64 = i64::MIN;

/// The API's answer to a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The API will process it.
    Accepted {
        /// The notification's id.
        uuid: Option<String>,
    },
    /// The API ignores it: it is a duplicate, or the host is in maintenance.
    Ignored,
}

/// The result of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Address of the API.
    pub endpoint: String,
    /// Keystone's clock minus the local one, in seconds.
    pub skew_seconds: Option<i64>,
}

/// A client of the API with one token.
pub struct Client {
    http: reqwest::Client,
    keystone: Keystone,
    options: Options,
    /// The configured address that overrides the catalogue.
    endpoint: Option<Url>,
    skew_seconds: AtomicI64,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("keystone", &self.keystone)
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
    /// Creates a client without sending a request.
    ///
    /// # Errors
    ///
    /// An address or a certificate is invalid.
    pub fn new(options: Options) -> Result<Self, SetupError> {
        let http = http::client(&options.keystone)?;
        let started_at = Instant::now();
        Ok(Self {
            keystone: Keystone::new(
                &options.keystone,
                http.clone(),
                move || started_at.elapsed(),
                || None,
            )?,
            http,
            endpoint: options
                .endpoint
                .as_deref()
                .map(catalog::parse_override)
                .transpose()?,
            options,
            skew_seconds: AtomicI64::new(UNKNOWN_SKEW),
        })
    }

    /// Sends a notification's body, with the evidence for it in a header.
    ///
    /// # Errors
    ///
    /// The failure, classified for retries.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the API may have accepted the notification. Sending it again is harmless: the API detects
    /// the duplicate.
    pub async fn notify(&self, body: &str, evidence: Option<&str>) -> Result<Answer, CallFailure> {
        let line = "POST /notifications";
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(evidence) = evidence {
            let value = HeaderValue::from_str(evidence).map_err(|_| {
                CallFailure::new(
                    Class::Rejected,
                    format!("{line}: the evidence is not a valid header value"),
                )
            })?;
            headers.insert(EVIDENCE_HEADER, value);
        }
        let reply = self
            .call(Method::POST, "/notifications", &headers, Some(body))
            .await?;
        match reply.status {
            StatusCode::CONFLICT => Ok(Answer::Ignored),
            status if status.is_success() => Ok(Answer::Accepted {
                uuid: uuid_of(&reply.body),
            }),
            _ => Err(refused(line, &reply)),
        }
    }

    /// Logs in if necessary, and finds the API.
    ///
    /// # Errors
    ///
    /// Keystone does not answer, refuses the login, or does not list the service.
    pub async fn login(&self) -> Result<Login, CallFailure> {
        let (token, endpoint) = self.token(None).await?;
        Ok(Login {
            endpoint: endpoint.to_string(),
            skew_seconds: token.skew_seconds,
        })
    }

    /// Returns the server's clock minus the local one, in seconds, by the last answer with a `Date`.
    pub fn skew_seconds(&self) -> Option<i64> {
        let skew = self.skew_seconds.load(Ordering::Relaxed);
        (skew != UNKNOWN_SKEW).then_some(skew)
    }

    /// Sends one request to the API; retries once with a new token if the first was refused.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Option<&str>,
    ) -> Result<Reply, CallFailure> {
        self.call_at(method, headers, body, |endpoint| {
            format!("{}{path}", endpoint.as_str().trim_end_matches('/'))
        })
        .await
    }

    /// Like [`Self::call`], with an address that `at` derives from the API's.
    pub(crate) async fn call_at(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: Option<&str>,
        at: impl Fn(&Url) -> String,
    ) -> Result<Reply, CallFailure> {
        let (token, endpoint) = self.token(None).await?;
        let reply = self
            .once(&token, method.clone(), &at(&endpoint), headers, body)
            .await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return Ok(reply);
        }
        let (token, endpoint) = self.token(Some(&token.value)).await?;
        self.once(&token, method, &at(&endpoint), headers, body).await
    }

    async fn once(
        &self,
        token: &Token,
        method: Method,
        url: &str,
        headers: &HeaderMap,
        body: Option<&str>,
    ) -> Result<Reply, CallFailure> {
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
            .map_err(|error| http::no_answer(&line, error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(skew) = skew(&headers) {
            self.skew_seconds.store(skew, Ordering::Relaxed);
        }
        let body = read_body(response, http::BODY_LIMIT).await.map_err(|why| {
            CallFailure::new(Class::Unreachable, format!("{line}: {}", tachi_text::chain(&why)))
        })?;
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    /// Returns a token other than `refused`, and the API's address.
    async fn token(&self, refused: Option<&HeaderValue>) -> Result<(Arc<Token>, Url), CallFailure> {
        let token = match refused {
            None => self.keystone.token(Need::Fresh).await,
            Some(refused) => self.keystone.replace(refused).await,
        };
        let token = token.map_err(|failure| http::login_failure(&failure, &self.options.config_source))?;
        if let Some(endpoint) = &self.endpoint {
            return Ok((token, endpoint.clone()));
        }
        let Options {
            keystone, interface, ..
        } = &self.options;
        match catalog::find(
            &token.catalog,
            *interface,
            &keystone.region,
            keystone.region_option,
        ) {
            Ok(endpoint) => Ok((token, endpoint)),
            Err(why) => {
                // The API may be added to the catalogue later: the next call requests a new token.
                self.keystone.discard(&token.value);
                Err(CallFailure::new(Class::Barred, why.to_string()))
            }
        }
    }
}

fn uuid_of(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let uuid = value.get("notification")?.get("notification_uuid")?.as_str()?;
    Some(tachi_text::one_line(uuid, &[]))
}

/// Classifies an error answer.
pub(crate) fn refused(line: &str, reply: &Reply) -> CallFailure {
    let status = reply.status;
    let class = match status.as_u16() {
        401 | 403 | 404 | 300..=399 => Class::Barred,
        429 => Class::Busy,
        502..=504 if retry_after(&reply.headers).is_some() => Class::Busy,
        502..=504 => Class::Unreachable,
        400..=499 => Class::Rejected,
        _ => Class::Broken,
    };
    let detail = tachi_text::one_line(&tachi_text::message_of(&reply.body), &[]);
    CallFailure {
        retry_after: retry_after(&reply.headers),
        status: Some(status.as_u16()),
        reason: reason_of(&reply.body),
        detail: detail.clone(),
        ..CallFailure::new(class, format!("{line}: {}: {detail}", status.as_u16()))
    }
}

/// Returns the `reason` of an error's envelope.
fn reason_of(body: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    let mut faults = value.as_object()?.values();
    let reason = faults.find_map(|fault| fault.get("reason")?.as_str())?;
    Some(tachi_text::one_line(reason, &[]))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
