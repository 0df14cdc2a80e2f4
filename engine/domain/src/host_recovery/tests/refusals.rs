//! Refusals of Nova's API: transient, because of a task that never ends, or permanent.

use std::time::Duration;

use super::harness::{Harness, evacuation, fault, id, server, timeout};
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{Preparation, Stage};
use crate::nova::{Migration, Server, VmState};
use crate::policy::Policy;
use crate::power::Power;
use crate::recovery::{Command, ServerCall};

fn conflict() -> Fault {
    fault(Some(409), FaultClass::Conflict, false)
}

fn three_minutes(policy: &mut Policy) {
    policy.retry_for = Duration::from_mins(3);
}

fn busy(task: &str) -> Server {
    Server {
        task_state: Some(task.into()),
        ..server(1)
    }
}

fn resets(harness: &Harness) -> bool {
    harness.requests(|command| *command == Command::Prepare(id(1)))
}

/// The numbers of evacuations and resets of vm-1.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    evacuations: u32,
    resets: u32,
}

/// Refuses every evacuation of vm-1 for `millis`, shows it as `server`, and answers everything else.
fn refused_for(harness: &mut Harness, millis: u64, server: &Server, records: &[Migration]) -> Calls {
    let until = harness.at + millis;
    let mut calls = Calls::default();
    let mut answer = |harness: &mut Harness| {
        for _ in 0..3 {
            if resets(harness) {
                calls.resets += 1;
                harness.answer(1, ServerCall::Prepare, Ok(()));
            } else if harness.evacuates(1) {
                calls.evacuations += 1;
                harness.answer(1, ServerCall::Evacuate, Err(conflict()));
            } else if harness.requests(|command| *command == Command::ReadServer(id(1))) {
                harness.reads(1, Some(server.clone()));
            } else {
                return;
            }
        }
    };
    answer(harness);
    while harness.at < until && harness.state.stage == Stage::Moving {
        harness.tick(500);
        answer(harness);
        harness.service();
        answer(harness);
        harness.power(Power::Off);
        answer(harness);
        harness.lists(vec![server.clone()], records.to_vec());
        answer(harness);
    }
    calls
}

/// Covers C7.
#[test]
fn a_temporarily_refused_evacuation_is_retried_until_its_limit() {
    let mut harness = Harness::with("UNKNOWN", three_minutes).planned(vec![server(1)]);
    let calls = refused_for(&mut harness, 60_000, &server(1), &[]);
    assert!((5..10).contains(&calls.evacuations), "{calls:?}");
    assert!(
        harness.is_waiting(1),
        "after one minute no operator is needed: {:?}",
        harness.step(1)
    );

    refused_for(&mut harness, 180_000, &server(1), &[]);
    assert!(
        !harness.is_waiting(1),
        "after three minutes an operator is needed"
    );
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("409") && note.contains("of 180 s"), "{note}");
}

/// Covers C7.
#[test]
fn a_task_that_the_dead_host_has_left_is_reset_and_journalled() {
    let mut harness = Harness::with("UNKNOWN", three_minutes).planned(vec![busy("powering-off")]);
    assert!(
        harness.evacuates(1),
        "nothing is reset that Nova has not refused for"
    );
    harness.answer(1, ServerCall::Evacuate, Err(conflict()));
    let events: [fn(&mut Harness); 5] = [
        |harness| {
            harness.tick(500);
        },
        |harness| {
            harness.service();
        },
        |harness| {
            harness.power(Power::Off);
        },
        |harness| {
            harness.lists(vec![busy("powering-off")], vec![]);
        },
        |harness| {
            if harness.state.in_flight.move_track.servers.contains(&id(1)) {
                harness.reads(1, Some(busy("powering-off")));
            }
        },
    ];
    let reset = events.iter().cycle().take(40).any(|event| {
        event(&mut harness);
        resets(&harness)
    });
    assert!(reset, "{:?}", harness.commands);
    assert!(harness.record.moves.contains(&id(1)), "with the intent");
    let recorded = harness
        .record
        .steps
        .iter()
        .any(|step| step.text.contains("powering-off"));
    assert!(recorded, "{:?}", harness.record.steps);

    // Its answer is lost, and so is the owner. The new owner checks first and does not repeat it while the
    // first call may take effect.
    harness.answer(1, ServerCall::Prepare, Err(timeout()));
    harness.take_over();
    harness.tick(1_000).reads(1, Some(busy("powering-off")));
    assert!(!resets(&harness));
    let in_error = Server {
        vm_state: VmState::Error,
        ..server(1)
    };
    let half_done = Server {
        task_state: Some("powering-off".into()),
        ..in_error.clone()
    };
    harness.tick(1_000).reads(1, Some(half_done));
    assert_ne!(
        harness.one(1).preparation,
        Preparation::Done,
        "the task is still set"
    );
    harness.tick(1_000).reads(1, Some(in_error));
    assert_eq!(harness.one(1).preparation, Preparation::Done);
    assert_eq!(
        harness.one(1).was.vm_state,
        VmState::Active,
        "what it shall be again"
    );
}

/// Covers C7.
#[test]
fn a_task_that_another_host_or_its_owner_may_end_is_never_reset_and_is_named() {
    for task in [
        "migrating",
        "resize_migrating",
        "soft-deleting",
        "one-that-is-not-known",
    ] {
        let mut harness = Harness::with("UNKNOWN", three_minutes).planned(vec![busy(task)]);
        let calls = refused_for(&mut harness, 300_000, &busy(task), &[]);
        assert_eq!(calls.resets, 0, "{task}");
        assert!(!harness.is_waiting(1), "{task}: an operator is needed");
        let note = harness.one(1).note.clone().unwrap();
        assert!(note.contains(&format!("the task {task}")), "{note}");
        assert!(note.contains("server set --state error"), "{note}");
    }
}

/// Covers C7.
#[test]
fn a_rebuilding_is_reset_only_when_no_evacuation_can_be_behind_it() {
    let mut harness = Harness::with("UNKNOWN", three_minutes).planned(vec![busy("rebuilding")]);
    let early = refused_for(&mut harness, 95_000, &busy("rebuilding"), &[]);
    assert_eq!(early.resets, 0, "its record may be still to come");
    let late = refused_for(&mut harness, 60_000, &busy("rebuilding"), &[]);
    assert!(late.resets >= 1, "{late:?}");

    // An evacuation on record is followed, without a reset.
    let mut harness = Harness::with("UNKNOWN", three_minutes).planned(vec![busy("rebuilding")]);
    let open = [evacuation(1, 1, "pre-migrating", Some("b"))];
    let calls = refused_for(&mut harness, 300_000, &busy("rebuilding"), &open);
    assert_eq!(calls.resets, 0);
}
