//! Ownership of the lock on an instance.

use super::harness::{Harness, evacuation, fault, id, server, timeout};
use crate::fault::FaultClass;
use crate::host_recovery::{End, Lock, MoveStep};
use crate::nova::{Migration, MigrationType, Server};
use crate::recovery::{Command, Observation, OperatorCommand, ServerCall};

fn unlocks(harness: &Harness) -> bool {
    harness.requests(|command| *command == Command::Unlock(id(1)))
}

fn locks(harness: &Harness) -> bool {
    harness.requests(|command| matches!(command, Command::Lock { .. }))
}

fn locked(reason: &str) -> Server {
    Server {
        locked: true,
        locked_reason: Some(reason.into()),
        ..server(1)
    }
}

/// Returns a recovery whose instance is moved and whose unlock got no answer.
fn unlocking_lost() -> Harness {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&harness));
    harness.answer(1, ServerCall::Unlock, Err(timeout())).tick(1_000);
    harness
}

/// Covers C12.
#[test]
fn an_unlocking_is_repeated_only_if_the_lock_is_still_ours() {
    // The owner locked it right after our unlock; the lock may have no reason.
    for owners in ["mine", ""] {
        let mut harness = unlocking_lost();
        assert!(!unlocks(&harness), "it is read first");
        harness.lock_is(1, Some(owners));
        assert!(!unlocks(&harness), "{owners:?} is kept");
        // The sent unlock may still take effect, so the move is not done before that.
        assert!(!harness.one(1).is_finished());
        harness.tick(90_000).lock_is(1, Some(owners));
        assert!(!unlocks(&harness));
        assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    }
    let mut harness = unlocking_lost();
    harness.lock_is_ours(1);
    assert!(unlocks(&harness), "ours is removed");

    let mut harness = unlocking_lost();
    harness.lock_is(1, None);
    assert!(!unlocks(&harness), "there is no lock to remove");
}

/// Covers C7.
#[test]
fn a_lagging_replica_hides_no_lock_of_ours() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&harness));
    // Nova refused it; a lagging read shows the instance as before the lock.
    let refused = fault(Some(503), FaultClass::Transient, false);
    harness.answer(1, ServerCall::Unlock, Err(refused)).tick(2_000);
    harness.lock_is(1, None);
    assert!(!harness.one(1).is_finished(), "{:?}", harness.step(1));
    harness.tick(30_000).lock_is_ours(1);
    assert!(unlocks(&harness));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// Covers C12.
#[test]
fn a_new_owner_reads_the_lock_before_it_unlocks() {
    let mut harness = Harness::engine().requested();
    harness.take_over().tick(500);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(!unlocks(&harness), "the last one may have unlocked it already");
    harness.lock_is(1, Some("mine"));
    assert!(!unlocks(&harness));
    harness.tick(90_000).lock_is(1, Some("mine"));
    assert!(!unlocks(&harness));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// A late unlock would remove the lock of the next recovery that moves the instance (seed 930026412).
/// Covers R12.
#[test]
fn an_unlocking_that_the_last_owner_may_have_sent_is_waited_for() {
    let mut harness = Harness::engine().requested();
    let done = || vec![evacuation(1, 1, "done", Some("b"))];
    harness.lists(vec![], done());
    assert!(unlocks(&harness));
    harness.take_over().tick(500);
    harness.lists(vec![], done());
    harness.lock_is(1, None);
    assert!(!harness.one(1).is_finished(), "{:?}", harness.step(1));
    harness.tick(90_000).lock_is(1, None);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    // No unlock was sent during a running evacuation.
    let mut harness = Harness::engine().requested();
    harness.take_over().tick(500);
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "running", Some("b"))]);
    harness.tick(1_000).lists(vec![], done());
    harness.lock_is(1, Some("mine"));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// Covers C12.
#[test]
fn nothing_stays_locked_or_open_for_ever() {
    // Nova refuses it permanently.
    let mut harness = unlocking_lost();
    let refusal = fault(Some(403), FaultClass::Permanent, false);
    for _ in 0..8 {
        if harness.requests(|command| *command == Command::ReadServer(id(1))) {
            harness.lock_is_ours(1);
        }
        if unlocks(&harness) {
            harness.answer(1, ServerCall::Unlock, Err(refusal.clone()));
        }
        harness.tick(31_000);
    }
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
    assert!(harness.one(1).note.clone().unwrap().contains("still locked"));

    // The owner has deleted the instance.
    let mut harness = unlocking_lost();
    harness.reads(1, None).tick(5_000).reads(1, None);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

/// Covers C12.
#[test]
fn a_nova_that_shows_no_reasons_is_unlocked_as_before() {
    let mut harness = unlocking_lost();
    let shown = Server {
        locked: true,
        locked_reason: None,
        ..server(1)
    };
    harness.reads(1, Some(shown));
    assert!(unlocks(&harness));
}

/// Covers C12.
#[test]
fn an_owners_lock_that_is_set_after_the_plan_is_kept() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().operator_state(false, false);
    harness.inventory(vec![server(1)], vec![]);
    assert!(!locks(&harness), "nothing starts in a disabled segment");
    harness.tick(1_000).lists(vec![locked("mine")], vec![]);
    harness.operator_state(true, false);
    assert!(!locks(&harness), "{:?}", harness.commands);
    assert_eq!(harness.one(1).lock, Lock::Owners);
}

/// Covers C12.
#[test]
fn a_held_instance_is_locked_until_its_end() {
    let other_move = Migration {
        kind: MigrationType::LiveMigration,
        status: "running".into(),
        ..evacuation(1, 1, "running", Some("b"))
    };
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![other_move]);
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    assert!(
        locks(&harness),
        "its owner is not to start it while it may run elsewhere"
    );
    harness.answer(1, ServerCall::Lock, Ok(()));
    harness.tick(1_000).command(OperatorCommand::Reject);
    assert!(unlocks(&harness), "{:?}", harness.commands);
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Person));
}

fn locking(harness: &Harness) -> Vec<u128> {
    let is_locked = |number: &u128| {
        harness.requests(|command| matches!(command, Command::Lock { server, .. } if *server == id(*number)))
    };
    (1..=40).filter(is_locked).collect()
}

/// Covers R12.
#[test]
fn distant_instances_are_locked_in_the_background() {
    let servers: Vec<Server> = (1..=40).map(server).collect();
    let mut harness = Harness::with("UNKNOWN", |policy| policy.queued = 4).proven();
    harness.forced_down().inventory(servers, Vec::new());
    assert_eq!(locking(&harness), [1, 2, 3, 4], "the next ones to evacuate");
    for number in 1..=4 {
        harness.answer(number, ServerCall::Lock, Ok(()));
    }
    assert!((1..=4).all(|number| harness.is_asked(number)));
    let requested = |harness: &Harness| -> Vec<u128> {
        (1..=40)
            .filter(|number| harness.one(*number).lock == Lock::Asked)
            .collect()
    };
    // All of them are locked well before their turn; they wait only for one another.
    for _ in 0..200 {
        let requested = requested(&harness);
        let far = requested.iter().filter(|number| **number > 8).count();
        assert!(far <= 1, "{requested:?}");
        if let Some(first) = requested.first() {
            harness.answer(*first, ServerCall::Lock, Ok(()));
        }
    }
    assert!((1..=40).all(|number| harness.one(number).lock == Lock::Ours));
}

/// Covers R12.
#[test]
fn a_returned_instance_is_unlocked_when_nova_is_idle_or_after_ten_seconds() {
    let record =
        |number: u128, status, dest| evacuation(u64::try_from(number).unwrap(), number, status, dest);
    let mut harness = Harness::engine().planned((1..=3).map(server).collect());
    for number in 1..=3 {
        harness.answer(number, ServerCall::Evacuate, Ok(()));
    }
    harness.tick(500).lists(
        vec![server(3)],
        vec![
            record(1, "done", Some("b")),
            record(2, "done", Some("c")),
            record(3, "pre-migrating", Some("b")),
        ],
    );
    assert!(!unlocks(&harness), "another one is still down");
    harness.tick(9_999);
    assert!(!unlocks(&harness), "another one is still down");
    harness.tick(1);
    let unlocking = |harness: &Harness| {
        (1..=3)
            .filter(|number| matches!(harness.step(*number), MoveStep::Unlocking { requested: true, .. }))
            .count()
    };
    assert_eq!(unlocking(&harness), 1, "one at a time beside the evacuations");
    harness.lists(
        vec![],
        vec![
            record(1, "done", Some("b")),
            record(2, "done", Some("c")),
            record(3, "done", Some("b")),
        ],
    );
    assert_eq!(unlocking(&harness), 3, "no instance is down any more");
}

/// Nova refuses every call for a while, and then this lock.
/// Covers R12.
#[test]
fn a_lock_that_nova_refuses_is_noted_until_the_end_and_a_401_refuses_none() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    for _ in 0..8 {
        assert_eq!(harness.one(1).lock, Lock::Asked);
        harness.answer(
            1,
            ServerCall::Lock,
            Err(fault(Some(401), FaultClass::Fatal, false)),
        );
        assert!(!harness.evacuates_any(), "it is not locked");
        harness.tick(30_000).service().lists(vec![server(1)], vec![]);
    }
    assert_eq!(harness.one(1).lock, Lock::Asked);
    harness.answer(
        1,
        ServerCall::Lock,
        Err(fault(Some(403), FaultClass::Permanent, false)),
    );
    assert_eq!(harness.one(1).lock, Lock::None);
    let instance = harness.state.moves.get_mut(&id(1)).unwrap();
    instance.clear_note();
    assert_eq!(instance.note.as_deref(), Some("it could not be locked"));
}

/// The journal has lost the end of the move, and with it the unlocking.
/// Covers R12, R33.
#[test]
fn an_instance_is_locked_again_after_the_journal_lost_its_latest_writes() {
    for is_failed in [true, false] {
        let mut harness = Harness::engine().requested();
        let records = if is_failed {
            vec![evacuation(1, 1, "error", Some("b"))]
        } else {
            vec![]
        };
        harness.tick(1_000).lists(vec![server(1)], records.clone());
        assert_eq!(harness.one(1).lock, Lock::Ours);
        harness.see(Observation::Rewound).take_over().service();
        let unlocked = vec![server(1)];
        harness.tick(60_000).service().inventory(unlocked, records);
        assert!(locks(&harness), "{:?}", harness.commands);
        assert!(!harness.evacuates_any());
        harness.answer(1, ServerCall::Lock, Ok(()));
        assert_eq!(harness.one(1).lock, Lock::Ours);
        assert_eq!(harness.is_waiting(1), is_failed, "{:?}", harness.step(1));
    }
}
