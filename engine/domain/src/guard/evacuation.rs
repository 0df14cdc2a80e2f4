//! G9. Fencing a host whose instances cannot be evacuated only does harm.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    let Ok(nova) = &facts.nova else {
        return GuardResult::Pass;
    };
    let reason = if !nova.scheduler_up {
        "no nova-scheduler is up: nothing could be evacuated"
    } else if nova.targets == 0 {
        "no other host is enabled and up in Nova: no host can take the instances"
    } else {
        return GuardResult::Pass;
    };
    GuardResult::Wait {
        reason: reason.into(),
        until: None,
    }
}
