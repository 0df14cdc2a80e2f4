//! G5. Hosts of all segments that failed recently, including those that were fenced within the window.

use super::{GuardFacts, GuardResult, MASS_FAILURE_HINT, is_finished};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    if !is_finished(facts.all, rules.global_percent) {
        return GuardResult::Pass;
    }
    GuardResult::Hold {
        reason: format!(
            "{} of all {} hosts failed within {} s (limit {} %): {MASS_FAILURE_HINT}",
            facts.all.out,
            facts.all.hosts,
            rules.guards.window.as_secs(),
            rules.global_percent
        ),
    }
}
