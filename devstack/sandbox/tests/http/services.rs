//! Services and aggregates on the wire.

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, quick};

async fn service(cloud: &Cloud, host: &str) -> Value {
    let (status, body) = cloud
        .get(69, &format!("/os-services?binary=nova-compute&host={host}"))
        .await;
    assert_eq!(status, 200);
    body["services"][0].clone()
}

#[tokio::test]
async fn lists_and_their_ids() {
    let cloud = Cloud::start(quick(2)).await;
    for (minor, path, count) in [
        (53, "/os-services", 5),
        (53, "/os-services?binary=nova-compute", 2),
        (53, "/os-services?binary=nova-conductor", 2),
        (53, "/os-services?host=compute-002", 1),
        (53, "/os-services?host=compute-002&binary=nova-conductor", 0),
        (53, "/os-services?host=nowhere", 0),
        (53, "/os-services?unknown=1", 5),
    ] {
        let (status, body) = cloud.get(minor, path).await;
        assert_eq!(
            (status, body["services"].as_array().map(Vec::len)),
            (200, Some(count)),
            "{path}"
        );
    }
    assert_eq!(cloud.get(75, "/os-services?unknown=1").await.0, 400);
    let (_, old) = cloud.get(52, "/os-services").await;
    assert!(old["services"][0]["id"].is_number());
    let (_, new) = cloud.get(53, "/os-services").await;
    assert!(
        new["services"][0]["id"]
            .as_str()
            .unwrap()
            .parse::<uuid::Uuid>()
            .is_ok()
    );
    let (_, oldest) = cloud.get(10, "/os-services").await;
    assert!(oldest["services"][0].get("forced_down").is_none());
}

#[tokio::test]
async fn what_put_takes() {
    let cloud = Cloud::start(quick(1)).await;
    let id = service(&cloud, "compute-001").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, all) = cloud.get(53, "/os-services?binary=nova-conductor").await;
    let conductor = all["services"][0]["id"].as_str().unwrap().to_owned();
    let unknown = uuid::Uuid::nil().to_string();
    for (id, body, expected) in [
        (
            &id,
            json!({"status": "disabled", "disabled_reason": "tachi", "forced_down": true}),
            200,
        ),
        (
            &id,
            json!({"status": "disabled", "disabled_reason": "tachi", "forced_down": true}),
            200,
        ),
        (&id, json!({"forced_down": "false"}), 200),
        (&id, json!({"status": "enabled"}), 200),
        (&id, json!({}), 400),
        (&id, json!({"disabled_reason": "alone"}), 400),
        (&id, json!({"status": "enabled", "disabled_reason": "x"}), 400),
        (&id, json!({"status": "disabled", "disabled_reason": ""}), 400),
        (
            &id,
            json!({"status": "disabled", "disabled_reason": "x".repeat(256)}),
            400,
        ),
        (&id, json!({"status": "broken"}), 400),
        (&id, json!({"forced_down": "perhaps"}), 400),
        (&id, json!({"forced_down": true, "host": "compute-001"}), 400),
        (&conductor, json!({"status": "disabled"}), 400),
        (&unknown, json!({"status": "disabled"}), 404),
        (&"no-uuid".to_owned(), json!({"status": "disabled"}), 400),
    ] {
        let (status, _) = cloud.put(53, &format!("/os-services/{id}"), body.clone()).await;
        assert_eq!(status, expected, "{body}");
    }
    let (status, shown) = cloud
        .put(53, &format!("/os-services/{id}"), json!({"forced_down": true}))
        .await;
    assert_eq!(
        (status, &shown["service"]["state"]),
        (200, &json!("down")),
        "at once, although it beats"
    );
}

#[tokio::test]
async fn the_older_put_by_host_and_binary() {
    let cloud = Cloud::start(quick(1)).await;
    let target = |extra: Value| {
        let mut body = json!({"host": "compute-001", "binary": "nova-compute"});
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        body
    };
    for (minor, action, extra, expected) in [
        (1, "disable", json!({}), 200),
        (1, "enable", json!({}), 200),
        (1, "disable-log-reason", json!({"disabled_reason": "why"}), 200),
        (1, "disable-log-reason", json!({}), 400),
        (11, "force-down", json!({"forced_down": true}), 200),
        (10, "force-down", json!({"forced_down": true}), 404),
        (1, "disable", json!({"host": "nowhere"}), 404),
        (1, "disable", json!({"binary": "nova-conductor"}), 400),
        (1, "dance", json!({}), 404),
    ] {
        let (status, _) = cloud
            .put(minor, &format!("/os-services/{action}"), target(extra.clone()))
            .await;
        assert_eq!(status, expected, "2.{minor} {action} {extra}");
    }
    let shown = service(&cloud, "compute-001").await;
    assert_eq!(
        (&shown["status"], &shown["disabled_reason"]),
        (&json!("disabled"), &json!("why"))
    );
    assert_eq!(shown["forced_down"], true);
}

#[tokio::test]
async fn only_admins_ask_for_services() {
    let mut cloud = Cloud::start(quick(1)).await;
    let id = service(&cloud, "compute-001").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    cloud.token = cloud.token_of("demo", "demo").await;
    for path in [
        "/os-services",
        "/os-hypervisors",
        "/os-aggregates",
        "/os-migrations",
        "/os-availability-zone/detail",
    ] {
        assert_eq!(cloud.get(60, path).await.0, 403, "{path}");
    }
    let (status, body) = cloud
        .put(60, &format!("/os-services/{id}"), json!({"forced_down": true}))
        .await;
    assert_eq!(status, 403);
    assert_eq!(body["forbidden"]["code"], 403);
}

#[tokio::test]
async fn a_heartbeat_can_be_read_against_novas_own_clock() {
    let cloud = Cloud::start(quick(1)).await;
    let response = cloud
        .nova(Method::GET, 53, "/os-services?binary=nova-compute")
        .send()
        .await
        .unwrap();
    let date = response
        .headers()
        .get("date")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let date = DateTime::parse_from_rfc2822(&date).unwrap().with_timezone(&Utc);
    let body: Value = response.json().await.unwrap();
    let updated = body["services"][0]["updated_at"].as_str().unwrap();
    let updated = NaiveDateTime::parse_from_str(updated, "%Y-%m-%dT%H:%M:%S%.f")
        .unwrap()
        .and_utc();
    assert!(
        (date - updated).num_seconds().abs() <= 1,
        "{date} against {updated}"
    );
}

#[tokio::test]
async fn aggregates() {
    let cloud = Cloud::start(quick(2)).await;
    let (status, made) = cloud
        .post(
            60,
            "/os-aggregates",
            json!({"aggregate": {"name": "rh", "availability_zone": "az1"}}),
        )
        .await;
    assert_eq!(status, 200);
    let action = format!("/os-aggregates/{}/action", made["aggregate"]["id"]);
    let add = |host: &str| json!({"add_host": {"host": host}});
    for (body, expected) in [
        (add("compute-001"), 200),
        (add("compute-001"), 409),
        (add("nowhere"), 404),
        (json!({"remove_host": {"host": "compute-002"}}), 404),
        (json!({"remove_host": {"host": "compute-001"}}), 200),
        (
            json!({"set_metadata": {"metadata": {"k": "v", "availability_zone": null}}}),
            200,
        ),
        (json!({"dance": {}}), 400),
    ] {
        assert_eq!(cloud.post(60, &action, body.clone()).await.0, expected, "{body}");
    }
    assert_eq!(
        cloud
            .post(60, "/os-aggregates/99/action", add("compute-001"))
            .await
            .0,
        404
    );
    let (_, all) = cloud.get(60, "/os-aggregates").await;
    assert_eq!(all["aggregates"][0]["metadata"], json!({"k": "v"}));
    assert_eq!(
        cloud
            .post(60, "/os-aggregates", json!({"aggregate": {"name": "rh"}}))
            .await
            .0,
        409
    );
    assert_eq!(
        cloud
            .delete(60, &format!("/os-aggregates/{}", made["aggregate"]["id"]))
            .await
            .0,
        200
    );
}
