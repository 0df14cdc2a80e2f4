//! What reports say of a host's fence, and what Nova has heard since.

use super::bed::{Bed, nova_time};
use crate::Timestamp;
use crate::entity::notification::NotificationStatus;
use crate::evidence::{FenceEvidence, GivenEvidence, OffWord};
use crate::host_recovery::{HostRecovery, Stage};
use crate::policy::FencingMode;
use crate::power::Power;

/// A cluster has fenced the host at that time.
fn fenced(at: Timestamp) -> OffWord {
    let json = include_bytes!("../../../../../docs/examples/fence-evidence.json");
    let mut evidence = FenceEvidence::from_json(json).unwrap();
    (evidence.completed_at, evidence.observed_at) = (at, at);
    let given = GivenEvidence {
        evidence,
        by: "bridge".into(),
        generated: at,
        arrived: at,
    };
    OffWord {
        dated: given.dated(),
        evidence: Some(Box::new(given)),
    }
}

/// An operator, or a report that has joined, says so as of that time.
fn said(at: Timestamp) -> OffWord {
    OffWord {
        dated: at,
        evidence: None,
    }
}

/// Reported at 100 s of Nova's clock.
fn external() -> Bed {
    Bed::external().begun()
}

/// So much later, and Nova has not heard it for twenty seconds.
fn silent_after(bed: &mut Bed, millis: u64) -> bool {
    bed.at += millis;
    bed.heartbeat_age(20_000).service_now().storm(1, 10).tick(0);
    bed.state.proof.is_some()
}

#[test]
fn r16_a_report_delivered_late_is_no_proof_once_nova_has_heard_the_host_since() {
    // Twenty seconds before the look, so at its report or up to a minute later: the clocks may differ by so much.
    for (after, proven) in [(10_000, true), (79_000, true), (81_000, false), (600_000, false)] {
        assert_eq!(silent_after(&mut external(), after), proven, "{after} ms");
    }
    let mut bed = external();
    while bed.state.stage == Stage::Fencing || bed.state.stage == Stage::Begin {
        assert!(!silent_after(&mut bed, 600_000), "at {}", bed.at);
    }
    assert_eq!(
        bed.status,
        NotificationStatus::Failed,
        "so that a new report counts"
    );
    let why = bed.message.clone().unwrap();
    assert!(why.contains("later than"), "{why}");
}

#[test]
fn r16_a_later_report_that_joins_counts_as_of_its_own_time() {
    let mut bed = external();
    assert!(!silent_after(&mut bed, 90_000));
    // As of Nova's last word of it.
    let heard = nova_time(bed.at + 80_000);
    bed.hears(said(heard));
    assert!(silent_after(&mut bed, 0));
}

#[test]
fn r18_evidence_is_dated_by_the_fence_and_not_by_its_report() {
    for (fence, proven) in [(90_000, true), (1_000, false)] {
        let mut bed = external();
        bed.hears(fenced(nova_time(fence)));
        assert_eq!(
            silent_after(&mut bed, 10_000),
            proven,
            "fenced at {fence} ms, heard at 90 s"
        );
        if let Some(proof) = &bed.state.proof {
            let sentence = proof.sentence("h");
            assert!(
                sentence.contains("ha-az1") && sentence.contains("NORMAL"),
                "{sentence}"
            );
            let head = bed.state.head().unwrap();
            let back = HostRecovery::restore(&head, &[]).unwrap();
            assert_eq!(
                back.proof.unwrap().sentence("h"),
                sentence,
                "the next owner knows it too"
            );
        }
    }
}

#[test]
fn r18_with_evidence_one_report_is_enough_to_order_off_what_nova_still_hears() {
    for (fence, ordered) in [(None, false), (Some(95_000), true), (Some(1_000), false)] {
        let mut bed = Bed::with("NORMAL", |policy| policy.fencing = FencingMode::Engine).begun();
        if let Some(fence) = fence {
            bed.hears(fenced(nova_time(fence)));
        }
        let mut orders = 0;
        for _ in 0..10 {
            bed.tick(1_000).heartbeat_age(1_000).service();
            orders += usize::from(bed.orders_off());
            bed.power(Power::On);
            orders += usize::from(bed.orders_off());
        }
        assert_eq!(
            orders,
            usize::from(ordered),
            "fenced at {fence:?}, heard at 100 to 110 s"
        );
    }
}

#[test]
fn what_an_older_version_has_begun_is_not_dated_and_goes_on() {
    let mut bed = external();
    let mut head: serde_json::Value = serde_json::from_str(&bed.state.head().unwrap()).unwrap();
    let members = head.as_object_mut().unwrap();
    assert!(members.remove("off_word").is_some() && members.remove("reported_at").is_some());
    let back = HostRecovery::restore(&head.to_string(), &[]).unwrap();
    (bed.state.off_word, bed.state.reported_at) = (back.off_word, back.reported_at);
    assert!(silent_after(&mut bed, 600_000));
}
