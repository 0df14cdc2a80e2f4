//! A snapshot of the cluster's state.

use crate::cib::NodeState;
use crate::{Cib, CrmMon, Time};

/// Everything the tools printed at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// From `crm_mon`.
    pub mon: CrmMon,
    /// From `cibadmin`, if it could be had.
    pub cib: Option<Cib>,
    /// When it was taken: by the taker's clock if it set one, else by the cluster's.
    pub at: Option<Time>,
}

impl Snapshot {
    /// A snapshot dated by what the cluster itself printed.
    pub fn new(mon: CrmMon, cib: Option<Cib>) -> Self {
        let at = mon.at;
        Self { mon, cib, at }
    }

    /// The same, dated by the taker's clock.
    #[must_use]
    pub fn taken(mut self, at: Time) -> Self {
        self.at = Some(at);
        self
    }

    /// The CIB's note about a node.
    pub(crate) fn note(&self, name: &str) -> Option<&NodeState> {
        self.cib.as_ref().and_then(|cib| cib.note(name))
    }
}
