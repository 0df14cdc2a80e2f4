//! The number of hosts of a segment that the guards let fail together (ADR 0130).

use super::{Facts, Segment};
use crate::forecast::Headroom;
use crate::recovery::Life;

/// Returns the number of hosts that may fail together, whichever they are, before the guards put recoveries on hold; `None` if no number is
/// too large for them, or no engine has asked them. A host that is held for a reason of its own does not count: it has a finding.
pub(super) fn guard_limit(facts: &Facts, segment: &Segment) -> Option<u64> {
    let holds = facts.holds.iter().flat_map(|known| &known.value);
    let held: Vec<&str> = holds.map(|one| one.host.as_str()).collect();
    let runs = segment.hosts.iter().filter(|host| {
        host.maintenance.is_none() && !matches!(host.recovery, Some((_, Life::Open | Life::Watching)))
    });
    let running: Vec<&str> = runs.map(|host| host.name.as_str()).collect();
    if !running.is_empty() && running.iter().all(|host| held.contains(host)) {
        return Some(0);
    }
    let losses = facts.joint_losses.iter().flat_map(|known| &known.value);
    let of_segment = |host: &str| segment.hosts.iter().any(|one| one.name == host);
    let mut of_hosts = losses.filter(|loss| loss.domain.is_none() && of_segment(&loss.host));
    Some(of_hosts.next()?.hosts.saturating_sub(1))
}

impl Headroom {
    /// Returns the smaller of this and what the guards let fail.
    #[must_use]
    pub fn within(self, limit: Option<u64>) -> Self {
        let limit = limit.and_then(|limit| usize::try_from(limit).ok());
        match limit.filter(|limit| *limit < self.hosts) {
            Some(hosts) => Self { hosts, exact: true },
            None => self,
        }
    }
}
