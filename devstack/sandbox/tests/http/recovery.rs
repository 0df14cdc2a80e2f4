//! Complete manual recoveries over HTTP, with and without fencing.

use reqwest::Method;
use serde_json::{Value, json};
use tachi_sandbox::{Boot, RegionSettings, SandboxOptions};

use crate::cloud::{Cloud, quick};

async fn service_id(cloud: &Cloud, host: &str) -> String {
    let (_, body) = cloud
        .get(90, &format!("/os-services?binary=nova-compute&host={host}"))
        .await;
    body["services"][0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_fenced_host_forced_down_and_evacuated_leaves_every_instance_running_once() {
    let cloud = Cloud::start(quick(4)).await;
    let servers = cloud.region().boot(&Boot::on("compute-001", 20)).unwrap();
    cloud.region().faults().power_loss("compute-001").unwrap();
    assert_eq!(cloud.region().lost(&servers).len(), 20);
    let path = format!("/os-services/{}", service_id(&cloud, "compute-001").await);
    let body = json!({"status": "disabled", "disabled_reason": "tachi", "forced_down": true});
    assert_eq!(cloud.put(90, &path, body).await.0, 200);
    for server in &servers {
        assert_eq!(cloud.act(90, *server, json!({"evacuate": {}})).await, 200);
    }
    let done = |region: &tachi_sandbox::Region| {
        servers
            .iter()
            .all(|id| region.migrations(*id).iter().any(|row| row.status == "done"))
    };
    cloud.wait("all records are done", done).await;
    assert!(cloud.region().lost(&servers).is_empty());
    assert_eq!(cloud.region().double_runs(), 0);

    // Return to service: forced_down can be cleared only after nova-compute has started.
    assert_eq!(cloud.put(90, &path, json!({"forced_down": false})).await.0, 400);
    cloud.region().faults().power_on("compute-001").unwrap();
    cloud
        .wait("nova-compute has started", |region| {
            region.host("compute-001").unwrap().agent
        })
        .await;
    assert_eq!(
        cloud
            .put(90, &path, json!({"forced_down": false, "status": "enabled"}))
            .await
            .0,
        200
    );
    assert!(cloud.region().host("compute-001").unwrap().up);
    assert_eq!(cloud.region().double_runs(), 0);
}

#[tokio::test]
async fn evacuating_an_isolated_host_without_fencing_is_caught_by_the_ledger() {
    let cloud = Cloud::start(quick(2)).await;
    let servers = cloud.region().boot(&Boot::on("compute-001", 3)).unwrap();
    cloud.region().faults().link_loss("compute-001").unwrap();
    cloud.stop_heartbeats("compute-001").await;
    for server in &servers {
        assert_eq!(cloud.act(90, *server, json!({"evacuate": {}})).await, 200);
    }
    cloud
        .wait("every instance runs twice", |region| region.double_runs() == 3)
        .await;
    let report = cloud.region().ledger();
    assert_eq!(report.doubles.len(), 3);
    assert_eq!(report.doubles[0].hosts, ["compute-001", "compute-002"]);
    assert!(
        cloud.region().lost(&servers).is_empty(),
        "none is lost: that is the trouble"
    );
}

#[tokio::test]
async fn time_can_run_faster() {
    // 200 region seconds per second: a rebuild of 100 s takes half a second, and heartbeats are equally fast.
    let region = RegionSettings {
        clock_scale: 200.0,
        rebuild_time: std::time::Duration::from_secs(100),
        ..quick(2)
    };
    let region = RegionSettings {
        service_down_time: std::time::Duration::from_secs(10),
        ..region
    };
    let cloud = Cloud::with(SandboxOptions {
        region,
        ..SandboxOptions::default()
    })
    .await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    cloud.kill("compute-001").await;
    let began = tokio::time::Instant::now();
    assert_eq!(cloud.act(90, id, json!({"evacuate": {}})).await, 200);
    cloud
        .wait("it is back", |region| region.migrations(id)[0].status == "done")
        .await;
    let took = began.elapsed();
    assert!(took >= std::time::Duration::from_millis(450), "{took:?}");
    assert!(took < std::time::Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn what_the_seed_decides_is_the_same_in_two_sandboxes() {
    let list = |seed: u64| async move {
        let cloud = Cloud::start(RegionSettings { seed, ..quick(3) }).await;
        let servers = cloud.region().boot(&Boot::spread(5)).unwrap();
        let (_, services) = cloud.get(90, "/os-services").await;
        let ids: Vec<Value> = services["services"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect();
        (servers, ids)
    };
    assert_eq!(list(3).await, list(3).await);
    assert_ne!(list(3).await, list(4).await);
}

#[tokio::test]
async fn stopping_frees_the_port() {
    let cloud = Cloud::start(quick(1)).await;
    let address = cloud.sandbox.address();
    cloud.nova(Method::GET, 90, "/servers").send().await.unwrap();
    cloud.sandbox.stop().await.unwrap();
    let options = SandboxOptions {
        port: address.port(),
        region: quick(1),
        ..SandboxOptions::default()
    };
    let again = tachi_sandbox::Sandbox::start(options).await.unwrap();
    assert_eq!(again.address(), address);
    let taken = SandboxOptions {
        port: address.port(),
        region: quick(1),
        ..SandboxOptions::default()
    };
    let refused = tachi_sandbox::Sandbox::start(taken).await.unwrap_err();
    assert_eq!(refused.to_string(), format!("listening on {address}"));
    again.stop().await.unwrap();
}
