//! G11. Hosts that run more than instances, such as a control plane or monitors of a storage cluster.

use super::{GuardFacts, Verdict};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, _: &Policy) -> Verdict {
    match &facts.protected {
        None => Verdict::Pass,
        Some(why) => Verdict::Hold {
            reason: format!("the host is not to be fenced without a person's word: {why}"),
        },
    }
}
