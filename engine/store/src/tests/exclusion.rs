//! Two handles with separate connections, like two processes, that access the same rows concurrently.

use std::sync::Arc;

use sea_orm::{ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, QueryFilter as _};
use tachi_domain::entity::host::{HostAttributes, MaintenanceReason};
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::recovery::Life;
use tachi_engine::ports::journal::{HostWrite, Write, WriteOutcome};
use tachi_engine::ports::{
    Hosts as _, Journal as _, Notifications as _, RegistryError, Reports as _, Segments as _,
};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::entity::{host, host_state};
use crate::testing::{Bench, all, new_host, new_segment, notification, stopped};

/// Number of concurrent runs of each pair. The first rounds create lock rows, the later ones find them.
const ROUNDS: usize = 30;

/// Name of the case, type and payload of its notification.
type Kind = (
    &'static str,
    NotificationType,
    &'static [(&'static str, &'static str)],
);

/// Runs both concurrently to their ends.
async fn at_once<A, B>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B)
where
    A: Send + 'static,
    B: Send + 'static,
{
    let barrier = Arc::new(Barrier::new(2));
    let also = barrier.clone();
    let one = tokio::spawn(async move {
        barrier.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        also.wait().await;
        other.await
    });
    (one.await.unwrap(), other.await.unwrap())
}

/// Covers EW17.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_equal_posts_of_any_kind_make_one_notification() {
    // Only the second has a key that is unique among open recoveries.
    let payloads: [Kind; 3] = [
        (
            "started host",
            NotificationType::ComputeHost,
            &[("event", "STARTED")],
        ),
        (
            "instance",
            NotificationType::Vm,
            &[
                ("instance_uuid", "6c2b9d7e-0b0e-4f52-9c61-000000000001"),
                ("event", "LIFECYCLE"),
            ],
        ),
        (
            "process",
            NotificationType::Process,
            &[("process_name", "libvirtd"), ("event", "STOPPED")],
        ),
    ];
    for (case, kind, payload) in payloads {
        let bench = Bench::new().await;
        let segment = bench.segment("s1").await;
        bench.host(&segment, "cmp1").await;
        let at = bench.clock_wall();
        let new = notification(kind, "cmp1", at, payload);
        let stores = [bench.store.clone(), bench.another().await];
        let mut posts = JoinSet::new();
        for number in 0..50 {
            let (store, new) = (stores[number % 2].clone(), new.clone());
            posts.spawn(async move { store.registry().accept_notification(&new, 180, at).await });
        }
        let mut accepted = 0;
        while let Some(post) = posts.join_next().await {
            match post.unwrap() {
                Ok(_) => accepted += 1,
                Err(error) => assert!(matches!(error, RegistryError::Duplicate), "{case}: {error:?}"),
            }
        }
        assert_eq!(accepted, 1, "{case}");
        let listed = bench.store.registry().list_notifications(&all()).await.unwrap();
        assert_eq!(listed.len(), 1, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_twenty_segments_of_the_same_name_is_created() {
    let bench = Bench::new().await;
    let stores = [bench.store.clone(), bench.another().await];
    let mut creations = JoinSet::new();
    for number in 0..20 {
        let store = stores[number % 2].clone();
        creations.spawn(async move { store.registry().create_segment(&new_segment("s1")).await });
    }
    let mut created = 0;
    while let Some(creation) = creations.join_next().await {
        match creation.unwrap() {
            Ok(_) => created += 1,
            Err(error) => assert!(
                matches!(&error, RegistryError::SegmentExists { name } if name == "s1"),
                "{error:?}"
            ),
        }
    }
    assert_eq!(created, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_is_not_deleted_while_its_notification_is_accepted() {
    let bench = Bench::new().await;
    let other = bench.another().await;
    let segment = bench.segment("s1").await;
    let mut outcomes = [0, 0];
    for round in 0..ROUNDS {
        // A separate segment, because the rule is about segments.
        let own = if round % 2 == 0 {
            bench.segment(&format!("s1.{round}")).await
        } else {
            segment.clone()
        };
        let host = bench.host(&own, &format!("cmp{round}")).await;
        let (id, at) = (host.id, bench.clock_wall());
        let new = notification(
            NotificationType::ComputeHost,
            &host.name,
            at,
            &[("event", "STARTED")],
        );
        let (store, deleting) = (bench.store.clone(), other.clone());
        let (accepted, deleted) = at_once(
            async move { store.registry().accept_notification(&new, 180, at).await },
            async move { deleting.registry().delete_host(own.id, id).await },
        )
        .await;
        match (accepted, deleted) {
            (Ok(_), Err(RegistryError::InUse)) => outcomes[0] += 1,
            (Err(RegistryError::UnknownHostName { .. }), Ok(())) => outcomes[1] += 1,
            // A notification of an earlier round keeps the shared segment in use.
            (Err(_), Err(error)) => panic!("round {round}: neither; {error:?}"),
            (accepted, deleted) => panic!("round {round}: {accepted:?}, {deleted:?}"),
        }
    }
    assert_eq!(outcomes[0] + outcomes[1], ROUNDS, "{outcomes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_host_joins_a_segment_that_is_being_deleted() {
    let bench = Bench::new().await;
    let other = bench.another().await;
    for round in 0..ROUNDS {
        let segment = bench.segment(&format!("s{round}")).await;
        let new = new_host(&format!("cmp{round}"));
        let (store, deleting, id) = (bench.store.clone(), other.clone(), segment.id);
        let (created, deleted) = at_once(
            async move { store.registry().create_host(id, &new).await },
            async move { deleting.registry().delete_segment(id).await },
        )
        .await;
        deleted.unwrap();
        if let Err(error) = created {
            assert!(
                matches!(error, RegistryError::SegmentNotFound { .. }),
                "round {round}: {error:?}"
            );
        }
        let left = host::Entity::find()
            .filter(host::Column::FailoverSegmentId.eq(segment.id.to_string()))
            .filter(host::Column::Deleted.eq(0))
            .all(bench.store.db.reader())
            .await
            .unwrap();
        assert_eq!(left, [], "round {round}");
    }
}

/// Covers R19.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_operator_action_survives_a_concurrent_write_of_the_recovery() {
    let bench = Bench::new().await;
    let other = bench.another().await;
    for round in 0..ROUNDS {
        let segment = bench.segment(&format!("s{round}")).await;
        let host = bench.host(&segment, &format!("cmp{round}")).await;
        bench.stopped(&host).await;
        let claimed = bench.claim_newest("engine").await;
        let (store, operator, id) = (bench.store.clone(), other.clone(), host.id);
        let (written, updated) = at_once(
            async move {
                let write = Write {
                    host: Some(HostWrite {
                        host: id,
                        why: MaintenanceReason::Recovery,
                    }),
                    ..Write::default()
                };
                store.journal().commit_at(claimed.id, claimed.epoch, &write).await
            },
            async move {
                let change = HostAttributes {
                    on_maintenance: Some(true),
                    ..HostAttributes::default()
                };
                operator.registry().update_host(segment.id, id, &change).await
            },
        )
        .await;
        assert!(
            matches!(written, Ok(WriteOutcome::Written(_))),
            "round {round}: {written:?}"
        );
        updated.unwrap();
        let state = host_state::Entity::find_by_id(host.id.to_string())
            .one(bench.store.db.reader())
            .await
            .unwrap();
        assert_eq!(
            state.map(|state| state.why).as_deref(),
            Some("operator"),
            "round {round}"
        );
    }
}

/// Covers R12.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_host_recovery_and_a_write_that_forbids_it_exclude_each_other() {
    let bench = Bench::new().await;
    let other = bench.another().await;
    let segment = bench.segment("s1").await;
    for round in 0..ROUNDS {
        let host = bench.host(&segment, &format!("cmp{round}")).await;
        let at = bench.clock_wall();
        let instance = format!("6c2b9d7e-0b0e-4f52-9c61-{round:012}");
        let payload = [("instance_uuid", instance.as_str()), ("event", "LIFECYCLE")];
        let vm = notification(NotificationType::Vm, &host.name, at, &payload);
        bench.accept(&vm).await.unwrap();
        let claimed = bench.claim_newest("engine").await;
        let (store, api, name) = (bench.store.clone(), other.clone(), host.name.clone());
        let new = stopped(&host.name, at);
        let (written, accepted) = at_once(
            async move {
                let write = Write {
                    state: Some("intent".to_owned()),
                    unless_host_recovery: Some(name),
                    ..Write::default()
                };
                let written = store
                    .journal()
                    .commit_at(claimed.id, claimed.epoch, &write)
                    .await
                    .unwrap();
                // The result of a retry after the other transaction has finished.
                (
                    written,
                    store.journal().commit_at(claimed.id, claimed.epoch, &write).await,
                )
            },
            async move { api.registry().accept_notification(&new, 180, at).await },
        )
        .await;
        accepted.unwrap();
        let (first, _) = written;
        assert!(
            matches!(first, WriteOutcome::Written(_) | WriteOutcome::HostUnderRecovery),
            "round {round}: {first:?}"
        );
    }
    assert_eq!(bench.store.journal().unsettled().await.unwrap().len(), 2 * ROUNDS);
}

#[tokio::test]
async fn a_snapshot_shows_the_same_until_its_end() {
    use sea_orm::PaginatorTrait as _;
    let bench = Bench::new().await;
    let other = bench.another().await;
    bench.segment("s1").await;
    let snapshot = bench.store.db.snapshot().await.unwrap();
    let count = || crate::entity::segment::Entity::find().count(&snapshot);
    assert_eq!(count().await.unwrap(), 1);
    other.registry().create_segment(&new_segment("s2")).await.unwrap();
    assert_eq!(count().await.unwrap(), 1, "not what was committed since");
    crate::transaction::roll_back(snapshot).await;
    assert_eq!(
        bench.store.registry().list_segments(&all()).await.unwrap().len(),
        2
    );
}

#[tokio::test]
async fn long_states_are_kept_whole() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let long = "ä".repeat(100_000);
    let write = Write {
        state: Some(long.clone()),
        ..Write::default()
    };
    let written = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &write)
        .await
        .unwrap();
    assert!(matches!(written, WriteOutcome::Written(_)), "{written:?}");
    assert_eq!(bench.claim_newest("another").await.state, Some(long));
}

/// An adopted `MariaDB` table may have lost the fraction of its times; the window stays the same.
#[tokio::test]
async fn duplicates_are_found_among_times_without_a_fraction() {
    let bench = Bench::new().await;
    let writer = bench.store.db.writer();
    if writer.get_database_backend() == DbBackend::MySql {
        let narrow = "ALTER TABLE notifications MODIFY generated_time DATETIME NOT NULL";
        writer.execute_unprepared(narrow).await.unwrap();
    }
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let first = bench.stopped(&host).await;
    let claimed = bench.claim_newest("engine").await;
    let end = Write {
        life: Some(Life::Closed),
        notification: Some((NotificationStatus::Finished, None)),
        ..Write::default()
    };
    let ended = bench
        .store
        .journal()
        .commit_at(claimed.id, claimed.epoch, &end)
        .await
        .unwrap();
    assert!(matches!(ended, WriteOutcome::Written(_)), "{ended:?}");
    // The same report is recognised, whatever precision the database stores.
    for (case, seconds, window, accepted) in [
        ("at once, without a window", 0, 0, false),
        ("at the window's end", 180, 180, false),
        ("two seconds after it", 182, 180, true),
    ] {
        let at = tachi_domain::Timestamp::from_micros(crate::testing::START + seconds * 1_000_000);
        let again = bench
            .store
            .registry()
            .accept_notification(&stopped(&host.name, at), window, at)
            .await;
        assert_eq!(again.is_ok(), accepted, "{case}: {again:?}");
    }
    assert_eq!(
        bench
            .store
            .registry()
            .get_notification(first.id)
            .await
            .unwrap()
            .unwrap()
            .source_host,
        host.id
    );
}
