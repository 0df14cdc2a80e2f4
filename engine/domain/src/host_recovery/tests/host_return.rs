//! The wait for the host's return.

use std::time::Duration;

use super::harness::{Harness, evacuation, fault, timeout};
use crate::Timestamp;
use crate::fault::FaultClass;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::host_recovery::Stage;
use crate::power::Power;
use crate::recovery::{Command, Life, Observation, ServiceUpdate};

/// Returns a recovery whose moves are done and whose host is off.
fn returning() -> Harness {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    harness.at += 30_000;
    harness.service();
    harness
}

/// Several owners each set `forced_down`, because the commits of the earlier ones were lost.
///
/// Covers R22 and R26.
#[test]
fn a_copy_that_shows_our_own_changes_one_by_one_shows_no_return() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    let last = harness.service.last_heartbeat.unwrap();
    for before in [3, 2, 1, 0, 0] {
        harness.service.last_heartbeat = Some(last.minus_seconds(before));
        harness.tick(5_000).service();
        assert!(!harness.clears(), "{before} s before the last one");
    }
    for _ in 0..30 {
        harness.tick(5_000).service();
        assert!(!harness.clears(), "it does not change");
    }
    harness.tick(5_000).heartbeat_age(0).service();
    harness.tick(5_000).heartbeat_age(0).service();
    assert!(harness.clears(), "it is back");
}

/// Covers R22.
#[test]
fn forced_down_is_cleared_once_its_nova_compute_is_back_and_not_before() {
    let mut harness = returning();
    assert!(!harness.clears(), "its heartbeat does not change");
    harness.tick(5_000).heartbeat_age(0).service();
    assert!(
        !harness.clears(),
        "an operator's change of the record moves the same stamp, once"
    );
    harness.tick(5_000).service();
    assert!(!harness.clears(), "then it stops changing again");
    harness.tick(5_000).heartbeat_age(0).service();
    assert!(harness.clears());
    assert!(!harness.record.is_empty(), "journalled first");
    harness.service.forced_down = false;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    assert_eq!(harness.record.life, Some(Life::Closed));
    assert_eq!(harness.state.stage, Stage::Done);
}

/// Covers R22.
#[test]
fn a_host_with_rare_heartbeats_returns_too() {
    let mut harness = returning();
    harness.state.policy.heartbeat_age = Duration::from_secs(58);
    harness.tick(90_000).heartbeat_age(0).service();
    assert!(
        !harness.clears(),
        "one change may be another client's update of the record"
    );
    harness.tick(65_000).heartbeat_age(0).service();
    assert!(harness.clears());
}

/// Covers R22.
#[test]
fn clearing_forced_down_is_repeated_with_pauses_while_records_are_open() {
    let mut harness = returning();
    harness.beats();
    let mut requested = 0;
    let mut steps = 0;
    for _ in 0..3_600 {
        if harness.clears() {
            requested += 1;
            steps += harness.record.steps.len();
            harness.see(Observation::ServiceUpdated(Err(fault(
                Some(400),
                FaultClass::Permanent,
                false,
            ))));
            steps += harness.record.steps.len();
        }
        harness.tick(1_000);
        if !harness.clears() {
            harness.service();
        }
    }
    assert!((5..40).contains(&requested), "{requested} in an hour");
    assert!(steps <= 3, "and the story is not filled with it: {steps}");
}

/// Covers R5.
#[test]
fn forced_down_is_not_cleared_while_an_order_may_still_take_effect() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Err(timeout()));
    let ordered = harness.at;
    harness
        .tick(5_000)
        .power(Power::Off)
        .tick(3_000)
        .power(Power::Off);
    harness.forced_down().inventory(vec![], vec![]);
    harness.at += 1_000;
    harness.service();
    while harness.at < ordered + 79_000 {
        harness.at += 1_000;
        harness.heartbeat_age(0).service();
        assert!(!harness.clears(), "at {}", harness.at);
    }
    harness.at = ordered + 80_001;
    harness.heartbeat_age(0).service();
    assert!(harness.clears());
}

/// Covers R5.
#[test]
fn a_late_forced_down_is_waited_for_after_a_rejection() {
    let mut harness = Harness::engine().proven();
    assert!(matches!(
        harness.updates(),
        Some(ServiceUpdate::DisableAndForceDown { .. })
    ));
    harness.see(Observation::ServiceUpdated(Err(timeout())));
    harness.command(crate::recovery::OperatorCommand::Reject);
    harness.service().inventory(vec![], vec![]);
    assert_eq!(
        harness.record.life,
        Some(Life::Watching),
        "it may still be set, and must then be cleared"
    );
    harness.at += 70_000;
    harness.service();
    assert_ne!(harness.state.stage, Stage::Done);
    harness.at += 11_000;
    harness.service();
    // This answer belongs to an earlier query; the next one counts.
    harness.tick(5_000).service();
    assert_eq!(harness.state.stage, Stage::Done);
}

/// Returns a recovery whose host is back and reported again at the moment of its release.
fn reported_again() -> Harness {
    let mut harness = returning();
    harness.beats();
    assert!(harness.clears());
    assert!(harness.record.unless_host_recovery.is_some());
    let command = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    harness.see_all(vec![
        Observation::NotSent(command),
        Observation::HostUnderRecovery,
    ]);
    assert_eq!(harness.state.stage, Stage::Returning);
    assert!(!harness.clears());
    harness
}

/// Seed 500722: while a younger recovery was open, the older one wrote, was refused and queried Nova a dozen
/// times a second.
/// Covers R22.
#[test]
fn an_older_recovery_waits_for_the_next_heartbeat_after_a_refusal() {
    let mut harness = reported_again();
    let reads_service = |harness: &Harness| harness.commands.contains(&Command::ReadService);
    assert!(!reads_service(&harness));
    harness.tick(100);
    assert!(!reads_service(&harness));
    harness.tick(5_000);
    assert!(reads_service(&harness));
}

/// Covers R22.
#[test]
fn a_host_reported_again_is_returned_if_its_new_recovery_does_nothing() {
    let mut harness = reported_again();
    harness.tick(120_000).heartbeat_age(0).service();
    assert!(!harness.clears(), "recorded again");
    harness.at += 5_000;
    harness.beats();
    assert!(
        harness.clears(),
        "no other client forced it down, and none will clear it"
    );
}

/// Covers R22.
#[test]
fn heartbeats_before_the_new_failure_do_not_count_as_a_return() {
    let mut harness = reported_again();
    harness
        .tick(5_000)
        .service()
        .tick(5_000)
        .heartbeat_age(0)
        .service();
    assert!(
        !harness.clears(),
        "one change of the record, as the new recovery's own"
    );
}

#[test]
fn a_host_that_fails_again_is_left_to_its_new_recovery_once_that_has_put_its_mark() {
    let mut harness = reported_again();
    harness.state.service.marked = true;
    harness.service.disabled_reason = Some("Masakari detected host failed. [tachi another]".into());
    harness.tick(5_000).service();
    assert_eq!(harness.record.life, Some(Life::Closed));
    assert_eq!(harness.state.stage, Stage::Done);
}

/// Covers R22.
#[test]
fn the_mark_of_a_process_recovery_is_no_new_host_recovery() {
    let mut harness = returning();
    harness.state.service.marked = true;
    // Its call was late by 30 s.
    harness.service.disabled_reason = Some("Masakari detected process failed. [tachi another]".into());
    harness.tick(5_000).service();
    assert_eq!(
        (harness.record.life, harness.state.stage),
        (None, Stage::Returning)
    );
    harness.at += 10_000;
    harness.beats();
    assert!(harness.clears(), "{:?}", harness.commands);
}

/// An operator drained the host when it died, and Nova executed that call after ours.
/// Covers R22.
#[test]
fn a_drains_mark_is_no_new_host_recovery() {
    let mut harness = returning();
    harness.state.service.marked = true;
    harness.service.disabled_reason = Some("firmware (drained by alice) [tachi drain another]".into());
    harness.tick(5_000).service();
    assert_eq!(
        (harness.record.life, harness.state.stage),
        (None, Stage::Returning)
    );
    harness.at += 10_000;
    harness.beats();
    assert!(harness.clears(), "{:?}", harness.commands);
}

#[test]
fn the_end_of_the_moves_and_the_return_are_separate_writes() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    harness.at += 30_000;
    harness.beats();
    harness.command(crate::recovery::OperatorCommand::Reject);
    harness.inventory(vec![], vec![]);
    assert_eq!(harness.record.life, Some(Life::Watching));
    assert!(!harness.clears(), "the journal still counts it as open");
    harness.tick(100);
    assert!(harness.clears());
}

#[test]
fn a_returned_host_is_not_proven_off_any_more() {
    let mut harness = returning();
    assert!(harness.state.is_proven_off());
    harness.heartbeat_age(0).service();
    assert!(!harness.state.is_proven_off());
    assert!(harness.record.head, "written at once, for others read it");
}

/// Covers R26.
#[test]
fn a_copy_that_does_not_show_forced_down_yet_shows_no_return() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    for (forced_down, enabled) in [(false, true), (true, false)] {
        harness.service.forced_down = forced_down;
        harness.service.enabled = enabled;
        harness.tick(5_000).service();
        assert_eq!(harness.state.stage, Stage::Returning, "{forced_down}");
    }
    // Long after its change it does.
    harness.service.forced_down = false;
    harness.tick(30_000).service();
    assert_eq!(harness.state.stage, Stage::Done);
}

#[test]
fn another_client_may_return_the_host_or_delete_its_service() {
    let mut harness = returning();
    harness.service.forced_down = false;
    harness.tick(5_000).service();
    assert_eq!(harness.state.stage, Stage::Done);
    let mut harness = returning();
    for _ in 0..3 {
        assert_eq!(
            harness.state.stage,
            Stage::Returning,
            "one missing answer is not believed"
        );
        harness.tick(5_000).see(Observation::Service(Ok(None)));
    }
    assert_eq!(harness.state.stage, Stage::Done);
}

#[test]
fn a_stale_read_does_not_show_forced_down_as_cleared() {
    let mut harness = Harness::engine().proven();
    assert!(harness.updates().is_some());
    // The engine was stopped for two minutes; the change took effect without an answer.
    harness.at += 120_000;
    harness.see(Observation::ServiceUpdated(Err(timeout())));
    harness.command(crate::recovery::OperatorCommand::Reject);
    harness.service.forced_down = true;
    harness.service().inventory(vec![], vec![]).tick(500);
    assert_eq!(
        harness.state.stage,
        Stage::Returning,
        "what was seen last was seen before the change"
    );
    harness.service.forced_down = true;
    for _ in 0..3 {
        harness.tick(5_000).service();
        assert_eq!(harness.state.stage, Stage::Returning);
    }
    let cleared = (0..5).any(|_| harness.tick(10_000).heartbeat_age(0).service().clears());
    assert!(cleared, "it is watched until its nova-compute is back");
}

/// Covers R22.
#[test]
fn changes_of_the_record_far_apart_are_not_heartbeats() {
    let mut harness = returning();
    for _ in 0..5 {
        harness.tick(120_000).heartbeat_age(0).service();
        harness.tick(5_000).service();
        assert!(!harness.clears(), "as other recoveries of a dead host make them");
    }
    harness.tick(10_000).heartbeat_age(0).service();
    assert!(harness.clears());
}

/// Covers R22.
#[test]
fn our_own_late_changes_are_not_heartbeats() {
    let mut harness = returning();
    let lost = harness.at;
    harness.state.service.unanswered_since = Some(crate::Elapsed::from_millis(lost));
    // An unanswered change takes effect at last, and so does another that was lost before it.
    harness.tick(10_000).heartbeat_age(0).service();
    harness.tick(10_000).heartbeat_age(0).service();
    harness.at = lost + 80_100;
    harness.service();
    assert!(!harness.clears(), "neither was the host's");
    harness.at += 5_000;
    harness.heartbeat_age(0).service();
    assert!(harness.clears(), "the first heartbeat after one that counts");
}

/// Seed 38743 of the simulation: two unanswered changes took effect during the moves.
/// Covers R22.
#[test]
fn our_own_late_changes_during_the_moves_are_not_heartbeats() {
    let mut harness = Harness::engine().requested();
    let lost = harness.at;
    harness.state.service.unanswered_since = Some(crate::Elapsed::from_millis(lost));
    harness.tick(10_000).heartbeat_age(0).service();
    harness.tick(40_000).heartbeat_age(0).service();
    harness.at = lost + 90_000;
    harness
        .service()
        .command(crate::recovery::OperatorCommand::Reject);
    harness
        .tick(2_000)
        .lists(vec![], vec![evacuation(9, 1, "done", Some("c2"))]);
    harness.over(vec![]);
    assert_eq!(harness.state.stage, Stage::Returning, "{:?}", harness.state.moves);
    for _ in 0..5 {
        assert!(!harness.clears(), "its heartbeat has stood still ever since");
        harness.tick(5_000);
        assert!(!harness.clears(), "its heartbeat has stood still ever since");
        harness.service();
    }
    harness.tick(5_000).heartbeat_age(0).service();
    assert!(harness.clears(), "the first heartbeat that is not ours");
}

/// Returns a recovery with its host back, `forced_down` cleared, and the option on.
fn back_home(reason: Option<&str>) -> Harness {
    back_home_with(reason, Duration::from_secs(20))
}

fn back_home_with(reason: Option<&str>, call_deadline: Duration) -> Harness {
    let mut harness = Harness::with("UNKNOWN", |policy| {
        policy.enable_after_return = Some(Duration::from_mins(1));
        policy.call_deadline = call_deadline;
    })
    .proven();
    harness.service.enabled = false;
    harness.forced_down().inventory(vec![], vec![]);
    harness.at += 30_000;
    harness.service();
    harness.service.disabled_reason = Some(reason.map_or_else(
        || format!("Masakari detected host failed. [tachi {}]", harness.state.id),
        ToOwned::to_owned,
    ));
    harness.beats();
    assert!(harness.clears());
    harness.service.forced_down = false;
    harness.service.up = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    harness
}

fn enables(harness: &Harness) -> bool {
    harness.updates() == Some(ServiceUpdate::Enable)
}

/// Returns true if the host is enabled within 5 s and one heartbeat.
fn enables_within_a_heartbeat(harness: &mut Harness) -> bool {
    harness.tick(5_000);
    enables(harness) || {
        harness.heartbeat_age(0).service();
        enables(harness)
    }
}

fn enables_after_an_answer(harness: &mut Harness) -> bool {
    harness.at += 500;
    harness.heartbeat_age(0).service();
    enables(harness)
}

/// Nova is read every 5 s. A shorter call timeout must not make a read of 3 s ago stale, or show a running host
/// as down.
/// Covers R22.
#[test]
fn a_host_is_enabled_even_if_the_call_timeout_is_shorter_than_the_poll_interval() {
    let mut harness = back_home_with(None, Duration::from_secs(1));
    let began = harness.at;
    // 500 ms for the answer, and no new heartbeat for the rest of the 5 s.
    while !enables_after_an_answer(&mut harness) && !enables(harness.tick(4_500)) {
        assert!(harness.at < began + 100_000, "never");
    }
    assert!(harness.at >= began + 60_000, "after {}", harness.at - began);
}

/// Covers R22.
#[test]
fn a_host_up_long_enough_is_enabled_and_leaves_maintenance_if_configured() {
    let mut harness = back_home(None);
    assert_eq!(harness.state.stage, Stage::Returning);
    let began = harness.at;
    while !enables_within_a_heartbeat(&mut harness) {
        assert!(harness.at < began + 100_000, "never");
    }
    assert!(harness.at >= began + 60_000, "after {}", harness.at - began);
    assert!(harness.record.head, "journalled first");
    assert!(
        harness.record.unless_host_recovery.is_some(),
        "unless it has failed again"
    );
    harness.service.enabled = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    assert!(harness.record.host_back);
    assert_eq!(harness.record.life, Some(Life::Closed));
}

/// Covers R22.
#[test]
fn a_host_that_flaps_is_not_enabled() {
    let mut harness = back_home(None);
    for _ in 0..20 {
        harness.service.up = true;
        for _ in 0..8 {
            assert!(!enables_within_a_heartbeat(&mut harness));
        }
        harness.service.up = false;
        harness.tick(5_000).heartbeat_age(70_000).service();
        assert!(!enables(&harness));
    }
    assert_eq!(harness.state.stage, Stage::Returning);
}

/// An operator who works on a returned host needs it without new instances.
/// Covers R22.
#[test]
fn a_frozen_host_is_enabled_after_the_freeze() {
    let mut harness = back_home(None);
    harness.operator_state.frozen.over = vec![Freeze {
        number: 1,
        scope: FreezeScope::Host,
        name: harness.state.host.clone(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    }];
    let operator_state = harness.operator_state.clone();
    harness.see(Observation::OperatorState(operator_state));
    for _ in 0..40 {
        assert!(!enables_within_a_heartbeat(&mut harness));
    }
    assert_eq!(harness.state.stage, Stage::Returning);
    harness.operator_state.frozen = FreezeStatus {
        thawed: 1,
        ..FreezeStatus::NONE
    };
    let operator_state = harness.operator_state.clone();
    harness.see(Observation::OperatorState(operator_state));
    assert!(enables(&harness) || (0..20).any(|_| enables_within_a_heartbeat(&mut harness)));
    assert!(
        harness.record.unless_frozen.own,
        "unless it is frozen again just now"
    );
}

/// Covers R23.
#[test]
fn a_host_with_a_foreign_reason_is_never_enabled() {
    let mut harness = back_home(Some("disk is being replaced"));
    for _ in 0..30 {
        assert!(!enables_within_a_heartbeat(&mut harness));
    }
    assert_eq!(
        harness.state.stage,
        Stage::Done,
        "there is nothing left to do for it"
    );
    assert!(!harness.record.host_back);
}

/// Covers R22.
#[test]
fn an_enabling_without_an_answer_is_looked_for() {
    let mut harness = back_home(None);
    assert!((0..20).any(|_| enables_within_a_heartbeat(&mut harness)));
    harness.see(Observation::ServiceUpdated(Err(timeout())));
    harness.take_over();
    harness.service.enabled = true;
    harness.tick(5_000);
    harness.heartbeat_age(0).service();
    assert!(harness.record.host_back, "what goes with it is done, too");
    assert!(
        harness.record.running_again,
        "what is reported of it from now on is another failure (R19)"
    );
    assert_eq!(harness.state.stage, Stage::Done);
}

/// Covers R22.
#[test]
fn a_service_enabled_first_by_another_client_is_left_alone() {
    let mut harness = back_home(None);
    harness.service.enabled = true;
    harness.tick(5_000);
    harness.heartbeat_age(0).service();
    assert_eq!(harness.state.stage, Stage::Done);
    assert!(
        !harness.record.host_back,
        "who enables it clears its maintenance, too"
    );
}

/// Covers C6.
#[test]
fn a_copy_that_shows_the_mark_from_before_our_change_shows_no_younger_recovery() {
    let earlier = "down [tachi 00000000-0000-0000-0000-0000000000ff]";
    let mut harness = Harness::engine().begun();
    harness.service.disabled_reason = Some(earlier.into());
    harness.service.enabled = false;
    harness.service.forced_down = true;
    harness.heartbeat_age(20_000).service();
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    let before = harness.service.last_heartbeat;
    harness.service.disabled_reason = Some(format!("down [{}]", harness.mark()));
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    let now = harness.service.clone();
    harness.tick(6_000);
    harness.service.disabled_reason = Some(earlier.into());
    harness.service.last_heartbeat = before;
    harness.service();
    assert_eq!(
        harness.state.stage,
        Stage::Returning,
        "{:?}",
        harness.record.steps
    );
    harness.service = now;
    harness.tick(1_000).service();
    assert_eq!(harness.state.stage, Stage::Returning);
}
