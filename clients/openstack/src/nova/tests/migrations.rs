//! Migration records.

use super::*;

#[tokio::test]
async fn evacuations_are_read_newest_first_down_to_the_beginning() {
    // Two per second, newest first; ids 20 to 1.
    let all: Vec<Value> = (1..=20u64)
        .rev()
        .map(|id| migration_record(id, &format!("2023-11-14T22:13:{:02}.000000", id / 2)))
        .collect();
    let base = 1_699_999_980_000_000; // 22:13:00
    let at = |seconds_hundredths: i64| Some(Timestamp::from_micros(base + seconds_hundredths * 10_000));
    // (case, since, ids, pages)
    let cases = [
        ("everything", None, 20, 3),
        ("the newest page only", at(700), 7, 1),
        ("into the second page", at(500), 11, 2),
        ("made in the second of the beginning", at(770), 7, 1),
        ("nothing that new", at(5000), 0, 1),
    ];
    for (case, since, expected, pages) in cases {
        let all = all.clone();
        let fake = Fake::start(move |recorded| match recorded.path.as_str() {
            "/v2.1/os-migrations" => page(recorded, "migrations", "uuid", &all, "http://wrong.invalid"),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let got = paged_nova(&fake, 8)
            .await
            .evacuations_from("c1", since)
            .await
            .unwrap();
        let ids: Vec<u64> = got.iter().map(|migration| migration.id.0).collect();
        let expected: Vec<u64> = (1..=20).rev().take(expected).collect();
        assert_eq!(ids, expected, "{case}");
        let lists: Vec<RecordedRequest> = fake
            .calls()
            .into_iter()
            .filter(|c| c.path.ends_with("migrations"))
            .collect();
        assert_eq!(lists.len(), pages, "{case}");
        assert_eq!(
            lists[0].query, "source_compute=c1&migration_type=evacuation&limit=8",
            "{case}"
        );
        assert_eq!(lists[0].header("openstack-api-version"), "compute 2.59");
        assert!(lists.iter().all(|call| !call.query.contains("changes")), "{case}");
    }
}

#[tokio::test]
async fn migrations_touching_a_host_are_all_kinds_on_all_pages() {
    let kinds = ["evacuation", "live-migration", "migration", "resize", "teleport"];
    let all: Vec<Value> = kinds
        .iter()
        .zip(1..)
        .map(|(kind, id)| {
            let mut record = migration_record(id, "2023-11-14T22:13:20.000000");
            record["migration_type"] = json!(kind);
            record["dest_compute"] = json!("c2");
            record
        })
        .collect();
    let fake = Fake::start(move |recorded| match recorded.path.as_str() {
        "/v2.1/os-migrations" => page(recorded, "migrations", "uuid", &all, ""),
        "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
        _ => Reply::Unscripted,
    })
    .await;
    let got = paged_nova(&fake, 2)
        .await
        .migrations_touching("c1")
        .await
        .unwrap();
    let kinds: Vec<MigrationType> = got.iter().map(|migration| migration.kind.clone()).collect();
    let expected = [
        MigrationType::Evacuation,
        MigrationType::LiveMigration,
        MigrationType::Migration,
        MigrationType::Resize,
        MigrationType::Other("teleport".to_owned()),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(got[0].dest.as_deref(), Some("c2"));
    assert_eq!(
        got[0].created_at,
        Some(Timestamp::from_micros(1_700_000_000_000_000))
    );
    assert_eq!(fake.calls()[0].query, "host=c1&limit=2");
}

#[tokio::test]
async fn an_empty_list_of_migrations_counts_only_while_the_cell_is_up() {
    let down = json!({"services": [{"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"}]});
    let rows = [
        ("GET /os-migrations", 200, json!({"migrations": []})),
        ("GET /os-services", 200, down),
    ];
    let fake = Fake::start(table(rows)).await;
    let nova = fake.nova().await;
    for outcome in [
        nova.migrations_touching("c1").await,
        nova.evacuations_from("c1", None).await,
    ] {
        assert_eq!(outcome.unwrap_err().fault.class, FaultClass::Transient);
    }
}

#[tokio::test]
async fn every_status_of_an_evacuation_has_its_meaning() {
    use FaultClass::{Conflict, Permanent, Transient};
    let cases = [
        (400, Permanent, false),
        (403, Permanent, false),
        (404, Permanent, false),
        (409, Conflict, false),
        (413, Transient, false),
        (429, Transient, false),
        (500, Transient, true),
        (502, Transient, true),
        (503, Transient, true),
        (504, Transient, true),
    ];
    for (status, class, maybe_done) in cases {
        let fake = Fake::start(move |recorded| {
            if recorded.method == Method::POST && recorded.path.ends_with("/action") {
                let name = if status == 404 {
                    "itemNotFound"
                } else {
                    "computeFault"
                };
                Reply::Json(status, json!({name: {"message": "because"}}))
            } else {
                Reply::Unscripted
            }
        })
        .await;
        let fault = fake
            .nova()
            .await
            .evacuate(server_id(), None)
            .await
            .unwrap_err()
            .fault;
        assert_eq!(
            (fault.status, fault.class, fault.maybe_done),
            (Some(status), class, maybe_done)
        );
        assert!(
            fault.text.contains("because") && fault.text.contains("/action"),
            "{}",
            fault.text
        );
        assert_eq!(fake.calls().len(), 1, "an evacuation is never sent twice");
    }
}

#[tokio::test]
async fn a_live_migration_has_its_progress() {
    let bytes = |total: u64, left: u64, disk: u64, disk_left: u64| {
        json!({"migrations": [{
            "memory_total_bytes": total, "memory_remaining_bytes": left,
            "disk_total_bytes": disk, "disk_remaining_bytes": disk_left,
        }]})
    };
    // (status of the record, answer about the one under way, percent, calls)
    let cases = [
        ("running", 200, bytes(1_000, 400, 0, 0), Some(60), 2),
        ("running", 200, bytes(1_000, 0, 1_000, 500), Some(75), 2),
        ("running", 200, bytes(u64::MAX, 1, u64::MAX, 1), Some(99), 2),
        ("running", 200, bytes(10, 99, 0, 0), Some(0), 2),
        ("preparing", 200, bytes(0, 0, 0, 0), None, 2),
        ("preparing", 200, json!({"migrations": []}), None, 2),
        (
            "queued",
            200,
            json!({"migrations": [{"memory_total_bytes": null}]}),
            None,
            2,
        ),
        // It has ended between the two requests.
        (
            "running",
            404,
            json!({"itemNotFound": {"message": "none"}}),
            None,
            2,
        ),
        ("completed", 500, json!({}), None, 1),
    ];
    for (status, code, shown, percent, calls) in cases {
        let mut record = migration_record(7, "2023-11-14T22:13:20.000000");
        record["status"] = json!(status);
        record["migration_type"] = json!("live-migration");
        let answer = shown.clone();
        let fake = Fake::start(move |recorded| match recorded.path.as_str() {
            "/v2.1/os-migrations" => Reply::Json(200, json!({"migrations": [record.clone()]})),
            "/v2.1/servers/11111111-2222-3333-4444-555555555555/migrations" => {
                Reply::Json(code, answer.clone())
            }
            _ => Reply::Unscripted,
        })
        .await;
        let (rows, got) = fake.nova().await.migrations_of(server_id()).await.unwrap();
        assert_eq!((rows.len(), got), (1, percent), "{status} {shown}");
        let requests = fake.calls();
        assert_eq!(requests.len(), calls, "{status} {shown}");
        assert!(
            requests[0]
                .query
                .starts_with(&format!("instance_uuid={}&", server_id())),
            "{}",
            requests[0].query
        );
    }
}

#[tokio::test]
async fn a_migration_is_aborted_by_its_number_and_a_refusal_is_reported() {
    for (status, is_ok) in [(202, true), (400, false), (404, false)] {
        let fake = Fake::start(move |recorded| {
            if recorded.method == Method::DELETE {
                Reply::Json(status, json!({"badRequest": {"message": "it is too late"}}))
            } else {
                Reply::Unscripted
            }
        })
        .await;
        let aborted = fake
            .nova()
            .await
            .abort_migration(server_id(), MigrationId(7))
            .await;
        assert_eq!(aborted.is_ok(), is_ok, "{status}");
        let requests = fake.calls();
        assert_eq!(
            requests[0].path,
            format!("/v2.1/servers/{}/migrations/7", server_id())
        );
        assert_eq!(requests[0].header("openstack-api-version"), "compute 2.68");
    }
}
