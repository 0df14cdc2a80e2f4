//! An operator's confirmation that the host is off, if no device can show it.

use super::harness::{Harness, fault, levels, server};
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{HoldKind, Stage};
use crate::policy::FencingMode;
use crate::power::Power;
use crate::proof::Basis;
use crate::recovery::OperatorCommand;

fn dead() -> Fault {
    fault(Some(401), FaultClass::Fatal, false)
}

/// Returns a recovery on hold because every level has failed; the host is down in Nova.
fn on_hold_with(names: &[&[&str]]) -> Harness {
    let mut harness = Harness::engine();
    harness.levels = levels(names);
    let mut harness = harness.begun();
    harness.heartbeat_age(20_000).service();
    for name in names.iter().copied().flatten() {
        harness.device_fails(name, dead());
    }
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    harness
}

fn is_proven_by_word(harness: &Harness) -> bool {
    let basis = harness.state.proof.as_ref().map(crate::proof::Proof::basis);
    matches!(basis, Some(Basis::Claim { person: Some(by), .. }) if by == "ada")
}

/// Answers a read of Nova and a scan, 20 s after the host's last heartbeat.
fn silent(harness: &mut Harness) -> &mut Harness {
    harness.heartbeat_age(20_000).service_now().storm(1, 10).tick(0)
}

/// Covers R17.
#[test]
fn a_confirmation_counts_if_no_device_can_read_the_power_and_the_host_is_down_in_nova() {
    let mut harness = on_hold_with(&[&["bmc"], &["pdu"]]);
    harness.command(OperatorCommand::HostIsOff);
    assert_eq!(harness.queries(), ["bmc"]);
    silent(&mut harness);
    assert!(harness.state.proof.is_none(), "every level is read before");
    harness.device_fails("bmc", dead());
    assert_eq!(harness.queries(), ["pdu"]);
    assert!(harness.state.proof.is_none());
    harness.device_fails("pdu", dead());
    assert!(is_proven_by_word(&harness), "{:?}", harness.state);
    assert!(harness.state.is_proven_off(), "R29: for others too");
    assert_eq!(harness.state.stage, Stage::Disabling);
    assert!(harness.state.hold.is_none() && !harness.orders_off());
    let sentence = harness.state.proof.as_ref().unwrap().sentence("compute-1");
    assert_eq!(
        sentence,
        "compute-1 is off, as ada confirmed; it has no current heartbeat in Nova"
    );
    // As with any confirmation, it continues only while the heartbeat does not change.
    harness.forced_down().service();
    harness.inventory(vec![server(1)], vec![]);
    harness.beats();
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    assert!(!harness.evacuates_any());
}

/// Covers R17.
#[test]
fn a_device_that_reads_on_contradicts_a_confirmation() {
    let mut harness = on_hold_with(&[&["bmc"], &["pdu"]]);
    harness.command(OperatorCommand::HostIsOff);
    harness.device_fails("bmc", dead());
    harness.device("pdu", Power::On);
    silent(&mut harness);
    assert!(harness.state.proof.is_none() && harness.state.confirmation.is_none());
    let hold = harness.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Fence);
    assert!(
        hold.reason
            .contains("ada confirmed that it is off, but pdu reads"),
        "{}",
        hold.reason
    );
    assert!(!harness.orders_off(), "an operator is handling it");
    // Later the levels are tried as before.
    harness.tick(61_000);
    assert_eq!(harness.queries(), ["bmc"]);
}

#[test]
fn a_device_that_reads_off_is_the_better_proof() {
    let mut harness = on_hold_with(&[&["bmc"]]);
    harness.command(OperatorCommand::HostIsOff);
    harness.device("bmc", Power::Off);
    silent(&mut harness);
    assert!(
        harness.state.proof.is_none(),
        "one is not enough, and the second is in flight"
    );
    harness.tick(3_000).device("bmc", Power::Off);
    silent(&mut harness);
    harness.device("bmc", Power::Off);
    let basis = harness.state.proof.as_ref().map(crate::proof::Proof::basis);
    assert!(matches!(basis, Some(Basis::Device { .. })), "{basis:?}");
}

/// Covers R16.
#[test]
fn a_confirmation_for_a_host_that_is_up_in_nova_does_not_count() {
    let mut harness = on_hold_with(&[&["bmc"]]);
    harness.command(OperatorCommand::HostIsOff);
    harness.device_fails("bmc", dead());
    for second in 0..120 {
        assert!(harness.state.proof.is_none(), "after {second} s");
        harness
            .heartbeat_age(1_000)
            .service_now()
            .storm(1, 10)
            .tick(1_000);
    }
    harness
        .heartbeat_age(1_000)
        .service_now()
        .storm(1, 10)
        .tick(1_000);
    let hold = harness.state.hold.clone().unwrap();
    assert!(
        hold.kind == HoldKind::Fence && harness.state.confirmation.is_none(),
        "{hold:?}"
    );
    // Nor after it goes silent: there was a heartbeat after the confirmation.
    harness.tick(100_000);
    silent(&mut harness);
    assert!(harness.state.proof.is_none());
}

/// Covers R16.
#[test]
fn a_heartbeat_after_the_confirmation_discards_it() {
    let mut harness = on_hold_with(&[&["bmc"]]);
    harness.command(OperatorCommand::HostIsOff);
    // The engine was stopped, and Nova received a heartbeat meanwhile.
    harness.at += 600_000;
    harness.device_fails("bmc", dead());
    silent(&mut harness);
    assert!(harness.state.proof.is_none());
    let hold = harness.state.hold.clone().unwrap();
    assert!(hold.reason.contains("later than"), "{}", hold.reason);
}

/// Covers R5.
#[test]
fn a_confirmation_survives_a_takeover_and_every_device_is_read_again() {
    let mut harness = on_hold_with(&[&["bmc"]]);
    harness.command(OperatorCommand::HostIsOff);
    harness.take_over();
    silent(&mut harness);
    assert!(
        harness.state.proof.is_none(),
        "this owner has not read the device"
    );
    harness.device_fails("bmc", dead());
    silent(&mut harness);
    assert!(is_proven_by_word(&harness), "{:?}", harness.state.hold);
}

#[test]
fn a_confirmation_without_effect_is_recorded() {
    let mut harness = Harness::with("UNKNOWN", |policy| policy.fencing = FencingMode::DryRun).begun();
    harness.heartbeat_age(20_000).service();
    harness.command(OperatorCommand::HostIsOff);
    assert!(harness.state.confirmation.is_none());
    let mut harness = Harness::engine().begun().proven();
    let proof = harness.state.proof.clone();
    harness.command(OperatorCommand::HostIsOff);
    assert_eq!(
        (harness.state.proof.clone(), &harness.state.confirmation),
        (proof, &None)
    );
}
