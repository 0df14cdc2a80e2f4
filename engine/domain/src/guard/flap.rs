//! G10. A host that has failed again after several recoveries: another fence will not fix the cause.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    let limit = rules.guards.flap_fences;
    if limit == 0 || facts.fenced < u64::from(limit) {
        return GuardResult::Pass;
    }
    GuardResult::Hold {
        reason: format!(
            "the host was confirmed off {} times within {} s and failed again: keep it off until its fault is found",
            facts.fenced,
            rules.guards.flap_window.as_secs()
        ),
    }
}
