//! Hosts that are up, and operators' actions.

use std::time::Duration;

use super::harness::{Harness, evacuation, region, server};
use crate::entity::notification::NotificationStatus;
use crate::host_recovery::{End, HoldKind, MoveStep, Stage};
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand, ServerCall, ServiceUpdate};

/// Returns a recovery with one instance in flight and one waiting, whose host was seen on.
pub(super) fn alive() -> Harness {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness.at += 20_000;
    harness.power(Power::On);
    harness
}

/// Covers R17.
#[test]
fn a_host_seen_on_or_with_heartbeats_ends_all_further_requests() {
    type UpEvidence = fn(&mut Harness);
    let cases: [(&str, UpEvidence); 2] = [
        ("its device reads on", |harness| {
            harness.power(Power::On);
        }),
        ("its heartbeat advances (R16)", |harness| {
            harness.heartbeat_age(0).service();
        }),
    ];
    for (name, sign) in cases {
        let mut harness =
            Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
        harness.answer(1, ServerCall::Evacuate, Ok(()));
        harness.at += 5_000;
        sign(&mut harness);
        assert_eq!(
            harness.state.hold.as_ref().unwrap().kind,
            HoldKind::Alive,
            "{name}"
        );
        assert!(
            !harness.state.is_proven_off(),
            "others must not count on it: {name}"
        );
        assert!(harness.record.head, "the journal shows it: {name}");
        assert!(harness.message.as_deref().unwrap().contains("ALARM"), "{name}");
        harness.power(Power::Off).tick(5_000).power(Power::Off);
        harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
        assert!(!harness.evacuates_any(), "off again is not a new episode: {name}");
    }
}

/// Covers R17.
#[test]
fn an_approved_one_needs_a_new_proof_and_sets_forced_down_again() {
    let mut harness = alive();
    harness.at += 1_000;
    // The query precedes the action, so its answer does not count.
    let old = harness.at - 500;
    harness.command(OperatorCommand::Approve);
    assert_eq!(harness.state.stage, Stage::Fencing);
    harness.power_at(old, Power::Off).power(Power::Off);
    assert!(
        harness.state.proof.is_none(),
        "a stale reading does not count as one of two"
    );
    harness.tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_none(), "a heartbeat has arrived since");
    harness.tick(20_000).service_now().power(Power::Off);
    assert!(harness.state.proof.is_some());
    assert!(!harness.evacuates_any());
    assert!(matches!(
        harness.updates(),
        Some(ServiceUpdate::DisableAndForceDown { .. } | ServiceUpdate::ForceDown)
    ));
    harness.forced_down().inventory(vec![server(2)], vec![]);
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.answer(2, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(2));
}

#[test]
fn moves_in_flight_are_followed_in_every_stage_of_a_second_episode() {
    let mut harness = alive();
    harness.command(OperatorCommand::Approve);
    assert_eq!(harness.state.stage, Stage::Fencing);
    harness.tick(500);
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(
        harness.requests(|command| matches!(command, Command::Unlock(_))),
        "its lock is removed"
    );
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

#[test]
fn a_second_episode_without_proof_is_held_and_never_ends_with_open_moves() {
    let mut harness = alive();
    harness.command(OperatorCommand::Approve);
    for _ in 0..140 {
        harness.heartbeat_age(1_000).service();
        harness.power(Power::On).tick(1_000);
    }
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    assert_eq!(harness.status, NotificationStatus::Running);
}

#[test]
fn a_rejected_one_that_is_alive_is_not_proven_off_for_others() {
    let mut harness = alive();
    harness.command(OperatorCommand::Reject);
    assert!(!harness.state.is_proven_off());
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![server(2)]);
    harness.over(vec![server(2)]);
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(!harness.state.is_proven_off());
}

/// Covers R16.
#[test]
fn external_mode_an_approved_recovery_needs_silence_observed_after_the_approval() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    harness
        .forced_down()
        .inventory(vec![server(1), server(2)], vec![]);
    harness.at += 1_000;
    harness.heartbeat_age(0).service();
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    harness.at += 3_600_000;
    harness.command(OperatorCommand::Approve);
    assert!(harness.state.proof.is_none());
    harness.heartbeat_age(1_000).service();
    assert!(harness.state.proof.is_none());
    harness.at += 20_000;
    harness.service().tick(0).tick(0);
    assert!(harness.state.proof.is_some());
}

/// Seeds 81474 and 90009 of the simulation: the host came back while a guard held the recovery.
/// Covers R16.
#[test]
fn external_silence_before_a_hold_does_not_count_after_it() {
    let mut harness = Harness::external().begun();
    harness.at += 60_000;
    harness.region_later(region(4, 10)).tick(0);
    harness.heartbeat_age(20_000).service_now().tick(0);
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Storm);
    harness.at += 120_000;
    harness.command(OperatorCommand::Approve).storm(1, 10).tick(0);
    assert!(harness.state.proof.is_none(), "no check since");
    harness.heartbeat_age(1_000).service().tick(0);
    assert!(harness.state.proof.is_none(), "and it lives");
    harness.at += 20_000;
    harness.service().storm(1, 10).tick(0);
    assert!(harness.state.proof.is_none(), "it has lived since its report");
    harness.command(OperatorCommand::HostIsOff);
    harness.at += 20_000;
    harness.service_now().storm(1, 10).tick(0);
    assert!(harness.state.proof.is_some(), "silent, and just checked");
}

/// Covers R16.
#[test]
fn an_answer_of_nova_after_a_minute_counts() {
    for (deadline, believed) in [(20, false), (60, true)] {
        let mut harness = Harness::with("NORMAL", |policy| {
            policy.fencing = FencingMode::External;
            policy.call_deadline = Duration::from_secs(deadline);
            policy.bare_normal = BareNormal::Wait(Duration::ZERO);
        })
        .begun();
        harness.at += 40_000;
        harness.region_later(region(1, 10)).tick(0);
        harness.heartbeat_age(60_000).service().storm(1, 10);
        assert_eq!(harness.state.proof.is_some(), believed, "{deadline} s");
    }
}

#[test]
fn forced_down_cleared_by_others_is_set_again_three_times() {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    for time in 1..=4 {
        harness.at += 5_000;
        harness.power(Power::Off);
        harness.service.forced_down = false;
        harness.service();
        if time == 4 {
            break;
        }
        assert_eq!(harness.state.stage, Stage::Disabling, "time {time}");
        harness
            .forced_down()
            .inventory(vec![server(1), server(2)], vec![]);
        assert_eq!(harness.state.stage, Stage::Moving, "time {time}");
    }
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
}

/// Covers R20.
#[test]
fn a_held_recovery_never_expires() {
    let mut harness = alive();
    for _ in 0..100 {
        harness.tick(3_600_000);
    }
    assert_eq!(harness.status, NotificationStatus::Running);
    assert!(harness.state.hold.is_some());
}

/// Covers R16.
#[test]
fn a_heartbeat_first_read_long_after_forced_down_is_not_a_baseline() {
    let mut harness = Harness::engine().proven();
    assert!(harness.updates().is_some());
    harness.service.forced_down = true;
    harness.service.up = false;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    // The engine's process is stopped here; meanwhile the host comes back.
    harness.at += 200_000;
    harness
        .heartbeat_age(3_000)
        .service()
        .inventory(vec![server(1)], vec![]);
    harness.answer(1, ServerCall::Lock, Ok(()));
    for _ in 0..13 {
        assert!(!harness.evacuates_any(), "at {}", harness.at);
        harness.at += 10_000;
        harness.heartbeat_age(3_000).service();
    }
    assert!(!harness.evacuates_any());
    assert!(harness.state.hold.is_some(), "it is up, and that is reported");
}
