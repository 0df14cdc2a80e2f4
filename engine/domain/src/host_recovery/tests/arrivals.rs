//! Instances that Nova was moving to the host when it died (R28).

use super::harness::{HOST, Harness, evacuation, id, nova_time, server};
use crate::entity::notification::NotificationStatus;
use crate::host_recovery::{End, MoveStep, Stage};
use crate::id::MigrationId;
use crate::nova::{Migration, MigrationType, PowerState, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, InCell, Life, Observation, OperatorCommand, ServerCall};

/// Returns a migration record from "b" to the host.
fn inbound(kind: MigrationType, status: &str) -> Migration {
    Migration {
        id: MigrationId(9),
        kind,
        status: status.into(),
        source: Some("b".into()),
        dest: Some(HOST.into()),
        ..evacuation(9, 77, "running", None)
    }
}

/// Returns vm-77 as Nova shows it on "b".
fn at_b(task: Option<&str>, power_state: PowerState) -> Server {
    Server {
        host: Some("b".into()),
        task_state: task.map(Into::into),
        power_state,
        ..server(77)
    }
}

fn lists(harness: &Harness) -> bool {
    harness.requests(|command| matches!(command, Command::TakeInventory { .. }))
}

fn reads(harness: &Harness) -> bool {
    harness.requests(|command| *command == Command::ReadServer(id(77)))
}

/// Returns a recovery whose host was empty when it was listed, with these arriving instances.
fn empty_with(record: Migration) -> Harness {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![record]);
    harness
}

/// Answers the requests after `millis`.
fn round(harness: &mut Harness, millis: u64, servers: &[Server], record: &Migration, shown: &Server) {
    harness.service.nova_now = Some(nova_time(harness.at + millis + 100_000));
    harness.tick(millis);
    for _ in 0..4 {
        if lists(harness) {
            harness.inventory(servers.to_vec(), vec![record.clone()]);
        } else if reads(harness) {
            harness.reads(77, Some(shown.clone()));
        } else {
            harness.service();
        }
    }
}

/// Makes a number of rounds, ten seconds apart, with the same answers.
fn watch(harness: &mut Harness, rounds: u32, record: &Migration, shown: &Server) {
    for _ in 0..rounds {
        round(harness, 10_000, &[], record, shown);
    }
}

fn requests_its_evacuation(harness: &Harness) -> bool {
    harness.evacuates(77)
}

/// Covers R28.
#[test]
fn a_notification_ends_without_waiting_and_names_arriving_instances() {
    for kind in [
        MigrationType::LiveMigration,
        MigrationType::Resize,
        MigrationType::Migration,
    ] {
        let harness = empty_with(inbound(kind.clone(), "running"));
        assert_eq!(harness.status, NotificationStatus::Finished, "{kind:?}");
        assert_eq!(harness.record.life, Some(Life::Watching), "{kind:?}");
        let message = harness.message.clone().unwrap();
        for fragment in [id(77).to_string().as_str(), "migration 9", "from b"] {
            assert!(message.contains(fragment), "{kind:?}: {fragment}: {message}");
        }
    }
    let harness = empty_with(evacuation(9, 77, "done", Some("b")));
    assert_eq!(harness.message.as_deref(), Some("no instance had to move"));
}

/// Covers R28.
#[test]
fn a_late_arrival_is_moved_with_a_renewed_proof() {
    let sets_out = inbound(MigrationType::Resize, "migrating");
    let shown = at_b(Some("resize_migrating"), PowerState::Running);
    let mut harness = empty_with(sets_out.clone());
    watch(&mut harness, 6, &sets_out, &shown);
    let landed = inbound(MigrationType::Resize, "post-migrating");
    round(&mut harness, 10_000, &[server(77)], &landed, &shown);
    assert_eq!(harness.state.stage, Stage::Moving);
    harness.answer(77, ServerCall::Lock, Ok(()));
    assert!(!requests_its_evacuation(&harness), "the proof is one minute old");
    harness.power(Power::Off);
    assert!(requests_its_evacuation(&harness), "{:?}", harness.commands);
    assert_eq!(harness.record.life, None, "it blocks no other recovery");
    assert_eq!(
        harness.record.notification, None,
        "its result stays until they are done"
    );
    harness.answer(77, ServerCall::Evacuate, Ok(())).tick(1_000);
    harness.lists(vec![], vec![evacuation(12, 77, "done", Some("c"))]);
    harness.over(vec![]);
    assert_eq!(harness.state.stage, Stage::Returning, "{:?}", harness.step(77));
    assert_eq!(harness.status, NotificationStatus::Finished);
    assert_eq!(harness.message.as_deref(), Some("1 instance moved"));
}

/// The host returned during the recovery, took over another host's instances, and was powered off again as the
/// hold requires.
///
/// Covers R28.
#[test]
fn an_instance_that_another_recovery_has_brought_back_is_moved_again() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(77)], vec![]);
    harness.answer(77, ServerCall::Lock, Ok(()));
    harness.answer(77, ServerCall::Evacuate, Ok(())).tick(1_000);
    let ours = evacuation(9, 77, "done", Some("c"));
    harness.lists(vec![], vec![ours.clone()]);
    assert!(matches!(
        harness.step(77),
        MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } | MoveStep::Done(End::Moved)
    ));
    let back = Migration {
        source: Some("c".into()),
        ..evacuation(12, 77, "done", Some(HOST))
    };
    harness.over(vec![]);
    assert_eq!(harness.state.stage, Stage::Returning, "{:?}", harness.step(77));
    round(&mut harness, 60_000, &[server(77)], &back, &server(77));
    assert_eq!(harness.state.stage, Stage::Moving, "{:?}", harness.step(77));
    harness.answer(77, ServerCall::Lock, Ok(()));
    harness.power(Power::Off);
    assert!(requests_its_evacuation(&harness), "{:?}", harness.commands);
}

/// Covers R28.
#[test]
fn an_arrival_that_nova_gave_up_needs_an_operator() {
    // Nova keeps showing it at its source, with a task, after its call to the dead host has timed out.
    let record = Migration {
        updated_at: Some(nova_time(120_000)),
        ..inbound(MigrationType::LiveMigration, "completed")
    };
    let mut harness = empty_with(inbound(MigrationType::LiveMigration, "running"));
    watch(
        &mut harness,
        100,
        &record,
        &at_b(Some("migrating"), PowerState::Running),
    );
    assert_eq!(harness.status, NotificationStatus::Finished, "it may still land");
    watch(
        &mut harness,
        100,
        &record,
        &at_b(Some("migrating"), PowerState::Running),
    );
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    let note = harness.one(77).note.clone().unwrap();
    for fragment in ["from b", "may have run there", "virsh domstate"] {
        assert!(note.contains(fragment), "{fragment}: {note}");
    }
    // It arrives nevertheless.
    harness.tick(60_000);

    assert!(lists(&harness));
    harness.inventory(vec![server(77)], vec![record]);
    assert!(harness.is_waiting(77), "{:?}", harness.step(77));
}

/// Covers R28.
#[test]
fn an_instance_that_runs_at_its_source_is_left_alone() {
    let failed = inbound(MigrationType::LiveMigration, "error");
    let mut harness = empty_with(inbound(MigrationType::LiveMigration, "running"));
    watch(&mut harness, 2, &failed, &at_b(None, PowerState::Running));
    assert_eq!(harness.message.as_deref(), Some("no instance had to move"));
    assert!(harness.state.arrivals.expected.is_empty());
    // Shut down by Nova, which found no guest at its source.
    let mut harness = empty_with(inbound(MigrationType::LiveMigration, "running"));
    watch(&mut harness, 200, &failed, &at_b(None, PowerState::Shutdown));
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    // Another recovery moves it and reports it itself.
    let mut harness = empty_with(inbound(MigrationType::LiveMigration, "running"));
    watch(
        &mut harness,
        200,
        &failed,
        &at_b(Some("rebuilding"), PowerState::Running),
    );
    assert!(harness.state.moves.is_empty());
}

/// Covers R28.
#[test]
fn a_revert_comes_to_its_source_and_old_records_are_reported_only() {
    let reverting = Migration {
        source: Some(HOST.into()),
        dest: Some("b".into()),
        ..inbound(MigrationType::Resize, "reverting")
    };
    let mut harness = empty_with(reverting.clone());
    assert!(harness.message.clone().unwrap().contains("on the way to"));
    let failed = Migration {
        status: "error".into(),
        ..reverting
    };
    watch(
        &mut harness,
        200,
        &failed,
        &at_b(Some("resize_reverting"), PowerState::Running),
    );
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    let leaves = Migration {
        source: Some(HOST.into()),
        dest: Some("b".into()),
        ..inbound(MigrationType::Resize, "finished")
    };
    assert!(empty_with(leaves).state.arrivals.expected.is_empty());
    let old = |status: &str| Migration {
        created_at: Some(nova_time(0).minus_seconds(1_801)),
        ..inbound(MigrationType::Resize, status)
    };
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    harness.service.nova_now = Some(nova_time(0));
    harness.inventory(vec![], vec![old("migrating")]);
    assert!(harness.state.arrivals.expected.is_empty());
    let is_recorded = |harness: &Harness| {
        harness
            .record
            .steps
            .iter()
            .any(|step| step.text.contains("not waiting for it"))
    };
    assert!(is_recorded(&harness), "{:?}", harness.record.steps);
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    harness.service.nova_now = Some(nova_time(0));
    harness.inventory(vec![], vec![old("error")]);
    assert!(!is_recorded(&harness), "history");
}

/// Covers R28.
#[test]
fn an_instance_that_has_left_again_is_not_an_arrival() {
    let arrived = inbound(MigrationType::Resize, "confirmed");
    let gone = Migration {
        id: MigrationId(10),
        source: Some(HOST.into()),
        dest: Some("c".into()),
        ..inbound(MigrationType::LiveMigration, "completed")
    };
    let mut harness = Harness::engine().proven();
    harness
        .forced_down()
        .inventory(vec![], vec![arrived.clone(), gone]);
    assert!(harness.state.arrivals.expected.is_empty());
    let mut harness = Harness::engine().proven();
    harness
        .forced_down()
        .inventory(vec![], vec![arrived, evacuation(10, 77, "running", Some("c"))]);
    assert!(harness.state.arrivals.expected.is_empty());
}

/// Covers R28.
#[test]
fn the_host_is_listed_once_a_minute_while_its_return_is_waited_for() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    let mut requested = 0;
    for _ in 0..600 {
        harness.tick(1_000);
        if lists(&harness) {
            requested += 1;
            harness.inventory(vec![], vec![]);
        }
        harness.service();
    }
    assert!((9..=11).contains(&requested), "{requested} in ten minutes");
    // After the return, its instances are its own again.
    harness.beats();
    for _ in 0..120 {
        harness.tick(1_000);
        assert!(!lists(&harness));
    }
}

/// Covers R28.
#[test]
fn a_revert_that_begins_while_the_return_is_waited_for_is_named() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    let back = Migration {
        status: "reverting".into(),
        source: Some(HOST.into()),
        dest: Some("b".into()),
        ..inbound(MigrationType::Resize, "finished")
    };
    let shown = at_b(Some("resize_reverting"), PowerState::Shutdown);
    watch(&mut harness, 8, &back, &shown);
    assert!(
        harness.state.arrivals.expected.contains_key(&id(77)),
        "{:?}",
        harness.state.arrivals
    );
}

/// Covers R28.
#[test]
fn arriving_instances_are_named_when_the_host_returns() {
    let record = inbound(MigrationType::LiveMigration, "running");
    let mut harness = empty_with(record.clone());
    watch(
        &mut harness,
        3,
        &record,
        &at_b(Some("migrating"), PowerState::Running),
    );
    harness.beats();
    assert!(harness.clears());
    harness.service.forced_down = false;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    assert_eq!(harness.record.life, Some(Life::Closed));
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    assert_eq!(harness.status, NotificationStatus::Failed);
}

/// Covers R28.
#[test]
fn an_instance_shut_down_for_a_revert_is_named() {
    let reverting = Migration {
        source: Some(HOST.into()),
        dest: Some("b".into()),
        ..inbound(MigrationType::Resize, "reverting")
    };
    let shown = Server {
        vm_state: VmState::Resized,
        ..at_b(None, PowerState::Running)
    };
    let switched = Migration {
        source: Some("b".into()),
        dest: Some(HOST.into()),
        ..inbound(MigrationType::LiveMigration, "completed")
    };
    let mut harness = empty_with(switched.clone());
    watch(&mut harness, 200, &switched, &at_b(None, PowerState::Running));
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person), "it had switched");
    let mut harness = empty_with(reverting.clone());
    watch(&mut harness, 3, &reverting, &shown);
    harness.beats();
    harness.service.forced_down = false;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person), "the host is back");
    let mut harness = empty_with(reverting.clone());
    watch(&mut harness, 200, &reverting, &shown);
    assert_eq!(
        harness.step(77),
        &MoveStep::Done(End::Person),
        "its limit has passed"
    );
    let on_other_host = Server {
        host: Some("c".into()),
        ..shown
    };
    let mut harness = empty_with(reverting.clone());
    watch(&mut harness, 200, &reverting, &on_other_host);
    assert!(harness.state.moves.is_empty(), "another recovery has moved it");
}

/// Covers R28.
#[test]
fn no_late_arrival_is_moved_from_a_host_that_is_up_again() {
    let record = inbound(MigrationType::Resize, "post-migrating");
    let mut harness = empty_with(record.clone());
    round(&mut harness, 40_000, &[server(77)], &record, &server(77));
    assert_eq!(harness.state.stage, Stage::Moving);
    harness.answer(77, ServerCall::Lock, Ok(()));
    harness.beats();
    harness.power(Power::Off);
    assert!(!requests_its_evacuation(&harness));
    assert!(
        harness.state.hold.is_none(),
        "its notification has ended: no operator is needed"
    );
    harness.tick(1_000).over(vec![server(77)]);
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    assert_eq!(harness.state.stage, Stage::Returning);
}

/// Covers R28.
#[test]
fn a_takeover_continues_watching_and_a_rejection_ends_it() {
    let record = inbound(MigrationType::LiveMigration, "running");
    let mut harness = empty_with(record.clone());
    harness.take_over();
    assert!(lists(&harness), "{:?}", harness.commands);
    assert!(harness.state.arrivals.expected.contains_key(&id(77)));
    let mut harness = Harness::engine().proven();
    harness.forced_down().operator_state(false, false);
    harness
        .inventory(vec![server(1)], vec![record])
        .command(OperatorCommand::Reject);
    assert_eq!(harness.state.stage, Stage::Returning);
    assert_eq!(harness.step(77), &MoveStep::Done(End::Person));
    for _ in 0..100 {
        harness.tick(1_000);
        assert!(!lists(&harness));
    }
}

/// Covers R28.
#[test]
fn a_cell_that_is_down_hides_no_arrival() {
    let mut harness = empty_with(inbound(MigrationType::LiveMigration, "running"));
    while !lists(&harness) {
        harness.tick(1_000);
    }
    harness.empty(InCell::Has(1));
    assert!(harness.state.arrivals.expected.contains_key(&id(77)));
    harness.tick(2_000);
    assert!(lists(&harness));
}
