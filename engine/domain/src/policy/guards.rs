//! The options of the guards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What operators decide of the guards beforehand, beside the fractions of the policy itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardPolicy {
    /// How long the cluster must have been watched since its first start; zero lifts the guard.
    pub startup_grace: Duration,
    /// What counts as lately for the global fraction and the rate.
    pub window: Duration,
    /// How many hosts may be ordered off within that window; 0 for any number.
    pub fences: u32,
    /// How many hosts of a segment may have their service disabled because of processes, in percent; never less than one.
    pub process_segment_percent: u32,
    /// The same of all hosts.
    pub process_global_percent: u32,
    /// How many services may be disabled because of processes within the window; 0 for any number.
    pub process_disables: u32,
    /// How many heartbeats may stop within one interval, in percent of all; never less than two.
    pub cliff_percent: u32,
    /// How often a nova-compute sends a heartbeat.
    pub cliff_interval: Duration,
    /// How often a host may have been proven off within [`GuardPolicy::flap_window`]; 0 lifts the guard.
    pub flap_fences: u32,
    /// What counts as lately for it.
    pub flap_window: Duration,
    /// Hosts that are never ordered off without a person's word: names with `*` and `?`.
    pub protected_hosts: Vec<String>,
    /// Metadata key of aggregates whose hosts are protected in the same way; empty for none.
    pub protected_key: String,
    /// Metadata key of aggregates that names their failure domain; empty for none.
    pub domain_key: String,
    /// How often a held recovery is told again.
    pub alarm_interval: Duration,
    /// When a reporter is set aside.
    pub reporters: Doubts,
}

/// When a reporter whose claims Nova contradicts is set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Doubts {
    /// After so many contradicted claims, of two hosts at least; 0 for never.
    pub limit: u32,
    /// Within this time.
    pub window: Duration,
    /// No more than this share of all at once, in percent: those bound to hosts are counted by the hosts, the others by those
    /// that have reported lately.
    pub percent: u32,
}

impl Default for Doubts {
    fn default() -> Self {
        Self {
            limit: 3,
            window: Duration::from_hours(1),
            percent: 34,
        }
    }
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self {
            startup_grace: Duration::from_mins(5),
            window: Duration::from_mins(5),
            fences: 3,
            process_segment_percent: 34,
            process_global_percent: 25,
            process_disables: 3,
            cliff_percent: 50,
            cliff_interval: Duration::from_secs(10),
            flap_fences: 2,
            flap_window: Duration::from_hours(1),
            protected_hosts: Vec::new(),
            protected_key: "no-fence".into(),
            domain_key: "failure_domain".into(),
            alarm_interval: Duration::from_mins(5),
            reporters: Doubts::default(),
        }
    }
}
