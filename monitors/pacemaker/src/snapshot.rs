//! A snapshot of the cluster's state.

use crate::cib::NodeState;
use crate::{Cib, CrmMon, Time};

/// The output of the cluster's tools at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The output of `crm_mon`.
    pub mon: CrmMon,
    /// The output of `cibadmin`, if available.
    pub cib: Option<Cib>,
    /// The time of the snapshot: by the caller's clock if set, else by the cluster's.
    pub at: Option<Time>,
}

impl Snapshot {
    /// Creates a snapshot with the time that the cluster itself printed.
    pub fn new(mon: CrmMon, cib: Option<Cib>) -> Self {
        let at = mon.at;
        Self { mon, cib, at }
    }

    /// Returns the snapshot with a time of the caller's clock.
    #[must_use]
    pub fn taken(mut self, at: Time) -> Self {
        self.at = Some(at);
        self
    }

    /// Returns the CIB's record of a node.
    pub(crate) fn note(&self, name: &str) -> Option<&NodeState> {
        self.cib.as_ref().and_then(|cib| cib.note(name))
    }
}
