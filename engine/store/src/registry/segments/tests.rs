use tachi_engine::ports::{Hosts as _, Segments as _};

use super::*;
use crate::testing::{Bench, all, new_segment};

#[tokio::test]
async fn a_segment_is_created_changed_and_deleted() {
    let bench = Bench::new().await;
    let created = bench.segment("s1").await;
    assert_eq!(created.row, 1);
    assert_eq!(created.stamps.created_at, bench.clock_wall().whole_seconds());
    assert_eq!(created.stamps.updated_at, None);
    assert_eq!(
        bench.store.registry().get_segment(created.id).await.unwrap(),
        Some(created.clone())
    );

    bench.clock.set_wall_on(5);
    let change = SegmentChange {
        description: Some(Some("rack 1".to_owned())),
        recovery_method: Some(RecoveryMethod::RhPriority),
        ..SegmentChange::default()
    };
    let updated = bench
        .store
        .registry()
        .update_segment(created.id, &change)
        .await
        .unwrap();
    assert_eq!(updated.description.as_deref(), Some("rack 1"));
    assert_eq!(updated.recovery_method, RecoveryMethod::RhPriority);
    assert_eq!(updated.name, "s1");
    assert_eq!(
        updated.stamps.updated_at,
        Some(bench.clock_wall().whole_seconds())
    );

    let host = bench.host(&updated, "cmp1").await;
    bench.store.registry().delete_segment(created.id).await.unwrap();
    assert_eq!(
        bench.store.registry().get_segment(created.id).await.unwrap(),
        None
    );
    assert_eq!(
        bench
            .store
            .registry()
            .get_host(created.id, host.id)
            .await
            .unwrap(),
        None
    );
    let gone = bench
        .store
        .registry()
        .delete_segment(created.id)
        .await
        .unwrap_err();
    assert!(matches!(gone, RegistryError::SegmentNotFound { .. }), "{gone:?}");

    let again = bench.segment("s1").await;
    assert_eq!(again.row, 2, "ids are never used again");
    bench.host(&again, "cmp1").await;
}

#[tokio::test]
async fn names_are_unique_among_segments_that_are_there() {
    let bench = Bench::new().await;
    let one = bench.segment("s1").await;
    bench.segment("s2").await;
    let twice = bench
        .store
        .registry()
        .create_segment(&new_segment("s1"))
        .await
        .unwrap_err();
    assert!(
        matches!(&twice, RegistryError::SegmentExists { name } if name == "s1"),
        "{twice:?}"
    );
    let rename = |name: &str| SegmentChange {
        name: Some(name.to_owned()),
        ..SegmentChange::default()
    };
    let taken = bench
        .store
        .registry()
        .update_segment(one.id, &rename("s2"))
        .await
        .unwrap_err();
    assert!(
        matches!(&taken, RegistryError::SegmentExists { name } if name == "s2"),
        "{taken:?}"
    );
    let own = bench
        .store
        .registry()
        .update_segment(one.id, &rename("s1"))
        .await
        .unwrap();
    assert_eq!(own.name, "s1");
}

#[tokio::test]
async fn the_database_itself_refuses_a_second_of_the_same_name() {
    let bench = Bench::new().await;
    bench.segment("s1").await;
    let row = segment::ActiveModel {
        uuid: Set(Uuid::new_v4().to_string()),
        name: Set("s1".to_owned()),
        service_type: Set("COMPUTE".to_owned()),
        recovery_method: Set("auto".to_owned()),
        deleted: Set(Some(0)),
        ..Default::default()
    };
    let error = row.insert(bench.store.db.writer()).await.unwrap_err();
    let stop = taken(error, "s1");
    assert!(
        matches!(stop, Stop::Refused(RegistryError::SegmentExists { .. })),
        "{stop:?}"
    );
}

#[tokio::test]
async fn in_use_only_enabled_may_change() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    bench.stopped(&host).await;
    let enabled = SegmentChange {
        enabled: Some(false),
        ..SegmentChange::default()
    };
    let more = SegmentChange {
        name: Some("s2".to_owned()),
        ..enabled.clone()
    };
    let refused = bench
        .store
        .registry()
        .update_segment(segment.id, &more)
        .await
        .unwrap_err();
    assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
    let refused = bench
        .store
        .registry()
        .delete_segment(segment.id)
        .await
        .unwrap_err();
    assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
    let updated = bench
        .store
        .registry()
        .update_segment(segment.id, &enabled)
        .await
        .unwrap();
    assert!(!updated.enabled);
    let other = bench.segment("free").await;
    bench.store.registry().delete_segment(other.id).await.unwrap();
}

#[tokio::test]
async fn lists_are_filtered() {
    let bench = Bench::new().await;
    bench.segment("s1").await;
    let off = NewSegment {
        enabled: false,
        service_type: "STORAGE".to_owned(),
        recovery_method: RecoveryMethod::ReservedHost,
        ..new_segment("s2")
    };
    bench.store.registry().create_segment(&off).await.unwrap();
    let none = SegmentFilter::default;
    let cases: Vec<(&str, SegmentFilter, &[&str])> = vec![
        ("all, newest first", none(), &["s2", "s1"]),
        (
            "enabled",
            SegmentFilter {
                enabled: Some(true),
                ..none()
            },
            &["s1"],
        ),
        (
            "disabled",
            SegmentFilter {
                enabled: Some(false),
                ..none()
            },
            &["s2"],
        ),
        (
            "service",
            SegmentFilter {
                service_type: Some("STORAGE".to_owned()),
                ..none()
            },
            &["s2"],
        ),
        (
            "method",
            SegmentFilter {
                recovery_method: Some("auto".to_owned()),
                ..none()
            },
            &["s1"],
        ),
        (
            "unknown method",
            SegmentFilter {
                recovery_method: Some("x".to_owned()),
                ..none()
            },
            &[],
        ),
    ];
    for (case, filter, names) in cases {
        let page = Page { filter, ..all() };
        let listed = bench.store.registry().list_segments(&page).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|segment| segment.name.as_str()).collect();
        assert_eq!(listed, names, "{case}");
    }
}
