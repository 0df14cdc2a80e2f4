//! Sections 2.3 to 2.5: segments, and what all lists have in common.

use serde_json::{Value, json};

use super::bench::{Bench, PROJECT, fault};

fn body(fields: Value) -> Value {
    json!({ "segment": fields })
}

#[tokio::test]
async fn life_of_a_segment_in_both_path_forms() {
    for prefix in ["/v1".to_owned(), format!("/v1/{PROJECT}")] {
        let bench = Bench::new();
        let collection = format!("{prefix}/segments");
        let new = json!({"name": "s1", "recovery_method": "auto", "service_type": "COMPUTE"});
        let got = bench.send("POST", &collection, body(new)).await;
        assert_eq!(got.status, 201);
        let made = got.root("segment");
        let uuid = made["uuid"].as_str().unwrap().to_owned();
        let expected = json!({
            "id": 1, "uuid": uuid, "name": "s1", "service_type": "COMPUTE", "enabled": true,
            "description": null, "recovery_method": "auto", "created_at": "1970-01-01T00:00:01.000000",
            "updated_at": null, "deleted_at": null, "deleted": false,
        });
        assert_eq!(made, expected);

        let member = format!("{collection}/{uuid}");
        assert_eq!(bench.get(&member).await.root("segment"), expected);
        assert_eq!(bench.get(&collection).await.root("segments"), json!([expected]));

        let got = bench
            .send("PUT", &member, body(json!({"name": "s2", "description": "d"})))
            .await;
        assert_eq!(got.status, 200);
        let changed = got.root("segment");
        assert_eq!(
            (&changed["name"], &changed["description"]),
            (&json!("s2"), &json!("d"))
        );
        assert_eq!(changed["updated_at"], "1970-01-12T13:46:40.000000");
        let got = bench
            .send("PUT", &member, body(json!({"description": null})))
            .await;
        assert_eq!(got.root("segment")["description"], json!(null));

        assert_eq!(bench.delete(&member).await.status, 204);
        let text = format!("No failover segment with id {uuid}.");
        for method in ["GET", "DELETE"] {
            let got = bench.raw(method, &member, &[("x-auth-token", "admin")], "").await;
            assert_eq!(got.fault(), fault(404, "itemNotFound", &text), "{method}");
        }
    }
}

#[tokio::test]
async fn the_schema_of_create() {
    let bench = Bench::new();
    let full = || json!({"name": "s1", "recovery_method": "auto", "service_type": "COMPUTE"});
    let with = |key: &str, value: Value| {
        let mut fields = full();
        fields[key] = value;
        fields
    };
    let without = |key: &str| {
        let mut fields = full();
        fields.as_object_mut().unwrap().shift_remove(key);
        fields
    };
    let cases = [
        ("no name", without("name"), "'name' is a required property"),
        (
            "no method",
            without("recovery_method"),
            "'recovery_method' is a required property",
        ),
        (
            "no type",
            without("service_type"),
            "'service_type' is a required property",
        ),
        (
            "unknown key",
            with("x", json!(1)),
            "Additional properties are not allowed ('x' was unexpected)",
        ),
        (
            "name empty",
            with("name", json!("")),
            "field/attribute name. Value: . '' should be non-empty",
        ),
        (
            "name null",
            with("name", json!(null)),
            "None is not of type 'string'",
        ),
        (
            "name blank at end",
            with("name", json!("a ")),
            "An invalid 'name' value was provided.",
        ),
        (
            "method unknown",
            with("recovery_method", json!("x")),
            "'x' is not one of ['auto',",
        ),
        (
            "type number",
            with("service_type", json!(1)),
            "1 is not of type 'string'",
        ),
        (
            "description list",
            with("description", json!([])),
            "[] is not of type 'string'",
        ),
        (
            "enabled number",
            with("enabled", json!(1)),
            "1 is not of type 'boolean', 'string'",
        ),
        (
            "enabled word",
            with("enabled", json!("oN")),
            "'oN' is not one of ['True',",
        ),
    ];
    for (name, fields, text) in cases {
        let got = bench.send("POST", "/v1/segments", body(fields)).await;
        let (status, fault_name, message) = got.fault();
        assert_eq!((status, fault_name.as_str()), (400, "badRequest"), "{name}");
        let text = text.replace("Value: . ", "Value: ''. ");
        assert!(message.contains(&text), "{name}: {message}");
    }
    let got = bench
        .send(
            "POST",
            "/v1/segments",
            body(json!({"name": 1, "recovery_method": "x"})),
        )
        .await;
    let expected = "Invalid input for field/attribute segment. Value: {'name': 1, 'recovery_method': 'x'}. \
                    'service_type' is a required property";
    let message = got.fault().2;
    for part in [
        "Invalid input for field/attribute name. Value: 1. 1 is not of type 'string'; ",
        "Invalid input for field/attribute recovery_method. Value: 'x'. 'x' is not one of",
        expected,
    ] {
        assert!(message.contains(part), "all problems at once: {message}");
    }
    assert!(bench.registry.rows().segments.is_empty());
}

#[tokio::test]
async fn enabled_needs_1_2_in_requests_only() {
    let bench = Bench::new();
    for (version, status) in [("1.0", 400), ("1.1", 400), ("1.2", 201), ("1.3", 201)] {
        let fields = json!({
            "name": version, "recovery_method": "auto", "service_type": "C", "enabled": "off",
        });
        let got = bench.send_at(version, "POST", "/v1/segments", body(fields)).await;
        assert_eq!(got.status, status, "{version}: {}", got.text);
    }
    let path = bench.segment("s").await;
    for (version, status) in [("1.0", 400), ("1.1", 400), ("1.2", 200), ("1.3", 200)] {
        let got = bench
            .send_at(version, "PUT", &path, body(json!({"enabled": false})))
            .await;
        assert_eq!(got.status, status, "{version}");
    }
    let got = bench.get_at("1.0", &path).await;
    assert_eq!(got.root("segment")["enabled"], json!(false));
}

#[tokio::test]
async fn the_schema_of_update() {
    let bench = Bench::new();
    let path = bench.segment("s").await;
    let got = bench.send("PUT", &path, body(json!({}))).await;
    let text = "Invalid input for field/attribute segment. Value: {}. {} is not valid under any of the given schemas";
    assert_eq!(got.fault(), fault(400, "badRequest", text));
    // Register row 3: Masakari stores true for any text.
    for (spelling, expected) in [(json!("off"), false), (json!("1"), true), (json!(false), false)] {
        let got = bench.send("PUT", &path, body(json!({"enabled": spelling}))).await;
        assert_eq!(got.root("segment")["enabled"], json!(expected));
    }
    let got = bench.send("PUT", &path, body(json!({"name": "s"}))).await;
    assert_eq!(got.status, 200, "its own name is no conflict");
    bench.segment("other").await;
    let got = bench.send("PUT", &path, body(json!({"name": "other"}))).await;
    let text = "Failover segment with name other already exists.";
    assert_eq!(got.fault(), fault(409, "conflictingRequest", text));
}

#[tokio::test]
async fn ids_are_compared_as_text() {
    let bench = Bench::new();
    let path = bench.segment("s").await;
    let uuid = path.rsplit('/').next().unwrap();
    let others = [
        uuid.to_uppercase(),
        uuid.replace('-', ""),
        format!("{{{uuid}}}"),
        "01".to_owned(),
        "s".to_owned(),
    ];
    for other in others.iter().filter(|other| other.as_str() != uuid) {
        let escaped = other.replace('{', "%7B").replace('}', "%7D");
        let got = bench.get(&format!("/v1/segments/{escaped}")).await;
        let text = format!("No failover segment with id {other}.");
        assert_eq!(got.fault(), fault(404, "itemNotFound", &text), "{other}");
    }
    let got = bench.get("/v1/segments/%ff").await;
    assert_eq!(got.status, 404, "no text at all");
    let got = bench.get(&format!("{path}.json")).await;
    assert_eq!(got.status, 200, "suffix");
}

#[tokio::test]
async fn names_are_unique_among_the_living() {
    let bench = Bench::new();
    let path = bench.segment("s").await;
    let fields = || body(json!({"name": "s", "recovery_method": "auto", "service_type": "C"}));
    let got = bench.send("POST", "/v1/segments", fields()).await;
    let text = "Failover segment with name s already exists.";
    assert_eq!(got.fault(), fault(409, "conflictingRequest", text));
    bench.delete(&path).await;
    assert_eq!(bench.send("POST", "/v1/segments", fields()).await.status, 201);
}

async fn names(bench: &Bench, query: &str) -> Vec<String> {
    let got = bench.get(&format!("/v1/segments?{query}")).await;
    assert_eq!(got.status, 200, "{query}: {}", got.text);
    let list = got.root("segments");
    list.as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn lists_are_sorted_filtered_and_cut() {
    let bench = Bench::new();
    for (name, method, enabled) in [
        ("b", "auto", true),
        ("a", "rh_priority", false),
        ("c", "auto", true),
    ] {
        let fields = json!({
            "name": name, "recovery_method": method, "service_type": "C", "enabled": enabled,
        });
        bench.send("POST", "/v1/segments", body(fields)).await;
    }
    let cases = [
        ("newest first", "", "c a b"),
        ("by name", "sort_key=name&sort_dir=asc", "a b c"),
        (
            "by method, then newest",
            "sort_key=recovery_method&sort_dir=desc",
            "a c b",
        ),
        ("filter", "recovery_method=auto", "c b"),
        ("filter that matches none", "recovery_method=bogus", ""),
        ("other filter", "service_type=c", ""),
        ("enabled, as clients write it", "enabled=True", "c b"),
        ("disabled", "enabled=no", "a"),
        ("unknown parameters", "name=a&offset=7", "c a b"),
        ("limit", "limit=2", "c a"),
        ("limit 0", "limit=0", ""),
        ("after a marker", "marker=3", "a b"),
        (
            "after a marker of another order",
            "marker=2&sort_key=name&sort_dir=asc",
            "b c",
        ),
    ];
    for (name, query, expected) in cases {
        assert_eq!(names(&bench, query).await.join(" "), expected, "{name}");
    }
    let errors = [
        ("marker=99", "Marker 99 could not be found."),
        ("marker=abc", "Marker abc could not be found."),
        (
            "enabled=maybe",
            "Invalid value for enabled: Unrecognized value 'maybe', acceptable values are: '0', '1',",
        ),
        ("sort_key=hosts", "Sort key supplied was not valid."),
    ];
    for (query, text) in errors {
        let (status, name, message) = bench.get(&format!("/v1/segments?{query}")).await.fault();
        assert_eq!((status, name.as_str()), (400, "badRequest"), "{query}");
        assert!(message.starts_with(text), "{query}: {message}");
    }
}

#[tokio::test]
async fn paging_to_the_end() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.segment(name).await;
    }
    let mut marker = String::new();
    let mut seen = Vec::new();
    let mut requests = 0;
    loop {
        requests += 1;
        let got = bench.get(&format!("/v1/segments?limit=1{marker}")).await;
        let rows = got.root("segments");
        let Some(last) = rows.as_array().unwrap().last().cloned() else {
            break;
        };
        seen.push(last["name"].as_str().unwrap().to_owned());
        marker = format!("&marker={}", last["id"]);
    }
    assert_eq!((seen.join(" ").as_str(), requests), ("c b a", 4));
}

#[tokio::test]
async fn pages_are_capped() {
    let bench = Bench::with(|mut options| {
        options.max_limit = 2;
        options
    });
    for name in ["a", "b", "c"] {
        bench.segment(name).await;
    }
    for query in ["", "limit=3", "limit=100"] {
        assert_eq!(names(&bench, query).await.len(), 2, "{query}");
    }
}
