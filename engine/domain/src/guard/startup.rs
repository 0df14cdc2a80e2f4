//! G0. After a power failure of the whole site, engines are up before the hosts, and no heartbeat of them has been seen yet.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    let grace = rules.guards.startup_grace;
    let Some(left) = grace
        .checked_sub(facts.running_for)
        .filter(|left| !left.is_zero())
    else {
        return GuardResult::Pass;
    };
    GuardResult::Wait {
        reason: format!(
            "Tachi has watched this cloud for less than {} s since its first start",
            grace.as_secs()
        ),
        until: Some(left),
    }
}
