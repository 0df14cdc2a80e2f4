//! G4. Hosts of the segment that have failed. Hosts in maintenance and away for repair only reduce the capacity.

use super::{GuardFacts, GuardResult, MASS_FAILURE_HINT, is_finished};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    if !is_finished(facts.segment, rules.segment_percent) {
        return GuardResult::Pass;
    }
    GuardResult::Hold {
        reason: format!(
            "{} of the segment's {} hosts are out of service at once (limit {} %): {MASS_FAILURE_HINT}{}",
            facts.segment.out,
            facts.segment.hosts,
            rules.segment_percent,
            named(facts)
        ),
    }
}

/// Names the hosts that are out, as far as a sentence can name them.
fn named(facts: &GuardFacts) -> String {
    if facts.segment_out.is_empty() {
        return String::new();
    }
    let names = facts.segment_out.join(", ");
    let more = facts.segment.out.saturating_sub(facts.segment_out.len() as u64);
    match more {
        0 => format!(" (out of service: {names})"),
        more => format!(" (out of service: {names}, and {more} more)"),
    }
}
