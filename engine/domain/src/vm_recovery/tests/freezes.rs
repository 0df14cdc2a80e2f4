//! Freezes (ADR 0051).

use super::*;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};
use crate::wait::WaitsFor;

fn freeze() -> Freeze {
    Freeze {
        number: 1,
        scope: FreezeScope::Host,
        name: HOST.into(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    }
}

fn freeze_state(frozen: FreezeStatus) -> Observation {
    Observation::OperatorState(OperatorState {
        frozen,
        ..OperatorState::DEFAULT
    })
}

/// Returns freezes of the recovery's host, of the instance, and of the host that Nova shows.
pub(super) fn freezes() -> [FreezeStatus; 3] {
    [
        FreezeStatus {
            over: vec![freeze()],
            ..FreezeStatus::NONE
        },
        FreezeStatus {
            instances: [(server_id(), freeze())].into(),
            ..FreezeStatus::NONE
        },
        FreezeStatus {
            hosts: [(HOST.to_owned(), freeze())].into(),
            ..FreezeStatus::NONE
        },
    ]
}

#[test]
fn a_frozen_instance_waits_and_is_restarted_afterwards_if_it_does_not_run() {
    for frozen in freezes() {
        for thawed in [0, 1] {
            let mut run = Run::begun();
            run.at(10, freeze_state(frozen.clone()));
            run.goes_on(3_600_000, &is(VmState::Stopped));
            assert_eq!(run.calls, []);
            assert_eq!(run.state.wait().map(|wait| wait.what), Some(WaitsFor::Frozen));
            let message = run.shown.clone().and_then(|(_, text)| text).unwrap();
            assert!(message.contains("tachi thaw host c1"), "{message}");
            run.taken_over();
            // A takeover after the freeze keeps the wait in the record.
            run.observe(freeze_state(FreezeStatus {
                thawed,
                ..FreezeStatus::NONE
            }));
            run.goes_on(3_610_000, &is(VmState::Stopped));
            let starts = |(_, call): &(u64, Command)| matches!(call, Command::Start(_));
            assert!(run.calls.iter().any(starts), "{:?}", run.calls);
        }
    }
}

#[test]
fn what_runs_when_it_thaws_is_not_restarted_on_an_old_report() {
    for frozen in freezes() {
        let mut run = Run::begun();
        run.at(10, freeze_state(frozen));
        run.at(600_000, freeze_state(FreezeStatus::NONE));
        run.goes_on(700_000, &is(VmState::Active));
        assert_eq!(run.calls, []);
        run.assert_end("runs", NotificationStatus::Ignored, "running now");
        assert!(
            run.record.running_again,
            "a crash from now on is another failure (R19)"
        );
    }
}

#[test]
fn what_was_stopped_before_the_freeze_is_started_again() {
    for stage in [Stage::Stopping, Stage::Starting] {
        for frozen in freezes() {
            let mut run = Run::requested(stage);
            let at = run.at + 10;
            run.at(at, freeze_state(frozen));
            let (call, until) = if stage == Stage::Stopping {
                (ServerCall::Stop, VmState::Stopped)
            } else {
                (ServerCall::Start, VmState::Active)
            };
            run.observe(answer(call, Ok(())));
            run.goes_on(at + 5_000, &is(until));
            let starts = |(_, call): &&(u64, Command)| matches!(call, Command::Start(_));
            assert_eq!(
                run.calls.iter().filter(starts).count(),
                1,
                "{stage:?}: {:?}",
                run.calls
            );
        }
    }
}

/// The freeze was written while the intent was on its way, so the journal refused the intent.
#[test]
fn a_call_that_the_journal_refuses_was_never_made() {
    for (stage, holds) in [
        (Stage::Activating, true),
        (Stage::Stopping, true),
        (Stage::Starting, false),
    ] {
        for frozen in freezes() {
            let mut run = Run::requested(stage);
            let check = run.record.unless_frozen.clone();
            assert_eq!(check.is_blocked_by(&frozen), holds, "{stage:?}");
            if !holds {
                continue;
            }
            assert!(run.record.restarted.is_some());
            let call = run
                .commands
                .iter()
                .find(|command| command.is_write())
                .cloned()
                .unwrap();
            run.observe(Observation::NotSent(call));
            run.calls.clear();
            run.observe(freeze_state(frozen));
            run.goes_on(600_000, &is(VmState::Stopped));
            assert_eq!(run.calls, [], "{stage:?}");
            run.observe(freeze_state(FreezeStatus::NONE));
            run.goes_on(610_000, &is(VmState::Stopped));
            assert_eq!(run.calls.len(), 1, "{stage:?}: {:?}", run.calls);
        }
    }
}

#[test]
fn a_person_may_give_it_up_while_it_is_frozen() {
    let mut run = Run::begun();
    let [frozen, ..] = freezes();
    run.at(10, freeze_state(frozen));
    run.observe(operator_action(1, OperatorCommand::Reject));
    run.assert_end("aborted", NotificationStatus::Failed, "aborted by alice");
}
