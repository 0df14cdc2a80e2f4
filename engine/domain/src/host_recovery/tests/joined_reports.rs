//! Reports that join an open recovery (R19).

use std::time::Duration;

use super::harness::{Harness, fault, nova_time, server};
use super::off_claims::fenced;
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{HoldKind, Stage};
use crate::nova::Server;
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand};

fn external(reported: &str) -> Harness {
    Harness::with(reported, |policy| policy.fencing = FencingMode::External)
}

/// Covers R19, EW16.
#[test]
fn a_normal_report_applies_to_a_recovery_that_started_with_unknown() {
    let mut harness = external("UNKNOWN");
    harness.join_normal().claim();
    assert_eq!(harness.state.stage, Stage::Begin);
    assert_eq!(harness.status, NotificationStatus::Running);
    assert!(harness.requests(|command| *command == Command::ScanHosts));
    assert!(harness.record.head, "it must survive");
    assert!(
        harness
            .record
            .steps
            .iter()
            .any(|step| step.text.contains("joins this recovery"))
    );
    harness.storm(1, 10);
    assert_eq!(harness.state.stage, Stage::Fencing);
    let before = harness.state.clone();
    harness.claim();
    assert_eq!(harness.state.reported, before.reported);
    assert!(harness.record.steps.is_empty(), "applied once");
}

/// Covers R19.
#[test]
fn a_recovery_of_unknown_ends_without_normal_only_if_no_normal_has_joined() {
    let mut harness = external("UNKNOWN");
    harness.claim();
    assert_eq!(harness.status, NotificationStatus::Ignored);
    assert!(harness.record.unless_joined, "the journal refuses it if one has");
}

/// Covers R19.
#[test]
fn a_joined_report_retries_a_given_up_fence() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    let refused = fault(Some(403), FaultClass::Permanent, false);
    harness.powered_off(Err(refused));
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    harness.join_normal().operator_state(true, false);
    assert!(harness.state.hold.is_none());
    assert!(harness.reads_power(), "{:?}", harness.commands);
}

/// Seed 975145412: a report that claimed the host off was lost with the database, and an approval then evacuated on UNKNOWN.
/// Covers R15, R33.
#[test]
fn a_recovery_whose_claim_the_database_has_lost_evacuates_nothing_before_another_claim() {
    let cases = [
        ("UNKNOWN", BareNormal::Wait(Duration::ZERO), "no report claims"),
        ("UNKNOWN", BareNormal::Refuse, "one with evidence ends this"),
        ("NORMAL", BareNormal::Refuse, "normal_without_evidence is refuse"),
    ];
    for (reported, bare_normal, reason) in cases {
        let mut harness = Harness::with(reported, |policy| {
            policy.fencing = FencingMode::External;
            policy.bare_normal = bare_normal;
        });
        harness.see(Observation::Rewound).claim();
        let locked = Server {
            locked: true,
            locked_reason: Some(harness.mark()),
            ..server(1)
        };
        harness.service().tick(61_000);
        harness.service().inventory(vec![locked], vec![]).storm(1, 10);
        for _ in 0..2 {
            for _ in 0..300 {
                harness.tick(1_000).service();
                assert!(
                    harness.record.proofs.is_empty(),
                    "{reported}: {:?}",
                    harness.message
                );
            }
            let hold = harness.state.hold.clone().unwrap();
            assert_eq!(hold.kind, HoldKind::Fence);
            assert!(hold.reason.contains(reason), "{}", hold.reason);
            harness.command(OperatorCommand::Approve);
        }
        if bare_normal == BareNormal::Refuse {
            harness.join_claim(fenced(nova_time(harness.at + 100_000)));
        } else {
            harness.join_normal().operator_state(true, false);
        }
        for _ in 0..100 {
            harness.tick(1_000).service();
        }
        assert_eq!(harness.state.stage, Stage::Disabling, "{:?}", harness.state.hold);
    }
}
