//! Two replicas of the API: a client of one continues at the other when the first one dies.

use std::time::Duration;

use serde_json::Value;

use super::support::{Api, Harness, quick_region, until};

const LIMIT: Duration = Duration::from_secs(30);

/// Returns the host of the next recovery after `marker`, with the next marker.
async fn page(api: &Api, marker: &str) -> Option<(String, String)> {
    let (status, response) = api.ask(&format!("/operator/v1/recoveries?limit=1{marker}")).await;
    assert_eq!(status, 200, "{response}");
    let row = response["recoveries"].as_array().unwrap().first()?.clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    Some((text(&row["host"]), format!("&marker={}", text(&row["recovery"]))))
}

/// Returns the first event of a stream.
async fn first(stream: &mut reqwest::Response) -> String {
    let mut received = String::new();
    while !received.contains("\n\n") {
        let more = stream.chunk().await.unwrap().expect("the stream continues");
        received.push_str(std::str::from_utf8(&more).unwrap());
    }
    received
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_api_pages_and_streams_go_on_at_another_replica() {
    let harness = Harness::set(quick_region(4)).await;
    harness.protect().await;
    for host in ["compute-001", "compute-002", "compute-003"] {
        harness.report(host).await;
    }
    let port = tachi_testkit::free_port();
    let other = harness.folder.path().join("other.conf");
    std::fs::write(&other, format!("[DEFAULT]\nmasakari_api_listen_port = {port}\n")).unwrap();
    let one = harness.spawn("api");
    let api = harness.api().await;
    let _other = harness.spawn_with("api", &[other]);
    let next = api.at_port(port);
    until("the other replica to be ready", LIMIT, async || {
        next.is_there().await
    })
    .await;

    let (newest, marker) = page(&api, "").await.unwrap();
    let mut stream = api.listen().await;
    assert!(first(&mut stream).await.contains("event: situation"));
    one.kill();
    assert!(!api.is_there().await);
    // The stream breaks, and the client sees that.
    assert!(!matches!(stream.chunk().await, Ok(Some(_))));

    // An event occurs while no client listens.
    harness.report("compute-004").await;
    let mut stream = next.listen().await;
    assert!(
        first(&mut stream).await.contains("event: situation"),
        "how it is now comes at once"
    );
    let (_, response) = next.ask("/operator/v1/situation").await;
    let open = response["situation"]["recoveries"].as_array().unwrap().len();
    assert_eq!(open, 4, "nothing was missed");

    let mut hosts = vec![newest];
    let mut after = marker;
    while let Some((host, marker)) = page(&next, &after).await {
        hosts.push(host);
        after = marker;
    }
    assert_eq!(
        hosts,
        ["compute-003", "compute-002", "compute-001"],
        "none twice and none left out"
    );
}
