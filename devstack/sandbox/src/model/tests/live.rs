//! Live migrations, complete and interrupted.

use crate::model::evacuate::EvacuateRequest;
use crate::model::migration::MigrationKind;
use crate::model::server::VmState;
use crate::model::testing::{admin, owner, region};

#[test]
fn a_live_migration_moves_a_running_guest_without_a_double_run() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.live_migrate(&admin(), id, None).unwrap();
    assert_eq!(state.shown(id), ("compute-001".into(), "active", "migrating"));
    state.pass(1_700);
    assert_eq!(state.records(id), ["running"]);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
    state.pass(500);
    assert_eq!(state.shown(id), ("compute-002".into(), "active", "-"));
    assert_eq!(state.records(id), ["completed"]);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
    assert_eq!(state.world.hosts[state.h(1)].inventory.used().vcpus, 0);
}

#[test]
fn what_is_refused() {
    let mut state = region(2);
    let (active, stopped) = (state.put(1, VmState::Active), state.put(1, VmState::Stopped));
    let code = |outcome: Result<(), crate::model::Refusal>| outcome.unwrap_err().status.as_u16();
    assert_eq!(code(state.live_migrate(&owner(), active, None)), 403);
    assert_eq!(code(state.live_migrate(&admin(), stopped, None)), 409);
    assert_eq!(code(state.live_migrate(&admin(), active, Some("nowhere"))), 400);
    assert_eq!(
        code(state.live_migrate(&admin(), active, Some("compute-001"))),
        400
    );
    state.kill(1);
    assert_eq!(code(state.live_migrate(&admin(), active, None)), 400);
}

#[test]
fn a_source_that_dies_after_the_switch_leaves_a_guest_nova_does_not_know_of() {
    let mut state = region(3);
    let id = state.put(1, VmState::Active);
    state.live_migrate(&admin(), id, Some("compute-002")).unwrap();
    state.pass(1_700);
    state.kill(1);
    assert_eq!(state.shown(id).0, "compute-001", "nova still shows the source");
    assert_eq!(state.records(id), ["running"], "and the record never ends");
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);
    // Evacuated on the source's proof alone, it runs twice.
    state
        .evacuate(
            &admin(),
            id,
            &EvacuateRequest {
                host: Some("compute-003".into()),
                ..EvacuateRequest::default()
            },
        )
        .unwrap();
    state.pass(5_000);
    assert_eq!(state.world.hosts.ledger.double_runs(), 1);
}

/// Returns a live migration whose destination has died without Nova's knowledge.
fn unanswered() -> (crate::model::State, uuid::Uuid) {
    let mut state = region(3);
    let id = state.put(1, VmState::Active);
    let dest = state.h(2);
    state.world.power_off(dest);
    state.live_migrate(&admin(), id, Some("compute-002")).unwrap();
    assert_eq!(state.shown(id), ("compute-001".into(), "active", "migrating"));
    assert_eq!(state.records(id), ["accepted"]);
    (state, id)
}

#[test]
fn a_destination_that_returns_takes_up_what_it_was_asked() {
    let (mut state, id) = unanswered();
    state.pass(60_000);
    assert_eq!(state.records(id), ["accepted"]);
    state.world.power_on(state.h(2));
    state.pass(10_000);
    assert_eq!(state.shown(id), ("compute-002".into(), "active", "-"));
    assert_eq!(state.records(id), ["completed"]);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
}

#[test]
fn an_evacuation_works_on_the_record_of_an_unanswered_live_migration() {
    let (mut state, id) = unanswered();
    state.kill(1);
    state
        .evacuate(
            &admin(),
            id,
            &EvacuateRequest {
                host: Some("compute-003".into()),
                ..EvacuateRequest::default()
            },
        )
        .unwrap();
    state.pass(5_000);
    let rows: Vec<_> = state
        .world
        .migrations
        .of_server(id)
        .map(|row| (row.kind, row.status.as_str(), row.dest_compute.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            (MigrationKind::LiveMigration, "done", Some("compute-003")),
            (MigrationKind::Evacuation, "accepted", Some("compute-003")),
        ]
    );
    assert_eq!(state.shown(id), ("compute-003".into(), "active", "-"));

    state.world.power_on(state.h(2));
    state.pass(5_000);
    assert_eq!(
        state.shown(id),
        ("compute-003".into(), "active", "-"),
        "the destination waits for the source"
    );
    state.world.power_on(state.h(1));
    state.pass(5_000);
    assert_eq!(state.shown(id), ("compute-002".into(), "error", "-"));
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-003"]);
    assert!(state.world.hosts[state.h(2)].servers.contains(&state.index(id)));
    assert!(!state.world.hosts[state.h(3)].servers.contains(&state.index(id)));
}

#[test]
fn a_source_that_dies_before_the_switch_takes_the_guest_with_it() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.live_migrate(&admin(), id, None).unwrap();
    state.pass(500);
    state.kill(1);
    assert_eq!(state.records(id), ["preparing"]);
    assert_eq!(state.world.hosts.ledger.lost(&[id]), [id]);
}

#[test]
fn a_half_move_can_be_put_there() {
    for (guest_at_dest, runs_on) in [(true, "compute-002"), (false, "compute-001")] {
        let mut state = region(2);
        let id = state.put(1, VmState::Active);
        let (index, dest) = (state.index(id), state.h(2));
        state
            .world
            .half_move(index, dest, MigrationKind::Resize, guest_at_dest)
            .unwrap();
        assert_eq!(state.shown(id), ("compute-001".into(), "active", "migrating"));
        let row = state.world.migrations.of_server(id).next().unwrap();
        assert_eq!(
            (row.kind, row.status.as_str()),
            (MigrationKind::Resize, "running")
        );
        assert_eq!(row.dest_compute.as_deref(), Some("compute-002"));
        assert_eq!(state.world.hosts.ledger.runs_on(id), [runs_on]);
    }
}

#[test]
fn a_cold_migration_awaits_its_confirmation_on_the_other_host() {
    let mut state = region(2);
    let id = state.put(1, VmState::Stopped);
    assert_eq!(state.migrate(&owner(), id).unwrap_err().status.as_u16(), 403);
    assert_eq!(
        state.confirm_resize(&admin(), id).unwrap_err().status.as_u16(),
        409
    );
    state.migrate(&admin(), id).unwrap();
    assert_eq!(
        state.shown(id),
        ("compute-001".into(), "stopped", "resize_migrating")
    );
    assert_eq!(state.migrate(&admin(), id).unwrap_err().status.as_u16(), 409);
    state.pass(2_100);
    assert_eq!(state.shown(id), ("compute-002".into(), "resized", "-"));
    assert_eq!(state.records(id), ["finished"]);
    state.confirm_resize(&admin(), id).unwrap();
    assert_eq!(state.shown(id), ("compute-002".into(), "stopped", "-"));
    assert_eq!(state.records(id), ["confirmed"]);
    assert_eq!(state.world.hosts[state.h(1)].inventory.used().vcpus, 0);
}

#[test]
fn a_cold_migration_without_another_host_is_refused() {
    let mut state = region(1);
    let id = state.put(1, VmState::Stopped);
    assert_eq!(state.migrate(&admin(), id).unwrap_err().status.as_u16(), 400);
}
