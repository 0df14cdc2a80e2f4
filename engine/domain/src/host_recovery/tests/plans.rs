//! The plan made from the lists.

use std::collections::BTreeMap;

use super::half_done::poll;
use super::harness::{HOST, Harness, bus, evacuation, id, nova_time, server, tagged, unavailable};
use crate::MigrationId;
use crate::entity::notification::NotificationStatus;
use crate::host_recovery::{End, Lock, MoveStep, Stage};
use crate::nova::{Migration, MigrationType, Server, VmState};
use crate::power::Power;
use crate::recovery::WrittenOff;
use crate::recovery::{Command, InCell, Inventory, Observation, OperatorCommand, ResolutionKind, ServerCall};

fn order(harness: &Harness) -> Vec<u128> {
    harness
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Evacuate(it) => Some(it.server().0.as_u128()),
            _ => None,
        })
        .collect()
}

fn live(record: u64, number: u128, status: &str, source: &str, dest: Option<&str>) -> Migration {
    Migration {
        kind: MigrationType::LiveMigration,
        source: Some(source.into()),
        ..evacuation(record, number, status, dest)
    }
}

/// Covers EW13.
#[test]
fn marked_instances_come_first_and_otherwise_novas_order_is_kept() {
    let harness = Harness::engine().planned(vec![server(4), tagged(9), server(2), tagged(3)]);
    assert_eq!(order(&harness), [9, 3, 4, 2]);
}

#[test]
fn a_limit_in_flight_is_kept_and_the_next_follows_when_one_is_over() {
    let mut harness = Harness::with("UNKNOWN", |policy| policy.in_flight = 1);
    harness.service.enabled = true;
    let mut harness = harness.planned(vec![server(1), server(2)]);
    assert_eq!(order(&harness), [1]);
    harness.answer(1, ServerCall::Evacuate, Ok(())).tick(1_000);
    harness.answer(2, ServerCall::Lock, Ok(()));
    assert!(order(&harness).is_empty());
    harness.lists(vec![server(2)], vec![evacuation(1, 1, "done", Some("b"))]);
    assert_eq!(order(&harness), [2]);
}

#[test]
fn excluded_instances_name_their_policy() {
    let error = |number| Server {
        vm_state: VmState::Error,
        ..server(number)
    };
    let image = |number| Server {
        volume_backed: false,
        ..server(number)
    };
    let cases: [(&str, Server, &str); 6] = [
        ("not marked", server(1), "evacuate_all_instances"),
        (
            "in error",
            Server {
                metadata: tagged(1).metadata,
                ..error(1)
            },
            "ignore_instances_in_error_state",
        ),
        (
            "never launched",
            Server {
                launched: false,
                ..tagged(1)
            },
            "never launched",
        ),
        (
            "from image",
            Server {
                metadata: tagged(1).metadata,
                ..image(1)
            },
            "evacuate_image_backed_on_local_disk",
        ),
        (
            "being deleted",
            Server {
                task_state: Some("deleting".into()),
                ..tagged(1)
            },
            "being deleted",
        ),
        (
            "building",
            Server {
                vm_state: VmState::Building,
                ..tagged(1)
            },
            "never launched",
        ),
    ];
    for (name, left, why) in cases {
        let mut harness = Harness::with("UNKNOWN", |policy| {
            policy.evacuate_all = false;
            policy.ignore_error_state = true;
            policy.evacuate_image_backed = false;
        })
        .planned(vec![left.clone()]);
        assert_eq!(harness.step(1), &MoveStep::Done(End::Left), "{name}");
        assert!(harness.one(1).note.as_deref().unwrap().contains(why), "{name}");
        assert!(!harness.evacuates_any(), "{name}");
        harness.over(vec![left]);
        assert_eq!(harness.status, NotificationStatus::Finished, "{name}");
        assert!(
            harness
                .message
                .as_deref()
                .unwrap()
                .contains("1 instance left where it was"),
            "{name}"
        );
    }
}

/// Covers R14.
#[test]
fn an_instance_from_image_says_that_its_disk_is_discarded() {
    let harness = Harness::engine().planned(vec![Server {
        volume_backed: false,
        ..server(1)
    }]);
    assert!(
        harness
            .one(1)
            .note
            .as_deref()
            .unwrap()
            .contains("local disk discarded")
    );
}

/// Covers EW33.
#[test]
fn an_empty_list_without_the_service_record_is_not_trusted() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    for _ in 0..5 {
        harness.see(Observation::Inventory(Ok(Inventory {
            evacuated: Vec::new(),
            migrations: vec![],
            servers: vec![],
            in_cell: InCell::NotQueried,
            service: None,
            written_off: BTreeMap::new(),
            may_run: BTreeMap::new(),
            local_disks: [].into(),
        })));
        assert_eq!(harness.state.stage, Stage::Listing);
        harness.tick(31_000);
    }
    assert!(harness.message.as_deref().unwrap().contains("cannot be listed"));
    harness
        .see(Observation::Inventory(Err(unavailable())))
        .tick(31_000);
    assert_eq!(harness.state.stage, Stage::Listing);
    harness.inventory(vec![server(1)], vec![]);
    assert_eq!(harness.state.stage, Stage::Moving);
}

/// Covers R11.
#[test]
fn an_unfinished_move_that_names_another_host_is_held_unless_that_host_is_off_too() {
    let held_states = [
        ("live migration away", live(7, 1, "running", HOST, Some("b"))),
        ("live migration towards", live(7, 1, "preparing", "b", Some(HOST))),
        (
            "resize",
            Migration {
                kind: MigrationType::Resize,
                ..live(7, 1, "post-migrating", HOST, Some("b"))
            },
        ),
    ];
    for (name, migration) in held_states {
        let harness = Harness::engine().planned_with(vec![server(1)], vec![migration]);
        assert_eq!(harness.step(1), &MoveStep::OnHold, "{name}");
        assert!(!harness.evacuates_any(), "{name}");
        let note = harness.one(1).note.clone().unwrap();
        assert!(note.contains(HOST) && note.contains('b'), "{name}: {note}");
        let refusal = harness.one(1).accepts(ResolutionKind::Failure, Some("c"));
        assert_eq!(refusal.unwrap_err(), "it may run on b: name that host", "{name}");
        assert_eq!(
            harness.one(1).accepts(ResolutionKind::Failure, Some("b")),
            Ok(()),
            "{name}"
        );
        assert!(
            harness.message.as_deref().unwrap().contains("needs an operator"),
            "{name}"
        );
    }
    let free = [
        (
            "one that has brought it",
            live(7, 1, "completed", "b", Some(HOST)),
        ),
        (
            "one that was completed long ago: it may have been shelved since",
            Migration {
                created_at: Some(nova_time(0).minus_seconds(2_400)),
                ..live(7, 1, "completed", HOST, Some("b"))
            },
        ),
        ("one that failed", live(7, 1, "error", HOST, Some("b"))),
        (
            "one that has no other host yet",
            live(7, 1, "accepted", HOST, None),
        ),
        ("one of another instance", live(7, 2, "running", HOST, Some("b"))),
    ];
    for (name, migration) in free {
        let harness = Harness::engine().planned_with(vec![server(1)], vec![migration]);
        assert!(harness.evacuates(1), "{name}");
    }
}

/// Covers R11.
#[test]
fn an_unfinished_move_is_no_reason_if_a_younger_one_has_brought_the_instance_here() {
    let stale = || live(7, 1, "running", HOST, Some("b"));
    let cases = [
        (
            "it came back by a live migration",
            live(8, 1, "completed", "c", Some(HOST)),
            true,
        ),
        (
            "it came back by an evacuation",
            Migration {
                source: Some("c".into()),
                ..evacuation(8, 1, "done", Some(HOST))
            },
            true,
        ),
        (
            "before the unfinished one",
            live(6, 1, "completed", "c", Some(HOST)),
            false,
        ),
        ("it went away", live(8, 1, "completed", HOST, Some("c")), false),
        (
            "that one has failed",
            live(8, 1, "failed", "c", Some(HOST)),
            false,
        ),
        (
            "another instance",
            live(8, 2, "completed", "c", Some(HOST)),
            false,
        ),
    ];
    for (name, younger, free) in cases {
        let harness = Harness::engine().planned_with(vec![server(1)], vec![younger, stale()]);
        assert_eq!(harness.step(1) != &MoveStep::OnHold, free, "{name}");
    }
}

/// Covers R11.
#[test]
fn an_instance_on_hold_continues_when_every_other_host_is_off_or_the_move_has_ended() {
    let running = || live(7, 1, "running", HOST, Some("b"));
    let other = || live(8, 1, "running", HOST, Some("c"));
    let cases = [
        ("nothing has changed", vec![running()], vec![], false),
        ("its other host is off", vec![running()], vec!["b"], true),
        ("one of two is off", vec![running(), other()], vec!["b"], false),
        ("both are off", vec![running(), other()], vec!["b", "c"], true),
        (
            "it has failed",
            vec![live(7, 1, "failed", HOST, Some("b"))],
            vec![],
            true,
        ),
    ];
    for (name, migrations, off, free) in cases {
        let mut harness = Harness::engine().planned_with(vec![server(1)], vec![running(), other()]);
        for _ in 0..3 {
            harness.tick(10_000).lists_with(vec![server(1)], vec![], &off);
            harness.inventory(vec![server(1)], migrations.clone());
        }
        assert_eq!(harness.step(1) != &MoveStep::OnHold, free, "{name}");
    }
}

/// Covers R11.
#[test]
fn a_guest_that_was_switched_to_a_host_that_did_not_answer_may_run_there() {
    let switched = |created_at| Migration {
        created_at: Some(created_at),
        ..live(7, 1, "completed", HOST, Some("b"))
    };
    let shown = |task: Option<&str>| Server {
        task_state: task.map(Into::into),
        ..server(1)
    };
    let long_ago = nova_time(0).minus_seconds(90_000);
    let resized_back = Migration {
        kind: MigrationType::Resize,
        ..live(8, 1, "finished", "b", Some(HOST))
    };
    let cases = [
        ("its task is left", Some("migrating"), long_ago, None, true),
        (
            "its task went with a restart of nova-compute",
            None,
            nova_time(0),
            None,
            true,
        ),
        (
            "it has come back since",
            None,
            nova_time(0),
            Some(resized_back),
            false,
        ),
    ];
    for (name, task, at, since, on_hold) in cases {
        let records = [switched(at)].into_iter().chain(since).collect();
        let harness = Harness::engine().planned_with(vec![shown(task)], records);
        assert_eq!(harness.step(1) == &MoveStep::OnHold, on_hold, "{name}");
        assert_ne!(harness.evacuates_any(), on_hold, "{name}");
    }
    let mut harness =
        Harness::engine().planned_with(vec![shown(Some("migrating"))], vec![switched(long_ago)]);
    let note = harness.one(1).note.clone().unwrap();
    assert!(note.contains("was recorded as completed"), "{note}");
    for _ in 0..3 {
        harness
            .tick(10_000)
            .lists_with(vec![shown(Some("migrating"))], vec![], &["b"]);
        harness.inventory(vec![shown(Some("migrating"))], vec![switched(long_ago)]);
    }
    assert_ne!(harness.step(1), &MoveStep::OnHold, "that host is off too");
}

#[test]
fn a_held_instance_that_has_left_is_done() {
    let mut harness =
        Harness::engine().planned_with(vec![server(1)], vec![live(7, 1, "running", HOST, Some("b"))]);
    harness.tick(10_000).inventory(vec![], vec![]);
    assert_eq!(harness.step(1), &MoveStep::OnHold, "one list may lack it");
    let on_other_host = Server {
        host: Some("b".into()),
        ..server(1)
    };
    harness.reads(1, Some(on_other_host));
    harness.answer(1, ServerCall::Unlock, Ok(()));
    assert_eq!(harness.step(1), &MoveStep::Done(End::Left));
}

/// Covers R8.
#[test]
fn the_highest_record_known_is_the_floor() {
    let old = |record, status: &str| evacuation(record, 1, status, Some("b"));
    let harness =
        Harness::engine().planned_with(vec![server(1)], vec![old(3, "completed"), old(9, "failed")]);
    assert!(matches!(
        harness.step(1),
        MoveStep::Asked {
            floor: MigrationId(9),
            ..
        }
    ));
}

/// Covers R10.
#[test]
fn an_evacuation_requested_by_another_client_is_followed_and_not_repeated() {
    let harness = Harness::engine().planned_with(
        vec![server(1)],
        vec![
            evacuation(5, 1, "accepted", None),
            evacuation(6, 1, "pre-migrating", Some("b")),
        ],
    );
    assert!(!harness.evacuates_any());
    assert!(matches!(
        harness.step(1),
        MoveStep::Asked {
            floor: MigrationId(4),
            ..
        }
    ));
}

/// Covers R12.
#[test]
fn each_instance_is_locked_with_our_mark_and_an_owners_lock_is_kept() {
    let owners = Server {
        locked: true,
        locked_reason: Some("mine".into()),
        ..server(2)
    };
    let left_over = Server {
        locked: true,
        locked_reason: Some("tachi of last week".into()),
        ..server(3)
    };
    let mut harness = Harness::engine().proven();
    harness
        .forced_down()
        .inventory(vec![server(1), owners, left_over], vec![]);
    let locks: Vec<_> = harness
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::Lock { server, reason } => Some((*server, reason.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(locks.len(), 2);
    assert_eq!((locks[0].0, locks[1].0), (id(1), id(3)));
    assert!(locks[0].1.starts_with("tachi "));
    assert!(!harness.evacuates(1), "locked first");
    assert!(
        !harness.evacuates(3),
        "its old lock may still be removed by its owner"
    );
    assert_eq!(harness.one(2).lock, Lock::Owners);
    assert!(harness.evacuates(2));
    let mine = Server {
        locked: true,
        locked_reason: Some(locks[0].1.clone()),
        ..server(4)
    };
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![mine], vec![]);
    assert!(
        harness.evacuates(4),
        "this recovery's own lock is as good as a new one"
    );
}

#[test]
fn instances_of_another_recovery_are_waited_for_and_not_lost() {
    let mut harness = Harness::engine().proven();
    harness.forced_down().inventory(vec![server(1)], vec![]);
    harness.see_all(vec![
        Observation::NotSent(harness.commands[0].clone()),
        Observation::MovesTaken(vec![id(1)]),
    ]);
    assert!(harness.state.moves.is_empty());
    harness.tick(5_000);
    assert_eq!(
        harness.status,
        NotificationStatus::Running,
        "the host may still hold it"
    );
    assert!(harness.message.as_deref().unwrap().contains("another recovery"));
    harness.tick(5_000);
    assert!(harness.requests(|command| matches!(command, Command::TakeInventory { .. })));
    let messages = harness.message_count;
    harness.inventory(vec![server(1)], vec![]);
    harness.see(Observation::MovesTaken(vec![id(1)]));
    harness.tick(9_000);
    assert_eq!(harness.message_count, messages, "the message stays");
    harness.tick(1_000).inventory(vec![server(1)], vec![]);
    assert!(harness.is_waiting(1), "free at last");
    harness.tick(3_000);
    assert_eq!(harness.message, None);
}

#[test]
fn a_late_instance_is_found_before_the_end() {
    let mut harness = Harness::engine().requested();
    harness.lists(vec![], vec![evacuation(1, 1, "done", Some("b"))]);
    harness.over(vec![server(2)]);
    assert_eq!(harness.status, NotificationStatus::Running);
    assert!(harness.is_waiting(2));
}

/// Seed 23235: the destination was confirmed off, the recovery that knew this is closed, and the destination is
/// back. No host works on the record, and Nova never ends it.
/// Covers R10.
#[test]
fn a_record_that_an_earlier_recovery_has_given_up_is_not_waited_for() {
    let stuck = evacuation(4, 1, "pre-migrating", Some("b"));
    let given_up = WrittenOff {
        id: MigrationId(4),
        status: "pre-migrating".into(),
        dest: Some("b".into()),
    };
    let planned = |written_off: Vec<WrittenOff>| {
        let mut harness = Harness::engine().proven();
        harness.forced_down();
        let service = Some(harness.service.clone());
        harness.see(Observation::Inventory(Ok(Inventory {
            evacuated: Vec::new(),
            migrations: vec![stuck.clone()],
            servers: vec![server(1)],
            in_cell: InCell::NotQueried,
            service,
            written_off: BTreeMap::from([(id(1), written_off)]),
            may_run: BTreeMap::new(),
            local_disks: [].into(),
        })));
        harness
    };
    assert!(
        planned(Vec::new()).is_asked(1),
        "another client may be evacuating it"
    );
    let mut harness = planned(vec![given_up.clone()]);
    harness.answer(1, ServerCall::Lock, Ok(()));
    assert!(harness.evacuates(1), "{:?}", harness.commands);
    let picked_up = WrittenOff {
        status: "accepted".into(),
        dest: None,
        ..given_up
    };
    assert!(planned(vec![picked_up]).is_asked(1), "it has come to life since");
}

/// nova-compute, which would show that the guest is gone, died with the host.
/// Covers R11.
#[test]
fn a_switched_guest_stays_on_hold_until_an_operator_has_checked() {
    let switched = Migration {
        created_at: Some(nova_time(0)),
        ..live(7, 1, "completed", HOST, Some("b"))
    };
    let mut harness = Harness::engine().planned_with(vec![server(1)], vec![switched.clone()]);
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    let requested = poll(
        &mut harness,
        2_400_000,
        &[server(1)],
        &[switched],
        &[],
        &bus(true),
    );
    assert!(requested.is_empty(), "{requested:?}");
    assert_eq!(harness.step(1), &MoveStep::OnHold);
}

/// Covers R11.
#[test]
fn a_held_instance_that_is_given_up_keeps_the_host_that_it_was_held_for() {
    for reject in [true, false] {
        let mut harness =
            Harness::engine().planned_with(vec![server(1)], vec![live(7, 1, "running", HOST, Some("b"))]);
        if reject {
            harness.command(OperatorCommand::Reject);
        } else {
            harness.resolve(1, ResolutionKind::Ignore, None);
        }
        assert_ne!(harness.step(1), &MoveStep::OnHold);
        assert!(harness.one(1).may_run.contains("b"), "{:?}", harness.one(1));
    }
}

/// Covers R11.
#[test]
fn a_retry_does_not_release_an_instance_that_is_being_moved_elsewhere() {
    let mut harness = Harness::engine().proven();
    harness.forced_down();
    let shown = harness.service.clone();
    harness.see(Observation::Inventory(Ok(Inventory {
        evacuated: Vec::new(),
        migrations: vec![live(7, 1, "running", HOST, Some("b"))],
        servers: vec![server(1)],
        in_cell: InCell::Has(0),
        service: Some(shown),
        written_off: BTreeMap::new(),
        local_disks: [].into(),
        may_run: [(id(1), ["c".to_owned()].into())].into(),
    })));
    assert_eq!(harness.step(1), &MoveStep::OnHold);
    harness.answer(1, ServerCall::Lock, Ok(()));
    harness.resolve(1, ResolutionKind::Retry, None);
    assert!(!harness.evacuates_any(), "{:?}", harness.commands);
    for _ in 0..10 {
        harness.tick(500).power(Power::Off);
        harness.service().lists(vec![server(1)], vec![]);
        assert!(!harness.evacuates_any(), "{:?}", harness.commands);
    }
}
