//! The assembly of the service.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::routing::{any, get};
use http::uri::InvalidUri;
use http::{HeaderValue, Uri};
use tower::ServiceExt;

use crate::access_log::Observer;
use crate::auth::{AuthBackend, Identifier, TokenAuth, TokenOptions};
use crate::binding::Binding;
use crate::error::ApiError;
use crate::event_streams::Streams;
use crate::handlers::{healthcheck, metrics, versions};
use crate::health::Health;
use crate::links::Links;
use crate::monitor_heartbeats::HeartbeatWriter;
use crate::options::{Auth, Options};
use crate::ports::{MeteredValidator, Ports};
use crate::report_limit::ReportLimit;
use crate::state::{ApiState, Components};
use crate::{access_log, auth, board, headers, openapi, path, routes, version_check};

/// A reason why the options are invalid.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// `www_authenticate_uri` is not a valid header value.
    #[error("putting www_authenticate_uri {uri:?} into a header")]
    WwwAuthenticateUri {
        uri: String,
        #[source]
        source: http::header::InvalidHeaderValue,
    },
    /// `osapi_masakari_link_prefix` is not a URL.
    #[error("reading osapi_masakari_link_prefix {prefix:?}")]
    LinkPrefix {
        prefix: String,
        #[source]
        source: InvalidUri,
    },
    /// The base path does not start with a slash.
    #[error("the base path {path:?} does not start with a slash")]
    BasePath { path: String },
}

/// Builds the whole API as one service.
///
/// # Errors
///
/// An option has an invalid value.
pub fn router(options: Options, ports: Ports) -> Result<Router, BuildError> {
    let base_path = base_path(&options.base_path)?;
    let app = ApiState::new(Components {
        links: Links {
            prefix: link_prefix(options.link_prefix)?,
            proxy_headers: options.proxy_headers,
            scheme_header: options.scheme_header,
            tls: options.tls,
        },
        gatekeeper: gatekeeper(options.auth, options.tokens, &ports)?,
        policy: options.policy,
        max_limit: options.max_limit,
        max_body_bytes: options.max_body_bytes,
        body_timeout: options.body_timeout,
        duplicate_window_seconds: options.duplicate_window_seconds,
        binding: Binding::new(options.binding),
        report_limit: ReportLimit::new(options.notifications_per_segment),
        max_line_bytes: options.max_line_bytes,
        health: Health::new(options.health),
        cors: options.cors,
        metrics: options.metrics,
        events: options.events,
        registry: ports.registry,
        notify: ports.notify,
        clock: ports.clock,
        compute_hosts: ports.compute_hosts,
        region: ports.region,
        operator_journal: ports.operator_journal,
        freezes: ports.freezes,
        plans: ports.plans,
        audit: ports.audit,
        heartbeats: HeartbeatWriter::new(Arc::clone(&ports.monitors)),
        monitors: ports.monitors,
        controller: ports.controller,
        refusals: ports.refusals,
        streams: Streams::new(options.streams),
    });
    let observer = Arc::new(Observer {
        form: options.access_log,
        forwarded_for: options.forwarded_for || options.proxy_headers,
        clock: Arc::clone(&app.clock),
    });
    let project_ids = options.project_ids;
    let below_v1 = below_v1(&app);
    let board = options
        .board
        .map(|board_settings| board::router(app.clone(), board_settings, below_v1.clone()));
    let beside_v1 = beside_v1(app);
    // The path is rewritten before routing, because routes match the path of the request.
    let dispatch = move |request: Request| {
        let request = path::normalise(request, &base_path, project_ids.as_ref());
        let path = request.uri().path();
        let is_v1 = path == "/v1" || path.starts_with("/v1/");
        if is_v1 || path == routes::OPERATOR || path.starts_with("/operator/v1/") {
            below_v1.clone()
        } else {
            let board = board.as_ref().filter(|_| board::is_below(path));
            board.unwrap_or(&beside_v1).clone()
        }
        .oneshot(request)
    };
    Ok(Router::new()
        .fallback(dispatch)
        .layer(from_fn_with_state(observer, access_log::log)))
}

/// Returns the routes outside `/v1` and `/operator/v1`. They need no token.
fn beside_v1(app: ApiState) -> Router {
    let mut router = Router::new();
    if app.metrics.is_some() {
        router = router.route("/metrics", any(metrics::answer));
    }
    router
        .route("/", any(versions::list))
        .route("/healthcheck", any(healthcheck::answer))
        // Engines and monitors answer health probes at this path.
        .route("/healthz", any(healthcheck::answer))
        .route("/healthcheck/", any(healthcheck::answer))
        .route("/healthcheck/{*rest}", any(healthcheck::answer))
        .route("/openapi.json", get(openapi::serve).fallback(versions::choices))
        .fallback(versions::choices)
        .with_state(app)
        .layer(from_fn(headers::note))
}

/// Returns the routes below `/v1` and `/operator/v1`. The order of checks matches what clients expect, as measured.
fn below_v1(app: &ApiState) -> Router {
    let mut v1 = Router::new();
    for route in routes::table() {
        let rule = route.rule;
        let handler = route
            .handler
            .route_layer(from_fn(move |request: Request, next: Next| {
                version_check::pass(rule, request, next)
            }));
        v1 = v1.route(route.path, handler);
    }
    v1.fallback(no_resource)
        .method_not_allowed_fallback(no_resource)
        .with_state(app.clone())
        .layer(from_fn_with_state(app.clone(), auth::authenticate))
        .layer(from_fn_with_state(app.clone(), headers::receive))
}

/// Answers 404, also for a method that a path does not have: clients interpret only 404 as missing.
async fn no_resource(request: Request) -> ApiError {
    access_log::note_caller(request.extensions());
    ApiError::no_resource()
}

fn gatekeeper(auth: Auth, tokens: TokenOptions, ports: &Ports) -> Result<AuthBackend, BuildError> {
    match auth {
        Auth::Keystone {
            validator,
            www_authenticate_uri: uri,
            cache,
        } => {
            let challenge = HeaderValue::from_str(&format!("Keystone uri=\"{uri}\""))
                .map_err(|source| BuildError::WwwAuthenticateUri { uri, source })?;
            Ok(AuthBackend::Keystone(Box::new(TokenAuth {
                identifier: Identifier::new(
                    Arc::new(MeteredValidator(validator)),
                    cache,
                    Arc::clone(&ports.clock),
                ),
                options: tokens,
                challenge,
            })))
        }
        Auth::Noauth2 => {
            tracing::warn!(
                "auth_strategy is noauth2: NO TOKEN IS REQUIRED, and every client of this port is an administrator; \
                 use it only for tests on an isolated machine"
            );
            Ok(AuthBackend::Noauth2)
        }
    }
}

fn link_prefix(prefix: Option<String>) -> Result<Option<String>, BuildError> {
    let Some(prefix) = prefix.filter(|prefix| !prefix.is_empty()) else {
        return Ok(None);
    };
    match prefix.parse::<Uri>() {
        Ok(_) => Ok(Some(prefix.trim_end_matches('/').to_owned())),
        Err(source) => Err(BuildError::LinkPrefix { prefix, source }),
    }
}

fn base_path(path: &str) -> Result<String, BuildError> {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() || trimmed.starts_with('/') {
        Ok(trimmed.to_owned())
    } else {
        Err(BuildError::BasePath {
            path: path.to_owned(),
        })
    }
}
