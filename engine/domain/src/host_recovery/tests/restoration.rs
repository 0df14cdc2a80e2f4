//! The restoration of instances to their original state.

use super::bed::{Harness, evacuation, fault, id, server, timeout};
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

fn restores(bed: &Harness) -> Option<Restoration> {
    bed.commands.iter().find_map(|command| match command {
        Command::Restore { to, .. } => Some(to.clone()),
        _ => None,
    })
}

/// Returns a recovery that reads its moved instance.
fn at_the_destination(first: Server) -> Harness {
    let mut bed = Harness::engine().planned(vec![first]);
    if bed.wants(|command| matches!(command, Command::Prepare(_))) {
        bed.answer(1, ServerCall::Prepare, Ok(()));
    }
    assert!(bed.evacuates(1), "{:?}", bed.commands);
    bed.answer(1, ServerCall::Evacuate, Ok(()));
    bed.at += 1;
    bed.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    bed
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
        let resets = prepared.wants(|command| *command == Command::Prepare(id(1)));
        assert_eq!(resets, reset, "{name}");
        assert_eq!(prepared.evacuates(1), !reset, "in error first: {name}");
        let mut bed = at_the_destination(was(state, power));
        for (seen, wanted) in turns {
            bed.reads(1, Some(moved(seen)));
            assert_eq!(restores(&bed), Some(wanted), "{name}");
            assert!(bed.record.moves.contains(&id(1)), "journalled first: {name}");
            bed.answer(1, ServerCall::Restore, Ok(())).tick(500);
        }
        if matches!(bed.step(1), MoveStep::Restoring { .. }) {
            bed.reads(1, Some(moved(end)));
        }
        assert_eq!(restores(&bed), None, "{name}");
        bed.over(vec![]);
        assert_eq!(bed.step(1), &MoveStep::Over(End::Moved), "{name}");
    }
}

#[test]
fn an_incomplete_restoration_is_noted() {
    for (state, word) in [
        (VmState::Paused, "memory is lost"),
        (VmState::Suspended, "memory is lost"),
        (VmState::Rescued, "rescue"),
        (VmState::Shelved, "shelve"),
        (VmState::Resized, "resize"),
        (VmState::Other("odd".into()), "cannot be restored"),
    ] {
        let bed = Harness::engine().planned(vec![was(state.clone(), PowerState::Running)]);
        assert!(bed.one(1).note.as_deref().unwrap().contains(word), "{state}");
    }
}

#[test]
fn no_request_is_made_while_nova_works_on_the_instance() {
    let mut bed = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    bed.reads(
        1,
        Some(Server {
            task_state: Some("powering-off".into()),
            ..moved(VmState::Active)
        }),
    );
    assert_eq!(restores(&bed), None);
    assert!(!bed.one(1).is_finished());
}

/// Covers R5.
#[test]
fn a_restoration_without_an_answer_is_looked_for_and_not_repeated() {
    let mut bed = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    bed.reads(1, Some(moved(VmState::Active)));
    assert_eq!(restores(&bed), Some(Restoration::Stop));
    bed.answer(1, ServerCall::Restore, Err(timeout()));
    for _ in 0..99 {
        bed.tick(1_000).reads(1, Some(moved(VmState::Active)));
        assert_eq!(restores(&bed), None, "at {}", bed.at);
    }
    bed.tick(2_000).reads(1, Some(moved(VmState::Active)));
    assert_eq!(restores(&bed), Some(Restoration::Stop));
}

#[test]
fn a_failed_restoration_ends_in_time_with_a_note() {
    let mut bed = at_the_destination(was(VmState::Paused, PowerState::Other));
    for _ in 0..400 {
        if bed.wants(|command| *command == Command::ReadServer(id(1))) {
            bed.reads(1, Some(moved(VmState::Active)));
        }
        if restores(&bed).is_some() {
            bed.answer(
                1,
                ServerCall::Restore,
                Err(fault(Some(409), FaultClass::Conflict, false)),
            );
        }
        bed.tick(500);
    }
    bed.over(vec![]);
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
    let note = bed.one(1).note.clone().unwrap();
    assert!(
        note.contains("not brought back to paused") && note.contains("409"),
        "{note}"
    );
    assert!(note.len() < 400, "causes do not pile up: {note}");
    assert!(bed.writes[&id(1)] < 20, "{}", bed.writes[&id(1)]);
}

#[test]
fn a_moved_instance_in_an_unexpected_state_is_noted() {
    let mut bed = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    bed.reads(1, Some(moved(VmState::Error))).over(vec![]);
    assert!(
        bed.one(1)
            .note
            .as_deref()
            .unwrap()
            .contains("it is error and not stopped")
    );
}

#[test]
fn a_moved_instance_deleted_meanwhile_is_left() {
    let mut bed = at_the_destination(was(VmState::Stopped, PowerState::Shutdown));
    bed.gone(1);
    assert_eq!(bed.step(1), &MoveStep::Over(End::Left));
}

/// Covers R5.
#[test]
fn a_reset_without_an_answer_is_looked_for_before_anything_else_is_asked() {
    let mut bed = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    assert!(bed.wants(|command| *command == Command::Prepare(id(1))));
    assert!(bed.record.moves.contains(&id(1)), "journalled first");
    bed.answer(1, ServerCall::Prepare, Err(timeout()));
    for _ in 0..90 {
        bed.tick(1_000).power(Power::Off);
        bed.lists(vec![was(VmState::Paused, PowerState::Other)], vec![]);
        bed.reads(1, Some(was(VmState::Paused, PowerState::Other)));
        assert!(!bed.wants(|command| matches!(command, Command::Prepare(_))));
        assert!(!bed.evacuates_any(), "a late reset would hit the rebuild");
    }
    bed.reads(1, Some(was(VmState::Error, PowerState::Other)));
    assert!(bed.evacuates(1), "it was done after all");
    assert_eq!(bed.one(1).preparation, Preparation::Done);
}

#[test]
fn a_reset_without_effect_is_repeated() {
    let mut bed = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    bed.answer(1, ServerCall::Prepare, Err(timeout()));
    bed.at += 101_000;
    bed.power(Power::Off)
        .lists(vec![was(VmState::Paused, PowerState::Other)], vec![]);
    bed.reads(1, Some(was(VmState::Paused, PowerState::Other)));
    assert!(bed.wants(|command| *command == Command::Prepare(id(1))));
}

#[test]
fn an_instance_deleted_before_it_could_be_prepared_is_left() {
    let mut bed = Harness::engine().planned(vec![was(VmState::Paused, PowerState::Other)]);
    bed.answer(
        1,
        ServerCall::Prepare,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    bed.gone(1);
    assert_eq!(bed.step(1), &MoveStep::Over(End::Left));
    assert!(bed.one(1).note.as_deref().unwrap().contains("deleted"));
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
    let mut bed = Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(two.clone());
    assert!(bed.wants(|command| *command == Command::Prepare(id(1))));
    bed.answer(
        1,
        ServerCall::Prepare,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    bed.tick(1_000).power(Power::Off).lists(two, vec![]);
    bed.answer(2, ServerCall::Lock, Ok(())).tick(1_000);
    assert!(bed.one(2).preparation != Preparation::Wanted, "{:?}", bed.one(2));
}

#[test]
fn an_instance_whose_state_has_changed_is_prepared_after_all() {
    let mut bed = Harness::engine().planned(vec![server(1)]);
    bed.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(409), FaultClass::Conflict, false)),
    );
    bed.at += 2_000;
    bed.service()
        .reads(1, Some(was(VmState::Paused, PowerState::Other)));
    assert!(bed.wants(|command| *command == Command::Prepare(id(1))));
    bed.see(Observation::Tick);
    assert!(!bed.evacuates_any());
}
