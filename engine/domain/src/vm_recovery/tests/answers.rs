//! The results of each answer of Nova.

use super::*;

#[test]
fn each_answer_of_each_call() {
    use FaultClass::{Conflict, Fatal, Permanent, Transient};
    use NotificationStatus::Failed;
    // Interval of retries while the effect is not visible, or the recovery's final status.
    let cases = [
        ("ok", Ok(()), Ok(D)),
        ("404", Err(fault(Permanent, Some(404), false)), Ok(1000)),
        ("400", Err(fault(Permanent, Some(400), false)), Err(Failed)),
        ("409", Err(fault(Conflict, Some(409), false)), Ok(1000)),
        ("429", Err(fault(Transient, Some(429), false)), Ok(1000)),
        ("not connected", Err(fault(Transient, None, false)), Ok(1000)),
        ("403", Err(fault(Fatal, Some(403), false)), Ok(10_000)),
        (
            "500",
            Err(fault(Transient, Some(500), true)),
            Ok(LATE_EFFECT_WINDOW),
        ),
        (
            "timed out",
            Err(fault(Transient, None, true)),
            Ok(LATE_EFFECT_WINDOW),
        ),
    ];
    for stage in CALL_STAGES {
        for (case, result, expected) in cases.clone() {
            let case = format!("{stage:?}, {case}");
            let (command, call) = call_of(stage);
            let mut run = Run::requested(stage);
            assert_eq!(run.calls, [(0, command.clone())], "{case}");
            run.observe(answer(call, result));
            match expected {
                Err(status) => assert_eq!(run.end().0, status, "{case}"),
                Ok(again) => {
                    run.goes_on(again - 1, &unmoved(stage));
                    assert_eq!(run.calls.len(), 1, "{case}: not before");
                    run.goes_on(again + 2000, &unmoved(stage));
                    assert_eq!(run.calls[1..].first().unwrap().1, command, "{case}: repeated");
                }
            }
        }
    }
}

#[test]
fn a_fault_of_the_read_is_waited_for_and_a_404_ends_it() {
    use FaultClass::{Conflict, Fatal, Permanent, Transient};
    for class in [Conflict, Fatal, Permanent, Transient] {
        let mut run = Run::begun();
        let result = Err(fault(class, Some(500), false));
        let server = server_id();
        run.observe(Observation::Server { server, result });
        assert!(run.record.notification.is_none(), "a short fault is not reported");
        run.at(500, Observation::Tick);
        assert_eq!(run.commands, [Command::ReadServer(server)], "{class:?}");
        run.at(3000, Observation::Tick);
        let (status, message) = run.shown.clone().unwrap();
        assert_eq!(status, NotificationStatus::Running);
        assert!(message.unwrap().starts_with("waiting for Nova"));
        run.observe(is(VmState::Active));
        assert_eq!(
            run.shown,
            Some((NotificationStatus::Running, None)),
            "and is taken back"
        );
    }
    let gone = || Observation::Server {
        server: server_id(),
        result: Ok(None),
    };
    let mut run = Run::requested(Stage::Stopping);
    run.observe(gone());
    assert_ne!(
        run.state.stage,
        Stage::Done,
        "a copy that lags behind gives this answer too"
    );
    run.at(4_999, Observation::Tick);
    assert!(!run.commands.contains(&Command::ReadServer(server_id())));
    run.at(5_000, Observation::Tick);
    assert!(run.commands.contains(&Command::ReadServer(server_id())));
    run.observe(gone());
    run.assert_end("", NotificationStatus::Ignored, "does not exist");

    // It was seen again in between.
    let mut run = Run::requested(Stage::Stopping);
    run.observe(gone());
    run.at(5_000, Observation::Tick);
    run.observe(is(VmState::Active));
    run.goes_on(20_000, &is(VmState::Active));
    run.observe(gone());
    assert_ne!(run.state.stage, Stage::Done);
}

#[test]
fn what_was_not_sent_is_asked_for_again_but_not_at_once() {
    let reads = [
        (Command::ReadServer(server_id()), 500),
        (Command::ReadService, 500),
    ];
    for (read, again) in reads {
        let mut run = Run::begun();
        if read == Command::ReadService {
            run.observe(is(VmState::Active));
        }
        assert!(run.commands.contains(&read));
        run.observe(Observation::NotSent(read.clone()));
        assert!(!run.commands.contains(&read), "{read:?}: no busy loop");
        run.at(again, Observation::Tick);
        assert!(run.commands.contains(&read), "{read:?}");
    }
    for stage in CALL_STAGES {
        let (command, _) = call_of(stage);
        let mut run = Run::requested(stage);
        run.observe(Observation::NotSent(command.clone()));
        assert_eq!(run.state.requested, None);
        assert_eq!(
            run.calls.len(),
            1,
            "{stage:?}: not before another check of the host"
        );
        run.goes_on(2000, &unmoved(stage));
        assert_eq!(run.calls.len(), 2, "{stage:?}");
        assert_eq!(run.calls[1].1, command);
    }
}

/// Covers R5.
#[test]
fn a_stop_whose_answer_is_lost_does_not_hit_the_started_instance() {
    let mut run = Run::requested(Stage::Stopping);
    run.at(100, answer(ServerCall::Stop, Err(lost())));
    run.goes_on(LATE_EFFECT_WINDOW - 1, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 1, "no start while the stop may still come");
    run.goes_on(LATE_EFFECT_WINDOW + 2000, &is(VmState::Stopped));
    assert_eq!(run.calls.last().unwrap().1, Command::Start(server_id()));
    assert_eq!(run.calls.len(), 2);
}

/// Covers R5.
#[test]
fn a_lost_stop_is_not_forgotten_when_the_next_one_is_refused() {
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(ServerCall::Stop, Err(lost())));
    run.state.requested = None;
    run.goes_on(LATE_EFFECT_WINDOW - 1, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 1);
    run.goes_on(LATE_EFFECT_WINDOW + 2000, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 2);
}

#[test]
fn a_late_reset_to_active_is_waited_for_and_not_taken_for_the_start() {
    let mut run = Run::requested(Stage::Activating);
    run.at(100, answer(ServerCall::Activate, Err(lost())));
    run.goes_on(LATE_EFFECT_WINDOW - 1, &is(VmState::Active));
    assert_eq!((run.state.stage, run.calls.len()), (Stage::Activating, 1));
    run.goes_on(LATE_EFFECT_WINDOW + 2000, &is(VmState::Active));
    assert_eq!(run.calls.last().unwrap().1, Command::Stop(server_id()));
}

#[test]
fn an_answer_to_another_call_is_not_taken_for_the_answer_to_this_one() {
    for stage in CALL_STAGES {
        for call in [
            ServerCall::Activate,
            ServerCall::Stop,
            ServerCall::Start,
            ServerCall::Lock,
        ] {
            if call == call_of(stage).1 {
                continue;
            }
            let mut run = Run::requested(stage);
            run.observe(answer(call, Ok(())));
            assert!(!run.state.requested.unwrap().answered, "{stage:?} {call:?}");
            run.observe(answer(call, Err(fault(FaultClass::Permanent, Some(404), false))));
            assert_eq!(run.state.stage, stage, "{call:?}");
        }
    }
}

/// Covers R36.
#[test]
fn a_copy_that_lags_behind_does_not_end_a_recovery_that_has_stopped_the_instance() {
    let dated = |state: VmState, second: i64| {
        shown(Server {
            updated: Some(Timestamp::from_micros(second * 1_000_000)),
            ..server(state, None)
        })
    };
    let mut run = Run::requested(Stage::Stopping);
    run.observe(answer(ServerCall::Stop, Ok(())));
    run.at(1_000, dated(VmState::Stopped, 10));
    assert_eq!(run.state.stage, Stage::Starting);
    // It ran before the stop.
    run.at(2_000, dated(VmState::Active, 7));
    assert_eq!(run.state.stage, Stage::Starting, "it was never started");
    run.goes_on(8_000, &dated(VmState::Active, 7));
    assert_eq!(run.state.stage, Stage::Starting);
    run.goes_on(10_000, &dated(VmState::Active, 14));
    assert_eq!(run.state.stage, Stage::Done);
}
