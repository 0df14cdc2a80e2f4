//! Servers on the wire.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_sandbox::{Boot, RegionSettings, VmState};

use crate::cloud::{Cloud, ids, quick};

#[tokio::test]
async fn microversions_on_the_wire() {
    let cloud = Cloud::start(quick(1)).await;
    let url = format!("{}/servers", cloud.sandbox.urls().compute);
    for (name, value, status, negotiated) in [
        ("openstack-api-version", "compute 2.73", 200, "compute 2.73"),
        ("openstack-api-version", "compute latest", 200, "compute 2.100"),
        ("x-openstack-nova-api-version", "2.53", 200, "compute 2.53"),
        ("x-unrelated", "1", 200, "compute 2.1"),
        ("openstack-api-version", "compute 2.101", 406, "compute 2.1"),
        ("openstack-api-version", "compute nonsense", 400, "compute 2.1"),
    ] {
        let request = cloud
            .http
            .get(&url)
            .header("x-auth-token", &cloud.token)
            .header(name, value);
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), status, "{value}");
        let headers = response.headers();
        assert_eq!(
            headers.get("openstack-api-version").unwrap(),
            negotiated,
            "{value}"
        );
        assert!(
            headers
                .get("x-openstack-request-id")
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("req-")
        );
        assert!(headers.contains_key("date"));
    }
}

#[tokio::test]
async fn pages_follow_each_other_youngest_first() {
    let cloud = Cloud::start(RegionSettings {
        max_limit: 7,
        ..quick(2)
    })
    .await;
    let mut expected: Vec<String> = cloud
        .region()
        .boot(&Boot::on("compute-001", 14))
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    cloud.region().boot(&Boot::on("compute-002", 3)).unwrap();
    expected.reverse();
    for (limit, pages) in [("", 3), ("&limit=5", 3), ("&limit=1000", 3), ("&limit=1", 15)] {
        let mut path = format!("/servers/detail?all_tenants=1&host=compute-001{limit}");
        let (mut seen, mut count) = (Vec::new(), 0);
        loop {
            let (status, body) = cloud.get(90, &path).await;
            assert_eq!(status, 200);
            seen.extend(ids(&body, "servers"));
            count += 1;
            let Some(next) = body["servers_links"][0]["href"].as_str() else {
                break;
            };
            path = next
                .strip_prefix(&cloud.sandbox.urls().compute)
                .unwrap()
                .to_owned();
        }
        assert_eq!(seen, expected, "limit {limit:?}");
        assert_eq!(
            count, pages,
            "limit {limit:?}: a full page has a next link, even to nothing"
        );
    }
}

#[tokio::test]
async fn list_filters_and_who_may_use_them() {
    let mut cloud = Cloud::start(quick(2)).await;
    let demo = cloud
        .region()
        .boot(&Boot::on("compute-001", 2).name("demo"))
        .unwrap();
    let admin = Boot {
        project: "admin".into(),
        ..Boot::on("compute-002", 1).name("adm")
    };
    cloud.region().boot(&admin).unwrap();
    cloud
        .region()
        .faults()
        .set_server_state(demo[0], VmState::Error, None)
        .unwrap();
    let count = |body: &Value| body["servers"].as_array().map_or(0, Vec::len);
    for (query, status, found) in [
        ("", 200, 1),
        ("?all_tenants=1", 200, 3),
        ("?all_tenants", 200, 3),
        ("?all_tenants=False", 200, 1),
        ("?all_tenants=True&host=compute-001", 200, 2),
        ("?all_tenants=1&host=compute-001.sandbox", 200, 0),
        ("?all_tenants=1&host=nowhere", 200, 0),
        ("?all_tenants=1&status=ERROR", 200, 1),
        ("?all_tenants=1&name=%5Edemo-2%24", 200, 1),
        ("?all_tenants=1&name=demo", 200, 2),
        ("?all_tenants=1&deleted=True", 200, 0),
        ("?all_tenants=1&locked=True", 200, 0),
        ("?limit=x", 400, 0),
        ("?marker=9d1a4c43-1bd5-4c45-93b6-b26d1c8e2b0c", 400, 0),
        ("?changes-since=yesterday", 400, 0),
    ] {
        let (code, body) = cloud.get(90, &format!("/servers/detail{query}")).await;
        assert_eq!((code, count(&body)), (status, found), "admin asks {query}");
    }
    cloud.token = cloud.token_of("demo", "demo").await;
    for (query, status, found) in [
        ("", 200, 2),
        ("?all_tenants=1", 403, 0),
        ("?host=compute-002", 200, 2),
    ] {
        let (code, body) = cloud.get(90, &format!("/servers/detail{query}")).await;
        assert_eq!((code, count(&body)), (status, found), "an owner asks {query}");
    }
}

#[tokio::test]
async fn fields_come_with_their_microversions() {
    let mut cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    let path = format!("/servers/{id}");
    for (field, since) in [
        ("OS-EXT-SRV-ATTR:host", 1),
        ("OS-EXT-STS:vm_state", 1),
        ("OS-EXT-SRV-ATTR:hostname", 3),
        ("locked", 9),
        ("host_status", 16),
        ("description", 19),
        ("tags", 26),
        ("trusted_image_certificates", 63),
        ("server_groups", 71),
        ("locked_reason", 73),
        ("pinned_availability_zone", 96),
        ("scheduler_hints", 100),
    ] {
        for minor in [since - 1, since].into_iter().filter(|minor| *minor > 0) {
            let (_, body) = cloud.get(minor, &path).await;
            assert_eq!(
                body["server"].get(field).is_some(),
                minor >= since,
                "{field} in 2.{minor}"
            );
        }
    }
    let (_, old) = cloud.get(46, &path).await;
    let (_, new) = cloud.get(47, &path).await;
    assert_eq!(old["server"]["flavor"]["id"], "1");
    assert_eq!(new["server"]["flavor"]["original_name"], "m1.tiny");
    assert_eq!(new["server"]["image"], "", "boots from a volume");
    assert_eq!(new["server"]["OS-EXT-SRV-ATTR:host"], "compute-001");
    assert_eq!(
        new["server"]["OS-EXT-SRV-ATTR:hypervisor_hostname"],
        "compute-001.sandbox"
    );
    cloud.token = cloud.token_of("demo", "demo").await;
    let (_, own) = cloud.get(90, &path).await;
    assert!(
        own["server"].get("OS-EXT-SRV-ATTR:host").is_none(),
        "an owner does not see the host"
    );
    assert!(own["server"].get("host_status").is_none());
}

#[tokio::test]
async fn create_show_metadata_delete() {
    let cloud = Cloud::start(RegionSettings {
        build_time: Duration::from_hours(1),
        ..quick(1)
    })
    .await;
    let image = cloud.http.get(format!(
        "{}/image/v2/images?name=cirros",
        cloud.sandbox.urls().base
    ));
    let image: Value = image.send().await.unwrap().json().await.unwrap();
    let image = &image["images"][0]["id"];
    let good = json!({"name": "vm", "flavorRef": "1", "imageRef": image, "networks": "none", "metadata": {"a": "1"}});
    let without = |key: &str| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().remove(key);
        body
    };
    for (name, body) in [
        ("no name", without("name")),
        ("no flavor", without("flavorRef")),
        ("no image", without("imageRef")),
        ("no networks", without("networks")),
    ] {
        assert_eq!(
            cloud.post(90, "/servers", json!({"server": body})).await.0,
            400,
            "{name}"
        );
    }
    let (status, made) = cloud.post(90, "/servers", json!({"server": good})).await;
    assert_eq!(status, 202);
    let id: uuid::Uuid = made["server"]["id"].as_str().unwrap().parse().unwrap();
    let (_, shown) = cloud.get(90, &format!("/servers/{id}")).await;
    assert_eq!(shown["server"]["status"], "BUILD");

    cloud
        .region()
        .tune(|settings| settings.build_time = Duration::from_millis(5));
    let (_, made) = cloud.post(90, "/servers", json!({"server": good})).await;
    let id: uuid::Uuid = made["server"]["id"].as_str().unwrap().parse().unwrap();
    cloud
        .wait("it runs", |region| region.lost(&[id]).is_empty())
        .await;

    let metadata = format!("/servers/{id}/metadata");
    assert_eq!(
        cloud
            .post(90, &metadata, json!({"metadata": {"HA_Enabled": "True"}}))
            .await
            .0,
        200
    );
    let (_, all) = cloud.get(90, &metadata).await;
    assert_eq!(all["metadata"], json!({"HA_Enabled": "True", "a": "1"}));
    assert_eq!(
        cloud
            .put(90, &format!("{metadata}/a"), json!({"meta": {"a": "2"}}))
            .await
            .0,
        200
    );
    assert_eq!(
        cloud
            .put(90, &format!("{metadata}/a"), json!({"meta": {"b": "2"}}))
            .await
            .0,
        400
    );
    assert_eq!(cloud.delete(90, &format!("{metadata}/HA_Enabled")).await.0, 204);
    assert_eq!(cloud.delete(90, &format!("{metadata}/HA_Enabled")).await.0, 404);
    assert_eq!(
        cloud.put(90, &metadata, json!({"metadata": {"c": 3}})).await.0,
        400,
        "values are strings"
    );
    assert_eq!(
        cloud
            .region()
            .server(id)
            .unwrap()
            .metadata
            .into_iter()
            .collect::<Vec<_>>(),
        [("a".into(), "2".into())]
    );

    assert_eq!(cloud.delete(90, &format!("/servers/{id}")).await.0, 204);
    cloud
        .wait("it is gone", |region| region.server(id).is_err())
        .await;
    assert_eq!(cloud.get(90, &format!("/servers/{id}")).await.0, 404);
    assert_eq!(cloud.region().lost(&[id]), [id]);
}

#[tokio::test]
async fn evacuate_bodies_by_microversion() {
    let cloud = Cloud::start(quick(3)).await;
    let servers = cloud.region().boot(&Boot::on("compute-001", 14)).unwrap();
    cloud.kill("compute-001").await;
    let host = "compute-002";
    for (server, (minor, argument, expected)) in servers.into_iter().zip([
        (1, json!({"onSharedStorage": true}), 200),
        (13, json!({}), 400),
        (14, json!({}), 200),
        (14, json!({"onSharedStorage": true}), 400),
        (28, json!({"force": true}), 400),
        (29, json!({"host": host, "force": true}), 200),
        (29, json!({"force": true}), 400),
        (67, json!({"host": host, "force": false}), 200),
        (68, json!({"host": host, "force": true}), 400),
        (94, json!({"host": host}), 200),
        (95, json!({}), 200),
        (95, json!({"host": "compute-001"}), 400),
        (95, json!({"host": "nowhere"}), 404),
        (95, Value::Null, 400),
    ]) {
        let status = cloud.act(minor, server, json!({"evacuate": argument})).await;
        assert_eq!(status, expected, "2.{minor} {argument}");
    }
}

#[tokio::test]
async fn action_bodies() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    for (minor, body, expected) in [
        (90, json!({"no-such": null}), 400),
        (90, json!({}), 400),
        (90, json!({"lock": null, "unlock": null}), 400),
        (90, json!([]), 400),
        (73, json!({"lock": {"locked_reason": "tachi 1"}}), 202),
        (73, json!({"lock": {"reason": "x"}}), 400),
        (73, json!({"lock": {"locked_reason": ""}}), 400),
        (72, json!({"unlock": null}), 202),
        (90, json!({"reboot": {"type": "MAYBE"}}), 400),
        (90, json!({"os-resetState": {"state": "paused"}}), 400),
        (90, json!({"os-resetState": {"state": "error"}}), 202),
        (90, json!({"os-start": null}), 409),
        (90, json!({"os-stop": null}), 202),
    ] {
        assert_eq!(cloud.act(minor, id, body.clone()).await, expected, "{body}");
    }
    let nowhere = uuid::Uuid::nil();
    assert_eq!(cloud.act(90, nowhere, json!({"os-stop": null})).await, 404);
    assert_eq!(
        cloud
            .post(90, "/servers/no-uuid/action", json!({"os-stop": null}))
            .await
            .0,
        404
    );
}

#[tokio::test]
async fn a_lock_shows_its_reason() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud.region().boot(&Boot::on("compute-001", 1)).unwrap()[0];
    cloud
        .act(73, id, json!({"lock": {"locked_reason": "tachi 7"}}))
        .await;
    let (_, body) = cloud.get(73, &format!("/servers/{id}")).await;
    assert_eq!(
        (&body["server"]["locked"], &body["server"]["locked_reason"]),
        (&json!(true), &json!("tachi 7"))
    );
    let (_, locked) = cloud.get(73, "/servers/detail?all_tenants=1&locked=true").await;
    assert_eq!(ids(&locked, "servers"), [id.to_string()]);
    cloud.act(73, id, json!({"unlock": null})).await;
    let (_, body) = cloud.get(73, &format!("/servers/{id}")).await;
    assert_eq!(
        (&body["server"]["locked"], &body["server"]["locked_reason"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn small_lists() {
    let cloud = Cloud::start(quick(3)).await;
    for (path, key, count) in [
        ("/flavors/detail", "flavors", 4),
        ("/flavors", "flavors", 4),
        ("/os-hypervisors", "hypervisors", 3),
        ("/os-hypervisors/detail", "hypervisors", 3),
        ("/os-hypervisors/detail?limit=2", "hypervisors", 2),
        ("/os-aggregates", "aggregates", 0),
        ("/os-availability-zone/detail", "availabilityZoneInfo", 1),
        ("/os-keypairs", "keypairs", 0),
    ] {
        let (status, body) = cloud.get(90, path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(body[key].as_array().map(Vec::len), Some(count), "{path}");
    }
    let (_, hypervisors) = cloud.get(90, "/os-hypervisors/detail").await;
    let first = &hypervisors["hypervisors"][0];
    assert_eq!(first["hypervisor_hostname"], "compute-001.sandbox");
    assert_eq!(first["service"]["host"], "compute-001");
    assert_eq!(
        cloud
            .get(90, &format!("/os-hypervisors/{}", first["id"].as_str().unwrap()))
            .await
            .0,
        200
    );
    let one = format!(
        "/os-hypervisors/{}?with_servers=true",
        first["id"].as_str().unwrap()
    );
    let (_, shown) = cloud.get(75, &one).await;
    assert_eq!(shown["hypervisor"]["servers"], json!([]));
    let (_, shown) = cloud.get(74, &one).await;
    assert!(
        shown["hypervisor"].get("servers").is_none(),
        "as Nova before 2.75"
    );
    assert_eq!(cloud.get(90, "/flavors/99").await.0, 404);
    assert_eq!(cloud.get(90, "/no-such-route").await.0, 404);
}
