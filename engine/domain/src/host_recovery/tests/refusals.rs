//! Refusals of Nova's API: transient, because of a task that never ends, or permanent.

use std::time::Duration;

use super::bed::{Harness, evacuation, fault, id, server, timeout};
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::{Preparation, Stage};
use crate::nova::{Migration, Server, VmState};
use crate::policy::Policy;
use crate::power::Power;
use crate::recovery::{Command, ServerCall};

fn conflict() -> Fault {
    fault(Some(409), FaultClass::Conflict, false)
}

fn patient(policy: &mut Policy) {
    policy.retry_for = Duration::from_mins(3);
}

fn busy(task: &str) -> Server {
    Server {
        task_state: Some(task.into()),
        ..server(1)
    }
}

fn resets(bed: &Harness) -> bool {
    bed.wants(|command| *command == Command::Prepare(id(1)))
}

/// The numbers of evacuations and resets of vm-1.
#[derive(Debug, Default, PartialEq)]
struct Calls {
    evacuations: u32,
    resets: u32,
}

/// Refuses every evacuation of vm-1 for `millis`, shows it as `seen`, and answers everything else.
fn refused_for(bed: &mut Harness, millis: u64, seen: &Server, records: &[Migration]) -> Calls {
    let until = bed.at + millis;
    let mut calls = Calls::default();
    let mut answer = |bed: &mut Harness| {
        for _ in 0..3 {
            if resets(bed) {
                calls.resets += 1;
                bed.answer(1, ServerCall::Prepare, Ok(()));
            } else if bed.evacuates(1) {
                calls.evacuations += 1;
                bed.answer(1, ServerCall::Evacuate, Err(conflict()));
            } else if bed.wants(|command| *command == Command::ReadServer(id(1))) {
                bed.reads(1, Some(seen.clone()));
            } else {
                return;
            }
        }
    };
    answer(bed);
    while bed.at < until && bed.state.stage == Stage::Moving {
        bed.tick(500);
        answer(bed);
        bed.service();
        answer(bed);
        bed.power(Power::Off);
        answer(bed);
        bed.lists(vec![seen.clone()], records.to_vec());
        answer(bed);
    }
    calls
}

/// Covers C7.
#[test]
fn a_temporarily_refused_evacuation_is_retried_until_its_limit() {
    let mut bed = Harness::with("UNKNOWN", patient).planned(vec![server(1)]);
    let calls = refused_for(&mut bed, 60_000, &server(1), &[]);
    assert!((5..10).contains(&calls.evacuations), "{calls:?}");
    assert!(
        bed.is_waiting(1),
        "after one minute no operator is needed: {:?}",
        bed.step(1)
    );

    refused_for(&mut bed, 180_000, &server(1), &[]);
    assert!(!bed.is_waiting(1), "after three minutes an operator is needed");
    let note = bed.one(1).note.clone().unwrap();
    assert!(note.contains("409") && note.contains("of 180 s"), "{note}");
}

/// Covers C7.
#[test]
fn a_task_that_the_dead_host_has_left_is_reset_and_journalled() {
    let mut bed = Harness::with("UNKNOWN", patient).planned(vec![busy("powering-off")]);
    assert!(bed.evacuates(1), "nothing is reset that Nova has not refused for");
    bed.answer(1, ServerCall::Evacuate, Err(conflict()));
    let looks: [fn(&mut Harness); 5] = [
        |bed| {
            bed.tick(500);
        },
        |bed| {
            bed.service();
        },
        |bed| {
            bed.power(Power::Off);
        },
        |bed| {
            bed.lists(vec![busy("powering-off")], vec![]);
        },
        |bed| {
            if bed.state.in_flight.move_track.servers.contains(&id(1)) {
                bed.reads(1, Some(busy("powering-off")));
            }
        },
    ];
    let reset = looks.iter().cycle().take(40).any(|look| {
        look(&mut bed);
        resets(&bed)
    });
    assert!(reset, "{:?}", bed.commands);
    assert!(bed.record.moves.contains(&id(1)), "with the intent");
    let told = bed
        .record
        .steps
        .iter()
        .any(|step| step.text.contains("powering-off"));
    assert!(told, "{:?}", bed.record.steps);

    // Its answer is lost, and so is the owner. The new owner checks first and does not repeat it while the
    // first call may take effect.
    bed.answer(1, ServerCall::Prepare, Err(timeout()));
    bed.take_over();
    bed.tick(1_000).reads(1, Some(busy("powering-off")));
    assert!(!resets(&bed));
    let in_error = Server {
        vm_state: VmState::Error,
        ..server(1)
    };
    let half_done = Server {
        task_state: Some("powering-off".into()),
        ..in_error.clone()
    };
    bed.tick(1_000).reads(1, Some(half_done));
    assert_ne!(bed.one(1).preparation, Preparation::Done, "the task is still set");
    bed.tick(1_000).reads(1, Some(in_error));
    assert_eq!(bed.one(1).preparation, Preparation::Done);
    assert_eq!(bed.one(1).was.vm_state, VmState::Active, "what it shall be again");
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
        let mut bed = Harness::with("UNKNOWN", patient).planned(vec![busy(task)]);
        let calls = refused_for(&mut bed, 300_000, &busy(task), &[]);
        assert_eq!(calls.resets, 0, "{task}");
        assert!(!bed.is_waiting(1), "{task}: an operator is needed");
        let note = bed.one(1).note.clone().unwrap();
        assert!(note.contains(&format!("the task {task}")), "{note}");
        assert!(note.contains("server set --state error"), "{note}");
    }
}

/// Covers C7.
#[test]
fn a_rebuilding_is_reset_only_when_no_evacuation_can_be_behind_it() {
    let mut bed = Harness::with("UNKNOWN", patient).planned(vec![busy("rebuilding")]);
    let early = refused_for(&mut bed, 95_000, &busy("rebuilding"), &[]);
    assert_eq!(early.resets, 0, "its record may be still to come");
    let late = refused_for(&mut bed, 60_000, &busy("rebuilding"), &[]);
    assert!(late.resets >= 1, "{late:?}");

    // An evacuation on record is followed, without a reset.
    let mut bed = Harness::with("UNKNOWN", patient).planned(vec![busy("rebuilding")]);
    let open = [evacuation(1, 1, "pre-migrating", Some("b"))];
    let calls = refused_for(&mut bed, 300_000, &busy("rebuilding"), &open);
    assert_eq!(calls.resets, 0);
}
