use sea_orm::ConnectionTrait as _;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::{Host, Segment};
use tachi_domain::recovery::{Life, Task};
use tachi_domain::{ServerId, Timestamp, Wait, WaitsFor};
use tachi_engine::ports::journal::{HostWrite, ProofWrite, Write, WriteOutcome};
use tachi_engine::ports::{FailedInstances as _, Segments as _};
use uuid::Uuid;

use super::*;
use crate::testing::{Bench, pending_move, step};

const DAY: i64 = 86_400;

/// Creates a host that stopped and was recovered as far as `life`, with a move, two steps, a proof and maintenance.
async fn recovered(bench: &Bench, segment: &Segment, name: &str, life: Life) -> Host {
    let host = bench.host(segment, name).await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let server = ServerId(Uuid::new_v4());
    let write = Write {
        moves: vec![pending_move(server, 1)],
        steps: vec![
            step(Task::Prepare, 1.0, false, "listed"),
            step(Task::Evacuate, 0.0, false, "asked"),
        ],
        proofs: vec![ProofWrite {
            kind: "device".to_owned(),
            by: "maas".to_owned(),
            from: "bmc".to_owned(),
            evidence: "off".to_owned(),
            at: bench.clock_wall(),
        }],
        host: Some(HostWrite {
            host: host.id,
            why: tachi_domain::entity::host::MaintenanceReason::Recovery,
        }),
        notification: (life != Life::Open).then_some((NotificationStatus::Finished, None)),
        life: Some(life),
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    host
}

/// Selects everything before now.
fn all_of(bench: &Bench) -> PurgeOptions {
    PurgeOptions::before(bench.clock_wall())
}

fn rows(purged: &PurgeCounts) -> Vec<(&'static str, u64)> {
    purged.tables().filter(|(_, rows)| *rows > 0).collect()
}

async fn count(bench: &Bench, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {table}");
    let statement = sea_orm::Statement::from_string(bench.store.db.reader().get_database_backend(), sql);
    let row = bench
        .store
        .db
        .reader()
        .query_one_raw(statement)
        .await
        .unwrap()
        .unwrap();
    row.try_get_by_index(0).unwrap()
}

const ONE_RECOVERY: [(&str, u64); 6] = [
    ("notifications", 1),
    ("vmoves", 1),
    ("recovery", 1),
    ("recovery_step", 2),
    ("recovery_move", 1),
    ("recovery_proof", 1),
];

/// Covers EW22.
#[tokio::test]
async fn a_notification_goes_with_all_that_belongs_to_it() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = recovered(&bench, &segment, "cmp1", Life::Closed).await;
    bench.clock.set_wall_on(31 * DAY);
    let mut dry = all_of(&bench);
    dry.dry_run = true;
    assert_eq!(
        rows(&bench.store.purge(&dry, |_| ()).await.unwrap()),
        ONE_RECOVERY
    );
    assert_eq!(count(&bench, "recovery_step").await, 2, "nothing was removed");
    assert_eq!(
        rows(&bench.store.purge(&all_of(&bench), |_| ()).await.unwrap()),
        ONE_RECOVERY
    );
    for (table, _) in ONE_RECOVERY {
        assert_eq!(count(&bench, table).await, 0, "{table}");
    }
    // The reason for the running host's maintenance is kept: a new report about it is accepted.
    assert_eq!(count(&bench, "host_state").await, 1);
    bench.stopped(&host).await;
    assert_eq!(
        bench.store.purge(&all_of(&bench), |_| ()).await.unwrap().total(),
        0,
        "again"
    );
}

#[tokio::test]
async fn rows_of_an_unfinished_recovery_stay() {
    for life in [Life::Open, Life::Watching] {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        recovered(&bench, &segment, "cmp1", life).await;
        // Even if the status was set to finished and the host deleted directly in the database.
        bench
            .store
            .db
            .writer()
            .execute_unprepared(
                "UPDATE notifications SET status = 'finished', updated_at = '2001-01-01 00:00:00.000000'; \
                 UPDATE hosts SET deleted = id, deleted_at = '2001-01-01 00:00:00.000000'; \
                 UPDATE failover_segments SET deleted = id, deleted_at = '2001-01-01 00:00:00.000000'",
            )
            .await
            .unwrap();
        for dry_run in [true, false] {
            let mut options = all_of(&bench);
            options.dry_run = dry_run;
            let purged = bench.store.purge(&options, |_| ()).await.unwrap();
            assert_eq!(purged.total(), 0, "{life}, dry run {dry_run}: {purged:?}");
        }
    }
}

#[tokio::test]
async fn only_what_is_old_and_over_goes() {
    let bench = Bench::new().await;
    let (gone, kept) = (bench.segment("gone").await, bench.segment("kept").await);
    let host = bench.host(&gone, "cmp1").await;
    bench.host(&kept, "cmp2").await;
    bench.store.registry().delete_segment(gone.id).await.unwrap();
    recovered(&bench, &kept, "cmp3", Life::Closed).await;
    let early = bench.clock_wall();
    for (case, before, expected) in [
        ("a moment too early", early.whole_seconds(), vec![]),
        (
            "a second later",
            Timestamp::from_micros(early.micros() + 1_000_000),
            vec![
                ("notifications", 1),
                ("vmoves", 1),
                ("hosts", 1),
                ("failover_segments", 1),
                ("recovery", 1),
                ("recovery_step", 2),
                ("recovery_move", 1),
                ("recovery_proof", 1),
            ],
        ),
    ] {
        for dry_run in [true, false] {
            let mut options = PurgeOptions::before(before);
            options.dry_run = dry_run;
            let purged = bench.store.purge(&options, |_| ()).await.unwrap();
            assert_eq!(rows(&purged), expected, "{case}, dry run {dry_run}");
        }
    }
    assert_eq!(
        bench.store.registry().get_segment(kept.id).await.unwrap(),
        Some(kept)
    );
    assert_eq!(count(&bench, "hosts").await, 2);
    assert_eq!(host.name, "cmp1");
}

#[tokio::test]
async fn the_budget_counts_what_masakari_manage_counts() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    for name in ["cmp1", "cmp2", "cmp3"] {
        recovered(&bench, &segment, name, Life::Closed).await;
    }
    bench.store.registry().delete_segment(segment.id).await.unwrap();
    bench.clock.set_wall_on(DAY);
    let mut options = all_of(&bench);
    options.max_rows = Some(2);
    let mut progress_calls = 0;
    for (run, expected) in [
        ("first", vec![("notifications", 2)]),
        ("second", vec![("notifications", 1), ("hosts", 1)]),
        ("third", vec![("hosts", 2)]),
        ("fourth", vec![("failover_segments", 1)]),
        ("last", vec![]),
    ] {
        let purged = bench
            .store
            .purge(&options, |_| progress_calls += 1)
            .await
            .unwrap();
        let counted: Vec<_> = rows(&purged)
            .into_iter()
            .filter(|(table, _)| ["notifications", "hosts", "failover_segments"].contains(table))
            .collect();
        assert_eq!(counted, expected, "{run}");
    }
    assert_eq!(progress_calls, 5);
    assert_eq!(count(&bench, "recovery").await, 0);
    assert_eq!(count(&bench, "host_state").await, 0);
}

#[tokio::test]
async fn rows_left_behind_by_masakari_manage_are_purged() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    recovered(&bench, &segment, "cmp1", Life::Closed).await;
    recovered(&bench, &segment, "cmp2", Life::Open).await;
    bench
        .store
        .db
        .writer()
        .execute_unprepared("DELETE FROM notifications")
        .await
        .unwrap();
    bench.clock.set_wall_on(DAY);
    // The open notification's recovery stays. Its vmove has no notification that an API could show.
    let expected = [
        ("vmoves", 2),
        ("recovery", 1),
        ("recovery_step", 2),
        ("recovery_move", 1),
        ("recovery_proof", 1),
    ];
    for dry_run in [true, false] {
        let mut options = all_of(&bench);
        options.dry_run = dry_run;
        assert_eq!(
            rows(&bench.store.purge(&options, |_| ()).await.unwrap()),
            expected
        );
    }
}

/// Covers R8, R36.
#[tokio::test]
async fn a_given_up_instance_stays_known_until_it_is_acknowledged() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let server = ServerId(Uuid::from_u128(1));
    let at = bench.clock_wall();
    // The second recovery says that it does not run at cmp9 any more: it stays as long as the first does.
    for (host, given_up) in [("cmp1", true), ("cmp2", false)] {
        let host = bench.host(&segment, host).await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let mut instance = pending_move(server, 0);
        if given_up {
            instance.may_run = ["cmp9".to_owned()].into();
            instance.wait = Some(Wait {
                what: WaitsFor::GivenUp,
                on: ["cmp9".to_owned()].into(),
                since: at,
            });
        }
        let write = Write {
            moves: vec![instance],
            notification: Some((NotificationStatus::Failed, None)),
            life: Some(Life::Closed),
            ..Write::default()
        };
        let journal = bench.store.journal();
        let written = journal.commit_at(claimed.id, claimed.epoch, &write).await;
        assert!(matches!(written, Ok(WriteOutcome::Written(_))), "{written:?}");
    }
    bench.clock.set_wall_on(366 * DAY);
    for _ in ["with their notifications", "without"] {
        bench.store.purge(&all_of(&bench), |_| ()).await.unwrap();
        assert_eq!(count(&bench, "recovery").await, 2);
        assert_eq!(count(&bench, "recovery_move").await, 2);
        let failed = bench.store.journal().failed_instances().await.unwrap();
        assert_eq!(failed, [(server, at)].into());
        // As masakari-manage does.
        let delete = "DELETE FROM notifications";
        bench.store.db.writer().execute_unprepared(delete).await.unwrap();
    }
    let journal = bench.store.journal();
    journal.forget_instances(&[(server, at)].into()).await.unwrap();
    bench.store.purge(&all_of(&bench), |_| ()).await.unwrap();
    assert_eq!(count(&bench, "recovery").await, 0);
}
