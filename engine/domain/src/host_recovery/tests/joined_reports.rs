//! Reports that join an open recovery (R19).

use super::bed::{Harness, fault};
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{HoldKind, Stage};
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::Command;

fn external(reported: &str) -> Harness {
    Harness::with(reported, |policy| policy.fencing = FencingMode::External)
}

/// Covers R19, EW16.
#[test]
fn a_normal_report_applies_to_a_recovery_that_started_with_unknown() {
    let mut bed = external("UNKNOWN");
    bed.join_normal().claim();
    assert_eq!(bed.state.stage, Stage::Begin);
    assert_eq!(bed.status, NotificationStatus::Running);
    assert!(bed.wants(|command| *command == Command::ScanHosts));
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
    assert!(bed.record.steps.is_empty(), "applied once");
}

/// Covers R19.
#[test]
fn a_recovery_of_unknown_ends_without_normal_only_if_no_normal_has_joined() {
    let mut bed = external("UNKNOWN");
    bed.claim();
    assert_eq!(bed.status, NotificationStatus::Ignored);
    assert!(bed.record.unless_joined, "the journal refuses it if one has");
}

/// Covers R19.
#[test]
fn a_joined_report_retries_a_given_up_fence() {
    let mut bed = Harness::engine().begun();
    bed.heartbeat_age(20_000).service().power(Power::On);
    let refused = fault(Some(403), FaultClass::Permanent, false);
    bed.powered_off(Err(refused));
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    bed.join_normal().operator_state(true, false);
    assert!(bed.state.hold.is_none());
    assert!(bed.reads_power(), "{:?}", bed.commands);
}
