//! G1. An engine that is cut off sees failed hosts everywhere.

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

/// Checks whether the engine is cut off. The database has answered, or there would be no facts.
pub(super) fn check(facts: &GuardFacts, _: &Policy) -> GuardResult {
    let wait = |reason| GuardResult::Wait { reason, until: None };
    let nova = match &facts.nova {
        Ok(nova) => nova,
        Err(why) => return wait(format!("Nova does not show the state of its hosts: {why}")),
    };
    if facts.witnesses.is_empty() {
        // No witness is configured. Hosts with a heartbeat in Nova confirm that the network is there. Without any other host there
        // is nothing to compare with, and the power controller's answer is sufficient.
        return if nova.hosts_up > 0 || nova.services <= 1 {
            GuardResult::Pass
        } else {
            wait(
                "no other host is up in Nova, and [fencing] storm_witnesses lists no witness to check".into(),
            )
        };
    }
    if facts.witnesses.iter().any(|witness| witness.reached) {
        return GuardResult::Pass;
    }
    let names: Vec<&str> = facts
        .witnesses
        .iter()
        .map(|witness| witness.name.as_str())
        .collect();
    wait(format!(
        "this engine reaches none of its witnesses ({}): it may be cut off itself",
        names.join(", ")
    ))
}
