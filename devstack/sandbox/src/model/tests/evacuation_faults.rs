//! Evacuations with faults.

use uuid::Uuid;

use crate::model::State;
use crate::model::evacuate::EvacuateRequest;
use crate::model::fault::{MoveFault, MoveFaultRule};
use crate::model::server::VmState;
use crate::model::testing::{admin, region};

fn evacuate(state: &mut State, id: Uuid) {
    state
        .evacuate(&admin(), id, &EvacuateRequest::default())
        .expect("nova accepts");
}

fn with_fault(fault: MoveFault, vm_state: VmState) -> (State, Uuid) {
    let mut state = region(3);
    let id = state.put(1, vm_state);
    state.kill(1);
    state.world.faults.add(MoveFaultRule::once(fault));
    evacuate(&mut state, id);
    state.pass(10_000);
    (state, id)
}

#[test]
fn what_each_fault_leaves_behind() {
    for (fault, before, vm_state, task_state, record) in [
        (
            MoveFault::LostCast,
            VmState::Active,
            "active",
            "rebuilding",
            "accepted",
        ),
        (MoveFault::NoValidHost, VmState::Active, "error", "-", "error"),
        (MoveFault::LateFailure, VmState::Active, "active", "-", "failed"),
        (MoveFault::LateFailure, VmState::Stopped, "stopped", "-", "failed"),
        (MoveFault::Error, VmState::Active, "error", "-", "failed"),
        (
            MoveFault::Hang,
            VmState::Active,
            "active",
            "rebuild_spawning",
            "pre-migrating",
        ),
        (
            MoveFault::DestinationDies { millis: 500 },
            VmState::Active,
            "active",
            "rebuild_spawning",
            "pre-migrating",
        ),
    ] {
        let (mut state, id) = with_fault(fault, before);
        assert_eq!(
            state.shown(id),
            ("compute-001".into(), vm_state, task_state),
            "{fault:?}"
        );
        assert_eq!(state.records(id), [record], "{fault:?}");
        assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0], "{fault:?}");
        state.pass(3_600_000);
        assert_eq!(state.records(id), [record], "{fault:?} changed by waiting");
    }
}

#[test]
fn after_each_fault_a_second_evacuation_brings_the_instance_back_once() {
    for (fault, records) in [
        // The conductor takes the first record that is accepted: the second call's own record is left over.
        (MoveFault::LostCast, ["done", "accepted"]),
        (MoveFault::NoValidHost, ["error", "done"]),
        (MoveFault::LateFailure, ["failed", "done"]),
        (MoveFault::Error, ["failed", "done"]),
        (
            MoveFault::DestinationDies { millis: 500 },
            ["pre-migrating", "done"],
        ),
    ] {
        let (mut state, id) = with_fault(fault, VmState::Active);
        evacuate(&mut state, id);
        state.pass(10_000);
        assert_eq!(state.records(id), records, "{fault:?}");
        assert_eq!(state.shown(id).1, "active", "{fault:?}");
        assert_eq!(state.world.hosts.ledger.runs_on(id).len(), 1, "{fault:?}");
        assert_eq!(state.world.hosts.ledger.double_runs(), 0, "{fault:?}");
    }
}

#[test]
fn slow_is_slow() {
    let (state, id) = with_fault(MoveFault::Slow { millis: 7_500 }, VmState::Active);
    assert_eq!(state.records(id), ["done"]);
    let (mut state, id) = with_fault(MoveFault::Slow { millis: 8_500 }, VmState::Active);
    assert_eq!(state.records(id), ["pre-migrating"]);
    state.pass(1_000);
    assert_eq!(state.records(id), ["done"]);
}

#[test]
fn a_second_evacuation_is_accepted_and_spoils_the_first() {
    // Delay of the second call after the first, in milliseconds.
    for gap in [0, 30, 1_000] {
        let mut state = region(4);
        let id = state.put(1, VmState::Active);
        state.kill(1);
        evacuate(&mut state, id);
        state.pass(gap);
        evacuate(&mut state, id);
        state.pass(10_000);
        assert_eq!(state.shown(id).1, "error", "second call after {gap} ms");
        assert!(
            state.records(id).contains(&"failed"),
            "second call after {gap} ms"
        );
    }
}

#[test]
fn two_orders_taken_up_together_work_on_the_older_record_and_the_second_spoils_it() {
    for leaves in [false, true] {
        let mut state = region(2);
        let id = state.put(1, VmState::Active);
        state.kill(1);
        let (source, dest) = (state.h(1), state.h(2));
        state.world.power_off(dest);
        evacuate(&mut state, id);
        state.pass(1_000);
        evacuate(&mut state, id);
        state.pass(1_000);
        assert_eq!(state.records(id), ["accepted", "accepted"]);
        assert_eq!(state.world.hosts[dest].queue.len(), 2);

        state.world.power_on(dest);
        if leaves {
            // It dies during the rebuilds: both are lost, and it writes nothing more.
            state.pass(1_000);
            state.world.power_off(dest);
            state.pass(10_000);
            assert_eq!(state.records(id), ["pre-migrating", "accepted"]);
            continue;
        }
        state.pass(10_000);
        assert_eq!(
            state.shown(id),
            ("compute-002".into(), "error", "rebuild_block_device_mapping")
        );
        let server = state.world.servers.by_id(id).unwrap();
        assert_eq!((server.status(), server.power_state), ("REBUILD", 1));
        assert_eq!(state.records(id), ["failed", "accepted"]);
        assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
        assert_eq!(state.world.hosts.ledger.double_runs(), 0);
        assert_eq!(state.world.hosts[dest].rebuilding, 0, "no slot is left taken");

        state.reset_state(&admin(), id, false).unwrap();
        assert_eq!(state.shown(id), ("compute-002".into(), "active", "-"));
        state.world.power_on(source);
        state.pass(2_000);
        assert_eq!(state.records(id), ["failed", "completed"]);
        assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
    }
}

#[test]
fn two_rebuilds_that_overlap_run_the_guest_twice_and_the_ledger_sees_it() {
    let mut state = region(4);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    evacuate(&mut state, id);
    state.pass(1_000);
    evacuate(&mut state, id);
    state.pass(10_000);
    assert_eq!(
        state.world.hosts.ledger.double_runs(),
        1,
        "nova believes one thing, two hosts do another"
    );
    assert_eq!(state.world.hosts.ledger.runs_on(id).len(), 2);
}

#[test]
fn a_destination_that_is_cut_off_between_spawn_and_record_runs_what_nova_does_not_know_of() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    evacuate(&mut state, id);
    state.pass(1_900);
    let dest = state.h(2);
    state.world.set_link(dest, false);
    state.pass(10_000);
    assert_eq!(state.shown(id).0, "compute-001");
    assert_eq!(state.records(id), ["pre-migrating"]);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
}

#[test]
fn orders_wait_for_a_conductor() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    for name in ["control-1", "control-2"] {
        assert!(state.set_controller(name, false));
    }
    evacuate(&mut state, id);
    state.pass(60_000);
    assert_eq!(state.records(id), ["accepted"]);
    assert!(state.set_controller("control-2", true));
    state.pass(3_000);
    assert_eq!(state.records(id), ["done"]);
    assert!(!state.set_controller("control-9", true));
}

#[test]
fn a_host_that_died_unnoticed_is_chosen_and_its_order_waits_in_the_queue() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    let dest = state.h(2);
    state.world.power_off(dest);
    evacuate(&mut state, id);
    state.pass(60_000);
    assert_eq!(state.records(id), ["accepted"], "no conductor has handled it");
    assert_eq!(state.world.hosts[dest].queue.len(), 1);
    state.world.power_on(dest);
    state.pass(10_000);
    assert_eq!(state.records(id), ["done"]);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
}
