//! The restoration of instances to their original state.

use super::harness::{Harness, evacuation, fault, id, server, timeout};
use crate::fault::FaultClass;
use crate::host_recovery::{End, MoveStep, Preparation};
use crate::nova::{PowerState, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, Observation, Restoration, ServerCall};

fn was(vm_state: VmState, power_state: PowerState) -> Server {
    Server {
        vm_state,
        power_state,
        ..server(1)
    }
}

/// Returns the instance after Nova has moved it.
fn moved(vm_state: VmState) -> Server {
    Server {
        host: Some("b".into()),
        vm_state,
        ..server(1)
    }
}

fn restores(harness: &Harness) -> Option<Restoration> {
    harness.commands.iter().find_map(|command| match command {
        Command::Restore { to, .. } => Some(to.clone()),
        _ => None,
    })
}

/// Returns a recovery that reads its moved instance.
fn at_the_destination(first: Server) -> Harness {
    let mut harness = Harness::engine().planned(vec![first]);
    if harness.requests(|command| matches!(command, Command::Prepare(_))) {
        harness.answer(1, ServerCall::Prepare, Ok(()));
    }
    assert!(harness.evacuates(1), "{:?}", harness.commands);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness.at += 1;
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness
}

/// Covers EW20.
#[test]
fn each_vm_state_comes_back_as_it_was() {
    use PowerState::{Other, Running, Shutdown};
    use Restoration::{MarkError, Pause, Stop, Suspend};
    use VmState::{Active, Error, Paused, Rescued, Resized, Shelved, Stopped, Suspended};
    type Row = (VmState, PowerState, bool, Vec<(VmState, Restoration)>, VmState);
    let cases: Vec<Row> = vec![
        // original state, its power, reset first?, (shown -> request) in turn, final state
        (Active, Running, false, vec![], Active),
        (Active, Shutdown, false, vec![], Active),
        (Stopped, Shutdown, false, vec![], Stopped),
        (Stopped, Shutdown, false, vec![(Active, Stop)], Stopped),
        (Error, Running, false, vec![(Active, MarkError)], Error),
        (
            Error,
            Shutdown,
            false,
            vec![(Active, Stop), (Stopped, MarkError)],
            Error,
        ),
        (Paused, Other, true, vec![(Active, Pause)], Paused),
        (Suspended, Other, true, vec![(Active, Suspend)], Suspended),
        (Rescued, Running, true, vec![(Active, Stop)], Stopped),
        (Shelved, Shutdown, true, vec![(Active, Stop)], Stopped),
        (Resized, Running, true, vec![], Active),
        (Resized, Shutdown, true, vec![(Active, Stop)], Stopped),
        (
            VmState::Other("strange".into()),
            Running,
            true,
            vec![(Active, Stop)],
            Stopped,
        ),
    ];
    for (state, power, reset, turns, end) in cases {
        let name = format!("{state:?} {power:?}");
        let prepared = Harness::engine().planned(vec![was(state.clone(), power)]);
        let resets = prepared.requests(|command| *command == Command::Prepare(id(1)));
        assert_eq!(resets, reset, "{name}");
        assert_eq!(prepared.evacuates(1), !reset, "in error first: {name}");
        let mut harness = at_the_destination(was(state, power));
        for (shown, expected) in turns {
            harness.reads(1, Some(moved(shown)));
            assert_eq!(restores(&harness), Some(expected), "{name}");
            assert!(harness.record.moves.contains(&id(1)), "journalled first: {name}");
            harness.answer(1, ServerCall::Restore, Ok(())).tick(500);
        }
        if matches!(harness.step(1), MoveStep::Restoring { .. }) {
            harness.reads(1, Some(moved(end)));
        }
        assert_eq!(restores(&harness), None, "{name}");
        harness.over(vec![]);
        assert_eq!(harness.step(1), &MoveStep::Done(End::Moved), "{name}");
    }
}

#[test]
fn an_incomplete_restoration_is_noted() {
    for (state, fragment) in [
        (VmState::Paused, "memory is lost"),
        (VmState::Suspended, "memory is lost"),
        (VmState::Rescued, "rescue"),
        (VmState::Shelved, "shelve"),
        (VmState::Resized, "resize"),
        (VmState::Other("odd".into()), "cannot be restored"),
    ] {
        let harness = Harness::engine().planned(vec![was(state.clone(), PowerState::Running)]);
        assert!(
            harness.one(1).note.as_deref().unwrap().contains(fragment),
            "{state}"
        );
    }
}

#[test]
fn no_request_is_made_while_nova_works_on_the_instance() {
    let mut harness = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    harness.reads(
        1,
        Some(Server {
            task_state: Some("powering-off".into()),
            ..moved(VmState::Active)
        }),
    );
    assert_eq!(restores(&harness), None);
    assert!(!harness.one(1).is_finished());
}

/// Covers R5.
#[test]
fn a_restoration_without_an_answer_is_looked_for_and_not_repeated() {
    let mut harness = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    harness.reads(1, Some(moved(VmState::Active)));
    assert_eq!(restores(&harness), Some(Restoration::Stop));
    harness.answer(1, ServerCall::Restore, Err(timeout()));
    for _ in 0..99 {
        harness.tick(1_000).reads(1, Some(moved(VmState::Active)));
        assert_eq!(restores(&harness), None, "at {}", harness.at);
    }
    harness.tick(2_000).reads(1, Some(moved(VmState::Active)));
    assert_eq!(restores(&harness), Some(Restoration::Stop));
}

#[test]
fn a_failed_restoration_ends_in_time_with_a_note() {
    let mut harness = at_the_destination(was(VmState::Paused, PowerState::Other));
    for _ in 0..400 {
        if harness.requests(|command| *command == Command::ReadServer(id(1))) {
            harness.reads(1, Some(moved(VmState::Active)));
        }
        if restores(&harness).is_some() {
            harness.answer(
                1,
                ServerCall::Restore,
                Err(fault(Some(409), FaultClass::Conflict, false)),
            );
        }
        harness.tick(500);
    }
    harness.over(vec![]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    let note = harness.one(1).note.clone().unwrap();
    assert!(
        note.contains("not brought back to paused") && note.contains("409"),
        "{note}"
    );
    assert!(note.len() < 400, "causes do not pile up: {note}");
    assert!(harness.writes[&id(1)] < 20, "{}", harness.writes[&id(1)]);
}

#[test]
fn a_moved_instance_in_an_unexpected_state_is_noted() {
    let mut harness = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    harness.reads(1, Some(moved(VmState::Error))).over(vec![]);
    assert!(
        harness
            .one(1)
            .note
            .as_deref()
            .unwrap()
            .contains("it is error and not stopped")
    );
}

#[test]
fn a_moved_instance_deleted_meanwhile_is_left() {
    let mut harness = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    harness.gone(1);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
}

/// Covers R5.
#[test]
fn a_reset_without_an_answer_is_looked_for_before_anything_else_is_asked() {
    let mut harness = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    assert!(harness.requests(|command| *command == Command::Prepare(id(1))));
    assert!(harness.record.moves.contains(&id(1)), "journalled first");
    harness.answer(1, ServerCall::Prepare, Err(timeout()));
    for _ in 0..90 {
        harness.tick(1_000).power(Power::Off);
        harness.lists(vec![was(VmState::Paused, PowerState::Other)], vec![]);
        harness.reads(1, Some(was(VmState::Paused, PowerState::Other)));
        assert!(!harness.requests(|command| matches!(command, Command::Prepare(_))));
        assert!(!harness.evacuates_any(), "a late reset would hit the rebuild");
    }
    harness.reads(1, Some(was(VmState::Error, PowerState::Other)));
    assert!(harness.evacuates(1), "it was done after all");
    assert_eq!(harness.one(1).preparation, Preparation::Done);
}

#[test]
fn a_reset_without_effect_is_repeated() {
    let mut harness = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    harness.answer(1, ServerCall::Prepare, Err(timeout()));
    harness.at += 101_000;
    harness
        .power(Power::Off)
        .lists(vec![was(VmState::Paused, PowerState::Other)], vec![]);
    harness.reads(1, Some(was(VmState::Paused, PowerState::Other)));
    assert!(harness.requests(|command| *command == Command::Prepare(id(1))));
}

#[test]
fn an_instance_deleted_before_it_could_be_prepared_is_left() {
    let mut harness = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    harness.answer(
        1,
        ServerCall::Prepare,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    harness.gone(1);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
    assert!(harness.one(1).note.as_deref().unwrap().contains("deleted"));
}

/// Seed 62637 of the simulation: another instance waited forever for the slot of a deleted one.
#[test]
fn an_instance_deleted_during_preparation_releases_its_slot() {
    let two = vec![
        was(VmState::Paused, PowerState::Other),
        Server {
            id: id(2),
            ..was(VmState::Paused, PowerState::Other)
        },
    ];
    let mut harness = Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(two.clone());
    assert!(harness.requests(|command| *command == Command::Prepare(id(1))));
    harness.answer(
        1,
        ServerCall::Prepare,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    harness.tick(1_000).power(Power::Off).lists(two, vec![]);
    harness.answer(2, ServerCall::Lock, Ok(())).tick(1_000);
    assert!(
        harness.one(2).preparation != Preparation::Wanted,
        "{:?}",
        harness.one(2)
    );
}

#[test]
fn an_instance_whose_state_has_changed_is_prepared_after_all() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(409), FaultClass::Conflict, false)),
    );
    harness.at += 2_000;
    harness
        .service()
        .reads(1, Some(was(VmState::Paused, PowerState::Other)));
    assert!(harness.requests(|command| *command == Command::Prepare(id(1))));
    harness.see(Observation::Tick);
    assert!(!harness.evacuates_any());
}
