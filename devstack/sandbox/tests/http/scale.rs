//! A thousand hypervisors and fifty thousand instances.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use tachi_sandbox::{Boot, RegionSettings};
use uuid::Uuid;

use crate::cloud::{Cloud, ids, quick};

/// Time limit for a debug build on two busy cores. A release build needs a tenth.
const WHOLE_LIST: Duration = Duration::from_mins(2);
const ONE_HOST: Duration = Duration::from_secs(3);

/// The fields of a page that paging needs: parsing all of it would measure the client.
#[derive(Deserialize)]
struct Page {
    servers: Vec<Row>,
    #[serde(default)]
    servers_links: Vec<Link>,
}

#[derive(Deserialize)]
struct Row {
    id: Uuid,
}

#[derive(Deserialize)]
struct Link {
    href: String,
}

#[tokio::test]
async fn slow_fifty_thousand_servers_are_listed_page_by_page_and_one_host_at_once() {
    let down = Duration::from_mins(1);
    let cloud = Cloud::start(RegionSettings {
        service_down_time: down,
        ..quick(1_000)
    })
    .await;
    let servers = cloud
        .region()
        .boot(&Boot::spread(50_000).metadata("HA_Enabled", "True"))
        .unwrap();
    let began = tokio::time::Instant::now();
    let (mut path, mut seen, mut pages) = ("/servers/detail?all_tenants=1".to_owned(), HashSet::new(), 0);
    loop {
        let response = cloud.nova(Method::GET, 73, &path).send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let page: Page = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        seen.extend(page.servers.into_iter().map(|row| row.id));
        pages += 1;
        let Some(next) = page.servers_links.first() else {
            break;
        };
        path = next
            .href
            .strip_prefix(&cloud.sandbox.urls().compute)
            .unwrap()
            .to_owned();
    }
    let took = began.elapsed();
    assert_eq!((seen.len(), pages), (50_000, 51));
    assert!(took < WHOLE_LIST, "the whole list took {took:?}");

    // The cost of one host's list does not grow with the region.
    let began = tokio::time::Instant::now();
    let (_, body) = cloud
        .get(73, "/servers/detail?all_tenants=1&host=compute-500")
        .await;
    assert_eq!(ids(&body, "servers").len(), 50);
    let took = began.elapsed();
    assert!(took < ONE_HOST, "one host took {took:?}");

    let (_, services) = cloud.get(73, "/os-services?binary=nova-compute").await;
    assert_eq!(ids(&services, "services").len(), 1_000);
    assert!(
        services["services"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["state"] == "up")
    );

    // An evacuation still works.
    let service = services["services"][0]["id"].as_str().unwrap();
    cloud.region().faults().power_loss("compute-001").unwrap();
    assert_eq!(
        cloud
            .put(
                73,
                &format!("/os-services/{service}"),
                json!({"forced_down": true})
            )
            .await
            .0,
        200
    );
    let lost = cloud.region().lost(&servers);
    assert_eq!(lost.len(), 50);
    for id in &lost {
        assert_eq!(cloud.act(73, *id, json!({"evacuate": {}})).await, 200);
    }
    cloud
        .wait("they run again", |region| region.lost(&lost).is_empty())
        .await;
    assert_eq!(cloud.region().double_runs(), 0);
}
