//! The state that all handlers share.

use std::sync::Arc;
use std::time::Duration;

use tachi_engine::ports::{
    AuditSink, Clock, Events, Freezes, Monitors, Notifier, OperatorJournal, Plans, Registry,
};

use crate::auth::AuthBackend;
use crate::binding::Binding;
use crate::cors::Cors;
use crate::event_streams::Streams;
use crate::health::Health;
use crate::links::Links;
use crate::metrics::MetricsAccess;
use crate::monitor_heartbeats::HeartbeatWriter;
use crate::policy::Policy;
use crate::ports::{ComputeHosts, Controller, RegionService};
use crate::refusals::RefusalCounter;
use crate::report_limit::ReportLimit;

/// The state of the router; cheap to clone.
#[derive(Clone)]
pub(crate) struct ApiState(Arc<Components>);

/// The shared state behind [`ApiState`].
pub(crate) struct Components {
    pub(crate) registry: Arc<dyn Registry>,
    pub(crate) notify: Arc<dyn Notifier>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) compute_hosts: Arc<dyn ComputeHosts>,
    pub(crate) region: Arc<dyn RegionService>,
    pub(crate) operator_journal: Arc<dyn OperatorJournal>,
    pub(crate) freezes: Arc<dyn Freezes>,
    pub(crate) plans: Arc<dyn Plans>,
    pub(crate) audit: Arc<dyn AuditSink>,
    pub(crate) monitors: Arc<dyn Monitors>,
    pub(crate) controller: Arc<dyn Controller>,
    pub(crate) heartbeats: HeartbeatWriter,
    pub(crate) refusals: RefusalCounter,
    pub(crate) streams: Streams,
    pub(crate) events: Arc<dyn Events>,
    pub(crate) gatekeeper: AuthBackend,
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

impl ApiState {
    pub(crate) fn new(inner: Components) -> Self {
        Self(Arc::new(inner))
    }
}

impl std::ops::Deref for ApiState {
    type Target = Components;

    fn deref(&self) -> &Components {
        &self.0
    }
}
