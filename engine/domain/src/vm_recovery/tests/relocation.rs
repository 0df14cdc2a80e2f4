//! Actions after a failed restart: a move to another host, or another restart.

use super::*;

const OTHER: &str = "c2";
const MOVE_LIMIT: u64 = 1_800_000;

fn on(host: &str, vm_state: VmState, task: Option<&str>) -> Observation {
    shown(Server {
        host: Some(host.into()),
        ..server(vm_state, task)
    })
}

/// Returns a recovery under the default rules, whose instance does not start.
fn not_started() -> Run {
    let id = server_id().to_string();
    let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), Policy::default());
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run.observe(is(VmState::Stopped));
    run.observe(up());
    run.observe(answer(ServerCall::Start, Ok(())));
    run.goes_on(
        START_LIMIT - 500,
        &on(HOST, VmState::Stopped, Some("powering-on")),
    );
    assert_eq!((run.state.stage, run.calls.len()), (Stage::Starting, 1));
    run
}

/// The same, with the move requested.
fn migrating() -> Run {
    let mut run = not_started();
    while run.calls.len() == 1 {
        run.goes_on(run.at + 500, &is(VmState::Stopped));
    }
    assert_eq!(run.state.stage, Stage::Migrating);
    assert_eq!(run.calls.last().unwrap().1, Command::Migrate(server_id()));
    run
}

fn calls(run: &Run) -> Vec<Command> {
    run.calls.iter().map(|(_, call)| call.clone()).collect()
}

#[test]
fn an_instance_that_does_not_start_is_moved_confirmed_and_started_on_the_other_host() {
    let mut run = migrating();
    let order = MoveOrder {
        server: server_id(),
        at_most: 10,
        within: Duration::from_hours(1),
    };
    assert_eq!(run.record.move_order, Some(order), "the journal counts it");
    assert!(
        run.record.unless_frozen.is_conditional(),
        "and refuses it for a frozen host"
    );
    run.observe(answer(ServerCall::Migrate, Ok(())));
    for task in ["resize_prep", "resize_migrating"] {
        run.goes_on(run.at + 5_000, &on(HOST, VmState::Stopped, Some(task)));
    }
    run.goes_on(
        run.at + 5_000,
        &on(OTHER, VmState::Stopped, Some("resize_finish")),
    );
    run.goes_on(run.at + 500, &on(OTHER, VmState::Resized, None));
    assert_eq!(
        (run.state.stage, run.state.host.as_str()),
        (Stage::Confirming, OTHER)
    );
    run.goes_on(run.at + 500, &on(OTHER, VmState::Resized, None));
    run.observe(answer(ServerCall::ConfirmMigration, Ok(())));
    run.taken_over();
    run.goes_on(run.at + 1_000, &on(OTHER, VmState::Stopped, None));
    run.observe(answer(ServerCall::Start, Ok(())));
    run.goes_on(run.at + 2_000, &on(OTHER, VmState::Active, None));
    run.assert_end(
        "",
        NotificationStatus::Finished,
        "did not run on c1, was moved to c2, and is active",
    );
    let id = server_id();
    assert_eq!(
        calls(&run),
        [
            Command::Start(id),
            Command::Migrate(id),
            Command::ConfirmMigration(id),
            Command::Start(id)
        ],
        "one of each"
    );
}

/// The host that it came from confirms late, and Nova refuses a second request meanwhile.
#[test]
fn a_move_is_confirmed_once_and_a_refusal_of_another_request_is_waited_for() {
    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    run.goes_on(run.at + 1_000, &on(OTHER, VmState::Resized, None));
    let calls_before = calls(&run).len();
    run.observe(answer(ServerCall::ConfirmMigration, Ok(())));
    run.goes_on(run.at + 600_000, &on(OTHER, VmState::Resized, None));
    assert_eq!(run.state.stage, Stage::Confirming);
    assert_eq!(calls(&run).len(), calls_before, "it is asked for once");
    run.goes_on(run.at + 500, &on(OTHER, VmState::Stopped, None));
    assert_eq!(run.state.stage, Stage::Starting);

    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    run.goes_on(run.at + 1_000, &on(OTHER, VmState::Resized, None));
    let refused = fault(FaultClass::Permanent, Some(400), false);
    run.observe(answer(ServerCall::ConfirmMigration, Err(refused)));
    run.goes_on(run.at + 5_000, &on(OTHER, VmState::Resized, None));
    assert_eq!(run.state.stage, Stage::Confirming);
    run.goes_on(run.at + 500, &on(OTHER, VmState::Stopped, None));
    assert_eq!(run.state.stage, Stage::Starting);
}

#[test]
fn the_move_counts_wherever_nova_is_when_it_is_seen_again() {
    let cases = [
        ("confirmed by Nova itself", VmState::Stopped, Stage::Starting),
        ("not confirmed", VmState::Resized, Stage::Confirming),
        ("started by its owner", VmState::Active, Stage::Done),
    ];
    for (name, state, stage) in cases {
        for is_answered in [true, false] {
            let mut run = migrating();
            if is_answered {
                run.observe(answer(ServerCall::Migrate, Ok(())));
            }
            run.taken_over();
            run.observe(on(OTHER, state.clone(), None));
            assert_eq!(run.state.stage, stage, "{name}, answered: {is_answered}");
            assert_eq!(run.state.host, OTHER, "{name}");
        }
    }
}

#[test]
fn an_instance_that_left_before_a_move_was_requested_is_left_alone() {
    let mut run = not_started();
    run.at = START_LIMIT + 500;
    run.observe(is(VmState::Stopped));
    assert_eq!(run.state.stage, Stage::Migrating);
    run.observe(on(OTHER, VmState::Stopped, None));
    run.assert_end("", NotificationStatus::Failed, "has left host c1 meanwhile");
    assert_eq!(calls(&run), [Command::Start(server_id())]);
}

#[test]
fn a_move_that_nova_gives_up_or_refuses_is_followed_by_further_attempts_and_then_by_an_end() {
    let refused = || fault(FaultClass::Permanent, Some(400), false);
    for is_refused in [true, false] {
        let mut run = not_started();
        let until = 3_600_000 + 2 * START_LIMIT + 700_000;
        let (mut starts, mut moves) = (1, 0);
        while run.state.stage != Stage::Done && run.at < until {
            let before = run.calls.len();
            run.goes_on(run.at + 500, &is(VmState::Stopped));
            if run.calls.len() == before {
                continue;
            }
            let last = run.calls.last().unwrap().1.clone();
            if last == Command::Start(server_id()) {
                starts += 1;
                run.observe(answer(ServerCall::Start, Ok(())));
            } else {
                assert_eq!(last, Command::Migrate(server_id()));
                moves += 1;
                let result = if is_refused { Err(refused()) } else { Ok(()) };
                run.observe(answer(ServerCall::Migrate, result));
            }
        }
        run.assert_end("", NotificationStatus::Failed, "not active within 60 s");
        assert!((15..=40).contains(&starts), "{starts} starts");
        assert!((5..=12).contains(&moves), "{moves} moves");
        let gaps = run.calls.windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.max().unwrap() <= 680_000, "{:?}", run.calls);
    }
}

#[test]
fn what_nova_shows_right_after_it_has_accepted_the_move_is_not_taken_for_a_failure() {
    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    run.goes_on(run.at + 4_500, &is(VmState::Stopped));
    assert_eq!(run.state.stage, Stage::Migrating, "a database may lag");
    run.goes_on(run.at + 1_500, &is(VmState::Stopped));
    assert_eq!(run.state.stage, Stage::Waiting);
}

#[test]
fn a_start_that_was_repeated_shortly_before_the_limit_gets_its_time() {
    let mut run = not_started();
    run.observe(is(VmState::Stopped));
    run.observe(up());
    assert_eq!(run.calls.len(), 2, "repeated");
    run.observe(answer(ServerCall::Start, Ok(())));
    // The reading precedes the repeated start.
    run.goes_on(START_LIMIT + 3_000, &is(VmState::Stopped));
    assert_eq!((run.state.stage, run.calls.len()), (Stage::Starting, 2));
    run.observe(is(VmState::Active));
    run.assert_end("", NotificationStatus::Finished, "is active");
}

/// Nova's replica may lag by more than the recovery allows for.
#[test]
fn a_move_that_was_taken_for_given_up_is_followed_when_it_shows() {
    for waits in [true, false] {
        for (state, stage) in [
            (VmState::Resized, Stage::Confirming),
            (VmState::Stopped, Stage::Starting),
        ] {
            let mut run = migrating();
            run.observe(answer(ServerCall::Migrate, Ok(())));
            run.goes_on(run.at + 6_000, &is(VmState::Stopped));
            assert_eq!(run.state.stage, Stage::Waiting);
            if !waits {
                run.goes_on(run.at + 65_000, &is(VmState::Stopped));
                assert_eq!(run.state.stage, Stage::Starting);
            }
            run.goes_on(run.at + 500, &on(OTHER, VmState::Stopped, Some("resize_finish")));
            assert_ne!(run.state.stage, Stage::Done, "it is moving");
            run.observe(on(OTHER, state.clone(), None));
            assert_eq!(
                (run.state.stage, run.state.host.as_str()),
                (stage, OTHER),
                "{state}"
            );
        }
    }
}

#[test]
fn a_move_that_the_journal_refuses_for_a_freeze_is_requested_after_it() {
    let [frozen, ..] = super::freezes::freezes();
    let mut run = migrating();
    // As the driver does after a write that the journal refused.
    run.observe(Observation::NotSent(Command::Migrate(server_id())));
    run.observe(Observation::OperatorState(OperatorState {
        frozen,
        ..OperatorState::DEFAULT
    }));
    run.goes_on(run.at + 2 * MOVE_LIMIT, &is(VmState::Stopped));
    assert_eq!((run.state.stage, run.calls.len()), (Stage::Migrating, 2));
    assert_eq!(run.state.wait().unwrap().what, WaitsFor::Frozen);
    run.observe(Observation::OperatorState(OperatorState::DEFAULT));
    run.observe(up());
    run.goes_on(run.at + 1_000, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 3, "{:?}", run.calls);
}

#[test]
fn a_move_without_an_answer_is_repeated_only_when_it_can_take_effect_no_more() {
    let mut run = migrating();
    let requested_at = run.at;
    run.observe(answer(ServerCall::Migrate, Err(lost())));
    run.goes_on(requested_at + LATE_EFFECT_WINDOW - 1, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 2);
    run.goes_on(requested_at + LATE_EFFECT_WINDOW + 2_000, &is(VmState::Stopped));
    assert_eq!(run.calls.len(), 3);
    assert_eq!(run.calls.last().unwrap().1, Command::Migrate(server_id()));
}

#[test]
fn a_move_that_hangs_or_ends_in_error_ends_the_recovery_with_its_reason() {
    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    let stuck = on(HOST, VmState::Stopped, Some("resize_migrating"));
    run.goes_on(START_LIMIT + MOVE_LIMIT - 1_000, &stuck);
    assert_eq!(run.state.stage, Stage::Migrating, "a disk may take long to copy");
    run.goes_on(START_LIMIT + MOVE_LIMIT + 2_000, &stuck);
    run.assert_end(
        "hangs",
        NotificationStatus::Failed,
        "openstack server migration confirm",
    );

    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    run.observe(shown(Server {
        fault: Some("no space left on device".into()),
        host: Some(OTHER.into()),
        ..server(VmState::Error, None)
    }));
    run.assert_end("error", NotificationStatus::Failed, "no space left on device");

    let mut run = migrating();
    run.observe(answer(ServerCall::Migrate, Ok(())));
    run.observe(on(OTHER, VmState::Resized, None));
    run.goes_on(run.at + 2 * MOVE_LIMIT, &on(OTHER, VmState::Resized, None));
    run.assert_end(
        "not confirmed",
        NotificationStatus::Failed,
        "moved to c2, and not confirmed",
    );
}

#[test]
fn an_instance_that_runs_again_during_a_pause_is_done() {
    let mut run = migrating();
    run.observe(answer(
        ServerCall::Migrate,
        Err(fault(FaultClass::Permanent, Some(400), false)),
    ));
    assert_eq!(run.state.stage, Stage::Waiting);
    run.goes_on(run.at + 20_000, &is(VmState::Stopped));
    let (status, message) = run.shown.clone().unwrap();
    assert_eq!(status, NotificationStatus::Running);
    let message = message.unwrap();
    assert!(message.contains("next attempt within 60 s"), "{message}");
    run.observe(is(VmState::Active));
    run.assert_end("", NotificationStatus::Finished, "is active");
    assert!(run.record.running_again);
}

#[test]
fn nothing_is_moved_while_the_instance_is_frozen_or_where_the_limit_is_reached() {
    let mut run = not_started();
    let [frozen, ..] = super::freezes::freezes();
    let frozen = OperatorState {
        frozen,
        ..OperatorState::DEFAULT
    };
    run.at(START_LIMIT - 400, Observation::OperatorState(frozen));
    run.at = START_LIMIT + 500;
    run.observe(is(VmState::Stopped));
    run.goes_on(START_LIMIT + MOVE_LIMIT + 60_000, &is(VmState::Stopped));
    assert_eq!((run.state.stage, run.calls.len()), (Stage::Migrating, 1));
    assert_eq!(run.state.wait().unwrap().what, WaitsFor::Frozen);
    run.observe(Observation::OperatorState(OperatorState::DEFAULT));
    run.observe(up());
    run.goes_on(run.at + 1_000, &is(VmState::Stopped));
    assert_eq!(
        run.calls.last().unwrap().1,
        Command::Migrate(server_id()),
        "after the freeze"
    );

    // As the driver does after a write that the journal refused.
    let mut run = migrating();
    run.observe(Observation::NotSent(Command::Migrate(server_id())));
    run.observe(Observation::OrderRefused);
    assert_eq!(run.state.stage, Stage::Waiting);
    let text = &run.record.steps.last().unwrap().text;
    assert!(text.contains("max_moves allows 10 in 3600 s"), "{text}");

    let mut run = not_started();
    run.state.policy.max_moves = 0;
    run.goes_on(START_LIMIT + 500, &is(VmState::Stopped));
    assert_eq!(
        run.state.stage,
        Stage::Waiting,
        "started again later, and not moved"
    );
}

#[test]
fn an_instance_that_was_restarted_as_often_as_allowed_is_moved_once() {
    let id = server_id().to_string();
    let after = |ages: &[u64]| {
        let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), Policy::default());
        let ages: Vec<Duration> = ages.iter().map(|age| Duration::from_secs(*age)).collect();
        run.state = run.state.after(&ages);
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        run.observe(is(VmState::Stopped));
        run
    };
    let mut run = after(&[900, 1_000, 1_100, 1_200, 1_300]);
    assert_eq!(run.state.stage, Stage::Migrating);
    run.observe(up());
    run.observe(answer(
        ServerCall::Migrate,
        Err(fault(FaultClass::Permanent, Some(400), false)),
    ));
    let text = run.record.steps.last().unwrap().text.clone();
    assert!(
        text.contains("restarted 5 times within 3600 s; not moved"),
        "{text}"
    );
    run.goes_on(run.at + 65_000, &is(VmState::Stopped));
    assert_eq!(
        run.calls.last().unwrap().1,
        Command::Start(server_id()),
        "it is not left stopped"
    );

    let run = after(&[800, 900, 1_000, 1_100, 1_200, 1_300]);
    run.assert_end(
        "moved before",
        NotificationStatus::Failed,
        "max_restarts allows 5",
    );
}

#[test]
fn a_host_recovery_or_another_copy_ends_it_in_every_stage() {
    let mut waiting = migrating();
    waiting.observe(answer(
        ServerCall::Migrate,
        Err(fault(FaultClass::Permanent, Some(400), false)),
    ));
    let mut confirming = migrating();
    confirming.observe(answer(ServerCall::Migrate, Ok(())));
    confirming.observe(on(OTHER, VmState::Resized, None));
    for mut run in [migrating(), waiting, confirming] {
        let stage = run.state.stage;
        run.observe(Observation::HostUnderRecovery);
        run.assert_end(
            &format!("{stage:?}"),
            NotificationStatus::Failed,
            "is being recovered",
        );
    }
    let mut run = migrating();
    run.observe(Observation::MayRunOn(["c9".to_owned()].into()));
    run.assert_end("", NotificationStatus::Failed, "c9");
}

/// Returns actions in which a user stops the instance while this service works on it.
fn stopped_by_user() -> Vec<ServerAction> {
    let actions = [
        ("stop", Actor::Person),
        ("start", Actor::Ours),
        ("create", Actor::Person),
    ];
    actions.map(|(name, by)| action(name, by)).into()
}

#[test]
fn an_instance_that_a_user_stops_after_a_failed_start_is_neither_moved_nor_started() {
    let mut before_move = not_started();
    before_move.actions = Some(stopped_by_user());
    before_move.goes_on(START_LIMIT + 10_000, &is(VmState::Stopped));

    let mut after_move = migrating();
    after_move.observe(answer(ServerCall::Migrate, Ok(())));
    after_move.actions = Some(stopped_by_user());
    after_move.goes_on(after_move.at + 5_000, &on(OTHER, VmState::Stopped, None));

    let mut between_starts = not_started();
    between_starts.state.policy.max_moves = 0;
    between_starts.goes_on(START_LIMIT + 10_000, &is(VmState::Stopped));
    assert_eq!(between_starts.state.stage, Stage::Waiting);
    between_starts.actions = Some(stopped_by_user());
    between_starts.goes_on(START_LIMIT + 900_000, &is(VmState::Stopped));

    for (name, run, calls_before) in [
        ("before the move", before_move, 1),
        ("after the move", after_move, 2),
        ("before the next start", between_starts, 1),
    ] {
        run.assert_end(name, NotificationStatus::Ignored, "left to its owner");
        assert_eq!(run.calls.len(), calls_before, "{name}: {:?}", run.calls);
    }
}

#[test]
fn a_start_waits_for_the_actions_unless_nova_never_shows_them() {
    for (class, status, is_started) in [
        (FaultClass::Transient, 503, false),
        (FaultClass::Fatal, 401, false),
        (FaultClass::Permanent, 403, true),
    ] {
        let id = server_id().to_string();
        let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), Policy::default());
        run.actions = None;
        run.observe(Observation::Claimed(OperatorState::DEFAULT));
        run.observe(is(VmState::Stopped));
        assert!(
            run.commands.contains(&Command::ReadActions(server_id())),
            "{class:?}"
        );
        run.observe(up());
        assert_eq!(run.calls, [], "{class:?}");
        run.observe(actions(Err(fault(class, Some(status), false))));
        assert_eq!(run.calls.len(), usize::from(is_started), "{class:?}");
        run.actions = Some(Vec::new());
        run.goes_on(run.at + 2_000, &is(VmState::Stopped));
        assert_eq!(calls(&run), [Command::Start(server_id())], "{class:?}");
    }
}

/// Covers R27.
#[test]
fn a_move_that_was_never_requested_confirms_no_resize_of_the_owner() {
    let mut run = migrating();
    run.observe(Observation::NotSent(Command::Migrate(server_id())));
    run.observe(Observation::OrderRefused);
    assert_eq!(run.state.stage, Stage::Waiting);
    let resized = on(OTHER, VmState::Resized, None);
    run.goes_on(run.at + 5_000, &resized);
    assert!(
        !calls(&run).contains(&Command::ConfirmMigration(server_id())),
        "{:?}",
        run.calls
    );
}
