//! Concurrent host failures: Nova would still schedule instances on the other failed hosts.

use super::harness::{Harness, region, server};
use crate::guard::Region;
use crate::nova::Service;
use crate::power::Power;
use crate::recovery::ServerCall;

/// Returns a scan with two of ten hosts reported: this one and `compute-2`, whose service is changed.
fn two_of_ten(change: impl FnOnce(&mut Service)) -> Region {
    let mut scanned = region(2, 10);
    let nova = scanned.nova.as_mut().unwrap();
    change(nova.services.get_mut("compute-2").unwrap().as_mut().unwrap());
    scanned
}

/// Returns a recovery with planned and locked instances and this scan.
fn planned_beside(scanned: Region) -> Harness {
    let mut harness = Harness::engine();
    harness.claim().region(scanned.clone());
    harness.heartbeat_age(20_000).service();
    harness.power(Power::Off).tick(3_000);
    harness.region(scanned).power(Power::Off);
    assert!(harness.state.proof.is_some());
    harness.forced_down().inventory(vec![server(1)], Vec::new());
    harness.answer(1, ServerCall::Lock, Ok(()));
    harness
}

#[test]
fn the_first_evacuation_waits_until_nova_would_not_choose_another_failing_host() {
    let mut harness = planned_beside(two_of_ten(|_| {}));
    for _ in 0..5 {
        assert!(harness.is_waiting(1), "{:?}", harness.step(1));
        harness.tick(1_000);
    }
    assert_eq!(harness.one(1).lock, crate::host_recovery::Lock::Ours);
    let text = harness.message.clone().unwrap_or_default();
    assert!(text.contains("compute-2"), "{text}");
    harness.region(two_of_ten(|service| {
        service.enabled = false;
        service.forced_down = true;
        service.up = false;
    }));
    harness.tick(1_000).tick(100);
    assert!(harness.is_asked(1), "{:?}", harness.step(1));
}

#[test]
fn the_wait_for_another_failing_host_is_bounded() {
    let mut harness = planned_beside(two_of_ten(|_| {}));
    let mut waited = 0;
    while harness.is_waiting(1) {
        harness.tick(500).service().power(Power::Off);
        waited += 500;
        assert!(waited < 60_000);
    }
    assert!((11_000..13_000).contains(&waited), "{waited}");
    assert!(harness.is_asked(1));
}

#[test]
fn a_single_failed_host_waits_for_no_other() {
    let harness = planned_beside(region(1, 10));
    assert!(harness.is_asked(1), "{:?}", harness.step(1));
    assert!(!harness.scans_region());
}

#[test]
fn hosts_that_are_disabled_or_up_are_not_waited_for() {
    let disabled = |service: &mut Service| service.enabled = false;
    let down = |service: &mut Service| service.up = false;
    let forced = |service: &mut Service| service.forced_down = true;
    for change in [disabled, down, forced] {
        let harness = planned_beside(two_of_ten(change));
        assert!(harness.is_asked(1), "{:?}", harness.step(1));
    }
    let mut scanned = two_of_ten(|_| {});
    // Its last heartbeat follows its report: it is up.
    scanned.hosts[1].reported_ago = Some(std::time::Duration::from_secs(60));
    let harness = planned_beside(scanned);
    assert!(harness.is_asked(1), "{:?}", harness.step(1));
}

#[test]
fn an_outage_of_nova_does_not_extend_that_wait() {
    let mut harness = planned_beside(two_of_ten(|_| {}));
    let mut scanned = two_of_ten(|_| {});
    scanned.nova = Err("503".into());
    harness.region(scanned);
    let mut waited = 0;
    while harness.is_waiting(1) {
        harness.tick(500).service().power(Power::Off);
        waited += 500;
        assert!(waited < 60_000);
    }
    assert!(waited <= 13_000, "{waited}");
}
