//! Instances whose disk is only on their host.

use std::time::Duration;

use super::harness::{Harness, evacuation, id, server};
use crate::evidence::time_text;
use crate::host_recovery::{End, ExcludedStart, HoldKind, MoveStep};
use crate::nova::Server;
use crate::policy::LocalDisk;
use crate::power::Power;
use crate::recovery::{OperatorCommand, ResolutionKind, ServerCall};
use crate::wait::WaitsFor;

const TWO_HOURS: LocalDisk = LocalDisk::Wait(Duration::from_hours(2));

/// Returns a recovery of a host with instance 1 on its local disk.
fn harness(usual: LocalDisk) -> Harness {
    let mut harness = Harness::with("UNKNOWN", |policy| policy.local_disk.usual = usual);
    harness.local_disks = [id(1)].into();
    harness
}

fn with_own(number: u128, treatment: &str) -> Server {
    Server {
        metadata: [("HA_Local_Disk".to_owned(), treatment.to_owned())].into(),
        ..server(number)
    }
}

/// Passes time while the host stays off.
fn pass(harness: &mut Harness, seconds: u64) {
    harness.tick(seconds * 1_000);
    harness.power(crate::power::Power::Off);
    harness.service().records(Vec::new());
    harness.lists(vec![server(1), server(2)], Vec::new());
}

/// Covers R14.
#[test]
fn an_instance_that_was_read_as_local_is_left_or_evacuated_by_its_policy() {
    for (usual, own, on_local_disk, requested) in [
        (LocalDisk::Evacuate, None, true, true),
        (LocalDisk::Leave, None, true, false),
        (LocalDisk::Leave, None, false, true),
        (LocalDisk::Leave, Some("evacuate"), true, true),
        (LocalDisk::Evacuate, Some("leave"), true, false),
        (LocalDisk::Evacuate, Some("leave"), false, true),
        (LocalDisk::Leave, Some("nonsense"), true, false),
        (TWO_HOURS, None, false, true),
        (TWO_HOURS, None, true, false),
        (LocalDisk::Evacuate, Some("wait:2h"), true, false),
    ] {
        let mut harness = harness(usual);
        if !on_local_disk {
            harness.local_disks.clear();
        }
        let instance = own.map_or_else(|| server(1), |text| with_own(1, text));
        let harness = harness.planned(vec![instance, server(2)]);
        let what = format!("{usual}, own {own:?}, read as local: {on_local_disk}");
        assert_eq!(harness.evacuates(1), requested, "{what}");
        assert!(harness.evacuates(2), "{what}");
    }
}

/// Covers R14.
#[test]
fn an_instance_that_is_left_says_why() {
    let harness = harness(LocalDisk::Leave).planned(vec![server(1)]);
    assert_eq!(*harness.step(1), MoveStep::Done(End::Left));
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("local_disk is leave"), "{note}");
    assert!(
        note.contains("it is started when its host has returned"),
        "{note}"
    );
    assert_eq!(harness.one(1).start, Some(ExcludedStart::default()));
}

/// Covers R14.
#[test]
fn a_wait_lasts_as_long_as_was_said_under_any_owner() {
    let mut harness = harness(TWO_HOURS).planned(vec![server(1)]);
    assert_eq!(harness.one(1).waits_for(), WaitsFor::LocalDisk);
    assert_eq!(harness.state.wait().unwrap().what, WaitsFor::LocalDisk);
    let until = harness.one(1).disk_wait;
    harness.take_over();
    assert_eq!(harness.one(1).disk_wait, until);
    for _ in 0..100 {
        pass(&mut harness, 60);
        assert!(
            harness.is_waiting(1) && !harness.evacuates(1),
            "at {} ms",
            harness.at
        );
    }
    let mut requested = false;
    for _ in 0..30 {
        pass(&mut harness, 60);
        harness.answer(1, crate::recovery::ServerCall::Lock, Ok(()));
        requested |= harness.is_asked(1);
    }
    assert!(requested, "{:?}", harness.one(1));
    assert_eq!(harness.one(1).disk_wait, None);
}

/// Covers R14.
#[test]
fn the_message_shows_how_many_wait_and_until_when() {
    let mut harness = harness(TWO_HOURS);
    harness.local_disks.insert(id(2));
    let mut harness = harness.planned(vec![server(1), with_own(2, "wait:1h"), server(3)]);
    let ends = harness.one(1).disk_wait.unwrap().ends_at;
    assert!(ends > harness.one(2).disk_wait.unwrap().ends_at);
    let end = time_text(ends);
    let message = harness.message.clone().unwrap();
    assert!(
        message.starts_with(&format!(
            "2 instances wait for their host (local disk), the last until {end}"
        )),
        "{message}"
    );
    let note = harness.one(1).note.clone().unwrap();
    assert!(
        note.contains(&format!("it waits for the host until {end}")),
        "{note}"
    );
    assert_eq!(harness.one(1).wait.as_ref().unwrap().on, [end.clone()].into());
    harness.resolve(2, ResolutionKind::Ignore, None);
    let message = harness.message.clone().unwrap();
    assert!(
        message.starts_with(&format!("1 instance waits until {end} for its host (local disk)")),
        "{message}"
    );
}

/// Covers R14.
#[test]
fn an_owner_s_wait_is_no_longer_than_the_recovery_s_deadline() {
    for (own, hours, remark) in [
        ("wait:24h", Some(24), None),
        (
            "wait:25h",
            Some(24),
            Some("\"wait:25h\", above the limit: wait:24h applies"),
        ),
        (
            "wait:forever",
            Some(2),
            Some("\"wait:forever\", which is not valid: it is ignored"),
        ),
    ] {
        let harness = harness(TWO_HOURS).planned(vec![with_own(1, own)]);
        let start = harness.one(1).wait.as_ref().unwrap().since;
        let waits = harness
            .one(1)
            .disk_wait
            .map(|wait| wait.ends_at.micros_since(start));
        let waits = waits.map(|micros| (micros + 1_000_000) / 3_600_000_000);
        assert_eq!(waits, hours, "{own}");
        let note = harness.one(1).note.clone().unwrap();
        assert_eq!(remark.is_some(), note.contains("HA_Local_Disk"), "{own}: {note}");
        assert!(note.contains(remark.unwrap_or_default()), "{own}: {note}");
    }
    let mut short = Harness::with("UNKNOWN", |policy| {
        policy.local_disk.usual = LocalDisk::Leave;
        policy.deadline = Duration::from_mins(30);
    });
    short.local_disks = [id(1), id(2)].into();
    let short = short.planned(vec![with_own(1, "wait:1h"), with_own(2, "nonsense")]);
    let note = short.one(1).note.clone().unwrap();
    assert!(note.contains("wait:30m applies"), "{note}");
    let note = short.one(2).note.clone().unwrap();
    assert!(
        note.contains("local_disk is leave") && note.contains("is not valid"),
        "{note}"
    );
}

/// Covers R14.
#[test]
fn an_operator_leaves_an_instance_that_waits() {
    let mut harness = harness(TWO_HOURS).planned(vec![server(1), server(2)]);
    harness.resolve(1, ResolutionKind::Ignore, None);
    assert!(
        matches!(
            harness.step(1),
            MoveStep::Unlocking { end: End::Left, .. } | MoveStep::Done(End::Left)
        ),
        "{:?}",
        harness.one(1)
    );
}

/// Covers R14.
#[test]
fn an_operator_ends_the_wait() {
    let mut harness = harness(TWO_HOURS).planned(vec![server(1)]);
    harness.resolve(1, ResolutionKind::Retry, None);
    assert!(harness.one(1).disk_wait.is_none());
    assert!(harness.is_asked(1), "{:?}", harness.one(1));
}

/// Covers R14.
#[test]
fn an_instance_whose_host_is_back_stays_there() {
    let mut harness = harness(TWO_HOURS).planned(vec![server(1), server(2)]);
    harness.tick(2_000).power(crate::power::Power::On);
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Alive)
    );
    harness.tick(1_000);
    assert!(
        matches!(
            harness.step(1),
            MoveStep::Unlocking { end: End::Left, .. } | MoveStep::Done(End::Left)
        ),
        "{:?}",
        harness.one(1)
    );
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("the host is running again"), "{note}");
    assert!(
        note.contains("it is started when its host has returned"),
        "{note}"
    );
    assert_eq!(harness.one(1).start, Some(ExcludedStart::default()));
    for number in [1, 2] {
        harness.answer(number, ServerCall::Unlock, Ok(()));
    }
    for _ in 0..5 {
        harness.tick(1_000).inventory(vec![server(1), server(2)], vec![]);
        assert_eq!(
            harness.step(1),
            &MoveStep::Done(End::Left),
            "it is not planned again"
        );
    }
}

/// Covers R14.
#[test]
fn an_evacuation_that_is_under_way_is_followed_and_not_waited_with() {
    let under_way = evacuation(7, 1, "pre-migrating", Some("b"));
    let harness = harness(TWO_HOURS).planned_with(vec![server(1)], vec![under_way]);
    assert!(harness.is_asked(1), "{:?}", harness.one(1));
    assert_eq!(harness.one(1).disk_wait, None);
}

/// Covers P4.
#[test]
fn an_instance_that_waited_is_planned_again_with_a_new_proof() {
    let mut harness = harness(TWO_HOURS).planned(vec![server(1), server(2)]);
    harness.answer(2, ServerCall::Evacuate, Ok(()));
    // Another client changes the record once: the host has not run.
    harness.tick(2_000).heartbeat_age(0).service();
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Alive)
    );
    harness.tick(1_000).answer(1, ServerCall::Unlock, Ok(()));
    harness.command(OperatorCommand::Approve).tick(20_000).service();
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
    harness.forced_down().inventory(vec![server(1)], vec![]);
    assert!(!harness.one(1).is_finished(), "{:?}", harness.one(1));
}
