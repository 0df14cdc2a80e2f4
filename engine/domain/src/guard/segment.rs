//! G4. Hosts of the segment that have failed or are on maintenance.

use super::{GuardFacts, NOT_THE_HOSTS, Verdict, is_over};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> Verdict {
    if !is_over(facts.segment, rules.segment_percent) {
        return Verdict::Pass;
    }
    Verdict::Hold {
        reason: format!(
            "{} of the segment's {} hosts are out at once, more than {} %: {NOT_THE_HOSTS}",
            facts.segment.out, facts.segment.hosts, rules.segment_percent
        ),
    }
}
