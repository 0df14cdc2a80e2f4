//! The HTTP services: one listener, each service under its path prefix.

pub(crate) mod encode;
pub(crate) mod faults;
pub(crate) mod middleware;
pub(crate) mod requests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::keystone::Keystone;
use crate::maas::MaasServer;
use crate::region::Region;

/// State that every handler can use.
#[derive(Debug, Clone)]
pub(crate) struct SandboxState {
    pub(crate) region: Region,
    pub(crate) keystone: Arc<Keystone>,
    pub(crate) maas: Arc<MaasServer>,
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub(crate) base: Arc<str>,
    /// The key for `/admin`.
    pub(crate) admin_key: Arc<str>,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

/// All routes.
pub(crate) fn router(app: SandboxState) -> Router {
    Router::new()
        .merge(crate::keystone::router())
        .merge(crate::nova::router())
        .merge(crate::glance::router())
        .merge(crate::neutron::router())
        .merge(crate::placement::router())
        .merge(crate::maas::router())
        .merge(crate::admin::router())
        .layer(from_fn_with_state(app.clone(), middleware::pass))
        .with_state(app)
}
