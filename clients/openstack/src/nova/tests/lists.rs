//! Lists of servers: complete and of the requested host, or an error.

use super::*;

/// Covers EW32.
#[tokio::test]
async fn servers_are_read_from_every_page_of_the_host_that_was_asked() {
    for (link_host, case) in [
        ("http://wrong.invalid", "foreign host in the link"),
        ("", "link without a host"),
    ] {
        let all: Vec<Value> = (1..=7).map(server_record).collect();
        let fake = Fake::start(move |recorded| match recorded.path.as_str() {
            "/v2.1/servers/detail" => page(recorded, "servers", "id", &all, link_host),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let servers = paged_nova(&fake, 3).await.servers_on("c1").await.unwrap();
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["vm1", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7"], "{case}");
        let lists: Vec<RecordedRequest> = fake
            .calls()
            .into_iter()
            .filter(|c| c.path.ends_with("detail"))
            .collect();
        assert_eq!(lists.len(), 3, "{case}");
        assert!(
            lists.iter().all(|call| call.arg("host").as_deref() == Some("c1")),
            "{case}: our own filter"
        );
        assert_eq!(lists[0].query, "all_tenants=1&host=c1&limit=3");
        assert_eq!(lists[0].header("openstack-api-version"), "compute 2.73");
    }
}

/// Covers EW32.
#[tokio::test]
async fn ids_are_read_from_every_page_and_without_the_details() {
    let all: Vec<Value> = (1..=7).map(server_record).collect();
    let fake = Fake::start(move |recorded| match recorded.path.as_str() {
        "/v2.1/servers" => page(recorded, "servers", "id", &all, "http://wrong.invalid"),
        "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
        _ => Reply::Unscripted,
    })
    .await;
    let ids = paged_nova(&fake, 3).await.server_ids_on("c1").await.unwrap();
    assert_eq!(ids.len(), 7);
    let lists: Vec<RecordedRequest> = fake
        .calls()
        .into_iter()
        .filter(|call| call.path.ends_with("servers"))
        .collect();
    assert_eq!(lists.len(), 3);
    assert_eq!(lists[0].query, "all_tenants=1&host=c1&limit=3");
    assert!(
        fake.calls().iter().any(|call| call.path.ends_with("os-services")),
        "pages are not of one moment: is the cell there?"
    );
}

/// Each cell has its own table of services.
///
/// Covers R35.
#[tokio::test]
async fn of_two_services_on_hosts_of_one_name_none_is_taken() {
    let mut other = service_record();
    other["id"] = json!("99999999-2222-3333-4444-555555555555");
    let both = json!({"services": [service_record(), other]});
    let fake = Fake::start(table([("GET /os-services", 200, both)])).await;
    let error = fake.nova().await.service("c1").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Permanent);
    assert!(!error.fault.maybe_done);
    assert!(
        error.fault.text.contains("2 nova-compute services on host c1"),
        "{error}"
    );
    assert!(
        error.fault.text.contains(SERVICE) && error.fault.text.contains("99999999-"),
        "{error}"
    );
}

/// The list of all services is what a decision to switch a host off is based on.
///
/// Covers R35.
#[tokio::test]
async fn of_two_services_on_hosts_of_one_name_the_list_of_all_takes_none() {
    let mut other = service_record();
    other["id"] = json!("99999999-2222-3333-4444-555555555555");
    other["state"] = json!("down");
    let in_down_cell = json!({"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"});
    let mut another_host = service_record();
    another_host["host"] = json!("c2");
    for (second, is_ambiguous) in [(other, true), (in_down_cell, false)] {
        for pair in [
            [service_record(), second.clone()],
            [second.clone(), service_record()],
        ] {
            let [one, two] = pair;
            let list = json!({"services": [one, another_host.clone(), two]});
            let fake = Fake::start(table([("GET /os-services", 200, list)])).await;
            let services = fake.nova().await.services().await.unwrap();
            assert_eq!(services.computes["c1"], None);
            assert!(services.computes["c2"].is_some());
            let Some(fault) = services.ambiguous.get("c1").filter(|_| is_ambiguous) else {
                assert!(services.ambiguous.is_empty() && !is_ambiguous);
                continue;
            };
            assert_eq!(services.ambiguous.len(), 1, "only the host that has two");
            assert_eq!(fault.class, FaultClass::Permanent);
            assert!(
                fault.text.contains("2 nova-compute services on host c1"),
                "{fault:?}"
            );
        }
    }
}

/// Covers EW33.
#[tokio::test]
async fn an_empty_list_of_ids_counts_only_while_the_cell_is_up() {
    let up = json!({"services": [service_record()]});
    let down = json!({"services": [{"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"}]});
    let one = json!({"servers": [{"id": SERVER, "name": "vm1", "links": []}]});
    let none = json!({"servers": []});
    let nonsense = json!({"servers": [{"id": "not a uuid"}]});
    // (case, body, services, ids or a class)
    let cases = [
        ("one", &one, &up, Ok(1)),
        ("none", &none, &up, Ok(0)),
        (
            "none, and the cell is down",
            &none,
            &down,
            Err(FaultClass::Transient),
        ),
        ("nonsense", &nonsense, &up, Err(FaultClass::Transient)),
    ];
    for (case, body, services, expected) in cases {
        let rows = [
            ("GET /servers", 200, body.clone()),
            ("GET /os-services", 200, services.clone()),
        ];
        let fake = Fake::start(table(rows)).await;
        let got = fake.nova().await.server_ids_on("c1").await;
        let got = got.map(|ids| ids.len()).map_err(|error| error.fault.class);
        assert_eq!(got, expected, "{case}");
    }
}

/// Covers EW33.
#[tokio::test]
async fn a_list_of_servers_is_whole_and_of_this_host_or_an_error() {
    let up = json!({"services": [service_record()]});
    let down = json!({"services": [{"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"}]});
    let of = |change: fn(&mut Value)| {
        let mut record = server_record(1);
        change(&mut record);
        record
    };
    let hidden = of(|record| {
        record.as_object_mut().unwrap().remove("OS-EXT-SRV-ATTR:host");
    });
    let on_other_host = of(|record| record["OS-EXT-SRV-ATTR:host"] = json!("c2"));
    let nowhere = of(|record| record["OS-EXT-SRV-ATTR:host"] = Value::Null);
    let unreachable = json!({"id": SERVER, "status": "UNKNOWN", "tenant_id": "t"});
    let malformed = of(|record| record["id"] = json!("not a uuid"));
    // (case, body, services, servers or a class)
    let cases = [
        ("one", json!({"servers": [server_record(1)]}), &up, Ok(1)),
        (
            "one, its cell not asked about",
            json!({"servers": [server_record(1)]}),
            &down,
            Ok(1),
        ),
        ("none, cell up", json!({"servers": []}), &up, Ok(0)),
        (
            "none, cell down",
            json!({"servers": []}),
            &down,
            Err(FaultClass::Transient),
        ),
        (
            "filter ignored",
            json!({"servers": [server_record(1), on_other_host]}),
            &up,
            Ok(1),
        ),
        ("bound to no host", json!({"servers": [nowhere]}), &up, Ok(0)),
        (
            "no right to see hosts",
            json!({"servers": [hidden]}),
            &up,
            Err(FaultClass::Fatal),
        ),
        (
            "a server of a down cell",
            json!({"servers": [unreachable]}),
            &up,
            Err(FaultClass::Transient),
        ),
        (
            "the same one twice",
            json!({"servers": [server_record(1), server_record(1)]}),
            &up,
            Ok(1),
        ),
        ("no list", json!({"server": []}), &up, Err(FaultClass::Transient)),
        (
            "no UUID",
            json!({"servers": [malformed]}),
            &up,
            Err(FaultClass::Transient),
        ),
        (
            "not even an object",
            json!("servers"),
            &up,
            Err(FaultClass::Transient),
        ),
    ];
    for (case, body, services, expected) in cases {
        let rows = [
            ("GET /servers/detail", 200, body),
            ("GET /os-services", 200, services.clone()),
        ];
        let fake = Fake::start(table(rows)).await;
        let got = fake.nova().await.servers_on("c1").await;
        let got = got
            .map(|servers| servers.len())
            .map_err(|error| error.fault.class);
        assert_eq!(got, expected, "{case}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn pages_that_go_wrong_never_give_a_part_of_the_list() {
    type Script = fn(&RecordedRequest, usize) -> Reply;
    let cases: [(&str, Script, Result<usize, FaultClass>, usize); 7] = [
        (
            "a circle",
            |_, _| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                Reply::Json(
                    200,
                    json!({"servers": [server_record(1)], "servers_links": links}),
                )
            },
            Err(FaultClass::Transient),
            2,
        ),
        (
            "a longer circle",
            |_, count| {
                let links = json!([{"rel": "next", "href": format!("/x?marker=m{}", count % 3)}]);
                Reply::Json(
                    200,
                    json!({"servers": [server_record(1)], "servers_links": links}),
                )
            },
            Err(FaultClass::Transient),
            4,
        ),
        (
            "a link without a marker",
            |_, _| {
                let links = json!([{"rel": "next", "href": "/x?limit=3"}]);
                Reply::Json(
                    200,
                    json!({"servers": [server_record(1)], "servers_links": links}),
                )
            },
            Err(FaultClass::Transient),
            1,
        ),
        (
            "the second page fails",
            |recorded, _| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match recorded.arg("marker") {
                    None => Reply::Json(
                        200,
                        json!({"servers": [server_record(1)], "servers_links": links}),
                    ),
                    Some(_) => Reply::Json(500, json!({})),
                }
            },
            Err(FaultClass::Transient),
            2,
        ),
        (
            "a marker vanishes once",
            |recorded, count| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match (recorded.arg("marker"), count) {
                    (None, _) => Reply::Json(
                        200,
                        json!({"servers": [server_record(1)], "servers_links": links}),
                    ),
                    (Some(_), 1) => Reply::Json(400, json!({"badRequest": {"message": "marker not found"}})),
                    (Some(_), _) => Reply::Json(200, json!({"servers": [server_record(2)]})),
                }
            },
            Ok(2),
            4,
        ),
        (
            "markers keep vanishing",
            |recorded, _| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match recorded.arg("marker") {
                    None => Reply::Json(
                        200,
                        json!({"servers": [server_record(1)], "servers_links": links}),
                    ),
                    Some(_) => Reply::Json(400, json!({})),
                }
            },
            Err(FaultClass::Transient),
            8,
        ),
        (
            "full pages without links",
            |recorded, _| match recorded.arg("marker") {
                None => Reply::Json(
                    200,
                    json!({"servers": [server_record(1), server_record(2), server_record(3)]}),
                ),
                Some(marker) if marker.ends_with("0003") => {
                    Reply::Json(200, json!({"servers": [server_record(4)]}))
                }
                Some(_) => Reply::Json(400, json!({})),
            },
            Ok(4),
            2,
        ),
    ];
    for (case, script, expected, requests) in cases {
        let count = AtomicUsize::new(0);
        let fake = Fake::start(move |recorded| match recorded.path.as_str() {
            "/v2.1/servers/detail" => script(recorded, count.fetch_add(1, Ordering::SeqCst)),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let got = paged_nova(&fake, 3).await.servers_on("c1").await;
        let got = got
            .map(|servers| servers.len())
            .map_err(|error| error.fault.class);
        assert_eq!(got, expected, "{case}");
        let sent = fake
            .calls()
            .iter()
            .filter(|call| call.path.ends_with("detail"))
            .count();
        assert_eq!(sent, requests, "{case}");
    }
}

#[tokio::test]
async fn a_list_has_a_deadline_of_its_own() {
    // Every page has another marker, so only the deadline ends it.
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| match recorded.path.as_str() {
        "/v2.1/servers/detail" => {
            let next = count.fetch_add(1, Ordering::SeqCst);
            let links = json!([{"rel": "next", "href": format!("/x?marker=m{next}")}]);
            Reply::Json(200, json!({"servers": [], "servers_links": links}))
        }
        _ => Reply::Unscripted,
    })
    .await;
    let session = fake
        .session_with(|options| options.list_timeout = Duration::from_millis(300))
        .await;
    let error = Nova::new(session).servers_on("c1").await.unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Transient);
    assert!(error.fault.text.contains("all pages"), "{error}");
}

#[tokio::test]
async fn hostile_names_stay_inside_their_query_value() {
    let rows = || {
        table([
            ("GET /servers/detail", 200, json!({"servers": []})),
            ("GET /servers", 200, json!({"servers": []})),
            ("GET /os-services", 200, json!({"services": []})),
            ("GET /os-migrations", 200, json!({"migrations": []})),
        ])
    };
    for host in [
        "a/b",
        "a?b=c",
        "a&all_tenants=0",
        "a#b",
        "a b",
        "zürich-1",
        "100%25",
        "日本",
        "a\r\nb",
    ] {
        let fake = Fake::start(rows()).await;
        let nova = fake.nova().await;
        assert_eq!(nova.service(host).await.unwrap(), None);
        assert!(nova.servers_on(host).await.unwrap().is_empty());
        assert!(nova.server_ids_on(host).await.unwrap().is_empty());
        assert!(nova.migrations_touching(host).await.unwrap().is_empty());
        assert!(nova.evacuations_from(host, None).await.unwrap().is_empty());
        for call in fake.calls() {
            let got = call.arg("host").or_else(|| call.arg("source_compute"));
            assert_eq!(got.as_deref(), Some(host), "{}", call.query);
            assert!(!call.query.contains("all_tenants=0"), "{}", call.query);
        }
    }
}
