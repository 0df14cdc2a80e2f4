//! The sandbox's admin interface, as used by shell tests.

use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Answer, Cloud, answer, quick};

async fn admin(cloud: &Cloud, method: Method, path: &str, body: Value) -> Answer {
    let url = format!("{}{path}", cloud.sandbox.urls().admin);
    let request = cloud
        .http
        .request(method, url)
        .header("x-sandbox-key", cloud.sandbox.admin_key());
    answer(request.json(&body).send().await.unwrap()).await
}

#[tokio::test]
async fn the_key_or_an_admins_token_opens_it() {
    let cloud = Cloud::start(quick(1)).await;
    let demo = cloud.token_of("demo", "demo").await;
    let key = cloud.sandbox.admin_key();
    for (name, value, expected) in [
        ("x-sandbox-key", key, 200),
        ("x-auth-token", &cloud.token, 200),
        ("x-sandbox-key", "wrong", 401),
        ("x-auth-token", &demo, 401),
        ("x-unrelated", "1", 401),
    ] {
        let url = format!("{}/hosts", cloud.sandbox.urls().admin);
        let response = cloud.http.get(url).header(name, value).send().await.unwrap();
        assert_eq!(response.status().as_u16(), expected, "{name}");
    }
}

/// Sends `METHOD PATH BODY`, as a shell does with curl.
async fn ask(cloud: &Cloud, line: &str) -> Answer {
    let mut fields = line.splitn(3, ' ');
    let method = fields.next().unwrap().parse().unwrap();
    let path = fields.next().unwrap();
    let body = fields
        .next()
        .map_or(json!({}), |text| serde_json::from_str(text).unwrap());
    admin(cloud, method, path, body).await
}

async fn expect(cloud: &Cloud, cases: &[(&str, u16)]) {
    for (line, expected) in cases {
        let (status, body) = ask(cloud, line).await;
        assert_eq!(status, *expected, "{line}: {body}");
    }
}

#[tokio::test]
async fn plugs_can_be_pulled() {
    let cloud = Cloud::start(quick(6)).await;
    expect(
        &cloud,
        &[
            ("GET /hosts/compute-001", 200),
            ("GET /hosts/nowhere", 404),
            (r#"POST /hosts/nowhere/power {"on": false}"#, 404),
            (r#"POST /hosts/compute-001/power {"off": true}"#, 422),
            (r#"POST /hosts/compute-005/power {"on": false}"#, 200),
            (r#"POST /hosts/compute-006/link {"up": false}"#, 200),
            (r#"POST /hosts/compute-006/agent {"running": false}"#, 200),
            ("DELETE /hosts/compute-001/queue", 200),
            (r#"POST /racks/rack-1/power {"on": false}"#, 200),
            (r#"POST /racks/rack-7/power {"on": false}"#, 404),
            (r#"POST /controllers/control-1 {"up": false}"#, 200),
            (r#"POST /controllers/control-9 {"up": false}"#, 404),
        ],
    )
    .await;
    let states: Vec<[bool; 3]> = cloud
        .region()
        .hosts()
        .iter()
        .map(|host| [host.power, host.link, host.agent])
        .collect();
    let off = [false, true, false];
    assert_eq!(states, [off, off, off, off, off, [true, false, false]]);
    expect(
        &cloud,
        &[
            (r#"POST /hosts/compute-005/power {"on": true}"#, 200),
            (r#"POST /hosts/compute-006/link {"up": true}"#, 200),
            (r#"POST /hosts/compute-006/agent {"running": true}"#, 200),
            (r#"POST /racks/rack-1/power {"on": true}"#, 200),
        ],
    )
    .await;
    let all_back = |region: &tachi_sandbox::Region| {
        let hosts = region.hosts();
        hosts
            .iter()
            .skip(4)
            .all(|host| host.power && host.link && host.agent)
    };
    cloud.wait("they are back", all_back).await;
}

#[tokio::test]
async fn faults_come_and_go() {
    let cloud = Cloud::start(quick(1)).await;
    expect(
        &cloud,
        &[
            (r#"POST /faults {"api": {"effect": "status", "status": 503, "route": "GET /compute", "times": 1}}"#, 200),
            (r#"POST /faults {"move": {"kind": "late_failure", "times": 1}}"#, 200),
            (r#"POST /faults {"weather": {}}"#, 422),
            (r#"POST /hosts/compute-001/bmc {"query": {"mode": "says", "state": "off"}, "powered": false}"#, 200),
            (r#"POST /hosts/compute-001/bmc {"colour": "red"}"#, 422),
            (r#"POST /settings {"rebuild_millis": 77}"#, 200),
            (r#"POST /settings {"weather": 77}"#, 422),
        ],
    )
    .await;
    let (_, faults) = ask(&cloud, "GET /faults").await;
    assert_eq!(faults["move"][0]["kind"], "late_failure");
    assert_eq!(faults["api"][0]["effect"], "status");
    assert_eq!(cloud.get(90, "/servers").await.0, 503);
    assert_eq!(ask(&cloud, "DELETE /faults").await.0, 200);
    let (_, faults) = ask(&cloud, "GET /faults").await;
    assert_eq!(faults, json!({"move": [], "api": []}));
}

#[tokio::test]
async fn servers_and_the_ledger_can_be_read() {
    let cloud = Cloud::start(quick(2)).await;
    let (status, made) = ask(
        &cloud,
        r#"POST /servers {"host": "compute-001", "count": 2, "metadata": {"HA_Enabled": "True"}}"#,
    )
    .await;
    assert_eq!(status, 200);
    let first = made["ids"][0].as_str().unwrap();
    let half = r#"{"dest": "compute-002", "kind": "live-migration", "guest_at_dest": false}"#;
    expect(
        &cloud,
        &[
            (r#"POST /servers {"host": "nowhere"}"#, 404),
            (
                &format!(r#"POST /servers/{first}/state {{"vm_state": "error"}}"#),
                200,
            ),
            (&format!("POST /servers/{first}/half-move {half}"), 200),
            (&format!("POST /servers/{first}/crash"), 200),
            (&format!("GET /servers/{}", uuid::Uuid::nil()), 404),
        ],
    )
    .await;
    let (_, ledger) = ask(&cloud, "GET /ledger").await;
    assert_eq!(
        (&ledger["double_runs"], &ledger["running"]),
        (&json!(0), &json!(1))
    );
    let (_, lost) = admin(
        &cloud,
        Method::POST,
        "/ledger/lost",
        json!({"servers": made["ids"]}),
    )
    .await;
    assert_eq!(lost["lost"], json!([first]));
    let (_, server) = ask(&cloud, &format!("GET /servers/{first}")).await;
    assert_eq!(server["server"]["vm_state"], "error");
    assert_eq!(server["server"]["metadata"], json!({"HA_Enabled": "True"}));
    assert_eq!(server["migrations"][0]["kind"], "live-migration");
    assert!(server["runs"][0]["to_seconds"].is_number());
}

#[tokio::test]
async fn requests_tokens_and_catalog() {
    let cloud = Cloud::start(quick(1)).await;
    cloud.get(90, "/servers").await;
    let (_, requests) = ask(&cloud, "GET /requests?journal=true").await;
    assert_eq!(requests["counts"]["GET /compute/v2.1/servers"], 1);
    assert!(requests["journal"].is_array());
    assert!(ask(&cloud, "GET /requests").await.1.get("journal").is_none());
    ask(&cloud, "DELETE /requests").await;
    assert!(cloud.region().requests().counts().is_empty());
    let endpoint = r#"POST /endpoints {"type": "instance-ha", "name": "masakari", "url": "http://x"}"#;
    expect(&cloud, &[(endpoint, 200)]).await;
    let url = format!("{}/auth/catalog", cloud.sandbox.urls().identity);
    let catalog = cloud
        .http
        .get(url)
        .header("x-auth-token", &cloud.token)
        .send()
        .await
        .unwrap();
    assert!(catalog.text().await.unwrap().contains("instance-ha"));
    let (_, revoked) = ask(&cloud, "DELETE /tokens").await;
    assert_eq!(revoked["revoked"], 1);
    assert_eq!(cloud.get(90, "/servers").await.0, 401);
}
