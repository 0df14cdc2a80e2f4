//! One line for every request. No header is ever logged, so no token is.

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::HeaderValue;
use tokio::time::Instant;
use tracing::Instrument;

use crate::error::{ApiError, Bug};
use crate::request_id;

/// The layer: gives the request its id, which the answer tells; logs it; and turns a panic below into a 500, so that one
/// wrong request cannot break a connection that others use.
pub(crate) async fn log(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id::fresh();
    let span =
        tracing::info_span!("api::request", request_id = %id, global_request_id = tracing::field::Empty);
    if let Some(global) = request_id::global(request.headers()) {
        span.record("global_request_id", global);
    }
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = AssertUnwindSafe(next.run(request).instrument(span.clone()))
        .catch_unwind()
        .await
        .unwrap_or_else(|_| span.in_scope(|| ApiError::from(Bug("a handler panicked")).into_response()));
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(request_id::HEADER, id);
    }
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(parent: &span, %method, path, status = response.status().as_u16(), ms, "answered");
    response
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    /// Keeps what is logged.
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

    /// Sends a request to a router of two paths; its status, the id in its answer, and the log.
    async fn logged(path: &str) -> (u16, String, String) {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let router = Router::new()
            .route("/right", get(|| async { "right" }))
            .route("/wrong", get(wrong))
            .layer(from_fn(super::log));
        let request = Request::builder()
            .uri(path)
            .header("x-auth-token", "the-secret-token")
            .header(
                "x-openstack-request-id",
                "req-6128798e-1111-4222-8333-0123456789ab",
            )
            .body(Body::empty())
            .unwrap();
        let response = router.oneshot(request).await.unwrap();
        let id = response.headers()[request_id::HEADER]
            .to_str()
            .unwrap()
            .to_owned();
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        (response.status().as_u16(), id, log)
    }

    #[tokio::test]
    async fn one_line_with_everything_but_the_token() {
        let (status, id, log) = logged("/right?query=secret").await;
        assert_eq!(status, 200);
        assert_eq!(log.lines().count(), 1, "{log}");
        let global = "global_request_id=\"req-6128798e-1111-4222-8333-0123456789ab\"";
        for part in [
            "method=GET",
            "path=\"/right\"",
            "status=200",
            "ms=",
            id.as_str(),
            global,
        ] {
            assert!(log.contains(part), "{part} in {log}");
        }
        assert!(!log.contains("secret"), "{log}");
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_is_logged_with_its_request() {
        let (status, id, log) = logged("/wrong").await;
        assert_eq!(status, 500);
        let line = log.lines().find(|line| line.contains("bug: a handler panicked"));
        assert!(line.is_some_and(|line| line.contains(&id)), "{log}");
    }
}
