//! G10. A host that was recovered, came back and failed again, more than once: another fence will not fix the cause.

use super::{GuardFacts, Verdict};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> Verdict {
    let limit = rules.guards.flap_fences;
    if limit == 0 || facts.fenced < u64::from(limit) {
        return Verdict::Pass;
    }
    Verdict::Hold {
        reason: format!(
            "the host was proven off {} times within {} s and failed again: keep it off until its fault is found",
            facts.fenced,
            rules.guards.flap_window.as_secs()
        ),
    }
}
