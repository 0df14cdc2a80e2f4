//! The guards of one recovery (R24, I8).

use std::collections::BTreeSet;
use std::time::Duration;

use uuid::Uuid;

use super::harness::{Harness, nova_time, region, up_service};
use crate::Reporter;
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::guard::{Guard, HostIncident, Region};
use crate::host_recovery::{HoldKind, HostRecovery, Stage};
use crate::power::Power;
use crate::recovery::{Command, FenceOrder, Life, Observation, OperatorCommand};
use crate::reserved::Aggregate;
use crate::{HostId, RecoveryId};

/// Returns five failed hosts of ten, including this one.
fn five_of_ten() -> Region {
    region(5, 10)
}

fn held_by(harness: &Harness) -> Vec<Guard> {
    let hold = harness.state.hold.iter();
    hold.flat_map(|hold| hold.guards.iter().copied()).collect()
}

fn waits_for(harness: &Harness) -> Vec<Guard> {
    let waiting = harness.state.guard.waiting.iter();
    waiting
        .flat_map(|waiting| waiting.guards.iter().copied())
        .collect()
}

/// Returns the region with this number of other hosts just powered off.
fn ordered(mut region: Region, count: u128) -> Region {
    region.orders = (0..count)
        .map(|number| HostIncident {
            host: HostId(Uuid::from_u128(100 + number)),
            recovery: RecoveryId(Uuid::from_u128(100 + number)),
            age: Duration::from_secs(1),
        })
        .collect();
    region
}

/// Sends silence and a reading of "on".
fn silent_and_on(harness: &mut Harness) {
    harness.heartbeat_age(20_000).service();
    harness.power(Power::On);
}

/// Covers ROW9.
#[test]
fn five_of_ten_hosts_are_held_and_one_that_is_approved_is_fenced() {
    let mut harnesses: Vec<Harness> = (0..5).map(|_| Harness::engine()).collect();
    for harness in &mut harnesses {
        harness.claim().region(five_of_ten());
        assert_eq!(held_by(harness), [Guard::Segment, Guard::Global]);
        assert_eq!(harness.status, NotificationStatus::Running);
        let message = harness.message.as_deref().unwrap();
        assert!(
            message.starts_with("on hold: G4 segment: 5 of the segment's 10 hosts"),
            "{message}"
        );
        assert!(message.contains("G5 global"), "{message}");
    }
    harnesses[0].command(OperatorCommand::Approve);
    for (number, harness) in harnesses.iter_mut().enumerate() {
        for _ in 0..30 {
            silent_and_on(harness);
            if harness.orders_off() {
                break;
            }
            harness.tick(1_000);
        }
        assert_eq!(harness.orders_off(), number == 0, "host {number}");
        assert_eq!(harness.state.hold.is_none(), number == 0, "host {number}");
    }
}

/// Covers I8.
#[test]
fn an_approval_lifts_only_the_guards_that_were_shown() {
    let mut harness = Harness::with("UNKNOWN", |policy| {
        policy.guards.protected_hosts = vec!["compute-1".into()];
    });
    harness.claim().region(five_of_ten());
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    harness.command(OperatorCommand::Approve);
    assert_eq!(
        harness.state.stage,
        Stage::Begin,
        "it scans again before it continues"
    );
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
    silent_and_on(&mut harness);
    assert!(!harness.orders_off());
    assert_eq!(held_by(&harness), [Guard::Protected]);
    harness.command(OperatorCommand::Approve);
    harness.tick(100);
    silent_and_on(&mut harness);
    assert!(harness.orders_off(), "{:?}", harness.message);
}

/// Covers I8, R27.
#[test]
fn a_storm_that_grows_after_approval_needs_another_one_and_so_does_another_guard() {
    let mut harness = Harness::engine();
    harness
        .claim()
        .region(region(4, 10))
        .command(OperatorCommand::Approve);
    let mut flaps = region(4, 10);
    for number in 0..2 {
        flaps.proofs.push(HostIncident {
            host: harness.state.host_id,
            recovery: RecoveryId(Uuid::from_u128(50 + number)),
            age: Duration::from_secs(600),
        });
    }
    harness.region_later(flaps.clone()).tick(0).tick(0);
    assert_eq!(held_by(&harness), [Guard::Flap]);
    for host in &mut flaps.hosts {
        host.recovering = true;
    }
    harness
        .command(OperatorCommand::Approve)
        .region_later(flaps)
        .tick(0)
        .tick(0);
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global, Guard::Flap]);
}

/// Covers R24.
#[test]
fn a_waiting_guard_continues_by_itself() {
    let mut harness = Harness::engine();
    let mut young = region(1, 10);
    young.running_for = Duration::from_secs(10);
    harness.claim().region(young);
    assert_eq!(waits_for(&harness), [Guard::StartUp]);
    assert!(harness.state.hold.is_none());
    let message = harness.message.clone().unwrap();
    assert!(message.starts_with("waiting for G0 startup"), "{message}");
    let messages = harness.message_count;
    for _ in 0..20 {
        harness.tick(1_000);
    }
    assert_eq!(harness.message_count, messages, "reported once, not every second");
    assert_eq!(harness.state.stage, Stage::Begin);
    harness.region_later(region(1, 10)).tick(1_000);
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
    assert_eq!(waits_for(&harness), []);
}

/// Covers R24.
#[test]
fn an_operator_can_skip_a_wait_and_the_wait_survives_a_takeover() {
    let mut harness = Harness::engine();
    let mut young = region(1, 10);
    young.running_for = Duration::from_secs(10);
    harness.claim().region(young);
    harness.take_over();
    assert_eq!(waits_for(&harness), [Guard::StartUp]);
    harness.command(OperatorCommand::Approve);
    harness.tick(0);
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
    harness.take_over().tick(0);
    assert!(
        harness.state.guard.lifted.contains(&Guard::StartUp),
        "the action is not forgotten"
    );
}

/// Covers R24.
#[test]
fn an_approval_does_not_replace_facts_that_the_engine_cannot_read() {
    let mut harness = Harness::engine();
    let mut blind = region(1, 10);
    blind.nova = Err("503".into());
    harness.claim().region(blind);
    assert_eq!(waits_for(&harness), [Guard::Observer]);
    harness.command(OperatorCommand::Approve);
    harness.tick(0);
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Begin);
    assert_eq!(waits_for(&harness), [Guard::Observer]);
}

/// Covers R24.
#[test]
fn an_order_is_deferred_when_three_were_given_and_a_host_found_off_is_not() {
    let mut harness = Harness::engine();
    harness.claim().region(ordered(region(1, 100), 3));
    assert_eq!(harness.state.stage, Stage::Fencing, "scans still run");
    silent_and_on(&mut harness);
    assert!(!harness.orders_off());
    assert_eq!(waits_for(&harness), [Guard::Rate]);
    let mut other = Harness::engine();
    other.claim().region(ordered(region(1, 100), 3));
    other.heartbeat_age(20_000).service();
    other.power(Power::Off).tick(3_000).power(Power::Off);
    assert!(other.state.proof.is_some());
    harness.region_later(ordered(region(1, 100), 2)).tick(1_000);
    harness.heartbeat_age(20_000).service();
    assert!(harness.orders_off());
    let window = Duration::from_secs(300);
    assert_eq!(
        harness.record.order,
        Some(FenceOrder {
            at_most: Some(3),
            within: window
        })
    );
}

/// Covers R24.
#[test]
fn the_journal_enforces_the_rate_and_drops_a_refused_order() {
    let mut harness = Harness::engine().begun();
    silent_and_on(&mut harness);
    assert!(harness.orders_off());
    let order = harness
        .commands
        .iter()
        .find(|command| matches!(command, Command::PowerOff { .. }))
        .unwrap()
        .clone();
    harness.see_all(vec![Observation::NotSent(order), Observation::OrderRefused]);
    assert!(!harness.state.fence.ordered);
    assert!(harness.state.fence.orders.is_empty());
    assert_eq!(waits_for(&harness), [Guard::Rate]);
    // The host is still only suspected, so an abort ends the recovery.
    harness.operator_state(true, true);
    assert_eq!(harness.status, NotificationStatus::Ignored);
    assert_eq!(harness.record.life, Some(Life::Closed));
}

#[test]
fn an_order_is_counted_once_per_episode() {
    let mut harness = Harness::engine().begun();
    silent_and_on(&mut harness);
    assert!(harness.record.order.is_some());
    let refused = super::harness::fault(Some(503), FaultClass::Transient, false);
    harness.powered_off(Err(refused));
    for _ in 0..10 {
        silent_and_on(&mut harness);
        harness.tick(2_000);
        assert!(harness.record.order.is_none());
    }
}

/// Covers R24.
#[test]
fn a_storm_that_comes_before_the_proof_holds_a_host_that_was_found_off() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service();
    harness.power(Power::Off).region_later(five_of_ten()).tick(3_000);
    harness.power(Power::Off);
    assert!(harness.state.proof.is_none());
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Storm);
    harness.command(OperatorCommand::Approve).tick(500);
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some(), "{:?}", harness.message);
}

/// Covers I4.
#[test]
fn a_storm_that_comes_after_the_order_leaves_it_alone() {
    let mut harness = Harness::engine().begun();
    silent_and_on(&mut harness);
    assert!(harness.orders_off());
    harness.powered_off(Ok(()));
    harness.region_later(five_of_ten()).tick(5_000);
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some());
    assert!(harness.state.hold.is_none());
}

/// Covers ROW11.
#[test]
fn maintenance_before_the_order_ends_the_fencing_and_after_the_order_it_continues() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service();
    harness.operator_state(true, true);
    assert_eq!(harness.status, NotificationStatus::Ignored);
    assert_eq!(harness.state.stage, Stage::Done);

    let mut harness = Harness::engine().begun();
    silent_and_on(&mut harness);
    assert!(harness.orders_off());
    harness.operator_state(true, true);
    assert_eq!(harness.status, NotificationStatus::Running, "it is not cancelled");
    harness.powered_off(Ok(()));
    assert!(harness.reads_power(), "the fence is followed");
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    assert!(harness.state.proof.is_some());
    for _ in 0..10 {
        harness.tick(1_000);
        assert!(harness.updates().is_none(), "no further action starts (R20)");
    }
    harness.operator_state(true, false);
    let mut disabled = harness.updates().is_some();
    for _ in 0..5 {
        disabled |= harness.heartbeat_age(30_000).service().updates().is_some();
        disabled |= harness.power(Power::Off).updates().is_some();
    }
    assert!(disabled, "until it is taken back: {:?}", harness.message);
}

fn with_rack(mut region: Region, hosts: usize, silent: usize) -> Region {
    let nova = region.nova.as_mut().unwrap();
    nova.aggregates.push(Aggregate {
        id: 1,
        name: "r7".into(),
        zone: None,
        hosts: (1..=hosts).map(|number| format!("compute-{number}")).collect(),
        metadata: [("failure_domain".to_owned(), "rack:r7".to_owned())].into(),
    });
    for number in 1..=silent {
        let name = format!("compute-{number}");
        let mut service = up_service(&name);
        let heartbeat = 70_000 + u64::try_from(number).unwrap() * 1_000;
        service.last_heartbeat = Some(nova_time(heartbeat));
        nova.services.insert(name, Some(service));
    }
    region
}

#[test]
fn a_completely_lost_rack_is_named_in_the_reason() {
    let mut harness = Harness::engine();
    harness.claim().region(with_rack(region(6, 20), 8, 6));
    assert_eq!(held_by(&harness), [Guard::Global]);
    assert!(
        !harness.message.as_deref().unwrap().contains("rack r7"),
        "two of its hosts live"
    );
    harness.region_later(with_rack(region(8, 20), 8, 8)).tick(2_500);
    harness.tick(0);
    let reason = harness.state.hold.clone().unwrap().reason;
    assert!(
        reason.starts_with(
            "rack r7: 8 of 8 hosts lost within 7 s; approve all with `tachi recovery approve --domain rack:r7` ("
        ),
        "{reason}"
    );
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    assert_eq!(harness.message, Some(format!("on hold: {reason}")));
    let messages = harness.message_count;
    for _ in 0..100 {
        harness.tick(10_000);
    }
    assert_eq!(harness.message_count, messages, "reported once");
    harness.take_over().tick(0);
    let domain = harness.state.hold.clone().unwrap().domain.unwrap();
    assert_eq!(
        (domain.name.as_str(), domain.lost, domain.hosts),
        ("rack:r7", 8, 8)
    );
    harness.command(OperatorCommand::Approve);
    harness.tick(0);
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
}

/// Covers R24.
#[test]
fn a_cliff_is_waited_out_for_three_intervals_of_elapsed_time() {
    let cliff = || {
        let mut scanned = region(1, 100);
        let nova = scanned.nova.as_mut().unwrap();
        for number in 1..=60 {
            let name = format!("compute-{number}");
            let mut service = up_service(&name);
            service.last_heartbeat = Some(nova_time(60_000));
            nova.services.insert(name, Some(service));
        }
        // Silent for longer than the window of the fractions.
        for service in nova.services.values_mut().flatten() {
            service.nova_now = service
                .last_heartbeat
                .map(|heartbeat| crate::Timestamp::from_micros(heartbeat.micros() + 400_000_000));
        }
        for number in 61..=100 {
            let name = format!("compute-{number}");
            nova.services.insert(name.clone(), Some(up_service(&name)));
        }
        scanned
    };
    let mut harness = Harness::engine();
    harness.claim().region(cliff());
    assert_eq!(waits_for(&harness), [Guard::Cliff]);
    harness.tick(15_000).tick(0);
    harness.take_over().tick(0);
    assert_eq!(waits_for(&harness), [Guard::Cliff]);
    let mut over = Harness::engine();
    over.claim().region(cliff());
    over.region_later(region(1, 100)).tick(15_000).tick(0);
    assert_eq!(over.state.stage, Stage::Fencing, "it was a moment of Nova's");
    harness.tick(15_000).tick(0);
    assert_eq!(held_by(&harness), [Guard::Cliff]);
}

#[test]
fn two_reporters_outweigh_nova_and_one_does_not() {
    for (reporters, expected) in [(1, false), (2, true)] {
        let mut scanned = region(1, 10);
        scanned.hosts[0].reporters = (0..reporters)
            .map(|number| Reporter {
                user_id: format!("control-{number}"),
                control: true,
                ..Reporter::default()
            })
            .collect();
        let mut harness = Harness::engine();
        harness.claim().region(scanned);
        harness.heartbeat_age(1_000).service();
        harness.power(Power::On);
        assert_eq!(harness.orders_off(), expected, "{reporters}");
    }
}

#[test]
fn a_warning_is_recorded_once_and_blocks_nothing() {
    let mut harness = Harness::engine();
    let mut scanned = region(1, 3);
    for host in ["compute-2", "compute-3"] {
        let mut service = up_service(host);
        service.enabled = host == "nowhere";
        scanned
            .nova
            .as_mut()
            .unwrap()
            .services
            .insert(host.into(), Some(service));
    }
    let far = up_service("far");
    scanned
        .nova
        .as_mut()
        .unwrap()
        .services
        .insert("far".into(), Some(far));
    harness.claim().region(scanned);
    assert_eq!(harness.state.stage, Stage::Fencing);
    let is_recorded = |harness: &Harness| {
        harness
            .record
            .steps
            .iter()
            .any(|step| step.text.contains("G8 capacity"))
    };
    assert!(is_recorded(&harness));
    assert!(!is_recorded(harness.tick(5_000)));
    assert_eq!(harness.state.guard.warned, BTreeSet::from([Guard::Capacity]));
}

#[test]
fn a_storm_that_an_older_version_held_is_approved_as_it_was_then() {
    let mut harness = Harness::engine();
    harness.claim().region(five_of_ten());
    let mut head: serde_json::Value = serde_json::from_str(&harness.state.head().unwrap()).unwrap();
    head["hold"].as_object_mut().unwrap().remove("guards");
    head["hold"].as_object_mut().unwrap().remove("domain");
    head.as_object_mut().unwrap().remove("guard");
    harness.state = HostRecovery::restore(&head.to_string(), &[]).unwrap();
    harness.claim();
    harness.command(OperatorCommand::Approve);
    harness.tick(0);
    harness.tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
}
