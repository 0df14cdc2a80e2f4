//! Freezes (ADR 0051).

use super::*;
use crate::freeze::{Freeze, FreezeScope, FreezeStatus};

fn frozen() -> FreezeStatus {
    let freeze = Freeze {
        number: 1,
        scope: FreezeScope::Host,
        name: HOST.into(),
        until: Timestamp::from_micros(3_600_000_000),
        by: "alice".into(),
        reason: "firmware".into(),
        unless_worse: false,
    };
    FreezeStatus {
        over: vec![freeze],
        ..FreezeStatus::NONE
    }
}

fn freeze_state(frozen: FreezeStatus) -> Observation {
    Observation::OperatorState(OperatorState {
        frozen,
        ..OperatorState::DEFAULT
    })
}

fn thawed() -> Observation {
    freeze_state(FreezeStatus {
        thawed: 1,
        ..FreezeStatus::NONE
    })
}

fn service_state(up: bool) -> Observation {
    Observation::Service(Ok(Some(Service {
        up,
        ..record_of(true, None)
    })))
}

#[test]
fn a_frozen_hosts_service_is_disabled_afterwards_if_it_is_not_up_in_nova() {
    for up in [false, true] {
        let mut run = Run::new("STOPPED", "nova-compute");
        run.observe(Observation::Claimed(OperatorState {
            frozen: frozen(),
            ..OperatorState::DEFAULT
        }));
        for _ in 0..50 {
            run.at += 30_000;
            // This answer was already in flight.
            run.observe(service_state(up));
            assert!(run.commands.is_empty(), "{:?}", run.commands);
        }
        assert_eq!(run.state.wait().map(|wait| wait.what), Some(WaitsFor::Frozen));
        run.observe(thawed());
        for _ in 0..40 {
            if run.commands.contains(&Command::ReadService) {
                run.observe(service_state(up));
            }
            run.at += 5_000;
            run.observe(Observation::Tick);
        }
        let disabled = run
            .calls
            .iter()
            .any(|(_, call)| matches!(call, Command::UpdateService { .. }));
        assert_eq!(disabled, !up);
        assert_eq!(run.state.over, up, "{:?}", run.shown);
    }
}

/// The freeze was written while the intent was on its way, so the journal refused the intent.
#[test]
fn a_call_that_the_journal_refuses_was_never_made() {
    let mut run = Run::new("STOPPED", "nova-compute");
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run.observe(service_state(false));
    let call = run
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    assert!(run.record.unless_frozen.is_blocked_by(&frozen()));
    run.observe(Observation::NotSent(call));
    run.observe(freeze_state(frozen()));
    run.at += 600_000;
    run.observe(service_state(false));
    assert!(run.commands.is_empty(), "{:?}", run.commands);
    assert_eq!(run.state.wait().map(|wait| wait.what), Some(WaitsFor::Frozen));
}
