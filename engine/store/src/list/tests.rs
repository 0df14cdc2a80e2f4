use tachi_domain::entity::host::HostFilter;
use tachi_domain::entity::notification::NotificationFilter;
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod, SegmentChange, SegmentFilter};
use tachi_domain::entity::vmove::VmoveFilter;
use tachi_domain::entity::{Host, Notification, Segment, Vmove};
use tachi_domain::{NotificationId, Timestamp};
use tachi_engine::ports::{Hosts as _, Notifications as _, Segments as _};
use uuid::Uuid;

use super::*;
use crate::testing::{Bench, new_segment, page};

/// Creates seven segments. Every other one was changed and so has `updated_at`, and pairs share the second of their
/// creation.
async fn seven() -> Bench {
    let bench = Bench::new().await;
    for number in 0..7_usize {
        let method = RecoveryMethod::ALL[number % RecoveryMethod::ALL.len()];
        let new = NewSegment {
            recovery_method: method,
            ..new_segment(&format!("s{number}"))
        };
        let segment = bench.store.registry().create_segment(&new).await.unwrap();
        if number % 2 == 1 {
            bench.clock.set_wall_on(1);
            let change = SegmentChange {
                description: Some(Some(format!("d{}", number % 4))),
                ..SegmentChange::default()
            };
            bench
                .store
                .registry()
                .update_segment(segment.id, &change)
                .await
                .unwrap();
        }
    }
    bench
}

#[tokio::test]
async fn pages_join_to_the_whole_list_whatever_it_is_sorted_by() {
    let bench = seven().await;
    for column in Segment::SORT_KEYS {
        for descending in [false, true] {
            let sort = [
                (*column, descending),
                ("created_at", descending),
                ("id", descending),
            ];
            let whole = bench
                .store
                .registry()
                .list_segments(&page::<SegmentFilter>(&sort, None, 100))
                .await
                .unwrap();
            assert_eq!(whole.len(), 7);
            for limit in [1, 2, 3, 7] {
                let mut joined = Vec::new();
                let mut marker = None;
                loop {
                    let piece = page::<SegmentFilter>(&sort, marker, limit);
                    let piece = bench.store.registry().list_segments(&piece).await.unwrap();
                    let Some(last) = piece.last() else { break };
                    marker = Some(last.row);
                    joined.extend(piece);
                }
                assert_eq!(joined, whole, "{column}, descending {descending}, by {limit}");
            }
        }
    }
}

#[tokio::test]
async fn null_is_the_smallest_value() {
    let bench = seven().await;
    let cases = [
        (
            "smallest first",
            false,
            ["s0", "s2", "s4", "s6", "s1", "s3", "s5"],
        ),
        ("largest first", true, ["s5", "s3", "s1", "s6", "s4", "s2", "s0"]),
    ];
    for (case, descending, names) in cases {
        let sort = [("updated_at", descending), ("id", descending)];
        let listed = bench
            .store
            .registry()
            .list_segments(&page::<SegmentFilter>(&sort, None, 100))
            .await
            .unwrap();
        let listed: Vec<_> = listed.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(listed, names, "{case}");
    }
}

#[tokio::test]
async fn a_marker_must_be_a_row_that_is_not_deleted() {
    let bench = seven().await;
    let first = bench
        .store
        .registry()
        .list_segments(&page::<SegmentFilter>(&[("id", false)], None, 1))
        .await
        .unwrap()
        .remove(0);
    bench.store.registry().delete_segment(first.id).await.unwrap();
    for (case, marker) in [("deleted", first.row), ("never there", 99), ("negative", -1)] {
        let error = bench
            .store
            .registry()
            .list_segments(&page::<SegmentFilter>(&[("id", false)], Some(marker), 0))
            .await
            .unwrap_err();
        assert!(
            matches!(error, RegistryError::MarkerNotFound { marker: named } if named == marker),
            "{case}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_limit_of_zero_is_an_empty_list() {
    let bench = seven().await;
    let none = page::<SegmentFilter>(&[("id", false)], Some(3), 0);
    assert_eq!(bench.store.registry().list_segments(&none).await.unwrap(), []);
}

#[tokio::test]
async fn every_list_can_be_sorted_by_every_key_it_names() {
    let bench = seven().await;
    let segment = bench.segment("hosts").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    for key in Host::SORT_KEYS {
        let page = page::<HostFilter>(&[(key, true)], Some(host.row), 5);
        assert_eq!(
            bench
                .store
                .registry()
                .list_hosts(segment.id, &page)
                .await
                .unwrap(),
            [],
            "{key}"
        );
    }
    for key in Notification::SORT_KEYS {
        let page = page::<NotificationFilter>(&[(key, false)], None, 5);
        let listed = bench.store.registry().list_notifications(&page).await.unwrap();
        assert_eq!(listed.len(), 1, "{key}");
    }
    for key in Vmove::SORT_KEYS {
        let page = page::<VmoveFilter>(&[(key, false)], None, 5);
        let listed = bench
            .store
            .registry()
            .list_vmoves(NotificationId(Uuid::nil()), &page)
            .await;
        assert_eq!(listed.unwrap(), [], "{key}");
    }
    let unknown = page::<SegmentFilter>(&[("bogus", false)], None, 5);
    assert!(bench.store.registry().list_segments(&unknown).await.is_err());
}

#[tokio::test]
async fn notifications_are_filtered() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let (one, two) = (
        bench.host(&segment, "cmp1").await,
        bench.host(&segment, "cmp2").await,
    );
    let first = bench.stopped(&one).await;
    bench.clock.set_wall_on(100);
    let second = bench.stopped(&two).await;
    let none = NotificationFilter::default;
    let text = |text: &str| Some(text.to_owned());
    let since = |at: Timestamp| NotificationFilter {
        generated_since: Some(at),
        ..none()
    };
    let later = Timestamp::from_micros(second.generated_time.micros() + 1);
    let both = vec![second.id, first.id];
    let cases = [
        ("all", none(), both.clone()),
        (
            "status",
            NotificationFilter {
                status: text("new"),
                ..none()
            },
            both.clone(),
        ),
        (
            "other status",
            NotificationFilter {
                status: text("failed"),
                ..none()
            },
            vec![],
        ),
        (
            "type",
            NotificationFilter {
                kind: text("VM"),
                ..none()
            },
            vec![],
        ),
        (
            "host",
            NotificationFilter {
                source_host: text(&one.id.to_string()),
                ..none()
            },
            vec![first.id],
        ),
        (
            "row",
            NotificationFilter {
                row: Some(second.row),
                ..none()
            },
            vec![second.id],
        ),
        ("since the first", since(first.generated_time), both),
        (
            "since the second, to the microsecond",
            since(second.generated_time),
            vec![second.id],
        ),
        ("since a microsecond later", since(later), vec![]),
    ];
    for (case, filter, ids) in cases {
        let page = tachi_engine::ports::registry::Page {
            filter,
            ..crate::testing::all()
        };
        let listed = bench.store.registry().list_notifications(&page).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|notification| notification.id).collect();
        assert_eq!(listed, ids, "{case}");
    }
    assert_eq!(
        bench.store.registry().get_notification(first.id).await.unwrap(),
        Some(first)
    );
    let missing = NotificationId(Uuid::nil());
    assert_eq!(
        bench.store.registry().get_notification(missing).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn first_pages_and_vmoves_are_read_through_an_index() {
    let bench = Bench::sqlite().await;
    let cases = [
        (
            "notifications",
            "SELECT * FROM notifications WHERE deleted = 0 ORDER BY created_at DESC, id DESC LIMIT 1000",
        ),
        (
            "vmoves",
            "SELECT * FROM vmoves WHERE notification_uuid = 'x' AND deleted = 0 \
             ORDER BY created_at DESC, id DESC LIMIT 1000",
        ),
        (
            "hosts",
            "SELECT * FROM hosts WHERE failover_segment_id = 'x' AND deleted = 0 \
             ORDER BY created_at DESC, id DESC LIMIT 1000",
        ),
        (
            "notifications of a host",
            "SELECT * FROM notifications WHERE source_host_uuid = 'x' AND type = 'VM' \
             AND generated_time >= '2023-01-01 00:00:00.000000' AND deleted = 0",
        ),
    ];
    for (case, sql) in cases {
        let explain = sea_orm::Statement::from_string(DbBackend::Sqlite, format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = bench.store.db.reader().query_all_raw(explain).await.unwrap();
        let plan: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("", "detail").unwrap())
            .collect();
        let plan = plan.join("; ");
        assert!(plan.contains("USING INDEX tachi_"), "{case}: {plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{case}: {plan}");
    }
}
