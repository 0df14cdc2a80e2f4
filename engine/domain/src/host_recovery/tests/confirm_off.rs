//! An operator's confirmation that the host is off, if no device can show it.

use super::bed::{Harness, fault, levels, server};
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
fn held(names: &[&[&str]]) -> Harness {
    let mut bed = Harness::engine();
    bed.levels = levels(names);
    let mut bed = bed.begun();
    bed.heartbeat_age(20_000).service();
    for name in names.iter().copied().flatten() {
        bed.device_fails(name, dead());
    }
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Fence);
    bed
}

fn is_proven_by_word(bed: &Harness) -> bool {
    let basis = bed.state.proof.as_ref().map(crate::proof::Proof::basis);
    matches!(basis, Some(Basis::Word { person: Some(by), .. }) if by == "ada")
}

/// Answers a read of Nova and a scan, 20 s after the host's last heartbeat.
fn silent(bed: &mut Harness) -> &mut Harness {
    bed.heartbeat_age(20_000).service_now().storm(1, 10).tick(0)
}

/// Covers R17.
#[test]
fn a_confirmation_counts_if_no_device_can_read_the_power_and_the_host_is_down_in_nova() {
    let mut bed = held(&[&["bmc"], &["pdu"]]);
    bed.command(OperatorCommand::HostIsOff);
    assert_eq!(bed.asked_devices(), ["bmc"]);
    silent(&mut bed);
    assert!(bed.state.proof.is_none(), "every level is read before");
    bed.device_fails("bmc", dead());
    assert_eq!(bed.asked_devices(), ["pdu"]);
    assert!(bed.state.proof.is_none());
    bed.device_fails("pdu", dead());
    assert!(is_proven_by_word(&bed), "{:?}", bed.state);
    assert!(bed.state.is_proven_off(), "R29: for others too");
    assert_eq!(bed.state.stage, Stage::Disabling);
    assert!(bed.state.hold.is_none() && !bed.orders_off());
    let sentence = bed.state.proof.as_ref().unwrap().sentence("compute-1");
    assert_eq!(
        sentence,
        "compute-1 is off, as ada confirmed; it has no current heartbeat in Nova"
    );
    // As with any confirmation, it continues only while the heartbeat does not change.
    bed.forced_down().service();
    bed.inventory(vec![server(1)], vec![]);
    bed.beats();
    assert_eq!(bed.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    assert!(!bed.evacuates_any());
}

/// Covers R17.
#[test]
fn a_device_that_reads_on_contradicts_a_confirmation() {
    let mut bed = held(&[&["bmc"], &["pdu"]]);
    bed.command(OperatorCommand::HostIsOff);
    bed.device_fails("bmc", dead());
    bed.device("pdu", Power::On);
    silent(&mut bed);
    assert!(bed.state.proof.is_none() && bed.state.confirmation.is_none());
    let hold = bed.state.hold.clone().unwrap();
    assert_eq!(hold.kind, HoldKind::Fence);
    assert!(
        hold.reason
            .contains("ada confirmed that it is off, but pdu reads"),
        "{}",
        hold.reason
    );
    assert!(!bed.orders_off(), "an operator is handling it");
    // Later the levels are tried as before.
    bed.tick(61_000);
    assert_eq!(bed.asked_devices(), ["bmc"]);
}

#[test]
fn a_device_that_reads_off_is_the_better_proof() {
    let mut bed = held(&[&["bmc"]]);
    bed.command(OperatorCommand::HostIsOff);
    bed.device("bmc", Power::Off);
    silent(&mut bed);
    assert!(
        bed.state.proof.is_none(),
        "one is not enough, and the second is in flight"
    );
    bed.tick(3_000).device("bmc", Power::Off);
    silent(&mut bed);
    bed.device("bmc", Power::Off);
    let basis = bed.state.proof.as_ref().map(crate::proof::Proof::basis);
    assert!(matches!(basis, Some(Basis::Device { .. })), "{basis:?}");
}

/// Covers R16.
#[test]
fn a_confirmation_for_a_host_that_is_up_in_nova_does_not_count() {
    let mut bed = held(&[&["bmc"]]);
    bed.command(OperatorCommand::HostIsOff);
    bed.device_fails("bmc", dead());
    for second in 0..120 {
        assert!(bed.state.proof.is_none(), "after {second} s");
        bed.heartbeat_age(1_000).service_now().storm(1, 10).tick(1_000);
    }
    bed.heartbeat_age(1_000).service_now().storm(1, 10).tick(1_000);
    let hold = bed.state.hold.clone().unwrap();
    assert!(
        hold.kind == HoldKind::Fence && bed.state.confirmation.is_none(),
        "{hold:?}"
    );
    // Nor after it goes silent: there was a heartbeat after the confirmation.
    bed.tick(100_000);
    silent(&mut bed);
    assert!(bed.state.proof.is_none());
}

/// Covers R16.
#[test]
fn a_heartbeat_after_the_confirmation_discards_it() {
    let mut bed = held(&[&["bmc"]]);
    bed.command(OperatorCommand::HostIsOff);
    // The engine was stopped, and Nova received a heartbeat meanwhile.
    bed.at += 600_000;
    bed.device_fails("bmc", dead());
    silent(&mut bed);
    assert!(bed.state.proof.is_none());
    let hold = bed.state.hold.clone().unwrap();
    assert!(hold.reason.contains("later than"), "{}", hold.reason);
}

/// Covers R5.
#[test]
fn a_confirmation_survives_a_takeover_and_every_device_is_read_again() {
    let mut bed = held(&[&["bmc"]]);
    bed.command(OperatorCommand::HostIsOff);
    bed.take_over();
    silent(&mut bed);
    assert!(bed.state.proof.is_none(), "this owner has not read the device");
    bed.device_fails("bmc", dead());
    silent(&mut bed);
    assert!(is_proven_by_word(&bed), "{:?}", bed.state.hold);
}

#[test]
fn a_confirmation_without_effect_is_recorded() {
    let mut bed = Harness::with("UNKNOWN", |policy| policy.fencing = FencingMode::DryRun).begun();
    bed.heartbeat_age(20_000).service();
    bed.command(OperatorCommand::HostIsOff);
    assert!(bed.state.confirmation.is_none());
    let mut bed = Harness::engine().begun().proven();
    let proof = bed.state.proof.clone();
    bed.command(OperatorCommand::HostIsOff);
    assert_eq!((bed.state.proof.clone(), &bed.state.confirmation), (proof, &None));
}
