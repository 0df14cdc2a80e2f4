//! G2. If every compute service is stale, Nova or its message bus has failed, not the hosts.

use super::{GuardFacts, Verdict};
use crate::policy::Policy;

/// Minimum number of services: fewer may all be stale by themselves.
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
