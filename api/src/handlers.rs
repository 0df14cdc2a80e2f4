//! The handlers: each takes an authorized request, calls the registry and returns the result.

pub(crate) mod actions;
pub(crate) mod boot_guard;
pub(crate) mod controller;
pub(crate) mod event_streams;
pub(crate) mod extensions;
pub(crate) mod failures;
pub(crate) mod freezes;
pub(crate) mod healthcheck;
pub(crate) mod hosts;
pub(crate) mod maintenance;
pub(crate) mod metrics;
pub(crate) mod monitors;
pub(crate) mod not_allowed;
pub(crate) mod notifications;
pub(crate) mod operator;
pub(crate) mod plans;
pub(crate) mod segments;
pub(crate) mod versions;
pub(crate) mod vmoves;

mod identifiers;
