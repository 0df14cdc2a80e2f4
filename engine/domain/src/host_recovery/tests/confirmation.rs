//! The silence in Nova that a proof or an operator's confirmation requires (R26).

use super::harness::{Harness, fault, nova_time, region};
use crate::fault::FaultClass;
use crate::guard::{Guard, Region};
use crate::host_recovery::HoldKind;
use crate::machine_id::MachineId;
use crate::power::{Power, PowerReading};
use crate::recovery::{Observation, OperatorCommand};
use crate::{Elapsed, Timestamp};

/// Returns a recovery whose host was not polled before.
fn unwatched(mut harness: Harness) -> Harness {
    harness.watched = false;
    harness.begun()
}

/// Returns a scan with this number of other hosts with recent heartbeats; the rest have old ones.
fn region_up(count: usize) -> Region {
    let mut scanned = region(1, 10);
    let nova = scanned.nova.as_mut().unwrap();
    for service in nova.services.values_mut().flatten() {
        let number: usize = service.host.rsplit('-').next().unwrap().parse().unwrap();
        if number > count + 1 {
            let late = nova_time(0).micros() - 400_000_000;
            service.last_heartbeat = Some(Timestamp::from_micros(late));
        }
    }
    scanned
}

/// Sets the age of the last heartbeat.
fn heartbeat(harness: &mut Harness, seconds_ago: u64) {
    harness.heartbeat_age(seconds_ago * 1_000);
}

/// Polls Nova, all hosts and this device after a second. Returns true if the device then gets a power-off command.
fn second(harness: &mut Harness, says: Power) -> bool {
    harness.at += 1_000;
    let mut ordered = harness.service().orders_off();
    ordered |= harness.tick(0).orders_off();
    ordered |= harness.power(says).orders_off();
    ordered
}

fn waits_for(harness: &Harness) -> Vec<Guard> {
    let waiting = harness.state.guard.waiting.iter();
    waiting
        .flat_map(|waiting| waiting.guards.iter().copied())
        .collect()
}

/// Returns the second in which the condition is first true.
fn first(seconds: u64, mut is_so: impl FnMut(u64) -> bool) -> Option<u64> {
    (1..=seconds).find(|number| is_so(*number))
}

fn dead_device(harness: &mut Harness) {
    harness.power_fails(fault(Some(401), FaultClass::Fatal, false));
}

/// Covers R26.
#[test]
fn a_host_that_reads_on_is_powered_off_once_its_heartbeat_has_stopped() {
    let mut harness = unwatched(Harness::engine());
    // Nova shows the heartbeat as stale at once, but the engine must see that it does not change.
    heartbeat(&mut harness, 60);
    let ordered = first(60, |_| second(&mut harness, Power::On));
    assert!(matches!(ordered, Some(15..=18)), "{ordered:?}");
}

/// Covers R26.
#[test]
fn what_its_engine_has_watched_before_counts() {
    let mut harness = unwatched(Harness::engine());
    heartbeat(&mut harness, 60);
    harness.watched = true;
    let ordered = first(60, |_| second(&mut harness, Power::On));
    assert!(matches!(ordered, Some(1..=2)), "{ordered:?}");
}

/// A replica with a constant lag shows every heartbeat as old, but it does show every one.
/// Covers R26.
#[test]
fn a_constant_lag_of_nova_powers_off_no_running_host() {
    for lag in [16, 20, 60] {
        let mut harness = unwatched(Harness::engine());
        for number in 0..300_u64 {
            let sent = (harness.at + 101_000) / 10_000 * 10_000;
            harness.service.last_heartbeat = Some(nova_time(sent - lag * 1_000));
            assert!(!second(&mut harness, Power::On), "lag {lag}, second {number}");
        }
    }
}

/// Covers R26.
#[test]
fn silence_counts_only_a_minute_after_an_outage_of_nova() {
    for (others, guard) in [(0, Guard::Observer), (3, Guard::AllStale)] {
        let mut harness = unwatched(Harness::engine());
        harness.region_later(region_up(others));
        heartbeat(&mut harness, 60);
        for _ in 0..40 {
            assert!(!second(&mut harness, Power::On));
        }
        if others > 0 {
            assert_eq!(waits_for(&harness), [guard], "{:?}", harness.message);
        }
        // Nova receives the other hosts' heartbeats again, but not yet this one's.
        harness.region_later(region(1, 10));
        let ordered = first(120, |_| second(&mut harness, Power::On));
        assert!(matches!(ordered, Some(70..=74)), "{others}: {ordered:?}");
    }
}

/// Covers R26.
#[test]
fn an_operator_who_approves_past_g2_overrides_an_outage_of_nova() {
    let mut harness = unwatched(Harness::engine());
    harness.region_later(region_up(3));
    heartbeat(&mut harness, 60);
    for _ in 0..100 {
        assert!(!second(&mut harness, Power::On));
    }
    harness.command(OperatorCommand::Approve);
    let ordered = first(120, |_| second(&mut harness, Power::On));
    assert!(
        matches!(ordered, Some(60..=74)),
        "the hosts never come back: {ordered:?}"
    );
}

/// Seed 920007859 of the simulation.
/// Covers R26.
#[test]
fn an_operators_confirmation_does_not_count_right_after_an_outage_of_nova() {
    let mut harness = unwatched(Harness::engine());
    heartbeat(&mut harness, 20);
    for _ in 0..20 {
        harness.at += 1_000;
        harness.service();
        dead_device(&mut harness);
    }
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
    harness
        .region_later(region_up(0))
        .command(OperatorCommand::HostIsOff);
    let step = |harness: &mut Harness| {
        harness.at += 1_000;
        harness.service().tick(0);
        dead_device(harness);
        harness.tick(0);
        harness.state.proof.is_some()
    };
    for _ in 0..40 {
        assert!(!step(&mut harness));
    }
    // The host was powered on from outside. The other hosts' heartbeats have arrived; its first one is not due
    // yet.
    harness.region_later(region(1, 10));
    for _ in 0..12 {
        assert!(!step(&mut harness), "{:?}", harness.message);
    }
    // It is off after all: no later heartbeat arrives.
    let believed = first(120, |_| step(&mut harness));
    assert!(matches!(believed, Some(57..=62)), "{believed:?}");
}

/// Covers R26.
#[test]
fn an_off_claim_of_a_report_does_not_count_right_after_an_outage_of_nova() {
    let mut harness = unwatched(Harness::external());
    heartbeat(&mut harness, 20);
    harness.region_later(region_up(3));
    for _ in 0..40 {
        second(&mut harness, Power::Unknown);
        assert!(harness.state.proof.is_none());
    }
    harness.region_later(region(1, 10));
    let believed = first(120, |_| {
        second(&mut harness, Power::Unknown);
        harness.state.proof.is_some()
    });
    assert!(matches!(believed, Some(70..=74)), "{believed:?}");
}

fn off(harness: &mut Harness, machine: Option<&str>) {
    let reading = PowerReading {
        power: Power::Off,
        raw: "off".into(),
        device: "bmc".into(),
        at: Timestamp::from_micros(0),
        machine: machine.map(|text| text.parse::<MachineId>().unwrap()),
    };
    harness.see(Observation::Power {
        target: super::harness::target("bmc"),
        started: Elapsed::from_millis(harness.at),
        waited: std::time::Duration::ZERO,
        result: Ok(reading),
    });
}

/// Covers R26.
#[test]
fn a_device_with_an_identity_needs_one_scan_and_others_need_lasting_silence() {
    for (machine, from, to) in [(Some("guid=a"), 3, 5), (None, 15, 18)] {
        let mut harness = unwatched(Harness::engine());
        heartbeat(&mut harness, 60);
        let proven = first(60, |_| {
            harness.at += 1_000;
            harness.service().tick(0);
            off(&mut harness, machine);
            harness.state.proof.is_some()
        });
        assert!(
            proven.is_some_and(|number| (from..=to).contains(&number)),
            "{machine:?}: {proven:?}"
        );
    }
}

/// Covers R26.
#[test]
fn a_heartbeat_that_moves_after_the_first_reading_voids_both() {
    let mut harness = Harness::engine().begun();
    heartbeat(&mut harness, 60);
    harness.service().power(Power::Off);
    // A lagging replica: the heartbeat is old, and it has changed.
    harness.tick(2_000);
    heartbeat(&mut harness, 50);
    harness.service().tick(1_000).power(Power::Off);
    assert!(harness.state.proof.is_none(), "both begin again");
    harness.service().power(Power::Off).tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
}

/// Covers R26.
#[test]
fn a_confirmation_blocked_for_two_minutes_by_anything_but_silence_is_requested_again() {
    let mut harness = Harness::engine().begun();
    heartbeat(&mut harness, 60);
    harness.service().command(OperatorCommand::HostIsOff);
    harness.see(Observation::FencingStopped(true));
    for _ in 0..118 {
        harness.tick(1_000);
        assert!(harness.state.confirmation.is_some(), "at {}", harness.at);
    }
    harness.tick(2_000);
    assert!(harness.state.confirmation.is_none());
    let hold = harness.state.hold.clone().unwrap();
    assert!(
        hold.kind == HoldKind::Fence && hold.reason.contains("confirm it again"),
        "{}",
        hold.reason
    );
}

/// Covers R26.
#[test]
fn a_confirmation_expires_ten_minutes_after_it_was_given_by_the_databases_clock() {
    let mut harness = Harness::engine().begun();
    heartbeat(&mut harness, 60);
    harness.service().command(OperatorCommand::HostIsOff);
    // The device's own delay does not count.
    for _ in 0..300 {
        harness.tick(1_000);
        assert!(harness.state.confirmation.is_some(), "at {}", harness.at);
    }
    harness.operator_state.clock = Some(nova_time(harness.at + 100_000 + 301_000));
    let operator_state = harness.operator_state.clone();
    harness.see(Observation::OperatorState(operator_state));
    assert!(harness.state.confirmation.is_none());
    // A confirmation that arrives after its expiry never counts.
    harness.command(OperatorCommand::HostIsOff);
    let mut late = harness.operator_state.clone();
    late.word = late.word.map(|request| crate::recovery::OperatorRequest {
        number: request.number + 1,
        at: nova_time(harness.at),
        ..request
    });
    late.clock = Some(nova_time(harness.at + 601_000));
    harness.see(Observation::OperatorState(late));
    assert!(harness.state.confirmation.is_none());
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
}

/// Covers R26.
#[test]
fn a_new_owner_counts_only_its_own_observations() {
    let mut harness = unwatched(Harness::engine());
    heartbeat(&mut harness, 60);
    for _ in 0..10 {
        assert!(!second(&mut harness, Power::On));
    }
    harness.take_over();
    let ordered = first(60, |_| second(&mut harness, Power::On));
    assert!(matches!(ordered, Some(15..=19)), "{ordered:?}");
}

/// Mode external.
/// Covers R26.
#[test]
fn an_expired_confirmation_makes_the_report_no_younger() {
    let mut harness = Harness::external();
    // It ran for a while after the report, which guards held.
    harness.region_later(region(5, 10)).claim();
    for _ in 0..20 {
        harness.at += 10_000;
        harness.heartbeat_age(0).service().tick(0);
    }
    harness
        .command(OperatorCommand::Approve)
        .region_later(region(1, 10));
    for _ in 0..40 {
        harness.service().tick(10_000);
    }
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence),
        "its heartbeat is later than the report"
    );
    harness.command(OperatorCommand::HostIsOff);
    harness.see(Observation::FencingStopped(true));
    for _ in 0..121 {
        harness.tick(1_000);
    }
    assert!(harness.state.confirmation.is_none());
    harness.see(Observation::FencingStopped(false));
    for _ in 0..60 {
        harness.tick(10_000).service();
        assert!(
            harness.state.proof.is_none(),
            "at {}: {:?}",
            harness.at,
            harness.message
        );
    }
    let hold = harness.state.hold.clone().unwrap();
    assert!(hold.reason.contains("confirm it again"), "{}", hold.reason);
    // A new one is believed, and its date counts for the proof.
    harness.command(OperatorCommand::HostIsOff);
    for _ in 0..20 {
        harness.tick(1_000).service();
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
    assert!(harness.state.off_claim.is_some());
}

/// No engine was there to hear it.
/// Covers R26.
#[test]
fn a_confirmation_that_is_heard_late_is_requested_again() {
    for (waited, counts) in [(60_000, true), (121_000, false)] {
        let mut harness = Harness::engine().begun();
        heartbeat(&mut harness, 60);
        harness.service();
        harness.operator_state.clock = Some(nova_time(harness.at + 100_000 + waited));
        harness.command(OperatorCommand::HostIsOff);
        assert_eq!(harness.state.confirmation.is_some(), counts, "{waited}");
        let reads_power = |harness: &Harness| {
            let hold = harness.state.hold.as_ref();
            hold.is_some_and(|hold| hold.reason.contains("confirm it again"))
        };
        assert_eq!(reads_power(&harness), !counts, "{waited}");
    }
}

/// Nova first shows it up, as it does for a while after a failure.
#[test]
fn the_reason_to_wait_follows_what_nova_shows() {
    let mut harness = unwatched(Harness::engine());
    harness.heartbeat_age(5_000).service().power(Power::On);
    harness.tick(4_000);
    let message = harness.message.clone().unwrap_or_default();
    assert!(message.contains("Nova shows it up"), "{message:?}");
    harness.service.up = false;
    harness.heartbeat_age(16_000).service().power(Power::On);
    let message = harness.message.clone().unwrap_or_default();
    assert!(
        message.contains("that counts once it has sent none"),
        "{message:?}"
    );
}
