//! A host is powered on only at the end, and only if configured.

use std::time::Duration;

use super::harness::{Harness, evacuation, fault, levels, server, target, timeout};
use crate::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::Stage;
use crate::nova::Migration;
use crate::policy::{FencingMode, Policy};
use crate::power::Power;
use crate::recovery::{Command, Evacuations, Life, Observation, OperatorCommand, ServerCall};

/// Returns a recovery with the option set.
fn powering_on(change: impl FnOnce(&mut Policy)) -> Harness {
    Harness::with("UNKNOWN", |policy| {
        policy.power_on_after_recovery = true;
        change(policy);
    })
}

/// Returns a recovery whose host was on and that powered it off.
fn fenced(harness: Harness) -> Harness {
    let mut harness = harness.begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.powered_off(Ok(()));
    harness
        .tick(5_000)
        .power(Power::Off)
        .tick(3_000)
        .power(Power::Off);
    assert_eq!(harness.state.stage, Stage::Disabling);
    harness
}

/// The same, with no instance left on the host.
fn returning(harness: Harness) -> Harness {
    let mut harness = fenced(harness);
    harness.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    harness.at += 10_000;
    harness.service();
    harness
}

fn power_on_orders(harness: &Harness) -> Vec<&str> {
    let commands = harness.commands.iter();
    commands
        .filter_map(|command| match command {
            Command::PowerOn { target, .. } => Some(target.device.as_str()),
            _ => None,
        })
        .collect()
}

fn shows(harness: &mut Harness, records: &[Migration]) {
    let (started, records) = (Elapsed::from_millis(harness.at), records.to_vec());
    harness.see(Observation::Evacuations(Ok(Evacuations { started, records })));
}

fn answered(harness: &mut Harness, result: Result<(), Fault>) {
    let target = target("bmc");
    harness.see(Observation::PowerOn { target, result });
}

/// Reads this power state and these records every 5 s for `seconds`. Returns true as soon as a power-on is
/// ordered.
fn orders_within(harness: &mut Harness, seconds: u32, power: Power, records: &[Migration]) -> bool {
    (0..seconds).any(|second| {
        harness.tick(1_000);
        let ordered = !power_on_orders(harness).is_empty();
        if ordered || second % 5 != 0 {
            return ordered;
        }
        harness.power(power);
        if power_on_orders(harness).is_empty() {
            shows(harness, records);
        }
        !power_on_orders(harness).is_empty()
    })
}

/// Covers I7.
#[test]
fn a_host_is_powered_on_after_its_recovery_and_journalled_first() {
    let mut harness = returning(powering_on(|_| ()));
    assert!(harness.state.is_proven_off());
    assert!(
        !orders_within(&mut harness, 179, Power::Off, &[]),
        "others who rebuild on it must see that it is off (R10)"
    );
    assert!(orders_within(&mut harness, 60, Power::Off, &[]));
    assert_eq!(power_on_orders(&harness), ["bmc"]);
    assert!(
        harness.record.head && !harness.record.steps.is_empty(),
        "journalled first"
    );
    assert!(
        harness.record.unless_host_recovery.is_some(),
        "and refused if the host is reported again"
    );
    assert!(!harness.state.is_proven_off(), "R10: the proof no longer counts");
    answered(&mut harness, Ok(()));
    assert!(!orders_within(&mut harness, 600, Power::On, &[]), "it is on");
    // The answer to an older query arrives first.
    harness.service().beats();
    assert!(harness.clears());
}

/// Covers I7.
#[test]
fn nothing_is_powered_on_in_the_middle_of_an_evacuation() {
    let mut harness = fenced(powering_on(|_| ()));
    harness.forced_down().service().inventory(vec![server(1)], vec![]);
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1), "{:?}", harness.commands);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    assert!(!orders_within(&mut harness, 300, Power::Off, &[]));
    assert_eq!(harness.state.stage, Stage::Moving);
}

/// Covers I7.
#[test]
fn an_evacuation_requested_by_another_client_delays_the_power_on() {
    let mut harness = returning(powering_on(|_| ()));
    let running = [evacuation(7, 1, "pre-migrating", Some("cmp2"))];
    assert!(!orders_within(&mut harness, 300, Power::Off, &running));
    let done = [evacuation(7, 1, "done", Some("cmp2"))];
    assert!(orders_within(&mut harness, 60, Power::Off, &done));
}

/// Covers I7.
#[test]
fn power_on_is_optional_and_only_for_a_host_that_this_recovery_powered_off() {
    type Then = Box<dyn Fn(&mut Harness)>;
    let nothing = |_: &mut Harness| ();
    let cases: Vec<(&str, Harness, Then)> = vec![
        (
            "the option is off",
            returning(Harness::with("UNKNOWN", |_| ())),
            Box::new(nothing),
        ),
        (
            "another client had powered it off",
            {
                let mut harness = powering_on(|_| ()).proven();
                harness.forced_down().service().inventory(vec![], vec![]);
                harness
            },
            Box::new(nothing),
        ),
        (
            "maintenance that an operator has set",
            returning(powering_on(|_| ())),
            Box::new(|harness| _ = harness.operator_state(true, true)),
        ),
        (
            "the segment is disabled",
            returning(powering_on(|_| ())),
            Box::new(|harness| _ = harness.operator_state(false, false)),
        ),
        (
            "fencing is stopped",
            returning(powering_on(|_| ())),
            Box::new(|harness| _ = harness.see(Observation::FencingStopped(true))),
        ),
        (
            "the engine fences no host any more",
            returning(powering_on(|_| ())),
            Box::new(|harness| harness.state.policy.fencing = FencingMode::External),
        ),
        (
            "it is under recovery again",
            returning(powering_on(|_| ())),
            Box::new(|harness| _ = harness.see(Observation::HostUnderRecovery)),
        ),
    ];
    for (case, mut harness, then) in cases {
        assert_eq!(harness.state.stage, Stage::Returning, "{case}");
        then(&mut harness);
        assert!(!orders_within(&mut harness, 600, Power::Off, &[]), "{case}");
    }
}

/// Covers I7.
#[test]
fn a_rejected_recovery_powers_nothing_on() {
    let mut harness = fenced(powering_on(|_| ()));
    harness.forced_down().command(OperatorCommand::Reject);
    harness.service().inventory(vec![], vec![]);
    assert_eq!(harness.record.life, Some(Life::Watching));
    assert!(!orders_within(&mut harness, 600, Power::Off, &[]));
}

/// Covers I7.
#[test]
fn an_instance_that_needs_an_operator_keeps_the_host_off() {
    use crate::host_recovery::{End, MoveStep};
    let mut harness = returning(powering_on(|_| ()));
    let mut other = Harness::with("UNKNOWN", |_| ()).requested();
    let mut instance = other.state.moves.pop_first().unwrap().1;
    instance.step = MoveStep::Done(End::Person);
    harness.state.moves.insert(instance.server, instance);
    assert!(!orders_within(&mut harness, 600, Power::Off, &[]));
}

/// Covers R5.
#[test]
fn a_power_off_that_may_still_take_effect_is_waited_for() {
    let mut harness = powering_on(|policy| policy.proxy_hold = Duration::from_secs(400)).begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    harness.powered_off(Err(timeout()));
    harness
        .tick(5_000)
        .power(Power::Off)
        .tick(3_000)
        .power(Power::Off);
    harness.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    assert!(!orders_within(&mut harness, 400, Power::Off, &[]));
    assert!(orders_within(&mut harness, 400, Power::Off, &[]));
}

#[test]
fn a_host_that_stays_off_is_powered_on_three_times_and_then_reported() {
    let mut harness = returning(powering_on(|_| ()));
    for order in 1..=3 {
        assert!(orders_within(&mut harness, 300, Power::Off, &[]), "{order}");
        answered(&mut harness, Ok(()));
    }
    let mut alarms = 0;
    for _ in 0..720 {
        harness.tick(5_000).power(Power::Off);
        assert_eq!(power_on_orders(&harness), [""; 0]);
        let alarm = |step: &&crate::recovery::Step| step.text.starts_with("ALARM");
        alarms += harness.record.steps.iter().filter(alarm).count();
    }
    assert_eq!(alarms, 1);
    assert_eq!(harness.state.stage, Stage::Returning, "it is still waited for");
}

#[test]
fn a_refused_order_is_repeated_with_pauses() {
    let mut harness = returning(powering_on(|_| ()));
    assert!(orders_within(&mut harness, 300, Power::Off, &[]));
    answered(&mut harness, Err(fault(Some(503), FaultClass::Transient, false)));
    assert!(!orders_within(&mut harness, 200, Power::Off, &[]));
    assert!(orders_within(&mut harness, 60, Power::Off, &[]));
}

/// Covers I2.
#[test]
fn a_new_owner_does_not_repeat_an_order_that_may_still_arrive() {
    let mut harness = returning(powering_on(|_| ()));
    assert!(orders_within(&mut harness, 300, Power::Off, &[]));
    harness.take_over();
    assert!(!orders_within(&mut harness, 200, Power::Off, &[]));
    // It was never sent.
    assert!(orders_within(&mut harness, 60, Power::Off, &[]));
    harness.take_over();
    assert!(
        !orders_within(&mut harness, 1_200, Power::On, &[]),
        "this one came through"
    );
}

#[test]
fn an_unsent_power_on_does_not_count() {
    let mut harness = returning(powering_on(|_| ()));
    for _ in 0..10 {
        assert!(orders_within(&mut harness, 400, Power::Off, &[]));
        let order = harness
            .commands
            .iter()
            .find(|command| matches!(command, Command::PowerOn { .. }));
        let order = order.unwrap().clone();
        harness.see(Observation::NotSent(order));
    }
}

#[test]
fn every_device_of_the_level_gets_the_command() {
    let mut harness = powering_on(|_| ());
    harness.levels = levels(&[&["psu-a", "psu-b"]]);
    let mut harness = harness.begun();
    harness.heartbeat_age(20_000).service();
    harness.device("psu-a", Power::On).device("psu-b", Power::On);
    harness.ordered("psu-a", Ok(())).ordered("psu-b", Ok(()));
    for _ in 0..2 {
        harness.tick(3_000);
        harness.device("psu-a", Power::Off).device("psu-b", Power::Off);
    }
    assert!(harness.state.proof.is_some());
    harness.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(harness.state.stage, Stage::Returning);
    let both = |harness: &mut Harness, seconds: u32, second: &str| {
        (0..seconds / 5).any(|_| {
            harness
                .tick(5_000)
                .device("psu-a", Power::Off)
                .device(second, Power::Off);
            let reads_records =
                harness.requests(|command| matches!(command, Command::ReadEvacuations { .. }));
            if power_on_orders(harness).is_empty() && reads_records {
                shows(harness, &[]);
            }
            !power_on_orders(harness).is_empty()
        })
    };
    assert!(
        !both(&mut harness, 600, "psu-a"),
        "one of two shows nothing about the other"
    );
    assert!(both(&mut harness, 300, "psu-b"));
    assert_eq!(power_on_orders(&harness), ["psu-a", "psu-b"]);
}
