use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use tachi_domain::MigrationId;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::{MigrationType, PowerState};

use super::*;
use crate::fake::{Fake, KeystoneMode, RecordedRequest, Reply, table, version_document};

mod contents;
mod lists;
mod migrations;
mod versions;

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

/// Splits a list into pages as Nova does.
fn page(recorded: &RecordedRequest, key: &str, marker_key: &str, all: &[Value], link_host: &str) -> Reply {
    let limit: usize = recorded.arg("limit").unwrap().parse().unwrap();
    let begin = match recorded.arg("marker") {
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
    let fake = Fake::start(|recorded| {
        let date = vec![("date", "Tue, 14 Nov 2023 22:13:50 GMT".to_owned())];
        match recorded.path.as_str() {
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
    for (case, records, expected, exists) in cases {
        let fake = Fake::start(table([("GET /os-services", 200, json!({"services": records}))])).await;
        let nova = fake.nova().await;
        let got = nova.service("c1").await;
        match &got {
            Ok(found) => assert_eq!(Some(found.is_some()), expected, "{case}"),
            Err(error) => {
                assert_eq!(expected, None, "{case}: {error}");
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
    for (records, expected) in cases {
        let fake = Fake::start(table([("GET /os-services", 200, json!({"services": records}))])).await;
        assert_eq!(
            fake.nova().await.services().await.unwrap().conductors_up,
            expected,
            "{records:?}"
        );
        assert_eq!(fake.calls()[0].query, "", "all of them by one request");
    }
}

#[tokio::test]
async fn a_service_is_changed_by_one_put() {
    let fake = Fake::start(
        |recorded| match (recorded.method.as_str(), recorded.path.as_str()) {
            ("PUT", "/v2.1/os-services/aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee") => {
                Reply::Json(200, json!({"service": service_record()}))
            }
            _ => Reply::Unscripted,
        },
    )
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

/// Covers C4.
#[tokio::test]
async fn a_list_that_shows_a_server_of_a_down_cell_is_no_list() {
    let up = json!({"services": [service_record()]});
    let unreachable = json!({"id": SERVER, "status": "UNKNOWN", "tenant_id": "t", "links": []});
    let recorded = json!({"id": "11111111-2222-3333-4444-000000000001", "name": "vm1", "links": []});
    for servers in [json!([unreachable]), json!([recorded, unreachable])] {
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

/// Covers C12.
#[tokio::test]
async fn an_owners_lock_without_a_reason_is_distinguished_from_a_nova_that_shows_no_reasons() {
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
        let fake = Fake::start(move |recorded| {
            if recorded.path.contains("/servers/") {
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

/// Covers C13.
#[tokio::test]
async fn an_evacuation_keeps_running_instances_running_at_any_microversion() {
    // From 2.95 on Nova starts an evacuated server and then stops it. A running server would stay stopped until the engine
    // starts it again, and a stopped one would run for a moment.
    let fake = Fake::start(|recorded| {
        if recorded.path.ends_with("/action") {
            Reply::Raw(202, Vec::new(), String::new())
        } else if recorded.path.ends_with("/v2.1/") {
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
async fn image_properties_are_requested_only_if_a_rule_uses_them() {
    let fake = Fake::start(|recorded| match recorded.path.rsplit('/').next() {
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

/// The hypervisor's name often differs by a domain suffix.
/// Covers EW3.
#[tokio::test]
async fn the_location_of_a_server_is_its_service_host_not_its_hypervisor() {
    for (node, case) in [
        ("c1.example", "with a domain"),
        ("c2", "that of another service host"),
    ] {
        let mut record = server_record(1);
        record["OS-EXT-SRV-ATTR:hypervisor_hostname"] = json!(node);
        let fake = Fake::start(move |recorded| match recorded.path.as_str() {
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
    let fake = Fake::start(move |recorded| match recorded.path.rsplit('/').next() {
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
    let about = tachi_domain::nova::InstanceTraits {
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
async fn every_action_has_its_body_and_microversion() {
    let fake = Fake::start(|recorded| match recorded.path.as_str() {
        "/v2.1/servers/11111111-2222-3333-4444-555555555555/action" => {
            Reply::Raw(202, Vec::new(), String::new())
        }
        _ => Reply::Unscripted,
    })
    .await;
    let (nova, id) = (fake.nova().await, server_id());
    nova.evacuate(id, None).await.unwrap();
    nova.evacuate(id, Some("c2")).await.unwrap();
    nova.live_migrate(id, None).await.unwrap();
    nova.live_migrate(id, Some("c2")).await.unwrap();
    nova.lock(id, "tachi r1").await.unwrap();
    nova.lock(id, "").await.unwrap();
    nova.unlock(id).await.unwrap();
    nova.reset_state(id, &VmState::Error).await.unwrap();
    nova.reset_state(id, &VmState::Active).await.unwrap();
    nova.start(id).await.unwrap();
    nova.migrate(id).await.unwrap();
    nova.confirm_migration(id).await.unwrap();
    nova.stop(id).await.unwrap();
    nova.pause(id).await.unwrap();
    nova.suspend(id).await.unwrap();
    let got: Vec<(String, Value)> = fake
        .calls()
        .into_iter()
        .map(|call| (call.header("openstack-api-version").to_owned(), call.body))
        .collect();
    let expected = [
        ("2.94", json!({"evacuate": {}})),
        ("2.94", json!({"evacuate": {"host": "c2"}})),
        (
            "2.68",
            json!({"os-migrateLive": {"host": null, "block_migration": "auto"}}),
        ),
        (
            "2.68",
            json!({"os-migrateLive": {"host": "c2", "block_migration": "auto"}}),
        ),
        ("2.73", json!({"lock": {"locked_reason": "tachi r1"}})),
        ("2.73", json!({"lock": null})),
        ("2.53", json!({"unlock": null})),
        ("2.53", json!({"os-resetState": {"state": "error"}})),
        ("2.53", json!({"os-resetState": {"state": "active"}})),
        ("2.53", json!({"os-start": null})),
        ("2.53", json!({"migrate": null})),
        ("2.53", json!({"confirmResize": null})),
        ("2.53", json!({"os-stop": null})),
        ("2.53", json!({"pause": null})),
        ("2.53", json!({"suspend": null})),
    ];
    let expected: Vec<(String, Value)> = expected
        .into_iter()
        .map(|(version, body)| (format!("compute {version}"), body))
        .collect();
    assert_eq!(got, expected);

    let refused = nova.reset_state(id, &VmState::Stopped).await.unwrap_err();
    assert_eq!(refused.fault.class, FaultClass::Permanent);
    assert_eq!(
        fake.calls().len(),
        expected.len(),
        "a state Nova does not take is not sent"
    );
}

/// Covers C3.
#[tokio::test]
async fn a_404_that_is_not_novas_own_says_nothing_of_a_server() {
    let bodies = [
        json!({}),
        json!({"message": "no Route matched with those values"}),
        json!({"itemNotFound": "yes"}),
        json!("default backend - 404"),
    ];
    for body in bodies {
        let answer = body.clone();
        let fake = Fake::start(move |recorded| {
            if recorded.path.contains("/servers/") {
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
        let fault = nova.evacuate(server_id(), None).await.unwrap_err().fault;
        assert_eq!(
            (fault.class, fault.maybe_done),
            (FaultClass::Transient, true),
            "{body}"
        );
        assert!(
            !fault.is_gone() && fault.text.contains("not from Nova itself"),
            "{}",
            fault.text
        );
    }
}
