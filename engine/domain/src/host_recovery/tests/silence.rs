//! Power readings compared with heartbeats in Nova, and heartbeats dated by several clocks.

use std::time::Duration;

use super::harness::{HOST, Harness, nova_time, region, server, timeout};
use crate::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::host_recovery::{HoldKind, Stage};
use crate::nova::Service;
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand};

/// Covers C2, T9.
#[test]
fn off_from_another_machines_controller_is_no_proof_while_the_host_is_up_in_nova() {
    let mut harness = Harness::engine().begun();
    while harness.at < 119_000 {
        harness.heartbeat_age(1_000).service().power(Power::Off);
        assert!(harness.state.proof.is_none(), "{} ms", harness.at);
        assert!(harness.updates().is_none(), "{} ms", harness.at);
        if harness.at < 10_000 {
            let message = harness.message.clone().unwrap_or_default();
            assert!(
                !message.contains("another machine"),
                "so it is in every death: {message}"
            );
        }
        harness.tick(3_500);
    }
    let message = harness.message.clone().unwrap();
    assert!(message.contains("Nova shows it up"), "{message}");
    assert!(message.contains("of another machine?"), "{message}");
    harness.service().tick(3_000);
    harness.heartbeat_age(1_000).service().power(Power::Off);
    assert_eq!(
        harness.status,
        NotificationStatus::Failed,
        "{:?}",
        harness.message
    );
    assert_eq!(harness.state.stage, Stage::Done);
}

/// A host that was reported while it ran may lose its power much later.
/// Covers C2.
#[test]
fn the_machine_is_doubted_only_after_a_silence_from_the_first_off_reading_on() {
    let mut harness = Harness::engine().begun();
    while harness.at < 50_000 {
        harness.heartbeat_age(1_000).service().power(Power::On);
        harness.tick(3_500);
    }
    let off = harness.at;
    while harness.at < off + 9_000 {
        harness.heartbeat_age(1_000).service().power(Power::Off);
        let message = harness.message.clone().unwrap_or_default();
        assert!(
            !message.contains("another machine"),
            "{} ms: {message}",
            harness.at - off
        );
        harness.tick(3_500);
    }
}

/// Covers C2.
#[test]
fn a_host_found_off_is_believed_as_soon_as_it_is_down_in_nova_too() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(4_000).service().power(Power::Off);
    harness.tick(3_000).service().power(Power::Off);
    assert!(harness.state.proof.is_none(), "seven seconds are no silence");
    // The device is read again when the silence may be long enough, not continuously.
    harness.tick(1_000);
    assert!(!harness.reads_power());
    let mut requested = 0;
    while harness.state.proof.is_none() && harness.at < 30_000 {
        let due = harness.tick(500).reads_power() || harness.service().reads_power();
        if due {
            requested += 1;
            harness.service().power(Power::Off);
        }
    }
    assert!((11_000..=14_000).contains(&harness.at), "{} ms", harness.at);
    assert!(requested <= 4, "{requested}");
}

/// With `report_interval = 30` a heartbeat of 20 s is normal.
/// Covers R16.
#[test]
fn a_host_with_rare_heartbeats_is_silent_after_its_own_measured_interval() {
    let proven_at = |measured: bool, age: u64| {
        let mut harness = Harness::with("UNKNOWN", |policy| {
            policy.heartbeat_age = Duration::from_secs(if measured { 28 } else { 0 });
        })
        .begun();
        harness.heartbeat_age(age).service().power(Power::Off);
        harness.tick(3_000).service().power(Power::Off);
        harness.state.proof.is_some()
    };
    assert!(proven_at(false, 20_000), "as configured");
    assert!(
        !proven_at(true, 20_000),
        "its heartbeat may come within ten seconds"
    );
    assert!(!proven_at(true, 38_000));
    assert!(proven_at(true, 43_000));
}

/// Covers C2.
#[test]
fn an_order_whose_other_end_is_another_machine_needs_silence_too() {
    // Evidence of a fence permits an order while Nova still receives heartbeats.
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Ok(()));
    // The machine that was powered off is not the one that sends heartbeats.
    for _ in 0..5 {
        harness.tick(3_000).heartbeat_age(500).service().power(Power::Off);
        assert!(harness.state.proof.is_none(), "{} ms", harness.at);
    }
}

/// Covers C6.
#[test]
fn any_other_heartbeat_shows_the_host_up_whoever_dated_the_change() {
    // The API server that set forced_down is a minute ahead of the conductors.
    let mut harness = Harness::engine().planned(vec![server(1), server(2), server(3)]);
    harness.state.service.mark = Some(nova_time(harness.at + 100_000 + 60_000));
    harness.at += 10_000;
    harness.heartbeat_age(0).service();
    assert!(harness.state.proof.is_none());
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Alive)
    );
}

/// Covers C6.
#[test]
fn an_off_claim_is_not_discarded_by_a_heartbeat_dated_earlier() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    assert!(harness.state.proof.is_some());
    harness.service.last_heartbeat = Some(nova_time(harness.at + 160_000));
    harness.service.forced_down = true;
    harness.service.up = false;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    // Dated before the change, these may come from a copy that lags behind for as long as one is believed to.
    for _ in 0..15 {
        harness.at += 12_000;
        harness.service.last_heartbeat = Some(nova_time(harness.at + 60_000));
        harness.service();
        assert!(!harness.evacuates_any());
    }
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Alive)
    );
}

/// Returns the record as a lagging replica shows it, without our change.
fn lagging(harness: &Harness, before: &Service) -> Service {
    Service {
        nova_now: Some(nova_time(harness.at + 100_000)),
        ..before.clone()
    }
}

/// Covers C6.
#[test]
fn a_lagging_replica_is_neither_a_heartbeat_nor_a_clearing_by_another_client() {
    let mut harness = Harness::engine().proven();
    let before = harness.service.clone();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    let mark = harness.state.service.mark;
    assert!(mark.is_some());
    for _ in 0..10 {
        harness.at += 1_000;
        let stale = lagging(&harness, &before);
        harness
            .see(Observation::Service(Ok(Some(stale))))
            .power(Power::Off);
        assert!(harness.state.proof.is_some());
        assert!(harness.updates().is_none(), "it is not set again");
    }
    assert_eq!(harness.state.service.mark, mark);
}

/// Covers C6.
#[test]
fn the_heartbeat_is_not_noted_from_a_copy_that_lags_behind() {
    let mut harness = Harness::engine().proven();
    let before = harness.service.clone();
    harness.service.forced_down = true;
    harness.service.up = false;
    harness.heartbeat_age(0);
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    harness.at += 1;
    let stale = lagging(&harness, &before);
    harness.see(Observation::Service(Ok(Some(stale))));
    assert_eq!(harness.state.service.mark, None);
    harness.at += 1_000;
    harness.service();
    assert_eq!(harness.state.service.mark, harness.service.last_heartbeat);
    assert!(harness.state.proof.is_some(), "our own change is no heartbeat");
}

/// Nova reads the record at some time between request and answer, so a slow answer may show the host's own
/// heartbeat.
/// Covers R16.
#[test]
fn a_first_reading_is_dated_by_its_answer() {
    for (millis, is_noted) in [(7_000, true), (9_000, false)] {
        let mut harness = Harness::engine().proven();
        harness.service.forced_down = true;
        harness.service.up = false;
        harness.heartbeat_age(0);
        let service = harness.service.clone();
        harness.see(Observation::ServiceUpdated(Ok(service)));
        harness.at += millis;
        harness.service();
        assert_eq!(harness.state.service.mark.is_some(), is_noted, "{millis} ms");
    }
}

/// Returns a recovery in mode external, without evidence.
fn waiting() -> Harness {
    Harness::with("NORMAL", |policy| policy.fencing = FencingMode::External).begun()
}

/// Reads Nova, with a fixed last heartbeat, until `end` or a proof.
fn poll_until(harness: &mut Harness, end: u64) {
    while harness.at < end && harness.state.proof.is_none() {
        harness.tick(2_000).storm(1, 10).service();
    }
}

/// Covers C8, T1.
#[test]
fn without_evidence_normal_counts_once_the_heartbeat_has_stood_still_for_as_long_as_masakari_waits() {
    let mut harness = waiting();
    harness.heartbeat_age(20_000).service();
    poll_until(&mut harness, 178_000);
    assert!(harness.state.proof.is_none());
    let message = harness.message.clone().unwrap();
    assert!(message.contains("180 s, as Masakari waits"), "{message}");
    poll_until(&mut harness, 190_000);
    assert!(harness.state.proof.is_some());
}

/// Covers C8, T1.
#[test]
fn a_wait_shorter_than_a_second_ends_by_a_poll_of_its_own() {
    let mut harness = Harness::with("NORMAL", |policy| {
        policy.fencing = FencingMode::External;
        policy.bare_normal = BareNormal::Wait(Duration::from_millis(200));
    })
    .begun();
    let polls = |harness: &Harness| harness.requests(|command| *command == Command::ReadService);
    harness.heartbeat_age(20_000).service();
    harness.tick(100);
    assert!(!polls(&harness), "the heartbeat has not stood still long enough");
    harness.tick(100);
    assert!(polls(&harness));
    harness.service();
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
}

/// Covers C8, T1.
#[test]
fn a_heartbeat_restarts_the_wait() {
    let mut harness = waiting();
    harness.heartbeat_age(20_000).service();
    poll_until(&mut harness, 100_000);
    harness.tick(2_000).heartbeat_age(0).service();
    poll_until(&mut harness, 270_000);
    assert!(harness.state.proof.is_none(), "{:?}", harness.message);
}

/// Covers C8, T1.
#[test]
fn the_wait_continues_after_a_takeover() {
    let mut harness = waiting();
    harness.heartbeat_age(20_000).service();
    poll_until(&mut harness, 100_000);
    harness.take_over();
    poll_until(&mut harness, 190_000);
    assert!(harness.state.proof.is_some());
}

/// Covers C8.
#[test]
fn evidence_and_an_operators_confirmation_need_no_wait() {
    let mut harness = waiting();
    harness.heartbeat_age(20_000).service();
    poll_until(&mut harness, 10_000);
    assert!(harness.state.proof.is_none());
    harness
        .command(OperatorCommand::HostIsOff)
        .storm(1, 10)
        .service()
        .tick(100)
        .service();
    let proof = harness.state.proof.as_ref().unwrap();
    assert!(proof.sentence("h").contains("ada"), "{}", proof.sentence("h"));
}

/// Covers C8, T1.
#[test]
fn new_installations_refuse_normal_without_evidence() {
    let mut harness = Harness::with("NORMAL", |policy| {
        policy.fencing = FencingMode::External;
        policy.bare_normal = BareNormal::Refuse;
    });
    harness.claim();
    assert_eq!(harness.status, NotificationStatus::Ignored);
    let message = harness.message.clone().unwrap();
    assert!(message.contains("normal_without_evidence"), "{message}");
}

/// Covers T4.
#[test]
fn a_suspect_on_hold_ends_by_itself_when_it_is_up_in_nova_again() {
    let mut harness = Harness::engine();
    harness.claim().storm(5, 5);
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Storm)
    );
    while harness.at < 300_000 && harness.status == NotificationStatus::Running {
        let mut scanned = region(5, 5);
        for service in scanned.nova.as_mut().unwrap().services.values_mut().flatten() {
            service.last_heartbeat = Some(nova_time(100_000 + harness.at / 10_000 * 10_000));
            service.nova_now = Some(nova_time(105_000 + harness.at));
        }
        harness.region_later(scanned).tick(1_000);
    }
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!((119_000..=190_000).contains(&harness.at), "{} ms", harness.at);
    let message = harness.message.clone().unwrap();
    assert!(
        message.contains("it is not down, and nothing was done"),
        "{message}"
    );
    assert!(harness.contradicted);
    assert!(harness.dismissed, "a false alarm is no failure");
}

/// Covers T4.
#[test]
fn a_real_failure_held_by_false_reports_continues_when_those_hosts_are_up() {
    // The host itself is dead; Nova receives heartbeats from all others, or from none during the test.
    for (name, others, goes_on) in [("all live", 1_000, true), ("a switch has failed", 400_000, false)] {
        let mut scanned = region(5, 5);
        for (host, service) in &mut scanned.nova.as_mut().unwrap().services {
            let age = if host == HOST { 60_000 } else { others };
            service.as_mut().unwrap().last_heartbeat = Some(nova_time(105_000).minus_seconds(age / 1_000));
        }
        let mut harness = Harness::engine();
        harness.claim().storm(5, 5);
        assert!(harness.state.hold.is_some(), "{name}");
        for host in &mut scanned.hosts {
            host.recovering = host.name == HOST;
        }
        harness.region(scanned);
        while harness.at < 900_000 && harness.state.hold.is_some() {
            harness.tick(1_000);
        }
        assert_eq!(harness.state.hold.is_none(), goes_on, "{name}");
    }
}

/// Covers T4.
#[test]
fn a_suspect_on_hold_that_is_down_in_nova_waits_for_an_operator() {
    let mut scanned = region(5, 5);
    for service in scanned.nova.as_mut().unwrap().services.values_mut().flatten() {
        service.last_heartbeat = Some(nova_time(60_000));
    }
    let mut harness = Harness::engine();
    harness.claim().storm(5, 5).region(scanned);
    while harness.at < 1_000_000 {
        harness.tick(1_000);
    }
    assert!(harness.state.hold.is_some());
    assert_eq!(harness.status, NotificationStatus::Running);
}

/// Covers C11.
#[test]
fn an_order_without_an_answer_may_come_as_long_as_its_device_was_given() {
    for (call, quiet_after) in [(None, 80_000), (Some(300), 360_000)] {
        let mut harness = Harness::engine();
        harness.levels[0].devices[0].call = call.map(Duration::from_secs);
        let mut harness = harness.begun();
        harness.heartbeat_age(20_000).service().power(Power::On);
        assert!(harness.orders_off());
        let ordered = harness.at;
        harness.powered_off(Err(timeout()));
        let quiet = |millis: u64| {
            let policy = &harness.state.policy;
            harness
                .state
                .fence
                .has_no_pending_orders(Elapsed::from_millis(ordered + millis), policy)
        };
        assert!(!quiet(quiet_after - 1), "{call:?}");
        assert!(quiet(quiet_after), "{call:?}");
    }
}

/// It may have died since, and its real report may have joined.
/// Covers T4.
#[test]
fn a_report_is_given_up_right_after_a_heartbeat_and_not_between_two() {
    let mut harness = Harness::engine().begun();
    while harness.at < 125_000 {
        harness.heartbeat_age(6_000).service().power(Power::On);
        assert_eq!(harness.state.stage, Stage::Fencing, "{} ms", harness.at);
        harness.tick(2_500);
    }
    harness.heartbeat_age(500).service().power(Power::On);
    assert_eq!(
        harness.status,
        NotificationStatus::Failed,
        "{:?}",
        harness.message
    );
}

/// Covers T4.
#[test]
fn a_report_is_given_up_in_the_end_however_nova_is_looked_at() {
    let mut harness = Harness::engine().begun();
    while harness.status == NotificationStatus::Running && harness.at < 260_000 {
        harness
            .heartbeat_age(6_000)
            .service()
            .power(Power::On)
            .tick(2_500);
    }
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(harness.dismissed, "a false alarm is no failure");
    assert!((240_000..=250_000).contains(&harness.at), "{} ms", harness.at);
}

/// Covers R26.
#[test]
fn the_heartbeat_is_noted_from_a_record_that_shows_the_change() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    assert!(harness.state.proof.is_some());
    let mut changed = harness.service.clone();
    changed.forced_down = true;
    changed.up = false;
    // A heartbeat arrived in Nova's database before the change, and the copy does not show it yet.
    let copy = Service {
        last_heartbeat: Some(nova_time(harness.at + 95_000)),
        ..changed.clone()
    };
    changed.last_heartbeat = Some(nova_time(harness.at + 100_000));
    harness.see(Observation::ServiceUpdated(Ok(changed.clone())));
    harness.at += 1_000;
    harness.service = copy;
    harness.service();
    assert_eq!(harness.state.service.mark, None);
    harness.at += 2_000;
    harness.service = changed.clone();
    harness.service();
    assert_eq!(harness.state.service.mark, changed.last_heartbeat);
}
