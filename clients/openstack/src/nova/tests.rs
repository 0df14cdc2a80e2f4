use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::{MigrationType, PowerState};

use super::*;
use crate::fake::{Fake, KeystoneMode, Reply, Seen, table, version_document};

const SERVER: &str = "11111111-2222-3333-4444-555555555555";
const SERVICE: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";

fn server_id() -> ServerId {
    SERVER.parse().unwrap()
}

fn service_id() -> ServiceId {
    SERVICE.parse().unwrap()
}

fn service_record() -> Value {
    json!({
        "id": SERVICE, "binary": "nova-compute", "host": "c1", "zone": "nova", "status": "disabled", "state": "down",
        "disabled_reason": "dead", "forced_down": true, "updated_at": "2023-11-14T22:13:20.000000",
    })
}

fn server_record(number: u32) -> Value {
    json!({
        "id": format!("11111111-2222-3333-4444-{number:012}"), "name": format!("vm{number}"), "status": "ACTIVE",
        "metadata": {"HA_Enabled": "True"}, "locked": true, "locked_reason": "tachi r1", "image": "",
        "OS-EXT-SRV-ATTR:host": "c1", "OS-EXT-SRV-ATTR:hypervisor_hostname": "c1.example",
        "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": null, "OS-EXT-STS:power_state": 1,
        "OS-SRV-USG:launched_at": "2023-11-14T22:13:20.000000",
    })
}

fn migration_record(id: u64, created: &str) -> Value {
    json!({
        "id": id, "uuid": format!("99999999-0000-0000-0000-{id:012}"), "instance_uuid": SERVER,
        "migration_type": "evacuation", "status": "accepted", "source_compute": "c1", "dest_compute": null,
        "created_at": created, "updated_at": null,
    })
}

/// Cuts a list into pages as Nova does it.
fn page(seen: &Seen, key: &str, marker_key: &str, all: &[Value], link_host: &str) -> Reply {
    let limit: usize = seen.arg("limit").unwrap().parse().unwrap();
    let begin = match seen.arg("marker") {
        None => 0,
        Some(marker) => match all.iter().position(|item| item[marker_key] == json!(marker)) {
            Some(at) => at + 1,
            None => return Reply::Json(400, json!({"badRequest": {"message": "marker not found"}})),
        },
    };
    let end = (begin + limit).min(all.len());
    let items = &all[begin..end];
    let mut body = json!({ key: items });
    if items.len() == limit && end < all.len() {
        let marker = items.last().unwrap()[marker_key].as_str().unwrap().to_owned();
        let href = format!("{link_host}/v2.1/x?host=WRONG&limit={limit}&marker={marker}");
        body[format!("{key}_links")] = json!([{"rel": "next", "href": href}]);
    }
    Reply::Json(200, body)
}

async fn paged_nova(fake: &Fake, size: u32) -> Nova {
    Nova::new(fake.session_with(|options| options.page_size = size).await)
}

#[tokio::test]
async fn a_service_is_read_with_its_heartbeat_and_novas_clock() {
    let fake = Fake::start(|seen| {
        let date = vec![("date", "Tue, 14 Nov 2023 22:13:50 GMT".to_owned())];
        match seen.path.as_str() {
            "/v2.1/os-services" => Reply::Raw(200, date, json!({"services": [service_record()]}).to_string()),
            _ => Reply::Unscripted,
        }
    })
    .await;
    let service = fake.nova().await.service("c1").await.unwrap().unwrap();
    assert_eq!(service.id, service_id());
    assert_eq!(
        (service.enabled, service.up, service.forced_down),
        (false, false, true)
    );
    assert_eq!(service.disabled_reason.as_deref(), Some("dead"));
    assert_eq!(service.heartbeat_age_micros(), Some(30_000_000));
    let calls = fake.calls();
    assert_eq!(calls[0].query, "binary=nova-compute&host=c1");
    assert_eq!(calls[0].header("openstack-api-version"), "compute 2.69");
}

#[tokio::test]
async fn services_that_are_not_quite_the_one_asked_for() {
    let down_cell = json!({"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"});
    let mut other_case = service_record();
    other_case["host"] = json!("C1");
    let mut numbered = service_record();
    numbered["id"] = json!(7);
    let mut strange = service_record();
    strange["state"] = json!("sideways");
    // (case, records, service: Some(found) or None for an error, whether the host exists)
    let cases = [
        ("none", vec![], Some(false), false),
        ("another case of letters", vec![other_case], Some(false), false),
        ("down cell", vec![down_cell], None, true),
        ("no UUID", vec![numbered], None, true),
        ("odd state", vec![strange], None, true),
        ("good", vec![service_record()], Some(true), true),
    ];
    for (case, records, want, exists) in cases {
        let fake = Fake::start(table([("GET /os-services", 200, json!({"services": records}))])).await;
        let nova = fake.nova().await;
        let got = nova.service("c1").await;
        match &got {
            Ok(found) => assert_eq!(Some(found.is_some()), want, "{case}"),
            Err(error) => {
                assert_eq!(want, None, "{case}: {error}");
                assert_eq!(error.fault.class, FaultClass::Transient, "{case}");
            }
        }
        assert_eq!(nova.compute_host_exists("c1").await.unwrap(), exists, "{case}");
    }
}

#[tokio::test]
async fn conductors_are_up_when_there_are_some_and_all_are() {
    let conductor = |state: &str| json!({"id": SERVICE, "binary": "nova-conductor", "host": "x", "status": "enabled", "state": state});
    let cases = [
        (vec![], false),
        (vec![conductor("up")], true),
        (vec![conductor("up"), conductor("down")], false),
        (vec![service_record()], false),
    ];
    for (records, want) in cases {
        let fake = Fake::start(table([("GET /os-services", 200, json!({"services": records}))])).await;
        assert_eq!(
            fake.nova().await.services().await.unwrap().conductors_up,
            want,
            "{records:?}"
        );
        assert_eq!(fake.calls()[0].query, "", "all of them by one request");
    }
}

#[tokio::test]
async fn a_service_is_changed_by_one_put() {
    let fake = Fake::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("PUT", "/v2.1/os-services/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee") => {
            Reply::Json(200, json!({"service": service_record()}))
        }
        _ => Reply::Unscripted,
    })
    .await;
    let nova = fake.nova().await;
    let change = ServiceChange {
        disable: Some(Some("dead".into())),
        forced_down: Some(true),
    };
    let service = nova.update_service(service_id(), &change).await.unwrap();
    assert!(service.forced_down && service.nova_now.is_some());
    assert_eq!(
        fake.calls()[0].body,
        json!({"status": "disabled", "disabled_reason": "dead", "forced_down": true})
    );
    let error = nova
        .update_service(service_id(), &ServiceChange::default())
        .await
        .unwrap_err();
    assert_eq!(error.fault.class, FaultClass::Permanent);
    assert_eq!(fake.calls().len(), 1, "nothing is sent for nothing");
}

#[tokio::test]
async fn ew32_servers_are_read_from_every_page_of_the_host_that_was_asked() {
    for (link_host, case) in [
        ("http://wrong.invalid", "foreign host in the link"),
        ("", "link without a host"),
    ] {
        let all: Vec<Value> = (1..=7).map(server_record).collect();
        let fake = Fake::start(move |seen| match seen.path.as_str() {
            "/v2.1/servers/detail" => page(seen, "servers", "id", &all, link_host),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let servers = paged_nova(&fake, 3).await.servers_on("c1").await.unwrap();
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["vm1", "vm2", "vm3", "vm4", "vm5", "vm6", "vm7"], "{case}");
        let lists: Vec<Seen> = fake
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

#[tokio::test]
async fn ew32_ids_are_read_from_every_page_and_without_the_details() {
    let all: Vec<Value> = (1..=7).map(server_record).collect();
    let fake = Fake::start(move |seen| match seen.path.as_str() {
        "/v2.1/servers" => page(seen, "servers", "id", &all, "http://wrong.invalid"),
        "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
        _ => Reply::Unscripted,
    })
    .await;
    let ids = paged_nova(&fake, 3).await.server_ids_on("c1").await.unwrap();
    assert_eq!(ids.len(), 7);
    let lists: Vec<Seen> = fake
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

#[tokio::test]
async fn ew33_no_ids_are_believed_only_if_the_cell_of_the_host_is_there() {
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
    for (case, body, services, want) in cases {
        let rows = [
            ("GET /servers", 200, body.clone()),
            ("GET /os-services", 200, services.clone()),
        ];
        let fake = Fake::start(table(rows)).await;
        let got = fake.nova().await.server_ids_on("c1").await;
        let got = got.map(|ids| ids.len()).map_err(|error| error.fault.class);
        assert_eq!(got, want, "{case}");
    }
}

#[tokio::test]
async fn c4_a_list_that_shows_a_server_of_a_down_cell_is_no_list() {
    let up = json!({"services": [service_record()]});
    let unreachable = json!({"id": SERVER, "status": "UNKNOWN", "tenant_id": "t", "links": []});
    let seen = json!({"id": "11111111-2222-3333-4444-000000000001", "name": "vm1", "links": []});
    for servers in [json!([unreachable]), json!([seen, unreachable])] {
        let fake = Fake::start(table([
            ("GET /servers", 200, json!({"servers": servers})),
            ("GET /os-services", 200, up.clone()),
        ]))
        .await;
        let fault = fake.nova().await.server_ids_on("c1").await.unwrap_err().fault;
        assert_eq!(fault.class, FaultClass::Transient);
        assert!(fault.text.contains("the cell is down"), "{}", fault.text);
    }
}

#[tokio::test]
async fn c12_an_owners_lock_without_a_reason_is_told_from_a_nova_that_shows_none() {
    let of = |change: fn(&mut Value)| {
        let mut record = server_record(1);
        change(&mut record);
        json!({"server": record})
    };
    let hidden = |record: &mut Value| drop(record.as_object_mut().unwrap().remove("locked_reason"));
    let cases = [
        (of(|_| ()), Some("tachi r1")),
        (of(|record| record["locked_reason"] = Value::Null), Some("")),
        (of(hidden), None),
        (of(|record| record["locked"] = json!(false)), None),
    ];
    for (body, reason) in cases {
        let fake = Fake::start(move |seen| {
            if seen.path.contains("/servers/") {
                Reply::Json(200, body.clone())
            } else {
                Reply::Unscripted
            }
        })
        .await;
        let server = fake.nova().await.server(server_id()).await.unwrap().unwrap();
        assert_eq!(server.locked_reason.as_deref(), reason);
    }
}

#[tokio::test]
async fn c13_whatever_nova_offers_an_evacuation_leaves_running_what_ran() {
    // From 2.95 on Nova stops what it has moved, after it has started it: what ran would wait for the engine to be started again,
    // and what was stopped is started for a moment all the same.
    let fake = Fake::start(|seen| {
        if seen.path.ends_with("/action") {
            Reply::Raw(202, Vec::new(), String::new())
        } else if seen.path.ends_with("/v2.1/") {
            Reply::Json(200, version_document("2.1", "2.101"))
        } else {
            Reply::Unscripted
        }
    })
    .await;
    fake.nova().await.evacuate(server_id(), None).await.unwrap();
    let calls = fake.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].header("openstack-api-version"), "compute 2.94");
}

#[tokio::test]
async fn image_properties_are_asked_for_only_where_a_rule_looks_at_them() {
    let fake = Fake::start(|seen| match seen.path.rsplit('/').next() {
        Some(SERVER) => Reply::Json(200, json!({"server": server_record(1)})),
        _ => Reply::Unscripted,
    })
    .await;
    fake.nova().await.server(server_id()).await.unwrap();
    let nova = fake.nova().await.with_image_properties();
    nova.server(server_id()).await.unwrap();
    let versions: Vec<String> = fake
        .calls()
        .iter()
        .filter(|call| call.path.ends_with(SERVER))
        .map(|call| call.header("openstack-api-version").to_owned())
        .collect();
    assert_eq!(versions.len(), 2);
    assert_eq!(versions[0], "compute 2.73");
    assert_eq!(
        versions[1], "compute 2.96",
        "at most 2.98, and no more than is offered"
    );
}

/// The hypervisor's name is often another one, with a domain at its end.
#[tokio::test]
async fn ew03_where_a_server_is_says_the_service_host_and_not_the_hypervisor() {
    for (node, case) in [
        ("c1.example", "with a domain"),
        ("c2", "that of another service host"),
    ] {
        let mut record = server_record(1);
        record["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(node);
        let fake = Fake::start(move |seen| match seen.path.as_str() {
            "/v2.1/servers/detail" => Reply::Json(200, json!({"servers": [record]})),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let servers = fake.nova().await.servers_on("c1").await.unwrap();
        let hosts: Vec<Option<&str>> = servers.iter().map(|server| server.host.as_deref()).collect();
        assert_eq!(hosts, [Some("c1")], "{case}: it has not moved");
    }
}

#[tokio::test]
async fn a_server_is_read_in_full() {
    let mut record = server_record(1);
    record["image"] =
        json!({"id": "i1", "properties": {"os_distro": "debian", "hw_cpu_cores": 2, "odd": [1]}});
    record["flavor"] = json!({"original_name": "m1", "extra_specs": {"hw:pci": "1"}});
    record["tenant_id"] = json!("p1");
    record["created"] = json!("2023-11-14T22:13:20Z");
    record["OS-EXT-STS:vm_state"] = json!("error");
    record["OS-EXT-STS:power_state"] = json!(4);
    record["OS-EXT-STS:task_state"] = json!("rebuilding");
    record["OS-SRV-USG:launched_at"] = Value::Null;
    record["fault"] = json!({"code": 500, "message": "No valid host was found."});
    let fake = Fake::start(move |seen| match seen.path.rsplit('/').next() {
        Some(SERVER) => Reply::Json(200, json!({"server": record})),
        Some("00000000-0000-0000-0000-000000000000") => {
            Reply::Json(404, json!({"itemNotFound": {"code": 404, "message": "gone"}}))
        }
        Some("00000000-0000-0000-0000-000000000001") => Reply::Json(
            200,
            json!({"server": {"id": SERVER, "status": "UNKNOWN", "tenant_id": "t"}}),
        ),
        _ => Reply::Unscripted,
    })
    .await;
    let nova = fake.nova().await;
    let server = nova.server(server_id()).await.unwrap().unwrap();
    assert_eq!(server.host.as_deref(), Some("c1"));
    assert_eq!(
        (&server.vm_state, server.power_state),
        (&VmState::Error, PowerState::Shutdown)
    );
    assert_eq!(server.task_state.as_deref(), Some("rebuilding"));
    assert_eq!(server.fault.as_deref(), Some("No valid host was found."));
    assert!(!server.volume_backed && !server.launched && server.locked);
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        owned.collect::<std::collections::BTreeMap<_, _>>()
    };
    let about = tachi_domain::nova::About {
        project: "p1".into(),
        created: Some(tachi_domain::Timestamp::from_micros(1_700_000_000_000_000)),
        image: Some("i1".into()),
        image_properties: pairs(&[("os_distro", "debian"), ("hw_cpu_cores", "2")]),
        flavor_properties: pairs(&[("hw:pci", "1")]),
    };
    assert_eq!(server.about, about);
    assert_eq!(server.locked_reason.as_deref(), Some("tachi r1"));
    assert_eq!(
        server.metadata.get("HA_Enabled").map(String::as_str),
        Some("True")
    );
    assert_eq!(nova.server(uuid::Uuid::nil().into()).await.unwrap(), None);
    let down = nova.server(uuid::Uuid::from_u128(1).into()).await.unwrap_err();
    assert_eq!(down.fault.class, FaultClass::Transient);
    assert!(down.fault.text.contains("cell is down"), "{down}");
}

#[tokio::test]
async fn ew33_a_list_of_servers_is_whole_and_of_this_host_or_an_error() {
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
    let elsewhere = of(|record| record["OS-EXT-SRV-ATTR:host"] = json!("c2"));
    let nowhere = of(|record| record["OS-EXT-SRV-ATTR:host"] = Value::Null);
    let unreachable = json!({"id": SERVER, "status": "UNKNOWN", "tenant_id": "t"});
    let senseless = of(|record| record["id"] = json!("not a uuid"));
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
            json!({"servers": [server_record(1), elsewhere]}),
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
            json!({"servers": [senseless]}),
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
    for (case, body, services, want) in cases {
        let rows = [
            ("GET /servers/detail", 200, body),
            ("GET /os-services", 200, services.clone()),
        ];
        let fake = Fake::start(table(rows)).await;
        let got = fake.nova().await.servers_on("c1").await;
        let got = got
            .map(|servers| servers.len())
            .map_err(|error| error.fault.class);
        assert_eq!(got, want, "{case}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table")]
async fn pages_that_go_wrong_never_give_a_part_of_the_list() {
    type Script = fn(&Seen, usize) -> Reply;
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
            |seen, _| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match seen.arg("marker") {
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
            |seen, count| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match (seen.arg("marker"), count) {
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
            |seen, _| {
                let links = json!([{"rel": "next", "href": "/x?marker=m1"}]);
                match seen.arg("marker") {
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
            |seen, _| match seen.arg("marker") {
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
    for (case, script, want, requests) in cases {
        let count = AtomicUsize::new(0);
        let fake = Fake::start(move |seen| match seen.path.as_str() {
            "/v2.1/servers/detail" => script(seen, count.fetch_add(1, Ordering::SeqCst)),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let got = paged_nova(&fake, 3).await.servers_on("c1").await;
        let got = got
            .map(|servers| servers.len())
            .map_err(|error| error.fault.class);
        assert_eq!(got, want, "{case}");
        let asked = fake
            .calls()
            .iter()
            .filter(|call| call.path.ends_with("detail"))
            .count();
        assert_eq!(asked, requests, "{case}");
    }
}

#[tokio::test]
async fn a_list_has_a_deadline_of_its_own() {
    // Every page has another marker, so only the deadline ends it.
    let count = AtomicUsize::new(0);
    let fake = Fake::start(move |seen| match seen.path.as_str() {
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

#[tokio::test]
async fn evacuations_are_read_newest_first_down_to_the_beginning() {
    // Two per second, newest first; ids 20 to 1.
    let all: Vec<Value> = (1..=20u64)
        .rev()
        .map(|id| migration_record(id, &format!("2023-11-14T22:13:{:02}.000000", id / 2)))
        .collect();
    let base = 1_699_999_980_000_000; // 22:13:00
    let at = |seconds_hundredths: i64| Some(Timestamp::from_micros(base + seconds_hundredths * 10_000));
    // (case, since, ids, pages)
    let cases = [
        ("everything", None, 20, 3),
        ("the newest page only", at(700), 7, 1),
        ("into the second page", at(500), 11, 2),
        ("made in the second of the beginning", at(770), 7, 1),
        ("nothing that new", at(5000), 0, 1),
    ];
    for (case, since, want, pages) in cases {
        let all = all.clone();
        let fake = Fake::start(move |seen| match seen.path.as_str() {
            "/v2.1/os-migrations" => page(seen, "migrations", "uuid", &all, "http://wrong.invalid"),
            "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
            _ => Reply::Unscripted,
        })
        .await;
        let got = paged_nova(&fake, 8)
            .await
            .evacuations_from("c1", since)
            .await
            .unwrap();
        let ids: Vec<u64> = got.iter().map(|migration| migration.id.0).collect();
        let expected: Vec<u64> = (1..=20).rev().take(want).collect();
        assert_eq!(ids, expected, "{case}");
        let lists: Vec<Seen> = fake
            .calls()
            .into_iter()
            .filter(|c| c.path.ends_with("migrations"))
            .collect();
        assert_eq!(lists.len(), pages, "{case}");
        assert_eq!(
            lists[0].query, "source_compute=c1&migration_type=evacuation&limit=8",
            "{case}"
        );
        assert_eq!(lists[0].header("openstack-api-version"), "compute 2.59");
        assert!(lists.iter().all(|call| !call.query.contains("changes")), "{case}");
    }
}

#[tokio::test]
async fn migrations_touching_a_host_are_all_kinds_on_all_pages() {
    let kinds = ["evacuation", "live-migration", "migration", "resize", "teleport"];
    let all: Vec<Value> = kinds
        .iter()
        .zip(1..)
        .map(|(kind, id)| {
            let mut record = migration_record(id, "2023-11-14T22:13:20.000000");
            record["migration_type"] = json!(kind);
            record["dest_compute"] = json!("c2");
            record
        })
        .collect();
    let fake = Fake::start(move |seen| match seen.path.as_str() {
        "/v2.1/os-migrations" => page(seen, "migrations", "uuid", &all, ""),
        "/v2.1/os-services" => Reply::Json(200, json!({"services": [service_record()]})),
        _ => Reply::Unscripted,
    })
    .await;
    let got = paged_nova(&fake, 2)
        .await
        .migrations_touching("c1")
        .await
        .unwrap();
    let kinds: Vec<MigrationType> = got.iter().map(|migration| migration.kind.clone()).collect();
    let want = [
        MigrationType::Evacuation,
        MigrationType::LiveMigration,
        MigrationType::Migration,
        MigrationType::Resize,
        MigrationType::Other("teleport".to_owned()),
    ];
    assert_eq!(kinds, want);
    assert_eq!(got[0].dest.as_deref(), Some("c2"));
    assert_eq!(
        got[0].created_at,
        Some(Timestamp::from_micros(1_700_000_000_000_000))
    );
    assert_eq!(fake.calls()[0].query, "host=c1&limit=2");
}

#[tokio::test]
async fn an_empty_list_of_migrations_is_believed_only_while_the_cell_is_up() {
    let down = json!({"services": [{"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"}]});
    let rows = [
        ("GET /os-migrations", 200, json!({"migrations": []})),
        ("GET /os-services", 200, down),
    ];
    let fake = Fake::start(table(rows)).await;
    let nova = fake.nova().await;
    for outcome in [
        nova.migrations_touching("c1").await,
        nova.evacuations_from("c1", None).await,
    ] {
        assert_eq!(outcome.unwrap_err().fault.class, FaultClass::Transient);
    }
}

#[tokio::test]
async fn every_action_has_its_body_and_microversion() {
    let fake = Fake::start(|seen| match seen.path.as_str() {
        "/v2.1/servers/11111111-2222-3333-4444-555555555555/action" => {
            Reply::Raw(202, Vec::new(), String::new())
        }
        _ => Reply::Unscripted,
    })
    .await;
    let (nova, id) = (fake.nova().await, server_id());
    nova.evacuate(id, None).await.unwrap();
    nova.evacuate(id, Some("c2")).await.unwrap();
    nova.lock(id, "tachi r1").await.unwrap();
    nova.lock(id, "").await.unwrap();
    nova.unlock(id).await.unwrap();
    nova.reset_state(id, &VmState::Error).await.unwrap();
    nova.reset_state(id, &VmState::Active).await.unwrap();
    nova.start(id).await.unwrap();
    nova.stop(id).await.unwrap();
    nova.pause(id).await.unwrap();
    nova.suspend(id).await.unwrap();
    let got: Vec<(String, Value)> = fake
        .calls()
        .into_iter()
        .map(|call| (call.header("openstack-api-version").to_owned(), call.body))
        .collect();
    let want = [
        ("2.94", json!({"evacuate": {}})),
        ("2.94", json!({"evacuate": {"host": "c2"}})),
        ("2.73", json!({"lock": {"locked_reason": "tachi r1"}})),
        ("2.73", json!({"lock": null})),
        ("2.53", json!({"unlock": null})),
        ("2.53", json!({"os-resetState": {"state": "error"}})),
        ("2.53", json!({"os-resetState": {"state": "active"}})),
        ("2.53", json!({"os-start": null})),
        ("2.53", json!({"os-stop": null})),
        ("2.53", json!({"pause": null})),
        ("2.53", json!({"suspend": null})),
    ];
    let want: Vec<(String, Value)> = want
        .into_iter()
        .map(|(version, body)| (format!("compute {version}"), body))
        .collect();
    assert_eq!(got, want);

    let refused = nova.reset_state(id, &VmState::Stopped).await.unwrap_err();
    assert_eq!(refused.fault.class, FaultClass::Permanent);
    assert_eq!(
        fake.calls().len(),
        want.len(),
        "a state Nova does not take is not sent"
    );
}

#[tokio::test]
async fn every_status_of_an_evacuation_has_its_meaning() {
    use FaultClass::{Conflict, Permanent, Transient};
    let cases = [
        (400, Permanent, false),
        (403, Permanent, false),
        (404, Permanent, false),
        (409, Conflict, false),
        (413, Transient, false),
        (429, Transient, false),
        (500, Transient, true),
        (502, Transient, true),
        (503, Transient, true),
        (504, Transient, true),
    ];
    for (status, class, maybe_done) in cases {
        let fake = Fake::start(move |seen| {
            if seen.method == Method::POST && seen.path.ends_with("/action") {
                let name = if status == 404 {
                    "itemNotFound"
                } else {
                    "computeFault"
                };
                Reply::Json(status, json!({name: {"message": "because"}}))
            } else {
                Reply::Unscripted
            }
        })
        .await;
        let fault = fake
            .nova()
            .await
            .evacuate(server_id(), None)
            .await
            .unwrap_err()
            .fault;
        assert_eq!(
            (fault.status, fault.class, fault.maybe_done),
            (Some(status), class, maybe_done)
        );
        assert!(
            fault.text.contains("because") && fault.text.contains("/action"),
            "{}",
            fault.text
        );
        assert_eq!(fake.calls().len(), 1, "an evacuation is never sent twice");
    }
}

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
        let fake = Fake::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
            ("GET", "/v2.1/") => Reply::Json(200, version_document(min, max)),
            ("GET", "/v2.1/os-services") => Reply::Json(200, json!({"services": [service_record()]})),
            ("GET", "/v2.1/servers/detail") => Reply::Json(200, json!({"servers": [server_record(1)]})),
            ("GET", "/v2.1/os-migrations") => Reply::Json(
                200,
                json!({"migrations": [migration_record(1, "2023-11-14T22:13:20")]}),
            ),
            ("POST", _) => Reply::Json(200, json!({})),
            _ => Reply::Unscripted,
        })
        .await;
        let nova = fake.nova().await;
        let outcomes = [
            (services, nova.service("c1").await.map(|_| ())),
            (servers, nova.servers_on("c1").await.map(|_| ())),
            (migrations, nova.migrations_touching("c1").await.map(|_| ())),
            (evacuate, nova.evacuate(server_id(), None).await),
        ];
        let mut sent = fake.calls().into_iter();
        for (want, outcome) in outcomes {
            match want {
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
        let documents = fake.seen().iter().filter(|seen| seen.path == "/v2.1/").count();
        assert!(max.is_empty() || documents == 1, "negotiated once");
    }
}

#[tokio::test]
async fn the_version_document_is_found_above_a_project_id() {
    let fake = Fake::start(|seen| match seen.path.as_str() {
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
    let fake = Fake::start(|seen| match seen.path.as_str() {
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
async fn a_nova_that_was_exchanged_is_negotiated_with_anew() {
    let old = AtomicUsize::new(0);
    let fake = Fake::start(
        move |seen| match (seen.path.as_str(), seen.header("openstack-api-version")) {
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
        },
    )
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
        None::<std::sync::Arc<crate::fake::TestClock>>,
    ));
    let in_script = std::sync::Arc::clone(&clock);
    let fake = Fake::start(move |seen| match (seen.method.as_str(), seen.path.as_str()) {
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
    })
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
    let fake = Fake::start(|seen| match seen.path.as_str() {
        path if path.ends_with("/action") => Reply::Json(202, json!({})),
        _ => Reply::Unscripted,
    })
    .await;
    let nova = fake.nova().await;
    nova.make_ready().await.unwrap();
    let before = fake.seen().len();
    nova.evacuate(server_id(), None).await.unwrap();
    assert_eq!(fake.seen().len(), before + 1);
    nova.make_ready().await.unwrap();
    assert_eq!(
        fake.seen().len(),
        before + 1,
        "what is ready is not made ready again"
    );

    fake.clock.advance(Duration::from_hours(2));
    fake.keystone(KeystoneMode::Hang);
    let session = fake
        .session_with(|options| options.timeout = Duration::from_millis(200))
        .await;
    let fault = Nova::new(session).make_ready().await.unwrap_err().fault;
    assert_eq!((fault.class, fault.maybe_done), (FaultClass::Transient, false));
}

#[tokio::test]
async fn c3_a_404_that_is_not_novas_own_says_nothing_of_a_server() {
    let bodies = [
        json!({}),
        json!({"message": "no Route matched with those values"}),
        json!({"itemNotFound": "yes"}),
        json!("default backend - 404"),
    ];
    for body in bodies {
        let answer = body.clone();
        let fake = Fake::start(move |seen| {
            if seen.path.contains("/servers/") {
                Reply::Json(404, answer.clone())
            } else {
                Reply::Unscripted
            }
        })
        .await;
        let nova = fake.nova().await;
        let read = nova.server(server_id()).await.unwrap_err().fault;
        assert_eq!(
            (read.class, read.maybe_done),
            (FaultClass::Transient, false),
            "{body}"
        );
        let asked = nova.evacuate(server_id(), None).await.unwrap_err().fault;
        assert_eq!(
            (asked.class, asked.maybe_done),
            (FaultClass::Transient, true),
            "{body}"
        );
        assert!(
            !asked.is_gone() && asked.text.contains("not Nova's own"),
            "{}",
            asked.text
        );
    }
}
