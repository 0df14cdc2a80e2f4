//! The waits of a recovery and its moves.

use super::bed::*;
use crate::host_recovery::{End, HostRecovery, MoveStep};
use crate::nova::{Migration, MigrationType};
use crate::recovery::{Observation, OperatorCommand, ResolutionKind, ServerCall};
use crate::{Timestamp, WaitsFor};

/// Returns the recovery's wait and its subjects, which equal those in the state.
fn waits(bed: &Harness) -> (WaitsFor, Vec<String>) {
    let wait = bed.state.wait().expect("every decision notes it");
    (wait.what, wait.on.iter().cloned().collect())
}

fn bare(what: WaitsFor) -> (WaitsFor, Vec<String>) {
    (what, Vec::new())
}

fn of_move(bed: &Harness, number: u128) -> (WaitsFor, Vec<String>) {
    let wait = bed.one(number).wait.clone().expect("every decision notes it");
    (wait.what, wait.on.into_iter().collect())
}

fn unfinished(status: &str) -> Migration {
    Migration {
        kind: MigrationType::LiveMigration,
        source: Some(HOST.into()),
        ..evacuation(7, 1, status, Some("b"))
    }
}

#[test]
fn guards_of_a_hold_are_listed_until_an_operator_acts() {
    let mut bed = Harness::engine();
    bed.claim().storm(5, 10);
    let (what, on) = waits(&bed);
    assert_eq!(what, WaitsFor::Approval);
    assert!(on.contains(&"segment".to_owned()), "{on:?}");
    let since = bed.state.wait().unwrap().since;
    bed.tick(5_000);
    assert_eq!(
        bed.state.wait().unwrap().since,
        since,
        "its start time does not change"
    );
    bed.command(OperatorCommand::Approve).tick(0);
    assert!(!waits(&bed).0.is_held(), "{:?}", waits(&bed));
}

#[test]
fn a_block_by_settings_counts_as_held() {
    let mut bed = Harness::engine().begun();
    bed.see(Observation::FencingStopped(true));
    assert!(bed.state.hold.is_none());
    assert_eq!(waits(&bed), bare(WaitsFor::FencingStopped));
    bed.see(Observation::FencingStopped(false));
    assert!(!waits(&bed).0.is_held(), "{:?}", waits(&bed));
    let mut bed = Harness::engine().planned(vec![server(1)]);
    bed.operator_state(false, false).tick(1);
    assert_eq!(waits(&bed), bare(WaitsFor::SegmentDisabled));
    bed.operator_state(true, true).tick(1);
    assert_eq!(waits(&bed), bare(WaitsFor::Maintenance));
    bed.operator_state(true, false).tick(1);
    assert!(!waits(&bed).0.is_held(), "{:?}", waits(&bed));
}

#[test]
fn each_stage_before_the_moves_has_its_wait() {
    let mut bed = Harness::engine().begun();
    assert_eq!(waits(&bed), bare(WaitsFor::Proof));
    let mut proven = Harness::engine().proven();
    assert_eq!(waits(&proven), bare(WaitsFor::ForcedDown));
    proven.forced_down();
    assert_eq!(waits(&proven), bare(WaitsFor::Nothing));
    bed.command(OperatorCommand::Reject);
    assert!(!waits(&bed).0.is_held(), "no operator action is needed");
}

#[test]
fn a_held_move_is_held_and_its_recovery_with_it() {
    let mut bed = Harness::engine().planned_with(vec![server(1), server(2)], vec![unfinished("running")]);
    assert_eq!(of_move(&bed, 1), (WaitsFor::Record, vec!["b".to_owned()]));
    assert_eq!(of_move(&bed, 2), bare(WaitsFor::Nothing));
    assert_eq!(waits(&bed), bare(WaitsFor::Moves));
    bed.resolve(1, ResolutionKind::Failure, Some("b")).tick(1);
    for _ in 0..3 {
        bed.tick(10_000).lists(vec![server(1), server(2)], vec![]);
        bed.inventory(vec![server(1), server(2)], vec![unfinished("running")]);
    }
    assert_ne!(bed.step(1), &MoveStep::Held);
    assert_eq!(of_move(&bed, 1), bare(WaitsFor::Nothing));
    assert!(!waits(&bed).0.is_held(), "{:?}", waits(&bed));
}

#[test]
fn an_evacuation_without_progress_waits_for_an_operator_after_a_takeover_too() {
    let mut bed = Harness::engine().asked();
    let records = || vec![evacuation(1, 1, "pre-migrating", Some("b"))];
    for _ in 0..200 {
        bed.tick(10_000).lists(vec![server(1)], records());
    }
    assert_eq!(of_move(&bed, 1), (WaitsFor::Progress, vec!["b".to_owned()]));
    assert_eq!(waits(&bed), bare(WaitsFor::Moves));
    let since = bed.one(1).wait.clone().unwrap().since;
    bed.take_over();
    assert_eq!(of_move(&bed, 1).0, WaitsFor::Progress, "no check yet");
    assert_eq!(bed.one(1).wait.clone().unwrap().since, since);
    bed.tick(10_000).lists(
        vec![server(1)],
        vec![evacuation(1, 1, "post-migrating", Some("b"))],
    );
    assert_eq!(of_move(&bed, 1).0, WaitsFor::Nothing, "it continues");
}

#[test]
fn unfinished_moves_of_an_abort_are_given_up() {
    let mut bed = Harness::engine().planned_with(vec![server(1)], vec![unfinished("running")]);
    bed.command(OperatorCommand::Reject);
    for _ in 0..5 {
        bed.tick(1_000);
    }
    // A held instance is locked, and unlocked when it ends.
    bed.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Person));
    assert_eq!(of_move(&bed, 1).0, WaitsFor::GivenUp);
    assert_eq!(waits(&bed), bare(WaitsFor::GivenUp));
}

#[test]
fn a_state_without_a_wait_gets_one_with_the_first_decision() {
    let mut bed = Harness::engine().planned_with(vec![server(1)], vec![unfinished("running")]);
    let without = |text: String| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("wait").unwrap();
        value.to_string()
    };
    let head = without(bed.state.head().unwrap());
    let one = without(bed.one(1).to_json().unwrap());
    bed.state = HostRecovery::restore(&head, &[one]).unwrap();
    assert_eq!(bed.state.wait(), None);
    bed.claim();
    assert_eq!(of_move(&bed, 1).0, WaitsFor::Record);
    assert_eq!(waits(&bed), bare(WaitsFor::Moves));
    assert_ne!(bed.state.wait().unwrap().since, Timestamp::from_micros(i64::MIN));
}
