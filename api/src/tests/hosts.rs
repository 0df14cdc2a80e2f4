//! Section 2.6: hosts, and the in-use rule of 2.5 with R20.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::fault::FaultClass;

use super::bench::{Bench, PROJECT, fault};

fn body(fields: Value) -> Value {
    json!({ "host": fields })
}

fn uuid_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap()
}

const NOBODY: &str = "6128798e-1111-4222-8333-0123456789ab";

#[tokio::test]
async fn life_of_a_host_in_both_path_forms() {
    for prefix in ["/v1".to_owned(), format!("/v1/{PROJECT}")] {
        let bench = Bench::new();
        let segment = bench.segment("s1").await;
        let id = uuid_of(&segment);
        let collection = format!("{prefix}/segments/{id}/hosts");
        let fields =
            json!({"name": "h 1", "type": "COMPUTE", "control_attributes": "SSH", "reserved": "True"});
        let got = bench.send("POST", &collection, body(fields)).await;
        assert_eq!(got.status, 201);
        let made = got.root("host");
        let uuid = made["uuid"].as_str().unwrap().to_owned();
        let expected = json!({
            "id": 2, "uuid": uuid, "name": "h 1", "failover_segment_id": id,
            "failover_segment": bench.get(&segment).await.root("segment"),
            "type": "COMPUTE", "reserved": true, "control_attributes": "SSH", "on_maintenance": false,
            "created_at": "1970-01-01T00:00:02.000000", "updated_at": null, "deleted_at": null,
            "deleted": false,
        });
        assert_eq!(made, expected);
        let member = format!("{collection}/{uuid}");
        assert_eq!(bench.get(&member).await.root("host"), expected);
        assert_eq!(bench.get(&collection).await.root("hosts"), json!([expected]));
        let got = bench
            .send(
                "PUT",
                &member,
                body(json!({"on_maintenance": "on", "reserved": false})),
            )
            .await;
        assert_eq!(got.status, 200);
        let changed = got.root("host");
        assert_eq!(
            (&changed["on_maintenance"], &changed["reserved"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(bench.delete(&member).await.status, 204);
        assert_eq!(bench.get(&member).await.status, 404);
    }
}

#[tokio::test]
async fn the_schema_of_create() {
    let bench = Bench::new();
    let path = format!("{}/hosts", bench.segment("s").await);
    let with = |key: &str, value: Value| {
        let mut fields = json!({"name": "h", "type": "COMPUTE", "control_attributes": "SSH"});
        fields[key] = value;
        body(fields)
    };
    let cases = [
        ("nothing", body(json!({})), "'name' is a required property"),
        (
            "segment id",
            with("failover_segment_id", json!(NOBODY)),
            "'failover_segment_id' was unexpected",
        ),
        (
            "type null",
            with("type", json!(null)),
            "None is not of type 'string'",
        ),
        (
            "type with a blank",
            with("type", json!("A B")),
            "'A B' does not match",
        ),
        (
            "attributes null",
            with("control_attributes", json!(null)),
            "None is not of type 'string'",
        ),
        (
            "reserved number",
            with("reserved", json!(0)),
            "0 is not of type 'boolean', 'string'",
        ),
        (
            "maintenance null",
            with("on_maintenance", json!(null)),
            "None is not of type",
        ),
        ("no object", json!({"host": "h"}), "'h' is not of type 'object'"),
    ];
    for (name, sent, text) in cases {
        let (status, _, message) = bench.send("POST", &path, sent).await.fault();
        assert_eq!(status, 400, "{name}");
        assert!(message.contains(text), "{name}: {message}");
    }
    assert_eq!(bench.nova.requests.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn each_404_names_its_object() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let id = uuid_of(&segment);
    let host = bench.host(&segment, "h").await;
    let host_id = uuid_of(&host);
    let other = bench.segment("other").await;
    let other_id = uuid_of(&other);
    let no_segment = |id: &str| format!("No failover segment with id {id}.");
    let no_host = |host: &str, segment: &str| {
        format!("Host '{host}' under failover_segment '{segment}' could not be found.")
    };
    let new = || body(json!({"name": "h2", "type": "C", "control_attributes": "S"}));
    let change = || body(json!({"reserved": true}));
    let cases = [
        (
            "H1",
            "GET",
            format!("/v1/segments/{NOBODY}/hosts"),
            json!(null),
            no_segment(NOBODY),
        ),
        (
            "H1, name",
            "GET",
            "/v1/segments/s/hosts".to_owned(),
            json!(null),
            no_segment("s"),
        ),
        (
            "H2",
            "POST",
            format!("/v1/segments/{NOBODY}/hosts"),
            new(),
            no_segment(NOBODY),
        ),
        (
            "H3, no uuid",
            "GET",
            format!("{segment}/hosts/h"),
            json!(null),
            "No host with id h.".to_owned(),
        ),
        (
            "H3",
            "GET",
            format!("{segment}/hosts/{NOBODY}"),
            json!(null),
            no_host(NOBODY, id),
        ),
        (
            "H3, other segment",
            "GET",
            format!("{other}/hosts/{host_id}"),
            json!(null),
            no_host(host_id, other_id),
        ),
        (
            "H3, no segment",
            "GET",
            format!("/v1/segments/x/hosts/{host_id}"),
            json!(null),
            no_host(host_id, "x"),
        ),
        (
            "H4, no uuid",
            "PUT",
            format!("{segment}/hosts/h"),
            change(),
            no_host("h", id),
        ),
        (
            "H4, other segment",
            "PUT",
            format!("{other}/hosts/{host_id}"),
            change(),
            no_host(host_id, other_id),
        ),
        (
            "H5, no uuid",
            "DELETE",
            format!("{segment}/hosts/h"),
            json!(null),
            no_host("h", id),
        ),
        (
            "H5",
            "DELETE",
            format!("{segment}/hosts/{NOBODY}"),
            json!(null),
            no_host(NOBODY, id),
        ),
    ];
    for (name, method, path, sent, text) in cases {
        let got = bench.send(method, &path, sent).await;
        assert_eq!(got.fault(), fault(404, "itemNotFound", &text), "{name}");
    }
}

#[tokio::test]
async fn names_must_be_compute_hosts_and_unique_everywhere() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let other = bench.segment("other").await;
    let host = bench.host(&segment, "h").await;
    let new = |name: &str| body(json!({"name": name, "type": "C", "control_attributes": "S"}));
    let compute = fault(
        400,
        "badRequest",
        "Compute service with name unknown could not be found.",
    );
    let taken = fault(409, "conflictingRequest", "Host with name h already exists.");
    assert_eq!(
        bench
            .send("POST", &format!("{segment}/hosts"), new("unknown"))
            .await
            .fault(),
        compute
    );
    assert_eq!(
        bench
            .send("POST", &format!("{other}/hosts"), new("h"))
            .await
            .fault(),
        taken
    );
    let third = bench.host(&other, "h3").await;
    assert_eq!(
        bench
            .send("PUT", &third, body(json!({"name": "unknown"})))
            .await
            .fault(),
        compute
    );
    assert_eq!(
        bench
            .send("PUT", &third, body(json!({"name": "h"})))
            .await
            .fault(),
        taken
    );
    bench.delete(&host).await;
    assert_eq!(
        bench.send("PUT", &third, body(json!({"name": "h"}))).await.status,
        200,
        "free again"
    );
    bench.delete(&other).await;
    assert_eq!(
        bench
            .send("POST", &format!("{segment}/hosts"), new("h"))
            .await
            .status,
        201,
        "gone with its segment"
    );
}

#[tokio::test]
async fn an_outage_of_nova_is_503() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let host = bench.host(&segment, "h").await;
    let new = body(json!({"name": "h2", "type": "C", "control_attributes": "S"}));
    let path = format!("{segment}/hosts");
    let cases = [
        ("out", FaultClass::Transient, None, 503, "serviceUnavailable"),
        ("forbidden", FaultClass::Permanent, Some(403), 403, "forbidden"),
        ("broken", FaultClass::Fatal, Some(401), 500, "masakariFault"),
    ];
    for (name, class, status, expected, key) in cases {
        *bench.nova.fault.lock().unwrap() = Some((class, status));
        let (status, fault_name, _) = bench.send("POST", &path, new.clone()).await.fault();
        assert_eq!((status, fault_name.as_str()), (expected, key), "{name}");
    }
    let same = body(json!({"name": "h", "on_maintenance": true}));
    assert_eq!(
        bench.send("PUT", &host, same).await.status,
        200,
        "an unchanged name needs no Nova"
    );
    let got = bench.send("PUT", &host, body(json!({"name": "h9"}))).await;
    assert_eq!(got.status, 500, "a changed one does");
}

#[tokio::test]
async fn in_use_is_refused_before_nova_is_asked() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let host = bench.host(&segment, "h").await;
    assert_eq!(bench.notify("h", "2026-01-01").await.status, 202);
    *bench.nova.fault.lock().unwrap() = Some((FaultClass::Transient, None));
    let requests = bench.nova.requests.load(Ordering::SeqCst);
    let got = bench
        .send(
            "PUT",
            &host,
            body(json!({"name": "unknown", "on_maintenance": true})),
        )
        .await;
    let text = format!(
        "Host {} can't be updated as it is in-use to process notifications.",
        uuid_of(&host)
    );
    assert_eq!(got.fault(), fault(409, "conflictingRequest", &text));
    assert_eq!(bench.nova.requests.load(Ordering::SeqCst), requests);
}

#[tokio::test]
async fn lists_are_filtered() {
    let bench = Bench::new();
    let segment = bench.segment("s").await;
    let path = format!("{segment}/hosts");
    for (name, kind, reserved, maintenance) in [("a", "X", true, false), ("b", "Y", false, true)] {
        let fields = json!({
            "name": name, "type": kind, "control_attributes": "SSH", "reserved": reserved,
            "on_maintenance": maintenance,
        });
        assert_eq!(bench.send("POST", &path, body(fields)).await.status, 201);
    }
    let cases = [
        ("", "b a"),
        ("type=X", "a"),
        ("type=x", ""),
        ("name=b", "b"),
        ("control_attributes=SSH", "b a"),
        ("reserved=True", "a"),
        ("reserved=off", "b"),
        ("on_maintenance=1", "b"),
        ("failover_segment_id=x", "b a"),
        ("sort_key=reserved&sort_dir=asc", "b a"),
    ];
    for (query, expected) in cases {
        let got = bench.get(&format!("{path}?{query}")).await;
        let list = got.root("hosts");
        let names: Vec<_> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
    let got = bench.get(&format!("{path}?on_maintenance=x")).await;
    let text = "Invalid value for on_maintenance: Unrecognized value 'x', acceptable values are: '0', '1', 'f', \
                'false', 'n', 'no', 'off', 'on', 't', 'true', 'y', 'yes'";
    assert_eq!(got.fault(), fault(400, "badRequest", text));
}

#[tokio::test]
async fn in_use_freezes_the_segment() {
    for status in NotificationStatus::ALL {
        let bench = Bench::new();
        let segment = bench.segment("s").await;
        let (id, host) = (uuid_of(&segment), bench.host(&segment, "h").await);
        let sibling = bench.host(&segment, "sibling").await;
        let sibling_id = uuid_of(&sibling);
        assert_eq!(bench.notify("h", "2026-01-01").await.status, 202);
        bench.registry.rows().notifications[0].status = *status;
        let tail = "as it is in-use to process notifications.";
        let rename = json!({"segment": {"description": "x"}});
        let cases = [
            (
                "S4",
                "PUT",
                &segment,
                rename,
                format!("Failover segment {id} can't be updated {tail}"),
                200,
            ),
            (
                "H4",
                "PUT",
                &sibling,
                body(json!({"reserved": true})),
                format!("Host {sibling_id} can't be updated {tail}"),
                200,
            ),
            (
                "H5",
                "DELETE",
                &sibling,
                json!(null),
                format!("Host {sibling_id} can't be deleted {tail}"),
                204,
            ),
            (
                "S5",
                "DELETE",
                &segment,
                json!(null),
                format!("Failover segment ({id}) can't be deleted {tail}"),
                204,
            ),
        ];
        bench.host(&segment, "late").await;
        if status.is_open() {
            let off = json!({"segment": {"enabled": false}});
            assert_eq!(
                bench.send("PUT", &segment, off).await.status,
                200,
                "R20: {status}"
            );
            let maintenance = body(json!({"on_maintenance": true}));
            assert_eq!(
                bench.send("PUT", &host, maintenance).await.status,
                200,
                "R20: {status}"
            );
        }
        if status.is_open() {
            // As dashboards send it: all fields, one of them new.
            let all = json!({"segment": {
                "name": "s", "recovery_method": "auto", "service_type": "COMPUTE", "description": null, "enabled": true,
            }});
            assert_eq!(
                bench.send("PUT", &segment, all).await.status,
                200,
                "R20: {status}"
            );
            let all = json!({
                "name": "h", "type": "COMPUTE", "control_attributes": "SSH", "reserved": "False", "on_maintenance": "True",
            });
            let got = bench.send("PUT", &host, body(all.clone())).await;
            assert_eq!(got.status, 200, "R20: {status}");
            for (key, value) in [
                ("reserved", json!(true)),
                ("on_maintenance", json!(false)),
                ("type", json!("K")),
            ] {
                let mut more = all.clone();
                more[key] = value;
                assert_eq!(
                    bench.send("PUT", &host, body(more)).await.status,
                    409,
                    "{key}: {status}"
                );
            }
        }
        for (name, method, path, sent, text, free) in cases {
            let got = bench.send(method, path, sent).await;
            if status.is_open() {
                assert_eq!(
                    got.fault(),
                    fault(409, "conflictingRequest", &text),
                    "{name} {status}"
                );
            } else {
                assert_eq!(got.status, free, "{name} {status}");
            }
        }
    }
}
