//! Concurrent host failures: Nova would still schedule instances on the other failed hosts.

use super::bed::{Harness, region, server};
use crate::guard::Region;
use crate::nova::Service;
use crate::power::Power;
use crate::recovery::ServerCall;

/// Returns a scan with two of ten hosts reported: this one and `compute-2`, whose service is changed.
fn two_of_ten(change: impl FnOnce(&mut Service)) -> Region {
    let mut seen = region(2, 10);
    let nova = seen.nova.as_mut().unwrap();
    change(nova.services.get_mut("compute-2").unwrap().as_mut().unwrap());
    seen
}

/// Returns a recovery with planned and locked instances and this scan.
fn planned_beside(seen: Region) -> Harness {
    let mut bed = Harness::engine();
    bed.claim().around(seen.clone());
    bed.heartbeat_age(20_000).service();
    bed.power(Power::Off).tick(3_000);
    bed.around(seen).power(Power::Off);
    assert!(bed.state.proof.is_some());
    bed.forced_down().inventory(vec![server(1)], Vec::new());
    bed.answer(1, ServerCall::Lock, Ok(()));
    bed
}

#[test]
fn the_first_evacuation_waits_until_nova_would_not_choose_another_failing_host() {
    let mut bed = planned_beside(two_of_ten(|_| {}));
    for _ in 0..5 {
        assert!(bed.is_waiting(1), "{:?}", bed.step(1));
        bed.tick(1_000);
    }
    assert_eq!(bed.one(1).lock, crate::host_recovery::Lock::Ours);
    let text = bed.message.clone().unwrap_or_default();
    assert!(text.contains("compute-2"), "{text}");
    bed.around(two_of_ten(|service| {
        service.enabled = false;
        service.forced_down = true;
        service.up = false;
    }));
    bed.tick(1_000).tick(100);
    assert!(bed.is_asked(1), "{:?}", bed.step(1));
}

#[test]
fn the_wait_for_another_failing_host_is_bounded() {
    let mut bed = planned_beside(two_of_ten(|_| {}));
    let mut waited = 0;
    while bed.is_waiting(1) {
        bed.tick(500).service().power(Power::Off);
        waited += 500;
        assert!(waited < 60_000);
    }
    assert!((11_000..13_000).contains(&waited), "{waited}");
    assert!(bed.is_asked(1));
}

#[test]
fn a_single_failed_host_waits_for_no_other() {
    let bed = planned_beside(region(1, 10));
    assert!(bed.is_asked(1), "{:?}", bed.step(1));
    assert!(!bed.looks_around());
}

#[test]
fn hosts_that_are_disabled_or_up_are_not_waited_for() {
    let disabled = |service: &mut Service| service.enabled = false;
    let down = |service: &mut Service| service.up = false;
    let forced = |service: &mut Service| service.forced_down = true;
    for change in [disabled, down, forced] {
        let bed = planned_beside(two_of_ten(change));
        assert!(bed.is_asked(1), "{:?}", bed.step(1));
    }
    let mut seen = two_of_ten(|_| {});
    // Its last heartbeat follows its report: it is up.
    seen.hosts[1].reported_ago = Some(std::time::Duration::from_secs(60));
    let bed = planned_beside(seen);
    assert!(bed.is_asked(1), "{:?}", bed.step(1));
}

#[test]
fn an_outage_of_nova_does_not_extend_that_wait() {
    let mut bed = planned_beside(two_of_ten(|_| {}));
    let mut seen = two_of_ten(|_| {});
    seen.nova = Err("503".into());
    bed.around(seen);
    let mut waited = 0;
    while bed.is_waiting(1) {
        bed.tick(500).service().power(Power::Off);
        waited += 500;
        assert!(waited < 60_000);
    }
    assert!(waited <= 13_000, "{waited}");
}
