//! The answers to the boot guard.

use super::harness::{Harness, nova_time, server, timeout};
use crate::Elapsed;
use crate::host_recovery::BootHeldFor;
use crate::power::Power;
use crate::recovery::{Life, OperatorCommand};

fn holds(harness: &Harness, life: Life) -> Option<BootHeldFor> {
    harness.state.holds_boot(
        life,
        Elapsed::from_millis(harness.at),
        nova_time(harness.at + 100_000),
    )
}

/// Covers R25.
#[test]
fn a_host_is_held_from_the_order_to_switch_it_off_until_its_queue_is_emptied() {
    let mut harness = Harness::engine().begun();
    assert_eq!(holds(&harness, Life::Open), None, "a report alone holds no boot");
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    assert_eq!(holds(&harness, Life::Open), Some(BootHeldFor::Recovery));
    let mut harness = Harness::engine().proven();
    assert_eq!(
        holds(&harness, Life::Open),
        Some(BootHeldFor::Recovery),
        "found off"
    );
    harness.forced_down().inventory(vec![server(1)], vec![]);
    assert_eq!(holds(&harness, Life::Open), Some(BootHeldFor::Recovery));
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    assert_eq!(holds(&harness, Life::Watching), Some(BootHeldFor::Queue));
    assert_eq!(holds(&harness, Life::Closed), None);
}

/// Covers R5, R25.
#[test]
fn a_possible_late_power_off_holds_the_boot_until_it_is_ruled_out() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    harness.powered_off(Err(timeout()));
    let ordered = harness.at;
    harness
        .tick(5_000)
        .power(Power::Off)
        .tick(3_000)
        .power(Power::Off);
    harness.forced_down().inventory(vec![], vec![]);
    for (after, watching, closed) in [
        (79_000, Some(BootHeldFor::PowerOff), Some(BootHeldFor::PowerOff)),
        (80_001, Some(BootHeldFor::Queue), None),
    ] {
        harness.at = ordered + after;
        assert_eq!(holds(&harness, Life::Watching), watching, "{after}");
        assert_eq!(holds(&harness, Life::Closed), closed, "{after}");
    }
}

/// Covers R25.
#[test]
fn an_external_off_claim_holds_the_boot_once_it_is_accepted() {
    let mut harness = Harness::external().begun();
    assert_eq!(holds(&harness, Life::Open), None);
    harness.heartbeat_age(20_000).service();
    assert!(harness.state.proof.is_some());
    assert_eq!(holds(&harness, Life::Open), Some(BootHeldFor::Recovery));
}

/// Covers R26.
#[test]
fn a_host_confirmed_off_by_hand_is_on_boot_hold_while_that_is_checked() {
    let mut harness = Harness::engine().begun();
    assert_eq!(holds(&harness, Life::Open), None);
    harness.command(OperatorCommand::HostIsOff);
    assert_eq!(holds(&harness, Life::Open), Some(BootHeldFor::Recovery));
    harness.at += 601_000;
    assert_eq!(
        holds(&harness, Life::Open),
        None,
        "the boot guard judges by itself whether it still counts"
    );
}
