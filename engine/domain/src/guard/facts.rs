//! What guards judge by: plain numbers about one host at one moment.

use std::collections::BTreeSet;
use std::time::Duration;

use super::domain::DomainLoss;

/// A place that an engine that is not cut off can reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// As configured.
    pub name: String,
    /// Whether it was reached.
    pub reached: bool,
}

/// Hosts, and those of them that are out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub hosts: u64,
    /// Those that are out, the host in question included.
    pub out: u64,
}

/// So many hosts are named in a reason.
const NAMED: usize = 5;

/// The first of these names, sorted.
pub(super) fn some<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().take(NAMED).map(str::to_owned).collect()
}

/// What a recovery knows by itself of its host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Nova does not hear it (R16).
    pub silent: bool,
    /// A report came with evidence of a fence (R18).
    pub evidence: bool,
    /// For how long the cliff has been seen, in the recovery's own time.
    pub cliff_for: Duration,
}

/// What Nova shows of its services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NovaFacts {
    /// Compute services in cells that answer.
    pub services: u64,
    /// Those of them that nobody has forced down.
    pub unforced: u64,
    /// Those of [`NovaFacts::unforced`] whose heartbeat is stale.
    pub stale: u64,
    /// Stale ones whose last heartbeat was within one interval of this host's, this host included.
    pub vanished: u64,
    /// Other hosts that Nova hears.
    pub heard: u64,
    /// Those of them that are enabled.
    pub targets: u64,
    /// Those of them that are in the segment.
    pub segment_targets: u64,
    /// A scheduler is up.
    pub scheduler_up: bool,
}

/// The numbers about one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardFacts {
    /// How long ago the cluster's first engine started.
    pub running_for: Duration,
    /// What Nova says, or why it does not.
    pub nova: Result<NovaFacts, String>,
    /// Configured places that an engine that is not cut off can reach.
    pub witnesses: Vec<Witness>,
    /// The hosts of the segment.
    pub segment: Count,
    /// Some of those that are out, by name, for people: nothing is decided by them.
    pub segment_out: Vec<String>,
    /// Hosts of the segment that are not out and take no instances: on maintenance, or away for repair.
    pub segment_away: u64,
    /// The hosts of all segments.
    pub all: Count,
    /// How long ago other hosts were ordered off, each counted once.
    pub ordered: Vec<Duration>,
    /// How many earlier recoveries had this host proven off lately.
    pub fenced: u64,
    /// How many voices say so, see [`Region::voices`](super::Region::voices).
    pub reporters: u64,
    /// Why this host is not to be fenced without a word, if so.
    pub protected: Option<String>,
    /// The failure domains this host is in, and what is left of them.
    pub domains: Vec<DomainLoss>,
    /// What the recovery knows by itself.
    pub own: Own,
}
