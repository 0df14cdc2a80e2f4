//! Metrics of the API, and their export to Prometheus.
//!
//! Labels have few values: routes appear by their pattern, unknown values as `other`. No caller can therefore fill the memory.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};
use ipnet::IpNet;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tachi_engine::ports::PoolUsage;

use crate::error::ApiError;
use crate::peer;

const REQUESTS: &str = "tachi_api_requests_total";
const DURATION: &str = "tachi_api_request_duration_seconds";
const IN_FLIGHT: &str = "tachi_api_requests_in_flight";
const CONNECTIONS: &str = "tachi_api_connections";
const HANDSHAKES: &str = "tachi_api_tls_handshake_failures_total";
const CACHE: &str = "tachi_api_auth_cache_total";
const VALIDATIONS: &str = "tachi_api_token_validations_total";
const VALIDATION: &str = "tachi_api_token_validation_duration_seconds";
const NOTIFICATIONS: &str = "tachi_api_notifications_total";
const POOL: &str = "tachi_db_pool_connections";
const POOL_MAX: &str = "tachi_db_pool_connections_max";
const BUILD: &str = "tachi_build_info";

/// Upper bounds of the buckets of a duration, in seconds: from a cached answer to a slow Keystone.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];

/// Upper bounds for durations of minutes, in seconds: a stage of a recovery, a whole recovery, or an instance's downtime.
const LONG_BUCKETS: [f64; 12] = [
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0,
];

/// Suffixes of the metrics with [`LONG_BUCKETS`].
const HISTOGRAM_SUFFIXES: [&str; 3] = [
    "stage_duration_seconds",
    "recovery_duration_seconds",
    "instance_downtime_seconds",
];

/// Interval of moving measurements into their buckets. Until then each measurement is stored separately.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// The metrics of this process.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

/// An error in the installation of the metrics recorder.
#[derive(Debug, thiserror::Error)]
#[error("installing the metrics recorder")]
pub struct MetricsError {
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Metrics {
    /// Installs the metrics recorder for the lifetime of the process. Further calls return the same recorder.
    ///
    /// # Errors
    ///
    /// The process has another metrics recorder already.
    pub fn start(version: &'static str) -> Result<Self, MetricsError> {
        static STARTED: OnceLock<Metrics> = OnceLock::new();
        if let Some(metrics) = STARTED.get() {
            return Ok(metrics.clone());
        }
        let (recorder, metrics) = Self::create_recorder()?;
        match metrics::set_global_recorder(recorder) {
            Ok(()) => {
                describe(version);
                Ok(STARTED.get_or_init(|| metrics).clone())
            }
            // Another thread was faster, or another recorder is installed.
            Err(error) => STARTED.get().cloned().ok_or_else(|| MetricsError {
                source: error.to_string().into(),
            }),
        }
    }

    /// Creates a recorder that is not installed for the process.
    pub(crate) fn create_recorder() -> Result<(PrometheusRecorder, Self), MetricsError> {
        let wrong = |error| MetricsError {
            source: Box::new(error),
        };
        let mut builder = PrometheusBuilder::new().set_buckets(&BUCKETS).map_err(wrong)?;
        for name in HISTOGRAM_SUFFIXES {
            builder = builder
                .set_buckets_for_metric(Matcher::Suffix(name.to_owned()), &LONG_BUCKETS)
                .map_err(wrong)?;
        }
        let recorder = builder.build_recorder();
        let metrics = Self(recorder.handle());
        Ok((recorder, metrics))
    }

    /// Moves measurements into buckets, which bounds the memory while no client reads `/metrics`. Never returns.
    pub async fn maintain(self) {
        let mut tick = tokio::time::interval(MAINTENANCE_INTERVAL);
        loop {
            tick.tick().await;
            self.0.run_upkeep();
        }
    }

    /// Returns all metrics in Prometheus' text format.
    pub fn text(&self) -> String {
        self.0.render()
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

pub(crate) fn describe(version: &'static str) {
    describe_counter!(REQUESTS, "Requests by method, route and status");
    describe_histogram!(DURATION, "Time from a request's head to its answer, in seconds");
    describe_gauge!(IN_FLIGHT, "Requests in progress");
    describe_gauge!(CONNECTIONS, "Open connections");
    describe_counter!(HANDSHAKES, "Connections whose TLS handshake failed");
    describe_counter!(CACHE, "Lookups in the token cache, by result");
    describe_counter!(VALIDATIONS, "Tokens validated by Keystone, by result");
    describe_histogram!(
        VALIDATION,
        "Duration of token validations by Keystone, in seconds"
    );
    describe_counter!(NOTIFICATIONS, "Posted notifications, by type and result");
    describe_gauge!(POOL, "Database connections, by state");
    describe_gauge!(POOL_MAX, "Maximum number of database connections");
    describe_gauge!(BUILD, "Always 1; the version is in the label");
    gauge!(BUILD, "version" => version).set(1.0);
}

/// The metrics and the clients that may read them.
#[derive(Clone, Debug)]
pub struct MetricsAccess {
    pub metrics: Metrics,
    /// The allowed client addresses. Requests through a proxy are always refused.
    pub allowed_source_ranges: Vec<IpNet>,
}

impl MetricsAccess {
    /// Allows requests from this machine only.
    pub fn from_loopback(metrics: Metrics) -> Self {
        let loopback = [
            (IpAddr::from([127, 0, 0, 0]), 8),
            (IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128),
        ];
        let ranges = loopback
            .into_iter()
            .filter_map(|(address, length)| IpNet::new(address, length).ok());
        Self {
            metrics,
            allowed_source_ranges: ranges.collect(),
        }
    }

    /// Answers a request for `/metrics`; `pool` is the current usage of the database connections.
    pub(crate) fn answer(&self, pool: Option<PoolUsage>, request: &Request) -> Response {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return ApiError::no_resource().into_response();
        }
        let allowed = peer::is_within(request.extensions(), &self.allowed_source_ranges);
        if !allowed || peer::is_proxied(request.headers()) {
            let why = "address not allowed by [metrics] allowed_source_ranges\n";
            return (StatusCode::FORBIDDEN, why).into_response();
        }
        if let Some(pool) = pool {
            gauge!(POOL, "state" => "in_use").set(f64::from(pool.in_use));
            gauge!(POOL, "state" => "idle").set(f64::from(pool.idle));
            gauge!(POOL_MAX).set(f64::from(pool.max));
        }
        let kind = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
        (kind, self.metrics.text()).into_response()
    }
}

/// Returns a router with only `/metrics`, for a process or an address without the API.
pub fn metrics_router(access: MetricsAccess) -> Router {
    let access = Arc::new(access);
    Router::new().route(
        "/metrics",
        get(move |request: Request| async move { access.answer(None, &request) }),
    )
}

/// A unit of a gauge: incremented now, and decremented on drop.
pub(crate) struct GaugeGuard(&'static str);

impl GaugeGuard {
    fn new(name: &'static str) -> Self {
        gauge!(name).increment(1.0);
        Self(name)
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        gauge!(self.0).decrement(1.0);
    }
}

/// Counts an open connection until the result is dropped.
pub(crate) fn open_connection() -> GaugeGuard {
    GaugeGuard::new(CONNECTIONS)
}

/// Counts a request in flight until the result is dropped.
pub(crate) fn request_started() -> GaugeGuard {
    GaugeGuard::new(IN_FLIGHT)
}

/// Records an answered request.
pub(crate) fn request_finished(method: &Method, route: &str, status: u16, took: Duration) {
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    };
    let route = route.to_owned();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status.to_string())
        .increment(1);
    histogram!(DURATION, "method" => method, "route" => route).record(took);
}

/// Records a connection that failed in its TLS handshake.
pub(crate) fn handshake_failed() {
    counter!(HANDSHAKES).increment(1);
}

/// Records a lookup in the token cache.
pub(crate) fn cache_lookup(found: bool) {
    counter!(CACHE, "result" => if found { "hit" } else { "miss" }).increment(1);
}

/// Records the validation of a token by Keystone.
pub(crate) fn token_validated(outcome: &'static str, took: Duration) {
    counter!(VALIDATIONS, "outcome" => outcome).increment(1);
    histogram!(VALIDATION).record(took);
}

/// Records a posted notification of this type.
pub(crate) fn notification(kind: &'static str, result: &'static str) {
    counter!(NOTIFICATIONS, "type" => kind, "result" => result).increment(1);
}
