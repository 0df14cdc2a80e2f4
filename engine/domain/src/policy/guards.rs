//! The options of the guards.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The options of the guards, which operators set in advance, except the fractions, which are in the policy itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GuardPolicy {
    /// The time for which the cluster must have been watched since its first start; zero disables the guard.
    pub startup_grace: Duration,
    /// The recent period for the global fraction and the rate.
    pub window: Duration,
    /// The number of hosts that may be powered off within that window; 0 for no limit.
    pub fences: u32,
    /// The share of a segment's hosts whose service may be disabled because of processes, in percent; never less than one
    /// host.
    pub process_segment_percent: u32,
    /// The same share for all hosts.
    pub process_global_percent: u32,
    /// The number of services that may be disabled because of processes within the window; 0 for no limit.
    pub process_disables: u32,
    /// The share of all heartbeats that may stop within one interval, in percent; never less than two heartbeats.
    pub cliff_percent: u32,
    /// The heartbeat interval of a nova-compute.
    pub cliff_interval: Duration,
    /// The number of times a host may have been confirmed off within [`GuardPolicy::flap_window`]; 0 disables the guard.
    pub flap_fences: u32,
    /// The period in which these count.
    pub flap_window: Duration,
    /// The hosts that are never powered off without an operator's approval: names with `*` and `?`.
    pub protected_hosts: Vec<String>,
    /// The metadata key of aggregates whose hosts are protected in the same way; empty for none.
    pub protected_key: String,
    /// The metadata key of aggregates that names their failure domain; empty for none.
    pub domain_key: String,
    /// The interval at which a recovery on hold is reported again.
    pub alarm_interval: Duration,
    /// The conditions for muting a reporter.
    pub reporters: MutingPolicy,
}

/// The conditions under which a reporter whose claims Nova contradicts is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MutingPolicy {
    /// The number of contradicted claims, about two hosts at least; 0 mutes none.
    pub limit: u32,
    /// The period in which these claims count.
    pub window: Duration,
    /// The maximum share of reporters that are muted at the same time, in percent. Those bound to hosts are counted against
    /// the hosts, the others against those that have reported recently.
    pub percent: u32,
}

impl Default for MutingPolicy {
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
            reporters: MutingPolicy::default(),
        }
    }
}
