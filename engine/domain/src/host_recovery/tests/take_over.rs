//! The owner dies in each stage, and another one continues.

use std::collections::{BTreeMap, BTreeSet};

use super::harness::{Harness, evacuation, id, nova_time, server, timeout};
use crate::host_recovery::{End, HoldKind, Lock, MoveStep, Preparation, Stage};
use crate::id::ServerId;
use crate::nova::{Migration, PowerState, Server, VmState};
use crate::power::Power;
use crate::recovery::{Command, InCell, Inventory, Observation, OperatorCommand, ServerCall};

#[test]
fn a_takeover_at_the_start_counts_the_hosts_again() {
    let mut harness = Harness::engine();
    harness.claim();
    assert!(harness.requests(|command| *command == Command::ScanHosts));
    harness.storm(5, 5).take_over();
    assert_eq!(
        harness.state.hold.as_ref().unwrap().kind,
        HoldKind::Storm,
        "held is held"
    );
}

#[test]
fn a_single_reading_does_not_survive_a_takeover() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(5_000).service().power(Power::Off);
    harness.take_over().tick(3_000);
    harness.power(Power::Off);
    assert!(harness.state.proof.is_none());
}

/// Covers R5.
#[test]
fn an_order_of_the_last_owner_is_checked_and_not_repeated() {
    let mut harness = Harness::engine().begun();
    harness.heartbeat_age(20_000).service().power(Power::On);
    assert!(harness.orders_off());
    harness.take_over();
    for _ in 0..15 {
        harness
            .tick(5_000)
            .heartbeat_age(100_000)
            .service()
            .power(Power::On);
        assert!(!harness.orders_off(), "at {}", harness.at);
    }
    harness.tick(6_000);
    assert!(harness.orders_off());
}

#[test]
fn a_proof_counts_for_a_new_owner_only_after_its_own_check() {
    // Elapsed time does not advance without an owner: a reading that looks recent may be hours old.
    let mut harness = Harness::engine().planned(vec![server(1), server(2)]);
    harness.answer(1, ServerCall::Evacuate, Err(super::harness::unavailable()));
    harness.take_over();
    assert!(!harness.state.is_proven_off(), "nor to others");
    assert!(harness.record.head);
    harness.service().lists(vec![server(1), server(2)], vec![]);
    harness.answer(1, ServerCall::Lock, Ok(())).tick(100);
    assert!(!harness.evacuates_any());
    assert!(harness.state.proof.is_some());
    harness.at += 1;
    harness.power(Power::Off);
    assert!(
        harness.state.is_proven_off() && harness.record.head,
        "others may count on it again"
    );
}

#[test]
fn a_new_owner_renews_the_proof_and_a_host_found_on_is_alive() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.take_over();
    harness.at += 10;
    harness.power(Power::On);
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
}

#[test]
fn a_claim_is_bound_to_the_stored_heartbeat() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    harness.take_over();
    harness.at += 10;
    harness.heartbeat_age(20_000);
    harness.service.last_heartbeat = harness
        .service
        .last_heartbeat
        .map(|at| crate::Timestamp::from_micros(at.micros() + 60_000_000));
    harness.service();
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
}

#[test]
fn without_a_stored_heartbeat_forced_down_is_set_again() {
    let mut harness = Harness::engine().proven();
    harness.service.forced_down = true;
    let service = harness.service.clone();
    harness.see(Observation::ServiceUpdated(Ok(service)));
    harness.take_over();
    assert_eq!(harness.state.stage, Stage::Disabling);
}

#[test]
fn a_change_that_was_not_answered_moves_the_heartbeat_and_silence_is_waited_for_again() {
    let mut harness = Harness::external().begun();
    harness.heartbeat_age(20_000).service();
    assert!(harness.updates().is_some());
    harness.take_over();
    // Nova shows the time of the change as the heartbeat.
    harness.service.forced_down = true;
    harness.service.up = false;
    harness.at += 1;
    harness.heartbeat_age(2_000).service();
    assert!(harness.state.hold.is_none(), "not taken for a sign of life");
    assert!(harness.updates().is_none());
    harness.at += 14_000;
    harness.service();
    assert!(harness.updates().is_none(), "its age shows less than watching it");
    harness.at += 1_000;
    harness.service();
    assert!(harness.updates().is_some(), "it has stood still");
}

/// A replica with a constant lag shows every heartbeat as old, but it does show every one. Seed 915049282 of the simulation.
/// Covers R16, R17, R26.
#[test]
fn a_constant_lag_hides_no_heartbeat_from_a_new_owner() {
    for lag in [6, 10, 20] {
        let mut harness = Harness::external().begun();
        harness.heartbeat_age(20_000).service();
        assert!(harness.updates().is_some());
        harness.take_over();
        for _ in 0..119 {
            harness.at += 1_000;
            let sent = (harness.at + 101_000) / 10_000 * 10_000;
            harness.service.last_heartbeat = Some(nova_time(sent - lag * 1_000));
            harness.service();
            assert!(harness.updates().is_none(), "lag {lag}, {}", harness.at);
        }
        harness.tick(5_000).service();
        assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    }
}

#[test]
fn an_evacuation_of_the_last_owner_is_followed() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.take_over().power(Power::Off);
    assert!(harness.is_asked(1));
    harness.at += 50_000;
    harness.power(Power::Off).lists(vec![server(1)], vec![]);
    assert!(!harness.evacuates_any());
    harness.at += 1_000;
    harness.lists(vec![server(1)], vec![evacuation(1, 1, "accepted", None)]);
    harness.at += 90_000;
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![]);
    assert_eq!(harness.step(1), &MoveStep::Done(End::Moved));
}

#[test]
fn a_lock_of_the_last_owner_is_removed_even_without_a_move() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    assert!(harness.requests(|command| matches!(command, Command::Lock { .. })));
    harness.take_over();
    assert_eq!(harness.one(1).lock, Lock::Asked, "requested again");
    harness.command(OperatorCommand::Reject);
    assert!(
        !harness.requests(|command| *command == Command::Unlock(id(1))),
        "it would come before the lock"
    );
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.requests(|command| *command == Command::Unlock(id(1))));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert!(!harness.one(1).is_finished(), "its call may still be in flight");
    harness.tick(80_000).lock_is_ours(1);
    assert!(harness.requests(|command| *command == Command::Unlock(id(1))));
}

#[test]
fn a_reset_of_the_last_owner_is_checked() {
    let paused = Server {
        vm_state: VmState::Paused,
        power_state: PowerState::Other,
        ..server(1)
    };
    let mut harness = Harness::engine().planned(vec![paused]);
    assert!(matches!(
        harness.one(1).preparation,
        Preparation::Asked {
            unanswered: false,
            ..
        }
    ));
    harness.take_over();
    assert!(matches!(
        harness.one(1).preparation,
        Preparation::Asked { unanswered: true, .. }
    ));
    assert!(harness.requests(|command| *command == Command::ReadServer(id(1))));
}

#[test]
fn a_restoration_of_the_last_owner_is_checked() {
    let stopped = Server {
        vm_state: VmState::Stopped,
        power_state: PowerState::Shutdown,
        ..server(1)
    };
    let mut harness = Harness::engine().planned(vec![stopped]);
    harness.answer(1, ServerCall::Evacuate, Ok(()));
    harness.at += 1;
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    let running = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.reads(1, Some(running.clone()));
    assert!(harness.requests(|command| matches!(command, Command::Restore { .. })));
    harness.take_over().tick(1_000);
    harness.reads(1, Some(running));
    assert!(!harness.requests(|command| matches!(command, Command::Restore { .. })));
}

#[test]
fn an_unlock_of_the_last_owner_is_repeated() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.answer(1, ServerCall::Unlock, Err(timeout()));
    harness.take_over().tick(500);
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.lock_is_ours(1);
    assert!(harness.requests(|command| *command == Command::Unlock(id(1))));
}

#[test]
fn instances_left_to_another_recovery_are_not_forgotten() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    harness.see(Observation::MovesTaken(vec![id(1)]));
    harness.take_over();
    assert_ne!(
        harness.state.stage,
        Stage::Returning,
        "the new owner has not checked"
    );
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
}

#[test]
fn a_hold_a_rejection_and_processed_actions_survive_a_takeover() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.at += 10;
    harness.power(Power::On).take_over();
    assert_eq!(harness.state.hold.as_ref().unwrap().kind, HoldKind::Alive);
    harness.command(OperatorCommand::Reject).take_over();
    assert!(harness.state.rejected.is_some());
    assert_eq!(harness.state.last_action, 1);
}

#[test]
fn a_watched_hosts_proof_counts_again_after_the_new_owners_check() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![], vec![]);
    harness.take_over();
    assert!(!harness.state.is_proven_off());
    assert!(harness.reads_power());
    harness.at += 10;
    harness.power(Power::Off);
    assert!(harness.state.is_proven_off());
    harness.tick(60_000);
    assert!(!harness.reads_power(), "once is enough");
}

/// Returns the record of an evacuation created after the report.
fn young(record: u64, number: u128, status: &str, dest: &str) -> Migration {
    Migration {
        created_at: Some(nova_time(120_000)),
        ..evacuation(record, number, status, Some(dest))
    }
}

/// Covers R33.
#[test]
fn an_evacuation_that_the_journal_has_lost_is_followed_and_unlocked() {
    let mut harness = Harness::engine().planned(vec![server(1)]);
    harness.see(Observation::Rewound).take_over();
    assert_eq!(harness.state.stage, Stage::Listing);
    assert!(!harness.evacuates_any());
    harness.service();
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
    let records = vec![
        young(7, 2, "done", "compute-9"),
        young(8, 1, "failed", "compute-8"),
        young(9, 3, "failed", "compute-8"),
    ];
    harness.inventory(vec![server(1)], records.clone());
    let reads = |harness: &Harness| harness.requests(|command| *command == Command::ReadServer(id(2)));
    let mut was_read = reads(&harness);
    assert!(harness.is_asked(2), "{:?}", harness.state.moves);
    assert!(!harness.state.moves.contains_key(&id(3)), "it came to nothing");
    assert!(
        harness.one(1).may_run.contains("compute-8"),
        "a spawn may have failed late"
    );
    harness.tick(1_000);
    was_read |= reads(&harness);
    harness.lists(vec![server(1)], records);
    for _ in 0..5 {
        was_read |= reads(&harness);
        harness.tick(1_000);
    }
    assert!(
        matches!(harness.step(2), MoveStep::Unlocking { end: End::Moved, .. }),
        "{:?}",
        harness.step(2)
    );
    assert!(
        was_read || harness.one(2).lock == Lock::Asked,
        "its owner is unknown: it is replaced by ours before it is removed"
    );
    assert!(!harness.requests(|command| *command == Command::Unlock(id(2))));
    // It happens once only.
    harness.take_over();
    assert_eq!(harness.state.stage, Stage::Moving);
}

/// The plan survived the loss, and the requests made from it did not.
/// Covers R33.
#[test]
fn a_move_that_waits_follows_the_evacuation_that_the_journal_has_lost() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().operator_state(false, false);
    harness.inventory((1..=4).map(server).collect(), vec![]);
    let is_waiting = |harness: &Harness, number| matches!(harness.step(number), MoveStep::Waiting { .. });
    assert!((1..=4).all(|number| is_waiting(&harness, number)));
    harness
        .see(Observation::Rewound)
        .take_over()
        .operator_state(true, false);
    assert_eq!(harness.state.stage, Stage::Listing);
    harness.service();
    let records = vec![
        young(7, 1, "migrating", "compute-9"),
        young(8, 2, "done", "compute-9"),
        young(9, 3, "failed", "compute-8"),
        young(10, 4, "done", "compute-9"),
    ];
    harness.inventory(vec![server(1), server(3), server(4)], records);
    assert!(
        harness.is_asked(1),
        "Nova is rebuilding it: {:?}",
        harness.step(1)
    );
    assert!(harness.is_asked(2), "it has left the host: {:?}", harness.step(2));
    assert!(is_waiting(&harness, 3), "it came to nothing");
    assert!(is_waiting(&harness, 4), "it is on the host again");
    assert!(!harness.evacuates_any(), "{:?}", harness.commands);
}

/// Returns the list of a host that server 2 has left by an evacuation, read because no move records it.
fn left_with_lock(harness: &Harness, locked_reason: Option<String>) -> Observation {
    let evacuated = Server {
        host: Some("compute-9".into()),
        locked: locked_reason.is_some(),
        locked_reason,
        ..server(2)
    };
    Observation::Inventory(Ok(Inventory {
        migrations: vec![young(7, 2, "done", "compute-9")],
        servers: vec![server(1)],
        evacuated: vec![evacuated],
        in_cell: InCell::NotQueried,
        service: Some(harness.service.clone()),
        written_off: BTreeMap::new(),
        may_run: BTreeMap::new(),
        local_disks: BTreeSet::new(),
    }))
}

/// Returns the servers that the latest list of the host leaves out because the recovery knows them.
fn known_servers(harness: &Harness) -> Option<BTreeSet<ServerId>> {
    harness.commands.iter().rev().find_map(|command| match command {
        Command::TakeInventory { unknown, .. } => unknown.as_ref().map(|unknown| unknown.known.clone()),
        _ => None,
    })
}

/// The database lost the whole plan, and no engine was left to detect it. The instance had left the host when it was listed.
/// Covers R33.
#[test]
fn the_lock_on_an_instance_that_has_left_says_that_the_journal_has_lost_requests() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    assert_eq!(known_servers(&harness), Some(BTreeSet::new()));
    let mark = harness.mark();
    let list = left_with_lock(&harness, Some(format!("{mark} found active, power on")));
    harness.see(list);
    assert!(harness.is_asked(2), "{:?}", harness.state.moves);
    assert!(!harness.evacuates(2));
    harness.take_over().service().tick(61_000);
    assert!(
        known_servers(&harness).is_none_or(|known| known.contains(&id(2))),
        "it is known now"
    );

    // An operator has evacuated it, or another recovery.
    for reason in [
        None,
        Some("maintenance"),
        Some("tachi of last week found active, power on"),
    ] {
        let mut harness = Harness::engine().proven();
        harness.forced_down();
        let list = left_with_lock(&harness, reason.map(str::to_owned));
        harness.see(list);
        assert!(!harness.state.moves.contains_key(&id(2)), "{reason:?}");
        assert!(harness.state.moves.contains_key(&id(1)));
    }
}

/// A failed evacuation left one instance in `error`, a reset the other; the journal contains neither.
/// Covers R33.
#[test]
fn a_state_caused_by_lost_calls_is_not_the_original_state() {
    let broken = |number, power_state| Server {
        vm_state: VmState::Error,
        power_state,
        ..server(number)
    };
    let shown = vec![broken(1, PowerState::Running), broken(2, PowerState::Shutdown)];
    let lost = vec![young(8, 1, "failed", "compute-8")];
    for (rewound, was) in [(true, VmState::Active), (false, VmState::Error)] {
        let mut harness = Harness::engine().planned(vec![]);
        if rewound {
            harness.see(Observation::Rewound);
        }
        harness.take_over().service().tick(61_000);
        harness.inventory(shown.clone(), lost.clone());
        assert_eq!(harness.one(1).was.vm_state, was);
        assert_eq!(harness.one(2).was.vm_state, VmState::Error);
        let is_unknown = |number| {
            harness
                .one(number)
                .note
                .as_deref()
                .is_some_and(|note| note.contains("not known"))
        };
        assert_eq!((is_unknown(1), is_unknown(2)), (rewound, rewound));
        let instance = harness.state.moves.get_mut(&id(1)).unwrap();
        instance.remark("on hold: its host was seen alive");
        instance.clear_note();
        assert_eq!(
            instance
                .note
                .as_deref()
                .is_some_and(|note| note.contains("not known")),
            rewound,
            "what was unknown is unknown still"
        );
        assert!(!instance.note.as_deref().unwrap_or_default().contains("on hold"));
    }
    // A state planned before the loss was read before it.
    let mut harness = Harness::engine().planned(vec![broken(1, PowerState::Running)]);
    harness.see(Observation::Rewound).take_over().service();
    harness.inventory(shown.clone(), lost);
    assert_eq!(harness.one(1).was.vm_state, VmState::Error);
}

/// All engines restarted with the database, so none could detect the lost commits.
/// Covers R33.
#[test]
fn the_lock_on_an_instance_says_what_it_was_and_that_the_journal_has_lost_requests() {
    let paused = |number| Server {
        vm_state: VmState::Paused,
        ..server(number)
    };
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![paused(1)], vec![]);
    let reason = harness.commands.iter().find_map(|command| match command {
        Command::Lock { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let prepared = Server {
        vm_state: VmState::Error,
        locked: true,
        locked_reason: reason,
        ..server(1)
    };
    let to_other_host = young(7, 2, "done", "compute-9");
    let mut harness = Harness::engine().planned(vec![]);
    harness.take_over().service().tick(61_000);
    harness.inventory(vec![prepared.clone()], vec![to_other_host.clone()]);
    assert_eq!(harness.one(1).was.vm_state, VmState::Paused);
    assert_eq!(harness.one(1).was.power_state, PowerState::Running);
    assert_eq!(harness.one(1).lock, Lock::Ours);
    assert!(harness.is_asked(2), "the other lost request is followed too");

    // A lock of another recovery also holds the original state, but nothing about this journal.
    let of_another = Server {
        locked_reason: prepared
            .locked_reason
            .as_ref()
            .map(|reason| reason.replace(&harness.mark(), "tachi of last week")),
        ..prepared.clone()
    };
    let mut harness = Harness::engine().planned(vec![]);
    harness.take_over().service().tick(61_000);
    harness.inventory(vec![of_another], vec![to_other_host]);
    assert_eq!(harness.one(1).was.vm_state, VmState::Paused);
    assert_eq!(harness.one(1).lock, Lock::Asked, "its own is set in its place");
    assert!(!harness.state.moves.contains_key(&id(2)));

    // An instance in error before its lock keeps that state, and so does one planned before the loss.
    let broken = |number| Server {
        vm_state: VmState::Error,
        ..server(number)
    };
    let mark = harness.mark();
    let locked = Server {
        locked: true,
        locked_reason: Some(format!("{mark} found error, power on")),
        ..broken(3)
    };
    let mut harness = Harness::engine().planned(vec![broken(4)]);
    harness.take_over().service().tick(61_000);
    harness.inventory(vec![broken(4), locked], vec![]);
    for number in [3, 4] {
        let instance = harness.one(number);
        assert_eq!(instance.was.vm_state, VmState::Error);
        assert!(
            instance
                .note
                .as_deref()
                .is_none_or(|note| !note.contains("not known")),
            "{:?}",
            instance.note
        );
    }
    let noted = harness
        .record
        .steps
        .iter()
        .filter(|step| step.text.contains("carry locks"));
    assert_eq!(noted.count(), 1);
    harness.tick(1_000).inventory(vec![broken(4), broken(3)], vec![]);
    let again = harness
        .record
        .steps
        .iter()
        .any(|step| step.text.contains("carry locks"));
    assert!(!again, "a loss is noted once");

    // An owner's lock reason is not parsed as a state, nor is that of an older version.
    for reason in [
        "mine found paused, power on",
        &mark,
        &format!("{mark} found paused"),
    ] {
        let shown = Server {
            locked_reason: Some(reason.into()),
            ..prepared.clone()
        };
        let mut harness = Harness::engine().planned(vec![]);
        harness.take_over().service().tick(61_000);
        harness.inventory(vec![shown], vec![]);
        assert_ne!(harness.one(1).was.vm_state, VmState::Paused, "{reason}");
    }
}

/// Covers R33.
#[test]
fn a_closed_notification_is_corrected_by_what_is_listed_after_the_loss_and_not_before() {
    let mut harness = Harness::engine().planned(vec![]);
    harness.tick(1_000).over(vec![]);
    assert_eq!(harness.state.stage, Stage::Returning, "{:?}", harness.commands);
    let closed = harness.message.clone();
    harness.see(Observation::Rewound).take_over();
    assert_eq!(harness.state.stage, Stage::Returning);
    assert_eq!(harness.message, closed);
    assert!(
        harness.requests(|command| matches!(command, Command::TakeInventory { .. })),
        "{:?}",
        harness.commands
    );
    harness.inventory(vec![], vec![young(7, 2, "done", "compute-9")]);
    assert!(harness.is_asked(2), "{:?}", harness.state.moves);
    assert_eq!(harness.state.stage, Stage::Moving);
}

/// Covers R33.
#[test]
fn a_lost_forced_down_is_checked_before_a_rejection_ends_the_recovery() {
    for maintenance in [true, false] {
        let mut harness = Harness::engine().begun();
        harness.see(Observation::Rewound).take_over();
        if maintenance {
            harness.operator_state(true, true);
        } else {
            harness.command(OperatorCommand::Reject);
        }
        assert_ne!(harness.state.stage, Stage::Done, "{:?}", harness.message);
        harness.service.enabled = false;
        harness.service.forced_down = true;
        harness.service.disabled_reason = Some(harness.mark());
        harness.heartbeat_age(0).service().tick(1_000);
        assert!(harness.state.service.put.is_some());
        assert_ne!(harness.state.stage, Stage::Done, "{:?}", harness.message);
    }
}

/// Covers R33.
#[test]
fn aborting_a_recovery_with_lost_requests_looks_for_what_they_have_left() {
    // It locked one instance and evacuated another; the journal contains neither.
    let mut harness = Harness::engine().begun();
    harness
        .see(Observation::Rewound)
        .take_over()
        .command(OperatorCommand::Reject);
    harness.service();
    assert_ne!(harness.state.stage, Stage::Done, "it has not checked");
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
    let locked = Server {
        locked: true,
        locked_reason: Some(format!("{} found active, power on", harness.mark())),
        ..server(1)
    };
    let of_its_owner = Server {
        locked: true,
        vm_state: VmState::Error,
        ..server(4)
    };
    harness.inventory(
        vec![locked, server(3), of_its_owner],
        vec![young(7, 2, "migrating", "compute-9")],
    );
    assert_eq!(harness.state.stage, Stage::Moving);
    let note = harness.one(4).note.as_deref().unwrap_or_default();
    assert!(
        note.contains("is not known"),
        "it may have been put into error by the recovery: {note}"
    );
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { .. }),
        "{:?}",
        harness.step(1)
    );
    assert!(harness.is_asked(2), "the evacuation is followed");
    assert!(
        !harness.state.moves.contains_key(&id(3)),
        "nothing has touched it"
    );

    // Nothing is found: it ends as if nothing had been lost.
    let mut harness = Harness::engine().begun();
    harness
        .see(Observation::Rewound)
        .take_over()
        .command(OperatorCommand::Reject);
    harness.service().inventory(vec![server(1)], vec![]);
    assert_eq!(harness.state.stage, Stage::Done, "{:?}", harness.message);
    assert!(!harness.message.as_deref().unwrap().contains("locked"));

    // Nothing can be listed: an operator must check.
    let mut harness = Harness::engine().begun();
    harness.see(Observation::Rewound).take_over().service();
    for _ in 0..8 {
        harness.tick(6_000).see(Observation::Service(Ok(None)));
    }
    assert_eq!(
        harness.state.hold.as_ref().map(|hold| hold.kind),
        Some(HoldKind::Fence)
    );
    harness.command(OperatorCommand::Reject);
    assert_eq!(harness.state.stage, Stage::Done, "{:?}", harness.message);
    let warning = format!("may be locked ({})", harness.mark());
    let message = harness.message.as_deref().unwrap();
    assert!(message.contains(&warning), "{message}");
}

/// The database has lost the plan, and no engine is left that knew of it.
/// Covers R33.
#[test]
fn an_abort_after_forced_down_looks_for_locks_before_it_ends() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    assert!(harness.state.moves.is_empty());
    harness.take_over().command(OperatorCommand::Reject);
    assert!(
        !matches!(harness.state.stage, Stage::Returning | Stage::Done),
        "it has listed nothing"
    );
    let locked = Server {
        locked: true,
        locked_reason: Some(format!("{} found active, power on", harness.mark())),
        ..server(1)
    };
    harness.service().inventory(vec![locked, server(2)], vec![]);
    assert!(
        matches!(harness.step(1), MoveStep::Unlocking { .. }),
        "{:?}",
        harness.step(1)
    );
}

/// Covers R33.
#[test]
fn a_rejected_recovery_with_lost_requests_ends_when_nova_knows_no_service() {
    let mut harness = Harness::engine().begun();
    harness.see(Observation::Rewound).take_over().service();
    harness.command(OperatorCommand::Reject);
    for _ in 0..3 {
        assert_ne!(harness.state.stage, Stage::Done, "too few checks");
        harness.tick(6_000).see(Observation::Service(Ok(None)));
    }
    assert_eq!(harness.state.stage, Stage::Done, "{:?}", harness.message);
    let warning = format!("may be locked ({})", harness.mark());
    let message = harness.message.as_deref().unwrap();
    assert!(message.contains(&warning), "{message}");
}

/// A report that requires no action never led to a request, whatever the database lost.
/// Covers R33.
#[test]
fn a_report_that_asks_for_nothing_ends_after_a_loss_even_if_nothing_can_be_listed() {
    let mut harness = Harness::engine();
    harness.state.event = "STARTED".to_owned();
    harness.see(Observation::Rewound).claim();
    for _ in 0..8 {
        harness.tick(6_000).see(Observation::Service(Ok(None)));
    }
    assert_eq!(
        harness.state.stage,
        Stage::Done,
        "{:?} {:?}",
        harness.state.hold,
        harness.message
    );
}

/// The host is up again; the recovery is not given up while its lost requests are unresolved.
/// Covers R33.
#[test]
fn a_false_alarm_is_not_given_up_before_lost_requests_are_looked_for() {
    for touched in [true, false] {
        let mut harness = Harness::engine().begun();
        harness.see(Observation::Rewound).take_over();
        harness.heartbeat_age(0).service();
        let servers = vec![Server {
            locked: touched,
            locked_reason: touched.then(|| harness.mark()),
            ..server(1)
        }];
        harness.inventory(servers, vec![]).storm(1, 10);
        for _ in 0..150 {
            harness.tick(1_000).heartbeat_age(0).service();
            harness.power(Power::On);
        }
        let on_hold = harness.state.hold.is_some();
        assert_eq!(
            (on_hold, harness.state.stage == Stage::Done),
            (touched, !touched),
            "{:?}",
            harness.message
        );
    }
}

/// The host is up and the recovery ends without a proof. What lost calls set on its service is watched until it
/// is cleared.
/// Covers R33.
#[test]
fn a_lost_forced_down_of_ours_is_cleared() {
    for (ours, stage) in [(true, Stage::Returning), (false, Stage::Done)] {
        let mut harness = Harness::engine().begun();
        harness.see(Observation::Rewound).take_over();
        harness.service.enabled = false;
        harness.service.forced_down = true;
        harness.service.disabled_reason = Some(if ours {
            harness.mark()
        } else {
            "tachi 7".to_owned()
        });
        harness.heartbeat_age(0).service();
        harness
            .command(OperatorCommand::Reject)
            .inventory(vec![server(1)], vec![]);
        assert_eq!(harness.state.stage, stage, "{ours}: {:?}", harness.message);
    }
}
