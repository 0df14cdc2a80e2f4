//! Levels of devices: their order, several devices of a level, and the failure of all levels.

use std::time::Duration;

use super::harness::{Harness, device, fault, levels, server, target, timeout, unavailable};
use crate::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{HoldKind, Stage};
use crate::level::Level;
use crate::policy::FencingMode;
use crate::power::Power;
use crate::proof::Basis;
use crate::recovery::{Command, Life, Observation, OperatorCommand};

/// Returns a recovery that fences with these devices, of a host that is down in Nova.
fn fencing(names: &[&[&str]]) -> Harness {
    fencing_with(levels(names))
}

fn fencing_with(levels: Vec<Level>) -> Harness {
    let mut harness = Harness::engine();
    harness.levels = levels;
    let mut harness = harness.begun();
    harness.heartbeat_age(20_000).service();
    harness
}

fn has_no_pending_orders(harness: &Harness, millis: u64) -> bool {
    let at = Elapsed::from_millis(millis);
    harness
        .state
        .fence
        .has_no_pending_orders(at, &harness.state.policy)
}

fn wrong_password() -> Fault {
    fault(Some(401), FaultClass::Fatal, false)
}

/// Returns the fault of a device that answers for another machine.
fn another_machine() -> Fault {
    let fault = fault(None, FaultClass::Conflict, false);
    Fault {
        text: "device bmc of host c1 answers for another machine".into(),
        ..fault
    }
}

/// Sends two readings, far enough apart.
fn off(harness: &mut Harness, name: &str) {
    harness
        .device(name, Power::Off)
        .tick(3_000)
        .device(name, Power::Off);
}

/// Reads "on" from the device every 5 s for `seconds`. Returns the number of orders meanwhile.
fn on_for(harness: &mut Harness, name: &str, seconds: u64) -> usize {
    let answered = |harness: &mut Harness| {
        let ordered = harness.ordered_devices().len();
        if ordered > 0 {
            harness.ordered(name, Ok(()));
        }
        ordered
    };
    let mut orders = 0;
    for _ in 0..seconds / 5 {
        harness.at += 5_000;
        orders += answered(harness.service());
        orders += answered(harness.device(name, Power::On));
    }
    orders
}

fn hold(harness: &Harness) -> Option<(HoldKind, &str)> {
    let hold = harness.state.hold.as_ref()?;
    Some((hold.kind, hold.reason.as_str()))
}

/// Covers ROW1.
#[test]
fn already_off_is_a_proof_and_no_command_is_sent() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device("bmc", Power::Off);
    assert!(!harness.orders_off());
    harness.tick(3_000).device("bmc", Power::Off);
    assert!(!harness.orders_off() && !harness.state.fence.ordered);
    assert!(harness.state.proof.is_some());
}

/// Covers ROW2.
#[test]
fn off_after_a_second_or_eleven_is_success_and_after_forty_five_the_next_level() {
    let limited = || {
        let mut levels = levels(&[&["bmc"], &["pdu"]]);
        levels[0].devices[0].limit = Some(Duration::from_secs(30));
        levels[0].devices[0].poll = Some(Duration::from_secs(1));
        fencing_with(levels)
    };
    for (after, level) in [(1_000, 1), (11_000, 1), (45_000, 2)] {
        let mut harness = limited();
        harness.device("bmc", Power::On);
        assert_eq!(harness.ordered_devices(), ["bmc"]);
        let ordered = harness.at;
        harness.ordered("bmc", Ok(()));
        let mut fell = None;
        while harness.at < ordered + after && fell.is_none() {
            harness.at += 1_000;
            harness.service();
            fell = (harness.queries() == ["pdu"]).then_some(harness.at - ordered);
            if harness.ordered_devices() == ["bmc"] {
                harness.ordered("bmc", Ok(()));
            }
            if harness.at < ordered + after && fell.is_none() {
                harness.device("bmc", Power::On);
            }
        }
        if level == 1 {
            harness.service();
            off(&mut harness, "bmc");
        } else {
            assert_eq!(fell, Some(30_000), "at its limit, not before");
            harness.device("pdu", Power::On);
            assert_eq!(harness.ordered_devices(), ["pdu"]);
            harness.ordered("pdu", Ok(())).tick(1);
            off(&mut harness, "pdu");
        }
        let proof = harness.state.proof.as_ref().unwrap();
        assert!(
            matches!(proof.basis(), Basis::Device { level: by, .. } if *by == level),
            "{after} ms: {proof:?}"
        );
    }
}

/// Covers ROW3.
#[test]
fn a_device_that_accepts_and_never_obeys_fails_its_level_and_nothing_is_evacuated() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(()));
    let orders = 1 + on_for(&mut harness, "bmc", 150);
    assert_eq!(orders, 2, "once, and again at half-time");
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::Fence);
    assert!(
        why.contains("level 1 (bmc): it did not power off within 150 s: bmc reads"),
        "{why}"
    );
    assert!(harness.state.proof.is_none());
    assert_eq!(harness.status, NotificationStatus::Running);
}

/// Covers ROW3.
#[test]
fn the_second_order_is_sent_at_half_time_and_not_before() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(()));
    assert_eq!(on_for(&mut harness, "bmc", 70), 0);
    assert_eq!(on_for(&mut harness, "bmc", 5), 1, "75 of 150 s have passed");
}

/// Covers ROW4.
#[test]
fn any_device_that_reads_on_after_the_proof_ends_all_requests() {
    type UpEvidence = fn(&mut Harness);
    let cases: [(&str, UpEvidence, bool); 4] = [
        (
            "the device of the proof",
            |harness| {
                harness.device("pdu-a", Power::On);
            },
            true,
        ),
        (
            "the other device of its level",
            |harness| {
                harness.device("pdu-b", Power::On);
            },
            true,
        ),
        (
            "a device of the previous level, read after the proof",
            |harness| {
                harness.device("bmc", Power::On);
            },
            true,
        ),
        (
            "the same, read before",
            |harness| {
                harness.device_at("bmc", 1, Power::On);
            },
            false,
        ),
    ];
    for (name, sign, alive) in cases {
        let mut harness = fencing(&[&["bmc"], &["pdu-a", "pdu-b"]]);
        harness.device_fails("bmc", wrong_password());
        harness
            .device("pdu-a", Power::Off)
            .device("pdu-b", Power::Off)
            .tick(3_000);
        harness.device("pdu-a", Power::Off).device("pdu-b", Power::Off);
        assert!(harness.state.proof.is_some(), "{name}");
        harness.forced_down().inventory(vec![server(1)], vec![]);
        harness.at += 1_000;
        sign(&mut harness);
        assert_eq!(
            hold(&harness).is_some_and(|(kind, _)| kind == HoldKind::Alive),
            alive,
            "{name}"
        );
        assert_eq!(harness.state.proof.is_none(), alive, "{name}");
    }
}

/// Covers ROW5.
#[test]
fn a_wrong_password_is_tried_once_and_the_next_level_at_once() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device_fails("bmc", wrong_password());
    assert_eq!(harness.queries(), ["pdu"]);
    let recorded = harness.record.steps.iter().any(|step| {
        step.text.contains("level 1 (bmc): its power cannot be read")
            && step.text.contains("Next is level 2 (pdu)")
    });
    assert!(recorded, "{:?}", harness.record.steps);
    assert!(harness.record.head, "which level is next survives a crash");
}

/// Covers ROW5.
#[test]
fn a_lasting_fault_is_not_tried_again_every_minute() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device_fails("bmc", wrong_password());
    assert_eq!(hold(&harness).unwrap().0, HoldKind::Fence);
    let mut requested = 0;
    for _ in 0..599 {
        harness.tick(1_000);
        requested += harness.queries().len();
        if harness.requests(|command| *command == Command::ReadService) {
            harness.heartbeat_age(60_000).service();
            requested += harness.queries().len();
        }
    }
    assert_eq!(requested, 0, "an account may be locked by it");
    harness.tick(2_000);
    assert_eq!(harness.queries(), ["bmc"], "after ten minutes");
}

/// Covers T9, R17.
#[test]
fn another_machine_ends_its_level_at_once_and_is_checked_again_every_minute() {
    let mut two = fencing(&[&["bmc"], &["pdu"]]);
    two.device_fails("bmc", another_machine());
    assert_eq!(two.queries(), ["pdu"], "the next level at once");
    let mut harness = fencing(&[&["bmc"]]);
    harness
        .device("bmc", Power::Off)
        .tick(3_000)
        .device_fails("bmc", another_machine());
    let (kind, why) = hold(&harness).expect("only an operator is waited for");
    assert_eq!(kind, HoldKind::Fence);
    for part in ["answers for another machine", "retries every 60 s"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(
        harness.state.proof.is_none(),
        "one reading before it counts for nothing"
    );
    let (mut requested, mut ordered) = (0, 0);
    for _ in 0..130 {
        harness.tick(1_000);
        if harness.requests(|command| *command == Command::ReadService) {
            harness.heartbeat_age(60_000).service();
        }
        ordered += harness.ordered_devices().len();
        if harness.queries() == ["bmc"] {
            requested += 1;
            harness.device_fails("bmc", another_machine());
        }
    }
    assert_eq!((requested, ordered), (2, 0));
}

/// Covers ROW6.
#[test]
fn an_unreachable_device_is_tried_twice_and_then_the_next_level() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device_fails("bmc", timeout());
    assert!(harness.queries().is_empty(), "not at once");
    let mut waited = 0;
    while !harness.reads_power() {
        harness.tick(500);
        waited += 500;
    }
    assert!(waited <= 2_000 && harness.queries() == ["bmc"], "{waited} ms");
    harness.device_fails("bmc", timeout());
    assert_eq!(harness.queries(), ["pdu"]);
}

/// Covers ROW6.
#[test]
fn without_another_level_transient_faults_are_tolerated_for_the_devices_time() {
    let mut harness = fencing(&[&["bmc"]]);
    for _ in 0..5 {
        harness.device_fails("bmc", unavailable());
        assert!(hold(&harness).is_none(), "at {}", harness.at);
        harness.tick(20_000);
    }
    harness.service_now();
    off(&mut harness, "bmc");
    assert!(harness.state.proof.is_some());
}

/// Covers ROW7.
#[test]
fn when_all_levels_fail_it_is_held_and_tried_again_every_minute_until_one_works() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    for name in ["bmc", "bmc", "pdu"] {
        harness.device_fails(name, timeout()).tick(2_000);
    }
    let mut failed = None;
    for _ in 0..200 {
        if failed.is_none() && hold(&harness).is_some() {
            failed = Some(harness.at);
        }
        if harness.queries() == ["pdu"] {
            harness.device_fails("pdu", timeout());
        }
        if failed.is_some() {
            break;
        }
        harness.tick(1_000);
    }
    let failed = failed.expect("held when the last level has used up its time");
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::Fence);
    assert!(
        why.contains("level 1 (bmc)") && why.contains("level 2 (pdu)") && why.contains("retries every 60 s"),
        "{why}"
    );
    let messages = harness.message_count;
    let mut tries = Vec::new();
    for _ in 0..130 {
        harness.tick(1_000);
        if harness.requests(|command| *command == Command::ReadService) {
            harness.service();
        }
        for name in ["bmc", "pdu"] {
            if harness.queries() == [name] {
                if name == "bmc" && tries.last().is_none_or(|last| harness.at - last > 20_000) {
                    tries.push(harness.at);
                }
                harness.device_fails(name, timeout());
            }
        }
        assert!(hold(&harness).is_some(), "still on hold during the retry");
    }
    assert!(
        tries
            .first()
            .is_some_and(|at| (60_000..63_000).contains(&(at - failed))),
        "{failed} {tries:?}"
    );
    assert!(
        harness.message_count - messages <= 3,
        "the message does not flap: {}",
        harness.message_count - messages
    );
    // The device is repaired; no operator action is needed.
    harness.service_now();
    for _ in 0..300 {
        let requested =
            |harness: &Harness| -> Vec<String> { harness.queries().into_iter().map(Into::into).collect() };
        let mut names = requested(harness.tick(1_000));
        if harness.requests(|command| *command == Command::ReadService) {
            names.extend(requested(harness.service()));
        }
        for name in names {
            harness.device(&name, Power::Off);
        }
        if harness.state.proof.is_some() {
            break;
        }
    }
    assert!(harness.state.proof.is_some() && harness.state.hold.is_none());
    assert_ne!(harness.state.stage, Stage::Fencing);
}

/// Covers ROW7.
#[test]
fn a_host_that_returns_after_all_levels_have_failed_stays_manual() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(()));
    on_for(&mut harness, "bmc", 150);
    assert_eq!(hold(&harness).unwrap().0, HoldKind::Fence);
    harness.tick(10_000).heartbeat_age(1_000).service_now();
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::Fence);
    assert!(
        why.contains("Nova shows it up") && why.contains("it could not be powered off"),
        "{why}"
    );
    let mut acted = 0;
    for _ in 0..300 {
        harness.tick(5_000).heartbeat_age(60_000).service();
        acted += harness.queries().len() + harness.ordered_devices().len();
    }
    assert_eq!(acted, 0, "no automatic retry, even when it goes silent again");
    assert_eq!(harness.status, NotificationStatus::Running, "not forgotten");
    harness.command(OperatorCommand::Approve);
    assert_eq!(harness.queries(), ["bmc"], "an operator decides");
}

/// Covers ROW7.
#[test]
fn no_level_starts_after_the_episodes_deadline() {
    let mut harness = fencing(&[&["a"], &["b"], &["c"], &["d"], &["e"]]);
    for (level, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        assert_eq!(harness.state.fence.level, level);
        harness.device(name, Power::On).ordered(name, Ok(()));
        on_for(&mut harness, name, 150);
    }
    let (_, why) = hold(&harness).unwrap();
    assert!(
        why.contains("the limit of 600 s has passed") && !why.contains("(e)"),
        "{why}"
    );
}

/// Covers ROW8.
#[test]
fn an_engine_killed_at_any_step_leaves_one_order_at_each_device() {
    // The point at which the engine dies, and the state that the new one finds.
    for (name, answered, found) in [
        ("before the answer, and it took effect", false, Power::Off),
        ("after the answer, and it took effect", true, Power::Off),
        (
            "before the answer, and nothing has happened yet",
            false,
            Power::On,
        ),
        ("after the answer, and nothing has happened yet", true, Power::On),
    ] {
        let mut harness = fencing(&[&["bmc"], &["pdu"]]);
        harness.device("bmc", Power::On);
        assert_eq!(harness.ordered_devices(), ["bmc"], "{name}");
        if answered {
            harness.ordered("bmc", Ok(()));
        }
        harness.take_over();
        harness.heartbeat_age(30_000).service();
        assert_eq!(harness.queries(), Vec::<&str>::new(), "read once: {name}");
        harness.tick(100).device("bmc", found);
        assert!(!harness.orders_off(), "{name}");
        for _ in 0..12 {
            harness.tick(5_000).device("bmc", Power::Off);
            assert!(!harness.orders_off(), "{name}");
        }
        assert!(harness.state.proof.is_some(), "{name}");
    }
}

/// Covers ROW8.
#[test]
fn the_current_level_survives_the_engine() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness
        .device_fails("bmc", wrong_password())
        .device("pdu", Power::On);
    assert_eq!(harness.ordered_devices(), ["pdu"]);
    harness.levels = levels(&[&["other"]]);
    harness.take_over();
    assert_eq!(harness.queries(), ["pdu"], "I10: not what is configured by now");
    harness.heartbeat_age(20_000).service();
    off(&mut harness, "pdu");
    assert!(harness.state.proof.is_some());
}

/// Covers ROW13.
#[test]
fn with_nova_down_after_the_proof_the_host_is_kept_off_and_not_fenced_again() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(())).tick(1);
    off(&mut harness, "bmc");
    assert!(harness.state.proof.is_some());
    for _ in 0..120 {
        harness.tick(5_000);
        assert!(harness.ordered_devices().is_empty());
        if harness.reads_power() {
            harness.device("bmc", Power::Off);
        }
        if harness.requests(|command| *command == Command::ReadService) {
            harness.see(Observation::Service(Err(timeout())));
        }
        if harness.updates().is_some() {
            harness.see(Observation::ServiceUpdated(Err(timeout())));
        }
    }
    assert!(harness.state.proof.is_some() && harness.state.hold.is_none());
}

#[test]
fn a_level_of_two_devices_is_off_when_both_are_and_each_is_told_by_itself() {
    let mut harness = fencing(&[&["pdu-a", "pdu-b"]]);
    assert_eq!(harness.queries(), Vec::<&str>::new(), "both are read already");
    harness.device("pdu-a", Power::Off);
    assert!(harness.ordered_devices().is_empty());
    harness.device("pdu-b", Power::On);
    assert_eq!(harness.ordered_devices(), ["pdu-b"], "the one that is on");
    harness
        .ordered("pdu-b", Ok(()))
        .tick(3_000)
        .device("pdu-a", Power::Off);
    assert!(harness.state.proof.is_none(), "one of two");
    harness.device("pdu-b", Power::Off);
    // The first device is still read, so that both are off at the same time.
    for _ in 0..20 {
        harness.tick(1_000);
        if harness.queries().contains(&"pdu-a") {
            harness.device("pdu-a", Power::Off);
        }
    }
    assert!(harness.state.proof.is_none());
    harness.device("pdu-b", Power::Off);
    let proof = harness.state.proof.as_ref().expect("both are off");
    assert!(matches!(proof.basis(), Basis::Device { others, .. } if others.len() == 1));
}

/// Covers R17.
#[test]
fn a_proof_of_two_devices_needs_both_read_again() {
    let mut harness = fencing(&[&["pdu-a", "pdu-b"]]);
    harness
        .device("pdu-a", Power::Off)
        .device("pdu-b", Power::Off)
        .tick(3_000);
    harness.device("pdu-a", Power::Off).device("pdu-b", Power::Off);
    assert!(harness.state.proof.is_some() && harness.updates().is_some());
    harness.see(Observation::ServiceUpdated(Err(timeout())));
    harness.tick(31_000);
    assert_eq!(harness.queries(), ["pdu-a", "pdu-b"]);
    harness.device("pdu-a", Power::Off);
    assert!(harness.updates().is_none(), "half of it is stale");
    harness.device("pdu-b", Power::Off);
    assert!(harness.updates().is_some());
}

/// Covers I6.
#[test]
fn unknown_answers_never_count_as_off() {
    let mut harness = fencing(&[&["a"], &["b", "c"]]);
    for _ in 0..400 {
        harness.tick(1_000);
        for name in ["a", "b", "c"] {
            harness.device(name, Power::Unknown);
            harness.ordered(name, Err(timeout()));
        }
    }
    assert!(harness.state.proof.is_none());
    assert_eq!(hold(&harness).unwrap().0, HoldKind::Fence);
}

/// Covers I4.
#[test]
fn after_a_power_command_the_fence_is_followed_to_its_end() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device("bmc", Power::On);
    assert!(harness.orders_off());
    harness.ordered("bmc", Err(fault(Some(403), FaultClass::Permanent, false)));
    // The host returns, the segment is disabled, and so on.
    for round in 0..300 {
        harness.tick(1_000).heartbeat_age(500).service();
        harness.operator_state(round % 2 == 0, false);
        harness.device("pdu", Power::On);
        assert_eq!(harness.status, NotificationStatus::Running, "at {}", harness.at);
    }
    assert!(harness.state.hold.is_some());
}

/// Covers I10.
#[test]
fn devices_that_change_in_the_file_do_not_change_the_targets_of_an_episode() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(()));
    harness.levels = levels(&[&["other"]]);
    on_for(&mut harness, "bmc", 150);
    assert_eq!(hold(&harness).unwrap().0, HoldKind::Fence);
    harness.tick(1_000).heartbeat_age(60_000).service();
    harness.tick(60_000);
    assert_eq!(harness.queries(), ["bmc"], "the next try of the same episode");
    harness.command(OperatorCommand::Approve);
    assert_eq!(harness.queries(), ["other"], "an operator started a new one");
}

#[test]
fn a_host_without_a_device_is_held_until_there_is_one() {
    let mut harness = fencing(&[]);
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::Fence);
    assert!(why.contains("no fence device is configured"), "{why}");
    harness.levels = levels(&[&["bmc"]]);
    harness.tick(1_000).heartbeat_age(60_000).service();
    harness.tick(60_000);
    assert_eq!(harness.queries(), ["bmc"]);
}

/// Covers R5.
#[test]
fn a_late_power_off_of_a_level_that_was_left_is_waited_for_before_the_host_is_handed_back() {
    for (name, answer, quiet_after) in [
        // 150 s for the device, and 60 s for a proxy.
        ("accepted, and never seen to be done", Ok(()), 210_000),
        ("not answered", Err(timeout()), 80_000),
    ] {
        let mut harness = fencing(&[&["bmc"], &["pdu"]]);
        harness.device("bmc", Power::On).ordered("bmc", answer);
        let ordered = harness.at;
        harness.tick(1_000).device_fails("bmc", wrong_password());
        off(&mut harness, "pdu");
        assert!(harness.state.proof.is_some(), "{name}");
        assert!(
            !has_no_pending_orders(&harness, ordered + quiet_after - 1),
            "{name}"
        );
        assert!(has_no_pending_orders(&harness, ordered + quiet_after), "{name}");
    }
}

/// Covers R5.
#[test]
fn an_order_is_done_once_its_device_reads_off() {
    let mut harness = fencing(&[&["bmc"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(())).tick(1);
    off(&mut harness, "bmc");
    assert!(has_no_pending_orders(&harness, harness.at));
}

#[test]
fn a_device_s_time_does_not_run_while_its_calls_wait_for_their_turn() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device("bmc", Power::On).ordered("bmc", Ok(()));
    for _ in 0..4 {
        harness.tick(45_000);
        let reading = crate::power::PowerReading {
            power: Power::On,
            raw: "on".into(),
            device: "bmc".into(),
            at: crate::Timestamp::from_micros(0),
            machine: None,
        };
        harness.see(Observation::Power {
            target: target("bmc"),
            started: Elapsed::from_millis(harness.at),
            waited: Duration::from_secs(40),
            result: Ok(reading),
        });
        if !harness.ordered_devices().is_empty() {
            harness.ordered("bmc", Ok(()));
        }
    }
    assert_eq!(harness.state.fence.level, 0, "180 s, 160 of them in a queue");
}

#[test]
fn dry_run_reports_its_actions_and_does_nothing() {
    let dry = |reported: &str| Harness::with(reported, |policy| policy.fencing = FencingMode::DryRun);
    let mut harness = dry("UNKNOWN").begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::DryRun);
    assert!(
        why.starts_with("dry-run: ") && why.contains("level 1 (bmc) would now power it off"),
        "{why}"
    );
    let mut harness = dry("NORMAL").begun();
    harness.heartbeat_age(20_000).service();
    off(&mut harness, "bmc");
    let (kind, why) = hold(&harness).unwrap();
    assert_eq!(kind, HoldKind::DryRun);
    assert!(why.contains("is off: bmc read"), "{why}");
    assert!(harness.state.proof.is_none() && harness.record.host.is_none());
    let mut writes = 0;
    for _ in 0..50 {
        harness.tick(5_000);
        writes += harness.commands.iter().filter(|one| one.is_write()).count();
    }
    assert_eq!(writes, 0);
    harness.command(OperatorCommand::Approve).service_now();
    off(&mut harness, "bmc");
    assert_eq!(
        hold(&harness).unwrap().0,
        HoldKind::DryRun,
        "approve only checks again"
    );
    harness.command(OperatorCommand::Reject);
    assert_eq!(harness.record.life, Some(Life::Closed));
}

#[test]
fn stopped_fencing_holds_everything_before_the_proof_and_drops_nothing() {
    let mut harness = Harness::engine().begun();
    harness.see(Observation::FencingStopped(true));
    harness.heartbeat_age(20_000).service();
    let mut requested = 0;
    for _ in 0..20 {
        harness.tick(5_000).power(Power::On);
        requested += harness.ordered_devices().len();
    }
    assert_eq!(requested, 0);
    assert!(
        harness
            .message
            .as_deref()
            .unwrap()
            .starts_with("on hold: fencing is stopped")
    );
    assert_eq!(harness.status, NotificationStatus::Running);
    harness.see(Observation::FencingStopped(false)).tick(100);
    assert_eq!(
        harness.ordered_devices(),
        [""; 0],
        "Nova is read again for heartbeats"
    );
    let goes_on = (0..5).any(|_| {
        harness.heartbeat_age(60_000).service();
        harness.ordered_devices() == ["bmc"]
            || harness.tick(1_000).ordered_devices() == ["bmc"]
            || harness.power(Power::On).ordered_devices() == ["bmc"]
    });
    assert!(goes_on, "then it continues by itself");
    // Instances of a host that is confirmed off are still moved.
    let mut harness = Harness::engine().proven();
    harness.forced_down().see(Observation::FencingStopped(true));
    harness.inventory(vec![server(1)], vec![]);
    assert!(harness.requests(|command| matches!(command, Command::Lock { .. })));
}

#[test]
fn a_state_of_a_version_with_one_device_is_continued() {
    let mut harness = fencing(&[&["bmc"], &["pdu"]]);
    harness.device("bmc", Power::On);
    let head = harness.state.head().unwrap();
    let mut old: serde_json::Value = serde_json::from_str(&head).unwrap();
    old["version"] = 1.into();
    let at = old["fence"]["orders"][0]["at"].clone();
    old["fence"] = serde_json::json!({
        "began": 0, "first_off": null, "off": { "at": at, "answered": false }, "first_order": at,
        "ordered": true, "not_off": true, "last_word": "bmc says \"On\"", "faults": 0,
    });
    harness.journalled(old.to_string());
    harness.take_over();
    harness.heartbeat_age(30_000).service();
    assert_eq!(harness.state.fence.levels.as_ref(), Some(&harness.levels));
    harness.tick(1_000).device("bmc", Power::On);
    assert!(
        !harness.orders_off(),
        "R5: the order of the old version may still take effect"
    );
    assert!(!has_no_pending_orders(&harness, harness.at));
    while harness.at < 85_000 {
        harness.at += 5_000;
        harness.heartbeat_age(100_000).service();
        if harness.ordered_devices().is_empty() && harness.reads_power() {
            harness.device("bmc", Power::On);
        }
        if harness.orders_off() {
            break;
        }
    }
    assert_eq!(harness.ordered_devices(), ["bmc"], "D + Q have passed");
    assert_eq!(
        harness
            .state
            .fence
            .orders
            .iter()
            .filter(|order| order.target.is_some())
            .count(),
        1
    );
}

#[test]
fn a_level_without_devices_is_dropped() {
    let empty = Level {
        number: 1,
        devices: Vec::new(),
    };
    let mut second = levels(&[&["x"]]).remove(0);
    second.number = 2;
    second.devices = vec![device("bmc")];
    let mut harness = fencing_with(vec![empty, second]);
    off(&mut harness, "bmc");
    let proof = harness.state.proof.as_ref().unwrap();
    assert!(matches!(proof.basis(), Basis::Device { level: 2, .. }));
}
