//! Orders that count, the checks before each, and the lifetime of an approval (R27).

use std::time::Duration;

use super::bed::{Harness, fault, heard, levels, nova_time, region};
use crate::Timestamp;
use crate::fault::FaultClass;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::guard::{Guard, Region};
use crate::host_recovery::{HoldKind, Stage};
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand};

/// Half of the device's time plus 1 s for the answer; then the order is repeated. In ms.
const HALF: u64 = 76_000;

fn frozen(bed: &mut Harness, number: i64) {
    let freeze = Freeze {
        number,
        scope: FreezeScope::Host,
        name: "compute-1".into(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    };
    bed.operator_state.frozen = FreezeStatus {
        over: vec![freeze],
        ..FreezeStatus::NONE
    };
    let operator_state = bed.operator_state.clone();
    bed.see(Observation::OperatorState(operator_state));
}

fn thawed(bed: &mut Harness, number: i64) {
    bed.operator_state.frozen = FreezeStatus {
        thawed: number,
        ..FreezeStatus::NONE
    };
    let operator_state = bed.operator_state.clone();
    bed.see(Observation::OperatorState(operator_state));
}

/// Runs a check with a silent host and a current scan, and with "on" from this device. Returns the orders that
/// follow.
fn on(bed: &mut Harness, device: &str) -> Vec<Command> {
    type Step = fn(&mut Harness, &str);
    let steps: [Step; 5] = [
        |bed, _| _ = bed.heartbeat_age(90_000).service(),
        |bed, _| _ = bed.service(),
        |bed, _| _ = bed.tick(0),
        |bed, device| _ = bed.device(device, Power::On),
        |bed, _| _ = bed.tick(0),
    ];
    let mut orders = Vec::new();
    for step in steps {
        step(bed, device);
        let order = |one: &&Command| matches!(one, Command::PowerOff { .. });
        orders.extend(bed.commands.iter().filter(order).cloned());
    }
    orders
}

/// True if exactly one power-off order follows, at this device.
fn is_told(bed: &mut Harness, device: &str) -> bool {
    match on(bed, device).as_slice() {
        [] => false,
        [Command::PowerOff { target, .. }] => {
            assert_eq!(target.device, device);
            true
        }
        more => panic!("{more:?}"),
    }
}

fn write(bed: &Harness) -> Command {
    bed.commands.iter().find(|one| one.is_write()).cloned().unwrap()
}

fn held_by(bed: &Harness) -> Vec<Guard> {
    let hold = bed.state.hold.iter();
    hold.flat_map(|hold| hold.guards.iter().copied()).collect()
}

/// Returns a recovery whose power-off order the device accepted.
fn ordered() -> Harness {
    let mut bed = Harness::engine();
    bed.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut bed = bed.begun();
    bed.heartbeat_age(90_000).service_now().device("bmc", Power::On);
    assert_eq!(bed.ordered_devices(), ["bmc"]);
    bed.ordered("bmc", Ok(()));
    bed
}

/// Fails the first level after its order; the second reads "on". Returns true if the second gets an order.
fn at_the_second_level(bed: &mut Harness) -> bool {
    bed.at += 4_000;
    bed.device_fails("bmc", fault(Some(401), FaultClass::Fatal, false));
    assert_eq!(bed.state.fence.level, 1);
    is_told(bed, "pdu")
}

/// Covers R27.
#[test]
fn an_unsent_order_does_not_count() {
    for freeze in [false, true] {
        let mut bed = Harness::engine().begun();
        bed.heartbeat_age(90_000).service_now().power(Power::On);
        let order = write(&bed);
        assert!(matches!(order, Command::PowerOff { .. }));
        // The process was stopped after the commit, so its call was not made (R4).
        bed.at += 90_000;
        bed.see(Observation::NotSent(order));
        assert!(!bed.state.fence.ordered && bed.record.head);
        if freeze {
            // The freeze arrives with the next decision, not with the one that revoked the order.
            frozen(&mut bed, 1);
            assert_eq!(bed.state.stage, Stage::Begin);
            thawed(&mut bed, 1);
        }
        bed.around_later(region(5, 10)).tick(4_000).tick(0);
        assert!(!is_told(&mut bed, "bmc"));
        assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
    }
}

/// Covers R27.
#[test]
fn an_unsent_order_uses_none_of_the_devices_time() {
    let mut bed = Harness::engine();
    bed.levels = levels(&[&["bmc"], &["pdu"]]);
    let mut bed = bed.begun();
    bed.heartbeat_age(90_000).service_now().device("bmc", Power::On);
    let order = write(&bed);
    bed.at += 200_000;
    bed.see(Observation::NotSent(order));
    assert!(is_told(&mut bed, "bmc"));
    assert_eq!(bed.state.fence.level, 0, "{:?}", bed.state.fence.failures);
}

/// Covers R27.
#[test]
fn an_order_of_an_earlier_owner_may_have_been_sent() {
    let mut bed = Harness::engine().begun();
    bed.heartbeat_age(90_000).service_now().power(Power::On);
    assert!(bed.orders_off());
    bed.take_over();
    assert!(bed.state.fence.ordered);
    // A further order is not sent: that revokes only itself, not the first.
    bed.at += 100_000;
    bed.tick(0).tick(0);
    let [order] = on(&mut bed, "bmc").try_into().unwrap();
    bed.see(Observation::NotSent(order));
    assert!(bed.state.fence.ordered);
}

/// Covers R27.
#[test]
fn an_unsent_change_of_novas_record_does_not_count() {
    let mut bed = Harness::engine().proven();
    let change = write(&bed);
    assert!(matches!(change, Command::UpdateService { .. }));
    bed.see(Observation::NotSent(change));
    let change = write(&bed);
    assert!(
        bed.record.unless_frozen.own,
        "the first again: the journal checks for freezes"
    );
    bed.at += 40_000;
    bed.see(Observation::NotSent(change));
    assert!(bed.state.service.put.is_none());
    frozen(&mut bed, 1);
    assert_eq!(bed.state.stage, Stage::Begin, "none of it had started");
}

/// Covers R27.
#[test]
fn guards_are_checked_before_a_repeated_order_and_off_readings_count_meanwhile() {
    let mut bed = ordered();
    bed.around_later(region(5, 10));
    let mut asked = 0;
    for _ in 0..HALF / 2_000 {
        bed.heartbeat_age(90_000).service_now();
        bed.device("bmc", Power::On).tick(2_000);
        assert!(!bed.orders_off(), "at {}", bed.at);
        asked += u64::from(bed.reads_power() && bed.state.hold.is_some());
    }
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
    bed.tick(5_000);
    assert!(asked > 0 || bed.reads_power(), "what was ordered is followed");
    bed.device("bmc", Power::Off)
        .tick(3_000)
        .device("bmc", Power::Off);
    assert!(bed.state.proof.is_some(), "{:?}", bed.state.hold);
    assert!(bed.state.hold.is_none());
    assert_eq!(bed.state.stage, Stage::Disabling);
}

/// Covers R27.
#[test]
fn guards_are_checked_before_the_order_of_a_further_level() {
    for (storm, told) in [(false, true), (true, false)] {
        let mut bed = ordered();
        let out = if storm { 5 } else { 1 };
        bed.around_later(region(out, 10));
        assert_eq!(at_the_second_level(&mut bed), told, "{:?}", bed.state.hold);
        assert_eq!(held_by(&bed).contains(&Guard::Global), storm);
    }
}

/// Covers R27.
#[test]
fn no_order_is_sent_with_a_scan_older_than_three_seconds() {
    let mut bed = ordered();
    bed.nobody_looks_around();
    bed.at += 10_000;
    for _ in 0..20 {
        bed.at += 5_000;
        bed.heartbeat_age(90_000);
        assert!(!at_the_second_level_or_still(&mut bed), "at {}", bed.at);
    }
    assert_eq!(bed.state.fence.level, 1);
}

fn at_the_second_level_or_still(bed: &mut Harness) -> bool {
    if bed.state.fence.level == 0 {
        at_the_second_level(bed)
    } else {
        is_told(bed, "pdu")
    }
}

/// Covers R27.
#[test]
fn guards_are_checked_before_a_refused_order_is_repeated() {
    let mut bed = Harness::engine().begun();
    bed.heartbeat_age(90_000).service_now().power(Power::On);
    assert!(bed.orders_off());
    bed.powered_off(Err(fault(Some(429), FaultClass::Transient, false)));
    frozen(&mut bed, 1);
    bed.tick(60_000);
    thawed(&mut bed, 1);
    bed.around_later(region(5, 10)).tick(20_000);
    assert!(!is_told(&mut bed, "bmc"));
    assert!(held_by(&bed).contains(&Guard::Segment));
}

/// Returns a recovery with five of ten hosts out, and an approval.
fn approved(mut bed: Harness) -> Harness {
    bed.claim().around(region(5, 10));
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
    bed.command(OperatorCommand::Approve).tick(0).tick(0);
    assert_eq!(bed.state.stage, Stage::Fencing);
    bed
}

fn two_levels() -> Harness {
    let mut bed = Harness::engine();
    bed.levels = levels(&[&["bmc"], &["pdu"]]);
    bed
}

/// Covers R27.
#[test]
fn an_approval_covers_the_hosts_that_were_out_or_silent() {
    let mut bed = approved(Harness::engine());
    let hosts = bed.state.guard.approval.clone().unwrap().hosts.unwrap();
    assert_eq!(hosts.len(), 5, "{hosts:?}");
    assert!(hosts.contains("compute-5") && !hosts.contains("compute-6"));
    // Fewer hosts are out, which the approval covers.
    bed.around_later(region(4, 10)).tick(4_000).tick(0);
    assert!(is_told(&mut bed, "bmc"), "{:?}", bed.message);
}

/// Covers R27.
#[test]
fn an_approval_ends_when_a_further_host_goes_out() {
    let mut bed = approved(Harness::engine());
    bed.take_over();
    bed.around_later(region(6, 10)).tick(4_000).tick(0);
    assert!(!is_told(&mut bed, "bmc"));
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
    let told = bed.state.hold.as_ref().unwrap().reason.clone();
    assert!(told.contains("6 of the segment's 10 hosts"), "{told}");
    assert!(bed.state.guard.approval.is_none());
    bed.command(OperatorCommand::Approve).tick(0).tick(0);
    assert!(
        is_told(&mut bed, "bmc"),
        "approved as it is now: {:?}",
        bed.message
    );
}

/// Two engines are lost one after the other, and the approval is heard when more hosts are out.
/// Covers R27.
#[test]
fn an_approval_that_is_heard_late_covers_the_hosts_that_the_hold_counted() {
    for (waited, further) in [(5_000, true), (60_000, false)] {
        let mut bed = Harness::engine();
        bed.claim().around(region(5, 10));
        bed.around_later(region(6, 10)).take_over();
        bed.tick(4_000).tick(0);
        bed.operator_state.clock = Some(nova_time(bed.at + 100_000 + waited));
        bed.command(OperatorCommand::Approve).tick(0).tick(0);
        let held = bed.state.hold.is_some();
        assert_eq!(held, !further, "{waited}: {:?}", bed.message);
    }
}

/// Covers R27.
#[test]
fn an_order_that_was_not_sent_leaves_no_approval_behind() {
    let mut bed = approved(Harness::engine());
    bed.heartbeat_age(90_000).service_now().power(Power::On);
    let order = bed
        .commands
        .iter()
        .find(|one| matches!(one, Command::PowerOff { .. }))
        .cloned();
    let order = order.unwrap_or_else(|| panic!("{:?}", bed.message));
    bed.see_all(vec![Observation::NotSent(order), Observation::OrderRefused]);
    bed.around_later(region(6, 10)).tick(20_000).tick(0);
    assert!(bed.state.guard.approval.is_none());
    bed.tick(400_000).tick(0);
    assert!(!is_told(&mut bed, "bmc"), "{:?}", bed.message);
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_of_a_domain_covers_all_its_hosts() {
    let rack = |out: usize, silent: usize| {
        let mut seen = region(out, 20);
        let nova = seen.nova.as_mut().unwrap();
        for number in 1..=silent {
            let name = format!("compute-{number}");
            let mut service = heard(&name);
            service.last_heartbeat = Some(nova_time(70_000));
            nova.services.insert(name, Some(service));
        }
        let hosts = (1..=8).map(|number| format!("compute-{number}")).collect();
        seen.domains.insert("rack:r7".into(), hosts);
        seen
    };
    let mut bed = Harness::engine();
    bed.claim().around(rack(8, 8));
    assert!(bed.state.hold.as_ref().unwrap().domain.is_some());
    // In the scan of the approval, one of them briefly has a heartbeat again.
    bed.around_later(rack(7, 7)).tick(4_000).tick(0);
    bed.command(OperatorCommand::Approve).tick(0).tick(0);
    let hosts = bed.state.guard.approval.clone().unwrap().hosts.unwrap();
    assert!(hosts.contains("compute-8"), "{hosts:?}");
}

/// Covers R27.
#[test]
fn an_approval_ends_with_a_freeze_of_the_host() {
    let mut bed = approved(two_levels());
    assert!(is_told(&mut bed, "bmc"));
    bed.ordered("bmc", Ok(()));
    frozen(&mut bed, 1);
    assert!(bed.state.guard.lifted.is_empty() && bed.state.fence.approved.is_empty());
    thawed(&mut bed, 1);
    assert!(!at_the_second_level(&mut bed));
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_covers_all_levels_of_a_try_and_no_new_try() {
    let mut bed = approved(two_levels());
    assert!(is_told(&mut bed, "bmc"));
    bed.ordered("bmc", Ok(()));
    bed.around_later(region(6, 10));
    assert!(at_the_second_level(&mut bed), "{:?}", bed.state.hold);
    bed.ordered("pdu", Ok(()));
    let failed = |bed: &Harness| bed.state.hold.as_ref().map(|hold| hold.kind);
    for _ in 0..80 {
        if failed(&bed).is_some() {
            break;
        }
        bed.heartbeat_age(90_000).service_now();
        bed.device("pdu", Power::On).tick(5_000);
    }
    assert_eq!(failed(&bed), Some(HoldKind::Fence));
    for _ in 0..40 {
        bed.heartbeat_age(90_000).service_now();
        bed.device("bmc", Power::On).tick(5_000);
        assert!(!bed.orders_off(), "{:?}", bed.commands);
    }
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
}

/// Covers R27.
#[test]
fn an_approval_ends_ten_minutes_after_the_rate_has_made_it_wait_last() {
    let crowded = |orders: bool| -> Region {
        let mut seen = region(5, 10);
        if orders {
            seen.orders = (0..3_u128)
                .map(|number| crate::guard::HostIncident {
                    host: crate::HostId(uuid::Uuid::from_u128(100 + number)),
                    recovery: crate::RecoveryId(uuid::Uuid::from_u128(100 + number)),
                    age: Duration::from_secs(1),
                })
                .collect();
        }
        seen
    };
    // The rate delays it for an hour, then it continues.
    let mut bed = approved(Harness::engine());
    bed.around_later(crowded(true));
    for _ in 0..720 {
        bed.tick(5_000);
        assert!(!is_told(&mut bed, "bmc"));
    }
    let waiting = bed.state.guard.waiting.clone().unwrap();
    assert!(waiting.guards.contains(&Guard::Rate));
    bed.around_later(crowded(false)).tick(5_000);
    assert!(is_told(&mut bed, "bmc"), "{:?}", bed.message);
    // Only an unresponsive device delays it.
    let mut bed = approved(Harness::engine());
    bed.at += 601_000;
    bed.tick(0).tick(0);
    assert!(!is_told(&mut bed, "bmc"));
    assert_eq!(held_by(&bed), [Guard::Segment, Guard::Global]);
}
