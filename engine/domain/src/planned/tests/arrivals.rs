//! Instances that arrive at the host during a drain.

use super::*;

/// Returns an instance that Nova is moving to the host, with a record from before the drain.
fn on_its_way(number: u128, kind: MigrationType) -> (Server, Migration) {
    let mut shown = server(number, "compute-9");
    shown.task_state = Some("rebuilding".into());
    let record = Migration {
        id: MigrationId(70),
        server: shown.id,
        kind,
        status: MigrationStatus::PreMigrating,
        source: shown.host.clone(),
        dest: Some(HOST.to_owned()),
        created_at: None,
        updated_at: None,
    };
    (shown, record)
}

#[test]
fn arriving_instances_are_awaited_and_moved_away_again() {
    for at in [0, 4_000, 20_000] {
        let (shown, coming) = on_its_way(9, MigrationType::Evacuation);
        let mut bench = Bench::drain(vec![server(1, HOST), shown]);
        bench.migrations.push(coming);
        bench.run(at);
        if at > 0 {
            bench.take_over();
        }
        bench.run(30_000);
        assert_eq!(bench.state().stage, PlannedStage::Listing, "at {at}");
        assert!(!bench.froze(), "at {at}: it is not there yet, and will be");
        let message = bench.state().message.clone().unwrap();
        let expected = format!(
            "waits for what Nova is bringing to compute-1: {} (migration 70, pre-migrating)",
            id(9)
        );
        assert_eq!(message, expected);
        let lists = bench
            .calls
            .iter()
            .filter(|call| matches!(call, Command::TakeInventory { .. }));
        assert!(lists.count() < 20, "it does not ask all the time");

        // It runs there, and Nova closes the record a moment later.
        let server = bench.servers.get_mut(&id(9)).unwrap();
        (server.host, server.task_state) = (Some(HOST.to_owned()), None);
        bench.run(5_000);
        assert_eq!(bench.orders(), [id(1)], "at {at}: its move is not done");
        bench.migrations[0].status = MigrationStatus::Done;
        let (status, text) = bench.end();
        assert_eq!(status, NotificationStatus::Finished, "{text}");
        assert_eq!(bench.orders(), [id(1), id(9)], "at {at}");
        assert!(bench.froze());
    }
}

/// Returns an instance that was on the host before its resize, which its owner has not confirmed.
fn resized(status: &str) -> (Server, Migration) {
    let mut shown = server(9, "compute-9");
    shown.vm_state = VmState::Resized;
    let record = Migration {
        id: MigrationId(70),
        server: shown.id,
        kind: MigrationType::Resize,
        status: status.into(),
        source: Some(HOST.to_owned()),
        dest: Some("compute-9".to_owned()),
        created_at: Some(Timestamp::from_micros(0)),
        updated_at: None,
    };
    (shown, record)
}

#[test]
fn a_resize_that_is_taken_back_brings_its_instance_to_the_host() {
    let (mut shown, coming) = resized("reverting");
    shown.task_state = Some("resize_reverting".into());
    let mut bench = Bench::drain(vec![server(1, HOST), shown]);
    bench.migrations.push(coming);
    // The age of the resize does not matter.
    let later = i64::try_from(MAX_MOVE_LIMIT.as_micros()).unwrap() * 30;
    bench.service.nova_now = Some(Timestamp::from_micros(later));
    bench.run(60_000);
    assert!(!bench.froze(), "it is arriving: {:?}", bench.state().message);
    let message = bench.state().message.clone().unwrap();
    assert!(message.contains("(migration 70, reverting)"), "{message}");

    let server = bench.servers.get_mut(&id(9)).unwrap();
    (server.host, server.task_state, server.vm_state) = (Some(HOST.to_owned()), None, VmState::Active);
    bench.migrations[0].status = MigrationStatus::Reverted;
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(1), id(9)]);
    assert!(bench.froze());
}

#[test]
fn a_finished_move_without_its_instance_does_not_end_the_drain() {
    let (mut shown, coming) = resized("reverting");
    shown.task_state = Some("resize_reverting".into());
    let mut bench = Bench::drain(vec![server(1, HOST), shown]);
    bench.migrations.push(coming);
    bench.run(60_000);
    // The instance is read from a lagging replica.
    bench.migrations[0].status = MigrationStatus::Reverted;
    bench.run(4_000);
    assert!(!bench.froze(), "{:?}", bench.state().message);
    let server = bench.servers.get_mut(&id(9)).unwrap();
    (server.host, server.task_state, server.vm_state) = (Some(HOST.to_owned()), None, VmState::Active);
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(1), id(9)]);
    assert!(bench.froze());
}

#[test]
fn a_resize_from_the_host_that_nobody_has_confirmed_is_named_at_the_end() {
    for (status, expected) in [("finished", true), ("confirmed", false), ("reverted", false)] {
        let (shown, record) = resized(status);
        let mut bench = Bench::drain(vec![server(1, HOST), shown]);
        bench.migrations.push(record);
        let (ended, text) = bench.end();
        assert_eq!(ended, NotificationStatus::Finished, "{text}");
        assert!(bench.froze(), "it may be confirmed weeks later, or never");
        let named = format!("can still be reverted to it: {} (migration 70, finished)", id(9));
        assert_eq!(text.contains(&named), expected, "{status}: {text}");
        // The command for the end of the work is the last.
        assert!(
            text.ends_with("tachi host undrain compute-1 --reason TEXT"),
            "{text}"
        );
    }
}

#[test]
fn an_instance_that_never_arrives_ends_the_drain_without_a_freeze() {
    let (shown, coming) = on_its_way(9, MigrationType::Resize);
    let mut bench = Bench::drain(vec![server(1, HOST), shown]);
    bench.migrations.push(coming);
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed, "{text}");
    let limit = order(&[]).limit.as_millis();
    let took = u128::from(bench.now);
    assert!((limit..limit + 30_000).contains(&took), "{took}");
    for part in [
        "compute-1 not drained: 1 instance moved, 0 left running",
        &format!("{} (migration 70, pre-migrating)", id(9)),
        "not frozen, so what is left stays protected",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!bench.froze());
}

#[test]
fn an_abandoned_record_does_not_prevent_the_freeze() {
    let (shown, mut coming) = on_its_way(9, MigrationType::Evacuation);
    coming.created_at = Some(Timestamp::from_micros(0));
    let mut bench = Bench::drain(vec![server(1, HOST), shown]);
    bench.migrations.push(coming);
    let day = i64::try_from(MAX_MOVE_LIMIT.as_micros()).unwrap();
    bench.service.nova_now = Some(Timestamp::from_micros(day));
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert!(bench.now < 60_000 && bench.froze());
}

#[test]
fn an_instance_that_its_own_recovery_will_start_again_is_waited_for() {
    let mut stopped = server(1, HOST);
    stopped.vm_state = VmState::Stopped;
    let mut bench = Bench::drain(vec![stopped.clone()]);
    bench.recovered = vec![id(1)];
    bench.run(60_000);
    assert!(!bench.froze());
    assert_eq!(bench.state().stage, PlannedStage::Listing);
    let expected = format!("waits for the recoveries of instances of compute-1: {}", id(1));
    assert_eq!(bench.state().message, Some(expected));
    let ended = |record: &Record| record.life.is_some();
    assert!(!bench.records.iter().any(ended), "it continues");
    let lists = bench
        .calls
        .iter()
        .filter(|call| matches!(call, Command::TakeInventory { .. }));
    assert!(lists.count() < 25, "it does not ask all the time");
    // It starts, and is moved like any other.
    bench.servers.get_mut(&id(1)).unwrap().vm_state = VmState::Active;
    bench.recovered.clear();
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(1)]);
    assert!(bench.froze());

    // If its recovery never ends, the drain times out.
    let mut bench = Bench::drain(vec![stopped]);
    bench.recovered = vec![id(1)];
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed, "{text}");
    assert!(
        text.contains(&format!("are being recovered: {}", id(1))),
        "{text}"
    );
    let limit = order(&[]).limit.as_millis();
    assert!((limit..limit + 30_000).contains(&u128::from(bench.now)));
    assert!(!bench.froze());
}

#[test]
fn an_aborted_drain_does_not_wait_for_arrivals() {
    let (shown, coming) = on_its_way(9, MigrationType::Evacuation);
    let mut bench = Bench::drain(vec![shown]);
    bench.migrations.push(coming);
    bench.run(10_000);
    bench.say_abort();
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Failed);
    assert!(text.starts_with("aborted by bob"), "{text}");
    assert!(bench.now < 12_000);
}

#[test]
fn instances_placed_before_the_disabling_may_arrive_before_the_freeze() {
    // No record shows it until nova-compute has taken it up.
    let mut bench = Bench::drain(Vec::new());
    bench.run(3_000);
    assert!(!bench.froze());
    bench.servers.insert(id(2), server(2, HOST));
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(2)]);
}
