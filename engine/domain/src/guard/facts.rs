//! Inputs of the guards: plain numbers about one host at one moment.

use std::collections::BTreeSet;
use std::time::Duration;

use super::domain::DomainLoss;

/// A witness: an address that an engine can reach unless it is cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// The name, as configured.
    pub name: String,
    pub reached: bool,
}

/// The number of hosts, and of those that are out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub hosts: u64,
    /// The number of hosts that are out, including the host in question.
    pub out: u64,
}

/// Number of hosts that a reason names.
const MAX_LISTED_NAMES: usize = 5;

/// Returns the first of these names, sorted.
pub(super) fn some<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<&str> = names.collect();
    names
        .into_iter()
        .take(MAX_LISTED_NAMES)
        .map(str::to_owned)
        .collect()
}

/// The recovery's own knowledge of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// True if Nova has no current heartbeat of the host.
    pub silent: bool,
    /// True if a report came with evidence of a fence.
    pub evidence: bool,
    /// The duration of the cliff so far, in the recovery's elapsed time.
    pub cliff_for: Duration,
}

/// The state of Nova's services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NovaFacts {
    /// The number of compute services in cells that answer.
    pub services: u64,
    /// The number of these services that are not forced down.
    pub unforced: u64,
    /// The number of [`NovaFacts::unforced`] services whose heartbeat is stale.
    pub stale: u64,
    /// The number of stale services whose last heartbeat was within one interval of this host's, this host included.
    pub stopped_together: u64,
    /// The number of other hosts with a current heartbeat in Nova.
    pub hosts_up: u64,
    /// The number of those hosts that are enabled.
    pub targets: u64,
    /// The number of those enabled hosts that are in the segment.
    pub segment_targets: u64,
    /// True if a scheduler is up.
    pub scheduler_up: bool,
}

/// The inputs of the guards for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardFacts {
    /// The time since the cluster's first engine started.
    pub running_for: Duration,
    /// The state of Nova's services, or the reason why it is not known.
    pub nova: Result<NovaFacts, String>,
    /// The configured witnesses.
    pub witnesses: Vec<Witness>,
    /// The hosts of the segment.
    pub segment: Count,
    /// The names of some hosts of the segment that are out, for people: no decision depends on them.
    pub segment_out: Vec<String>,
    /// The number of hosts of the segment that are not out and take no instances: in maintenance or repair.
    pub segment_away: u64,
    /// The hosts of all segments.
    pub all: Count,
    /// The ages of the power-off orders for other hosts, each counted once.
    pub ordered: Vec<Duration>,
    /// The number of earlier recoveries that had this host confirmed off recently.
    pub fenced: u64,
    /// The number of independent reporters, see [`Region::voices`](super::Region::voices).
    pub reporters: u64,
    /// The reason why this host must not be fenced without an operator's approval, if so.
    pub protected: Option<String>,
    /// The failure domains of this host, with their losses.
    pub domains: Vec<DomainLoss>,
    /// The recovery's own knowledge of the host.
    pub own: HostFacts,
}
