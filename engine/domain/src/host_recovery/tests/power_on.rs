//! A host is powered on only at the end, and only if configured.

use std::time::Duration;

use super::bed::{Harness, evacuation, fault, levels, server, target, timeout};
use crate::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::Stage;
use crate::nova::Migration;
use crate::policy::{FencingMode, Policy};
use crate::power::Power;
use crate::recovery::{Command, Evacuations, Life, Observation, OperatorCommand, ServerCall};

/// Returns a recovery with the option set.
fn wanted(change: impl FnOnce(&mut Policy)) -> Harness {
    Harness::with("UNKNOWN", |policy| {
        policy.power_on_after_recovery = true;
        change(policy);
    })
}

/// Returns a recovery whose host was on and that powered it off.
fn fenced(bed: Harness) -> Harness {
    let mut bed = bed.begun();
    bed.heartbeat_age(20_000).service().power(Power::On);
    assert!(bed.orders_off());
    bed.powered_off(Ok(()));
    bed.tick(5_000).power(Power::Off).tick(3_000).power(Power::Off);
    assert_eq!(bed.state.stage, Stage::Disabling);
    bed
}

/// The same, with no instance left on the host.
fn returning(bed: Harness) -> Harness {
    let mut bed = fenced(bed);
    bed.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    bed.at += 10_000;
    bed.service();
    bed
}

fn told_on(bed: &Harness) -> Vec<&str> {
    let commands = bed.commands.iter();
    commands
        .filter_map(|command| match command {
            Command::PowerOn { target, .. } => Some(target.device.as_str()),
            _ => None,
        })
        .collect()
}

fn shows(bed: &mut Harness, records: &[Migration]) {
    let (started, records) = (Elapsed::from_millis(bed.at), records.to_vec());
    bed.see(Observation::Evacuations(Ok(Evacuations { started, records })));
}

fn answered(bed: &mut Harness, result: Result<(), Fault>) {
    let target = target("bmc");
    bed.see(Observation::PowerOn { target, result });
}

/// Reads this power state and these records every 5 s for `seconds`. Returns true as soon as a power-on is
/// ordered.
fn told_within(bed: &mut Harness, seconds: u32, power: Power, records: &[Migration]) -> bool {
    (0..seconds).any(|second| {
        bed.tick(1_000);
        let told = !told_on(bed).is_empty();
        if told || second % 5 != 0 {
            return told;
        }
        bed.power(power);
        if told_on(bed).is_empty() {
            shows(bed, records);
        }
        !told_on(bed).is_empty()
    })
}

/// Covers I7.
#[test]
fn a_host_is_powered_on_after_its_recovery_and_journalled_first() {
    let mut bed = returning(wanted(|_| ()));
    assert!(bed.state.is_proven_off());
    assert!(
        !told_within(&mut bed, 179, Power::Off, &[]),
        "others who rebuild on it must see that it is off (R10)"
    );
    assert!(told_within(&mut bed, 60, Power::Off, &[]));
    assert_eq!(told_on(&bed), ["bmc"]);
    assert!(
        bed.record.head && !bed.record.steps.is_empty(),
        "journalled first"
    );
    assert!(
        bed.record.unless_host_recovery.is_some(),
        "and refused if the host is reported again"
    );
    assert!(!bed.state.is_proven_off(), "R10: the proof no longer counts");
    answered(&mut bed, Ok(()));
    assert!(!told_within(&mut bed, 600, Power::On, &[]), "it is on");
    // The answer to an older query arrives first.
    bed.service().beats();
    assert!(bed.clears());
}

/// Covers I7.
#[test]
fn nothing_is_powered_on_in_the_middle_of_an_evacuation() {
    let mut bed = fenced(wanted(|_| ()));
    bed.forced_down().service().inventory(vec![server(1)], vec![]);
    bed.answer(1, ServerCall::Lock, Ok(()));
    assert!(bed.evacuates(1), "{:?}", bed.commands);
    bed.answer(1, ServerCall::Evacuate, Ok(()));
    assert!(!told_within(&mut bed, 300, Power::Off, &[]));
    assert_eq!(bed.state.stage, Stage::Moving);
}

/// Covers I7.
#[test]
fn an_evacuation_requested_by_another_client_delays_the_power_on() {
    let mut bed = returning(wanted(|_| ()));
    let running = [evacuation(7, 1, "pre-migrating", Some("cmp2"))];
    assert!(!told_within(&mut bed, 300, Power::Off, &running));
    let done = [evacuation(7, 1, "done", Some("cmp2"))];
    assert!(told_within(&mut bed, 60, Power::Off, &done));
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
                let mut bed = wanted(|_| ()).proven();
                bed.forced_down().service().inventory(vec![], vec![]);
                bed
            },
            Box::new(nothing),
        ),
        (
            "maintenance that an operator has set",
            returning(wanted(|_| ())),
            Box::new(|bed| _ = bed.operator_state(true, true)),
        ),
        (
            "the segment is disabled",
            returning(wanted(|_| ())),
            Box::new(|bed| _ = bed.operator_state(false, false)),
        ),
        (
            "fencing is stopped",
            returning(wanted(|_| ())),
            Box::new(|bed| _ = bed.see(Observation::FencingStopped(true))),
        ),
        (
            "the engine fences no host any more",
            returning(wanted(|_| ())),
            Box::new(|bed| bed.state.policy.fencing = FencingMode::External),
        ),
        (
            "it is under recovery again",
            returning(wanted(|_| ())),
            Box::new(|bed| _ = bed.see(Observation::HostUnderRecovery)),
        ),
    ];
    for (case, mut bed, then) in cases {
        assert_eq!(bed.state.stage, Stage::Returning, "{case}");
        then(&mut bed);
        assert!(!told_within(&mut bed, 600, Power::Off, &[]), "{case}");
    }
}

/// Covers I7.
#[test]
fn a_rejected_recovery_powers_nothing_on() {
    let mut bed = fenced(wanted(|_| ()));
    bed.forced_down().command(OperatorCommand::Reject);
    bed.service().inventory(vec![], vec![]);
    assert_eq!(bed.record.life, Some(Life::Watching));
    assert!(!told_within(&mut bed, 600, Power::Off, &[]));
}

/// Covers I7.
#[test]
fn an_instance_that_needs_an_operator_keeps_the_host_off() {
    use crate::host_recovery::{End, MoveStep};
    let mut bed = returning(wanted(|_| ()));
    let mut other = Harness::with("UNKNOWN", |_| ()).asked();
    let mut one = other.state.moves.pop_first().unwrap().1;
    one.step = MoveStep::Over(End::Person);
    bed.state.moves.insert(one.server, one);
    assert!(!told_within(&mut bed, 600, Power::Off, &[]));
}

/// Covers R5.
#[test]
fn a_power_off_that_may_still_take_effect_is_waited_for() {
    let mut bed = wanted(|policy| policy.proxy_hold = Duration::from_secs(400)).begun();
    bed.heartbeat_age(20_000).service().power(Power::On);
    bed.powered_off(Err(timeout()));
    bed.tick(5_000).power(Power::Off).tick(3_000).power(Power::Off);
    bed.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    assert!(!told_within(&mut bed, 400, Power::Off, &[]));
    assert!(told_within(&mut bed, 400, Power::Off, &[]));
}

#[test]
fn a_host_that_stays_off_is_powered_on_three_times_and_then_reported() {
    let mut bed = returning(wanted(|_| ()));
    for order in 1..=3 {
        assert!(told_within(&mut bed, 300, Power::Off, &[]), "{order}");
        answered(&mut bed, Ok(()));
    }
    let mut alarms = 0;
    for _ in 0..720 {
        bed.tick(5_000).power(Power::Off);
        assert_eq!(told_on(&bed), [""; 0]);
        let alarm = |step: &&crate::recovery::Step| step.text.starts_with("ALARM");
        alarms += bed.record.steps.iter().filter(alarm).count();
    }
    assert_eq!(alarms, 1);
    assert_eq!(bed.state.stage, Stage::Returning, "it is still waited for");
}

#[test]
fn a_refused_order_is_repeated_with_pauses() {
    let mut bed = returning(wanted(|_| ()));
    assert!(told_within(&mut bed, 300, Power::Off, &[]));
    answered(&mut bed, Err(fault(Some(503), FaultClass::Transient, false)));
    assert!(!told_within(&mut bed, 200, Power::Off, &[]));
    assert!(told_within(&mut bed, 60, Power::Off, &[]));
}

/// Covers I2.
#[test]
fn a_new_owner_does_not_repeat_an_order_that_may_still_arrive() {
    let mut bed = returning(wanted(|_| ()));
    assert!(told_within(&mut bed, 300, Power::Off, &[]));
    bed.take_over();
    assert!(!told_within(&mut bed, 200, Power::Off, &[]));
    // It was never sent.
    assert!(told_within(&mut bed, 60, Power::Off, &[]));
    bed.take_over();
    assert!(
        !told_within(&mut bed, 1_200, Power::On, &[]),
        "this one came through"
    );
}

#[test]
fn an_unsent_power_on_does_not_count() {
    let mut bed = returning(wanted(|_| ()));
    for _ in 0..10 {
        assert!(told_within(&mut bed, 400, Power::Off, &[]));
        let order = bed
            .commands
            .iter()
            .find(|command| matches!(command, Command::PowerOn { .. }));
        let order = order.unwrap().clone();
        bed.see(Observation::NotSent(order));
    }
}

#[test]
fn every_device_of_the_level_gets_the_command() {
    let mut bed = wanted(|_| ());
    bed.levels = levels(&[&["psu-a", "psu-b"]]);
    let mut bed = bed.begun();
    bed.heartbeat_age(20_000).service();
    bed.device("psu-a", Power::On).device("psu-b", Power::On);
    bed.ordered("psu-a", Ok(())).ordered("psu-b", Ok(()));
    for _ in 0..2 {
        bed.tick(3_000);
        bed.device("psu-a", Power::Off).device("psu-b", Power::Off);
    }
    assert!(bed.state.proof.is_some());
    bed.forced_down().service().inventory(vec![], vec![]);
    assert_eq!(bed.state.stage, Stage::Returning);
    let both = |bed: &mut Harness, seconds: u32, second: &str| {
        (0..seconds / 5).any(|_| {
            bed.tick(5_000)
                .device("psu-a", Power::Off)
                .device(second, Power::Off);
            let asks = bed.wants(|command| matches!(command, Command::ReadEvacuations { .. }));
            if told_on(bed).is_empty() && asks {
                shows(bed, &[]);
            }
            !told_on(bed).is_empty()
        })
    };
    assert!(
        !both(&mut bed, 600, "psu-a"),
        "one of two shows nothing about the other"
    );
    assert!(both(&mut bed, 300, "psu-b"));
    assert_eq!(told_on(&bed), ["psu-a", "psu-b"]);
}
