//! Limits on the restarts of an instance.

use super::*;

const WINDOW: u64 = 3_600;

/// Returns a claimed recovery of an instance with restarts these numbers of seconds ago.
fn after(ages: &[u64]) -> Run {
    let id = server_id().to_string();
    let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), restart_only());
    let ages: Vec<Duration> = ages.iter().map(|age| Duration::from_secs(*age)).collect();
    run.state = run.state.after(&ages);
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run
}

/// Covers EW26.
#[test]
fn an_instance_restarted_as_often_as_allowed_needs_an_operator() {
    let cases = [
        (
            "five within the hour",
            vec![60, 600, 1_200, 2_400, WINDOW - 1],
            true,
        ),
        ("more, and in any order", vec![2_000, 3, 1_000, 500, 700, 9], true),
        (
            "one of five is too long ago",
            vec![60, 600, 1_200, 2_400, WINDOW],
            false,
        ),
        ("none", vec![], false),
    ];
    for (name, ages, refused) in cases {
        let mut run = after(&ages);
        run.observe(is(VmState::Active));
        assert_eq!(run.state.stage == Stage::Done, refused, "{name}");
        if refused {
            run.assert_end(name, NotificationStatus::Failed, "max_restarts allows 5");
            assert!(run.calls.is_empty(), "{name}");
        }
    }
}

/// Covers EW26.
#[test]
fn each_restart_waits_twice_as_long_as_the_one_before() {
    let cases: [(&str, Vec<u64>, u64); 5] = [
        ("the first", vec![], 0),
        ("the second", vec![0], 10_000),
        ("the second, a while after the first", vec![7], 3_000),
        ("the second, long after the first", vec![11], 0),
        ("the fourth", vec![1, 100, 200], 39_000),
    ];
    for (name, ages, wait) in cases {
        let mut run = after(&ages);
        run.observe(is(VmState::Active));
        if run.commands.contains(&Command::ReadService) {
            run.observe(up());
        }
        run.goes_on(wait + 1_000, &is(VmState::Active));
        let first = run.calls.first().map(|(at, _)| *at);
        assert!(
            first.is_some_and(|at| (wait..=wait + 1_000).contains(&at)),
            "{name}: called at {first:?}, to wait {wait}"
        );
    }
}

/// Covers EW26.
#[test]
fn while_it_waits_it_says_so_and_survives_a_takeover() {
    let mut run = after(&[0, 1]);
    run.observe(is(VmState::Active));
    run.goes_on(4_000, &is(VmState::Active));
    let (status, message) = run.shown.clone().unwrap();
    assert_eq!(status, NotificationStatus::Running);
    assert!(message.unwrap().contains("restarted 2 times recently"));
    run.taken_over();
    run.goes_on(19_000, &is(VmState::Active));
    assert!(run.calls.is_empty(), "{:?}", run.calls);
    run.goes_on(26_000, &is(VmState::Active));
    assert_eq!(run.calls.len(), 1);
}

/// Covers EW26.
#[test]
fn a_restart_is_counted_once_with_its_first_call() {
    let mut run = after(&[]);
    run.observe(is(VmState::Active));
    assert_eq!(run.record.restarted, None, "no request yet");
    run.observe(up());
    assert_eq!(run.record.restarted, Some(server_id()));
    run.taken_over();
    run.at(LATE_EFFECT_WINDOW, is(VmState::Active));
    run.at(LATE_EFFECT_WINDOW + 1_000, Observation::Tick);
    run.observe(is(VmState::Active));
    run.observe(up());
    assert_eq!(run.calls.len(), 2, "requested again");
    assert_eq!(run.record.restarted, None);
    run.observe(answer(ServerCall::Stop, Ok(())));
    run.observe(is(VmState::Stopped));
    run.observe(up());
    assert_eq!(run.calls.len(), 3);
    assert_eq!(run.record.restarted, None);
}

#[test]
fn no_limit_is_no_limit_but_the_pauses_stay() {
    let ages: Vec<u64> = (0..50).collect();
    let id = server_id().to_string();
    let policy = Policy {
        max_restarts: 0,
        ..Policy::default()
    };
    let mut run = Run::new("LIFECYCLE", "STOPPED_FAILED", Some(&id), policy);
    let ages: Vec<Duration> = ages.into_iter().map(Duration::from_secs).collect();
    run.state = run.state.after(&ages);
    run.observe(Observation::Claimed(OperatorState::DEFAULT));
    run.observe(is(VmState::Active));
    run.goes_on(599_000, &is(VmState::Active));
    assert!(run.calls.is_empty());
    run.goes_on(602_000, &is(VmState::Active));
    assert_eq!(run.calls.len(), 1, "ten minutes are the longest pause");
}

/// Covers R36.
#[test]
fn the_state_names_the_instance_while_it_waits_for_its_restart() {
    let mut run = after(&[0]);
    run.observe(is(VmState::Active));
    assert_eq!(run.state.stage, Stage::Begin);
    let head: serde_json::Value = serde_json::from_str(&run.state.head().unwrap()).unwrap();
    assert_eq!((&head["name"], &head["tagged"]), (&"web".into(), &true.into()));
    // A state that an older version wrote has neither.
    let mut old = head;
    old.as_object_mut()
        .unwrap()
        .retain(|key, _| !["name", "tagged"].contains(&key.as_str()));
    assert!(VmRecovery::restore(&old.to_string()).is_ok());
}
