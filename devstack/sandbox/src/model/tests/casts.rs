//! Messages: executed at once, or queued.

use uuid::Uuid;

use crate::model::State;
use crate::model::actions::GuestAction;
use crate::model::evacuate::EvacuateRequest;
use crate::model::server::VmState;
use crate::model::testing::{admin, owner, region};

#[test]
fn actions_are_carried_out_after_a_while() {
    use {GuestAction as A, VmState as V};
    for (before, action, task, after, runs) in [
        (V::Stopped, A::Start, "powering-on", "active", true),
        (V::Active, A::Stop, "powering-off", "stopped", false),
        (V::Active, A::SoftReboot, "rebooting", "active", true),
        (V::Stopped, A::HardReboot, "rebooting_hard", "active", true),
        (V::Active, A::Pause, "pausing", "paused", true),
        (V::Paused, A::Unpause, "unpausing", "active", true),
        (V::Active, A::Suspend, "suspending", "suspended", false),
        (V::Suspended, A::Resume, "resuming", "active", true),
    ] {
        let mut state = region(1);
        let id = state.put(1, before);
        state.act(&owner(), id, action).unwrap();
        assert_eq!(state.shown(id).2, task, "{action:?}");
        state.pass(250);
        assert_eq!(state.shown(id), ("compute-001".into(), after, "-"), "{action:?}");
        assert_eq!(
            !state.world.hosts.ledger.runs_on(id).is_empty(),
            runs,
            "{action:?}"
        );
    }
}

#[test]
fn a_cast_to_a_dead_host_waits_and_runs_when_it_returns() {
    let mut state = region(1);
    let id = state.put(1, VmState::Stopped);
    state.kill(1);
    state.act(&owner(), id, GuestAction::Start).unwrap();
    state.pass(60_000);
    assert_eq!(state.shown(id), ("compute-001".into(), "stopped", "powering-on"));
    state.world.power_on(state.h(1));
    state.pass(1_000);
    assert_eq!(state.shown(id), ("compute-001".into(), "active", "-"));
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-001"]);
}

/// A stopped instance is started while its host is dead, then evacuated, started at its new host, and the source
/// returns.
fn started_late(purge: bool) -> (State, Uuid) {
    let mut state = region(2);
    let id = state.put(1, VmState::Stopped);
    let source = state.h(1);
    state.kill(1);
    state.act(&owner(), id, GuestAction::Start).unwrap();
    state.evacuate(&admin(), id, &EvacuateRequest::default()).unwrap();
    state.pass(3_000);
    assert_eq!(state.shown(id), ("compute-002".into(), "stopped", "-"));
    state.act(&owner(), id, GuestAction::Start).unwrap();
    state.pass(1_000);
    if purge {
        state.world.hosts[source].queue.clear();
    }
    state.world.power_on(source);
    state.pass(2_000);
    (state, id)
}

#[test]
fn a_queued_start_powers_the_old_copy_on_although_the_instance_has_moved() {
    let (state, id) = started_late(false);
    assert_eq!(state.world.hosts.ledger.double_runs(), 1);
    assert_eq!(
        state.shown(id),
        ("compute-002".into(), "active", "-"),
        "nova shows nothing of it"
    );
}

#[test]
fn a_queued_stop_or_start_leaves_novas_record_of_a_moved_server_as_it_was() {
    for (before, action) in [
        (VmState::Active, GuestAction::Stop),
        (VmState::Stopped, GuestAction::Start),
    ] {
        let mut state = region(2);
        let id = state.put(1, before);
        state.kill(1);
        state.act(&owner(), id, action).unwrap();
        state.evacuate(&admin(), id, &EvacuateRequest::default()).unwrap();
        state.pass(3_000);
        let source = state.h(1);
        state.world.power_on(source);
        state.pass(5_000);
        assert!(state.world.hosts[source].queue.is_empty(), "{action:?} was taken");
        assert_eq!(
            state.shown(id),
            ("compute-002".into(), before.as_str(), "-"),
            "{action:?}"
        );
    }
}

#[test]
fn an_emptied_queue_does_no_harm() {
    let (state, id) = started_late(true);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
}

#[test]
fn a_queued_reboot_of_a_moved_instance_does_nothing() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    state.act(&owner(), id, GuestAction::HardReboot).unwrap();
    state.evacuate(&admin(), id, &EvacuateRequest::default()).unwrap();
    state.pass(3_000);
    state.world.power_on(state.h(1));
    state.pass(2_000);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
}

#[test]
fn a_message_under_way_when_the_host_dies_is_not_lost() {
    let mut state = region(1);
    let id = state.put(1, VmState::Stopped);
    let ix = state.h(1);
    state.act(&owner(), id, GuestAction::Start).unwrap();
    state.pass(100);
    state.world.power_off(ix);
    state.pass(5_000);
    assert_eq!(state.world.hosts[ix].queue.len(), 1);
    assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0]);
}

#[test]
fn a_mended_link_lets_nova_compute_take_what_has_waited() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    let ix = state.h(1);
    state.world.set_link(ix, false);
    state.act(&owner(), id, GuestAction::Stop).unwrap();
    state.pass(60_000);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-001"]);
    state.world.set_link(ix, true);
    state.pass(500);
    assert_eq!(state.shown(id).1, "stopped");
    assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0]);
}

#[test]
fn deleting_ends_the_guest_where_the_host_lives() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    state.delete_server(&owner(), id).unwrap();
    assert_eq!(state.shown(id).2, "deleting");
    state.pass(500);
    assert!(state.world.servers.by_id(id).is_none());
    assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0]);
    assert_eq!(state.world.hosts[state.h(1)].inventory.used().vcpus, 0);
}
