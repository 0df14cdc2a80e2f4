//! G2. If every compute service is stale, Nova or its message bus has failed, and not the hosts.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

/// Minimum number of services: fewer may fail at the same time.
const MIN_SERVICES: u64 = 3;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    let Ok(nova) = &facts.nova else {
        return GuardResult::Pass;
    };
    if nova.unforced < MIN_SERVICES || nova.stale < nova.unforced {
        return GuardResult::Pass;
    }
    GuardResult::Wait {
        reason: "no compute service has a current heartbeat in Nova: its message bus or Nova itself has failed, not the hosts"
            .into(),
        until: None,
    }
}
