//! G3. One report alone fences no host: evidence of a fence, a second reporter, or a missing heartbeat in Nova has to confirm it.

use super::{GuardFacts, Verdict};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> Verdict {
    if facts.own.evidence || facts.own.silent || facts.reporters >= 2 {
        return Verdict::Pass;
    }
    Verdict::Wait {
        reason: "one monitor alone reports the host, and Nova still hears it".into(),
        until: None,
    }
}
