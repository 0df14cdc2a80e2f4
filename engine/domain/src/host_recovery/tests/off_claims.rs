//! The reports' off claims, and later heartbeats in Nova.

use super::harness::{Harness, nova_time, region};
use crate::Timestamp;
use crate::entity::notification::NotificationStatus;
use crate::evidence::{FenceEvidence, GivenEvidence};
use crate::guard::Region;
use crate::host_recovery::{HoldKind, HostRecovery};
use crate::nova::Service;
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::OffClaim;
use crate::recovery::{Observation, OperatorCommand};

/// Returns an off claim with evidence that a cluster fenced the host at that time.
pub(super) fn fenced(at: Timestamp) -> OffClaim {
    let json = include_bytes!("../../../../../docs/examples/fence-evidence.json");
    let mut evidence = FenceEvidence::from_json(json).unwrap();
    (evidence.completed_at, evidence.observed_at) = (at, at);
    let given = GivenEvidence {
        evidence,
        by: "bridge".into(),
        generated: at,
        arrived: at,
    };
    OffClaim {
        arrived: None,
        dated: given.dated(),
        evidence: Some(Box::new(given)),
    }
}

/// Returns an off claim without evidence, dated at that time, of an operator or a joined report.
fn bare_claim(at: Timestamp) -> OffClaim {
    OffClaim {
        arrived: None,
        dated: at,
        evidence: None,
    }
}

/// Returns a recovery reported at 100 s of Nova's clock.
fn external() -> Harness {
    Harness::external().begun()
}

/// Passes `millis`, with a last heartbeat 20 s old. Returns true if that gives a proof.
fn silent_after(harness: &mut Harness, millis: u64) -> bool {
    harness.at += millis;
    harness.heartbeat_age(20_000).service_now().storm(1, 10).tick(0);
    harness.state.proof.is_some()
}

/// Covers R16.
#[test]
fn a_report_delivered_late_is_no_proof_after_a_newer_heartbeat_in_nova() {
    // The heartbeat is 20 s older than the check: at its report or up to 60 s later, the allowed clock
    // difference.
    for (after, proven) in [(10_000, true), (79_000, true), (81_000, false), (600_000, false)] {
        assert_eq!(silent_after(&mut external(), after), proven, "{after} ms");
    }
}

/// Covers R29.
#[test]
fn a_bare_normal_releases_no_instance_of_another_recovery() {
    let mut harness = external();
    assert!(silent_after(&mut harness, 10_000));
    assert!(
        !harness.state.is_proven_off(),
        "it is evacuated, and shows nothing to others"
    );
    let mut harness = external();
    harness.join_claim(fenced(nova_time(100_000)));
    assert!(silent_after(&mut harness, 10_000));
    assert!(harness.state.is_proven_off());
}

/// Passes time with a heartbeat that appears later than the report and is now stale. Returns true if the
/// recovery waits for an operator.
fn outlived_and_missed(harness: &mut Harness) -> bool {
    for _ in 0..600 {
        harness.tick(1_000).service();
        if harness.state.hold.is_some() {
            return harness
                .state
                .hold
                .as_ref()
                .is_some_and(|hold| hold.kind == HoldKind::Fence);
        }
    }
    false
}

/// A change of the service record by another client looks like a heartbeat (seed 30061183).
/// Covers R16.
#[test]
fn one_heartbeat_after_the_report_does_not_end_the_recovery_of_a_silent_host() {
    let on_hold = || {
        let mut harness = external();
        harness.storm(1, 10).at += 90_000;
        harness.heartbeat_age(5_000);
        assert!(outlived_and_missed(&mut harness), "{:?}", harness.message);
        let why = harness.message.clone().unwrap();
        assert!(
            why.contains("later than") && why.contains("confirm that it is off"),
            "{why}"
        );
        assert_eq!(harness.status, NotificationStatus::Running);
        harness
    };
    // A newer report ends the hold.
    let mut harness = on_hold();
    harness.join_claim(fenced(nova_time(harness.at + 100_000)));
    for _ in 0..5 {
        harness.service().tick(1_000);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
    // But not while fencing is stopped.
    let mut harness = on_hold();
    harness.see(Observation::FencingStopped(true));
    harness.join_claim(fenced(nova_time(harness.at + 100_000)));
    for stopped in [true, false] {
        harness.see(Observation::FencingStopped(stopped));
        for _ in 0..5 {
            harness.service().tick(1_000);
        }
        assert_eq!(harness.state.hold.is_some(), stopped, "{:?}", harness.message);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
    // An operator's confirmation ends the hold.
    let mut harness = on_hold();
    harness.command(OperatorCommand::HostIsOff);
    for _ in 0..5 {
        harness.service().tick(1_000);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
    // Heartbeats of the host resume.
    let mut harness = on_hold();
    for _ in 0..300 {
        if harness.at % 10_000 == 0 {
            harness.heartbeat_age(0);
        }
        let region = recent_heartbeats(&harness);
        harness.service().region(region).tick(1_000);
    }
    assert_eq!(
        harness.status,
        NotificationStatus::Failed,
        "so that a new report counts"
    );
}

/// Returns a scan that contains this host's current heartbeat.
fn recent_heartbeats(harness: &Harness) -> Region {
    let mut region = region(1, 10);
    let service = Service {
        nova_now: Some(nova_time(harness.at + 100_000)),
        ..harness.service.clone()
    };
    let services = &mut region.nova.as_mut().unwrap().services;
    services.insert(service.host.clone(), Some(service));
    region
}

/// Covers R16.
#[test]
fn a_later_report_that_joins_counts_as_of_its_own_time() {
    let mut harness = external();
    assert!(!silent_after(&mut harness, 90_000));
    // Dated at Nova's last heartbeat of it.
    let dated = nova_time(harness.at + 80_000);
    harness.join_claim(bare_claim(dated));
    assert!(silent_after(&mut harness, 0));
}

/// Covers R18.
#[test]
fn evidence_is_dated_by_the_fence_and_not_by_its_report() {
    for (fence, proven) in [(90_000, true), (1_000, false)] {
        let mut harness = external();
        harness.join_claim(fenced(nova_time(fence)));
        assert_eq!(
            silent_after(&mut harness, 10_000),
            proven,
            "fenced at {fence} ms, heartbeat at 90 s"
        );
        if let Some(proof) = &harness.state.proof {
            let sentence = proof.sentence("h");
            assert!(
                sentence.contains("ha-az1") && sentence.contains("NORMAL"),
                "{sentence}"
            );
            let head = harness.state.head().unwrap();
            let back = HostRecovery::restore(&head, &[]).unwrap();
            assert_eq!(
                back.proof.unwrap().sentence("h"),
                sentence,
                "the next owner knows it too"
            );
        }
    }
}

/// Covers R18.
#[test]
fn with_evidence_one_report_is_enough_to_power_off_a_host_that_is_up_in_nova() {
    for (fence, ordered) in [(None, false), (Some(95_000), true), (Some(1_000), false)] {
        let mut harness = Harness::with("NORMAL", |policy| policy.fencing = FencingMode::Engine).begun();
        if let Some(fence) = fence {
            harness.join_claim(fenced(nova_time(fence)));
        }
        let mut orders = 0;
        for _ in 0..10 {
            harness.tick(1_000).heartbeat_age(1_000).service();
            orders += usize::from(harness.orders_off());
            harness.power(Power::On);
            orders += usize::from(harness.orders_off());
        }
        assert_eq!(
            orders,
            usize::from(ordered),
            "fenced at {fence:?}, heartbeats at 100 to 110 s"
        );
    }
}

#[test]
fn a_recovery_of_an_older_version_has_no_dates_and_continues() {
    let mut harness = external();
    let mut head: serde_json::Value = serde_json::from_str(&harness.state.head().unwrap()).unwrap();
    let members = head.as_object_mut().unwrap();
    assert!(members.remove("off_word").is_some() && members.remove("reported_at").is_some());
    let back = HostRecovery::restore(&head.to_string(), &[]).unwrap();
    (harness.state.off_claim, harness.state.reported_at) = (back.off_claim, back.reported_at);
    assert!(silent_after(&mut harness, 600_000));
}

/// Returns a recovery on hold as a suspect, with heartbeats until `last`; `report` arrives at 115 s.
fn suspect_that_beats_until(last: u64, report: Option<&OffClaim>) -> Harness {
    let mut harness = Harness::engine();
    harness.heartbeat_age(0).claim();
    for second in 0..150 {
        if second % 10 == 0 && second <= last {
            harness.heartbeat_age(0);
        }
        if let Some(claim) = report.filter(|_| second == 115) {
            harness.join_claim(claim.clone());
        }
        let mut region = recent_heartbeats(&harness);
        let others = region.hosts.iter_mut().skip(1).take(4);
        others.for_each(|host| host.recovering = true);
        harness.region(region).tick(1_000);
        assert!(
            second != 10 || harness.state.hold.is_some(),
            "{:?}",
            harness.message
        );
    }
    harness
}

/// The host dies during the hold, and that is reported too (seed 30080727).
/// Covers R19.
#[test]
fn a_suspected_host_is_given_up_only_while_it_is_up() {
    let fence = fenced(nova_time(214_000));
    for (last, report, ends) in [
        (200, None, true),
        (200, Some(fence.clone()), false),
        (110, None, false),
        (110, Some(fence), false),
    ] {
        let harness = suspect_that_beats_until(last, report.as_ref());
        let ended = harness.status == NotificationStatus::Failed;
        assert_eq!(
            ended, ends,
            "heartbeats until {last} s, {report:?}: {:?}",
            harness.message
        );
    }
}

/// With unsynchronised clocks no heartbeat ever looks recent. In the end one that was seen to arrive suffices,
/// if it arrived just now and not before the previous check (seed 517984).
/// Covers R19.
#[test]
fn a_report_is_given_up_right_after_a_heartbeat() {
    for (stopped, ends) in [(0, true), (15_000, false)] {
        let mut harness = external();
        for _ in 0..235 {
            harness.heartbeat_age(5_000).service().tick(1_000);
        }
        assert_eq!(
            harness.status,
            NotificationStatus::Running,
            "{:?}",
            harness.message
        );
        harness.at += stopped;
        harness.tick(5_000);
        for _ in 0..if ends { 10 } else { 0 } {
            harness.heartbeat_age(5_000).service().tick(1_000);
        }
        let ended = harness.status == NotificationStatus::Failed;
        assert_eq!(ended, ends, "{stopped}: {:?}", harness.message);
    }
}

/// An approval of guards is no check of the host. Example: a false report on hold until nova-compute is stopped
/// for an upgrade.
/// Covers R16.
#[test]
fn an_approval_of_guards_does_not_renew_the_report() {
    let mut harness = Harness::external();
    harness.region_later(region(5, 10)).claim();
    for _ in 0..20 {
        harness.at += 10_000;
        harness.heartbeat_age(0).service().tick(0);
    }
    let is_on_hold_for =
        |harness: &Harness, kind| harness.state.hold.as_ref().is_some_and(|hold| hold.kind == kind);
    assert!(
        is_on_hold_for(&harness, HoldKind::Storm),
        "{:?}",
        harness.state.hold
    );
    harness
        .command(OperatorCommand::Approve)
        .region_later(region(1, 10));
    for _ in 0..40 {
        harness.service().tick(10_000);
    }
    assert!(harness.state.proof.is_none());
    assert!(
        is_on_hold_for(&harness, HoldKind::Fence),
        "{:?}",
        harness.state.hold
    );
    // This time the hold is about the host itself.
    harness.command(OperatorCommand::Approve);
    for _ in 0..10 {
        harness.service().tick(10_000);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
}

/// Returns a retry of the host's recovery, in mode external.
fn retried() -> Harness {
    Harness::with_payload(&[("host_status", "UNKNOWN"), ("retry_of", "x")], |policy| {
        policy.fencing = FencingMode::External;
        policy.bare_normal = crate::policy::BareNormal::Wait(std::time::Duration::from_secs(20));
    })
    .begun()
}

fn is_on_hold(harness: &Harness) -> bool {
    harness
        .state
        .hold
        .as_ref()
        .is_some_and(|hold| hold.kind == HoldKind::Fence)
}

/// Covers R31.
#[test]
fn a_retry_in_mode_external_makes_no_claim_and_needs_a_confirmation() {
    let mut harness = retried();
    for _ in 0..10 {
        assert!(!silent_after(&mut harness, 30_000));
    }
    assert!(is_on_hold(&harness), "{:?}", harness.state.hold);
    // Neither an approval nor a report without evidence proves that it is off.
    harness.command(OperatorCommand::Approve).tick(0);
    assert!(!silent_after(&mut harness, 30_000) && is_on_hold(&harness));
    harness.join_normal().tick(0);
    assert!(!silent_after(&mut harness, 300_000) && is_on_hold(&harness));
    harness.take_over();
    assert!(
        !silent_after(&mut harness, 30_000) && is_on_hold(&harness),
        "the next owner asks too"
    );
    harness.command(OperatorCommand::HostIsOff);
    for _ in 0..4 {
        silent_after(&mut harness, 30_000);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
}

/// Covers R31.
#[test]
fn a_later_report_with_evidence_ends_the_hold_of_another_attempt() {
    let mut harness = retried();
    silent_after(&mut harness, 30_000);
    assert!(is_on_hold(&harness));
    harness.join_claim(fenced(nova_time(400_000))).join_normal();
    for _ in 0..4 {
        silent_after(&mut harness, 30_000);
    }
    assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
}

/// The failed recovery's own change of the record is no heartbeat of the host.
/// Covers R31.
#[test]
fn a_stamp_of_our_own_change_does_not_outlive_the_evidence() {
    let later = nova_time(900_000);
    for (own, is_proven) in [(true, true), (false, false)] {
        let stamp = format!("{} {}", later.micros(), nova_time(90_000).micros());
        let mut payload = vec![("host_status", "NORMAL"), ("retry_of", "x")];
        if own {
            payload.push(("retry_own_stamp", stamp.as_str()));
        }
        let mut harness = Harness::with_payload(&payload, |policy| policy.fencing = FencingMode::External);
        harness.operator_state.off_claim = Some(fenced(nova_time(100_000)));
        let mut harness = harness.begun();
        harness.service = Service {
            last_heartbeat: Some(later),
            nova_now: Some(nova_time(2_000_000)),
            up: false,
            ..harness.service.clone()
        };
        for _ in 0..6 {
            harness.at += 30_000;
            harness.service_now().storm(1, 10).tick(0);
        }
        assert_eq!(
            harness.state.proof.is_some(),
            is_proven,
            "{:?}",
            harness.state.hold
        );
    }
}
