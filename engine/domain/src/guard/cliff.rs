//! G7. Most heartbeats stop at the same moment, as with a failed broker or switch, which may recover soon.

use super::{GuardFacts, GuardResult, MASS_FAILURE_HINT};
use crate::policy::Policy;

/// Minimum number of hosts of a cliff.
const MIN_HOSTS: u64 = 3;

/// Number of intervals to wait before the recovery is put on hold.
const HOLD_AFTER_INTERVALS: u32 = 3;

/// True if there is a cliff.
pub(crate) fn is_seen(facts: &GuardFacts, rules: &Policy) -> bool {
    let Ok(nova) = &facts.nova else {
        return false;
    };
    let share = u64::from(rules.guards.cliff_percent);
    nova.stopped_together >= MIN_HOSTS
        && nova.stopped_together.saturating_mul(100) > nova.services.saturating_mul(share)
}

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    let Ok(nova) = &facts.nova else {
        return GuardResult::Pass;
    };
    if !is_seen(facts, rules) {
        return GuardResult::Pass;
    }
    let interval = rules.cliff_within();
    let reason = format!(
        "the heartbeats of more than {} % of all {} hosts stopped within {} s: {MASS_FAILURE_HINT}",
        rules.guards.cliff_percent,
        nova.services,
        interval.as_secs()
    );
    match (interval * HOLD_AFTER_INTERVALS).checked_sub(facts.own.cliff_for) {
        Some(left) if !left.is_zero() => GuardResult::Wait {
            reason,
            until: Some(left),
        },
        Some(_) | None => GuardResult::Hold { reason },
    }
}
