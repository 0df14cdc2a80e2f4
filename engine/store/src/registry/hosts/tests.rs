use sea_orm::EntityTrait as _;
use tachi_engine::ports::{Hosts as _, Segments as _};

use super::*;
use crate::entity::host_state;
use crate::testing::{Bench, all, new_host};

async fn why(bench: &Bench, id: HostId) -> Option<String> {
    let row = host_state::Entity::find_by_id(id.to_string())
        .one(bench.store.db.reader())
        .await
        .unwrap();
    row.map(|row| row.why)
}

fn maintenance_set(to: bool) -> HostAttributes {
    HostAttributes {
        on_maintenance: Some(to),
        ..HostAttributes::default()
    }
}

#[tokio::test]
async fn a_host_is_created_changed_and_deleted() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    assert_eq!(host.segment, segment);
    assert_eq!(
        bench
            .store
            .registry()
            .get_host(segment.id, host.id)
            .await
            .unwrap(),
        Some(host.clone())
    );
    let change = HostAttributes {
        reserved: Some(true),
        control_attributes: Some("IPMI".to_owned()),
        ..HostAttributes::default()
    };
    let updated = bench
        .store
        .registry()
        .update_host(segment.id, host.id, &change)
        .await
        .unwrap();
    assert!(updated.reserved);
    assert_eq!(updated.control_attributes, "IPMI");
    assert_eq!(updated.kind, "COMPUTE");
    assert!(updated.stamps.updated_at.is_some());
    bench
        .store
        .registry()
        .delete_host(segment.id, host.id)
        .await
        .unwrap();
    assert_eq!(
        bench
            .store
            .registry()
            .get_host(segment.id, host.id)
            .await
            .unwrap(),
        None
    );
    let gone = bench
        .store
        .registry()
        .delete_host(segment.id, host.id)
        .await
        .unwrap_err();
    assert!(matches!(gone, RegistryError::HostNotFound { .. }), "{gone:?}");
    assert_eq!(
        bench.host(&segment, "cmp1").await.row,
        2,
        "the name is free again, the id is not"
    );
}

#[tokio::test]
async fn names_are_unique_over_all_segments() {
    let bench = Bench::new().await;
    let (one, other) = (bench.segment("s1").await, bench.segment("s2").await);
    bench.host(&one, "cmp1").await;
    let cmp2 = bench.host(&other, "cmp2").await;
    let twice = bench
        .store
        .registry()
        .create_host(other.id, &new_host("cmp1"))
        .await
        .unwrap_err();
    assert!(
        matches!(&twice, RegistryError::HostExists { name } if name == "cmp1"),
        "{twice:?}"
    );
    let rename = HostAttributes {
        name: Some("cmp1".to_owned()),
        ..HostAttributes::default()
    };
    let taken = bench
        .store
        .registry()
        .update_host(other.id, cmp2.id, &rename)
        .await
        .unwrap_err();
    assert!(matches!(taken, RegistryError::HostExists { .. }), "{taken:?}");
    let refused = bench
        .store
        .registry()
        .update_host(one.id, cmp2.id, &rename)
        .await
        .unwrap_err();
    assert!(
        matches!(refused, RegistryError::HostNotFound { .. }),
        "{refused:?}"
    );
}

#[tokio::test]
async fn an_operators_maintenance_is_recorded_and_cleared() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    assert_eq!(why(&bench, host.id).await, None);
    for (case, to, reason) in [
        ("put", true, Some("operator")),
        ("put again", true, Some("operator")),
        ("taken off", false, None),
    ] {
        let updated = bench
            .store
            .registry()
            .update_host(segment.id, host.id, &maintenance_set(to))
            .await
            .unwrap();
        assert_eq!(updated.on_maintenance, to, "{case}");
        assert_eq!(why(&bench, host.id).await.as_deref(), reason, "{case}");
    }
    let born = NewHost {
        on_maintenance: true,
        ..new_host("cmp2")
    };
    let born = bench
        .store
        .registry()
        .create_host(segment.id, &born)
        .await
        .unwrap();
    assert_eq!(why(&bench, born.id).await.as_deref(), Some("operator"));
    bench
        .store
        .registry()
        .delete_host(segment.id, born.id)
        .await
        .unwrap();
    assert_eq!(why(&bench, born.id).await, None, "deleted");
}

#[tokio::test]
async fn in_use_only_maintenance_may_be_put() {
    let bench = Bench::new().await;
    let segment = bench.segment("s1").await;
    let host = bench.host(&segment, "cmp1").await;
    let sibling = bench.host(&segment, "cmp2").await;
    bench.stopped(&host).await;
    let reserve = HostAttributes {
        reserved: Some(true),
        ..maintenance_set(true)
    };
    for (case, change) in [("with more", reserve), ("taking off", maintenance_set(false))] {
        let refused = bench
            .store
            .registry()
            .update_host(segment.id, sibling.id, &change)
            .await
            .unwrap_err();
        assert!(matches!(refused, RegistryError::InUse), "{case}: {refused:?}");
        let refused = bench
            .store
            .registry()
            .changeable_host(segment.id, sibling.id, &change)
            .await
            .unwrap_err();
        assert!(
            matches!(refused, RegistryError::InUse),
            "{case}, asked: {refused:?}"
        );
    }
    let result = bench
        .store
        .registry()
        .changeable_host(segment.id, sibling.id, &maintenance_set(true))
        .await
        .unwrap();
    assert_eq!(result, sibling, "asking changes nothing");
    let refused = bench
        .store
        .registry()
        .delete_host(segment.id, sibling.id)
        .await
        .unwrap_err();
    assert!(matches!(refused, RegistryError::InUse), "{refused:?}");
    let put = bench
        .store
        .registry()
        .update_host(segment.id, host.id, &maintenance_set(true))
        .await
        .unwrap();
    assert!(put.on_maintenance);
    bench.host(&segment, "cmp3").await;
}

#[tokio::test]
async fn lists_are_filtered_and_kept_to_their_segment() {
    let bench = Bench::new().await;
    let (one, other) = (bench.segment("s1").await, bench.segment("s2").await);
    bench.host(&one, "cmp1").await;
    let odd = NewHost {
        reserved: true,
        on_maintenance: true,
        kind: "KVM".to_owned(),
        control_attributes: "IPMI".to_owned(),
        ..new_host("cmp2")
    };
    bench.store.registry().create_host(one.id, &odd).await.unwrap();
    bench.host(&other, "cmp3").await;
    let none = HostFilter::default;
    let with = |attributes| HostFilter {
        attributes,
        row: None,
    };
    let text = |text: &str| Some(text.to_owned());
    let cases: Vec<(&str, HostFilter, &[&str])> = vec![
        ("all", none(), &["cmp2", "cmp1"]),
        (
            "type",
            with(HostAttributes {
                kind: text("KVM"),
                ..HostAttributes::default()
            }),
            &["cmp2"],
        ),
        (
            "name",
            with(HostAttributes {
                name: text("cmp1"),
                ..HostAttributes::default()
            }),
            &["cmp1"],
        ),
        (
            "attributes",
            with(HostAttributes {
                control_attributes: text("SSH"),
                ..HostAttributes::default()
            }),
            &["cmp1"],
        ),
        (
            "in maintenance",
            with(HostAttributes {
                on_maintenance: Some(true),
                ..HostAttributes::default()
            }),
            &["cmp2"],
        ),
        (
            "not reserved",
            with(HostAttributes {
                reserved: Some(false),
                ..HostAttributes::default()
            }),
            &["cmp1"],
        ),
        (
            "row",
            HostFilter {
                row: Some(1),
                ..none()
            },
            &["cmp1"],
        ),
        (
            "row of another segment",
            HostFilter {
                row: Some(3),
                ..none()
            },
            &[],
        ),
        (
            "of another segment",
            with(HostAttributes {
                name: text("cmp3"),
                ..HostAttributes::default()
            }),
            &[],
        ),
    ];
    for (case, filter, names) in cases {
        let page = Page { filter, ..all() };
        let listed = bench.store.registry().list_hosts(one.id, &page).await.unwrap();
        let listed: Vec<_> = listed.iter().map(|host| host.name.as_str()).collect();
        assert_eq!(listed, names, "{case}");
    }
    bench.store.registry().delete_segment(other.id).await.unwrap();
    let gone = bench
        .store
        .registry()
        .list_hosts(other.id, &all())
        .await
        .unwrap_err();
    assert!(matches!(gone, RegistryError::SegmentNotFound { .. }), "{gone:?}");
}
