//! A session with one cloud. All requests are sent from here.

mod call;
mod setup;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{ACCEPT, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use openstack::session::Session as OsSession;
use osauth::ApiVersion;
use osauth::services::ServiceType as _;
use reqwest::{Response, Url};
use tachi_domain::fault::FaultClass;
use tachi_engine::ports::{CallError, Clock};
use tachi_keystone::Need;

use crate::answer::Answer;
use crate::fault::{self, Details, Effect, ErrorScope};
use crate::http::{self as bodies, Clients};
use crate::keystone::{Keystone, Plugin, plugin, plugin::Service};
use crate::options::Options;
use crate::time;

pub(crate) use call::{Call, RequestPath};
pub use setup::SetupError;

/// Latest time after its start at which a call that changes something may be sent.
const SEND_DEADLINE: Duration = Duration::from_millis(500);

/// Longest delay that a service's `Retry-After` can impose on other calls to it.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// An authenticated session with one cloud. Cheap to clone; clones share token and connections.
#[derive(Clone)]
pub struct Session {
    inner: Arc<SharedSession>,
}

struct SharedSession {
    keystone: Arc<Keystone>,
    /// osauth's session, with the generation of the token from whose catalogue its cache was filled.
    os: Mutex<(u64, OsSession)>,
    clients: Clients,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    list_timeout: Duration,
    page_size: u32,
    /// The time (boot clock) until which a service has asked for no further requests, by service.
    backoffs: Mutex<HashMap<&'static str, Duration>>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("keystone", &self.inner.keystone)
            .finish_non_exhaustive()
    }
}

/// The result of sending a request once.
enum SendOutcome {
    Answered(Answer),
    /// A 401, with the refused token.
    Stale(HeaderValue, CallError),
}

impl Session {
    /// Creates a session. Sends no request yet: the first call fetches the token.
    ///
    /// # Errors
    ///
    /// An address or the CA file is wrong.
    pub async fn new(options: Options, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let clients = Clients::new(&options)?;
        let keystone = Arc::new(Keystone::new(
            &options,
            clients.reads.clone(),
            Arc::clone(&clock),
        )?);
        let plugin = Plugin(Arc::clone(&keystone));
        let mut os = OsSession::new_with_client(clients.reads.clone(), plugin)
            .await
            .map_err(|source| SetupError::Session { source })?;
        if let Some(endpoint) = options.compute_endpoint {
            os.set_endpoint_override(Service::Compute, override_url(&endpoint)?);
        }
        Ok(Self {
            inner: Arc::new(SharedSession {
                keystone,
                os: Mutex::new((0, os)),
                clients,
                clock,
                timeout: options.keystone.timeout,
                list_timeout: options.list_timeout,
                page_size: options.page_size.max(1),
                backoffs: Mutex::default(),
            }),
        })
    }

    /// Reads the boot clock.
    pub(crate) fn now(&self) -> Duration {
        self.inner.clock.boot()
    }

    pub(crate) fn keystone(&self) -> &Keystone {
        &self.inner.keystone
    }

    /// Returns the timeout of a call.
    pub(crate) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    pub(crate) fn list_timeout(&self) -> Duration {
        self.inner.list_timeout
    }

    pub(crate) fn page_size(&self) -> u32 {
        self.inner.page_size
    }

    /// Returns the reason, with the candidates, if several endpoints match. `None` if the endpoint is unambiguous, and
    /// also if Keystone does not respond in time: calls are refused until then.
    pub async fn ambiguity(&self, limit: Duration) -> Option<String> {
        let query = self.inner.keystone.ambiguity();
        tokio::time::timeout(limit, query).await.ok().flatten()
    }

    /// Renews the token if it expires soon, so that the next call can be sent at once.
    ///
    /// # Errors
    ///
    /// Keystone failed.
    pub(crate) async fn make_ready(&self) -> Result<(), CallError> {
        let limit = self.inner.timeout;
        let ready = tokio::time::timeout(limit, self.inner.keystone.token(Need::Fresh)).await;
        ready
            .unwrap_or_else(|_| {
                let text = format!("keystone: a token took longer than {limit:?}");
                Err(fault::unsent(FaultClass::Transient, text))
            })
            .map(drop)
    }

    /// Sends a request and classifies the response. Every request of this crate except token requests goes through
    /// here.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the request may have been accepted, as after a timeout.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Answer, CallError> {
        let line = call.line();
        let started = self.now();
        let was_sent = AtomicBool::new(false);
        let whole = Box::pin(self.send_and_replay(call, &line, &was_sent));
        let outcome = tokio::time::timeout(self.inner.timeout, whole)
            .await
            .unwrap_or_else(|_| {
                let mut error = fault::unsent(
                    FaultClass::Transient,
                    format!("{line} took longer than {:?}", self.inner.timeout),
                );
                error.fault.maybe_done = call.effect.writes() && was_sent.load(Ordering::SeqCst);
                Err(error)
            });
        let millis = self.now().saturating_sub(started).as_millis();
        match &outcome {
            Ok(answer) => {
                tracing::debug!(call = %line, status = answer.status, millis, "OpenStack call answered");
            }
            Err(error) => {
                tracing::debug!(call = %line, fault = ?error.fault, millis, "OpenStack call failed");
            }
        }
        outcome
    }

    async fn send_and_replay(
        &self,
        call: &Call<'_>,
        line: &str,
        was_sent: &AtomicBool,
    ) -> Result<Answer, CallError> {
        self.check_backoff(call.service, line)?;
        // Fetched here already, because an error that passes through osauth would lose its class.
        let need = if call.effect.writes() {
            Need::Quick
        } else {
            Need::Fresh
        };
        let token = self.inner.keystone.token(need).await?;
        let (refused, _) = match self.send(call, line, was_sent, token.generation).await? {
            SendOutcome::Answered(answer) => return Ok(answer),
            SendOutcome::Stale(refused, error) => (refused, error),
        };
        // The service refused the request, so nothing was done.
        was_sent.store(false, Ordering::SeqCst);
        let token = self.inner.keystone.replace(&refused).await?;
        match self.send(call, line, was_sent, token.generation).await? {
            SendOutcome::Answered(answer) => Ok(answer),
            SendOutcome::Stale(_, error) => Err(error),
        }
    }

    async fn send(
        &self,
        call: &Call<'_>,
        line: &str,
        was_sent: &AtomicBool,
        generation: u64,
    ) -> Result<SendOutcome, CallError> {
        let inner = &self.inner;
        let os = self.os(generation);
        let early = |error: openstack::Error| {
            let text = format!("{line} was not sent: {error}");
            fault::unsent(plugin::class_of(&error), tachi_text::one_line(&text, &[]))
        };
        let url = call.url(&os).await.map_err(early)?;
        let client = if call.effect.writes() {
            &inner.clients.writes
        } else {
            &inner.clients.reads
        };
        let mut request = client
            .request(call.method.clone(), url)
            .header(ACCEPT, "application/json")
            .header("x-openstack-request-id", request_id());
        if !call.query.is_empty() {
            request = request.query(call.query);
        }
        if let Some(ApiVersion(major, minor)) = call.version {
            request = request.header(
                "openstack-api-version",
                format!("{} {major}.{minor}", call.service.catalog_type()),
            );
        }
        if let Some(subject) = &call.subject {
            request = request.header("x-subject-token", subject.clone());
            // Announces support for access rules; without this header Keystone hides tokens that have some.
            request = request.header("openstack-identity-access-rules", "1.0");
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let request = os
            .auth_type()
            .authenticate(client, request)
            .await
            .map_err(early)?
            .build()
            .map_err(|error| fault::broken(line, error, call.effect))?;
        let token = request.headers().get("x-auth-token").cloned();
        let waited = self.now().saturating_sub(call.started_at);
        if call.effect.writes() && waited > SEND_DEADLINE {
            let text = format!(
                "{line} was not sent: its preparation took {waited:?}, so its intent must be journalled again"
            );
            return Err(fault::unsent(FaultClass::Transient, text));
        }
        was_sent.store(true, Ordering::SeqCst);
        let response = client
            .execute(request)
            .await
            .map_err(|error| fault::broken(line, error, call.effect))?;
        let status = response.status();
        if status.is_success() {
            return answered(response, line, call).await.map(SendOutcome::Answered);
        }
        let error = self.refused(response, line, call, token.as_ref()).await;
        match token {
            Some(token) if status == StatusCode::UNAUTHORIZED => Ok(SendOutcome::Stale(token, error)),
            _ => Err(error),
        }
    }

    async fn refused(
        &self,
        response: Response,
        line: &str,
        call: &Call<'_>,
        token: Option<&HeaderValue>,
    ) -> CallError {
        let status = response.status();
        let retry_after = retry_after(response.headers());
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.back_off(call.service, retry_after);
        }
        let request_id =
            header(response.headers(), "x-openstack-request-id").map(|id| tachi_text::one_line(id, &[]));
        let location = header(response.headers(), "location").map(|to| format!("it points to {to}"));
        let body = bodies::read_body(response, bodies::ERROR_BODY_LIMIT)
            .await
            .unwrap_or_default();
        let message = location
            .filter(|_| status.is_redirection())
            .unwrap_or_else(|| tachi_text::message_of(&body));
        let secrets =
            [token, call.subject.as_ref()].map(|secret| secret.and_then(|s| s.to_str().ok()).unwrap_or(""));
        let details = Details {
            message: tachi_text::one_line(&message, &secrets),
            retry_after,
            request_id,
            is_foreign: status == StatusCode::NOT_FOUND
                && call.about == ErrorScope::Object
                && call.service == Service::Compute
                && !fault::is_item_not_found(&body),
        };
        fault::refusal(line, status, call.effect, call.about, &details)
    }

    /// Returns osauth's session, with an empty cache after the catalogue has been renewed.
    fn os(&self, generation: u64) -> OsSession {
        let mut os = self.inner.os.lock().unwrap_or_else(PoisonError::into_inner);
        if os.0 != generation {
            os.0 = generation;
            // In osauth, requesting the mutable filters empties the cache.
            let _ = os.1.endpoint_filters_mut();
        }
        os.1.clone()
    }

    fn back_off(&self, service: Service, wait: Option<Duration>) {
        let Some(wait) = wait else { return };
        let until = self.inner.clock.boot() + wait.min(MAX_BACKOFF);
        self.inner
            .backoffs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(service.name(), until);
    }

    fn check_backoff(&self, service: Service, line: &str) -> Result<(), CallError> {
        let backoffs = self.inner.backoffs.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.inner.clock.boot();
        let Some(rest) = backoffs
            .get(service.name())
            .and_then(|until| until.checked_sub(now))
            .filter(|r| !r.is_zero())
        else {
            return Ok(());
        };
        let text = format!(
            "{line} was not sent: {} asked to retry after another {rest:?}",
            service.name()
        );
        Err(fault::unsent(FaultClass::Transient, text))
    }
}

async fn answered(response: Response, line: &str, call: &Call<'_>) -> Result<Answer, CallError> {
    let status = response.status().as_u16();
    let date = header(response.headers(), "date").and_then(time::parse_http_date);
    let body = match bodies::read_body(response, bodies::BODY_LIMIT).await {
        Ok(body) => body,
        // The status suffices: no caller reads the body of such a call.
        Err(_) if call.effect == Effect::Once => Vec::new(),
        Err(error) => {
            let mut malformed = fault::malformed(
                line,
                Some(status),
                call.effect.writes(),
                &tachi_text::chain(&error),
            );
            malformed.source = Some(Box::new(error));
            return Err(malformed);
        }
    };
    Ok(Answer {
        line: line.to_owned(),
        status,
        date,
        body,
        is_write: call.effect.writes(),
    })
}

/// Returns the id of the current work, so that every service logs this call under it; otherwise a new id.
fn request_id() -> String {
    tachi_engine::correlation::current()
        .map_or_else(|| format!("req-{}", uuid::Uuid::new_v4()), |id| (*id).to_owned())
}

fn override_url(text: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::Endpoint {
        url: text.to_owned(),
        why,
    };
    let url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() {
        Ok(url)
    } else {
        Err(SetupError::Endpoint {
            url: format!("{}://{}", url.scheme(), url.host_str().unwrap_or("")),
            why: "not an http or https address, or it contains credentials".to_owned(),
        })
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Parses a number of seconds only: the other form, a date, requires synchronized clocks.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
