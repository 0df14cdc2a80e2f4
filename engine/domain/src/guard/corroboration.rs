//! G3. One report alone fences no host: evidence of a fence, a second reporter, or a missing heartbeat in Nova has to confirm it.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    if facts.own.evidence || facts.own.silent || facts.reporters >= 2 {
        return GuardResult::Pass;
    }
    GuardResult::Wait {
        reason: "only one monitor reports the host, and the host is still up in Nova".into(),
        until: None,
    }
}
