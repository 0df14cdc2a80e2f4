//! The waits of a recovery and its moves.

use super::harness::*;
use crate::host_recovery::{End, HostRecovery, MoveStep};
use crate::nova::{Migration, MigrationType};
use crate::recovery::{Observation, OperatorCommand, ResolutionKind, ServerCall};
use crate::{Timestamp, WaitsFor};

/// Returns the recovery's wait and its subjects, which equal those in the state.
fn waits(harness: &Harness) -> (WaitsFor, Vec<String>) {
    let wait = harness.state.wait().expect("every decision notes it");
    (wait.what, wait.on.iter().cloned().collect())
}

fn bare(what: WaitsFor) -> (WaitsFor, Vec<String>) {
    (what, Vec::new())
}

fn of_move(harness: &Harness, number: u128) -> (WaitsFor, Vec<String>) {
    let wait = harness.one(number).wait.clone().expect("every decision notes it");
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
    let mut harness = Harness::engine();
    harness.claim().storm(5, 10);
    let (what, on) = waits(&harness);
    assert_eq!(what, WaitsFor::Approval);
    assert!(on.contains(&"segment".to_owned()), "{on:?}");
    let since = harness.state.wait().unwrap().since;
    harness.tick(5_000);
    assert_eq!(
        harness.state.wait().unwrap().since,
        since,
        "its start time does not change"
    );
    harness.command(OperatorCommand::Approve).tick(0);
    assert!(!waits(&harness).0.is_on_hold(), "{:?}", waits(&harness));
}

#[test]
fn a_block_by_settings_counts_as_held() {
    let mut harness = Harness::engine().begun();
    harness.see(Observation::FencingStopped(true));
    assert!(harness.state.hold.is_none());
    assert_eq!(waits(&harness), bare(WaitsFor::FencingStopped));
    harness.see(Observation::FencingStopped(false));
    assert!(!waits(&harness).0.is_on_hold(), "{:?}", waits(&harness));
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.operator_state(false, false).tick(1);
    assert_eq!(waits(&harness), bare(WaitsFor::SegmentDisabled));
    harness.operator_state(true, true).tick(1);
    assert_eq!(waits(&harness), bare(WaitsFor::Maintenance));
    harness.operator_state(true, false).tick(1);
    assert!(!waits(&harness).0.is_on_hold(), "{:?}", waits(&harness));
}

#[test]
fn each_stage_before_the_moves_has_its_wait() {
    let mut harness = Harness::engine().begun();
    assert_eq!(waits(&harness), bare(WaitsFor::Proof));
    let mut proven = Harness::engine().proven();
    assert_eq!(waits(&proven), bare(WaitsFor::ForcedDown));
    proven.forced_down();
    assert_eq!(waits(&proven), bare(WaitsFor::Nothing));
    harness.command(OperatorCommand::Reject);
    assert!(!waits(&harness).0.is_on_hold(), "no operator action is needed");
}

#[test]
fn a_held_move_is_held_and_its_recovery_with_it() {
    let mut harness = Harness::engine().planned_with(vec![server(1), server(2)], vec![unfinished("running")]);
    assert_eq!(of_move(&harness, 1), (WaitsFor::Record, vec!["b".to_owned()]));
    assert_eq!(of_move(&harness, 2), bare(WaitsFor::Nothing));
    assert_eq!(waits(&harness), bare(WaitsFor::Moves));
    harness.resolve(1, ResolutionKind::Failure, Some("b")).tick(1);
    for _ in 0..3 {
        harness.tick(10_000).lists(vec![server(1), server(2)], vec![]);
        harness.inventory(vec![server(1), server(2)], vec![unfinished("running")]);
    }
    assert_ne!(harness.step(1), &MoveStep::OnHold);
    assert_eq!(of_move(&harness, 1), bare(WaitsFor::Nothing));
    assert!(!waits(&harness).0.is_on_hold(), "{:?}", waits(&harness));
}

#[test]
fn an_evacuation_without_progress_waits_for_an_operator_after_a_takeover_too() {
    let mut harness = Harness::engine().requested();
    let records = || vec![evacuation(1, 1, "pre-migrating", Some("b"))];
    for _ in 0..200 {
        harness.tick(10_000).lists(vec![server(1)], records());
    }
    assert_eq!(of_move(&harness, 1), (WaitsFor::Progress, vec!["b".to_owned()]));
    assert_eq!(waits(&harness), bare(WaitsFor::Moves));
    let since = harness.one(1).wait.clone().unwrap().since;
    harness.take_over();
    assert_eq!(of_move(&harness, 1).0, WaitsFor::Progress, "no check yet");
    assert_eq!(harness.one(1).wait.clone().unwrap().since, since);
    harness.tick(10_000).lists(
        vec![server(1)],
        vec![evacuation(1, 1, "post-migrating", Some("b"))],
    );
    assert_eq!(of_move(&harness, 1).0, WaitsFor::Nothing, "it continues");
}

#[test]
fn unfinished_moves_of_an_abort_are_given_up() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![unfinished("running")]);
    harness.command(OperatorCommand::Reject);
    for _ in 0..5 {
        harness.tick(1_000);
    }
    // A held instance is locked, and unlocked when it ends.
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
    assert_eq!(of_move(&harness, 1).0, WaitsFor::GivenUp);
    assert_eq!(waits(&harness), bare(WaitsFor::GivenUp));
}

#[test]
fn a_state_without_a_wait_gets_one_with_the_first_decision() {
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![unfinished("running")]);
    let without = |text: String| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        value.as_object_mut().unwrap().remove("wait").unwrap();
        value.to_string()
    };
    let head = without(harness.state.head().unwrap());
    let instance = without(harness.one(1).to_json().unwrap());
    harness.state = HostRecovery::restore(&head, &[instance]).unwrap();
    assert_eq!(harness.state.wait(), None);
    harness.claim();
    assert_eq!(of_move(&harness, 1).0, WaitsFor::Record);
    assert_eq!(waits(&harness), bare(WaitsFor::Moves));
    assert_ne!(
        harness.state.wait().unwrap().since,
        Timestamp::from_micros(i64::MIN)
    );
}
