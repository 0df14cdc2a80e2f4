//! The Instance-HA REST API: the wire of Masakari, so that unmodified clients, dashboards and monitors work.
//!
//! It knows HTTP and nothing else: it keeps nothing, asks the engine's [`Registry`](tachi_engine::ports::Registry) to,
//! and reaches Keystone and Nova through the ports [`TokenValidator`] and [`ComputeHosts`], which the binary wires.
//!
//! ```text
//! tachi (binary) -> api -> engine (ports) -> domain
//!
//! request -> path form -> request id -> body limit -> token -> route -> microversion -> media type
//!         -> JSON -> project -> schema -> policy -> handler -> registry
//! ```
//!
//! The order decides which of several errors a caller sees; clients were measured against it.
//!
//! [`router`] builds the service and [`serve`] runs it on a listener until it is told to stop.

mod access_log;
mod app;
mod auth;
mod authorised;
mod binding;
mod board;
mod cors;
mod datetime;
mod error;
mod evidence;
mod front;
mod gate;
mod handlers;
mod health;
mod limits;
mod links;
mod live;
mod media;
mod metrics;
mod microversion;
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
mod request_id;
mod router;
mod routes;
mod serve;
mod signs;
mod telling;
#[cfg(test)]
mod tests;
mod tls;
mod wire;

pub use access_log::{AccessLog, FormatError, LineFormat};
pub use auth::{AccessRule, CacheOptions, Identity, TokenOptions};
pub use board::Board;
pub use cors::{Cors, CorsGroup};
pub use health::{HealthBackend, HealthOptions};
pub use live::StreamOptions;
pub use metrics::{Metrics, MetricsAccess, MetricsError, metrics_router};
pub use openapi::{openapi, openapi_page};
pub use options::{Auth, Options};
pub use policy::{Policy, policy_rules};
pub use ports::{
    ComputeHosts, Controller, Login, LoginWith, Lookout, Ports, TokenValidator, Unasked, Unavailable,
};
pub use refusals::RefusalCounter;
pub use router::{BuildError, router};
pub use routes::{RouteInfo, routes};
pub use serve::{ServeOptions, serve};
pub use tachi_domain::binding::{BindingMode, BindingOptions, HostPattern, HostPatternError};
pub use tls::{Tls, TlsError, TlsFiles};
