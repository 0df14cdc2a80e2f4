//! The Instance-HA REST API. It is compatible with Masakari's, so that unmodified clients, dashboards and monitors work.
//!
//! This crate handles HTTP only. It stores nothing itself: the engine's [`Registry`](tachi_engine::ports::Registry) does. The
//! binary provides Keystone and Nova through the ports [`TokenValidator`] and [`ComputeHosts`].
//!
//! ```text
//! tachi (binary) -> api -> engine (ports) -> domain
//!
//! request -> path form -> request id -> body limit -> token -> route -> microversion -> media type
//!         -> JSON -> project -> schema -> policy -> handler -> registry
//! ```
//!
//! This order determines which of several errors a caller gets. It matches what clients expect, as measured.
//!
//! [`router`] builds the service, and [`serve`] runs it on a listener until shutdown.

mod access_log;
mod audited_events;
mod auth;
mod binding;
mod board;
mod cors;
mod datetime;
mod error;
mod event_streams;
mod evidence;
mod extract;
mod handlers;
mod headers;
mod health;
mod limits;
mod links;
mod media;
mod metrics;
mod microversion;
mod monitor_heartbeats;
mod openapi;
mod options;
mod path;
mod peer;
mod policy;
mod ports;
mod query;
mod refusals;
mod reply;
mod report_limit;
mod request_events;
mod request_id;
mod router;
mod routes;
mod serve;
pub mod settings;
mod state;
#[cfg(test)]
mod tests;
mod tls;
mod types;
mod version_check;

pub use access_log::{AccessLog, FormatError, LineFormat};
pub use audited_events::AuditedEvents;
pub use auth::{AccessRule, CacheOptions, Identity, TokenOptions};
pub use board::Board;
pub use cors::{Cors, CorsGroup};
pub use event_streams::StreamOptions;
pub use health::{HealthBackend, HealthOptions};
pub use metrics::{Metrics, MetricsAccess, MetricsError, metrics_router};
pub use openapi::{openapi, openapi_page};
pub use options::{Auth, Options};
pub use policy::{Policy, PolicyFiles, policy_rules};
pub use ports::{
    ComputeHosts, Controller, Login, LoginWith, Ports, QueryError, RegionService, TokenValidator, Unavailable,
};
pub use refusals::RefusalCounter;
pub use router::{BuildError, router};
pub use routes::{RouteInfo, routes};
pub use serve::{ServeOptions, serve};
pub use tachi_domain::binding::{BindingMode, BindingOptions, HostPattern, HostPatternError};
pub use tls::{Tls, TlsError, TlsFiles};
