//! Limits of each wait, and the reason after each.

use super::*;

#[test]
fn a_silence_of_nova_counts_towards_no_limit() {
    for stage in CALL_STAGES {
        let mut run = Run::begun();
        run.observe(unmoved(stage));
        run.observe(Observation::Service(Err(lost())));
        while run.at < 600_000 {
            run.at += 1000;
            run.observe(silent());
        }
        run.goes_on(605_000, &unmoved(stage));
        assert_eq!(run.calls.len(), 1, "{stage:?}: Nova is back");

        let mut run = Run::requested(stage);
        run.observe(answer(call_of(stage).1, Err(lost())));
        while run.at < 600_000 {
            run.at += 1000;
            run.observe(silent());
        }
        run.goes_on(605_000, &unmoved(stage));
        assert_eq!(run.calls.len(), 2, "{stage:?}: and the lost call is repeated");
    }
}

#[test]
fn time_limits_begin_with_the_call_and_end_with_the_reason() {
    let stuck = |task: &str, state| shown(server(state, Some(task)));
    let cases = [
        (
            Stage::Activating,
            STOP_LIMIT,
            stuck("resize_reverting", VmState::Resized),
            "not set active within 180 s",
        ),
        (
            Stage::Stopping,
            STOP_LIMIT,
            stuck("powering-off", VmState::Active),
            "not stopped within 180 s, it is active",
        ),
        (
            Stage::Stopping,
            STOP_LIMIT,
            is(VmState::Building),
            "it is building",
        ),
        (Stage::Stopping, STOP_LIMIT, is(VmState::Resized), "it is resized"),
        (
            Stage::Starting,
            START_LIMIT,
            stuck("powering-on", VmState::Stopped),
            "not active within 60 s",
        ),
        (Stage::Starting, START_LIMIT, is(VmState::Error), "it is error"),
    ];
    for (stage, limit, sight, part) in cases {
        for (result, limit) in [(Ok(()), limit), (Err(lost()), limit + LATE_EFFECT_WINDOW)] {
            let mut run = Run::requested(stage);
            run.at(100, answer(call_of(stage).1, result));
            run.goes_on(limit - 1, &sight);
            assert_eq!(run.state.stage, stage, "{part}");
            run.goes_on(limit + 500, &sight);
            run.assert_end(&format!("{stage:?}"), NotificationStatus::Failed, part);
        }
    }
    // The waits before the call do not count against the instance.
    let mut run = Run::begun();
    run.observe(is(VmState::Stopped));
    run.observe(service(false, false));
    while run.at < START_LIMIT - 2000 {
        run.at += 500;
        run.observe(is(VmState::Stopped));
        if run.commands.contains(&Command::ReadService) {
            run.observe(service(false, false));
        }
    }
    run.goes_on(START_LIMIT, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 1);
    run.observe(answer(ServerCall::Start, Ok(())));
    run.goes_on(
        START_LIMIT + 30_000,
        &shown(server(VmState::Stopped, Some("powering-on"))),
    );
    assert_eq!(
        run.state.stage,
        Stage::Starting,
        "it has its whole limit from the call on"
    );
}

#[test]
fn a_refusal_that_is_repeated_is_told_and_ends_it() {
    let mut run = Run::requested(Stage::Stopping);
    let refused = fault(FaultClass::Conflict, Some(409), false);
    while run.at < STOP_LIMIT + 500 && run.state.stage != Stage::Done {
        if run.commands.iter().any(Command::is_write) {
            run.observe(answer(ServerCall::Stop, Err(refused.clone())));
        }
        run.at += 100;
        run.observe(is(VmState::Active));
        if run.commands.contains(&Command::ReadService) {
            run.observe(up());
        }
        if run.at == 10_000 {
            assert!(
                run.shown.clone().unwrap().1.unwrap().contains("409"),
                "reported meanwhile"
            );
        }
    }
    run.assert_end("", NotificationStatus::Failed, "409");
    assert!(
        run.calls.len() <= 181,
        "no more than one a second: {}",
        run.calls.len()
    );
}

#[test]
fn an_operators_reject_ends_it_in_each_stage_and_is_heard_once() {
    for stage in CALL_STAGES {
        let mut run = Run::requested(stage);
        run.observe(operator_action(1, OperatorCommand::Approve));
        assert_eq!(
            (run.state.stage, run.state.last_action),
            (stage, 1),
            "there is nothing to approve"
        );
        run.observe(operator_action(1, OperatorCommand::Reject));
        assert_eq!(run.state.stage, stage, "a stale number");
        run.observe(operator_action(2, OperatorCommand::Reject));
        run.assert_end(
            &format!("{stage:?}"),
            NotificationStatus::Failed,
            "aborted by alice",
        );
        assert!(run.commands.is_empty());
        let message = run.state.message.clone().unwrap();
        assert_eq!(
            message.contains("a stop for its restart had been requested, and it is not started from here"),
            stage != Stage::Activating,
            "{stage:?}: {message}"
        );
    }
    let mut run = Run::begun();
    run.observe(operator_action(1, OperatorCommand::Reject));
    run.assert_end("Begin", NotificationStatus::Failed, "aborted by alice");
}
