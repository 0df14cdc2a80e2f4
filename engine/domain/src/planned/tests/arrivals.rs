//! Something comes to the host while it is emptied.

use super::*;

/// An instance that Nova brings to the host: its record was there before the drain.
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
    };
    (shown, record)
}

#[test]
fn what_is_on_its_way_to_the_host_is_waited_for_and_moved_away_again() {
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
        let told = bench.state().message.clone().unwrap();
        let wanted = format!(
            "waits for what Nova is bringing to compute-1: {} (migration 70, pre-migrating)",
            id(9)
        );
        assert_eq!(told, wanted);
        let lists = bench
            .calls
            .iter()
            .filter(|call| matches!(call, Command::TakeInventory { .. }));
        assert!(lists.count() < 20, "it does not ask all the time");

        // It runs there, and Nova's record is over a moment later.
        let one = bench.servers.get_mut(&id(9)).unwrap();
        (one.host, one.task_state) = (Some(HOST.to_owned()), None);
        bench.run(5_000);
        assert_eq!(bench.orders(), [id(1)], "at {at}: its move is not over");
        bench.migrations[0].status = MigrationStatus::Done;
        let (status, text) = bench.end();
        assert_eq!(status, NotificationStatus::Finished, "{text}");
        assert_eq!(bench.orders(), [id(1), id(9)], "at {at}");
        assert!(bench.froze());
    }
}

#[test]
fn what_never_arrives_ends_the_drain_in_time_and_without_a_freeze() {
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
fn a_record_that_nova_has_long_lost_keeps_nobody_from_the_freeze() {
    let (shown, mut coming) = on_its_way(9, MigrationType::Evacuation);
    coming.created_at = Some(Timestamp::from_micros(0));
    let mut bench = Bench::drain(vec![server(1, HOST), shown]);
    bench.migrations.push(coming);
    let day = i64::try_from(LONGEST_LIMIT.as_micros()).unwrap();
    bench.service.nova_now = Some(Timestamp::from_micros(day));
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert!(bench.now < 60_000 && bench.froze());
}

#[test]
fn an_aborted_drain_waits_for_nothing_that_is_on_its_way() {
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
fn what_nova_had_sent_to_the_host_before_it_was_disabled_may_arrive_before_it_is_frozen() {
    // No record shows it until nova-compute has taken it up.
    let mut bench = Bench::drain(Vec::new());
    bench.run(3_000);
    assert!(!bench.froze());
    bench.servers.insert(id(2), server(2, HOST));
    let (status, text) = bench.end();
    assert_eq!(status, NotificationStatus::Finished, "{text}");
    assert_eq!(bench.orders(), [id(2)]);
}
