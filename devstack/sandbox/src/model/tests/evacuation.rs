//! Successful evacuations, with their intermediate states.

use std::time::Duration;

use crate::model::State;
use crate::model::evacuate::EvacuateRequest;
use crate::model::migration::MigrationFilter;
use crate::model::server::VmState;
use crate::model::testing::{admin, region, settings};
use crate::settings::RegionSettings;

fn evacuate(state: &mut State, id: uuid::Uuid) {
    state
        .evacuate(&admin(), id, &EvacuateRequest::default())
        .expect("nova accepts");
}

#[test]
fn an_evacuation_goes_through_its_states_and_switches_the_host_last() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    assert_eq!(state.world.hosts.ledger.lost(&[id]), [id]);

    evacuate(&mut state, id);
    assert_eq!(state.shown(id), ("compute-001".into(), "active", "rebuilding"));
    assert_eq!(state.records(id), ["accepted"]);

    // The conductor waits 50 ms, the rebuild takes 2 s; its guest starts at nine tenths.
    state.pass(60);
    assert_eq!(
        state.shown(id),
        ("compute-001".into(), "active", "rebuild_spawning")
    );
    assert_eq!(state.records(id), ["pre-migrating"]);
    let dest = state
        .world
        .migrations
        .of_server(id)
        .next()
        .unwrap()
        .dest_compute
        .clone();
    assert_eq!(dest.as_deref(), Some("compute-002"));
    assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0]);

    state.pass(1_800);
    assert_eq!(
        state.shown(id),
        ("compute-001".into(), "active", "-"),
        "running there, recorded here"
    );
    assert_eq!(state.records(id), ["pre-migrating"]);
    assert_eq!(state.world.hosts.ledger.runs_on(id), ["compute-002"]);

    state.pass(200);
    assert_eq!(state.shown(id), ("compute-002".into(), "active", "-"));
    assert_eq!(state.records(id), ["done"]);
    assert_eq!(state.world.hosts.ledger.double_runs(), 0);
    assert!(state.world.hosts[state.h(2)].servers.contains(&state.index(id)));
    assert!(!state.world.hosts[state.h(1)].servers.contains(&state.index(id)));
}

#[test]
fn the_end_state_depends_on_the_state_before_and_the_microversion() {
    // `leave_stopped` is the behaviour of microversions from 2.95 on.
    for (before, leave_stopped, after, runs) in [
        (VmState::Active, false, "active", true),
        (VmState::Stopped, false, "stopped", false),
        (VmState::Error, false, "active", true),
        (VmState::Active, true, "stopped", false),
        (VmState::Stopped, true, "stopped", false),
        (VmState::Error, true, "active", true),
    ] {
        let mut state = region(2);
        let id = state.put(1, before);
        state.kill(1);
        let request = EvacuateRequest {
            leave_stopped,
            ..EvacuateRequest::default()
        };
        state.evacuate(&admin(), id, &request).unwrap();
        state.pass(3_000);
        let row = format!("{before:?}, leave_stopped {leave_stopped}");
        assert_eq!(state.shown(id), ("compute-002".into(), after, "-"), "{row}");
        assert_eq!(!state.world.hosts.ledger.runs_on(id).is_empty(), runs, "{row}");
        assert_eq!(state.records(id), ["done"], "{row}");
    }
}

#[test]
fn a_fresh_record_has_no_updated_at_and_changes_since_hides_it() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    state.kill(1);
    evacuate(&mut state, id);
    let since = MigrationFilter {
        changes_since: Some(crate::RegionTime::START),
        ..MigrationFilter::default()
    };
    assert_eq!(
        state
            .world
            .migrations
            .list(&MigrationFilter::default(), None, 9)
            .len(),
        1
    );
    assert_eq!(
        state.world.migrations.list(&since, None, 9).len(),
        0,
        "hidden until a compute has touched it"
    );
    state.pass(60);
    assert_eq!(state.world.migrations.list(&since, None, 9).len(), 1);
}

#[test]
fn a_destination_is_enabled_up_in_the_zone_and_has_room() {
    type Corruption = fn(&mut State);
    let cases: [(&str, Corruption); 5] = [
        ("disabled", |state| {
            let ix = state.h(2);
            state.world.hosts[ix].disabled = true;
        }),
        ("down", |state| state.kill(2)),
        ("forced down", |state| {
            let ix = state.h(2);
            state.world.hosts[ix].forced_down = true;
        }),
        ("full", |state| {
            let ix = state.h(2);
            state.world.hosts[ix].vcpus = 0;
        }),
        ("in another zone", |state| {
            let id = state.create_aggregate("az", Some("az")).unwrap();
            state.add_aggregate_host(id, "compute-002").unwrap();
        }),
    ];
    for (name, spoil) in cases {
        for requested in [None, Some("compute-002".to_owned())] {
            let mut state = region(2);
            let id = state.put(1, VmState::Active);
            let index = state.index(id);
            state.world.servers.edit(index, state.world.now, |server| {
                server.pinned_zone = Some("nova".into());
            });
            spoil(&mut state);
            state.kill(1);
            let request = EvacuateRequest {
                host: requested,
                ..EvacuateRequest::default()
            };
            state.evacuate(&admin(), id, &request).unwrap();
            state.pass(3_000);
            assert_eq!(state.shown(id), ("compute-001".into(), "error", "-"), "{name}");
            assert_eq!(state.records(id), ["error"], "{name}");
            assert!(state.world.servers.by_id(id).unwrap().fault.is_some(), "{name}");
        }
    }
}

#[test]
fn force_goes_past_the_scheduler() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    let ix = state.h(2);
    state.world.hosts[ix].disabled = true;
    state.kill(1);
    let request = EvacuateRequest {
        host: Some("compute-002".into()),
        force: true,
        ..EvacuateRequest::default()
    };
    state.evacuate(&admin(), id, &request).unwrap();
    state.pass(3_000);
    assert_eq!(state.shown(id), ("compute-002".into(), "active", "-"));
}

#[test]
fn many_spread_over_the_least_loaded() {
    let mut state = region(4);
    let ids: Vec<_> = (0..30).map(|_| state.put(1, VmState::Active)).collect();
    state.kill(1);
    for id in &ids {
        evacuate(&mut state, *id);
    }
    state.pass(3_000);
    assert!(state.world.hosts.ledger.lost(&ids).is_empty());
    for number in 2..=4 {
        assert_eq!(
            state.world.hosts[state.h(number)].servers.len(),
            10,
            "compute-00{number}"
        );
    }
}

#[test]
fn a_destination_rebuilds_as_many_at_a_time_as_it_may() {
    let mut state = State::new(RegionSettings {
        rebuild_concurrency: Some(2),
        ..settings(2)
    });
    let ids: Vec<_> = (0..5).map(|_| state.put(1, VmState::Active)).collect();
    state.kill(1);
    for id in &ids {
        evacuate(&mut state, *id);
    }
    // Two at a time, two seconds each; those that wait stay `accepted`.
    for (millis, done) in [(1_000, 0), (1_100, 2), (2_000, 4), (2_000, 5)] {
        state.pass(millis);
        let count = ids.iter().filter(|id| state.records(**id) == ["done"]).count();
        assert_eq!(count, done, "after another {millis} ms");
    }
}

#[test]
fn conductors_work_at_their_rate() {
    let mut state = State::new(RegionSettings {
        conductor_rate: Some(10.0),
        ..settings(2)
    });
    let ids: Vec<_> = (0..10).map(|_| state.put(1, VmState::Active)).collect();
    state.kill(1);
    for id in &ids {
        evacuate(&mut state, *id);
    }
    let running_rebuilds = |state: &State| {
        ids.iter()
            .filter(|id| state.records(**id) == ["pre-migrating"])
            .count()
    };
    // The first starts after 50 ms, then one every 100 ms.
    state.pass(500);
    assert_eq!(running_rebuilds(&state), 5);
    state.pass(500);
    assert_eq!(running_rebuilds(&state), 10);
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    let run = |seed: u64| {
        let mut state = State::new(RegionSettings {
            seed,
            rebuild_spread: Duration::from_secs(1),
            ..settings(6)
        });
        let ids: Vec<_> = (0..12).map(|_| state.put(1, VmState::Active)).collect();
        state.kill(1);
        for id in &ids {
            evacuate(&mut state, *id);
        }
        state.pass(5_000);
        ids.into_iter()
            .map(|id| (id, state.shown(id).0))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
