//! G3. One report alone fences nobody: evidence of a fence, a second reporter, or Nova's silence must stand beside it.

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
