//! G6. Hosts that engines have ordered off recently. Hosts that were found off do not count as orders.
//!
//! The journal counts again in the transaction that writes the order, so that two engines cannot both give the last one.

use std::time::Duration;

use super::{GuardFacts, GuardResult};
use crate::policy::Policy;

pub(super) fn check(facts: &GuardFacts, rules: &Policy) -> GuardResult {
    let (limit, window) = (rules.guards.fences, rules.guards.window);
    let mut ages: Vec<Duration> = facts
        .ordered
        .iter()
        .copied()
        .filter(|age| *age < window)
        .collect();
    ages.sort_unstable();
    // The order that has to leave the window before another order is allowed.
    let limit_ix = usize::try_from(limit).unwrap_or(usize::MAX);
    let Some(last) = limit_ix.checked_sub(1).and_then(|ix| ages.get(ix)) else {
        return GuardResult::Pass;
    };
    GuardResult::Wait {
        reason: reason(limit, window),
        until: window.checked_sub(*last),
    }
}

/// Returns the reason, which is the same for every check of the limit.
pub(crate) fn reason(limit: u32, window: Duration) -> String {
    if limit == 1 {
        return format!(
            "1 host was ordered off within {} s: this one is deferred until that order is older",
            window.as_secs()
        );
    }
    format!(
        "{limit} hosts were ordered off within {} s: this one is deferred until one of the orders is older",
        window.as_secs()
    )
}
