//! Requests, answers, and the end of a move.

use super::harness::{Harness, evacuation, fault, id, server, timeout, unavailable};
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::host_recovery::{End, Lock, MoveStep};
use crate::nova::Server;
use crate::power::Power;
use crate::recovery::{Command, Life, Observation, OperatorCommand, ServerCall};

fn unlocks(harness: &Harness) -> bool {
    harness.requests(|command| matches!(command, Command::Unlock(_)))
}

/// Covers R7.
#[test]
fn an_ordinary_move_takes_three_transactions_after_the_plans() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&harness));
    harness.over(vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
    assert_eq!(harness.writes[&id(1)] - 1, 3);
    assert_eq!(harness.one(1).dest.as_deref(), Some("b"));
    assert_eq!(harness.record.life, Some(Life::Watching));
}

#[test]
fn the_intent_is_written_before_the_call() {
    let harness = Harness::engine().planned(vec![server(1)]);
    assert!(harness.evacuates(1));
    assert!(harness.record.moves.contains(&id(1)));
}

/// Covers R17.
#[test]
fn no_evacuation_is_requested_with_a_stale_reading() {
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    harness.answer(1, ServerCall::Evacuate, Err(unavailable()));
    harness.at += 31_000;
    harness.lists(vec![server(1), server(2)], vec![]);
    assert!(!harness.evacuates_any(), "the proof is older than 30 s");
    assert!(harness.reads_power());
    harness.power(Power::Off);
    assert!(harness.evacuates(1));
}

/// Covers R17.
#[test]
fn an_unclear_reading_renews_no_proof_and_is_shown() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(1, ServerCall::Evacuate, Err(unavailable()));
    harness.at += 31_000;
    harness.lists(vec![server(1)], vec![]).power(Power::Unknown);
    assert!(!harness.evacuates_any());
    harness.tick(4_000);
    assert!(harness.message.as_deref().unwrap().contains("does not show"));
}

/// Covers R16.
#[test]
fn the_heartbeat_is_recorded_before_the_first_request() {
    let mut harness = Harness::engine().proven();
    harness.service.forced_down = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service))).tick(1);
    assert!(
        !harness.requests(lists),
        "a read of the record is in flight, and lists start with it"
    );
    harness.see(Observation::Service(Err(timeout())));
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { shown: false, .. })));
    // A lagging replica of Nova's database.
    harness.service.forced_down = false;
    harness
        .inventory(vec![server(1)], vec![])
        .answer(1, ServerCall::Lock, Ok(()));
    assert!(!harness.evacuates_any());
    harness.service.forced_down = true;
    harness.tick(1_100).service();
    assert!(harness.evacuates(1));
}

fn lists(command: &Command) -> bool {
    matches!(command, Command::TakeInventory { .. })
}

/// A read of the service record costs Nova as much as a list of a few instances.
#[test]
fn one_read_of_the_service_precedes_the_lists_and_one_after_them_counts_too() {
    let mut harness = Harness::engine().proven();
    harness.service.forced_down = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    harness.at += 1;
    harness.service();
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { shown: true, .. })));
    harness.at += 4_000;
    harness
        .inventory(vec![server(1)], vec![])
        .answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1));
    let service_read = |command: &Command| *command == Command::ReadService;
    harness.at += 900;
    harness.tick(0);
    assert!(!harness.requests(service_read));
    harness.tick(200);
    assert!(
        harness.requests(service_read),
        "it was requested together with the lists"
    );
}

#[test]
fn the_service_record_in_the_lists_can_show_the_host_up() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { shown: true, .. })));
    harness.at += 4_000;
    harness.heartbeat_age(1);
    harness.inventory(vec![server(1)], vec![]);
    assert!(!harness.evacuates_any());
    assert!(
        harness
            .message
            .as_deref()
            .unwrap_or_default()
            .contains("heartbeat"),
        "{:?}",
        harness.message
    );
}

#[test]
fn no_evacuation_is_requested_with_stale_lists() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(401), FaultClass::Fatal, false)),
    );
    harness.at += 31_000;
    harness.power(Power::Off);
    assert!(
        !harness.evacuates_any(),
        "another client may have requested one meanwhile"
    );
    assert!(harness.requests(|command| matches!(command, Command::ReadEvacuations { .. })));
    harness.records(vec![evacuation(4, 1, "pre-migrating", Some("b"))]);
    assert!(!harness.evacuates_any(), "another client has");
    assert!(harness.requests(|command| matches!(command, Command::ReadLists { .. })));
    harness.lists(
        vec![server(1)],
        vec![evacuation(4, 1, "pre-migrating", Some("b"))],
    );
    assert!(!harness.evacuates_any());
    assert!(harness.is_asked(1), "another client's evacuation is followed");
}

#[test]
fn every_answer_to_an_evacuation_is_handled() {
    enum Wanted {
        Following,
        Waiting,
    }
    let cases = [
        ("time-out", timeout(), Wanted::Following),
        (
            "503 that may have been done",
            fault(Some(503), FaultClass::Transient, true),
            Wanted::Following,
        ),
        ("429", unavailable(), Wanted::Waiting),
        ("401", fault(Some(401), FaultClass::Fatal, false), Wanted::Waiting),
        (
            "400",
            fault(Some(400), FaultClass::Permanent, false),
            Wanted::Waiting,
        ),
        (
            "409",
            fault(Some(409), FaultClass::Conflict, false),
            Wanted::Waiting,
        ),
        (
            "404",
            fault(Some(404), FaultClass::Permanent, false),
            Wanted::Waiting,
        ),
    ];
    for (name, answer, expected) in cases {
        let mut harness = Harness::engine().planned(vec![server(1)]);
        harness.answer(1, ServerCall::Evacuate, Err(answer));
        match expected {
            Wanted::Following => assert!(harness.is_asked(1), "{name}"),
            Wanted::Waiting => assert!(harness.is_waiting(1), "{name}"),
        }
        assert!(!harness.evacuates_any(), "not at once: {name}");
    }
}

#[test]
fn a_refused_evacuation_is_retried_after_a_check_and_finally_needs_an_operator() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let refused = || fault(Some(400), FaultClass::Permanent, false);
    for attempt in 1..=3 {
        assert!(harness.evacuates(1), "attempt {attempt}");
        harness.answer(1, ServerCall::Evacuate, Err(refused()));
        if attempt == 3 {
            break;
        }
        assert!(
            harness.requests(|command| *command == Command::ReadServer(id(1))),
            "looked at"
        );
        assert!(
            harness.requests(|command| *command == Command::ReadService),
            "looked at"
        );
        harness.at += 4_000;
        harness.service();
        assert!(!harness.evacuates_any());
        harness.reads(1, Some(server(1)));
    }
    harness.over(vec![server(1)]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
    assert_eq!(harness.status, NotificationStatus::Failed);
    assert!(harness.message.as_deref().unwrap().contains("vm-1"), "named");
    assert!(
        harness
            .one(1)
            .note
            .as_deref()
            .unwrap()
            .contains("nova: Some(400)"),
        "with the cause"
    );
}

/// Covers R7, R12.
#[test]
fn an_instance_found_elsewhere_is_not_evacuated_by_a_new_owner() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let refused = fault(Some(400), FaultClass::Permanent, false);
    harness.answer(1, ServerCall::Evacuate, Err(refused));
    let on_other_host = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.tick(100).reads(1, Some(on_other_host));
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { .. }),
        "{:?}",
        harness.step(1)
    );
    harness.take_over();
    for _ in 0..3 {
        harness.tick(2_000).service();
        harness.power(Power::Off);
        assert!(
            !harness.evacuates(1),
            "it may be unlocked already: {:?}",
            harness.step(1)
        );
    }
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { .. }),
        "{:?}",
        harness.step(1)
    );
}

/// Covers EW1.
#[test]
fn an_instance_that_moves_on_the_second_attempt_is_moved() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "failed", Some("b"))]);
    assert!(harness.is_waiting(1));
    harness.tick(1_100);
    assert!(harness.evacuates(1));
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1);
    harness.lists(
        vec![],
        vec![
            evacuation(2, 1, "done", Some("c")),
            evacuation(1, 1, "failed", Some("b")),
        ],
    );
    harness.over(vec![]);
    assert_eq!(harness.status, NotificationStatus::Finished);
}

/// Covers R5, R12.
#[test]
fn unlocking_is_repeated_until_nova_has_answered_and_none_can_come_late() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    for _ in 0..4 {
        assert!(unlocks(&harness));
        harness.answer(1, ServerCall::Unlock, Err(timeout()));
        assert_eq!(harness.status, NotificationStatus::Running);
        harness.tick(31_000).lock_is_ours(1);
    }
    // One of the unlocks may still take effect, and would remove the lock of the next recovery.
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(!harness.one(1).is_finished());
    harness.tick(48_000);
    assert!(!harness.requests(|command| *command == Command::ReadServer(id(1))));
    harness.tick(1_000).lock_is_ours(1);
    assert!(unlocks(&harness), "D + Q after the last one without an answer");
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// Covers R12.
#[test]
fn a_lock_that_may_come_late_is_removed_late_too() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    harness.answer(1, ServerCall::Lock, Err(timeout()));
    let unanswered_at = harness.at;
    harness.tick(1_000).answer(1, ServerCall::Lock, Ok(()));
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(10);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&harness), "its owner need not wait");
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(!harness.one(1).is_finished());
    harness.at = unanswered_at + 79_000;
    harness.tick(0);
    assert!(!harness.requests(|command| *command == Command::ReadServer(id(1))));
    harness.tick(1_000).lock_is_ours(1);
    assert!(unlocks(&harness), "D + Q after the call");
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(harness.one(1).is_finished());
}

/// The engine may have been stopped, or Nova slow. When the answer arrives no earlier call can take effect, but
/// one could when Nova executed the unlock.
/// Covers R5, R12.
#[test]
fn an_unlock_counts_from_its_sending_and_not_from_its_answer() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    harness.answer(1, ServerCall::Lock, Err(timeout()));
    let unanswered_at = harness.at;
    harness.tick(1_000).answer(1, ServerCall::Lock, Ok(()));
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(10);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&harness));
    harness.at = unanswered_at + 200_000;
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(!harness.one(1).is_finished(), "the lock may have come after it");
    harness.lock_is_ours(1);
    assert!(unlocks(&harness));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(harness.one(1).is_finished());
}

#[test]
fn every_answer_to_a_lock_is_handled() {
    let cases = [
        ("429", unavailable(), Lock::Wanted),
        ("no answer", timeout(), Lock::Wanted),
        ("403", fault(Some(403), FaultClass::Permanent, false), Lock::None),
        (
            "401 once",
            fault(Some(401), FaultClass::Fatal, false),
            Lock::Wanted,
        ),
    ];
    for (name, answer, lock) in cases {
        let mut harness = Harness::engine().proven();
        harness.forced_down().inventory(vec![server(1)], vec![]);
        harness.answer(1, ServerCall::Lock, Err(answer));
        assert_eq!(harness.one(1).lock, lock, "{name}");
        harness.at += 900;
        harness.tick(200);
        assert_eq!(harness.evacuates(1), lock == Lock::None, "{name}");
    }
}

#[test]
fn repeated_failures_of_calls_are_shown() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    for _ in 0..6 {
        harness
            .answer(1, ServerCall::Evacuate, Err(unavailable()))
            .tick(20_000);
        harness.power(Power::Off).lists(vec![server(1)], vec![]);
    }
    assert!(harness.message.as_deref().unwrap().contains("vm-1"));
    assert!(harness.message_count <= 2, "{}", harness.message_count);
}

#[test]
fn each_unsent_call_is_decided_again() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    let lock = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    harness.see(Observation::NotSent(lock.clone()));
    assert!(harness.requests(|command| *command == lock));
    harness.answer(1, ServerCall::Lock, Ok(()));
    let evacuate = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    harness.see(Observation::NotSent(evacuate.clone()));
    assert!(harness.requests(|command| *command == evacuate));
    assert!(harness.record.moves.contains(&id(1)), "R4: journalled again");
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.see(Observation::NotSent(Command::Unlock(id(1))));
    assert!(unlocks(&harness));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(harness.one(1).is_finished());
}

#[test]
fn a_late_not_sent_does_not_reopen_a_move() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    let evacuate = harness
        .commands
        .iter()
        .find(|command| command.is_write())
        .cloned()
        .unwrap();
    harness.answer(
        1,
        ServerCall::Evacuate,
        Err(fault(Some(404), FaultClass::Permanent, false)),
    );
    harness.gone(1);
    harness.see(Observation::NotSent(evacuate));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
}

#[test]
fn the_first_of_two_observations_starts_nothing_that_the_second_blocks() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    let locked = Observation::ServerCall {
        server: id(1),
        call: ServerCall::Lock,
        result: Ok(()),
    };
    harness.power(Power::Off);
    let alive = Observation::Power {
        target: super::harness::target("bmc"),
        waited: std::time::Duration::ZERO,
        started: crate::Elapsed::from_millis(harness.at),
        result: Ok(crate::power::PowerReading {
            power: Power::On,
            raw: "on".into(),
            device: "bmc".into(),
            at: crate::Timestamp::from_micros(0),
            machine: None,
        }),
    };
    harness.see_all(vec![locked, alive]);
    assert!(!harness.evacuates_any());
}

#[test]
fn a_rejected_recovery_starts_nothing_and_follows_moves_in_flight() {
    let mut harness =
        Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
    harness
        .answer(1, ServerCall::Evacuate, Ok(()))
        .command(OperatorCommand::Reject);
    harness.tick(1_000);
    assert_eq!(
        harness.status,
        NotificationStatus::Running,
        "no terminal status while a move is open"
    );
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(!harness.evacuates(2));
    harness.over(vec![server(2)]);
    harness.over(vec![server(2)]);
    assert_eq!(harness.step(2), &MoveStep::Done(End::Person));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    assert_eq!(harness.status, NotificationStatus::Failed);
}

#[test]
fn no_instance_is_requested_while_that_is_blocked() {
    type Forbid = fn(&mut Harness);
    let cases: [(&str, Forbid); 3] = [
        ("segment disabled", |harness| {
            harness.operator_state(false, false);
        }),
        ("operator's maintenance", |harness| {
            harness.operator_state(true, true);
        }),
        ("host seen on", |harness| {
            harness.power(Power::On);
        }),
    ];
    for (name, forbid) in cases {
        let mut harness =
            Harness::with("UNKNOWN", |policy| policy.in_flight = 1).planned(vec![server(1), server(2)]);
        harness.answer(1, ServerCall::Evacuate, Ok(()));
        forbid(&mut harness);
        harness.tick(1_000).answer(2, ServerCall::Lock, Ok(()));
        harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
        assert!(unlocks(&harness), "what is in flight is seen to its end: {name}");
        assert!(!harness.evacuates_any(), "{name}");
        harness.tick(1_000);
        assert!(!harness.evacuates_any(), "{name}");
        assert!(harness.message.is_some(), "{name}");
    }
}

#[test]
fn a_late_answer_is_not_taken_for_that_of_another_call() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.at += 1;
    // The record exists before the answer, and Nova has failed it.
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "failed", None)]);
    harness.tick(5_000);
    assert!(!harness.evacuates_any(), "the first call has not been answered");
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    assert!(harness.evacuates(1));
}
