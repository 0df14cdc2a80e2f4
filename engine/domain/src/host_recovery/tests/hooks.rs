//! Operators' hooks: each phase, each result, and events while a hook runs.

use std::sync::Arc;

use super::harness::{HOST, Harness, evacuation, id, region, server};
use crate::entity::notification::NotificationStatus::{self, Failed, Finished, Ignored, Running};
use crate::hooks::{Defaults, Hook, HookCall, HookOutcome, HookVerdict, Phase};
use crate::host_recovery::{End, MoveStep, Stage};
use crate::nova::Server;
use crate::power::Power;
use crate::recovery::{Command, Life, Observation, OperatorCommand, ServerCall};

fn with(phase: Phase, entry: &str) -> Harness {
    let hook = Hook::parse(entry, Defaults::default()).unwrap();
    Harness::with("UNKNOWN", |policy| {
        let flow = &mut policy.flows.host_auto;
        match phase {
            Phase::Pre => flow.pre.push(hook),
            Phase::Main => flow.main.push(hook),
            Phase::Post => flow.post.push(hook),
        }
    })
}

fn call(harness: &Harness) -> Option<HookCall> {
    harness.commands.iter().find_map(|command| match command {
        Command::RunHook(call) => Some((**call).clone()),
        _ => None,
    })
}

fn says(harness: &mut Harness, call: &HookCall, verdict: HookVerdict) {
    harness.see(Observation::Hook {
        phase: call.phase,
        number: call.number,
        attempt: call.attempt,
        outcome: HookOutcome {
            verdict,
            text: "as it ended".into(),
        },
    });
}

/// True if a command changes the host or an instance.
fn touches(harness: &Harness) -> bool {
    harness.requests(|command| command.is_write() && !matches!(command, Command::RunHook(_)))
}

/// Answers all commands and those that follow, except hooks. Returns all of them.
fn serve(harness: &mut Harness, servers: &[Server]) -> Vec<Command> {
    let mut all = Vec::new();
    while let Some(command) = harness.commands.pop() {
        let mut more = std::mem::take(&mut harness.commands);
        match &command {
            Command::ScanHosts => {
                harness.see(Observation::Region(Arc::new(region(1, 10))));
            }
            Command::ReadService => {
                harness.service();
            }
            Command::ReadPower(_) => {
                harness.power(Power::Off);
            }
            Command::TakeInventory { .. } => {
                harness.inventory(servers.to_vec(), Vec::new());
            }
            Command::ReadEvacuations { .. } => {
                harness.records(Vec::new());
            }
            Command::ReadLists { .. } => {
                harness.lists(servers.to_vec(), Vec::new());
            }
            Command::Lock { .. } | Command::Unlock(_) => {
                let (_, call) = command.server_call().unwrap();
                harness.answer(1, call, Ok(()));
            }
            Command::ReadServer(_) => {
                harness.reads(1, Some(server(1)));
            }
            _ => {}
        }
        harness.commands.append(&mut more);
        all.push(command);
    }
    all
}

/// Returns a recovery with a host off and forced down, one instance, and a running hook before the moves.
fn before_moves(entry: &str) -> (Harness, HookCall) {
    let mut harness = with(Phase::Main, entry).proven();
    harness.forced_down().inventory(vec![server(1)], Vec::new());
    let call = call(&harness).unwrap();
    (harness, call)
}

/// Returns a recovery whose instances are moved and whose hook after the moves runs.
fn after_moves(entry: &str) -> (Harness, HookCall) {
    let mut harness = with(Phase::Post, entry).requested();
    harness.lists(Vec::new(), vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(Vec::new());
    let call = call(&harness).unwrap();
    (harness, call)
}

#[test]
fn the_fence_waits_for_its_hook() {
    let mut harness = with(Phase::Pre, "exec:/x").begun();
    let call = call(&harness).unwrap();
    assert_eq!((call.phase, call.number, call.attempt), (Phase::Pre, 0, 1));
    assert_eq!(
        (&call.instances, &call.proof),
        (&None, &None),
        "nothing is known yet"
    );
    for _ in 0..20 {
        harness.tick(1_000);
        assert!(harness.commands.is_empty(), "{:?}", harness.commands);
    }
    assert_eq!(harness.message.as_deref(), Some("waiting for hook exec:/x"));
    says(&mut harness, &call, HookVerdict::GoOn);
    assert_eq!(harness.state.stage, Stage::Begin);
    assert_eq!(
        harness.commands,
        [Command::ScanHosts],
        "other hosts may have failed meanwhile"
    );
    harness.storm(1, 10);
    assert_eq!(harness.state.stage, Stage::Fencing);
    assert_eq!(harness.message, None);
}

#[test]
fn a_storm_that_starts_while_a_hook_runs_holds_the_recovery() {
    let mut harness = with(Phase::Pre, "exec:/x").begun();
    let call = call(&harness).unwrap();
    says(&mut harness, &call, HookVerdict::GoOn);
    harness.storm(5, 10);
    assert!(harness.state.hold.is_some() && !touches(&harness));
    harness.command(OperatorCommand::Approve).tick(0);
    assert_eq!(
        harness.state.stage,
        Stage::Fencing,
        "and the hook is not run again"
    );
}

#[test]
fn before_the_fence_a_hook_can_end_the_recovery() {
    let cases: [(&str, &str, HookVerdict, NotificationStatus, &str); 3] = [
        (
            "nothing to be done",
            "exec:/x",
            HookVerdict::Skip,
            Finished,
            "skipped: hook exec:/x: as it ended",
        ),
        (
            "it failed",
            "exec:/x",
            HookVerdict::Failed,
            Failed,
            "nothing was done: hook exec:/x: as it ended",
        ),
        (
            "it failed for the last time",
            "https://h/x?key=geheim",
            HookVerdict::Failed,
            Failed,
            "nothing was done: hook https://h/x: as it ended",
        ),
    ];
    for (case, entry, verdict, status, message) in cases {
        let mut harness = with(Phase::Pre, entry).begun();
        let call = call(&harness).unwrap();
        says(&mut harness, &call, verdict);
        assert_eq!(
            (harness.status, harness.message.as_deref()),
            (status, Some(message)),
            "{case}"
        );
        assert_eq!(harness.record.life, Some(Life::Closed), "{case}");
        assert!(harness.commands.is_empty(), "{case}: {:?}", harness.commands);
    }
}

#[test]
fn a_tolerated_hook_failure_is_in_the_last_message() {
    let mut harness = with(Phase::Pre, "exec:/x #on_failure=continue").begun();
    let call = call(&harness).unwrap();
    says(&mut harness, &call, HookVerdict::Failed);
    harness.storm(1, 10);
    harness.heartbeat_age(20_000).service();
    harness.power(Power::Off).tick(3_000).power(Power::Off);
    harness.forced_down().inventory(Vec::new(), Vec::new());
    let expected = "no instance had to move; hook exec:/x: as it ended";
    assert_eq!(
        (harness.status, harness.message.as_deref()),
        (Finished, Some(expected))
    );
}

/// Covers EW7.
#[test]
fn a_segment_disabled_while_a_hook_runs_ends_the_recovery() {
    let mut harness = with(Phase::Pre, "exec:/x").begun();
    let call = call(&harness).unwrap();
    harness.operator_state(false, false);
    assert_eq!(harness.status, Ignored);
    says(&mut harness, &call, HookVerdict::GoOn);
    assert!(harness.commands.is_empty() && harness.record.is_empty());
}

/// Covers R12.
#[test]
fn instances_that_wait_for_a_hook_are_locked_at_once() {
    let mut harness = with(Phase::Main, "exec:/x").proven();
    harness
        .forced_down()
        .inventory((1..=40).map(server).collect(), Vec::new());
    let locks = harness
        .commands
        .iter()
        .filter(|command| matches!(command, Command::Lock { .. }));
    assert_eq!(locks.count(), 40);
}

#[test]
fn before_the_moves_instances_are_locked_and_watched_while_a_hook_runs_and_nothing_is_evacuated() {
    let (mut harness, call) = before_moves("exec:/x #timeout=600");
    let listed = call.instances.as_ref().unwrap();
    assert_eq!((listed.len(), listed[0].status), (1, "pending"));
    assert!(call.proof.as_ref().unwrap().starts_with(HOST), "{call:?}");
    assert!(
        harness.requests(|command| matches!(command, Command::Lock { .. })),
        "R12"
    );
    harness.answer(1, ServerCall::Lock, Ok(()));
    let (mut powers, mut services) = (0, 0);
    for _ in 0..300 {
        harness.tick(1_000);
        assert!(!harness.evacuates_any());
        for command in serve(&mut harness, &[server(1)]) {
            powers += u32::from(matches!(command, Command::ReadPower(_)));
            services += u32::from(command == Command::ReadService);
        }
    }
    assert!(powers > 5 && services > 20, "{powers} {services}");
    says(&mut harness, &call, HookVerdict::GoOn);
    assert!(harness.evacuates(1), "at once: {:?}", harness.commands);
}

/// Covers R17.
#[test]
fn a_host_seen_alive_while_a_hook_runs_is_not_evacuated() {
    let (mut harness, call) = before_moves("exec:/x");
    harness.answer(1, ServerCall::Lock, Ok(()));
    harness.power(Power::On);
    assert!(harness.state.hold.is_some());
    says(&mut harness, &call, HookVerdict::GoOn);
    for _ in 0..50 {
        harness.tick(1_000);
        assert!(!harness.evacuates_any());
    }
}

/// Covers EW7.
#[test]
fn no_hook_before_the_moves_starts_while_the_segment_is_disabled() {
    let mut harness = with(Phase::Main, "exec:/x").proven();
    harness
        .forced_down()
        .operator_state(false, false)
        .inventory(vec![server(1)], Vec::new());
    for _ in 0..10 {
        harness.tick(1_000);
        assert!(
            call(&harness).is_none() && !touches(&harness),
            "{:?}",
            harness.commands
        );
    }
    harness.operator_state(true, false);
    assert!(call(&harness).is_some());
}

#[test]
fn a_hook_before_the_moves_can_exclude_the_instances() {
    let cases = [
        (
            "nothing to be moved",
            HookVerdict::Skip,
            End::Left,
            Finished,
            "1 instance left where it was; hook exec:/x: as it ended",
            "skipped: hook exec:/x: as it ended",
        ),
        (
            "it failed",
            HookVerdict::Failed,
            End::Person,
            Failed,
            "1 instance needs an operator: vm-1 (00000000-0000-0000-0000-000000000001); hook exec:/x: as it ended",
            "not moved: hook exec:/x: as it ended",
        ),
    ];
    for (case, verdict, end, status, message, note) in cases {
        let (mut harness, call) = before_moves("exec:/x");
        harness.answer(1, ServerCall::Lock, Ok(()));
        says(&mut harness, &call, verdict);
        harness.over(vec![server(1)]);
        assert_eq!(*harness.step(1), MoveStep::Done(end), "{case}");
        assert_eq!(harness.one(1).note.as_deref(), Some(note), "{case}");
        assert_eq!(
            (harness.status, harness.message.as_deref()),
            (status, Some(message)),
            "{case}"
        );
        assert_eq!(
            harness.state.stage,
            Stage::Returning,
            "{case}: its return is watched"
        );
    }
}

#[test]
fn an_instance_that_appears_after_such_a_hook_is_excluded_too() {
    let (mut harness, call) = before_moves("exec:/x");
    harness.answer(1, ServerCall::Lock, Ok(()));
    says(&mut harness, &call, HookVerdict::Skip);
    harness.over(vec![server(1), server(2)]);
    harness.over(vec![server(1), server(2)]);
    assert_eq!(*harness.step(2), MoveStep::Done(End::Left));
    assert_eq!(harness.status, Finished);
}

#[test]
fn hooks_run_for_a_host_without_instances() {
    let mut harness = with(Phase::Main, "exec:/x").proven();
    harness.forced_down().inventory(Vec::new(), Vec::new());
    let call = call(&harness).unwrap();
    assert_eq!(call.instances.as_deref(), Some(&[][..]));
    harness.tick(10_000);
    assert_eq!(harness.status, Running);
    says(&mut harness, &call, HookVerdict::Failed);
    assert_eq!(harness.status, Failed, "{:?}", harness.message);
}

#[test]
fn without_the_evacuation_step_hosts_are_fenced_and_instances_left() {
    let mut harness = Harness::with("UNKNOWN", |policy| policy.flows.host_auto.acts = false).proven();
    harness.forced_down().inventory(vec![server(1)], Vec::new());
    harness.over(vec![server(1)]);
    let note = "the workflow leaves out evacuate_instances_task";
    assert_eq!(
        (harness.one(1).note.as_deref(), harness.status),
        (Some(note), Finished)
    );
    assert_eq!(harness.writes[&super::harness::id(1)], 1);
}

#[test]
fn a_hook_that_fails_after_the_moves_undoes_nothing() {
    let moved = "1 instance moved";
    let cases = [
        ("well", "exec:/x", HookVerdict::GoOn, Finished, ""),
        ("nothing left to skip", "exec:/x", HookVerdict::Skip, Finished, ""),
        (
            "badly",
            "exec:/x",
            HookVerdict::Failed,
            Failed,
            "; hook exec:/x: as it ended",
        ),
        (
            "badly, and never mind",
            "exec:/x #on_failure=continue",
            HookVerdict::Failed,
            Finished,
            "; hook exec:/x: as it ended",
        ),
    ];
    for (case, entry, verdict, status, more) in cases {
        let (mut harness, call) = after_moves(entry);
        assert_eq!(call.instances.as_ref().unwrap()[0].status, "succeeded", "{case}");
        assert_eq!(harness.status, Running, "{case}");
        harness.tick(1_000);
        assert_eq!(harness.status, Running, "{case}");
        says(&mut harness, &call, verdict);
        let message = format!("{moved}{more}");
        assert_eq!(
            (harness.status, harness.message.as_deref()),
            (status, Some(message.as_str())),
            "{case}"
        );
        assert_eq!(harness.state.stage, Stage::Returning, "{case}");
        assert!(!touches(&harness), "{case}: {:?}", harness.commands);
    }
}

#[test]
fn a_segment_disabled_at_the_end_does_not_keep_the_last_hook_from_running() {
    let mut harness = with(Phase::Post, "exec:/x").requested();
    harness.operator_state(false, false);
    harness.lists(Vec::new(), vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(Vec::new());
    assert!(call(&harness).is_some());
}

/// The owner dies while a hook runs.
#[test]
fn a_take_over_runs_no_hook_twice_and_waits_for_the_lost_run() {
    type Reach = fn(&str) -> (Harness, HookCall);
    let phases: [(&str, Reach); 3] = [
        ("before the fence", |entry| {
            let harness = with(Phase::Pre, entry).begun();
            let call = call(&harness).unwrap();
            (harness, call)
        }),
        ("before the moves", before_moves),
        ("after the moves", after_moves),
    ];
    for (phase, reach) in phases {
        for (entry, again) in [("exec:/x", false), ("exec:/x #idempotent=true", true)] {
            let (mut harness, first) = reach(entry);
            harness.take_over();
            let mut runs = 0;
            let began = harness.at;
            while harness.status == Running && runs == 0 && harness.at < began + 200_000 {
                let servers = if first.phase == Phase::Main {
                    &[server(1)][..]
                } else {
                    &[]
                };
                for command in serve(&mut harness, servers) {
                    match command {
                        Command::RunHook(call) => {
                            runs += 1;
                            assert_eq!(call.attempt, 2, "{phase} {entry}");
                            let waited = harness.at >= began + 37_000;
                            assert!(waited, "{phase} {entry}: the lost run may still go on");
                        }
                        Command::Evacuate(_) | Command::PowerOff { .. } => panic!("{phase} {entry}"),
                        _ => {}
                    }
                }
                harness.tick(500);
            }
            assert_eq!(runs, u32::from(again), "{phase} {entry}");
            assert_eq!(
                harness.status == Failed,
                !again,
                "{phase} {entry}: {:?}",
                harness.message
            );
        }
    }
}

#[test]
fn a_rejected_recovery_starts_no_hook() {
    let mut harness = with(Phase::Post, "exec:/x").requested();
    harness.command(OperatorCommand::Reject);
    harness.lists(Vec::new(), vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(Vec::new());
    assert!(call(&harness).is_none());
    assert_eq!(harness.status, Failed);
}

#[test]
fn an_unstarted_hook_is_started_again() {
    let (mut harness, first) = before_moves("exec:/x");
    harness.see(Observation::NotSent(Command::RunHook(Box::new(first))));
    assert!(call(&harness).is_none());
    harness.tick(1_000);
    assert_eq!(call(&harness).unwrap().attempt, 1);
}

#[test]
fn a_state_written_before_there_were_hooks_is_read() {
    let harness = Harness::engine().begun();
    let mut head: serde_json::Value = serde_json::from_str(&harness.state.head().unwrap()).unwrap();
    assert!(
        head["policy"].get("flows").is_none(),
        "nothing is stored of nothing"
    );
    head.as_object_mut().unwrap().remove("hooks").unwrap();
    let read = crate::host_recovery::HostRecovery::restore(&head.to_string(), &[]).unwrap();
    assert_eq!(read.hooks, crate::recovery::HookTrack::default());
}

/// Covers R33.
#[test]
fn a_hook_before_the_fence_ends_nothing_that_lost_requests_have_touched() {
    for verdict in [HookVerdict::Failed, HookVerdict::Skip] {
        let mut harness = with(Phase::Pre, "exec:/bin/hook");
        harness.claim().storm(1, 10);
        let first = call(&harness).expect("it runs before the fence");
        harness.see(Observation::Rewound).service();
        let locked = Server {
            locked: true,
            locked_reason: Some(format!("{} found active, power on", harness.mark())),
            ..server(1)
        };
        harness.inventory(vec![locked], vec![]);
        assert!(harness.state.moves.contains_key(&id(1)));
        says(&mut harness, &first, verdict);
        assert!(
            matches!(harness.step(1), MoveStep::Unlocking { .. }),
            "{:?}: {:?}",
            harness.step(1),
            harness.message
        );
        harness.answer(1, ServerCall::Unlock, Ok(()));
        assert_eq!(
            harness.status,
            NotificationStatus::Failed,
            "{:?}",
            harness.message
        );
        let message = harness.message.clone().unwrap_or_default();
        assert!(message.contains("as it ended"), "{message}");
    }
}
