//! Requests about aggregates and to Placement, as the selection of reserved hosts sends them.

use std::sync::Arc;

use serde_json::json;
use tachi_domain::fault::FaultClass;
use tachi_domain::reserved::Resources;
use tachi_engine::ports::{Aggregates as _, Canaries as _};

use super::CanaryCalls;
use crate::fake::{Fake, Reply, table};

const NODE: &str = "22222222-2222-3333-4444-555555555555";

#[tokio::test]
async fn aggregates_are_read_with_their_zones_and_hosts() {
    let fake = Fake::start(table([(
        "GET /os-aggregates",
        200,
        json!({"aggregates": [
            {"id": 1, "name": "rack", "availability_zone": null, "hosts": ["c1", "c2"], "metadata": {}},
            {"id": 2, "name": "zone", "availability_zone": "az1", "hosts": [], "metadata": {}},
        ]}),
    )]))
    .await;
    let recorded = fake.nova().await.aggregates().await.unwrap();
    assert_eq!(recorded.len(), 2);
    assert!(recorded[0].hosts.contains("c2") && recorded[0].zone.is_none());
    assert_eq!((recorded[1].id, recorded[1].zone.as_deref()), (2, Some("az1")));
}

#[tokio::test]
async fn a_host_joins_and_leaves_an_aggregate_by_name() {
    let fake = Fake::start(table([(
        "POST /os-aggregates/7/action",
        200,
        json!({"aggregate": {}}),
    )]))
    .await;
    let nova = fake.nova().await;
    nova.add_to_aggregate(7, "c1").await.unwrap();
    nova.remove_from_aggregate(7, "c1").await.unwrap();
    let bodies: Vec<_> = fake.calls().into_iter().map(|recorded| recorded.body).collect();
    assert_eq!(
        bodies,
        [
            json!({"add_host": {"host": "c1"}}),
            json!({"remove_host": {"host": "c1"}})
        ]
    );
}

/// Covers EW36.
#[tokio::test]
async fn a_conflict_is_a_conflict_and_an_unknown_host_is_permanent() {
    for (status, class) in [
        (409, FaultClass::Conflict),
        (404, FaultClass::Permanent),
        (500, FaultClass::Transient),
    ] {
        let name = if status == 404 { "itemNotFound" } else { "x" };
        let refusal = json!({name: {"message": "no"}});
        let fake = Fake::start(table([("POST /os-aggregates/7/action", status, refusal)])).await;
        let error = fake.nova().await.add_to_aggregate(7, "c1").await.unwrap_err();
        assert_eq!((error.fault.status, error.fault.class), (Some(status), class));
        assert_eq!(error.fault.maybe_done, status == 500);
    }
}

/// Starts a Placement whose provider has this name.
async fn placement(name: &'static str) -> Fake {
    Fake::start(move |recorded| {
        let path = recorded.path.as_str();
        if let Some(rest) = path.strip_prefix("/placement") {
            assert_eq!(recorded.header("openstack-api-version"), "placement 1.9");
            let found = recorded.arg("name").as_deref() == Some(name);
            return match rest {
                "/resource_providers" if found => Reply::Json(
                    200,
                    json!({"resource_providers": [{"uuid": NODE, "name": name}]}),
                ),
                "/resource_providers" => Reply::Json(200, json!({"resource_providers": []})),
                _ if rest.ends_with("/inventories") => Reply::Json(
                    200,
                    json!({"inventories": {"VCPU": {"total": 8}, "MEMORY_MB": {"total": 4096, "reserved": 96}}}),
                ),
                _ if rest.ends_with("/usages") => Reply::Json(200, json!({"usages": {"VCPU": 3, "MEMORY_MB": 1000}})),
                _ if rest.ends_with("/allocations") => Reply::Json(
                    200,
                    json!({"allocations": {"an-instance": {"resources": {"VCPU": 1}}, "a-migration": {"resources": {}}}}),
                ),
                _ => Reply::Unscripted,
            };
        }
        match path {
            "/v2.1/os-hypervisors/detail" => Reply::Json(
                200,
                json!({"hypervisors": [
                    {"id": "11111111-2222-3333-4444-555555555555", "service": {"host": "other"}},
                    {"id": NODE, "service": {"host": "c1"}},
                    {"id": "33333333-2222-3333-4444-555555555555", "service": {"host": "many"}},
                    {"id": "44444444-2222-3333-4444-555555555555", "service": {"host": "many"}},
                ]}),
            ),
            _ => Reply::Unscripted,
        }
    })
    .await
}

#[tokio::test]
async fn the_room_on_a_host_is_found_by_its_name_or_by_that_of_its_node() {
    let expected = Some(Resources {
        vcpus: 5,
        memory_mb: 3000,
        disk_gb: u64::MAX,
    });
    let same = placement("c1").await;
    assert_eq!(same.nova().await.room_on("c1").await.unwrap(), expected);
    let lookups = same
        .calls()
        .iter()
        .filter(|recorded| recorded.path.contains("os-hypervisors"))
        .count();
    assert_eq!(lookups, 0, "the list is long");
    let other = placement("c1.example").await;
    let nova = other.nova().await;
    assert_eq!(nova.room_on("c1").await.unwrap(), expected);
    assert_eq!(nova.room_on("unknown").await.unwrap(), None);
    assert_eq!(
        nova.room_on("many").await.unwrap(),
        None,
        "which of its nodes it would be nobody knows"
    );
}

#[tokio::test]
async fn consumers_of_a_host_are_listed_or_unknown() {
    let fake = placement("c1").await;
    let nova = CanaryCalls::of(Arc::new(fake.nova().await));
    let expected = ["a-migration", "an-instance"].map(str::to_owned);
    assert_eq!(nova.consumers_on("c1").await.unwrap(), Some(expected.into()));
    assert_eq!(nova.consumers_on("many").await.unwrap(), None);
}

#[tokio::test]
async fn a_placement_that_is_not_there_is_an_error_and_not_an_empty_host() {
    let fake = Fake::start(|recorded| {
        if recorded.path.starts_with("/placement") {
            Reply::Json(503, json!({}))
        } else {
            Reply::Unscripted
        }
    })
    .await;
    let error = fake.nova().await.room_on("c1").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Transient);
    assert!(
        error.fault.text.starts_with("placement: GET /resource_providers"),
        "{}",
        error.fault.text
    );
}
