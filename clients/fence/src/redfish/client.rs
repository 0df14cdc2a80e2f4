//! The HTTP client for a Redfish service. All requests go through it, and none goes to another host.

use std::fmt::Write as _;

use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use reqwest::{Response, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::CallError;

use super::trust;
use crate::fault::{class_of, fault};
use crate::text::SecretFilter;
use crate::web::read;

/// Limit of redirects to other paths of the same host.
const MAX_REDIRECTS: usize = 3;

/// Default path of sessions, if the service does not state one.
const SESSIONS_PATH: &str = "/redfish/v1/SessionService/Sessions";

/// The HTTP client for one Redfish service.
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    /// Scheme, host and port.
    pub(super) base: Url,
    pub(super) user: String,
    pub(super) password: SecretString,
    pub(super) secret_filter: SecretFilter,
}

/// The authentication of a request.
pub(super) enum Login {
    /// User and password in each request.
    Basic,
    /// A session's token.
    Token(SecretString),
}

/// A session: its token, and the path that closes it.
pub(super) struct Session {
    pub(super) login: Login,
    pub(super) path: Option<String>,
}

/// A successful response.
pub(super) struct Answer {
    pub(super) body: Value,
    headers: HeaderMap,
}

impl Client {
    /// Reads a resource.
    pub(super) async fn get(&self, login: &Login, path: &str) -> Result<Value, CallError> {
        let answer = self.send(login, Method::GET, path, None).await?;
        if answer.body.is_object() {
            return Ok(answer.body);
        }
        let text = format!("{} returned no JSON object", self.line(&Method::GET, path));
        Err(fault(FaultClass::Transient, Some(200), false, text))
    }

    /// Sends a POST request.
    pub(super) async fn post(&self, login: &Login, path: &str, body: &Value) -> Result<(), CallError> {
        self.send(login, Method::POST, path, Some(body)).await.map(|_| ())
    }

    /// Opens a session.
    pub(super) async fn open_session(&self) -> Result<Session, CallError> {
        let body = json!({"UserName": self.user, "Password": self.password.expose_secret()});
        let line = self.line(&Method::POST, SESSIONS_PATH);
        // This changes nothing but the number of sessions, so a lost response has no effect, as with a reading.
        let harmless = |mut error: CallError| {
            error.fault.maybe_done = false;
            error
        };
        let answer = self
            .exchange(None, Method::POST, SESSIONS_PATH, Some(&body))
            .await
            .map_err(harmless)?;
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(token) = header("x-auth-token") else {
            let text = format!("{line} returned no token");
            return Err(fault(FaultClass::Permanent, Some(201), false, text));
        };
        let path = header(LOCATION.as_str())
            .or_else(|| answer.body.get("@odata.id").and_then(Value::as_str))
            .and_then(|location| self.own_path(location));
        Ok(Session {
            login: Login::Token(token.into()),
            path,
        })
    }

    /// Closes a session. A session that cannot be closed expires by itself.
    pub(super) async fn close_session(&self, session: &Session) {
        let Some(path) = &session.path else { return };
        if let Err(error) = self.send(&session.login, Method::DELETE, path, None).await {
            tracing::debug!(%error, "failed to close a Redfish session");
        }
    }

    async fn send(
        &self,
        login: &Login,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        self.exchange(Some(login), method, path, body).await
    }

    async fn exchange(
        &self,
        login: Option<&Login>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, CallError> {
        let line = self.line(&method, path);
        let mut path = path.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.once(login, &method, &path, body, &line).await?;
            let status = response.status();
            if status.is_success() {
                return answer(response, &method, &line).await;
            }
            if !status.is_redirection() {
                return Err(self.refused(response, &method, &line).await);
            }
            path = self.next(&response, &method, &line)?;
        }
        let text = format!("{line} was redirected more than {MAX_REDIRECTS} times");
        Err(fault(FaultClass::Permanent, None, false, text))
    }

    async fn once(
        &self,
        login: Option<&Login>,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        line: &str,
    ) -> Result<Response, CallError> {
        let Some(url) = self.own_url(path) else {
            let text = format!(
                "{line} was not sent: {:?} is not a path of this service",
                self.secret_filter.line(path)
            );
            return Err(fault(FaultClass::Permanent, None, false, text));
        };
        let mut builder = self
            .http
            .request(method.clone(), url)
            .header(ACCEPT, "application/json")
            .header("OData-Version", "4.0");
        match login {
            Some(Login::Basic) => {
                builder = builder.basic_auth(&self.user, Some(self.password.expose_secret()));
            }
            Some(Login::Token(token)) => {
                let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|error| {
                    let text = format!("{line} was not sent: the session's token: {error}");
                    fault(FaultClass::Permanent, None, false, text)
                })?;
                value.set_sensitive(true);
                builder = builder.header("X-Auth-Token", value);
            }
            None => {}
        }
        if let Some(body) = body {
            builder = builder
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        builder
            .send()
            .await
            .map_err(|error| self.broken(method, line, error))
    }

    fn broken(&self, method: &Method, line: &str, error: reqwest::Error) -> CallError {
        let error = error.without_url();
        let distrust = trust::is_distrust(&error);
        let class = if distrust || error.is_builder() {
            FaultClass::Permanent
        } else {
            FaultClass::Transient
        };
        let maybe_done = *method == Method::POST && !error.is_connect() && !error.is_builder();
        let mut text = format!(
            "{line} failed: {}",
            self.secret_filter.line(&tachi_text::chain(&error))
        );
        if distrust {
            text.push_str("; check ca_file, or pin the certificate by its fingerprint");
        }
        CallError {
            source: Some(Box::new(error)),
            ..fault(class, None, maybe_done, text)
        }
    }

    /// Returns the target of a redirect if it is a path of this service and keeps the method.
    fn next(&self, response: &Response, method: &Method, line: &str) -> Result<String, CallError> {
        let status = response.status();
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let keeps = matches!(
            status,
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        ) || (*method == Method::GET && status != StatusCode::NOT_MODIFIED);
        match self.own_path(location) {
            Some(path) if keeps => Ok(path),
            Some(_) | None => {
                let text = format!(
                    "{line} returned {} with a redirect to {:?}; only redirects within the same service are followed",
                    status.as_u16(),
                    self.secret_filter.line(location)
                );
                Err(fault(FaultClass::Permanent, Some(status.as_u16()), false, text))
            }
        }
    }

    async fn refused(&self, response: Response, method: &Method, line: &str) -> CallError {
        let status = response.status();
        let retry = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse::<u64>().ok());
        let body = read(response).await.unwrap_or_default();
        let mut text = format!(
            "{line} returned {} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or("")
        );
        let detail = self.secret_filter.line(&messages(&body));
        if !detail.is_empty() {
            text.push_str(": ");
            text.push_str(&detail);
        }
        if let Some(seconds) = retry {
            // Writing to a String does not fail.
            let _ = write!(text, " (retry after {seconds} s)");
        }
        if status == StatusCode::UNAUTHORIZED {
            text.push_str("; check user and password");
        }
        // A conflict means that the firmware is still busy with the last command.
        let class = if status == StatusCode::CONFLICT {
            FaultClass::Transient
        } else {
            class_of(status)
        };
        let lost = status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT;
        fault(
            class,
            Some(status.as_u16()),
            *method == Method::POST && lost,
            text,
        )
    }

    pub(super) fn line(&self, method: &Method, path: &str) -> String {
        self.secret_filter
            .line(&format!("redfish {}: {method} {path}", self.authority()))
    }

    /// Returns host and port, for people.
    pub(super) fn authority(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Returns the address of a path of this service; `None` if it leads elsewhere.
    fn own_url(&self, path: &str) -> Option<Url> {
        let url = self.base.join(path).ok()?;
        let same = url.scheme() == self.base.scheme()
            && url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default()
            && url.username().is_empty()
            && url.password().is_none();
        (same && url.path().starts_with("/redfish/")).then_some(url)
    }

    /// Returns the path of a link, which may be a whole address.
    pub(super) fn own_path(&self, link: &str) -> Option<String> {
        let url = self.own_url(link)?;
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}{query}", url.path()))
    }
}

/// Returns the messages in the body of an error, or the body itself if it has another form.
fn messages(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return String::from_utf8_lossy(body).into_owned();
    };
    let extended = value
        .pointer("/error/@Message.ExtendedInfo")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|info| info.get("Message").and_then(Value::as_str));
    let main = value.pointer("/error/message").and_then(Value::as_str);
    main.into_iter().chain(extended).collect::<Vec<_>>().join("; ")
}

async fn answer(response: Response, method: &Method, line: &str) -> Result<Answer, CallError> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let body = match read(response).await {
        Ok(body) => body,
        // The status alone decides the result of a command.
        Err(_) if *method != Method::GET => Vec::new(),
        Err(why) => {
            let text = format!("{line} returned {status}, but the body is incomplete: {why}");
            return Err(fault(FaultClass::Transient, Some(status), false, text));
        }
    };
    let body = match serde_json::from_slice(&body) {
        Ok(body) => body,
        Err(_) if *method != Method::GET => Value::Null,
        Err(error) => {
            let text = format!("{line} returned an invalid body: {error}");
            return Err(fault(FaultClass::Transient, Some(status), false, text));
        }
    };
    Ok(Answer { body, headers })
}
