//! Orders that count, the checks before each, and the lifetime of an approval (R27).

use std::time::Duration;

use super::harness::{Harness, fault, levels, nova_time, region, up_service};
use crate::Timestamp;
use crate::fault::FaultClass;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::guard::{Guard, Region};
use crate::host_recovery::{HoldKind, Stage};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand};

/// Half of the device's time plus 1 s for the answer; then the order is repeated. In ms.
const HALF: u64 = 76_000;

fn frozen(harness: &mut Harness, number: i64) {
    let freeze = Freeze {
        number,
        scope: FreezeScope::Host,
        name: "compute-1".into(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    };
    harness.operator_state.frozen = FreezeStatus {
        over: vec![freeze],
        ..FreezeStatus::NONE
    };
    let operator_state = harness.operator_state.clone();
    harness.see(Observation::OperatorState(operator_state));
}

fn thawed(harness: &mut Harness, number: i64) {
    harness.operator_state.frozen = FreezeStatus {
        thawed: number,
        ..FreezeStatus::NONE
    };
    let operator_state = harness.operator_state.clone();
    harness.see(Observation::OperatorState(operator_state));
}

/// Runs a check with a silent host and a current scan, and with "on" from this device. Returns the orders that
/// follow.
fn on(harness: &mut Harness, device: &str) -> Vec<Command> {
    type Step = fn(&mut Harness, &str);
    let steps: [Step; 5] = [
        |harness, _| _ = harness.heartbeat_age(90_000).service(),
        |harness, _| _ = harness.service(),
        |harness, _| _ = harness.tick(0),
        |harness, device| _ = harness.device(device, Power::On),
        |harness, _| _ = harness.tick(0),
    ];
    let mut orders = Vec::new();
    for step in steps {
        step(harness, device);
        let order = |command: &&Command| matches!(command, Command::PowerOff { .. });
        orders.extend(harness.commands.iter().filter(order).cloned());
    }
    orders
}

/// True if exactly one power-off order follows, at this device.
fn is_ordered(harness: &mut Harness, device: &str) -> bool {
    match on(harness, device).as_slice() {
        [] => false,
        [Command::PowerOff { target, .. }] => {
            assert_eq!(target.device, device);
            true
        }
        more => panic!("{more:?}"),
    }
}

fn write(harness: &Harness) -> Command {
    harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap()
}

fn held_by(harness: &Harness) -> Vec<Guard> {
    let hold = harness.state.hold.iter();
    hold.flat_map(|hold| hold.guards.iter().copied()).collect()
}

/// Returns a recovery whose power-off order the device accepted.
fn ordered() -> Harness {
    let mut harness = Harness::engine();
    harness.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut harness = harness.begun();
    harness
        .heartbeat_age(90_000)
        .service_now()
        .device("bmc", Power::On);
    assert_eq!(harness.ordered_devices(), ["bmc"]);
    harness.ordered("bmc", Ok(()));
    harness
}

/// Fails the first level after its order; the second reads "on". Returns true if the second gets an order.
fn at_the_second_level(harness: &mut Harness) -> bool {
    harness.at += 4_000;
    harness.device_fails("bmc", fault(Some(401), FaultClass::Fatal, false));
    assert_eq!(harness.state.fence.level, 1);
    is_ordered(harness, "pdu")
}

/// Covers R27.
#[test]
fn an_unsent_order_does_not_count() {
    for freeze in [false, true] {
        let mut harness = Harness::engine().begun();
        harness.heartbeat_age(90_000).service_now().power(Power::On);
        let order = write(&harness);
        assert!(matches!(order, Command::PowerOff { .. }));
        // The process was stopped after the commit, so its call was not made (R4).
        harness.at += 90_000;
        harness.see(Observation::NotSent(order));
        assert!(!harness.state.fence.ordered && harness.record.head);
        if freeze {
            // The freeze arrives with the next decision, not with the one that revoked the order.
            frozen(&mut harness, 1);
            assert_eq!(harness.state.stage, Stage::Begin);
            thawed(&mut harness, 1);
        }
        harness.region_later(region(5, 10)).tick(4_000).tick(0);
        assert!(!is_ordered(&mut harness, "bmc"));
        assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    }
}

/// Covers R27.
#[test]
fn an_unsent_order_uses_none_of_the_devices_time() {
    let mut harness = Harness::engine();
    harness.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut harness = harness.begun();
    harness
        .heartbeat_age(90_000)
        .service_now()
        .device("bmc", Power::On);
    let order = write(&harness);
    harness.at += 200_000;
    harness.see(Observation::NotSent(order));
    assert!(is_ordered(&mut harness, "bmc"));
    assert_eq!(harness.state.fence.level, 0, "{:?}", harness.state.fence.failures);
}

/// Covers R27.
#[test]
fn an_order_of_an_earlier_owner_may_have_been_sent() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(90_000).service_now().power(Power::On);
    assert!(harness.orders_off());
    harness.take_over();
    assert!(harness.state.fence.ordered);
    // A further order is not sent: that revokes only itself, not the first.
    harness.at += 100_000;
    harness.tick(0).tick(0);
    let [order] = on(&mut harness, "bmc").try_into().unwrap();
    harness.see(Observation::NotSent(order));
    assert!(harness.state.fence.ordered);
}

/// Covers R27.
#[test]
fn an_unsent_change_of_novas_record_does_not_count() {
    let mut harness = Harness::engine().proven();
    let change = write(&harness);
    assert!(matches!(change, Command::UpdateService { .. }));
    harness.see(Observation::NotSent(change));
    let change = write(&harness);
    assert!(
        harness.record.unless_frozen.own,
        "the first again: the journal checks for freezes"
    );
    harness.at += 40_000;
    harness.see(Observation::NotSent(change));
    assert!(harness.state.service.put.is_none());
    frozen(&mut harness, 1);
    assert_eq!(harness.state.stage, Stage::Begin, "none of it had started");
}

/// Covers R27.
#[test]
fn guards_are_checked_before_a_repeated_order_and_off_readings_count_meanwhile() {
    let mut harness = ordered();
    harness.region_later(region(5, 10));
    let mut requested = 0;
    for _ in 0..HALF / 2_000 {
        harness.heartbeat_age(90_000).service_now();
        harness.device("bmc", Power::On).tick(2_000);
        assert!(!harness.orders_off(), "at {}", harness.at);
        requested += u64::from(harness.reads_power() && harness.state.hold.is_some());
    }
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    harness.tick(5_000);
    assert!(
        requested > 0 || harness.reads_power(),
        "what was ordered is followed"
    );
    harness
        .device("bmc", Power::Off)
        .tick(3_000)
        .device("bmc", Power::Off);
    assert!(harness.state.proof.is_some(), "{:?}", harness.state.hold);
    assert!(harness.state.hold.is_none());
    assert_eq!(harness.state.stage, Stage::Disabling);
}

/// Covers R27.
#[test]
fn guards_are_checked_before_the_order_of_a_further_level() {
    for (storm, expected_order) in [(false, true), (true, false)] {
        let mut harness = ordered();
        let out = if storm { 5 } else { 1 };
        harness.region_later(region(out, 10));
        assert_eq!(
            at_the_second_level(&mut harness),
            expected_order,
            "{:?}",
            harness.state.hold
        );
        assert_eq!(held_by(&harness).contains(&Guard::Global), storm);
    }
}

/// Covers R27.
#[test]
fn no_order_is_sent_with_a_scan_older_than_three_seconds() {
    let mut harness = ordered();
    harness.nobody_looks_around();
    harness.at += 10_000;
    for _ in 0..20 {
        harness.at += 5_000;
        harness.heartbeat_age(90_000);
        assert!(!at_the_second_level_or_still(&mut harness), "at {}", harness.at);
    }
    assert_eq!(harness.state.fence.level, 1);
}

fn at_the_second_level_or_still(harness: &mut Harness) -> bool {
    if harness.state.fence.level == 0 {
        at_the_second_level(harness)
    } else {
        is_ordered(harness, "pdu")
    }
}

/// Covers R27.
#[test]
fn guards_are_checked_before_a_refused_order_is_repeated() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(90_000).service_now().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Err(fault(Some(429), FaultClass::Transient, false)));
    frozen(&mut harness, 1);
    harness.tick(60_000);
    thawed(&mut harness, 1);
    harness.region_later(region(5, 10)).tick(20_000);
    assert!(!is_ordered(&mut harness, "bmc"));
    assert!(held_by(&harness).contains(&Guard::Segment));
}

/// Returns a recovery with five of ten hosts out, and an approval.
fn approved(mut harness: Harness) -> Harness {
    harness.claim().region(region(5, 10));
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    harness.command(OperatorCommand::Approve).tick(0).tick(0);
    assert_eq!(harness.state.stage, Stage::Fencing);
    harness
}

fn two_levels() -> Harness {
    let mut harness = Harness::engine();
    harness.levels = levels(&[&["bmc"], &["pdu"]]);
    harness
}

/// Covers R27.
#[test]
fn an_approval_covers_the_hosts_that_were_out_or_silent() {
    let mut harness = approved(Harness::engine());
    let hosts = harness.state.guard.approval.clone().unwrap().hosts.unwrap();
    assert_eq!(hosts.len(), 5, "{hosts:?}");
    assert!(hosts.contains("compute-5") && !hosts.contains("compute-6"));
    // Fewer hosts are out, which the approval covers.
    harness.region_later(region(4, 10)).tick(4_000).tick(0);
    assert!(is_ordered(&mut harness, "bmc"), "{:?}", harness.message);
}

/// Covers R27.
#[test]
fn an_approval_ends_when_a_further_host_goes_out() {
    let mut harness = approved(Harness::engine());
    harness.take_over();
    harness.region_later(region(6, 10)).tick(4_000).tick(0);
    assert!(!is_ordered(&mut harness, "bmc"));
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
    let reason = harness.state.hold.as_ref().unwrap().reason.clone();
    assert!(reason.contains("6 of the segment's 10 hosts"), "{reason}");
    assert!(harness.state.guard.approval.is_none());
    harness.command(OperatorCommand::Approve).tick(0).tick(0);
    assert!(
        is_ordered(&mut harness, "bmc"),
        "approved as it is now: {:?}",
        harness.message
    );
}

/// Two engines are lost one after the other, and the approval is heard when more hosts are out.
/// Covers R27.
#[test]
fn an_approval_that_is_heard_late_covers_the_hosts_that_the_hold_counted() {
    for (waited, further) in [(5_000, true), (60_000, false)] {
        let mut harness = Harness::engine();
        harness.claim().region(region(5, 10));
        harness.region_later(region(6, 10)).take_over();
        harness.tick(4_000).tick(0);
        harness.operator_state.clock = Some(nova_time(harness.at + 100_000 + waited));
        harness.command(OperatorCommand::Approve).tick(0).tick(0);
        let on_hold = harness.state.hold.is_some();
        assert_eq!(on_hold, !further, "{waited}: {:?}", harness.message);
    }
}

/// Covers R27.
#[test]
fn an_order_that_was_not_sent_leaves_no_approval_behind() {
    let mut harness = approved(Harness::engine());
    harness.heartbeat_age(90_000).service_now().power(Power::On);
    let order = harness
        .commands
        .iter()
        .find(|command| matches!(command, Command::PowerOff { .. }))
        .cloned();
    let order = order.unwrap_or_else(|| panic!("{:?}", harness.message));
    harness.see_all(vec![Observation::NotSent(order), Observation::OrderRefused]);
    harness.region_later(region(6, 10)).tick(20_000).tick(0);
    assert!(harness.state.guard.approval.is_none());
    harness.tick(400_000).tick(0);
    assert!(!is_ordered(&mut harness, "bmc"), "{:?}", harness.message);
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_of_a_domain_covers_all_its_hosts() {
    let rack = |out: usize, silent: usize| {
        let mut scanned = region(out, 20);
        let nova = scanned.nova.as_mut().unwrap();
        for number in 1..=silent {
            let name = format!("compute-{number}");
            let mut service = up_service(&name);
            service.last_heartbeat = Some(nova_time(70_000));
            nova.services.insert(name, Some(service));
        }
        let hosts = (1..=8).map(|number| format!("compute-{number}")).collect();
        scanned.domains.insert("rack:r7".into(), hosts);
        scanned
    };
    let mut harness = Harness::engine();
    harness.claim().region(rack(8, 8));
    assert!(harness.state.hold.as_ref().unwrap().domain.is_some());
    // In the scan of the approval, one of them briefly has a heartbeat again.
    harness.region_later(rack(7, 7)).tick(4_000).tick(0);
    harness.command(OperatorCommand::Approve).tick(0).tick(0);
    let hosts = harness.state.guard.approval.clone().unwrap().hosts.unwrap();
    assert!(hosts.contains("compute-8"), "{hosts:?}");
}

/// Covers R27.
#[test]
fn an_approval_ends_with_a_freeze_of_the_host() {
    let mut harness = approved(two_levels());
    assert!(is_ordered(&mut harness, "bmc"));
    harness.ordered("bmc", Ok(()));
    frozen(&mut harness, 1);
    assert!(harness.state.guard.lifted.is_empty() && harness.state.fence.approved.is_empty());
    thawed(&mut harness, 1);
    assert!(!at_the_second_level(&mut harness));
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_covers_all_levels_of_a_try_and_no_new_try() {
    let mut harness = approved(two_levels());
    assert!(is_ordered(&mut harness, "bmc"));
    harness.ordered("bmc", Ok(()));
    harness.region_later(region(6, 10));
    assert!(at_the_second_level(&mut harness), "{:?}", harness.state.hold);
    harness.ordered("pdu", Ok(()));
    let failed = |harness: &Harness| harness.state.hold.as_ref().map(|hold| hold.kind);
    for _ in 0..80 {
        if failed(&harness).is_some() {
            break;
        }
        harness.heartbeat_age(90_000).service_now();
        harness.device("pdu", Power::On).tick(5_000);
    }
    assert_eq!(failed(&harness), Some(HoldKind::Fence));
    for _ in 0..40 {
        harness.heartbeat_age(90_000).service_now();
        harness.device("bmc", Power::On).tick(5_000);
        assert!(!harness.orders_off(), "{:?}", harness.commands);
    }
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_ends_ten_minutes_after_the_rate_has_made_it_wait_last() {
    let crowded = |orders: bool| -> Region {
        let mut scanned = region(5, 10);
        if orders {
            scanned.orders = (0..3_u128)
                .map(|number| crate::guard::HostIncident {
                    host: crate::HostId(uuid::Uuid::from_u128(100 + number)),
                    recovery: crate::RecoveryId(uuid::Uuid::from_u128(100 + number)),
                    age: Duration::from_secs(1),
                })
                .collect();
        }
        scanned
    };
    // The rate delays it for an hour, then it continues.
    let mut harness = approved(Harness::engine());
    harness.region_later(crowded(true));
    for _ in 0..720 {
        harness.tick(5_000);
        assert!(!is_ordered(&mut harness, "bmc"));
    }
    let waiting = harness.state.guard.waiting.clone().unwrap();
    assert!(waiting.guards.contains(&Guard::Rate));
    harness.region_later(crowded(false)).tick(5_000);
    assert!(is_ordered(&mut harness, "bmc"), "{:?}", harness.message);
    // Only an unresponsive device delays it.
    let mut harness = approved(Harness::engine());
    harness.at += 601_000;
    harness.tick(0).tick(0);
    assert!(!is_ordered(&mut harness, "bmc"));
    assert_eq!(held_by(&harness), [Guard::Segment, Guard::Global]);
}
