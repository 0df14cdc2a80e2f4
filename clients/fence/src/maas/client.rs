//! The HTTP client for MAAS. All requests to MAAS go through it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, DATE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use serde::de::DeserializeOwned;
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::{CallError, Clock};
use tokio::sync::Semaphore;

use super::key::Key;
use super::{MaasOptions, SetupError, url};
use crate::fault::{class_of, fault};
use crate::web::{authorities, read};

/// Clock difference from which a refused key may be caused by the clocks, in seconds: MAAS allows 300 s.
const SKEW_SECONDS: i64 = 240;

/// The effect of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Reads data that MAAS has stored.
    Read,
    /// Makes MAAS query a power controller, which takes long.
    Query,
    /// Switches the power.
    Command,
}

/// A request.
pub(super) struct Request<'a> {
    pub(super) post: bool,
    /// The path below `/api/2.0/`. It is a constant or was checked, so it never needs quoting.
    pub(super) path: &'a str,
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) form: &'a [(&'a str, &'a str)],
    pub(super) effect: Effect,
    /// The boot time after which it is not sent any more.
    pub(super) not_after: Option<Duration>,
}

impl<'a> Request<'a> {
    pub(super) fn get(path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            post: false,
            path,
            query,
            form: &[],
            effect: Effect::Read,
            not_after: None,
        }
    }

    fn line(&self) -> String {
        let query: Vec<String> = self
            .query
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let method = if self.post { "POST" } else { "GET" };
        tachi_text::one_line(&format!("maas: {method} {}?{}", self.path, query.join("&")), &[])
    }
}

/// MAAS's API. The options limit the concurrent requests.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    key: Key,
    clock: Arc<dyn Clock>,
    permits: Semaphore,
    timeout: Duration,
    query_timeout: Duration,
    /// The difference between this clock and MAAS's at the last response, in seconds.
    skew: Mutex<Option<i64>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base", &self.base.as_str())
            .finish_non_exhaustive()
    }
}

/// True for the first client of this address in the process: an engine, its devices' tests and the doctor command
/// create many.
fn is_new(base: &Url) -> bool {
    static LOGGED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    logged.insert(base.to_string())
}

impl Client {
    /// Checks that a client could be created. Skips loading the system's authorities, which takes longer than a request
    /// to MAAS and would be repeated at every reload of the devices' file.
    pub(super) fn check(options: &MaasOptions) -> Result<(), SetupError> {
        url::normalise(&options.url, options.allow_http)?;
        options
            .ca_file
            .as_deref()
            .map_or(Ok(()), |path| Ok(authorities(path).map(drop)?))
    }

    pub(super) fn new(options: &MaasOptions, key: Key, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let base = url::normalise(&options.url, options.allow_http)?;
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("tachi/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout.max(options.query_timeout))
            .pool_idle_timeout(Duration::from_secs(4))
            .redirect(Policy::none())
            // The key is sent in clear text, so never through a proxy.
            .no_proxy();
        if let Some(path) = &options.ca_file {
            builder = builder.tls_built_in_root_certs(false);
            for authority in authorities(path)? {
                builder = builder.add_root_certificate(authority);
            }
        }
        let http = builder.build().map_err(|source| SetupError::Client { source })?;
        if base.scheme() == "http" && is_new(&base) {
            tracing::warn!(url = %base, "MAAS connection is without TLS; its API key can be read in transit");
        }
        Ok(Self {
            http,
            base,
            key,
            clock,
            permits: Semaphore::new(options.concurrency.max(1)),
            timeout: options.timeout,
            query_timeout: options.query_timeout,
            skew: Mutex::default(),
        })
    }

    /// Returns the time limit of one request.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns MAAS's address in the form that operators know.
    pub(super) fn address(&self) -> &str {
        self.base
            .as_str()
            .trim_end_matches("api/2.0/")
            .trim_end_matches('/')
    }

    /// Sanitizes remote text for a log.
    pub(super) fn clean(&self, text: &str) -> String {
        tachi_text::one_line(text, &[self.key.secret()])
    }

    /// Sends a request and classifies the response. The timeout includes the wait for a permit.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, CallError> {
        let line = request.line();
        let limit = if request.effect == Effect::Query {
            self.query_timeout
        } else {
            self.timeout
        };
        let mut left = false;
        let outcome = tokio::time::timeout(limit, self.exchange(request, &line, &mut left)).await;
        outcome.unwrap_or_else(|_| {
            let maybe_done = left && request.effect == Effect::Command;
            Err(fault(
                FaultClass::Transient,
                None,
                maybe_done,
                format!("{line} took longer than {limit:?}"),
            ))
        })
    }

    async fn exchange(
        &self,
        request: &Request<'_>,
        line: &str,
        left: &mut bool,
    ) -> Result<Answer, CallError> {
        let closed = || {
            fault(
                FaultClass::Transient,
                None,
                false,
                format!("{line} was not sent: shutting down"),
            )
        };
        let _permit = self.permits.acquire().await.map_err(|_| closed())?;
        let unsent = |why: String| {
            fault(
                FaultClass::Permanent,
                None,
                false,
                format!("{line} was not sent: {why}"),
            )
        };
        let url = self
            .base
            .join(request.path)
            .map_err(|error| unsent(error.to_string()))?;
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        let mut authorization = HeaderValue::from_str(&self.key.header(&nonce, self.clock.wall()))
            .map_err(|error| unsent(error.to_string()))?;
        authorization.set_sensitive(true);
        let mut builder = if request.post {
            self.http.post(url)
        } else {
            self.http.get(url)
        }
        .header(ACCEPT, "application/json")
        .header(AUTHORIZATION, authorization)
        .query(request.query);
        if request.post {
            builder = builder.form(request.form);
        }
        // A process that was stopped meanwhile must not send a command that another engine may have repeated.
        if request.not_after.is_some_and(|limit| self.clock.boot() > limit) {
            let text = format!("{line} was not sent in time");
            return Err(fault(FaultClass::Transient, None, false, text));
        }
        *left = true;
        let response = builder
            .send()
            .await
            .map_err(|error| self.broken(line, error, request.effect))?;
        self.note_skew(&response);
        let status = response.status();
        if status.is_success() {
            let body = read(response).await.map_err(|why| {
                let maybe_done = request.effect == Effect::Command;
                let text = format!("{line} returned {status}, but the body is incomplete: {why}");
                fault(FaultClass::Transient, Some(status.as_u16()), maybe_done, text)
            })?;
            return Ok(Answer {
                line: line.to_owned(),
                body,
            });
        }
        Err(self.refused(response, line, request.effect).await)
    }

    /// Returns this clock minus MAAS's at the last answer with a date, in seconds.
    pub(super) fn skew(&self) -> Option<i64> {
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_skew(&self, response: &Response) {
        let date = response
            .headers()
            .get(DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|date| chrono::DateTime::parse_from_rfc2822(date).ok());
        let skew = date.map(|date| self.clock.wall().micros().div_euclid(1_000_000) - date.timestamp());
        *self.skew.lock().unwrap_or_else(PoisonError::into_inner) = skew;
    }

    fn broken(&self, line: &str, error: reqwest::Error, effect: Effect) -> CallError {
        let error = error.without_url();
        let maybe_done = effect == Effect::Command && !error.is_connect() && !error.is_builder();
        let class = if error.is_builder() {
            FaultClass::Permanent
        } else {
            FaultClass::Transient
        };
        let text = format!("{line} failed: {}", self.clean(&tachi_text::chain(&error)));
        CallError {
            source: Some(Box::new(error)),
            ..fault(class, None, maybe_done, text)
        }
    }

    async fn refused(&self, response: Response, line: &str, effect: Effect) -> CallError {
        let status = response.status();
        let header = |name| {
            response
                .headers()
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let retry = header(RETRY_AFTER).and_then(|value| value.trim().parse::<u64>().ok());
        let skew = self.skew();
        let body = read(response).await.unwrap_or_default();
        let mut text = format!(
            "{line} returned {} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or("")
        );
        let detail = self.clean(&String::from_utf8_lossy(&body));
        if !detail.is_empty() {
            text.push_str(": ");
            text.push_str(&detail);
        }
        if let Some(seconds) = retry {
            // Writing to a String does not fail.
            let _ = write!(text, " (retry after {seconds} s)");
        }
        if status == StatusCode::UNAUTHORIZED {
            match skew.filter(|skew| skew.abs() >= SKEW_SECONDS) {
                Some(skew) => {
                    let side = if skew > 0 { "ahead of" } else { "behind" };
                    let _ = write!(text, "; this clock is {} s {side} MAAS's", skew.abs());
                }
                None => text.push_str("; check maas_api_key"),
            }
        }
        let maybe_done =
            effect == Effect::Command && (status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT);
        fault(class_of(status), Some(status.as_u16()), maybe_done, text)
    }
}

/// A successful response.
pub(super) struct Answer {
    line: String,
    body: Vec<u8>,
}

impl Answer {
    /// Parses the body as JSON. Anything else is a transient fault of a read: proxies return such bodies while they
    /// restart.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = format!("{} returned an invalid body: {error}", self.line);
            fault(FaultClass::Transient, Some(200), false, text)
        })
    }

    /// Parses the body of a command as JSON; `None` if it is empty or `null`. Any other body was created between MAAS
    /// and us, so it is unknown whether MAAS accepted the command.
    pub(super) fn command_json<T: DeserializeOwned>(&self) -> Result<Option<T>, CallError> {
        if self.body.trim_ascii().is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let text = format!("{} returned an invalid body: {error}", self.line);
            fault(FaultClass::Transient, Some(200), true, text)
        })
    }
}
