use std::sync::Arc;

use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::guard::Region;
use tachi_domain::nova::Service;
use tachi_domain::policy::Policy;
use tachi_domain::recovery::{
    InCell, Inventory, Life, OperatorCommand, OperatorRequest, RecoveryKind, StepKind,
};
use tachi_domain::{ServerId, ServiceId};
use uuid::Uuid;

use super::*;
use crate::journal::{self, StepWrite};
use crate::open;
use crate::recovery::tests::claimed;

const CLAIMED_AT: u64 = 10_000;

fn at(millis: u64) -> Time {
    Time {
        boot: Duration::from_millis(millis),
        wall: Timestamp::from_micros(0),
    }
}

fn written(sent: u64, operator_state: OperatorState) -> Event {
    Event::Journalled {
        sent: Duration::from_millis(sent),
        outcome: Some(WriteOutcome::Written(operator_state)),
    }
}

/// Reports the service as enabled; the recovery will disable it.
fn enabled() -> Event {
    let service = Service {
        id: ServiceId(Uuid::from_u128(9)),
        host: "compute-1".into(),
        enabled: true,
        disabled_reason: None,
        up: true,
        forced_down: false,
        last_heartbeat: None,
        nova_now: None,
    };
    Event::Observed(vec![Observation::Service(Ok(Some(service)))])
}

/// Returns the driver of a process recovery that has requested its first list.
fn driver() -> Driver {
    let mut claimed = claimed(RecoveryKind::Process);
    let name = ("process_name".to_owned(), "nova-compute".to_owned());
    claimed.notification.payload.extend([name]);
    let state = open(&claimed, &Policy::default()).unwrap();
    let mut driver = Driver::new(&claimed, state, Duration::from_millis(CLAIMED_AT));
    let effects = driver.handle(Event::Observed(Vec::new()), at(CLAIMED_AT));
    let calls = commit_all(&mut driver, effects, CLAIMED_AT);
    assert_eq!(calls, [Command::ReadService]);
    // The region's guard has passed.
    let around = Event::Observed(vec![Observation::Region(Arc::new(nothing_else()))]);
    let effects = driver.handle(around, at(CLAIMED_AT));
    let calls = commit_all(&mut driver, effects, CLAIMED_AT);
    assert_eq!(calls, [Command::ReadService]);
    driver
}

/// Returns a region without other hosts.
fn nothing_else() -> Region {
    Region {
        running_for: Duration::from_hours(1),
        hosts: Vec::new(),
        orders: Vec::new(),
        proofs: Vec::new(),
        processes: Vec::new(),
        nova: Err("not asked".into()),
        witnesses: Vec::new(),
        domains: std::collections::BTreeMap::new(),
    }
}

/// Commits every transaction until the driver requests no more. Returns the calls that were made.
fn commit_all(driver: &mut Driver, mut effects: Vec<Effect>, now: u64) -> Vec<Command> {
    let mut calls = Vec::new();
    loop {
        let has_commit = matches!(effects.last(), Some(Effect::Commit(..) | Effect::RenewLease(_)));
        calls.extend(effects.into_iter().flat_map(called));
        if !has_commit {
            return calls;
        }
        effects = driver.handle(written(now, OperatorState::DEFAULT), at(now));
    }
}

fn called(effect: Effect) -> Vec<Command> {
    if let Effect::Call(calls) = effect {
        calls.commands
    } else {
        Vec::new()
    }
}

fn commits(effects: &[Effect]) -> bool {
    matches!(effects.last(), Some(Effect::Commit(..)))
}

/// Covers R7.
#[test]
fn no_call_is_made_before_its_intent_is_durable() {
    let mut driver = driver();
    let effects = driver.handle(enabled(), at(10_100));
    assert!(commits(&effects), "{effects:?}");
    assert!(effects.into_iter().flat_map(called).next().is_none());
    let effects = driver.handle(written(10_150, OperatorState::DEFAULT), at(10_200));
    let call = effects.iter().find_map(|effect| {
        if let Effect::Call(calls) = effect {
            Some(calls)
        } else {
            None
        }
    });
    let call = call.unwrap();
    assert!(matches!(call.commands[..], [Command::UpdateService { .. }]));
    assert_eq!(call.intent.sent, Duration::from_millis(10_150));
    assert_eq!(call.intent.durable, Duration::from_millis(10_200));
    assert_eq!(
        driver.renewal_sent(),
        Duration::from_millis(10_150),
        "as old as its sending"
    );
}

/// Covers R1.
#[test]
fn a_lost_or_unanswered_transaction_causes_no_call_and_ends_the_driver() {
    let cases = [
        (None, DriverEnd::Uncertain(UncertainClaim::Journal)),
        (Some(WriteOutcome::Lost), DriverEnd::Lost),
        (
            Some(WriteOutcome::Rewound),
            DriverEnd::Uncertain(UncertainClaim::Rewound),
        ),
        (
            Some(WriteOutcome::Joined),
            DriverEnd::Uncertain(UncertainClaim::Joined),
        ),
    ];
    for (outcome, expected) in cases {
        let mut driver = driver();
        assert!(commits(&driver.handle(enabled(), at(10_100))));
        let sent = Duration::from_millis(10_100);
        let effects = driver.handle(Event::Journalled { sent, outcome }, at(10_200));
        assert!(
            matches!(effects[..], [Effect::End(ended)] if ended == expected),
            "{effects:?}"
        );
        assert!(driver.handle(enabled(), at(10_300)).is_empty(), "it has ended");
    }
}

/// Covers R20.
#[test]
fn an_abort_during_the_write_of_the_intent_prevents_the_call() {
    let mut driver = driver();
    assert!(commits(&driver.handle(enabled(), at(10_100))));
    let disabled = OperatorState {
        segment_enabled: false,
        ..OperatorState::DEFAULT
    };
    let mut effects = driver.handle(written(10_100, disabled.clone()), at(10_200));
    while commits(&effects) {
        assert!(effects.into_iter().flat_map(called).next().is_none());
        effects = driver.handle(written(10_200, disabled.clone()), at(10_200));
    }
    let calls: Vec<Command> = effects.into_iter().flat_map(called).collect();
    assert!(calls.iter().all(|command| !command.is_write()), "{calls:?}");
}

/// Covers R20.
#[test]
fn an_operator_action_that_a_lease_renewal_reads_applies_at_once() {
    let mut driver = driver();
    let effects = driver.handle(Event::Observed(Vec::new()), at(11_000));
    assert!(
        matches!(effects.last(), Some(Effect::RenewLease(_))),
        "{effects:?}"
    );
    let rejected = OperatorState {
        word: Some(OperatorRequest {
            number: 1,
            word: OperatorCommand::Reject,
            by: "ada".into(),
            at: Timestamp::from_micros(0),
        }),
        ..OperatorState::DEFAULT
    };
    let effects = driver.handle(written(11_000, rejected), at(11_001));
    let Some(Effect::Commit(_, write)) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(write.life, Some(Life::Closed));
}

/// Covers R12.
#[test]
fn a_refused_intent_is_decided_again_and_not_called() {
    let mut driver = driver();
    assert!(commits(&driver.handle(enabled(), at(10_100))));
    let refused = Event::Journalled {
        sent: Duration::from_millis(10_100),
        outcome: Some(WriteOutcome::HostUnderRecovery),
    };
    let effects = driver.handle(refused, at(10_200));
    for effect in &effects {
        if let Effect::Commit(_, write) = effect {
            let intent = |line: &StepWrite| line.step.kind == StepKind::Intent;
            assert!(
                !write.steps.iter().any(intent),
                "what was not written is not told: {write:?}"
            );
        }
    }
    let calls = commit_all(&mut driver, effects, 10_200);
    assert!(calls.iter().all(|command| !command.is_write()), "{calls:?}");
}

#[test]
fn a_drain_continues_if_its_end_is_refused_because_its_instances_are_being_recovered() {
    let mut claimed = claimed(RecoveryKind::Drain);
    let lasts = ("for_seconds".to_owned(), "3600".to_owned());
    let limit = ("limit_seconds".to_owned(), "600".to_owned());
    claimed.notification.payload.extend([lasts, limit]);
    let state = open(&claimed, &Policy::default()).unwrap();
    let mut driver = Driver::new(&claimed, state, Duration::from_millis(CLAIMED_AT));
    let service = Service {
        id: ServiceId(Uuid::from_u128(9)),
        host: "compute-1".into(),
        enabled: false,
        disabled_reason: None,
        up: true,
        forced_down: false,
        last_heartbeat: None,
        nova_now: None,
    };
    let observations = vec![Observation::Service(Ok(Some(service.clone())))];
    let empty = || {
        Event::Observed(vec![Observation::Inventory(Ok(Inventory {
            evacuated: Vec::new(),
            migrations: Vec::new(),
            in_cell: InCell::Has(0),
            servers: Vec::new(),
            service: Some(service.clone()),
            written_off: std::collections::BTreeMap::new(),
            may_run: std::collections::BTreeMap::new(),
            local_disks: std::collections::BTreeSet::new(),
        }))])
    };
    for (millis, event) in [
        (0, Event::Observed(Vec::new())),
        (0, Event::Observed(observations)),
        (100, empty()),
        (6_000, Event::Observed(Vec::new())),
    ] {
        let now = CLAIMED_AT + millis;
        let effects = driver.handle(event, at(now));
        commit_all(&mut driver, effects, now);
    }
    let effects = driver.handle(empty(), at(16_100));
    let Some(Effect::Commit(_, write)) = effects.last() else {
        panic!("{effects:?}");
    };
    assert!(write.freeze.is_some() && write.life == Some(Life::Closed));
    let refused = Event::Journalled {
        sent: Duration::from_millis(16_100),
        outcome: Some(WriteOutcome::InstancesUnderRecovery(vec![ServerId(
            Uuid::from_u128(7),
        )])),
    };
    let effects = driver.handle(refused, at(16_150));
    let Some(Effect::Commit(_, write)) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!((write.freeze.is_some(), write.life), (false, None));
    let (status, text) = write.notification.clone().unwrap();
    assert_eq!(status, NotificationStatus::Running);
    assert!(text.unwrap().starts_with("waits for the recoveries of instances"));
    assert!(!driver.state().is_finished());
}

#[test]
fn events_wait_for_the_running_transaction_and_a_stop_then_releases_the_claim() {
    let mut driver = driver();
    assert!(commits(&driver.handle(enabled(), at(10_100))));
    assert!(driver.handle(enabled(), at(10_110)).is_empty());
    assert!(driver.handle(Event::Stop, at(10_120)).is_empty());
    let effects = driver.handle(written(10_100, OperatorState::DEFAULT), at(10_200));
    assert!(matches!(effects.last(), Some(Effect::Release)), "{effects:?}");
    let calls: Vec<Command> = effects.into_iter().flat_map(called).collect();
    assert!(matches!(calls[..], [Command::UpdateService { .. }]), "{calls:?}");
}

/// Covers R2.
#[test]
fn a_driver_wakes_in_time_for_its_heartbeat() {
    let mut driver = driver();
    let mut now = CLAIMED_AT;
    let mut beats = 0;
    while now < CLAIMED_AT + 5_000 {
        let mut effects = driver.handle(Event::Observed(Vec::new()), at(now));
        if matches!(effects.last(), Some(Effect::RenewLease(_))) {
            beats += 1;
            assert!(now - u64::try_from(driver.renewal_sent().as_millis()).unwrap() <= 1_001);
            effects = driver.handle(written(now, OperatorState::DEFAULT), at(now));
        }
        let Some(Effect::Wait(until)) = effects.last() else {
            panic!("{effects:?}");
        };
        let until = u64::try_from(until.as_millis()).unwrap();
        assert!(until > now, "it must not spin");
        now = until;
    }
    assert!((4..=5).contains(&beats), "{beats}");
}

fn shown_at(seconds: i64) -> OperatorState {
    OperatorState {
        clock: Some(Timestamp::from_micros(seconds * 1_000_000)),
        ..OperatorState::DEFAULT
    }
}

/// Covers R2, C10.
#[test]
fn a_decision_from_before_a_stop_of_the_clocks_causes_no_call() {
    for (passed, goes_out) in [(1, true), (2, true), (3, false), (200, false), (-3_600, true)] {
        let mut driver = driver();
        let effects = driver.handle(Event::Observed(Vec::new()), at(11_000));
        assert!(
            matches!(effects.last(), Some(Effect::RenewLease(_))),
            "{effects:?}"
        );
        let effects = driver.handle(written(11_000, shown_at(10_000)), at(11_005));
        assert!(
            matches!(effects.last(), Some(Effect::Wait(_))),
            "the first is what others are measured by"
        );
        assert!(commits(&driver.handle(enabled(), at(11_100))));
        let effects = driver.handle(written(11_100, shown_at(10_000 + passed)), at(11_110));
        let ended = matches!(
            effects.last(),
            Some(Effect::End(DriverEnd::Uncertain(UncertainClaim::ClocksStopped)))
        );
        let called: Vec<Command> = effects.into_iter().flat_map(called).collect();
        assert_eq!(
            (called.len(), ended),
            (usize::from(goes_out), !goes_out),
            "{passed} s"
        );
    }
}

/// The database's clock may have advanced at most as much as this machine's, plus a margin. The journal adds the duration
/// of the transaction.
/// Covers R2, C10.
#[test]
fn a_decision_after_a_stop_of_the_clocks_is_refused_by_the_journal() {
    let mut driver = driver();
    let _ = driver.handle(Event::Observed(Vec::new()), at(11_000));
    let _ = driver.handle(written(11_000, shown_at(10_000)), at(11_005));
    let effects = driver.handle(enabled(), at(11_500));
    let Some(Effect::Commit(_, write)) = effects.last() else {
        panic!("{effects:?}");
    };
    let latest = Timestamp::from_micros(10_000_500_000).plus(MAX_CLOCK_DIFFERENCE);
    assert_eq!(write.latest, Some(latest));
    let refused = Event::Journalled {
        sent: Duration::from_millis(11_500),
        outcome: Some(WriteOutcome::TooLate),
    };
    let effects = driver.handle(refused, at(11_510));
    assert!(
        matches!(
            effects[..],
            [Effect::End(DriverEnd::Uncertain(UncertainClaim::ClocksStopped))]
        ),
        "{effects:?}"
    );
}

/// Covers R2, C10.
#[test]
fn a_slow_database_is_not_mistaken_for_stopped_clocks() {
    let mut driver = driver();
    let _ = driver.handle(Event::Observed(Vec::new()), at(11_000));
    let _ = driver.handle(written(11_000, shown_at(10_000)), at(15_000));
    let effects = driver.handle(Event::Observed(Vec::new()), at(15_500));
    assert!(
        matches!(effects.last(), Some(Effect::RenewLease(_))),
        "{effects:?}"
    );
    // The first was written right after it was sent, this one after four seconds.
    let effects = driver.handle(written(15_500, shown_at(10_009)), at(19_500));
    assert!(matches!(effects.last(), Some(Effect::Wait(_))), "{effects:?}");
}

/// Returns the driver of a process recovery, claimed after a failover of the database has lost writes.
fn rewound() -> Driver {
    let mut claimed = claimed(RecoveryKind::Process);
    let name = ("process_name".to_owned(), "nova-compute".to_owned());
    claimed.notification.payload.extend([name]);
    claimed.rewound = true;
    let state = open(&claimed, &Policy::default()).unwrap();
    Driver::new(&claimed, state, Duration::from_millis(CLAIMED_AT))
}

/// Values with their times.
type Timed<T> = Vec<(u64, T)>;

/// Runs the driver and commits every transaction. Returns the calls and the commits, with their times.
fn runs(driver: &mut Driver, until: u64) -> (Timed<Command>, Timed<Arc<journal::Write>>) {
    let mut now = CLAIMED_AT;
    let (mut calls, mut writes) = (Vec::new(), Vec::new());
    let mut effects = driver.handle(Event::Observed(Vec::new()), at(now));
    while now < until {
        let last = effects.pop().unwrap();
        calls.extend(effects.into_iter().flat_map(called).map(|call| (now, call)));
        effects = match last {
            Effect::Commit(claim, write) => {
                assert_eq!(&claim, driver.claim());
                writes.push((now, write));
                driver.handle(written(now, OperatorState::DEFAULT), at(now))
            }
            Effect::RenewLease(_) => driver.handle(written(now, OperatorState::DEFAULT), at(now)),
            Effect::Wait(wake) => {
                let wake = u64::try_from(wake.as_millis()).unwrap();
                assert!(wake > now, "it must not spin");
                now = wake;
                driver.handle(Event::Observed(Vec::new()), at(now))
            }
            other @ (Effect::Demand(..)
            | Effect::Audit(_)
            | Effect::Written(_)
            | Effect::Alarm { .. }
            | Effect::Call(_)
            | Effect::Release
            | Effect::End(_)) => panic!("{other:?}"),
        };
    }
    (calls, writes)
}

/// Covers R33.
#[test]
fn after_lost_writes_no_call_is_made_before_every_lost_call_has_taken_effect() {
    let mut driver = rewound();
    let quiet = CLAIMED_AT + 84_000;
    let (calls, writes) = runs(&mut driver, quiet + 5_000);
    assert_eq!(
        calls.first().map(|(at, _)| at / 1_000),
        Some(quiet / 1_000),
        "{calls:?}"
    );
    let (message, rest) = writes.split_first().unwrap();
    assert_eq!(message.0, CLAIMED_AT, "operators get the message at once");
    assert!(
        !message.1.rewind_done && message.1.notification.is_some(),
        "{message:?}"
    );
    assert!(message.1.state.is_none(), "the state is unchanged");
    let (over, later) = rest.split_first().unwrap();
    assert!(over.0 >= quiet && over.1.rewind_done, "{over:?}");
    assert!(over.1.state.is_some(), "with the observations");
    assert!(later.iter().all(|(_, write)| !write.rewind_done));
}

/// Covers R33.
#[test]
fn an_operator_action_and_a_stop_apply_during_the_wait_for_lost_calls() {
    let mut driver = rewound();
    let effects = driver.handle(Event::Observed(Vec::new()), at(CLAIMED_AT));
    assert!(commits(&effects), "{effects:?}");
    let disabled = OperatorState {
        segment_enabled: false,
        ..OperatorState::DEFAULT
    };
    let effects = driver.handle(written(CLAIMED_AT, disabled.clone()), at(CLAIMED_AT));
    assert!(matches!(effects.last(), Some(Effect::Wait(_))), "{effects:?}");
    // After the wait it applies, although the claim contained an older value.
    let end = CLAIMED_AT + 84_001;
    let effects = driver.handle(Event::Observed(Vec::new()), at(end));
    let Some(Effect::Commit(_, write)) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(write.life, Some(Life::Closed));
    let mut driver = rewound();
    let _ = driver.handle(Event::Observed(Vec::new()), at(CLAIMED_AT));
    let _ = driver.handle(written(CLAIMED_AT, OperatorState::DEFAULT), at(CLAIMED_AT));
    let effects = driver.handle(Event::Stop, at(CLAIMED_AT + 1_000));
    assert!(matches!(effects[..], [Effect::Release]), "{effects:?}");
}

/// Covers R33.
#[test]
fn every_write_compares_the_result_of_the_previous_one() {
    let mut driver = driver();
    let before = driver.claim().clone();
    let effects = driver.handle(enabled(), at(10_100));
    let Some(Effect::Commit(claim, _)) = effects.last() else {
        panic!("{effects:?}");
    };
    assert_eq!(claim, &before);
    let effects = driver.handle(written(10_100, OperatorState::DEFAULT), at(10_200));
    let _ = commit_all(&mut driver, effects, 10_200);
    let after = driver.claim().clone();
    assert!(after.seq > before.seq && after.beat > before.beat, "{after:?}");
    let effects = driver.handle(Event::Observed(Vec::new()), at(11_300));
    assert!(
        matches!(effects.last(), Some(Effect::RenewLease(_))),
        "{effects:?}"
    );
    let _ = driver.handle(written(11_300, OperatorState::DEFAULT), at(11_301));
    assert_eq!(
        (driver.claim().seq, driver.claim().beat),
        (after.seq, after.beat + 1)
    );
}
