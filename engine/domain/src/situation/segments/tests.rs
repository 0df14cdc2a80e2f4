//! Segments and their reserved hosts.

use super::super::tests::{NOW, computes, fine};
use super::super::{Facts, FindingCode, assess};
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;

#[test]
fn a_segment_without_a_reserved_host_has_a_command_that_ends_that() {
    type Change = fn(&mut Facts);
    let cases: [(&str, Change, &str); 7] = [
        (
            "no host is empty",
            |_| {},
            "openstack segment update --recovery_method auto s1",
        ),
        (
            "a host is empty",
            |facts| {
                facts.instances.as_mut().unwrap().value.on.remove("b");
            },
            "openstack segment host update s1 b --reserved True",
        ),
        (
            "of two empty hosts one is disabled in Nova",
            |facts| {
                let on = &mut facts.instances.as_mut().unwrap().value.on;
                on.retain(|host, _| host == "a");
                computes(facts)[2].enabled = false;
            },
            "openstack segment host update s1 c --reserved True",
        ),
        (
            "the empty host is down",
            |facts| {
                facts.instances.as_mut().unwrap().value.on.remove("b");
                computes(facts)[1].up = false;
            },
            "openstack segment update --recovery_method auto s1",
        ),
        (
            "not all instances are listed",
            |facts| {
                let known = &mut facts.instances.as_mut().unwrap().value;
                known.on.remove("b");
                known.complete = false;
            },
            "openstack segment update --recovery_method auto s1",
        ),
        (
            "the reserved host is in maintenance",
            |facts| {
                facts.segments[0].hosts[2].reserved = true;
                facts.segments[0].hosts[2].maintenance = Some(MaintenanceReason::Operator);
            },
            "openstack segment host update --on_maintenance False s1 c",
        ),
        (
            "the reserved host was recovered",
            |facts| {
                facts.segments[0].hosts[2].reserved = true;
                facts.segments[0].hosts[2].maintenance = Some(MaintenanceReason::Recovery);
            },
            "tachi host return c",
        ),
    ];
    for method in [RecoveryMethod::ReservedHost, RecoveryMethod::RhPriority] {
        for (case, change, command) in cases {
            let mut facts = fine();
            facts.segments[0].method = method;
            change(&mut facts);
            let found = assess(&facts, NOW).findings;
            let lacks = found.iter().find(|one| one.code == FindingCode::NoReservedHost);
            let fix = lacks.and_then(|one| one.fix.as_deref());
            assert_eq!(fix, Some(command), "{case}, {method}");
        }
    }
    let mut facts = fine();
    facts.segments[0].method = RecoveryMethod::ReservedHost;
    facts.segments[0].hosts[1].reserved = true;
    let found = assess(&facts, NOW).findings;
    assert!(
        found.iter().all(|one| one.code != FindingCode::NoReservedHost),
        "{found:?}"
    );
}
