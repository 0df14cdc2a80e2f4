//! Ownership of the lock on an instance.

use super::bed::{Harness, evacuation, fault, id, server, timeout};
use crate::fault::FaultClass;
use crate::host_recovery::{End, Lock, MoveStep};
use crate::nova::{Migration, MigrationType, Server};
use crate::recovery::{Command, OperatorCommand, ServerCall};

fn unlocks(bed: &Harness) -> bool {
    bed.wants(|command| *command == Command::Unlock(id(1)))
}

fn locks(bed: &Harness) -> bool {
    bed.wants(|command| matches!(command, Command::Lock { .. }))
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
    let mut bed = Harness::engine().asked();
    bed.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&bed));
    bed.answer(1, ServerCall::Unlock, Err(timeout())).tick(1_000);
    bed
}

/// Covers C12.
#[test]
fn an_unlocking_is_repeated_only_if_the_lock_is_still_ours() {
    // The owner locked it right after our unlock; the lock may have no reason.
    for owners in ["mine", ""] {
        let mut bed = unlocking_lost();
        assert!(!unlocks(&bed), "it is read first");
        bed.lock_is(1, Some(owners));
        assert!(!unlocks(&bed), "{owners:?} is kept");
        // The sent unlock may still take effect, so the move is not done before that.
        assert!(!bed.one(1).is_finished());
        bed.tick(90_000).lock_is(1, Some(owners));
        assert!(!unlocks(&bed));
        assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
    }
    let mut bed = unlocking_lost();
    bed.lock_is_ours(1);
    assert!(unlocks(&bed), "ours is removed");

    let mut bed = unlocking_lost();
    bed.lock_is(1, None);
    assert!(!unlocks(&bed), "there is no lock to remove");
}

/// Covers C7.
#[test]
fn a_lagging_replica_hides_no_lock_of_ours() {
    let mut bed = Harness::engine().asked();
    bed.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(unlocks(&bed));
    // Nova refused it; a lagging read shows the instance as before the lock.
    let refused = fault(Some(503), FaultClass::Transient, false);
    bed.answer(1, ServerCall::Unlock, Err(refused)).tick(2_000);
    bed.lock_is(1, None);
    assert!(!bed.one(1).is_finished(), "{:?}", bed.step(1));
    bed.tick(30_000).lock_is_ours(1);
    assert!(unlocks(&bed));
    bed.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
}

/// Covers C12.
#[test]
fn a_new_owner_reads_the_lock_before_it_unlocks() {
    let mut bed = Harness::engine().asked();
    bed.take_over().tick(500);
    bed.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    assert!(!unlocks(&bed), "the last one may have unlocked it already");
    bed.lock_is(1, Some("mine"));
    assert!(!unlocks(&bed));
    bed.tick(90_000).lock_is(1, Some("mine"));
    assert!(!unlocks(&bed));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
}

/// A late unlock would remove the lock of the next recovery that moves the instance (seed 930026412).
/// Covers R12.
#[test]
fn an_unlocking_that_the_last_owner_may_have_sent_is_waited_for() {
    let mut bed = Harness::engine().asked();
    let done = || vec![evacuation(1, 1, "done", Some("b"))];
    bed.lists(vec![], done());
    assert!(unlocks(&bed));
    bed.take_over().tick(500);
    bed.lists(vec![], done());
    bed.lock_is(1, None);
    assert!(!bed.one(1).is_finished(), "{:?}", bed.step(1));
    bed.tick(90_000).lock_is(1, None);
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
    // No unlock was sent during a running evacuation.
    let mut bed = Harness::engine().asked();
    bed.take_over().tick(500);
    bed.lists(vec![server(1)], vec![evacuation(1, 1, "running", Some("b"))]);
    bed.tick(1_000).lists(vec![], done());
    bed.lock_is(1, Some("mine"));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
}

/// Covers C12.
#[test]
fn nothing_stays_locked_or_open_for_ever() {
    // Nova refuses it permanently.
    let mut bed = unlocking_lost();
    let refusal = fault(Some(403), FaultClass::Permanent, false);
    for _ in 0..8 {
        if bed.wants(|command| *command == Command::ReadServer(id(1))) {
            bed.lock_is_ours(1);
        }
        if unlocks(&bed) {
            bed.answer(1, ServerCall::Unlock, Err(refusal.clone()));
        }
        bed.tick(31_000);
    }
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
    assert!(bed.one(1).note.clone().unwrap().contains("still locked"));

    // The owner has deleted the instance.
    let mut bed = unlocking_lost();
    bed.reads(1, None).tick(5_000).reads(1, None);
    assert_eq!(bed.step(1), &MoveStep::Over(End::Moved));
}

/// Covers C12.
#[test]
fn a_nova_that_shows_no_reasons_is_unlocked_as_before() {
    let mut bed = unlocking_lost();
    let seen = Server {
        locked: true,
        locked_reason: None,
        ..server(1)
    };
    bed.reads(1, Some(seen));
    assert!(unlocks(&bed));
}

/// Covers C12.
#[test]
fn an_owners_lock_that_is_set_after_the_plan_is_kept() {
    let mut bed = Harness::engine().proven();
    bed.forced_down().operator_state(false, false);
    bed.inventory(vec![server(1)], vec![]);
    assert!(!locks(&bed), "nothing starts in a disabled segment");
    bed.tick(1_000).lists(vec![locked("mine")], vec![]);
    bed.operator_state(true, false);
    assert!(!locks(&bed), "{:?}", bed.commands);
    assert_eq!(bed.one(1).lock, Lock::Owners);
}

/// Covers C12.
#[test]
fn a_held_instance_is_locked_until_its_end() {
    let elsewhere = Migration {
        kind: MigrationType::LiveMigration,
        status: "running".into(),
        ..evacuation(1, 1, "running", Some("b"))
    };
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![server(1)], vec![elsewhere]);
    assert_eq!(bed.step(1), &MoveStep::Held);
    assert!(
        locks(&bed),
        "its owner is not to start it while it may run elsewhere"
    );
    bed.answer(1, ServerCall::Lock, Ok(()));
    bed.tick(1_000).command(OperatorCommand::Reject);
    assert!(unlocks(&bed), "{:?}", bed.commands);
    bed.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(bed.step(1), &MoveStep::Over(End::Person));
}

fn locking(bed: &Harness) -> Vec<u128> {
    let is_locked = |number: &u128| {
        bed.wants(|command| matches!(command, Command::Lock { server, .. } if *server == id(*number)))
    };
    (1..=40).filter(is_locked).collect()
}

/// Covers R12.
#[test]
fn distant_instances_are_locked_in_the_background() {
    let servers: Vec<Server> = (1..=40).map(server).collect();
    let mut bed = Harness::with("UNKNOWN", |policy| policy.queued = 4).proven();
    bed.forced_down().inventory(servers, Vec::new());
    assert_eq!(locking(&bed), [1, 2, 3, 4], "the next ones to evacuate");
    for number in 1..=4 {
        bed.answer(number, ServerCall::Lock, Ok(()));
    }
    assert!((1..=4).all(|number| bed.is_asked(number)));
    let asked =
        |bed: &Harness| -> Vec<u128> { (1..=40).filter(|one| bed.one(*one).lock == Lock::Asked).collect() };
    // All of them are locked well before their turn; they wait only for one another.
    for _ in 0..200 {
        let asked = asked(&bed);
        let far = asked.iter().filter(|number| **number > 8).count();
        assert!(far <= 1, "{asked:?}");
        if let Some(first) = asked.first() {
            bed.answer(*first, ServerCall::Lock, Ok(()));
        }
    }
    assert!((1..=40).all(|number| bed.one(number).lock == Lock::Ours));
}

/// Covers R12.
#[test]
fn a_returned_instance_is_unlocked_when_nova_is_idle_or_after_ten_seconds() {
    let record =
        |number: u128, status, dest| evacuation(u64::try_from(number).unwrap(), number, status, dest);
    let mut bed = Harness::engine().planned((1..=3).map(server).collect());
    for number in 1..=3 {
        bed.answer(number, ServerCall::Evacuate, Ok(()));
    }
    bed.tick(500).lists(
        vec![server(3)],
        vec![
            record(1, "done", Some("b")),
            record(2, "done", Some("c")),
            record(3, "pre-migrating", Some("b")),
        ],
    );
    assert!(!unlocks(&bed), "another one is still down");
    bed.tick(9_999);
    assert!(!unlocks(&bed), "another one is still down");
    bed.tick(1);
    let unlocking = |bed: &Harness| {
        (1..=3)
            .filter(|one| matches!(bed.step(*one), MoveStep::Unlocking { asked: true, .. }))
            .count()
    };
    assert_eq!(unlocking(&bed), 1, "one at a time beside the evacuations");
    bed.lists(
        vec![],
        vec![
            record(1, "done", Some("b")),
            record(2, "done", Some("c")),
            record(3, "done", Some("b")),
        ],
    );
    assert_eq!(unlocking(&bed), 3, "no instance is down any more");
}

/// Nova refuses every call for a while, and then this lock.
/// Covers R12.
#[test]
fn a_lock_that_nova_refuses_is_noted_until_the_end_and_a_401_refuses_none() {
    let mut bed = Harness::engine().proven();
    bed.forced_down().inventory(vec![server(1)], vec![]);
    for _ in 0..8 {
        assert_eq!(bed.one(1).lock, Lock::Asked);
        bed.answer(
            1,
            ServerCall::Lock,
            Err(fault(Some(401), FaultClass::Fatal, false)),
        );
        assert!(!bed.evacuates_any(), "it is not locked");
        bed.tick(30_000).service().lists(vec![server(1)], vec![]);
    }
    assert_eq!(bed.one(1).lock, Lock::Asked);
    bed.answer(
        1,
        ServerCall::Lock,
        Err(fault(Some(403), FaultClass::Permanent, false)),
    );
    assert_eq!(bed.one(1).lock, Lock::None);
    let one = bed.state.moves.get_mut(&id(1)).unwrap();
    one.clear_note();
    assert_eq!(one.note.as_deref(), Some("it could not be locked"));
}
