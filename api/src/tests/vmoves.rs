//! Section 2.8: vmoves.

use serde_json::json;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::{NotificationId, Timestamp};
use uuid::Uuid;

use super::bench::{Bench, fault, notification};

/// Returns a bench with a host's notification, and the path of the notification.
async fn bench_with_notification() -> (Bench, String, NotificationId) {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    bench.host(&segment, "h").await;
    assert_eq!(bench.notify("h", "2026-01-01").await.status, 202);
    let id = bench.registry.rows().notifications[0].id;
    (bench, format!("/v1/notifications/{id}/vmoves"), id)
}

fn add(bench: &Bench, of: NotificationId, name: &str, status: Option<VmoveStatus>) -> Vmove {
    let (row, stamps) = bench.registry.row_and_stamps();
    let vmove = Vmove {
        row,
        id: Uuid::new_v4().into(),
        notification: of,
        instance_uuid: format!("server of {name}"),
        instance_name: name.to_owned(),
        source_host: Some("h".to_owned()),
        dest_host: None,
        start_time: Some(Timestamp::from_micros(1_767_225_600_123_456)),
        end_time: None,
        kind: status.map(|_| VmoveType::Evacuation),
        status,
        message: None,
        stamps,
    };
    bench.registry.rows().vmoves.push(vmove.clone());
    vmove
}

#[tokio::test]
async fn shown_at_every_microversion() {
    let (bench, path, of) = bench_with_notification().await;
    let vmove = add(&bench, of, "vm2", Some(VmoveStatus::Pending));
    let expected = json!({
        "id": vmove.row, "uuid": vmove.id, "notification_uuid": of, "instance_uuid": "server of vm2",
        "instance_name": "vm2", "source_host": "h", "dest_host": null,
        "start_time": "2026-01-01T00:00:00.123456", "end_time": null, "type": "evacuation",
        "status": "pending", "message": null, "created_at": "1970-01-01T00:00:04.000000",
        "updated_at": null, "deleted_at": null, "deleted": false,
    });
    for version in ["1.0", "1.2", "1.3"] {
        assert_eq!(
            bench.get_at(version, &path).await.root("vmoves"),
            json!([expected]),
            "{version}"
        );
        let got = bench.get_at(version, &format!("{path}/{}", vmove.id)).await;
        assert_eq!(got.root("vmove"), expected, "{version}");
    }
}

#[tokio::test]
async fn filters_and_order() {
    let (bench, path, of) = bench_with_notification().await;
    add(&bench, of, "a", Some(VmoveStatus::Succeeded));
    add(&bench, of, "b", Some(VmoveStatus::Failed));
    add(&bench, of, "c", None);
    add(
        &bench,
        Uuid::new_v4().into(),
        "of another",
        Some(VmoveStatus::Failed),
    );
    let cases = [
        ("", "c b a"),
        ("status=failed", "b"),
        ("status=bogus", ""),
        ("type=evacuation", "b a"),
        ("sort_key=status&sort_dir=asc", "c b a"),
        ("sort_key=instance_name&sort_dir=asc&limit=2", "a b"),
    ];
    for (query, expected) in cases {
        let list = bench.get(&format!("{path}?{query}")).await.root("vmoves");
        let names: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["instance_name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
}

#[tokio::test]
async fn errors() {
    let (bench, path, of) = bench_with_notification().await;
    let foreign = add(&bench, Uuid::new_v4().into(), "of another", None);
    let payload = json!({"event": "STOPPED", "process_name": "p"});
    let sent = notification("PROCESS", "h", "2026-01-01", &payload);
    let got = bench.send("POST", "/v1/notifications", sent).await;
    let process = got.root("notification")["notification_uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    let own = add(&bench, of, "vm", None);
    let nobody = "6128798e-1111-4222-8333-0123456789ab";
    let none = |id: &str| fault(404, "itemNotFound", &format!("No notification with id {id}."));
    let no_move = |id: &str| fault(404, "itemNotFound", &format!("No vm move with id {id}."));
    let without = fault(
        400,
        "badRequest",
        &format!("This notification {process} without vm moves."),
    );
    let foreign_id = foreign.id.to_string();
    let cases = [
        (
            "V1, unknown",
            format!("/v1/notifications/{nobody}/vmoves"),
            none(nobody),
        ),
        ("V1, no uuid", "/v1/notifications/x/vmoves".to_owned(), none("x")),
        (
            "V1, other type",
            format!("/v1/notifications/{process}/vmoves"),
            without.clone(),
        ),
        (
            "V2, unknown notification",
            format!("/v1/notifications/{nobody}/vmoves/{}", own.id),
            none(nobody),
        ),
        (
            "V2, other type",
            format!("/v1/notifications/{process}/vmoves/{}", own.id),
            without,
        ),
        ("V2, unknown", format!("{path}/{nobody}"), no_move(nobody)),
        ("V2, no uuid", format!("{path}/x"), no_move("x")),
        (
            "V2, of another notification",
            format!("{path}/{foreign_id}"),
            no_move(&foreign_id),
        ),
    ];
    for (name, path, expected) in cases {
        assert_eq!(bench.get(&path).await.fault(), expected, "{name}");
    }
}
