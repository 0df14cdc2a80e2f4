//! G12. Hosts whose service is disabled because of a failed process. Only process recoveries check this guard: a reporter with false
//! reports of processes would take hosts out of use.

use std::collections::BTreeSet;

use super::facts::Count;
use super::region::Region;
use super::{GuardResult, is_finished};
use crate::count;
use crate::id::{HostId, RecoveryId};
use crate::policy::Policy;

/// The guard's number and name.
pub const NAME: &str = "G12 process";

/// The guard's short name, beside those of [`Guard`](super::Guard).
pub const GUARD: &str = "process";

/// Checks whether `recovery` may disable the service of `host`. Each of several concurrent recoveries counts those that were opened
/// before it, so that engines which check at the same moment agree on which one is too many.
pub fn check(region: &Region, host: HostId, recovery: RecoveryId, rules: &Policy) -> GuardResult {
    let before = region
        .processes
        .iter()
        .take_while(|disabling| disabling.recovery != recovery);
    let before = before.filter(|disabling| disabling.host != host);
    let lately: BTreeSet<HostId> = before
        .clone()
        .filter(|disabling| disabling.age < rules.guards.window)
        .map(|disabling| disabling.host)
        .collect();
    let mut disabled: BTreeSet<HostId> = before.map(|disabling| disabling.host).collect();
    disabled.extend(
        region
            .hosts
            .iter()
            .filter(|region_host| region_host.by_process)
            .map(|region_host| region_host.id),
    );
    disabled.insert(host);
    let segment = region
        .hosts
        .iter()
        .find(|region_host| region_host.id == host)
        .map(|region_host| region_host.segment);
    let (mut of_segment, mut of_all) = (Count::default(), Count::default());
    for region_host in &region.hosts {
        let out = u64::from(disabled.contains(&region_host.id));
        of_all.hosts += 1;
        of_all.out += out;
        if Some(region_host.segment) == segment {
            of_segment.hosts += 1;
            of_segment.out += out;
        }
    }
    let (of_a_segment, of_the_region) = (
        rules.guards.process_segment_percent,
        rules.guards.process_global_percent,
    );
    if is_finished(of_segment, of_a_segment) {
        return GuardResult::Hold {
            reason: format!(
                "the services of {} of the segment's {} hosts would be disabled because of processes, more than {of_a_segment} %",
                of_segment.out, of_segment.hosts
            ),
        };
    }
    if is_finished(of_all, of_the_region) {
        return GuardResult::Hold {
            reason: format!(
                "the services of {} of all {} hosts would be disabled because of processes, more than {of_the_region} %",
                of_all.out, of_all.hosts
            ),
        };
    }
    let (limit, window) = (rules.guards.process_disables, rules.guards.window);
    if limit > 0 && lately.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
        return GuardResult::Wait {
            reason: format!(
                "{} disabled because of processes within {} s: this one is deferred until {} older",
                count(limit, "service was", "services were"),
                window.as_secs(),
                if limit == 1 { "that is" } else { "one of them is" }
            ),
            until: None,
        };
    }
    GuardResult::Pass
}
