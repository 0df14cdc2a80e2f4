//! Hosts that are up, and operators' actions.

use std::time::Duration;

use super::bed::{Harness, evacuation, region, server};
use crate::entity::notification::NotificationStatus;
use crate::host_recovery::{End, HoldKind, MoveStep, Stage};
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand, ServerCall, ServiceUpdate};

/// Returns a recovery with one instance in flight and one waiting, whose host was seen on.
pub(super) fn alive() -> Harness {
    let mut bed = Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
    bed.answer(1, ServerCall::Evacuate, Ok(()));
    bed.at += 20_000;
    bed.power(Power::On);
    bed
}

/// Covers R17.
#[test]
fn a_host_seen_on_or_with_heartbeats_ends_all_further_requests() {
    type LifeSign = fn(&mut Harness);
    let cases: [(&str, LifeSign); 2] = [
        ("its device reads on", |bed| {
            bed.power(Power::On);
        }),
        ("its heartbeat advances (R16)", |bed| {
            bed.heartbeat_age(0).service();
        }),
    ];
    for (name, sign) in cases {
        let mut bed =
            Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
        bed.answer(1, ServerCall::Evacuate, Ok(()));
        bed.at += 5_000;
        sign(&mut bed);
        assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Alive, "{name}");
        assert!(!bed.state.is_proven_off(), "others must not count on it: {name}");
        assert!(bed.record.head, "the journal shows it: {name}");
        assert!(bed.message.as_deref().unwrap().contains("ALARM"), "{name}");
        bed.power(Power::Off).tick(5_000).power(Power::Off);
        bed.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
        assert!(!bed.evacuates_any(), "off again is not a new episode: {name}");
    }
}

/// Covers R17.
#[test]
fn an_approved_one_needs_a_new_proof_and_sets_forced_down_again() {
    let mut bed = alive();
    bed.at += 1_000;
    // The query precedes the action, so its answer does not count.
    let old = bed.at - 500;
    bed.command(OperatorCommand::Approve);
    assert_eq!(bed.state.stage, Stage::Fencing);
    bed.power_at(old, Power::Off).power(Power::Off);
    assert!(
        bed.state.proof.is_none(),
        "a stale reading does not count as one of two"
    );
    bed.tick(3_000).power(Power::Off);
    assert!(bed.state.proof.is_none(), "a heartbeat has arrived since");
    bed.tick(20_000).service_now().power(Power::Off);
    assert!(bed.state.proof.is_some());
    assert!(!bed.evacuates_any());
    assert!(matches!(
        bed.updates(),
        Some(ServiceUpdate::DisableAndForceDown { .. } | ServiceUpdate::ForceDown)
    ));
    bed.forced_down().inventory(vec![server(2)], vec![]);
    bed.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    bed.answer(2, ServerCall::Lock, Ok(()));
    assert!(bed.evacuates(2));
}

#[test]
fn moves_in_flight_are_followed_in_every_stage_of_a_second_episode() {
    let mut bed = alive();
    bed.command(OperatorCommand::Approve);
    assert_eq!(bed.state.stage, Stage::Fencing);
    bed.tick(500);
    bed.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(
        bed.wants(|command| matches!(command, Command::Unlock(_))),
        "its lock is removed"
    );
    bed.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
}

#[test]
fn a_second_episode_without_proof_is_held_and_never_ends_with_open_moves() {
    let mut bed = alive();
    bed.command(OperatorCommand::Approve);
    for _ in 0..140 {
        bed.heartbeat_age(1_000).service();
        bed.power(Power::On).tick(1_000);
    }
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    assert_eq!(bed.status, NotificationStatus::Running);
}

#[test]
fn a_rejected_one_that_is_alive_is_not_proven_off_for_others() {
    let mut bed = alive();
    bed.command(OperatorCommand::Reject);
    assert!(!bed.state.is_proven_off());
    bed.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    bed.over(vec![server(2)]);
    bed.over(vec![server(2)]);
    assert_eq!(bed.status, NotificationStatus::Failed);
    assert!(!bed.state.is_proven_off());
}

/// Covers R16.
#[test]
fn external_mode_an_approved_recovery_needs_silence_observed_after_the_approval() {
    let mut bed = Harness::external().begun();
    bed.heartbeat_age(20_000).service();
    bed.forced_down().inventory(vec![server(1), server(2)], vec![]);
    bed.at += 1_000;
    bed.heartbeat_age(0).service();
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    bed.at += 3_600_000;
    bed.command(OperatorCommand::Approve);
    assert!(bed.state.proof.is_none());
    bed.heartbeat_age(1_000).service();
    assert!(bed.state.proof.is_none());
    bed.at += 20_000;
    bed.service().tick(0).tick(0);
    assert!(bed.state.proof.is_some());
}

/// Seeds 81474 and 90009 of the simulation: the host came back while a guard held the recovery.
/// Covers R16.
#[test]
fn external_silence_before_a_hold_does_not_count_after_it() {
    let mut bed = Harness::external().begun();
    bed.at += 60_000;
    bed.around_later(region(4, 10)).tick(0);
    bed.heartbeat_age(20_000).service_now().tick(0);
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Storm);
    bed.at += 120_000;
    bed.command(OperatorCommand::Approve).storm(1, 10).tick(0);
    assert!(bed.state.proof.is_none(), "no check since");
    bed.heartbeat_age(1_000).service().tick(0);
    assert!(bed.state.proof.is_none(), "and it lives");
    bed.at += 20_000;
    bed.service().storm(1, 10).tick(0);
    assert!(bed.state.proof.is_none(), "it has lived since its report");
    bed.command(OperatorCommand::HostIsOff);
    bed.at += 20_000;
    bed.service_now().storm(1, 10).tick(0);
    assert!(bed.state.proof.is_some(), "silent, and just checked");
}

/// Covers R16.
#[test]
fn an_answer_of_nova_after_a_minute_counts() {
    for (deadline, believed) in [(20, false), (60, true)] {
        let mut bed = Harness::with("NORMAL", |policy| {
            policy.fencing = FencingMode::External;
            policy.call_deadline = Duration::from_secs(deadline);
            policy.bare_normal = BareNormal::Wait(Duration::ZERO);
        })
        .begun();
        bed.at += 40_000;
        bed.around_later(region(1, 10)).tick(0);
        bed.heartbeat_age(60_000).service().storm(1, 10);
        assert_eq!(bed.state.proof.is_some(), believed, "{deadline} s");
    }
}

#[test]
fn forced_down_cleared_by_others_is_set_again_three_times() {
    let mut bed = Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
    bed.answer(1, ServerCall::Evacuate, Ok(()));
    for time in 1..=4 {
        bed.at += 5_000;
        bed.power(Power::Off);
        bed.service.forced_down = false;
        bed.service();
        if time == 4 {
            break;
        }
        assert_eq!(bed.state.stage, Stage::Disabling, "time {time}");
        bed.forced_down().inventory(vec![server(1), server(2)], vec![]);
        assert_eq!(bed.state.stage, Stage::Moving, "time {time}");
    }
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
}

/// Covers R20.
#[test]
fn a_held_recovery_never_expires() {
    let mut bed = alive();
    for _ in 0..100 {
        bed.tick(3_600_000);
    }
    assert_eq!(bed.status, NotificationStatus::Running);
    assert!(bed.state.hold.is_some());
}

/// Covers R16.
#[test]
fn a_heartbeat_first_read_long_after_forced_down_is_not_a_baseline() {
    let mut bed = Harness::engine().proven();
    assert!(bed.updates().is_some());
    bed.service.forced_down = true;
    bed.service.up = false;
    let seen = bed.service.clone();
    bed.see(Observation::ServiceUpdated(Ok(seen)));
    // The engine's process is stopped here; meanwhile the host comes back.
    bed.at += 200_000;
    bed.heartbeat_age(3_000)
        .service()
        .inventory(vec![server(1)], vec![]);
    bed.answer(1, ServerCall::Lock, Ok(()));
    for _ in 0..13 {
        assert!(!bed.evacuates_any(), "at {}", bed.at);
        bed.at += 10_000;
        bed.heartbeat_age(3_000).service();
    }
    assert!(!bed.evacuates_any());
    assert!(bed.state.hold.is_some(), "it is up, and that is reported");
}
