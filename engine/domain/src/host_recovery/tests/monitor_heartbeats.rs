//! Heartbeats of the suspect's own monitors as evidence against off claims (R15). The host is reported at 0 s.

use std::collections::BTreeMap;
use std::time::Duration;

use super::harness::{Harness, levels, nova_time, region, server};
use crate::host_recovery::{HoldKind, Stage};
use crate::monitor::{BootHeartbeats, Heartbeat, MonitorKind};
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{Observation, OffClaim, OperatorCommand};

/// Returns the stored heartbeats received at these seconds, with ages at `harness.at`. The counters are the
/// monitors' own uptimes.
fn kept(harness: &Harness, seconds: &[u64], counters: &[u64]) -> BootHeartbeats {
    let beats = seconds.iter().zip(counters).map(|(at, up)| Heartbeat {
        up: Duration::from_secs(*up),
        received: nova_time(100_000 + at * 1_000),
        age: Duration::from_millis(harness.at.saturating_sub(at * 1_000)),
    });
    BootHeartbeats {
        reported: Some(nova_time(100_000)),
        monitors: BTreeMap::from([(MonitorKind::Instance, beats.collect())]),
    }
}

/// Answers a read of Nova without a heartbeat since the report, and a scan.
fn poll<'a>(harness: &'a mut Harness, beats: &BootHeartbeats) -> &'a mut Harness {
    let mut region = region(1, 10);
    region.hosts[0].heartbeats = beats.clone();
    harness.service.last_heartbeat = Some(nova_time(100_000));
    harness.service.up = false;
    harness.region_later(region).service_now().tick(0)
}

fn poll_with<'a>(harness: &'a mut Harness, seconds: &[u64]) -> &'a mut Harness {
    let beats = kept(harness, seconds, seconds);
    poll(harness, &beats)
}

/// Checks each second, with heartbeats every 10 s in the given range, until confirmed off, on hold, or timed
/// out.
fn run(harness: &mut Harness, beating: std::ops::Range<u64>, until: u64) {
    while harness.at < until * 1_000 && harness.state.proof.is_none() && harness.state.hold.is_none() {
        harness.tick(1_000);
        let all: Vec<u64> = (beating.start..=harness.at / 1_000).step_by(10).collect();
        let came: Vec<u64> = all.into_iter().filter(|at| beating.contains(at)).collect();
        let last = &came[came.len().saturating_sub(4)..];
        poll_with(harness, last);
    }
}

fn waiting(seconds: u64) -> Harness {
    let mut harness = Harness::with("NORMAL", |policy| {
        policy.fencing = FencingMode::External;
        policy.bare_normal = BareNormal::Wait(Duration::from_secs(seconds));
    });
    harness.region_later(region(1, 10));
    harness.begun()
}

/// Covers R15.
#[test]
fn continued_monitor_heartbeats_contradict_a_bare_normal() {
    for wait in [0, 30, 180] {
        let mut harness = waiting(wait);
        // The first check may precede their next heartbeat: with no wait nothing is known yet.
        let beats = kept(&harness, &[], &[]);
        if wait > 0 {
            poll(&mut harness, &beats);
        }
        run(&mut harness, 1..1_000, 600);
        if wait == 0 {
            assert!(
                harness.at < 20_000 && harness.state.proof.is_some(),
                "as today: {} ms",
                harness.at
            );
            continue;
        }
        let hold = harness.state.hold.clone().unwrap();
        assert_eq!(hold.kind, HoldKind::Fence);
        let part = "its instance monitor sent heartbeats at 2023-11-14T22:16:";
        assert!(
            hold.reason.contains(part) && hold.reason.contains("so the host runs"),
            "{}",
            hold.reason
        );
        assert!(
            (90_000..=100_000).contains(&harness.at),
            "wait {wait}: {} ms",
            harness.at
        );
        assert!(harness.updates().is_none() && harness.state.proof.is_none());
        // Repeated reports do not change that.
        for again in 1..10 {
            harness.join_claim(OffClaim {
                dated: nova_time(harness.at + 100_000),
                arrived: Some(nova_time(harness.at + 100_000)),
                evidence: None,
            });
            harness.tick(61_000);
            let at = harness.at / 1_000;
            poll_with(&mut harness, &[at - 19, at - 9]);
            assert!(
                harness.state.hold.is_some() && harness.state.proof.is_none(),
                "{again}"
            );
        }
        // The monitors stop, and the report is repeated.
        let last = harness.at / 1_000;
        harness.tick(61_000);
        harness.join_claim(OffClaim {
            dated: nova_time(harness.at + 100_000),
            arrived: Some(nova_time(harness.at + 100_000)),
            evidence: None,
        });
        while harness.state.proof.is_none() && harness.at < (last + 300) * 1_000 {
            harness.tick(1_000);
            poll_with(&mut harness, &[last - 20, last - 10]);
        }
        assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
        assert!(
            harness.at >= (last + 90) * 1_000,
            "quiet for 100 s: {} ms, {last} s",
            harness.at
        );
    }
}

/// No other condition may hold the recovery.
/// Covers R15.
#[test]
fn each_condition_of_a_contradiction_is_needed() {
    for (case, seconds, counters, contradicted) in [
        ("two that count", [82, 92], [500, 510], true),
        ("counters that are 8 s apart", [82, 83], [500, 508], true),
        ("counters that are closer", [82, 183], [500, 507], false),
        (
            "one of them before the date and 80 s",
            [80, 95],
            [500, 515],
            false,
        ),
        ("both before", [60, 70], [500, 510], false),
    ] {
        let mut harness = waiting(3_600);
        harness.tick(190_000);
        let beats = kept(&harness, &seconds, &counters);
        poll(&mut harness, &beats);
        let hold = harness.state.hold.as_ref();
        let runs = hold.is_some_and(|hold| hold.reason.contains("so the host runs"));
        assert_eq!(runs, contradicted, "{case}: {:?}", harness.state.hold);
    }
    let mut harness = waiting(3_600);
    harness.tick(190_000);
    let mut unknown = kept(&harness, &[82, 92], &[500, 510]);
    unknown.reported = None;
    poll(&mut harness, &unknown);
    assert!(
        harness.state.hold.is_none(),
        "no boot was known when it was reported"
    );
}

/// Covers R15.
#[test]
fn a_late_report_is_contradicted_by_heartbeats_after_its_arrival() {
    let mut harness = waiting(3_600);
    harness.tick(50_000);
    let mut beats = kept(&harness, &[15, 25], &[15, 25]);
    harness.state.reported_at = Some(nova_time(100_000).minus_seconds(59));
    poll(&mut harness, &beats);
    assert!(harness.state.hold.is_none(), "one came within 20 s");
    harness.tick(1_000);
    beats = kept(&harness, &[22, 32], &[22, 32]);
    poll(&mut harness, &beats);
    assert!(harness.state.hold.is_some());
}

/// Covers R15.
#[test]
fn the_ordinary_recovery_is_not_slowed_by_monitors_that_died_with_the_host() {
    let mut harness = waiting(30);
    run(&mut harness, 0..1, 600);
    let with = harness.at;
    let mut harness = waiting(30);
    while harness.state.proof.is_none() {
        harness.tick(1_000);
        poll(&mut harness, &BootHeartbeats::default());
    }
    assert_eq!(with, harness.at, "without monitors");
    // A delayed heartbeat delays a bare NORMAL and causes no hold.
    let mut harness = waiting(30);
    run(&mut harness, 25..26, 600);
    assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
    assert!((120_000..=130_000).contains(&harness.at), "{} ms", harness.at);
}

/// A device that answers for another machine: its reading is discarded, and the next level confirms the host
/// off.
/// Covers R15.
#[test]
fn a_contradicted_reading_leads_to_the_next_level() {
    let mut harness = Harness::engine();
    harness.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut harness = harness.begun();
    harness.device("bmc", Power::Off);
    // Guards delay the proof for two minutes.
    harness.tick(120_000);
    poll_with(&mut harness, &[90, 100]);
    harness.device("bmc", Power::Off);
    assert!(harness.state.proof.is_none(), "{:?}", harness.state.proof);
    assert_eq!(harness.queries(), ["pdu"]);
    harness.tick(1_000);
    harness.device("pdu", Power::Off).tick(3_000);
    poll_with(&mut harness, &[90, 100, 110]);
    harness.device("pdu", Power::Off);
    assert!(
        harness.state.proof.is_some(),
        "its reading is younger than all heartbeats: {:?}",
        harness.state.hold
    );
}

/// Covers R15.
#[test]
fn a_contradicted_device_counts_again_only_after_the_heartbeats_have_ended() {
    let mut harness = Harness::engine().begun();
    harness.device("bmc", Power::Off).tick(120_000);
    poll_with(&mut harness, &[90, 100]);
    harness.device("bmc", Power::Off).tick(1_000);
    let hold = harness.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Fence);
    assert!(
        hold.reason.contains("its instance monitor sent heartbeats"),
        "{}",
        hold.reason
    );
    let mut beating = 100;
    while harness.state.proof.is_none() && harness.at < 900_000 {
        harness.tick(1_000);
        let at = harness.at / 1_000;
        if at < 400 && at.is_multiple_of(10) {
            beating = at;
        }
        poll_with(&mut harness, &[beating - 10, beating]);
        harness.device("bmc", Power::Off);
    }
    assert!(harness.state.proof.is_some());
    assert!((490_000..=570_000).contains(&harness.at), "{} ms", harness.at);
}

/// Covers R15.
#[test]
fn continued_monitor_heartbeats_after_the_proof_end_all_further_evacuations() {
    let mut harness = Harness::engine().begun();
    poll_with(&mut harness, &[]);
    for _ in 0..4 {
        harness.device("bmc", Power::Off);
        if harness.state.stage == Stage::Disabling {
            break;
        }
        harness.tick(3_000);
        poll_with(&mut harness, &[1]);
    }
    assert_eq!(harness.state.stage, Stage::Disabling);
    harness.forced_down().service();
    harness.inventory(vec![server(1), server(2)], vec![]);
    let stood = harness.service.clone();
    while harness.at < 300_000 && harness.state.hold.is_none() {
        harness.tick(1_000);
        let at = harness.at / 1_000;
        let beats = kept(
            &harness,
            &[at.saturating_sub(10), at],
            &[at.saturating_sub(10), at],
        );
        let mut scanned = region(1, 10);
        scanned.hosts[0].heartbeats = beats;
        harness.service = stood.clone();
        harness.region_later(scanned).service();
    }
    let hold = harness.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Alive, "{}", hold.reason);
    assert!(
        hold.reason
            .contains("is alive: its instance monitor sent heartbeats"),
        "{}",
        hold.reason
    );
    assert!((93_000..=105_000).contains(&harness.at), "{} ms", harness.at);
    assert!(harness.state.proof.is_none());
}

/// Covers R15.
#[test]
fn only_an_operator_who_saw_the_heartbeats_overrides_them() {
    for shown in [true, false] {
        let mut harness = waiting(180);
        if shown {
            run(&mut harness, 1..1_000, 600);
            harness.tick(5_000);
        } else {
            harness.tick(5_000);
            poll_with(&mut harness, &[1]);
        }
        harness.command(OperatorCommand::HostIsOff);
        let claimed_at = harness.at / 1_000;
        assert_eq!(harness.state.guard.heartbeats.overridden, shown);
        harness.tick(30_000);
        poll_with(&mut harness, &[claimed_at + 10, claimed_at + 21, claimed_at + 30]);
        assert_eq!(harness.state.proof.is_some(), shown, "{:?}", harness.state.hold);
        if shown {
            harness.take_over();
            assert!(harness.state.guard.heartbeats.overridden, "it is not forgotten");
        } else {
            run(&mut harness, 6..1_000, 600);
            assert!(harness.state.proof.is_none() && harness.state.hold.is_some());
        }
    }
}

/// Covers R15.
#[test]
fn contradictions_survive_a_takeover() {
    let mut harness = waiting(30);
    run(&mut harness, 1..1_000, 600);
    let before = harness.state.guard.heartbeats.clone();
    assert!(before.shown.is_some());
    harness.take_over();
    assert_eq!(harness.state.guard.heartbeats, before);
}

/// Covers R15, R26.
#[test]
fn an_override_ends_with_its_confirmation() {
    let mut harness = waiting(180);
    run(&mut harness, 1..1_000, 600);
    harness.tick(5_000).command(OperatorCommand::HostIsOff);
    assert!(harness.state.guard.heartbeats.overridden);
    harness.see(Observation::FencingStopped(true));
    for _ in 0..122 {
        harness.tick(1_000);
    }
    assert!(harness.state.confirmation.is_none());
    harness.see(Observation::FencingStopped(false));
    for _ in 0..60 {
        harness.tick(5_000);
        let at = harness.at / 1_000;
        poll_with(&mut harness, &[at - 19, at - 9]);
        assert!(harness.state.proof.is_none(), "at {at} s: {:?}", harness.message);
    }
}
