//! Heartbeats of the suspect's own monitors as evidence against off claims (R15). The host is reported at 0 s.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bed::{Harness, levels, nova_time, region, server};
use crate::host_recovery::{HoldKind, Stage};
use crate::monitor::{BootHeartbeats, Heartbeat, MonitorKind};
use crate::policy::{BareNormal, FencingMode};
use crate::power::Power;
use crate::recovery::{OffClaim, OperatorCommand};

/// Returns the stored heartbeats received at these seconds, with ages at `bed.at`. The counters are the
/// monitors' own uptimes.
fn kept(bed: &Harness, seconds: &[u64], counters: &[u64]) -> BootHeartbeats {
    let beats = seconds.iter().zip(counters).map(|(at, up)| Heartbeat {
        up: Duration::from_secs(*up),
        received: nova_time(100_000 + at * 1_000),
        age: Duration::from_millis(bed.at.saturating_sub(at * 1_000)),
    });
    BootHeartbeats {
        reported: Some(nova_time(100_000)),
        monitors: BTreeMap::from([(MonitorKind::Instance, beats.collect())]),
    }
}

/// Answers a read of Nova without a heartbeat since the report, and a scan.
fn look<'a>(bed: &'a mut Harness, beats: &BootHeartbeats) -> &'a mut Harness {
    let mut region = region(1, 10);
    region.hosts[0].heartbeats = beats.clone();
    bed.service.last_heartbeat = Some(nova_time(100_000));
    bed.service.up = false;
    bed.around_later(region).service_now().tick(0)
}

fn look_at<'a>(bed: &'a mut Harness, seconds: &[u64]) -> &'a mut Harness {
    let beats = kept(bed, seconds, seconds);
    look(bed, &beats)
}

/// Checks each second, with heartbeats every 10 s in the given range, until confirmed off, on hold, or timed
/// out.
fn run(bed: &mut Harness, beating: std::ops::Range<u64>, until: u64) {
    while bed.at < until * 1_000 && bed.state.proof.is_none() && bed.state.hold.is_none() {
        bed.tick(1_000);
        let all: Vec<u64> = (beating.start..=bed.at / 1_000).step_by(10).collect();
        let came: Vec<u64> = all.into_iter().filter(|at| beating.contains(at)).collect();
        let last = &came[came.len().saturating_sub(4)..];
        look_at(bed, last);
    }
}

fn waiting(seconds: u64) -> Harness {
    let mut bed = Harness::with("NORMAL", |policy| {
        policy.fencing = FencingMode::External;
        policy.bare_normal = BareNormal::Wait(Duration::from_secs(seconds));
    });
    bed.around_later(region(1, 10));
    bed.begun()
}

/// Covers R15.
#[test]
fn continued_monitor_heartbeats_contradict_a_bare_normal() {
    for wait in [0, 30, 180] {
        let mut bed = waiting(wait);
        // The first check may precede their next heartbeat: with no wait nothing is known yet.
        let beats = kept(&bed, &[], &[]);
        if wait > 0 {
            look(&mut bed, &beats);
        }
        run(&mut bed, 1..1_000, 600);
        if wait == 0 {
            assert!(
                bed.at < 20_000 && bed.state.proof.is_some(),
                "as today: {} ms",
                bed.at
            );
            continue;
        }
        let hold = bed.state.hold.clone().unwrap();
        assert_eq!(hold.kind, HoldKind::Fence);
        let part = "its instance monitor sent heartbeats at 2023-11-14T22:16:";
        assert!(
            hold.reason.contains(part) && hold.reason.contains("so it runs"),
            "{}",
            hold.reason
        );
        assert!((90_000..=100_000).contains(&bed.at), "wait {wait}: {} ms", bed.at);
        assert!(bed.updates().is_none() && bed.state.proof.is_none());
        // Repeated reports do not change that.
        for again in 1..10 {
            bed.join_claim(OffClaim {
                dated: nova_time(bed.at + 100_000),
                arrived: Some(nova_time(bed.at + 100_000)),
                evidence: None,
            });
            bed.tick(61_000);
            let at = bed.at / 1_000;
            look_at(&mut bed, &[at - 19, at - 9]);
            assert!(bed.state.hold.is_some() && bed.state.proof.is_none(), "{again}");
        }
        // The monitors stop, and the report is repeated.
        let last = bed.at / 1_000;
        bed.tick(61_000);
        bed.join_claim(OffClaim {
            dated: nova_time(bed.at + 100_000),
            arrived: Some(nova_time(bed.at + 100_000)),
            evidence: None,
        });
        while bed.state.proof.is_none() && bed.at < (last + 300) * 1_000 {
            bed.tick(1_000);
            look_at(&mut bed, &[last - 20, last - 10]);
        }
        assert!(bed.state.proof.is_some(), "{:?}", bed.state.hold);
        assert!(
            bed.at >= (last + 90) * 1_000,
            "quiet for 100 s: {} ms, {last} s",
            bed.at
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
        let mut bed = waiting(3_600);
        bed.tick(190_000);
        let beats = kept(&bed, &seconds, &counters);
        look(&mut bed, &beats);
        let hold = bed.state.hold.as_ref();
        let runs = hold.is_some_and(|hold| hold.reason.contains("so it runs"));
        assert_eq!(runs, contradicted, "{case}: {:?}", bed.state.hold);
    }
    let mut bed = waiting(3_600);
    bed.tick(190_000);
    let mut unknown = kept(&bed, &[82, 92], &[500, 510]);
    unknown.reported = None;
    look(&mut bed, &unknown);
    assert!(bed.state.hold.is_none(), "no boot was known when it was reported");
}

/// Covers R15.
#[test]
fn a_late_report_is_contradicted_by_heartbeats_after_its_arrival() {
    let mut bed = waiting(3_600);
    bed.tick(50_000);
    let mut beats = kept(&bed, &[15, 25], &[15, 25]);
    bed.state.reported_at = Some(nova_time(100_000).minus_seconds(59));
    look(&mut bed, &beats);
    assert!(bed.state.hold.is_none(), "one came within 20 s");
    bed.tick(1_000);
    beats = kept(&bed, &[22, 32], &[22, 32]);
    look(&mut bed, &beats);
    assert!(bed.state.hold.is_some());
}

/// Covers R15.
#[test]
fn the_ordinary_recovery_is_not_slowed_by_monitors_that_died_with_the_host() {
    let mut bed = waiting(30);
    run(&mut bed, 0..1, 600);
    let with = bed.at;
    let mut bed = waiting(30);
    while bed.state.proof.is_none() {
        bed.tick(1_000);
        look(&mut bed, &BootHeartbeats::default());
    }
    assert_eq!(with, bed.at, "without monitors");
    // A delayed heartbeat delays a bare NORMAL and causes no hold.
    let mut bed = waiting(30);
    run(&mut bed, 25..26, 600);
    assert!(bed.state.proof.is_some(), "{:?}", bed.state.hold);
    assert!((120_000..=130_000).contains(&bed.at), "{} ms", bed.at);
}

/// A device that answers for another machine: its reading is discarded, and the next level confirms the host
/// off.
/// Covers R15.
#[test]
fn a_contradicted_reading_leads_to_the_next_level() {
    let mut bed = Harness::engine();
    bed.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut bed = bed.begun();
    bed.device("bmc", Power::Off);
    // Guards delay the proof for two minutes.
    bed.tick(120_000);
    look_at(&mut bed, &[90, 100]);
    bed.device("bmc", Power::Off);
    assert!(bed.state.proof.is_none(), "{:?}", bed.state.proof);
    assert_eq!(bed.asked_devices(), ["pdu"]);
    bed.tick(1_000);
    bed.device("pdu", Power::Off).tick(3_000);
    look_at(&mut bed, &[90, 100, 110]);
    bed.device("pdu", Power::Off);
    assert!(
        bed.state.proof.is_some(),
        "its reading is younger than all heartbeats: {:?}",
        bed.state.hold
    );
}

/// Covers R15.
#[test]
fn a_contradicted_device_counts_again_only_after_the_heartbeats_have_ended() {
    let mut bed = Harness::engine().begun();
    bed.device("bmc", Power::Off).tick(120_000);
    look_at(&mut bed, &[90, 100]);
    bed.device("bmc", Power::Off).tick(1_000);
    let hold = bed.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Fence);
    assert!(
        hold.reason.contains("its instance monitor sent heartbeats"),
        "{}",
        hold.reason
    );
    let mut beating = 100;
    while bed.state.proof.is_none() && bed.at < 900_000 {
        bed.tick(1_000);
        let at = bed.at / 1_000;
        if at < 400 && at.is_multiple_of(10) {
            beating = at;
        }
        look_at(&mut bed, &[beating - 10, beating]);
        bed.device("bmc", Power::Off);
    }
    assert!(bed.state.proof.is_some());
    assert!((490_000..=570_000).contains(&bed.at), "{} ms", bed.at);
}

/// Covers R15.
#[test]
fn continued_monitor_heartbeats_after_the_proof_end_all_further_evacuations() {
    let mut bed = Harness::engine().begun();
    look_at(&mut bed, &[]);
    for _ in 0..4 {
        bed.device("bmc", Power::Off);
        if bed.state.stage == Stage::Disabling {
            break;
        }
        bed.tick(3_000);
        look_at(&mut bed, &[1]);
    }
    assert_eq!(bed.state.stage, Stage::Disabling);
    bed.forced_down().service();
    bed.inventory(vec![server(1), server(2)], vec![]);
    let stood = bed.service.clone();
    while bed.at < 300_000 && bed.state.hold.is_none() {
        bed.tick(1_000);
        let at = bed.at / 1_000;
        let beats = kept(&bed, &[at.saturating_sub(10), at], &[at.saturating_sub(10), at]);
        let mut around = region(1, 10);
        around.hosts[0].heartbeats = beats;
        bed.service = stood.clone();
        bed.around_later(around).service();
    }
    let hold = bed.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Alive, "{}", hold.reason);
    assert!(
        hold.reason
            .contains("is alive: its instance monitor sent heartbeats"),
        "{}",
        hold.reason
    );
    assert!((93_000..=105_000).contains(&bed.at), "{} ms", bed.at);
    assert!(bed.state.proof.is_none());
}

/// Covers R15.
#[test]
fn only_an_operator_who_saw_the_heartbeats_overrides_them() {
    for shown in [true, false] {
        let mut bed = waiting(180);
        if shown {
            run(&mut bed, 1..1_000, 600);
            bed.tick(5_000);
        } else {
            bed.tick(5_000);
            look_at(&mut bed, &[1]);
        }
        bed.command(OperatorCommand::HostIsOff);
        let said = bed.at / 1_000;
        assert_eq!(bed.state.guard.heartbeats.overridden, shown);
        bed.tick(30_000);
        look_at(&mut bed, &[said + 10, said + 21, said + 30]);
        assert_eq!(bed.state.proof.is_some(), shown, "{:?}", bed.state.hold);
        if shown {
            bed.take_over();
            assert!(bed.state.guard.heartbeats.overridden, "it is not forgotten");
        } else {
            run(&mut bed, 6..1_000, 600);
            assert!(bed.state.proof.is_none() && bed.state.hold.is_some());
        }
    }
}

/// Covers R15.
#[test]
fn contradictions_survive_a_takeover() {
    let mut bed = waiting(30);
    run(&mut bed, 1..1_000, 600);
    let before = bed.state.guard.heartbeats.clone();
    assert!(before.shown.is_some());
    bed.take_over();
    assert_eq!(bed.state.guard.heartbeats, before);
}
