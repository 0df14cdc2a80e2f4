//! Properties for every sequence of observations: no panic, no unsafe request, no lost state.

use proptest::collection::vec;
use proptest::prelude::*;

use super::harness::{HOST, Harness, bus, evacuation, fault, id, server};
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{HoldKind, HostRecovery, Stage};
use crate::nova::{Migration, MigrationType, PowerState, Server, VmState};
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::{Command, Observation, OperatorCommand, ServerCall};

#[derive(Clone, Debug)]
pub(super) enum Act {
    Tick(u64),
    Claim,
    TakeOver,
    OperatorState(bool, bool),
    Say(bool),
    Storm(usize),
    Service { age: u64, up: bool, forced: bool },
    ServiceFails(Fault),
    ServiceGone,
    Power { back: u64, power: u8 },
    PowerFails(Fault),
    PoweredOff(Option<Fault>),
    Updated(Option<Fault>),
    Inventory(Vec<(u128, u8)>, Vec<(u64, u128, u8)>),
    InventoryFails(Fault),
    Lists(Vec<(u128, u8)>, Vec<(u64, u128, u8)>, bool),
    ListsFail(Fault),
    Conductors(bool),
    Server(u128, Option<u8>),
    Answer(u128, u8, Option<Fault>),
    NotSent(usize),
    TakenMoves(u128),
    UnderRecovery,
}

fn faults() -> impl Strategy<Value = Fault> {
    let class = prop_oneof![
        Just(FaultClass::Transient),
        Just(FaultClass::Permanent),
        Just(FaultClass::Conflict),
        Just(FaultClass::Fatal),
    ];
    let status = prop_oneof![Just(None), Just(Some(400)), Just(Some(404)), Just(Some(503))];
    (status, class, any::<bool>()).prop_map(|(status, class, maybe)| fault(status, class, maybe))
}

pub(super) fn acts() -> impl Strategy<Value = Act> {
    let servers = || vec((1_u128..4, 0_u8..12), 0..4);
    let records = || vec((1_u64..9, 1_u128..4, 0_u8..12), 0..5);
    prop_oneof![
        4 => (0_u64..120_000).prop_map(Act::Tick),
        2 => Just(Act::Claim),
        2 => Just(Act::TakeOver),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(one, two)| Act::OperatorState(one, two)),
        1 => any::<bool>().prop_map(Act::Say),
        2 => (1_usize..6).prop_map(Act::Storm),
        4 => (0_u64..90_000, any::<bool>(), any::<bool>())
            .prop_map(|(age, up, forced)| Act::Service { age, up, forced }),
        1 => faults().prop_map(Act::ServiceFails),
        1 => Just(Act::ServiceGone),
        6 => (0_u64..4_000, 0_u8..8).prop_map(|(back, power)| Act::Power { back, power }),
        1 => faults().prop_map(Act::PowerFails),
        1 => proptest::option::of(faults()).prop_map(Act::PoweredOff),
        3 => proptest::option::of(faults()).prop_map(Act::Updated),
        4 => (servers(), records()).prop_map(|(servers, records)| Act::Inventory(servers, records)),
        1 => faults().prop_map(Act::InventoryFails),
        5 => (servers(), records(), any::<bool>()).prop_map(|(one, two, off)| Act::Lists(one, two, off)),
        1 => faults().prop_map(Act::ListsFail),
        1 => any::<bool>().prop_map(Act::Conductors),
        2 => (1_u128..4, proptest::option::of(0_u8..12)).prop_map(|(one, kind)| Act::Server(one, kind)),
        6 => (1_u128..4, 0_u8..5, proptest::option::weighted(0.3, faults()))
            .prop_map(|(one, call, fault)| Act::Answer(one, call, fault)),
        1 => (0_usize..6).prop_map(Act::NotSent),
        1 => (1_u128..4).prop_map(Act::TakenMoves),
        1 => Just(Act::UnderRecovery),
    ]
}

fn some_server(number: u128, kind: u8) -> Server {
    let mut instance = server(number);
    match kind {
        0 => instance.vm_state = VmState::Paused,
        1 => instance.vm_state = VmState::Stopped,
        2 => instance.vm_state = VmState::Error,
        3 => instance.power_state = PowerState::Shutdown,
        4 => instance.task_state = Some("rebuilding".into()),
        5 => instance.host = Some("b".into()),
        6 => instance.launched = false,
        7 => instance.locked = true,
        _ => {}
    }
    instance
}

fn some_record(record: u64, number: u128, kind: u8) -> Migration {
    let (status, dest) = match kind {
        0 | 1 => ("accepted", None),
        2 | 3 => ("pre-migrating", Some("b")),
        4 => ("done", Some("b")),
        5 => ("completed", Some("b")),
        6 => ("failed", Some("b")),
        7 => ("error", None),
        8 => ("running", Some("c")),
        _ => ("done", None),
    };
    let mut migration = evacuation(record, number, status, dest);
    if kind == 8 {
        migration.kind = MigrationType::LiveMigration;
    }
    migration
}

pub(super) fn apply(harness: &mut Harness, act: Act) {
    let servers = |list: Vec<(u128, u8)>| -> Vec<Server> {
        list.into_iter()
            .map(|(number, kind)| some_server(number, kind))
            .collect()
    };
    let records = |list: Vec<(u64, u128, u8)>| -> Vec<Migration> {
        list.into_iter()
            .map(|(record, number, kind)| some_record(record, number, kind))
            .collect()
    };
    match act {
        Act::Tick(millis) => harness.tick(millis),
        Act::Claim => harness.claim(),
        Act::TakeOver => harness.take_over(),
        Act::OperatorState(enabled, maintenance) => harness.operator_state(enabled, maintenance),
        Act::Say(approve) => harness.command(if approve {
            OperatorCommand::Approve
        } else {
            OperatorCommand::Reject
        }),
        Act::Storm(out) => harness.storm(out, 10),
        Act::Service { age, up, forced } => {
            harness.service.up = up;
            harness.service.forced_down = forced;
            harness.heartbeat_age(age).service()
        }
        Act::ServiceFails(fault) => harness.see(Observation::Service(Err(fault))),
        Act::ServiceGone => harness.see(Observation::Service(Ok(None))),
        Act::Power { back, power } => {
            let power = match power {
                0 => Power::On,
                1 => Power::Unknown,
                _ => Power::Off,
            };
            harness.power_at(harness.at.saturating_sub(back), power)
        }
        Act::PowerFails(fault) => harness.power_fails(fault),
        Act::PoweredOff(fault) => harness.powered_off(fault.map_or(Ok(()), Err)),
        Act::Updated(fault) => {
            let service = harness.service.clone();
            harness.see(Observation::ServiceUpdated(fault.map_or(Ok(service), Err)))
        }
        Act::Inventory(one, two) => harness.inventory(servers(one), records(two)),
        Act::InventoryFails(fault) => harness.see(Observation::Inventory(Err(fault))),
        Act::Lists(one, two, off) => {
            harness.lists_with(servers(one), records(two), if off { &["b"] } else { &[] })
        }
        Act::ListsFail(fault) => harness.see(Observation::Lists(Err(fault))),
        Act::Conductors(up) => harness.see(Observation::Conductors(Ok(bus(up)))),
        Act::Server(number, shown) => harness.reads(number, shown.map(|kind| some_server(number, kind))),
        Act::Answer(number, call, fault) => {
            let call = match call {
                0 => ServerCall::Lock,
                1 => ServerCall::Unlock,
                2 => ServerCall::Prepare,
                3 => ServerCall::Restore,
                _ => ServerCall::Evacuate,
            };
            harness.answer(number, call, fault.map_or(Ok(()), Err))
        }
        Act::NotSent(which) => match harness.commands.get(which).cloned() {
            Some(command) => harness.see(Observation::NotSent(command)),
            None => harness.tick(0),
        },
        Act::TakenMoves(number) => harness.see(Observation::MovesTaken(vec![id(number)])),
        Act::UnderRecovery => harness.see(Observation::HostUnderRecovery),
    };
}

/// Asserts the invariants after a decision.
pub(super) fn check(harness: &Harness, before: &HostRecovery) {
    let state = &harness.state;
    let now = crate::Elapsed::from_millis(harness.at);
    let forbidden = state.hold.is_some() || state.rejected.is_some();
    for command in &harness.commands {
        match command {
            Command::Evacuate(it) => {
                let proof = state.proof.as_ref().expect("no evacuation without a proof");
                assert!(proof.is_fresh(now, state.policy.proof_age));
                assert!(!forbidden, "while held or rejected");
                assert!(state.moves[&it.server()].is_in_flight());
                assert!(harness.record.moves.contains(&it.server()), "not journalled");
                let was = before.moves.get(&it.server());
                assert!(
                    was.is_none_or(|instance| !instance.is_in_flight())
                        || harness.record.moves.contains(&it.server())
                );
            }
            Command::PowerOff { .. } => {
                assert_eq!(state.policy.fencing, FencingMode::Engine);
                let trying = state
                    .hold
                    .as_ref()
                    .is_none_or(|hold| hold.kind == HoldKind::Fence);
                assert!(harness.record.head && trying && state.rejected.is_none() && state.proof.is_none());
            }
            Command::UpdateService { .. } => assert!(!harness.record.is_empty(), "not journalled"),
            Command::Prepare(server) | Command::Restore { server, .. } => {
                assert!(harness.record.moves.contains(server), "not journalled");
            }
            _ => {}
        }
    }
    let evacuations = harness
        .commands
        .iter()
        .filter(|command| matches!(command, Command::Evacuate(_)))
        .count();
    let servers: std::collections::BTreeSet<_> = harness
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Evacuate(it) => Some(it.server()),
            _ => None,
        })
        .collect();
    assert_eq!(evacuations, servers.len(), "one call per instance");
    if let Some((status, _)) = &harness.record.notification
        && !status.is_open()
    {
        assert!(
            state.moves.values().all(super::super::Move::is_finished),
            "terminal with open moves"
        );
        assert!(matches!(state.stage, Stage::Returning | Stage::Done));
        // Later corrections change nothing else.
        assert!(harness.record.life.is_some() || before.arrivals.settled);
    }
    if before.stage == Stage::Done {
        assert!(harness.commands.is_empty() && harness.record.is_empty());
    }
    assert!(!state.is_proven_off() || state.proof.is_some());
}

fn run(mode: FencingMode, opening: usize, script: Vec<Act>) {
    let mut harness = Harness::with("NORMAL", |policy| policy.fencing = mode);
    harness = match (mode, opening) {
        (_, 0) => {
            harness.claim();
            harness
        }
        (FencingMode::External, _) | (_, 1) => harness.begun(),
        (_, 2) => harness.proven(),
        _ => harness.planned(vec![server(1), some_server(2, 0), some_server(3, 1)]),
    };
    let journalled = harness.state.head().is_ok();
    assert!(journalled);
    for act in script {
        if matches!(act, Act::TakeOver) && opening == 0 {
            continue;
        }
        let before = harness.state.clone();
        apply(&mut harness, act);
        check(&harness, &before);
        round_trip(&harness.state);
    }
    assert_eq!(harness.service.host, HOST);
}

/// Asserts that the stored state is read back without loss.
fn round_trip(state: &HostRecovery) {
    let head = state.head().unwrap();
    let rows: Vec<String> = state
        .moves
        .values()
        .map(|instance| instance.to_json().unwrap())
        .collect();
    let back = HostRecovery::restore(&head, &rows).unwrap();
    assert_eq!(back.head().unwrap(), head);
    assert_eq!(back.moves, state.moves);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_unsafe_is_requested_with_a_device(opening in 0_usize..5, script in vec(acts(), 1..60)) {
        run(FencingMode::Engine, opening, script);
    }

    #[test]
    fn nothing_unsafe_is_requested_with_a_claim(opening in 0_usize..2, script in vec(acts(), 1..60)) {
        run(FencingMode::External, opening, script);
    }
}
