//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use tachi_engine::ports::{AuditSink, Clock, Events, Freezes, Monitors, OperatorDesk, Plans, Poke, Registry};

use crate::auth::Gatekeeper;
use crate::binding::Binding;
use crate::cors::Cors;
use crate::health::Health;
use crate::links::Links;
use crate::live::Streams;
use crate::metrics::MetricsAccess;
use crate::policy::Policy;
use crate::ports::{ComputeHosts, Controller, Lookout};
use crate::refusals::RefusalCounter;
use crate::report_limit::ReportLimit;
use crate::signs::Signs;

/// The state of the router; cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

/// The shared state behind [`App`].
pub(crate) struct Inner {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) poke: Arc<dyn Poke>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) compute_hosts: Arc<dyn ComputeHosts>,
    pub(crate) lookout: Arc<dyn Lookout>,
    pub(crate) desk: Arc<dyn OperatorDesk>,
    pub(crate) freezes: Arc<dyn Freezes>,
    pub(crate) plans: Arc<dyn Plans>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) monitors: Arc<dyn Monitors>,
    pub(crate) controller: Arc<dyn Controller>,
    pub(crate) signs: Signs,
    pub(crate) refusals: RefusalCounter,
    pub(crate) streams: Streams,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) gatekeeper: Gatekeeper,
    pub(crate) policy: Policy,
    pub(crate) links: Links,
    pub(crate) max_limit: u64,
    pub(crate) max_body_bytes: usize,
    pub(crate) body_timeout: Duration,
    pub(crate) duplicate_window_seconds: u32,
    pub(crate) binding: Binding,
    pub(crate) report_limit: ReportLimit,
    pub(crate) max_line_bytes: usize,
    pub(crate) health: Health,
    pub(crate) cors: Cors,
    pub(crate) metrics: Option<MetricsAccess>,
}

impl App {
    pub(crate) fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }
}

impl std::ops::Deref for App {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}
