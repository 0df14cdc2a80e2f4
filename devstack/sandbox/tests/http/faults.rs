//! Injected faults of the APIs.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tachi_sandbox::{ApiEffect, ApiFault, Boot};

use crate::cloud::{Cloud, quick};

#[tokio::test]
async fn an_error_for_the_next_calls_of_a_route() {
    let cloud = Cloud::start(quick(1)).await;
    let effect = ApiEffect::Status {
        status: 503,
        retry_after: Some(7),
    };
    cloud
        .region()
        .api_faults()
        .add(ApiFault::next(2, "GET /compute/v2.1/servers/detail", effect));
    for expected in [503, 503, 200] {
        assert_eq!(cloud.get(90, "/os-services").await.0, 200, "another route");
        let response = cloud
            .nova(Method::GET, 90, "/servers/detail")
            .send()
            .await
            .unwrap();
        assert_eq!(response.status().as_u16(), expected);
        assert_eq!(response.headers().contains_key("retry-after"), expected == 503);
    }
}

#[tokio::test]
async fn an_error_after_the_act() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    cloud.region().api_faults().add(ApiFault::next(
        1,
        "#lock",
        ApiEffect::StatusAfterAct { status: 500 },
    ));
    assert_eq!(cloud.act(90, id, json!({"lock": null})).await, 500);
    assert!(cloud.region().server(id).unwrap().locked);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_act() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    for (effect, locked) in [(ApiEffect::Break, false), (ApiEffect::BreakAfterAct, true)] {
        cloud
            .region()
            .api_faults()
            .add(ApiFault::next(1, "#lock", effect));
        let request = cloud
            .nova(Method::POST, 90, &format!("/servers/{id}/action"))
            .json(&json!({"lock": null}));
        let broken = match request.send().await {
            Ok(response) => response.text().await.is_err(),
            Err(_) => true,
        };
        assert!(broken, "{effect:?}");
        assert_eq!(cloud.region().server(id).unwrap().locked, locked, "{effect:?}");
    }
    let unanswered = cloud
        .region()
        .requests()
        .journal()
        .iter()
        .filter(|entry| entry.status == 0)
        .count();
    assert_eq!(unanswered, 2, "the journal shows missing answers");
}

#[tokio::test]
async fn a_time_out_that_takes_effect_later() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    let effect = ApiEffect::Late {
        act_millis: 1_500,
        answer_millis: Some(10),
    };
    cloud
        .region()
        .api_faults()
        .add(ApiFault::next(1, "#lock", effect));
    assert_eq!(cloud.act(90, id, json!({"lock": null})).await, 504);
    assert!(
        !cloud.region().server(id).unwrap().locked,
        "nothing has happened yet"
    );
    cloud
        .wait("it happens after all", |region| region.server(id).unwrap().locked)
        .await;
}

#[tokio::test]
async fn an_answer_that_never_comes_may_still_act() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    for (effect, acts) in [
        (ApiEffect::Hang, false),
        (
            ApiEffect::Late {
                act_millis: 50,
                answer_millis: None,
            },
            true,
        ),
    ] {
        cloud
            .region()
            .api_faults()
            .add(ApiFault::next(1, "#lock", effect));
        let request = cloud
            .nova(Method::POST, 90, &format!("/servers/{id}/action"))
            .json(&json!({"lock": null}))
            .timeout(Duration::from_millis(200));
        assert!(request.send().await.unwrap_err().is_timeout(), "{effect:?}");
        if acts {
            cloud
                .wait("it happens after all", |region| region.server(id).unwrap().locked)
                .await;
        } else {
            assert!(!cloud.region().server(id).unwrap().locked);
        }
    }
}

#[tokio::test]
async fn a_delay_is_a_delay() {
    let cloud = Cloud::start(quick(1)).await;
    cloud.region().api_faults().add(ApiFault::next(
        1,
        "GET /compute",
        ApiEffect::Delay { millis: 150 },
    ));
    let began = tokio::time::Instant::now();
    assert_eq!(cloud.get(90, "/servers").await.0, 200);
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_caller_that_hangs() {
    let cloud = Cloud::start(quick(1)).await;
    cloud
        .region()
        .api_faults()
        .add(ApiFault::always("GET /compute", ApiEffect::Hang));
    let hanging = tokio::spawn(cloud.nova(Method::GET, 90, "/servers").send());
    cloud
        .wait("the request has arrived", |region| {
            region.requests().count("GET /compute") == 1
        })
        .await;
    let began = tokio::time::Instant::now();
    cloud.sandbox.stop().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    // Answered or cut off, but ended.
    let _ended = hanging.await.unwrap();
}

#[tokio::test]
async fn the_journal_counts_by_route_and_hides_passwords() {
    let cloud = Cloud::start(quick(2)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    cloud.token_of("demo", "demo").await;
    cloud.region().requests().clear();
    cloud.get(90, "/servers/detail?all_tenants=1").await;
    cloud.get(90, "/servers/detail").await;
    cloud.act(90, id, json!({"lock": null})).await;
    cloud.token_of("demo", "demo").await;
    let counts = cloud.region().requests().counts();
    assert_eq!(counts["GET /compute/v2.1/servers/detail"], 2);
    assert_eq!(counts["POST /compute/v2.1/servers/{id}/action#lock"], 1);
    assert_eq!(cloud.region().requests().count("/compute"), 3);
    let journal = cloud.region().requests().journal();
    assert_eq!(journal[0].target, "/compute/v2.1/servers/detail?all_tenants=1");
    assert_eq!(
        (journal[2].status, journal[2].body.clone()),
        (202, Some(json!({"lock": null})))
    );
    let text = serde_json::to_string(&journal).unwrap();
    assert!(!text.contains(&cloud.sandbox.credentials().password));
}
