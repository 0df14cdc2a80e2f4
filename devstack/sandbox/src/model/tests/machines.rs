//! Power, racks, and their state in MAAS.

use crate::model::State;
use crate::model::maas::{PowerCommand, PowerQuery, QueryAnswer};
use crate::model::server::VmState;
use crate::model::testing::region;

fn answer_of(text: &str) -> QueryAnswer {
    QueryAnswer::State(text.into())
}

#[test]
fn power_off_ends_guests_at_once_and_power_on_starts_none() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    let ix = state.h(1);
    state.world.power_off(ix);
    assert_eq!(state.world.hosts.ledger.lost(&[id]), [id]);
    state.world.power_on(ix);
    state.pass(60_000);
    assert_eq!(state.world.hosts.ledger.lost(&[id]), [id]);
    assert_eq!(state.world.hosts.ledger.history(id).len(), 1);
}

#[test]
fn a_machine_without_power_runs_nothing_whatever_is_asked() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    let (ix, index) = (state.h(1), state.index(id));
    state.world.power_off(ix);
    state.world.hosts.set_guest(
        ix,
        index,
        id,
        crate::model::host::GuestPower::Running,
        state.world.now,
    );
    assert_eq!(state.world.hosts.ledger.runs_on(id), [""; 0]);
}

#[test]
fn how_maas_answers() {
    let reports_state = |state: &str| PowerQuery::Says { state: state.into() };
    let cases: [(&str, PowerQuery, bool, bool, [QueryAnswer; 2]); 8] = [
        (
            "the truth, on",
            PowerQuery::Truth,
            true,
            true,
            [answer_of("on"), answer_of("on")],
        ),
        (
            "the truth, off",
            PowerQuery::Truth,
            false,
            true,
            [answer_of("off"), answer_of("off")],
        ),
        (
            "a lie",
            reports_state("off"),
            true,
            true,
            [answer_of("off"), answer_of("off")],
        ),
        (
            "unknown",
            reports_state("unknown"),
            true,
            true,
            [answer_of("unknown"), answer_of("unknown")],
        ),
        (
            "a machine that boots reads as off once",
            PowerQuery::Script {
                states: vec!["off".into()],
            },
            true,
            true,
            [answer_of("off"), answer_of("on")],
        ),
        (
            "a rack controller that cannot",
            PowerQuery::Fails { status: 503 },
            true,
            true,
            [QueryAnswer::Status(503), QueryAnswer::Status(503)],
        ),
        (
            "silence",
            PowerQuery::Hangs,
            true,
            true,
            [QueryAnswer::Silence, QueryAnswer::Silence],
        ),
        (
            "a BMC without power",
            PowerQuery::Truth,
            false,
            false,
            [QueryAnswer::Status(503), QueryAnswer::Status(503)],
        ),
    ];
    for (name, query, power, bmc, expected) in cases {
        let mut state = region(1);
        let ix = state.h(1);
        state.world.hosts[ix].power = power;
        state.world.hosts[ix].machine.bmc_powered = bmc;
        state.world.hosts[ix].machine.query = query;
        let answers = [
            state.world.hosts[ix].query_power(),
            state.world.hosts[ix].query_power(),
        ];
        assert_eq!(answers, expected, "{name}");
    }
}

#[test]
fn what_maas_remembers_is_stale_until_it_asks() {
    let mut state = region(1);
    let ix = state.h(1);
    state.world.power_off(ix);
    assert_eq!(state.world.hosts[ix].machine.cached_power, "on");
    state.world.hosts[ix].query_power();
    assert_eq!(state.world.hosts[ix].machine.cached_power, "off");
}

#[test]
fn what_becomes_of_power_commands() {
    for (command, obeys) in [
        (PowerCommand::Works, true),
        (PowerCommand::ObeysThenBreaks, true),
        (PowerCommand::Ignored, false),
        (PowerCommand::Null, false),
        (PowerCommand::Fails { status: 403 }, false),
    ] {
        let mut state = region(1);
        let ix = state.h(1);
        state.world.hosts[ix].machine.command = command;
        assert_eq!(state.world.command_power(ix, false), command);
        assert!(
            state.world.hosts[ix].power,
            "{command:?}: nothing happens at once"
        );
        state.pass(400);
        assert_eq!(!state.world.hosts[ix].power, obeys, "{command:?}");
        if obeys {
            state.world.command_power(ix, true);
            state.pass(400);
            assert!(state.world.hosts[ix].power, "{command:?}");
        }
    }
}

#[test]
fn power_on_of_a_running_machine_is_a_power_cycle() {
    let mut state = region(1);
    let id = state.put(1, VmState::Active);
    let ix = state.h(1);
    state.world.command_power(ix, true);
    state.pass(5_000);
    assert!(state.world.hosts[ix].power && state.world.hosts[ix].agent.is_some());
    assert_eq!(state.world.hosts.ledger.lost(&[id]), [id], "its guests are gone");
}

#[test]
fn a_machine_of_power_type_manual_is_not_switched() {
    let mut state = region(1);
    let ix = state.h(1);
    state.world.hosts[ix].machine.power_type = "manual".into();
    assert_eq!(state.world.command_power(ix, false), PowerCommand::Null);
}

#[test]
fn a_rack_takes_its_bmcs_with_it() {
    let mut state: State = region(6);
    assert_eq!(state.world.lose_rack("rack-1"), 4);
    assert_eq!(state.world.lose_rack("rack-9"), 0);
    let (first, other) = (state.h(1), state.h(5));
    assert!(!state.world.hosts[first].power && state.world.hosts[other].power);
    assert_eq!(state.world.hosts[first].query_power(), QueryAnswer::Status(503));
    assert_eq!(
        state.world.command_power(first, true),
        PowerCommand::Fails { status: 503 }
    );
    state.world.restore_rack("rack-1");
    assert_eq!(state.world.hosts[first].query_power(), answer_of("off"));
}
