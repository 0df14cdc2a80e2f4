//! G11. Hosts that run more than instances, such as a control plane or monitors of a storage cluster.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    match &facts.protected {
        None => GuardResult::Pass,
        Some(why) => GuardResult::Hold {
            reason: format!("the host is only fenced with an operator's approval: {why}"),
        },
    }
}
