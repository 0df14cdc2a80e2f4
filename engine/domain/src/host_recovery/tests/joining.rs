//! Reports that join an open recovery (R19).

use super::bed::{Bed, fault};
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{HoldKind, Stage};
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::Command;

fn external(reported: &str) -> Bed {
    Bed::with(reported, |policy| policy.fencing = FencingMode::External)
}

#[test]
fn r19_ew16_a_report_that_says_normal_is_heard_by_a_recovery_that_began_with_unknown() {
    let mut bed = external("UNKNOWN");
    bed.join_normal().claim();
    assert_eq!(bed.state.stage, Stage::Begin);
    assert_eq!(bed.status, NotificationStatus::Running);
    assert!(bed.wants(|command| *command == Command::CountHosts));
    assert!(bed.record.head, "it must survive");
    assert!(
        bed.record
            .steps
            .iter()
            .any(|step| step.text.contains("joins this recovery"))
    );
    bed.storm(1, 10);
    assert_eq!(bed.state.stage, Stage::Fencing);
    let told = bed.state.clone();
    bed.claim();
    assert_eq!(bed.state.reported, told.reported);
    assert!(bed.record.steps.is_empty(), "heard once");
}

#[test]
fn r19_it_ends_for_want_of_that_word_only_if_none_has_joined() {
    let mut bed = external("UNKNOWN");
    bed.claim();
    assert_eq!(bed.status, NotificationStatus::Ignored);
    assert!(bed.record.unless_joined, "the journal refuses it if one has");
}

#[test]
fn r19_a_joined_report_tries_a_fence_again_that_was_given_up() {
    let mut bed = Bed::engine().begun();
    bed.heartbeat_age(20_000).service().power(Power::On);
    let refused = fault(Some(403), FaultClass::Permanent, false);
    bed.powered_off(Err(refused));
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    bed.join_normal().pulse(true, false);
    assert!(bed.state.hold.is_none());
    assert!(bed.reads_power(), "{:?}", bed.commands);
}
