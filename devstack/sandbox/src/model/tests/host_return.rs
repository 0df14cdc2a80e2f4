//! The return of the source.

use uuid::Uuid;

use crate::model::State;
use crate::model::evacuate::EvacuateRequest;
use crate::model::server::VmState;
use crate::model::testing::{admin, region, settings};
use crate::settings::RegionSettings;

fn evacuate(state: &mut State, id: Uuid) {
    state
        .evacuate(&admin(), id, &EvacuateRequest::default())
        .expect("nova accepts");
}

fn moved() -> (State, Uuid) {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    evacuate(&mut state, id);
    state.pass(3_000);
    assert_eq!(state.records(id), ["done"]);
    (state, id)
}

#[test]
fn a_start_of_nova_compute_destroys_what_was_evacuated_and_completes_the_records() {
    let (mut state, id) = moved();
    let (source, index) = (state.h(1), state.index(id));
    assert!(
        state.world.hosts[source].guests.contains_key(&index),
        "the disk and definition are still there"
    );
    assert_eq!(
        state.world.hosts[source].inventory.used().vcpus,
        1,
        "and so is the allocation"
    );
    state.world.power_on(source);
    assert_eq!(state.records(id), ["done"], "power alone does nothing");
    state.pass(1_000);
    assert_eq!(state.records(id), ["completed"]);
    assert!(!state.world.hosts[source].guests.contains_key(&index));
    assert_eq!(state.world.hosts[source].inventory.used().vcpus, 0);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
}

#[test]
fn a_host_that_was_only_cut_off_runs_the_old_copy_until_nova_compute_restarts() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    let source = state.h(1);
    state.world.set_link(source, false);
    state.pass(13_000);
    assert!(!state.service_up(source), "nova sees a dead host");
    assert_eq!(
        state.world.hosts.ledger.runs_on(id),
        ["compute-001"],
        "and it runs on"
    );
    evacuate(&mut state, id);
    state.pass(3_000);
    assert_eq!(
        state.world.hosts.ledger.double_runs(),
        1,
        "evacuated without fencing"
    );

    state.world.set_link(source, true);
    state.pass(60_000);
    assert_eq!(
        state.world.hosts.ledger.runs_on(id),
        ["compute-001", "compute-002"],
        "a mended link cleans up nothing"
    );
    assert_eq!(state.records(id), ["done"]);
    state.world.end_agent(source);
    state.world.start_agent(source);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
    assert_eq!(state.records(id), ["completed"]);
}

#[test]
fn a_source_that_returns_during_the_rebuild_destroys_its_copy_even_if_the_rebuild_then_fails() {
    for (wait, record) in [(0, "accepted"), (1_000, "pre-migrating")] {
        let mut state = region(2);
        let id = state.put(1, VmState::Active);
        let source = state.h(1);
        state.kill(1);
        state
            .world
            .faults
            .add(crate::MoveFaultRule::always(crate::MoveFault::Error));
        evacuate(&mut state, id);
        state.pass(wait);
        assert_eq!(state.records(id), [record]);
        state.world.hosts[source].power = true;
        state.world.start_agent(source);
        let index = state.index(id);
        assert!(
            !state.world.hosts[source].guests.contains_key(&index),
            "while {record}"
        );
        state.pass(5_000);
        assert_eq!(
            state.world.hosts.ledger.runs_on(id),
            [""; 0],
            "it runs nowhere now"
        );
        assert_eq!(state.shown(id).1, "error");
    }
}

#[test]
fn of_two_done_records_of_one_instance_a_start_completes_the_last() {
    let mut state = region(3);
    let id = state.put(1, VmState::Active);
    let index = state.index(id);
    state.kill(1);
    evacuate(&mut state, id);
    state.pass(3_000);
    // Back on the first host by an operator's change of the record, and evacuated again.
    let (source, dest) = (state.h(1), state.world.servers.get(index).unwrap().host.unwrap());
    state.world.hosts.destroy_guest(dest, index, state.world.now);
    state.world.hosts[dest].servers.remove(&index);
    state.world.hosts[source].servers.insert(index);
    state
        .world
        .servers
        .edit(index, state.world.now, |server| server.host = Some(source));
    evacuate(&mut state, id);
    state.pass(3_000);
    assert_eq!(state.records(id), ["done", "done"]);
    state.world.power_on(source);
    state.pass(1_000);
    assert_eq!(state.records(id), ["done", "completed"]);
}

#[test]
fn guests_start_with_the_host_only_where_that_is_set() {
    for (resume_guests, runs) in [(false, 0), (true, 1)] {
        let mut state = State::new(RegionSettings {
            resume_guests,
            ..settings(1)
        });
        let (active, stopped) = (state.put(1, VmState::Active), state.put(1, VmState::Stopped));
        state.kill(1);
        state.world.power_on(state.h(1));
        state.pass(1_000);
        assert_eq!(
            state.world.hosts.ledger.runs_on(active).len(),
            runs,
            "resume_guests {resume_guests}"
        );
        assert_eq!(state.world.hosts.ledger.runs_on(stopped).len(), 0);
        assert_eq!(state.shown(active).1, "active");
    }
}

#[test]
fn nova_notices_later_that_a_guest_is_shut_down() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    state.world.power_on(state.h(1));
    state.pass(599_000);
    assert_eq!(state.shown(id).1, "active");
    state.pass(5_000);
    assert_eq!(state.shown(id).1, "stopped");
}

#[test]
fn a_server_deleted_while_its_host_was_away_leaves_no_record_and_later_no_guest() {
    let (mut state, id) = moved();
    let other = state.put(1, VmState::Active);
    let (source, other_ix) = (state.h(1), state.index(other));
    for server in [id, other] {
        state.delete_server(&admin(), server).unwrap();
    }
    state.pass(1_000);
    assert!(state.world.servers.by_id(other).is_none());
    assert_eq!(
        state.world.migrations.of_server(id).count(),
        0,
        "nova hides the records of deleted instances"
    );
    assert!(state.world.hosts[source].guests.contains_key(&other_ix));
    state.world.power_on(source);
    state.pass(1_000);
    assert!(!state.world.hosts[source].guests.contains_key(&other_ix));
}

#[test]
fn a_rebuild_that_its_own_host_lost_is_an_error_after_the_restart() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    let index = state.index(id);
    state.world.servers.edit(index, state.world.now, |server| {
        server.task_state = Some(crate::TaskState::Rebuilding);
    });
    let ix = state.h(1);
    state.world.end_agent(ix);
    state.world.start_agent(ix);
    assert_eq!(state.shown(id), ("compute-001".into(), "error", "-"));
}
