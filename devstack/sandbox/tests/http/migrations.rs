//! Migration records on the wire.

use serde_json::{Value, json};
use tachi_sandbox::{Boot, MigrationKind, MoveFault, MoveFaultRule, RegionSettings};
use uuid::Uuid;

use crate::cloud::{Cloud, quick};

/// Evacuates this many servers of `compute-001` and leaves every record `accepted`.
async fn accepted(cloud: &Cloud, count: usize) -> Vec<Uuid> {
    let servers = cloud.region().boot(&Boot::on("compute-001", count)).unwrap();
    cloud.kill("compute-001").await;
    cloud
        .region()
        .faults()
        .add_move_fault(MoveFaultRule::always(MoveFault::LostCast));
    for server in &servers {
        assert_eq!(cloud.act(90, *server, json!({"evacuate": {}})).await, 200);
    }
    servers
}

fn rows(body: &Value) -> Vec<Value> {
    body["migrations"]
        .as_array()
        .unwrap_or_else(|| panic!("no migrations in {body}"))
        .clone()
}

#[tokio::test]
async fn fields_by_microversion() {
    let cloud = Cloud::start(quick(2)).await;
    let server = accepted(&cloud, 1).await[0];
    for (minor, present, absent) in [
        (
            1,
            vec!["id", "status", "source_compute"],
            vec!["migration_type", "uuid", "user_id"],
        ),
        (23, vec!["migration_type"], vec!["uuid", "user_id"]),
        (59, vec!["migration_type", "uuid"], vec!["user_id", "project_id"]),
        (80, vec!["uuid", "user_id", "project_id"], vec!["hidden", "links"]),
    ] {
        let (_, body) = cloud.get(minor, "/os-migrations").await;
        let row = rows(&body)[0].clone();
        for field in present {
            assert!(row.get(field).is_some(), "{field} in 2.{minor}");
        }
        for field in absent {
            assert!(row.get(field).is_none(), "{field} in 2.{minor}");
        }
        assert_eq!(row["instance_uuid"], json!(server));
    }
    let (_, body) = cloud.get(90, "/os-migrations").await;
    let row = &rows(&body)[0];
    assert_eq!(row["status"], "accepted");
    assert_eq!(row["migration_type"], "evacuation");
    assert_eq!(
        (&row["dest_compute"], &row["updated_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(row["source_node"], "compute-001.sandbox");
}

#[tokio::test]
async fn pages_newest_first() {
    let cloud = Cloud::start(RegionSettings {
        max_limit: 4,
        ..quick(2)
    })
    .await;
    let servers = accepted(&cloud, 10).await;
    for (limit, pages) in [("", 3), ("&limit=3", 4), ("&limit=5", 3)] {
        let mut path = format!("/os-migrations?source_compute=compute-001&migration_type=evacuation{limit}");
        let (mut seen, mut count) = (Vec::new(), 0);
        loop {
            let (status, body) = cloud.get(59, &path).await;
            assert_eq!(status, 200);
            seen.extend(
                rows(&body)
                    .iter()
                    .map(|row| row["instance_uuid"].as_str().unwrap().to_owned()),
            );
            count += 1;
            let Some(next) = body["migrations_links"][0]["href"].as_str() else {
                break;
            };
            path = next
                .strip_prefix(&cloud.sandbox.urls().compute)
                .unwrap()
                .to_owned();
        }
        let expected: Vec<String> = servers.iter().rev().map(ToString::to_string).collect();
        assert_eq!((seen, count), (expected, pages), "limit {limit:?}");
    }
}

#[tokio::test]
async fn filters_and_what_is_refused() {
    let cloud = Cloud::start(quick(4)).await;
    let server = accepted(&cloud, 3).await[0];
    let other = cloud.region().boot(&Boot::on("compute-002", 1)).unwrap()[0];
    cloud
        .region()
        .faults()
        .half_move(other, "compute-003", MigrationKind::LiveMigration, true)
        .unwrap();
    for (minor, query, status, found) in [
        (90, String::new(), 200, 4),
        (90, format!("instance_uuid={server}"), 200, 1),
        (90, "instance_uuid=none".into(), 200, 0),
        (90, "host=compute-003".into(), 200, 1),
        (90, "host=compute-002".into(), 200, 1),
        (90, "source_compute=compute-003".into(), 200, 0),
        (90, "source_compute=compute-001&status=accepted".into(), 200, 3),
        (90, "status=done".into(), 200, 0),
        (90, "migration_type=live-migration".into(), 200, 1),
        (90, "hidden=true".into(), 200, 0),
        (90, "changes-since=2000-01-01T00:00:00Z".into(), 200, 1),
        (90, "changes-since=2000-01-01T00:00:00%2B00:00".into(), 200, 1),
        (90, "changes-since=soon".into(), 400, 0),
        (90, "unknown=1".into(), 400, 0),
        (90, "marker=9d1a4c43-1bd5-4c45-93b6-b26d1c8e2b0c".into(), 400, 0),
        (90, "limit=-1".into(), 400, 0),
        (58, "unknown=1".into(), 200, 4),
        (65, "changes-before=2000-01-01T00:00:00Z".into(), 400, 0),
        (66, "changes-before=2000-01-01T00:00:00Z".into(), 200, 0),
        (79, "user_id=x".into(), 400, 0),
        (80, "user_id=x".into(), 200, 0),
    ] {
        let (code, body) = cloud.get(minor, &format!("/os-migrations?{query}")).await;
        let count = body["migrations"].as_array().map_or(0, Vec::len);
        assert_eq!((code, count), (status, found), "2.{minor} {query}");
    }
    let (_, live) = cloud.get(90, &format!("/servers/{other}/migrations")).await;
    assert_eq!(rows(&live)[0]["dest_compute"], "compute-003");
}
