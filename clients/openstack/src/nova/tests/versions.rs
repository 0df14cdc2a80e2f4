//! Tests of the negotiation of microversions.

use super::*;

#[tokio::test]
async fn microversions_follow_what_the_cloud_offers() {
    // (min, max, versions of: services, servers, migrations, evacuate; None is an error)
    let cases = [
        (
            "2.1",
            "2.96",
            Some("2.69"),
            Some("2.73"),
            Some("2.59"),
            Some("2.94"),
        ),
        (
            "2.1",
            "2.90",
            Some("2.69"),
            Some("2.73"),
            Some("2.59"),
            Some("2.90"),
        ),
        (
            "2.1",
            "2.60",
            Some("2.60"),
            Some("2.60"),
            Some("2.59"),
            Some("2.60"),
        ),
        ("2.1", "2.53", Some("2.53"), Some("2.53"), None, Some("2.53")),
        ("2.1", "2.42", None, None, None, None),
        ("2.80", "2.99", None, None, None, Some("2.94")),
        ("", "", None, None, None, None),
    ];
    for (min, max, services, servers, migrations, evacuate) in cases {
        let fake = Fake::start(
            move |recorded| match (recorded.method.as_str(), recorded.path.as_str()) {
                ("GET", "/v2.1/") => Reply::Json(200, version_document(min, max)),
                ("GET", "/v2.1/os-services") => Reply::Json(200, json!({"services": [service_record()]})),
                ("GET", "/v2.1/servers/detail") => Reply::Json(200, json!({"servers": [server_record(1)]})),
                ("GET", "/v2.1/os-migrations") => Reply::Json(
                    200,
                    json!({"migrations": [migration_record(1, "2023-11-14T22:13:20")]}),
                ),
                ("POST", _) => Reply::Json(200, json!({})),
                _ => Reply::Unscripted,
            },
        )
        .await;
        let nova = fake.nova().await;
        let outcomes = [
            (services, nova.service("c1").await.map(|_| ())),
            (servers, nova.servers_on("c1").await.map(|_| ())),
            (migrations, nova.migrations_touching("c1").await.map(|_| ())),
            (evacuate, nova.evacuate(server_id(), None).await),
        ];
        let mut sent = fake.calls().into_iter();
        for (expected, outcome) in outcomes {
            match expected {
                Some(version) => {
                    outcome.unwrap();
                    let call = sent.next().unwrap();
                    assert_eq!(
                        call.header("openstack-api-version"),
                        format!("compute {version}"),
                        "{min} {max}"
                    );
                }
                None => assert_eq!(outcome.unwrap_err().fault.class, FaultClass::Fatal, "{min} {max}"),
            }
        }
        let documents = fake
            .recorded()
            .iter()
            .filter(|recorded| recorded.path == "/v2.1/")
            .count();
        assert!(max.is_empty() || documents == 1, "negotiated once");
    }
}

#[tokio::test]
async fn the_version_document_is_found_above_a_project_id() {
    let fake = Fake::start(|recorded| match recorded.path.as_str() {
        "/v2.1/p1/" => Reply::Json(404, json!({})),
        "/v2.1/p1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
        _ => Reply::Unscripted,
    })
    .await;
    let endpoint = format!("{}/v2.1/p1", fake.url);
    let nova = Nova::new(
        fake.session_with(|options| options.compute_endpoint = Some(endpoint))
            .await,
    );
    assert!(nova.service("c1").await.unwrap().is_some());
    nova.probe().await.unwrap();
}

#[tokio::test]
async fn an_endpoint_without_a_version_is_explained() {
    let fake = Fake::start(|recorded| match recorded.path.as_str() {
        "/" => Reply::Json(200, json!({"versions": []})),
        _ => Reply::Unscripted,
    })
    .await;
    let endpoint = fake.url.clone();
    let nova = Nova::new(
        fake.session_with(|options| options.compute_endpoint = Some(endpoint))
            .await,
    );
    let error = nova.probe().await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Fatal);
    assert!(error.fault.text.contains("/v2.1"), "{error}");
}

#[tokio::test]
async fn a_replaced_nova_is_negotiated_with_again() {
    let old = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| {
        match (recorded.path.as_str(), recorded.header("openstack-api-version")) {
            ("/v2.1/", _) => {
                let max = if old.fetch_add(1, Ordering::SeqCst) == 0 {
                    "2.96"
                } else {
                    "2.60"
                };
                Reply::Json(200, version_document("2.1", max))
            }
            ("/v2.1/os-services", "compute 2.69") => Reply::Json(406, json!({})),
            ("/v2.1/os-services", _) => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        }
    })
    .await;
    let nova = fake.nova().await;
    assert_eq!(
        nova.service("c1").await.unwrap_err().fault.class,
        FaultClass::Transient
    );
    assert!(nova.service("c1").await.unwrap().is_some());
}

#[tokio::test]
async fn a_write_whose_negotiation_took_too_long_does_not_leave() {
    let clock = std::sync::Arc::new(std::sync::Mutex::new(
        None::<std::sync::Arc<tachi_testkit::ManualClock>>,
    ));
    let in_script = std::sync::Arc::clone(&clock);
    let fake = Fake::start(
        move |recorded| match (recorded.method.as_str(), recorded.path.as_str()) {
            ("GET", "/v2.1/") => {
                in_script
                    .lock()
                    .unwrap()
                    .iter()
                    .for_each(|clock| clock.advance(Duration::from_millis(501)));
                Reply::Json(200, version_document("2.1", "2.96"))
            }
            ("POST", path) if path.ends_with("/action") => Reply::Json(202, json!({})),
            ("PUT", _) => Reply::Json(200, json!({"service": service_record()})),
            _ => Reply::Unscripted,
        },
    )
    .await;
    *clock.lock().unwrap() = Some(std::sync::Arc::clone(&fake.clock));
    let change = ServiceChange {
        disable: None,
        forced_down: Some(true),
    };
    for case in ["evacuate", "lock", "update"] {
        let nova = fake.nova().await;
        let write = || async {
            match case {
                "evacuate" => nova.evacuate(server_id(), None).await,
                "lock" => nova.lock(server_id(), "r").await,
                _ => nova.update_service(service_id(), &change).await.map(|_| ()),
            }
        };
        let before = fake.calls().len();
        let fault = write().await.unwrap_err().fault;
        assert_eq!(
            (fault.class, fault.maybe_done),
            (FaultClass::Transient, false),
            "{case}"
        );
        assert_eq!(fake.calls().len(), before, "{case}");
        write().await.unwrap();
    }
}

#[tokio::test]
async fn after_make_ready_a_write_needs_nothing_before_its_first_byte() {
    let fake = Fake::start(|recorded| match recorded.path.as_str() {
        path if path.ends_with("/action") => Reply::Json(202, json!({})),
        _ => Reply::Unscripted,
    })
    .await;
    let nova = fake.nova().await;
    nova.make_ready().await.unwrap();
    let before = fake.recorded().len();
    nova.evacuate(server_id(), None).await.unwrap();
    assert_eq!(fake.recorded().len(), before + 1);
    nova.make_ready().await.unwrap();
    assert_eq!(
        fake.recorded().len(),
        before + 1,
        "what is ready is not made ready again"
    );

    fake.clock.advance(Duration::from_hours(2));
    fake.keystone(KeystoneMode::Hang);
    let session = fake
        .session_with(|options| options.keystone.timeout = Duration::from_millis(200))
        .await;
    let fault = Nova::new(session).make_ready().await.unwrap_err().fault;
    assert_eq!((fault.class, fault.maybe_done), (FaultClass::Transient, false));
}
