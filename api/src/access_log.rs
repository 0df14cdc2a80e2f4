//! Access log: one line per request. Headers and queries are never logged, so no token is logged either.

mod format;

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::{Extensions, HeaderMap, HeaderValue, Method, Version};
use hyper::body::Body as _;
use tachi_engine::correlation;
use tachi_engine::ports::Clock;
use tokio::time::Instant;
use tracing::{Instrument, Span};

use self::format::RequestLine;
use crate::auth::Caller;
use crate::error::{ApiError, Bug};
use crate::metrics;
use crate::peer::{self, Peer};
use crate::request_events::RequestIds;
use crate::request_id;
use crate::routes;

pub use self::format::{FormatError, LineFormat};

/// Route label for a path without a route. Invented paths then create no new metric labels.
const UNMATCHED_ROUTE: &str = "other";

/// Logged status when the client disconnected before the answer. HTTP has no such status; proxies use 499.
const CLIENT_GONE: u16 = 499;

/// The format of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// One text line, for people and for tools that parse Masakari's log.
    Line(LineFormat),
    /// Separate fields, for a log in JSON.
    Fields,
}

/// The state of the middleware.
pub(crate) struct Observer {
    pub(crate) form: AccessLog,
    /// True if `X-Forwarded-For` and `Forwarded` are trusted.
    pub(crate) forwarded_for: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Facts about a request that only inner layers know.
#[derive(Debug, Default)]
struct RequestInfo {
    route: OnceLock<String>,
    caller: OnceLock<Caller>,
    ids: RequestIds,
}

/// Logs a request at the level INFO, or DEBUG if `quiet`.
macro_rules! line {
    (quiet: $quiet:expr, $($rest:tt)*) => {
        if $quiet {
            tracing::debug!($($rest)*);
        } else {
            tracing::info!($($rest)*);
        }
    };
}

/// Records the matched route of a request.
pub(crate) fn note_route(extensions: &Extensions) {
    if let Some(info) = extensions.get::<Arc<RequestInfo>>()
        && let Some(route) = extensions.get::<MatchedPath>()
    {
        // A request matches one route only.
        let _ = info.route.set(route.as_str().to_owned());
    }
}

/// Records the caller of a request.
pub(crate) fn note_caller(extensions: &Extensions) {
    if let Some(info) = extensions.get::<Arc<RequestInfo>>()
        && let Some(caller) = extensions.get::<Caller>()
    {
        let _ = info.caller.set(caller.clone());
    }
}

/// Returns the ids of a request; `None` outside of the middleware.
pub(crate) fn request_ids(extensions: &Extensions) -> Option<RequestIds> {
    extensions.get::<Arc<RequestInfo>>().map(|info| info.ids.clone())
}

/// The middleware. It gives the request an id and returns that id in a header, and it logs and counts the request.
/// It turns a panic in a handler into a 500, so that one bad request does not break a connection shared with others.
pub(crate) async fn log(State(observer): State<Arc<Observer>>, mut request: Request, next: Next) -> Response {
    let id = request_id::fresh();
    let global = request_id::global(request.headers()).map(ToOwned::to_owned);
    let span = tracing::info_span!(
        "api::request",
        request_id = %id,
        global_request_id = global.as_deref(),
    );
    let ids = RequestIds {
        own: id.clone(),
        global: global.clone(),
    };
    let info = Arc::new(RequestInfo {
        ids,
        ..RequestInfo::default()
    });
    let entry = Entry {
        client_ip: client(&observer, &request),
        client_port: request.extensions().get::<Peer>().map(|peer| peer.address.port()),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        version: request.version(),
        started_at: Instant::now(),
        info: Arc::clone(&info),
        span: span.clone(),
        id,
        global,
        observer,
        is_logged: false,
    };
    request.extensions_mut().insert(info);
    let _in_flight = metrics::request_started();
    // Calls to other services for this request carry the global request id, or else its own id.
    let correlation_id = Arc::from(entry.global.as_deref().unwrap_or(&entry.id));
    let work = correlation::under(correlation_id, next.run(request)).instrument(span.clone());
    let mut response = AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| span.in_scope(|| ApiError::from(Bug("a handler panicked")).into_response()));
    if let Ok(id) = HeaderValue::from_str(&entry.id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    entry.answered(response.status().as_u16(), bytes);
    response
}

/// A request that will be logged, even if it is cancelled.
struct Entry {
    client_ip: Option<String>,
    client_port: Option<u16>,
    method: Method,
    path: String,
    version: Version,
    started_at: Instant,
    info: Arc<RequestInfo>,
    span: Span,
    id: String,
    global: Option<String>,
    observer: Arc<Observer>,
    is_logged: bool,
}

impl Entry {
    fn answered(mut self, status: u16, bytes: u64) {
        self.log(status, bytes);
    }

    fn log(&mut self, status: u16, bytes: u64) {
        self.is_logged = true;
        let took = self.started_at.elapsed();
        let route = self.info.route.get().map_or(UNMATCHED_ROUTE, String::as_str);
        metrics::request_finished(&self.method, route, status, took);
        let identity = self.info.caller.get().map(|caller| &caller.identity);
        let user_id = identity.map(|identity| identity.user_id.as_str());
        let project_id = identity.and_then(|identity| identity.project_id.as_deref());
        let client = self.client_ip.as_deref().unwrap_or("-");
        let quiet = self.is_heartbeat(route, status);
        match &self.observer.form {
            AccessLog::Fields => line!(
                quiet: quiet,
                parent: &self.span,
                client,
                method = %self.method,
                path = self.path,
                route,
                status,
                bytes,
                seconds = tenths_of_milliseconds(took),
                user_id,
                project_id,
                "answered"
            ),
            AccessLog::Line(format) => {
                let request_line = RequestLine {
                    client_ip: client.to_owned(),
                    client_port: self.client_port,
                    ended: self.observer.clock.wall(),
                    method: self.method.as_str(),
                    path: &self.path,
                    version: version(self.version),
                    route,
                    status,
                    bytes,
                    seconds: took.as_secs_f64(),
                    request_id: &self.id,
                    global_request_id: self.global.as_deref(),
                    user_id,
                    project_id,
                };
                line!(quiet: quiet, parent: &self.span, user_id, project_id, "{}", format.line(&request_line));
            }
        }
    }

    /// True for an accepted heartbeat of a monitor. 1,000 hosts send 300 of them per second, which would bury the other
    /// lines.
    fn is_heartbeat(&self, route: &str, status: u16) -> bool {
        self.method == Method::PUT && route == routes::MONITOR && (200..300).contains(&status)
    }
}

impl Drop for Entry {
    /// Logs a request whose client disconnected.
    fn drop(&mut self) {
        if !self.is_logged {
            self.log(CLIENT_GONE, 0);
        }
    }
}

const fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        _ => "HTTP/1.1",
    }
}

/// Returns the client's address for the log: the one reported by trusted proxies, or else the peer of the connection.
fn client(observer: &Observer, request: &Request) -> Option<String> {
    let named = observer
        .forwarded_for
        .then(|| forwarded_for(request.headers()))
        .flatten();
    named.or_else(|| peer::address(request.extensions()).map(|address: IpAddr| address.to_string()))
}

/// Returns the first address that the proxies report. Only a valid address is returned, so nothing else gets into the log.
fn forwarded_for(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let named = match text("forwarded") {
        Some(forwarded) => crate::links::parameter(forwarded, "for")?,
        None => text("x-forwarded-for")?.split(',').next()?.trim(),
    };
    let bare = named.strip_prefix('[').and_then(|named| named.split(']').next());
    let bare = bare.unwrap_or(named);
    let address: IpAddr = bare.parse().ok().or_else(|| {
        let (address, port) = bare.rsplit_once(':')?;
        port.parse::<u16>().ok()?;
        address.parse().ok()
    })?;
    Some(address.to_string())
}

/// Returns seconds. A shorter time would be formatted with an exponent, which few log tools parse.
fn tenths_of_milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use axum::Router;
    use axum::body::Body;
    use axum::extract::Path;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::{get, put};
    use http::StatusCode;
    use tachi_domain::Timestamp;
    use tachi_testkit::ManualClock;
    use tower::ServiceExt;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Captures the log.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Log {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    async fn wrong() -> &'static str {
        panic!("wrong on purpose")
    }

    fn subscriber(log: &Log) -> impl tracing::Subscriber + Send + Sync + use<> {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish()
    }

    /// Builds a router with two paths behind the middleware. It trusts proxies.
    fn router(form: AccessLog) -> Router {
        let observer = Arc::new(Observer {
            form,
            forwarded_for: true,
            clock: Arc::new(ManualClock::at(Timestamp::from_micros(1_795_176_000_000_000))),
        });
        Router::new()
            .route("/right", get(|| async { "right" }))
            .route("/calls/{id}", get(calls))
            .route("/wrong", get(wrong))
            .route("/never", get(std::future::pending::<()>))
            .route(routes::MONITOR, put(heartbeat))
            .layer(from_fn(crate::headers::note))
            .layer(from_fn_with_state(observer, super::log))
    }

    async fn heartbeat(Path((host, _)): Path<(String, String)>) -> StatusCode {
        if host == "ours" {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::FORBIDDEN
        }
    }

    /// Returns the correlation id that calls to other services would carry.
    async fn calls() -> String {
        correlation::current().map_or_else(String::new, |id| (*id).to_owned())
    }

    fn request(path: &str, global: &str) -> Request {
        let mut request = Request::builder()
            .uri(path)
            .header("x-auth-token", "the-secret-token")
            .header("x-service-token", "the-secret-service-token")
            .header("x-openstack-request-id", global)
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(Peer {
            address: "192.0.2.7:4711".parse().unwrap(),
            port: 15868,
        });
        request
    }

    const GLOBAL: &str = "req-6128798e-1111-4222-8333-0123456789ab";

    /// Sends a request; returns the status, the id in the answer, the answer and the log.
    async fn logged(form: AccessLog, request: Request) -> (u16, String, String, String) {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(subscriber(&log));
        let response = router(form).oneshot(request).await.unwrap();
        let id = response.headers()[request_id::HEADER]
            .to_str()
            .unwrap()
            .to_owned();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (status, id, String::from_utf8(body.to_vec()).unwrap(), log)
    }

    #[tokio::test]
    async fn fields_contain_everything_but_the_token() {
        let (status, id, _, log) = logged(AccessLog::Fields, request("/right?query=secret", GLOBAL)).await;
        assert_eq!(status, 200);
        assert_eq!(log.lines().count(), 1, "{log}");
        for part in [
            "client=\"192.0.2.7\"",
            "method=GET",
            "path=\"/right\"",
            "route=\"/right\"",
            "status=200",
            "bytes=5",
            "seconds=",
            id.as_str(),
            &format!("global_request_id=\"{GLOBAL}\""),
        ] {
            assert!(log.contains(part), "{part} in {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }

    #[tokio::test]
    async fn a_line_in_masakaris_format_contains_everything_but_the_token() {
        let form = AccessLog::Line(LineFormat::default());
        let (_, id, _, log) = logged(form, request("/right?query=secret", GLOBAL)).await;
        assert_eq!(log.lines().count(), 1, "{log}");
        let line = "192.0.2.7 \"GET /right HTTP/1.1\" status: 200 len: 5 time: 0.";
        for part in [line, id.as_str(), GLOBAL] {
            assert!(log.contains(part), "{part} in {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }

    #[tokio::test]
    async fn calls_to_other_services_carry_the_callers_id_or_else_our_own() {
        let cases = [
            ("a good one", GLOBAL, true),
            ("not of the form", "request-1", false),
            ("in capitals", "req-6128798E-1111-4222-8333-0123456789AB", false),
        ];
        for (name, sent, is_taken) in cases {
            let (_, id, carried, log) = logged(AccessLog::Fields, request("/calls/7", sent)).await;
            assert_eq!(carried, if is_taken { sent } else { id.as_str() }, "{name}");
            assert_ne!(id, sent, "{name}: the answer always has our own");
            assert_eq!(log.contains(sent), is_taken, "{name}: {log}");
            assert!(log.contains("route=\"/calls/{id}\""), "{log}");
        }
    }

    #[tokio::test]
    async fn an_accepted_heartbeat_is_logged_at_debug_and_a_refused_one_at_info() {
        for form in [AccessLog::Fields, AccessLog::Line(LineFormat::default())] {
            for (host, level) in [("ours", "DEBUG"), ("theirs", "INFO")] {
                let mut heartbeat = request(&format!("/v1/monitors/{host}/process"), GLOBAL);
                *heartbeat.method_mut() = Method::PUT;
                let (.., log) = logged(form.clone(), heartbeat).await;
                assert_eq!(log.lines().count(), 1, "{log}");
                assert!(log.contains(level) && log.contains(host), "{log}");
            }
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_is_logged_with_its_request() {
        let (status, id, _, log) = logged(AccessLog::Fields, request("/wrong", GLOBAL)).await;
        assert_eq!(status, 500);
        let line = log.lines().find(|line| line.contains("bug: a handler panicked"));
        assert!(line.is_some_and(|line| line.contains(&id)), "{log}");
    }

    #[tokio::test]
    async fn a_request_whose_client_goes_away_is_logged_too() {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(subscriber(&log));
        let never = router(AccessLog::Fields).oneshot(request("/never", GLOBAL));
        assert!(never.now_or_never().is_none(), "dropped in the middle");
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(log.contains("status=499"), "{log}");
    }

    #[tokio::test]
    async fn clients_behind_proxies() {
        let cases = [
            (
                "first of several",
                "x-forwarded-for",
                "198.51.100.1, 10.0.0.1",
                "198.51.100.1",
            ),
            (
                "with a port",
                "x-forwarded-for",
                "198.51.100.1:99",
                "198.51.100.1",
            ),
            ("nonsense", "x-forwarded-for", "evil\u{fe}", "192.0.2.7"),
            ("no address", "x-forwarded-for", "status=200", "192.0.2.7"),
            (
                "RFC 7239",
                "forwarded",
                "for=\"[2001:db8::1]:4711\";proto=https",
                "2001:db8::1",
            ),
            ("RFC 7239, hidden", "forwarded", "for=_hidden", "192.0.2.7"),
        ];
        for (name, header, value, client) in cases {
            let mut request = request("/right", GLOBAL);
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().insert(header, value);
            let (_, _, _, log) = logged(AccessLog::Fields, request).await;
            assert!(log.contains(&format!("client=\"{client}\"")), "{name}: {log}");
        }
    }
}
