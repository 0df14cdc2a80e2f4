//! A host that has registered itself in Nova again, under another id.

use uuid::Uuid;

use super::harness::{HOST, Harness, evacuation, fault, server};
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{End, HoldKind, MoveStep, Stage};
use crate::id::ServiceId;
use crate::nova::{Migration, MigrationType, Server};
use crate::power::Power;
use crate::recovery::{Command, InCell, Inventory, Observation, OperatorCommand, ServerCall};

#[test]
fn a_missing_service_is_searched_again() {
    let mut harness = Harness::engine().proven();
    assert!(harness.updates().is_some());
    let gone = fault(Some(404), FaultClass::Permanent, false);
    harness.see(Observation::ServiceUpdated(Err(gone)));
    for _ in 0..31 {
        harness.tick(1_000).power(Power::Off);
        assert!(harness.updates().is_none(), "no request for a deleted record");
    }
    harness.service.id = ServiceId(Uuid::from_u128(6));
    harness.service();
    if harness.updates().is_none() {
        harness.power(Power::Off);
    }
    let updates_new_record = |command: &Command| matches!(command, Command::UpdateService { id, .. } if id.0 == Uuid::from_u128(6));
    assert!(
        harness.requests(updates_new_record),
        "at once: {:?}",
        harness.commands
    );
}

/// Answers a list without a service.
fn unlisted(harness: &mut Harness) {
    harness.see(Observation::Inventory(Ok(Inventory {
        evacuated: Vec::new(),
        migrations: vec![],
        servers: vec![],
        in_cell: InCell::NotQueried,
        service: None,
        written_off: [].into(),
        may_run: [].into(),
        local_disks: [].into(),
    })));
}

#[test]
fn a_recovery_ends_without_its_last_check_once_the_service_is_deleted() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.answer(1, ServerCall::Unlock, Ok(()));
    unlisted(&mut harness);
    assert_eq!(harness.state.stage, Stage::Moving);
    for _ in 0..4 {
        harness.tick(6_000).see(Observation::Service(Ok(None)));
        unlisted(&mut harness);
    }
    assert!(
        matches!(harness.state.stage, Stage::Returning | Stage::Done),
        "{:?}",
        harness.state.stage
    );
}

#[test]
fn a_host_whose_service_is_deleted_before_it_is_listed_waits_for_an_operator() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    for _ in 0..4 {
        harness.tick(6_000).see(Observation::Service(Ok(None)));
        unlisted(&mut harness);
    }
    assert_eq!(harness.state.stage, Stage::Listing);
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
    harness.command(OperatorCommand::Approve);
    assert_eq!(harness.state.stage, Stage::Fencing);
    assert!(
        !harness.state.is_proven_off(),
        "the host may have run since, and its devices are read from the first level again"
    );
}

/// Passes time without a service on the host until that counts.
fn deleted(harness: &mut Harness) {
    for _ in 0..4 {
        harness.tick(6_000).see(Observation::Service(Ok(None)));
        unlisted(harness);
    }
}

/// Covers R10.
#[test]
fn a_held_instance_that_has_left_is_over_once_the_service_is_deleted() {
    let moving = Migration {
        kind: MigrationType::LiveMigration,
        ..evacuation(7, 1, "running", Some("b"))
    };
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![moving]);
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    deleted(&mut harness);
    let reads = |command: &Command| matches!(command, Command::ReadServer(_));
    harness.tick(10_000).lists(vec![server(1)], vec![]);
    assert!(!harness.requests(reads));
    harness.tick(10_000).lists(vec![], vec![]);
    assert!(harness.requests(reads), "{:?}", harness.commands);
    let on_other_host = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.reads(1, Some(on_other_host));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
    assert_ne!(harness.state.stage, Stage::Moving);
}

#[test]
fn moves_that_cannot_be_requested_once_the_service_is_deleted_wait_for_an_operator() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![]);
    for _ in 0..4 {
        harness.tick(6_000);
        if harness.is_asked(1) {
            let refused = fault(Some(503), FaultClass::Transient, false);
            harness.answer(1, ServerCall::Evacuate, Err(refused));
        }
        harness.see(Observation::Service(Ok(None)));
        unlisted(&mut harness);
    }
    assert_eq!(harness.state.stage, Stage::Moving);
    assert!(
        matches!(harness.step(1), MoveStep::Waiting { .. }),
        "{:?}",
        harness.step(1)
    );
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence),
        "{:?}",
        harness.message
    );
    let message = harness.message.as_deref().unwrap();
    assert!(
        !message.contains("not confirmed off"),
        "its proof stays: {message}"
    );
    harness.command(OperatorCommand::Reject);
    deleted(&mut harness);
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(
        harness.status,
        NotificationStatus::Failed,
        "{:?}",
        harness.message
    );
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
}

/// Covers R17.
#[test]
fn nothing_is_requested_again_while_nova_shows_no_service() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![]);
    assert!(harness.is_asked(1));
    harness.tick(6_000).see(Observation::Service(Ok(None)));
    let refused = fault(Some(503), FaultClass::Transient, false);
    harness.answer(1, ServerCall::Evacuate, Err(refused));
    for _ in 0..2 {
        harness.tick(1_000);
        harness.lists(vec![server(1)], vec![]);
        assert!(
            matches!(harness.step(1), MoveStep::Waiting { .. }),
            "no heartbeat would show that the host is on: {:?}",
            harness.step(1)
        );
    }
    harness.service();
    assert!(harness.is_asked(1), "{:?}", harness.step(1));
}

/// Covers R28.
#[test]
fn arriving_instances_are_named_when_the_service_is_deleted() {
    let coming = Migration {
        kind: MigrationType::Resize,
        source: Some("b".into()),
        dest: Some(HOST.into()),
        ..evacuation(9, 2, "migrating", None)
    };
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![coming]);
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    deleted(&mut harness);
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(
        harness.status,
        NotificationStatus::Failed,
        "{:?}",
        harness.message
    );
    assert_eq!(harness.step(2), &MoveStep::Done(End::Person));
}
