//! Engines that are stopped for minutes between an effect and its first check. What they then read is stale, or
//! shows later changes.

use std::sync::Arc;

use super::bed::{Harness, region, server};
use crate::Elapsed;
use crate::host_recovery::Stage;
use crate::nova::Service;
use crate::recovery::{Command, Observation, ServerCall};

/// Returns the service after its change.
fn changed(bed: &mut Harness) -> Service {
    bed.service.forced_down = true;
    bed.service.up = false;
    bed.heartbeat_age(0);
    bed.service.clone()
}

/// Seed 700955478 of the simulation: the host was powered on, and its nova-compute had started.
/// Covers C19, R17.
#[test]
fn a_first_look_long_after_the_change_was_asked_for_needs_silence_first() {
    let mut bed = Harness::external().begun();
    bed.heartbeat_age(20_000).service();
    assert!(bed.updates().is_some(), "{:?}", bed.commands);
    let answer = changed(&mut bed);
    bed.at += 195_000;
    bed.see(Observation::ServiceUpdated(Ok(answer)));
    for _ in 0..20 {
        bed.heartbeat_age(500).service();
        bed.inventory(vec![server(1)], vec![]);
        let locked = ServerCall::Lock;
        bed.answer(1, locked, Ok(()));
        assert!(!bed.evacuates_any(), "{} ms", bed.at);
        bed.tick(10_000);
        assert!(!bed.evacuates_any(), "{} ms", bed.at);
    }
}

/// Seed 1009: the change was answered at once and the check decided, but the engine was stopped before it sent
/// the read.
/// Covers C19, R17.
#[test]
fn a_first_look_that_was_decided_at_once_and_sent_late_needs_silence_first() {
    let mut bed = Harness::external().begun();
    bed.heartbeat_age(20_000).service();
    let answer = changed(&mut bed);
    bed.at += 50;
    bed.see(Observation::ServiceUpdated(Ok(answer)));
    assert!(
        bed.wants(|command| *command == Command::ReadService),
        "{:?}",
        bed.commands
    );
    bed.at += 195_000;
    for _ in 0..20 {
        bed.heartbeat_age(500).service();
        bed.inventory(vec![server(1)], vec![]);
        bed.answer(1, ServerCall::Lock, Ok(()));
        assert!(!bed.evacuates_any(), "{} ms", bed.at);
        bed.tick(10_000);
        assert!(!bed.evacuates_any(), "{} ms", bed.at);
    }
}

/// For a Nova without dates the engine compares reads; time without reads must not count as silence.
/// Covers C19, R16.
#[test]
fn a_late_request_shows_no_silence_before_its_answer() {
    let mut bed = Harness::engine().begun();
    let heartbeat = bed.service.clone();
    let seen = || {
        Observation::Service(Ok(Some(Service {
            nova_now: None,
            ..heartbeat.clone()
        })))
    };
    bed.at += 60_000;
    bed.see(seen());
    let first = bed.at;
    while !bed.wants(|command| *command == Command::ReadService) {
        bed.tick(1_000);
    }
    bed.see(seen());
    assert!(
        bed.state.service.still_for().as_millis() <= u128::from(bed.at - first),
        "{:?} within {} ms",
        bed.state.service.still_for(),
        bed.at - first
    );
}

/// Covers C19.
#[test]
fn an_answered_change_does_not_restart_the_silence() {
    let mut bed = Harness::external().begun();
    bed.heartbeat_age(20_000).service();
    let answer = changed(&mut bed);
    bed.at += 3_000;
    bed.see(Observation::ServiceUpdated(Ok(answer)));
    bed.at += 1;
    bed.service();
    assert!(bed.state.service.mark.is_some(), "the next read counts");
}

/// The recovery's elapsed time does not advance while no engine owns it.
/// Covers C19, R17.
#[test]
fn a_new_owner_cannot_date_its_first_reading() {
    let mut bed = Harness::external().begun();
    bed.heartbeat_age(20_000).service();
    let answer = changed(&mut bed);
    bed.see(Observation::ServiceUpdated(Ok(answer)));
    // All engines die, and one starts minutes later.
    bed.take_over();
    bed.at += 200;
    for _ in 0..10 {
        bed.heartbeat_age(500).service();
        bed.inventory(vec![server(1)], vec![]);
        bed.answer(1, ServerCall::Lock, Ok(()));
        assert!(!bed.evacuates_any(), "{} ms", bed.at);
        bed.tick(10_000);
    }
}

/// Seed 700360130: an unanswered change of the older recovery took effect late and removed the younger one's
/// mark.
/// Covers C19, R22.
#[test]
fn a_mark_seen_before_our_own_change_could_arrive_is_not_ours() {
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    let lost = bed.at;
    bed.state.service.unanswered_since = Some(Elapsed::from_millis(lost));
    bed.state.service.marked = true;
    let ours = format!("Masakari detected host failed. [tachi {}]", bed.state.id);
    bed.service.disabled_reason = Some("Masakari detected host failed. [tachi another]".into());
    bed.tick(50_000).service();
    // It takes effect, and the engine is stopped; its last check was before that.
    bed.service.disabled_reason = Some(ours);
    bed.at = lost + 81_000;
    bed.tick(0);
    assert_eq!(bed.state.stage, Stage::Returning, "{:?}", bed.record.steps);
    // This answer belongs to an earlier query; the next one counts.
    bed.service().tick(5_000).service();
    assert_eq!(bed.state.stage, Stage::Returning);
    bed.at += 10_000;
    assert!(bed.beats().clears(), "it is there for the host's return");
}

/// Seed 700824536 used one scan twice; a scan is as old as its request.
/// Covers C19, R24.
#[test]
fn a_scan_is_dated_by_its_request() {
    let mut bed = Harness::engine();
    bed.claim();
    assert!(bed.looks_around());
    bed.at += 180_000;
    bed.see(Observation::Region(Arc::new(region(1, 10))));
    assert_eq!(bed.state.stage, Stage::Begin, "three minutes ago all was well");
    assert!(bed.looks_around(), "{:?}", bed.commands);
    bed.see(Observation::Region(Arc::new(region(5, 10))));
    assert!(bed.state.hold.is_some());
}
