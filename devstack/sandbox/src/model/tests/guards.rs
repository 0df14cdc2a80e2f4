//! Refusals, with their statuses.

use uuid::Uuid;

use crate::model::actions::GuestAction;
use crate::model::boot::NewServer;
use crate::model::evacuate::EvacuateRequest;
use crate::model::server::{TaskState, VmState};
use crate::model::testing::{admin, owner, region};
use crate::model::{Caller, Refusal, State};

fn code(outcome: Result<(), Refusal>) -> u16 {
    outcome.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
}

fn to(host: &str) -> EvacuateRequest {
    EvacuateRequest {
        host: Some(host.into()),
        ..EvacuateRequest::default()
    }
}

type Setup = fn(&mut State, Uuid);

fn check(name: &str, setup: Setup, request: &EvacuateRequest, expected: u16) {
    let mut state = region(3);
    let id = state.put(1, VmState::Active);
    setup(&mut state, id);
    assert_eq!(code(state.evacuate(&admin(), id, request)), expected, "{name}");
}

#[test]
fn evacuate_preconditions() {
    let cases: [(&str, Setup, u16); 13] = [
        ("the host is up", |_, _| {}, 400),
        (
            "the host is dead but not noticed yet",
            |state, _| state.world.power_off(state.h(1)),
            400,
        ),
        ("the host is dead", |state, _| state.kill(1), 200),
        (
            "the host is forced down, though alive",
            |state, _| {
                let ix = state.h(1);
                state.world.hosts[ix].forced_down = true;
            },
            200,
        ),
        ("stopped", |state, id| set(state, id, VmState::Stopped), 200),
        ("error", |state, id| set(state, id, VmState::Error), 200),
        ("paused", |state, id| set(state, id, VmState::Paused), 409),
        ("suspended", |state, id| set(state, id, VmState::Suspended), 409),
        ("rescued", |state, id| set(state, id, VmState::Rescued), 409),
        ("resized", |state, id| set(state, id, VmState::Resized), 409),
        ("building", |state, id| set(state, id, VmState::Building), 409),
        (
            "never launched",
            |state, id| {
                state.kill(1);
                let index = state.index(id);
                state
                    .world
                    .servers
                    .edit(index, state.world.now, |server| server.launched = None);
            },
            409,
        ),
        (
            "locked, and with a task: neither is checked",
            |state, id| {
                state.kill(1);
                state.lock(&admin(), id, Some("mine".into())).unwrap();
                let index = state.index(id);
                state.world.servers.edit(index, state.world.now, |server| {
                    server.task_state = Some(TaskState::PoweringOn);
                });
            },
            200,
        ),
    ];
    for (name, setup, expected) in cases {
        check(name, setup, &EvacuateRequest::default(), expected);
    }
}

#[test]
fn a_server_that_never_ran_is_refused_by_its_missing_host_or_its_missing_launch() {
    for (name, request, expected, message) in [
        (
            "without a target",
            EvacuateRequest::default(),
            400,
            "The target host can't be the same one.",
        ),
        ("with a target", to("compute-002"), 409, "launched_at None"),
    ] {
        let mut state = region(2);
        let ids: Vec<_> = state.world.hosts.indexes().collect();
        for ix in &ids {
            state.world.hosts[*ix].disabled = true;
        }
        let new = NewServer {
            name: "never".into(),
            image: None,
            flavor: 0,
            metadata: std::collections::BTreeMap::new(),
            zone: None,
            host: None,
        };
        let id = state.create_server(&owner(), new).unwrap();
        state.pass(60_000);
        assert_eq!(state.shown(id), (String::new(), "error", "-"), "{name}");
        let refusal = state.evacuate(&admin(), id, &request).unwrap_err();
        assert_eq!(refusal.status.as_u16(), expected, "{name}");
        assert!(refusal.message.contains(message), "{name}: {}", refusal.message);
    }
}

#[test]
fn evacuate_targets() {
    let force = EvacuateRequest {
        force: true,
        ..EvacuateRequest::default()
    };
    for (name, request, expected) in [
        ("an unknown target", to("nowhere"), 404),
        ("its own host as target", to("compute-001"), 400),
        ("another host as target", to("compute-002"), 200),
        ("force without target", force, 400),
    ] {
        check(name, |state, _| state.kill(1), &request, expected);
    }
}

fn set(state: &mut State, id: Uuid, vm_state: VmState) {
    state.kill(1);
    let index = state.index(id);
    state
        .world
        .servers
        .edit(index, state.world.now, |server| server.vm_state = vm_state);
}

#[test]
fn who_may_evacuate() {
    let other_caller = Caller {
        project_id: "other".into(),
        ..owner()
    };
    for (name, caller, expected) in [
        ("admin", admin(), 200),
        ("owner", owner(), 403),
        ("stranger", other_caller, 404),
    ] {
        let mut state = region(2);
        let id = state.put(1, VmState::Active);
        state.kill(1);
        assert_eq!(
            code(state.evacuate(&caller, id, &EvacuateRequest::default())),
            expected,
            "{name}"
        );
    }
}

#[test]
fn action_states() {
    use {GuestAction as A, TaskState as T, VmState as V};
    for (action, vm_state, task_state, expected) in [
        (A::Start, V::Stopped, None, 200),
        (A::Start, V::Active, None, 409),
        (A::Start, V::Error, None, 409),
        (A::Start, V::Stopped, Some(T::PoweringOn), 409),
        (A::Stop, V::Active, None, 200),
        (A::Stop, V::Error, None, 200),
        (A::Stop, V::Stopped, None, 409),
        (A::Stop, V::Active, Some(T::Rebuilding), 409),
        (A::SoftReboot, V::Active, None, 200),
        (A::SoftReboot, V::Stopped, None, 409),
        (A::SoftReboot, V::Active, Some(T::Rebooting), 409),
        (A::HardReboot, V::Error, None, 200),
        (A::HardReboot, V::Active, Some(T::Rebooting), 200),
        (A::HardReboot, V::Active, Some(T::Rebuilding), 409),
        (A::Pause, V::Active, None, 200),
        (A::Unpause, V::Paused, None, 200),
        (A::Unpause, V::Active, None, 409),
        (A::Suspend, V::Active, None, 200),
        (A::Resume, V::Suspended, None, 200),
        (A::Resume, V::Paused, None, 409),
    ] {
        let mut state = region(1);
        let id = state.put(1, V::Active);
        let index = state.index(id);
        state.world.servers.edit(index, state.world.now, |server| {
            server.vm_state = vm_state;
            server.task_state = task_state;
        });
        let outcome = code(state.act(&admin(), id, action));
        assert_eq!(
            outcome, expected,
            "{action:?} while {vm_state:?} and {task_state:?}"
        );
    }
}

#[test]
fn locks_bind_owners_not_admins() {
    // Who locks, who stops, who unlocks.
    for (locks, stops, stop_code, unlocks, unlock_code) in [
        (owner(), owner(), 409, owner(), 200),
        (owner(), admin(), 200, admin(), 200),
        (admin(), owner(), 409, owner(), 403),
        (admin(), admin(), 200, admin(), 200),
    ] {
        let mut state = region(1);
        let id = state.put(1, VmState::Active);
        state.lock(&locks, id, None).unwrap();
        let row = format!(
            "locked by admin: {}, requested by admin: {}",
            locks.admin, stops.admin
        );
        assert_eq!(code(state.act(&stops, id, GuestAction::Stop)), stop_code, "{row}");
        assert_eq!(code(state.unlock(&unlocks, id)), unlock_code, "{row}");
        assert_eq!(
            state.world.servers.by_id(id).unwrap().lock.is_some(),
            unlock_code != 200,
            "{row}"
        );
    }
}

#[test]
fn an_owners_second_lock_changes_nothing_an_admins_replaces() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    let reason = |state: &State| {
        state
            .world
            .servers
            .by_id(id)
            .unwrap()
            .lock
            .clone()
            .unwrap()
            .reason
    };
    state.lock(&owner(), id, Some("one".into())).unwrap();
    state.lock(&owner(), id, Some("two".into())).unwrap();
    assert_eq!(reason(&state).as_deref(), Some("one"));
    state.lock(&admin(), id, None).unwrap();
    assert_eq!(
        reason(&state).as_deref(),
        Some("one"),
        "a lock without a reason keeps the old one"
    );
    state.lock(&admin(), id, Some("three".into())).unwrap();
    assert_eq!(reason(&state).as_deref(), Some("three"));
    assert!(
        !state
            .world
            .servers
            .by_id(id)
            .unwrap()
            .lock
            .as_ref()
            .unwrap()
            .by_owner
    );
}

#[test]
fn an_admins_lock_over_an_owners_is_the_admins_alone_to_open() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    state.lock(&owner(), id, Some("mine".into())).unwrap();
    state.lock(&admin(), id, Some("tachi".into())).unwrap();
    assert_eq!(code(state.unlock(&owner(), id)), 403);
    assert_eq!(code(state.unlock(&admin(), id)), 200);
    assert!(
        state.world.servers.by_id(id).unwrap().lock.is_none(),
        "the owner's lock goes with it"
    );
}

#[test]
fn a_queued_stop_or_start_forbids_a_second() {
    use {GuestAction as A, VmState as V};
    for (vm_state, first, second) in [
        (V::Active, A::Stop, A::Stop),
        (V::Active, A::Stop, A::Start),
        (V::Stopped, A::Start, A::Start),
        (V::Stopped, A::Start, A::Stop),
    ] {
        let mut state = region(1);
        let id = state.put(1, vm_state);
        state.kill(1);
        assert_eq!(code(state.act(&owner(), id, first)), 200, "{first:?}");
        assert_eq!(
            code(state.act(&owner(), id, second)),
            409,
            "{first:?}, {second:?}"
        );
    }
}

#[test]
fn reset_state_is_for_admins_and_asks_nothing() {
    let mut state = region(1);
    let id = state.put(1, VmState::Paused);
    let index = state.index(id);
    state.world.servers.edit(index, state.world.now, |server| {
        server.task_state = Some(TaskState::Rebuilding);
    });
    assert_eq!(code(state.reset_state(&owner(), id, true)), 403);
    assert_eq!(code(state.reset_state(&admin(), id, true)), 200);
    assert_eq!(state.shown(id), ("compute-001".into(), "error", "-"));
    assert_eq!(code(state.reset_state(&admin(), id, false)), 200);
    assert_eq!(state.shown(id), ("compute-001".into(), "active", "-"));
}
