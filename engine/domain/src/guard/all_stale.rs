//! G2. When every compute service is silent, the one that does not hear is Nova, or its message bus.

use super::{GuardFacts, Verdict};
use crate::policy::Policy;

/// Fewer services than this may all be silent by themselves.
const LEAST: u64 = 3;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> Verdict {
    let Ok(nova) = &facts.nova else {
        return Verdict::Pass;
    };
    if nova.unforced < LEAST || nova.stale < nova.unforced {
        return Verdict::Pass;
    }
    Verdict::Wait {
        reason: "Nova hears none of its compute services: its message bus or Nova itself has failed, not the hosts"
            .into(),
        until: None,
    }
}
