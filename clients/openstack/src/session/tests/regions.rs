//! Several regions in one catalogue: calls go to the configured region, and no call is sent without one.

use super::*;

/// A catalogue with region `two` before region `one`.
async fn two_regions(region: Region) -> (Fake, Session) {
    let fake = Fake::start(|recorded| {
        let there = [
            "/v2.1/things",
            "/two/v2.1/things",
            "/placement/things",
            "/two/placement/things",
        ];
        if there.contains(&recorded.path.as_str()) {
            Reply::Json(200, json!({}))
        } else {
            Reply::Unscripted
        }
    })
    .await;
    fake.regions(&["two", "one"]);
    let session = fake
        .session_with(|options| {
            options.keystone.region = region;
            options.keystone.region_option = "os_region_name";
        })
        .await;
    (fake, session)
}

/// Covers R35.
#[tokio::test]
async fn of_several_regions_none_is_used_before_one_is_set() {
    for region in [Region::Unset, Region::Preferred("keystone".to_owned())] {
        let (fake, session) = two_regions(region).await;
        for service in [Service::Compute, Service::Placement] {
            let call = Call {
                service,
                ..read(THINGS)
            };
            let error = session.call(&call).await.err().unwrap();
            assert_eq!(error.fault.class, FaultClass::Fatal);
            assert!(!error.fault.maybe_done);
            assert!(error.fault.text.contains("one (http"), "{error}");
            assert!(error.fault.text.contains("two (http"), "{error}");
            assert!(error.fault.text.contains("os_region_name"), "{error}");
        }
        assert!(fake.calls().is_empty(), "nothing was sent");
        let why = session.ambiguity(Duration::from_secs(5)).await.unwrap();
        assert!(why.contains("compute in several regions"), "{why}");
    }
}

/// Covers R35.
#[tokio::test]
async fn all_services_are_used_in_the_configured_region() {
    let named = |name: &str| Region::Named(name.to_owned());
    let preferred = |name: &str| Region::Preferred(name.to_owned());
    for (region, below) in [
        (named("two"), "/two"),
        (preferred("two"), "/two"),
        (preferred("one"), ""),
    ] {
        let (fake, session) = two_regions(region).await;
        assert_eq!(session.ambiguity(Duration::from_secs(5)).await, None);
        for service in [Service::Compute, Service::Placement] {
            session
                .call(&Call {
                    service,
                    ..read(THINGS)
                })
                .await
                .unwrap();
        }
        let paths: Vec<String> = fake.calls().into_iter().map(|recorded| recorded.path).collect();
        assert_eq!(
            paths,
            [
                format!("{below}/v2.1/things"),
                format!("{below}/placement/things")
            ]
        );
    }
}

/// Of two regions with Placement, the one with the only Nova is used.
///
/// Covers R35.
#[tokio::test]
async fn placement_is_used_in_the_region_of_nova() {
    let (fake, session) = two_regions(Region::Unset).await;
    let catalog = |nova: &[&str], placement: &[&str]| -> tachi_keystone::Catalog {
        let all = |path: &str, regions: &[&str]| -> Vec<serde_json::Value> {
            let one = |region: &&str| json!({"interface": "public", "region": region, "url": format!("http://{region}/{path}")});
            regions.iter().map(one).collect()
        };
        serde_json::from_value(json!([
            {"type": "compute", "name": "nova", "endpoints": all("v2.1", nova)},
            {"type": "placement", "name": "placement", "endpoints": all("p", placement)},
        ]))
        .unwrap()
    };
    let keystone = session.keystone();
    let found = keystone.placement(&catalog(&["one"], &["two", "one"])).unwrap();
    assert_eq!(found.url.as_str(), "http://one/p");
    let other = keystone.placement(&catalog(&["one"], &["two"])).unwrap_err();
    assert!(
        other
            .to_string()
            .contains("no public endpoint of type placement in region one"),
        "{other}"
    );
    assert!(keystone.placement(&catalog(&["two", "one"], &["one"])).is_err());
    assert_eq!(
        keystone.placement(&catalog(&[], &["one"])).unwrap().url.as_str(),
        "http://one/p"
    );
    assert!(fake.calls().is_empty());
}

#[tokio::test]
async fn an_ambiguity_is_not_waited_for() {
    let (fake, session) = two_regions(Region::Unset).await;
    fake.keystone(KeystoneMode::Status(503));
    assert_eq!(session.ambiguity(Duration::from_secs(5)).await, None);
    fake.keystone(KeystoneMode::Hang);
    assert_eq!(session.ambiguity(Duration::from_millis(50)).await, None);
}
