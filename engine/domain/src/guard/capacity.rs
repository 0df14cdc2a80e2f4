//! G8. Can the rest of the segment take the instances? The guard only warns: an instance that does not fit fails by itself, and
//! an operator who is warned early can add capacity.

use super::{GuardFacts, GuardResult};
use crate::count;
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    let Ok(nova) = &facts.nova else {
        return GuardResult::Pass;
    };
    let gone = facts.segment.out.saturating_add(facts.segment_away);
    let left = facts.segment.hosts.saturating_sub(gone);
    if facts.segment.hosts == 0 || nova.segment_targets.saturating_mul(2) > left.min(nova.services) {
        return GuardResult::Pass;
    }
    if nova.segment_targets == 0 {
        return GuardResult::Warn {
            reason: "no other host of the segment is enabled and up in Nova: there may be no capacity for the instances"
                .into(),
        };
    }
    GuardResult::Warn {
        reason: format!(
            "only {} of the segment's {} {} enabled and up in Nova: there may not be capacity for all instances",
            nova.segment_targets,
            count(facts.segment.hosts.saturating_sub(1), "other host", "other hosts"),
            if nova.segment_targets == 1 { "is" } else { "are" }
        ),
    }
}
