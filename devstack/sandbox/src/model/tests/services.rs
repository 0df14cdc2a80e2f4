//! Compute services: heartbeats, changes, and refused changes.

use std::time::Duration;

use crate::model::evacuate::EvacuateRequest;
use crate::model::server::VmState;
use crate::model::service::{ServiceChange, ServiceStatus};
use crate::model::testing::{admin, region};

fn forced_down(down: bool) -> ServiceChange {
    ServiceChange {
        forced_down: Some(down),
        ..ServiceChange::default()
    }
}

#[test]
fn what_a_change_may_say() {
    use ServiceStatus::{Disabled, Enabled};
    let reason = || Some("tachi".to_owned());
    for (name, status, disabled_reason, forced_down, accepted) in [
        ("nothing", None, None, None, false),
        ("a reason alone", None, reason(), None, false),
        ("enabled with a reason", Some(Enabled), reason(), None, false),
        ("enabled", Some(Enabled), None, None, true),
        ("disabled", Some(Disabled), None, None, true),
        ("all three at once", Some(Disabled), reason(), Some(true), true),
        ("forced down alone", None, None, Some(true), true),
    ] {
        let mut state = region(1);
        let ix = state.h(1);
        let change = ServiceChange {
            status,
            disabled_reason,
            forced_down,
        };
        for time in 1..=2 {
            let outcome = state.update_service(ix, &change);
            assert_eq!(outcome.is_ok(), accepted, "{name}, time {time}");
            assert!(
                outcome.is_ok() || outcome.unwrap_err().status.as_u16() == 400,
                "{name}"
            );
        }
        let host = &state.world.hosts[ix];
        assert_eq!(host.disabled, accepted && status == Some(Disabled), "{name}");
        assert_eq!(host.forced_down, accepted && forced_down == Some(true), "{name}");
    }
}

#[test]
fn enabling_drops_the_reason() {
    let mut state = region(1);
    let ix = state.h(1);
    let status = |status| ServiceChange {
        status: Some(status),
        ..ServiceChange::default()
    };
    let disable = ServiceChange {
        disabled_reason: Some("why".into()),
        ..status(ServiceStatus::Disabled)
    };
    state.update_service(ix, &disable).unwrap();
    assert_eq!(state.world.hosts[ix].disabled_reason.as_deref(), Some("why"));
    state.update_service(ix, &status(ServiceStatus::Enabled)).unwrap();
    assert_eq!(state.world.hosts[ix].disabled_reason, None);
}

#[test]
fn forced_down_cannot_be_cleared_while_records_are_done() {
    let mut state = region(2);
    let id = state.put(1, VmState::Active);
    let ix = state.h(1);
    state.world.power_off(ix);
    state.update_service(ix, &forced_down(true)).unwrap();
    assert!(!state.service_up(ix), "at once");
    state.evacuate(&admin(), id, &EvacuateRequest::default()).unwrap();
    state.pass(3_000);
    let both = ServiceChange {
        status: Some(ServiceStatus::Disabled),
        ..forced_down(false)
    };
    assert_eq!(state.update_service(ix, &both).unwrap_err().status.as_u16(), 400);
    assert!(
        !state.world.hosts[ix].disabled,
        "a refused change changes nothing"
    );
    state.world.power_on(ix);
    state.pass(1_000);
    state.update_service(ix, &forced_down(false)).unwrap();
    assert!(state.service_up(ix));
}

#[test]
fn a_service_goes_down_when_its_heartbeat_is_old() {
    let mut state = region(1);
    let ix = state.h(1);
    state.pass(100_000);
    assert!(state.service_up(ix));
    state.world.power_off(ix);
    let last = state.service_updated(ix);
    state.pass(7_000);
    assert!(state.service_up(ix), "nova does not know yet");
    state.pass(4_000);
    assert!(!state.service_up(ix));
    assert_eq!(state.service_updated(ix), last);
}

#[test]
fn updated_at_follows_heartbeats_even_while_forced_down_and_changes_too() {
    let mut state = region(1);
    let ix = state.h(1);
    state.update_service(ix, &forced_down(true)).unwrap();
    let before = state.service_updated(ix);
    state.pass(10_000);
    assert!(state.service_updated(ix) > before, "a living host betrays itself");
    state.world.power_off(ix);
    state.pass(30_000);
    let dead = state.service_updated(ix);
    state.update_service(ix, &forced_down(true)).unwrap();
    assert_eq!(state.service_updated(ix), dead, "nothing has changed");
    state.update_service(ix, &forced_down(false)).unwrap();
    assert_eq!(
        state.service_updated(ix),
        state.at(),
        "the API's own write moves it as well"
    );
    assert!(state.service_updated(ix) > dead);
}

#[test]
fn only_a_change_that_changes_something_moves_updated_at() {
    use ServiceStatus::{Disabled, Enabled};
    let change = |status, reason: Option<&str>, forced_down| ServiceChange {
        status,
        disabled_reason: reason.map(str::to_owned),
        forced_down,
    };
    // On a dead host that is disabled with the reason `why` and forced down.
    for (name, change, moves) in [
        (
            "the same again",
            change(Some(Disabled), Some("why"), Some(true)),
            false,
        ),
        (
            "its status alone, with the reason",
            change(Some(Disabled), Some("why"), None),
            false,
        ),
        ("forced down again", change(None, None, Some(true)), false),
        ("another reason", change(Some(Disabled), Some("else"), None), true),
        ("no reason any more", change(Some(Disabled), None, None), true),
        ("enabled", change(Some(Enabled), None, None), true),
        ("no longer forced down", change(None, None, Some(false)), true),
    ] {
        let mut state = region(1);
        let ix = state.h(1);
        state.kill(1);
        let whole = ServiceChange {
            status: Some(Disabled),
            disabled_reason: Some("why".into()),
            forced_down: Some(true),
        };
        state.update_service(ix, &whole).unwrap();
        let before = state.service_updated(ix);
        state.pass(5_000);
        state.update_service(ix, &change).unwrap();
        assert_eq!(state.service_updated(ix) > before, moves, "{name}");
    }
}

#[test]
fn each_way_to_die_stops_the_heartbeat() {
    type HostFailure = fn(&mut crate::model::State, crate::model::HostIx);
    let ways: [(&str, HostFailure); 3] = [
        ("power", |state, ix| state.world.power_off(ix)),
        ("link", |state, ix| state.world.set_link(ix, false)),
        ("nova-compute", |state, ix| state.world.end_agent(ix)),
    ];
    for (name, way) in ways {
        let mut state = region(1);
        let ix = state.h(1);
        state.pass(60_000);
        way(&mut state, ix);
        let last = state.service_updated(ix);
        state.pass(60_000);
        assert_eq!(state.service_updated(ix), last, "{name}");
        assert!(state.at().since(last) >= Duration::from_mins(1), "{name}");
    }
}

#[test]
fn host_status_of_a_server() {
    let mut state = region(1);
    let ix = state.h(1);
    assert_eq!(state.host_status(Some(ix)), "UP");
    state.kill(1);
    assert_eq!(state.host_status(Some(ix)), "UNKNOWN");
    state.world.hosts[ix].disabled = true;
    assert_eq!(state.host_status(Some(ix)), "MAINTENANCE");
    state.world.hosts[ix].forced_down = true;
    assert_eq!(state.host_status(Some(ix)), "DOWN");
    assert_eq!(state.host_status(None), "");
}

#[test]
fn aggregates_refuse_members_twice_and_zone_conflicts() {
    let mut state = region(3);
    state.put(2, VmState::Active);
    let (one, two) = (
        state.create_aggregate("one", Some("az1")).unwrap(),
        state.create_aggregate("two", Some("az2")).unwrap(),
    );
    let plain = state.create_aggregate("plain", None).unwrap();
    for (name, aggregate, host, expected) in [
        ("an empty host joins a zone", one, "compute-001", 200),
        ("a member again", one, "compute-001", 409),
        ("a second zone", two, "compute-001", 409),
        (
            "a host with servers would change its zone",
            one,
            "compute-002",
            409,
        ),
        ("without a zone anybody may join", plain, "compute-002", 200),
        ("an unknown host", one, "compute-999", 404),
        ("an unknown aggregate", 99, "compute-003", 404),
    ] {
        let outcome = state.add_aggregate_host(aggregate, host);
        assert_eq!(
            outcome.map_or_else(|refusal| refusal.status.as_u16(), |()| 200),
            expected,
            "{name}"
        );
    }
    assert_eq!(state.aggregates.zone_of(state.h(1)), "az1");
    assert_eq!(state.aggregates.zone_of(state.h(2)), "nova");
}
