//! Engines that are stopped for minutes between an effect and its first check. What they then read is stale, or
//! shows later changes.

use std::sync::Arc;

use super::harness::{Harness, region, server};
use crate::Elapsed;
use crate::host_recovery::Stage;
use crate::nova::Service;
use crate::recovery::{Command, Observation, ServerCall};

/// Returns the service after its change.
fn changed(harness: &mut Harness) -> Service {
    harness.service.forced_down = true;
    harness.service.up = false;
    harness.heartbeat_age(0);
    harness.service.clone()
}

/// Seed 700955478 of the simulation: the host was powered on, and its nova-compute had started.
/// Covers C19, R17.
#[test]
fn a_first_look_long_after_the_change_was_asked_for_needs_silence_first() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    assert!(harness.updates().is_some(), "{:?}", harness.commands);
    let answer = changed(&mut harness);
    harness.at += 195_000;
    harness.see(Observation::ServiceUpdated(Ok(answer)));
    for _ in 0..20 {
        harness.heartbeat_age(500).service();
        harness.inventory(vec![server(1)], vec![]);
        let locked = ServerCall::Lock;
        harness.answer(1, locked, Ok(()));
        assert!(!harness.evacuates_any(), "{} ms", harness.at);
        harness.tick(10_000);
        assert!(!harness.evacuates_any(), "{} ms", harness.at);
    }
}

/// Seed 1009: the change was answered at once and the check decided, but the engine was stopped before it sent
/// the read.
/// Covers C19, R17.
#[test]
fn a_first_look_that_was_decided_at_once_and_sent_late_needs_silence_first() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    let answer = changed(&mut harness);
    harness.at += 50;
    harness.see(Observation::ServiceUpdated(Ok(answer)));
    assert!(
        harness.requests(|command| *command == Command::ReadService),
        "{:?}",
        harness.commands
    );
    harness.at += 195_000;
    for _ in 0..20 {
        harness.heartbeat_age(500).service();
        harness.inventory(vec![server(1)], vec![]);
        harness.answer(1, ServerCall::Lock, Ok(()));
        assert!(!harness.evacuates_any(), "{} ms", harness.at);
        harness.tick(10_000);
        assert!(!harness.evacuates_any(), "{} ms", harness.at);
    }
}

/// For a Nova without dates the engine compares reads; time without reads must not count as silence.
/// Covers C19, R16.
#[test]
fn a_late_request_shows_no_silence_before_its_answer() {
    let mut harness = Harness::engine().begun();
    let heartbeat = harness.service.clone();
    let read_server = || {
        Observation::Service(Ok(Some(Service {
            nova_now: None,
            ..heartbeat.clone()
        })))
    };
    harness.at += 60_000;
    harness.see(read_server());
    let first = harness.at;
    while !harness.requests(|command| *command == Command::ReadService) {
        harness.tick(1_000);
    }
    harness.see(read_server());
    assert!(
        harness.state.service.still_for().as_millis() <= u128::from(harness.at - first),
        "{:?} within {} ms",
        harness.state.service.still_for(),
        harness.at - first
    );
}

/// Covers C19.
#[test]
fn an_answered_change_does_not_restart_the_silence() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    let answer = changed(&mut harness);
    harness.at += 3_000;
    harness.see(Observation::ServiceUpdated(Ok(answer)));
    harness.at += 1;
    harness.service();
    assert!(harness.state.service.mark.is_some(), "the next read counts");
}

/// The recovery's elapsed time does not advance while no engine owns it.
/// Covers C19, R17.
#[test]
fn a_new_owner_cannot_date_its_first_reading() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    let answer = changed(&mut harness);
    harness.see(Observation::ServiceUpdated(Ok(answer)));
    // All engines die, and one starts minutes later.
    harness.take_over();
    harness.at += 200;
    for _ in 0..10 {
        harness.heartbeat_age(500).service();
        harness.inventory(vec![server(1)], vec![]);
        harness.answer(1, ServerCall::Lock, Ok(()));
        assert!(!harness.evacuates_any(), "{} ms", harness.at);
        harness.tick(10_000);
    }
}

/// Seed 700360130: an unanswered change of the older recovery took effect late and removed the younger one's
/// mark.
/// Covers C19, R22.
#[test]
fn a_mark_seen_before_our_own_change_could_arrive_is_not_ours() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    let lost = harness.at;
    harness.state.service.unanswered_since = Some(Elapsed::from_millis(lost));
    harness.state.service.marked = true;
    let ours = format!("Masakari detected host failed. [tachi {}]", harness.state.id);
    harness.service.disabled_reason = Some("Masakari detected host failed. [tachi another]".into());
    harness.tick(50_000).service();
    // It takes effect, and the engine is stopped; its last check was before that.
    harness.service.disabled_reason = Some(ours);
    harness.at = lost + 81_000;
    harness.tick(0);
    assert_eq!(
        harness.state.stage,
        Stage::Returning,
        "{:?}",
        harness.record.steps
    );
    // This answer belongs to an earlier query; the next one counts.
    harness.service().tick(5_000).service();
    assert_eq!(harness.state.stage, Stage::Returning);
    harness.at += 10_000;
    assert!(harness.beats().clears(), "it is there for the host's return");
}

/// Seed 700824536 used one scan twice; a scan is as old as its request.
/// Covers C19, R24.
#[test]
fn a_scan_is_dated_by_its_request() {
    let mut harness = Harness::engine();
    harness.claim();
    assert!(harness.scans_region());
    harness.at += 180_000;
    harness.see(Observation::Region(Arc::new(region(1, 10))));
    assert_eq!(
        harness.state.stage,
        Stage::Begin,
        "three minutes ago all was well"
    );
    assert!(harness.scans_region(), "{:?}", harness.commands);
    harness.see(Observation::Region(Arc::new(region(5, 10))));
    assert!(harness.state.hold.is_some());
}
