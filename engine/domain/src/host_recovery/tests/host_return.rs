//! The wait for the host's return.

use std::time::Duration;

use super::bed::{Harness, evacuation, fault, timeout};
use crate::Timestamp;
use crate::fault::FaultClass;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::host_recovery::Stage;
use crate::power::Power;
use crate::recovery::{Command, Life, Observation, ServiceUpdate};

/// Returns a recovery whose moves are done and whose host is off.
fn returning() -> Harness {
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    bed.at += 30_000;
    bed.service();
    bed
}

/// Several owners each set `forced_down`, because the commits of the earlier ones were lost.
///
/// Covers R22 and R26.
#[test]
fn a_copy_that_shows_our_own_changes_one_by_one_shows_no_return() {
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    let last = bed.service.last_heartbeat.unwrap();
    for before in [3, 2, 1, 0, 0] {
        bed.service.last_heartbeat = Some(last.minus_seconds(before));
        bed.tick(5_000).service();
        assert!(!bed.clears(), "{before} s before the last one");
    }
    for _ in 0..30 {
        bed.tick(5_000).service();
        assert!(!bed.clears(), "it does not change");
    }
    bed.tick(5_000).heartbeat_age(0).service();
    bed.tick(5_000).heartbeat_age(0).service();
    assert!(bed.clears(), "it is back");
}

/// Covers R22.
#[test]
fn forced_down_is_cleared_once_its_nova_compute_is_back_and_not_before() {
    let mut bed = returning();
    assert!(!bed.clears(), "its heartbeat does not change");
    bed.tick(5_000).heartbeat_age(0).service();
    assert!(
        !bed.clears(),
        "an operator's change of the record moves the same stamp, once"
    );
    bed.tick(5_000).service();
    assert!(!bed.clears(), "then it stops changing again");
    bed.tick(5_000).heartbeat_age(0).service();
    assert!(bed.clears());
    assert!(!bed.record.is_empty(), "journalled first");
    bed.service.forced_down = false;
    let seen = bed.service.clone();
    bed.see(Observation::ServiceUpdated(Ok(seen)));
    assert_eq!(bed.record.life, Some(Life::Closed));
    assert_eq!(bed.state.stage, Stage::Over);
}

/// Covers R22.
#[test]
fn a_host_with_rare_heartbeats_returns_too() {
    let mut bed = returning();
    bed.state.policy.heartbeat_age = Duration::from_secs(58);
    bed.tick(90_000).heartbeat_age(0).service();
    assert!(
        !bed.clears(),
        "one change may be another client's update of the record"
    );
    bed.tick(65_000).heartbeat_age(0).service();
    assert!(bed.clears());
}

/// Covers R22.
#[test]
fn clearing_forced_down_is_repeated_with_pauses_while_records_are_open() {
    let mut bed = returning();
    bed.beats();
    let mut asked = 0;
    let mut steps = 0;
    for _ in 0..3_600 {
        if bed.clears() {
            asked += 1;
            steps += bed.record.steps.len();
            bed.see(Observation::ServiceUpdated(Err(fault(
                Some(400),
                FaultClass::Permanent,
                false,
            ))));
            steps += bed.record.steps.len();
        }
        bed.tick(1_000);
        if !bed.clears() {
            bed.service();
        }
    }
    assert!((5..40).contains(&asked), "{asked} in an hour");
    assert!(steps <= 3, "and the story is not filled with it: {steps}");
}

/// Covers R5.
#[test]
fn forced_down_is_not_cleared_while_an_order_may_still_take_effect() {
    let mut bed = Harness::engine().begun();
    bed.heartbeat_age(20_000).service().power(Power::On);
    assert!(bed.orders_off());
    bed.powered_off(Err(timeout()));
    let ordered = bed.at;
    bed.tick(5_000).power(Power::Off).tick(3_000).power(Power::Off);
    bed.forced_down().inventory(vec![], vec![]);
    bed.at += 1_000;
    bed.service();
    while bed.at < ordered + 79_000 {
        bed.at += 1_000;
        bed.heartbeat_age(0).service();
        assert!(!bed.clears(), "at {}", bed.at);
    }
    bed.at = ordered + 80_001;
    bed.heartbeat_age(0).service();
    assert!(bed.clears());
}

/// Covers R5.
#[test]
fn a_late_forced_down_is_waited_for_after_a_rejection() {
    let mut bed = Harness::engine().proven();
    assert!(matches!(
        bed.updates(),
        Some(ServiceUpdate::DisableAndForceDown { .. })
    ));
    bed.see(Observation::ServiceUpdated(Err(timeout())));
    bed.command(crate::recovery::OperatorCommand::Reject);
    bed.service().inventory(vec![], vec![]);
    assert_eq!(
        bed.record.life,
        Some(Life::Watching),
        "it may still be set, and must then be cleared"
    );
    bed.at += 70_000;
    bed.service();
    assert_ne!(bed.state.stage, Stage::Over);
    bed.at += 11_000;
    bed.service();
    // This answer belongs to an earlier query; the next one counts.
    bed.tick(5_000).service();
    assert_eq!(bed.state.stage, Stage::Over);
}

/// Returns a recovery whose host is back and reported again at the moment of its release.
fn reported_again() -> Harness {
    let mut bed = returning();
    bed.beats();
    assert!(bed.clears());
    assert!(bed.record.unless_host_recovery.is_some());
    let command = bed
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    bed.see_all(vec![
        Observation::NotSent(command),
        Observation::HostUnderRecovery,
    ]);
    assert_eq!(bed.state.stage, Stage::Returning);
    assert!(!bed.clears());
    bed
}

/// Seed 500722: while a younger recovery was open, the older one wrote, was refused and queried Nova a dozen
/// times a second.
/// Covers R22.
#[test]
fn an_older_recovery_waits_for_the_next_heartbeat_after_a_refusal() {
    let mut bed = reported_again();
    let asks = |bed: &Harness| bed.commands.contains(&Command::ReadService);
    assert!(!asks(&bed));
    bed.tick(100);
    assert!(!asks(&bed));
    bed.tick(5_000);
    assert!(asks(&bed));
}

/// Covers R22.
#[test]
fn a_host_reported_again_is_returned_if_its_new_recovery_does_nothing() {
    let mut bed = reported_again();
    bed.tick(120_000).heartbeat_age(0).service();
    assert!(!bed.clears(), "recorded again");
    bed.at += 5_000;
    bed.beats();
    assert!(
        bed.clears(),
        "no other client forced it down, and none will clear it"
    );
}

/// Covers R22.
#[test]
fn heartbeats_before_the_new_failure_do_not_count_as_a_return() {
    let mut bed = reported_again();
    bed.tick(5_000).service().tick(5_000).heartbeat_age(0).service();
    assert!(
        !bed.clears(),
        "one change of the record, as the new recovery's own"
    );
}

#[test]
fn a_host_that_fails_again_is_left_to_its_new_recovery_once_that_has_put_its_mark() {
    let mut bed = reported_again();
    bed.state.service.marked = true;
    bed.service.disabled_reason = Some("Masakari detected host failed. [tachi another]".into());
    bed.tick(5_000).service();
    assert_eq!(bed.record.life, Some(Life::Closed));
    assert_eq!(bed.state.stage, Stage::Over);
}

/// Covers R22.
#[test]
fn the_mark_of_a_process_recovery_is_no_new_host_recovery() {
    let mut bed = returning();
    bed.state.service.marked = true;
    // Its call was late by 30 s.
    bed.service.disabled_reason = Some("Masakari detected process failed. [tachi another]".into());
    bed.tick(5_000).service();
    assert_eq!((bed.record.life, bed.state.stage), (None, Stage::Returning));
    bed.at += 10_000;
    bed.beats();
    assert!(bed.clears(), "{:?}", bed.commands);
}

/// An operator drained the host when it died, and Nova executed that call after ours.
/// Covers R22.
#[test]
fn a_drains_mark_is_no_new_host_recovery() {
    let mut bed = returning();
    bed.state.service.marked = true;
    bed.service.disabled_reason = Some("firmware (drained by alice) [tachi drain another]".into());
    bed.tick(5_000).service();
    assert_eq!((bed.record.life, bed.state.stage), (None, Stage::Returning));
    bed.at += 10_000;
    bed.beats();
    assert!(bed.clears(), "{:?}", bed.commands);
}

#[test]
fn the_end_of_the_moves_and_the_return_are_separate_writes() {
    let mut bed = Harness::engine().proven();
    bed.forced_down();
    bed.at += 30_000;
    bed.beats();
    bed.command(crate::recovery::OperatorCommand::Reject);
    bed.inventory(vec![], vec![]);
    assert_eq!(bed.record.life, Some(Life::Watching));
    assert!(!bed.clears(), "the journal still counts it as open");
    bed.tick(100);
    assert!(bed.clears());
}

#[test]
fn a_returned_host_is_not_proven_off_any_more() {
    let mut bed = returning();
    assert!(bed.state.is_proven_off());
    bed.heartbeat_age(0).service();
    assert!(!bed.state.is_proven_off());
    assert!(bed.record.head, "written at once, for others read it");
}

/// Covers R26.
#[test]
fn a_copy_that_does_not_show_forced_down_yet_shows_no_return() {
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    for (forced_down, enabled) in [(false, true), (true, false)] {
        bed.service.forced_down = forced_down;
        bed.service.enabled = enabled;
        bed.tick(5_000).service();
        assert_eq!(bed.state.stage, Stage::Returning, "{forced_down}");
    }
    // Long after its change it does.
    bed.service.forced_down = false;
    bed.tick(30_000).service();
    assert_eq!(bed.state.stage, Stage::Over);
}

#[test]
fn another_client_may_return_the_host_or_delete_its_service() {
    let mut bed = returning();
    bed.service.forced_down = false;
    bed.tick(5_000).service();
    assert_eq!(bed.state.stage, Stage::Over);
    let mut bed = returning();
    for _ in 0..3 {
        assert_eq!(
            bed.state.stage,
            Stage::Returning,
            "one missing answer is not believed"
        );
        bed.tick(5_000).see(Observation::Service(Ok(None)));
    }
    assert_eq!(bed.state.stage, Stage::Over);
}

#[test]
fn a_stale_read_does_not_show_forced_down_as_cleared() {
    let mut bed = Harness::engine().proven();
    assert!(bed.updates().is_some());
    // The engine was stopped for two minutes; the change took effect without an answer.
    bed.at += 120_000;
    bed.see(Observation::ServiceUpdated(Err(timeout())));
    bed.command(crate::recovery::OperatorCommand::Reject);
    bed.service.forced_down = true;
    bed.service().inventory(vec![], vec![]).tick(500);
    assert_eq!(
        bed.state.stage,
        Stage::Returning,
        "what was seen last was seen before the change"
    );
    bed.service.forced_down = true;
    for _ in 0..3 {
        bed.tick(5_000).service();
        assert_eq!(bed.state.stage, Stage::Returning);
    }
    let cleared = (0..5).any(|_| bed.tick(10_000).heartbeat_age(0).service().clears());
    assert!(cleared, "it is watched until its nova-compute is back");
}

/// Covers R22.
#[test]
fn changes_of_the_record_far_apart_are_not_heartbeats() {
    let mut bed = returning();
    for _ in 0..5 {
        bed.tick(120_000).heartbeat_age(0).service();
        bed.tick(5_000).service();
        assert!(!bed.clears(), "as other recoveries of a dead host make them");
    }
    bed.tick(10_000).heartbeat_age(0).service();
    assert!(bed.clears());
}

/// Covers R22.
#[test]
fn our_own_late_changes_are_not_heartbeats() {
    let mut bed = returning();
    let lost = bed.at;
    bed.state.service.unanswered_since = Some(crate::Elapsed::from_millis(lost));
    // An unanswered change takes effect at last, and so does another that was lost before it.
    bed.tick(10_000).heartbeat_age(0).service();
    bed.tick(10_000).heartbeat_age(0).service();
    bed.at = lost + 80_100;
    bed.service();
    assert!(!bed.clears(), "neither was the host's");
    bed.at += 5_000;
    bed.heartbeat_age(0).service();
    assert!(bed.clears(), "the first heartbeat after one that counts");
}

/// Seed 38743 of the simulation: two unanswered changes took effect during the moves.
/// Covers R22.
#[test]
fn our_own_late_changes_during_the_moves_are_not_heartbeats() {
    let mut bed = Harness::engine().asked();
    let lost = bed.at;
    bed.state.service.unanswered_since = Some(crate::Elapsed::from_millis(lost));
    bed.tick(10_000).heartbeat_age(0).service();
    bed.tick(40_000).heartbeat_age(0).service();
    bed.at = lost + 90_000;
    bed.service().command(crate::recovery::OperatorCommand::Reject);
    bed.tick(2_000)
        .lists(vec![], vec![evacuation(9, 1, "done", Some("c2"))]);
    bed.over(vec![]);
    assert_eq!(bed.state.stage, Stage::Returning, "{:?}", bed.state.moves);
    for _ in 0..5 {
        assert!(!bed.clears(), "its heartbeat has stood still ever since");
        bed.tick(5_000);
        assert!(!bed.clears(), "its heartbeat has stood still ever since");
        bed.service();
    }
    bed.tick(5_000).heartbeat_age(0).service();
    assert!(bed.clears(), "the first heartbeat that is not ours");
}

/// Returns a recovery with its host back, `forced_down` cleared, and the option on.
fn back_home(reason: Option<&str>) -> Harness {
    back_home_with(reason, Duration::from_secs(20))
}

fn back_home_with(reason: Option<&str>, call_deadline: Duration) -> Harness {
    let mut bed = Harness::with("UNKNOWN", |policy| {
        policy.enable_after_return = Some(Duration::from_mins(1));
        policy.call_deadline = call_deadline;
    })
    .proven();
    bed.service.enabled = false;
    bed.forced_down().inventory(vec![], vec![]);
    bed.at += 30_000;
    bed.service();
    bed.service.disabled_reason = Some(reason.map_or_else(
        || format!("Masakari detected host failed. [tachi {}]", bed.state.id),
        ToOwned::to_owned,
    ));
    bed.beats();
    assert!(bed.clears());
    bed.service.forced_down = false;
    bed.service.up = true;
    let seen = bed.service.clone();
    bed.see(Observation::ServiceUpdated(Ok(seen)));
    bed
}

fn enables(bed: &Harness) -> bool {
    bed.updates() == Some(ServiceUpdate::Enable)
}

/// Returns true if the host is enabled within 5 s and one heartbeat.
fn enables_within_a_heartbeat(bed: &mut Harness) -> bool {
    bed.tick(5_000);
    enables(bed) || {
        bed.heartbeat_age(0).service();
        enables(bed)
    }
}

fn enables_after_an_answer(bed: &mut Harness) -> bool {
    bed.at += 500;
    bed.heartbeat_age(0).service();
    enables(bed)
}

/// Nova is read every 5 s. A shorter call timeout must not make a read of 3 s ago stale, or show a running host
/// as down.
/// Covers R22.
#[test]
fn a_host_is_enabled_even_if_the_call_timeout_is_shorter_than_the_poll_interval() {
    let mut bed = back_home_with(None, Duration::from_secs(1));
    let began = bed.at;
    // 500 ms for the answer, and no new heartbeat for the rest of the 5 s.
    while !enables_after_an_answer(&mut bed) && !enables(bed.tick(4_500)) {
        assert!(bed.at < began + 100_000, "never");
    }
    assert!(bed.at >= began + 60_000, "after {}", bed.at - began);
}

/// Covers R22.
#[test]
fn a_host_up_long_enough_is_enabled_and_leaves_maintenance_if_configured() {
    let mut bed = back_home(None);
    assert_eq!(bed.state.stage, Stage::Returning);
    let began = bed.at;
    while !enables_within_a_heartbeat(&mut bed) {
        assert!(bed.at < began + 100_000, "never");
    }
    assert!(bed.at >= began + 60_000, "after {}", bed.at - began);
    assert!(bed.record.head, "journalled first");
    assert!(
        bed.record.unless_host_recovery.is_some(),
        "unless it has failed again"
    );
    bed.service.enabled = true;
    let seen = bed.service.clone();
    bed.see(Observation::ServiceUpdated(Ok(seen)));
    assert!(bed.record.host_back);
    assert_eq!(bed.record.life, Some(Life::Closed));
}

/// Covers R22.
#[test]
fn a_host_that_flaps_is_not_enabled() {
    let mut bed = back_home(None);
    for _ in 0..20 {
        bed.service.up = true;
        for _ in 0..8 {
            assert!(!enables_within_a_heartbeat(&mut bed));
        }
        bed.service.up = false;
        bed.tick(5_000).heartbeat_age(70_000).service();
        assert!(!enables(&bed));
    }
    assert_eq!(bed.state.stage, Stage::Returning);
}

/// An operator who works on a returned host needs it without new instances.
/// Covers R22.
#[test]
fn a_frozen_host_is_enabled_after_the_freeze() {
    let mut bed = back_home(None);
    bed.operator_state.frozen.over = vec![Freeze {
        number: 1,
        scope: FreezeScope::Host,
        name: bed.state.host.clone(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    }];
    let operator_state = bed.operator_state.clone();
    bed.see(Observation::OperatorState(operator_state));
    for _ in 0..40 {
        assert!(!enables_within_a_heartbeat(&mut bed));
    }
    assert_eq!(bed.state.stage, Stage::Returning);
    bed.operator_state.frozen = FreezeStatus {
        thawed: 1,
        ..FreezeStatus::NONE
    };
    let operator_state = bed.operator_state.clone();
    bed.see(Observation::OperatorState(operator_state));
    assert!(enables(&bed) || (0..20).any(|_| enables_within_a_heartbeat(&mut bed)));
    assert!(bed.record.unless_frozen.own, "unless it is frozen again just now");
}

/// Covers R23.
#[test]
fn a_host_with_a_foreign_reason_is_never_enabled() {
    let mut bed = back_home(Some("disk is being replaced"));
    for _ in 0..30 {
        assert!(!enables_within_a_heartbeat(&mut bed));
    }
    assert_eq!(bed.state.stage, Stage::Over, "there is nothing left to do for it");
    assert!(!bed.record.host_back);
}

/// Covers R22.
#[test]
fn an_enabling_without_an_answer_is_looked_for() {
    let mut bed = back_home(None);
    assert!((0..20).any(|_| enables_within_a_heartbeat(&mut bed)));
    bed.see(Observation::ServiceUpdated(Err(timeout())));
    bed.take_over();
    bed.service.enabled = true;
    bed.tick(5_000);
    bed.heartbeat_age(0).service();
    assert!(bed.record.host_back, "what goes with it is done, too");
    assert!(
        bed.record.running_again,
        "what is reported of it from now on is another failure (R19)"
    );
    assert_eq!(bed.state.stage, Stage::Over);
}

/// Covers R22.
#[test]
fn a_service_enabled_first_by_another_client_is_left_alone() {
    let mut bed = back_home(None);
    bed.service.enabled = true;
    bed.tick(5_000);
    bed.heartbeat_age(0).service();
    assert_eq!(bed.state.stage, Stage::Over);
    assert!(
        !bed.record.host_back,
        "who enables it clears its maintenance, too"
    );
}

/// Covers C6.
#[test]
fn a_copy_that_shows_the_mark_from_before_our_change_shows_no_younger_recovery() {
    let earlier = "down [tachi 00000000-0000-0000-0000-0000000000ff]";
    let mut bed = Harness::engine().begun();
    bed.service.disabled_reason = Some(earlier.into());
    bed.service.enabled = false;
    bed.service.forced_down = true;
    bed.heartbeat_age(20_000).service();
    bed.power(Power::Off).tick(3_000).power(Power::Off);
    let before = bed.service.last_heartbeat;
    bed.service.disabled_reason = Some(format!("down [{}]", bed.mark()));
    bed.forced_down().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    let now = bed.service.clone();
    bed.tick(6_000);
    bed.service.disabled_reason = Some(earlier.into());
    bed.service.last_heartbeat = before;
    bed.service();
    assert_eq!(bed.state.stage, Stage::Returning, "{:?}", bed.record.steps);
    bed.service = now;
    bed.tick(1_000).service();
    assert_eq!(bed.state.stage, Stage::Returning);
}
