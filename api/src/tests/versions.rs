//! Discovery, microversions and health.

use serde_json::json;

use super::bench::{Bench, PROJECT, fault};

const HOST: (&str, &str) = ("host", "ha:15868");
const ADMIN: (&str, &str) = ("x-auth-token", "admin");

#[tokio::test]
async fn root_lists_versions_without_a_token() {
    let bench = Bench::new();
    let got = bench
        .raw(
            "GET",
            "/",
            &[HOST, ("openstack-api-version", "instance-ha 9.9")],
            "",
        )
        .await;
    assert_eq!(got.status, 200);
    let expected = json!({"versions": [{
        "id": "v1.0", "status": "CURRENT", "version": "1.3", "min_version": "1.0",
        "updated": "2016-07-01T11:33:21Z",
        "links": [{"rel": "self", "href": "http://ha:15868/v1/"}],
    }]});
    assert_eq!(got.json(), expected);
    let head = bench.raw("HEAD", "/", &[HOST], "").await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
}

#[tokio::test]
async fn the_v1_document() {
    let bench = Bench::new();
    let expected = json!({"version": {
        "id": "v1.0", "status": "CURRENT", "version": "1.3", "min_version": "1.0",
        "updated": "2016-07-01T11:33:21Z",
        "links": [
            {"rel": "self", "href": "http://ha:15868/v1/"},
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        ],
        "media-types": [{
            "base": "application/json", "type": "application/vnd.openstack.masakari+json;version=1",
        }],
    }});
    for path in ["/v1", "/v1/", "/v1/versions/v1.0"] {
        let got = bench
            .raw("GET", path, &[HOST, ("x-auth-token", "member")], "")
            .await;
        assert_eq!(got.status, 200, "{path}");
        assert_eq!(got.json(), expected, "{path}");
        assert_eq!(
            got.header("openstack-api-version"),
            Some("instance-ha 1.0"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_paths_get_choices() {
    let bench = Bench::new();
    for path in ["/zzz/yy", "/v2", "/V1/x", "/v1.0/x"] {
        for method in ["GET", "POST", "DELETE"] {
            let got = bench.raw(method, path, &[HOST], "").await;
            assert_eq!(got.status, 300, "{method} {path}");
            let expected = json!({"choices": [{
                "id": "v1.0", "status": "CURRENT",
                "links": [{"rel": "self", "href": format!("http://ha:15868/v1{path}")}],
                "media-types": [{
                    "base": "application/json", "type": "application/vnd.openstack.masakari+json;version=1",
                }],
            }]});
            assert_eq!(got.json(), expected, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn mounted_under_a_path() {
    let bench = Bench::with(|mut options| {
        "/instance-ha/".clone_into(&mut options.base_path);
        options
    });
    let root = bench.raw("GET", "/instance-ha/", &[HOST], "").await;
    assert_eq!(
        root.root("versions")[0]["links"][0]["href"],
        "http://ha:15868/instance-ha/v1/"
    );
    assert_eq!(bench.raw("GET", "/instance-ha", &[HOST], "").await.status, 300);
    let path = format!("/instance-ha/v1/{PROJECT}/segments");
    assert_eq!(bench.raw("GET", &path, &[ADMIN], "").await.status, 200);
}

#[tokio::test]
async fn a_media_type_leads_to_v1() {
    let bench = Bench::new();
    let accept = ("accept", "application/json;version=1");
    let got = bench.raw("GET", "/", &[ADMIN, accept], "").await;
    assert_eq!(
        (got.status, got.root("version")["id"].clone()),
        (200, json!("v1.0"))
    );
    let got = bench.raw("GET", "/segments", &[ADMIN, accept], "").await;
    assert_eq!(got.root("segments"), json!([]));
    assert_eq!(bench.raw("GET", "/segments", &[accept], "").await.status, 401);
    assert_eq!(bench.raw("GET", "/healthcheck", &[accept], "").await.status, 200);
}

#[tokio::test]
async fn errors_below_v1() {
    let bench = Bench::new();
    let missing = |name: &str| fault(404, name, "The resource could not be found.");
    let got = bench.get("/v1/versions/v2").await;
    assert_eq!(got.fault(), missing("itemNotFound"));
    let got = bench.get("/v1/versions").await;
    let text = "The request method: 'GET' with action: 'index' is not allowed on this resource";
    assert_eq!(got.fault(), fault(405, "badMethod", text));
    for path in [format!("/v1/{PROJECT}"), format!("/v1/{PROJECT}/")] {
        assert_eq!(bench.get(&path).await.fault(), missing("itemNotFound"), "{path}");
    }
}

#[tokio::test]
async fn answers_carry_their_microversion() {
    let bench = Bench::new();
    let version_headers = |got: &super::bench::TestResponse| {
        (
            got.header("openstack-api-version").map(ToOwned::to_owned),
            got.header("vary").map(ToOwned::to_owned),
        )
    };
    let version = |text: &str| (Some(text.to_owned()), Some("OpenStack-API-Version".to_owned()));
    let cases = [
        ("1.0", "/v1/segments", 200, version("instance-ha 1.0")),
        ("1.2", "/v1/segments", 200, version("instance-ha 1.2")),
        ("latest", "/v1/segments", 200, version("instance-ha 1.3")),
        ("1.1", "/v1/segments/x", 404, version("instance-ha 1.1")),
        ("1.4", "/v1/segments", 406, version("instance-ha 1.4")),
        ("1", "/v1/segments", 400, (None, None)),
        ("1.1", "/v1/nowhere", 404, (None, None)),
    ];
    for (requested, path, status, expected) in cases {
        let got = bench.get_at(requested, path).await;
        assert_eq!(
            (got.status, version_headers(&got)),
            (status, expected),
            "{requested} {path}"
        );
    }
    let got = bench.get_at("1.4", "/v1").await;
    let text = "Version 1.4 is not supported by the API. Minimum is 1.0 and maximum is 1.3.";
    assert_eq!(got.fault(), fault(406, "masakariFault", text));
    let got = bench.get_at("LATEST", "/v1").await;
    let text = "API Version String LATEST is of invalid format. Must be of format MajorNum.MinorNum.";
    assert_eq!(got.fault(), fault(400, "badRequest", text));
}

#[tokio::test]
async fn healthcheck() {
    let file = std::env::temp_dir().join(format!("tachi-health-{}", uuid::Uuid::new_v4()));
    let disable_file = file.clone();
    let bench = Bench::with(|mut options| {
        options.health.disable_file = Some(disable_file);
        options
    });
    for (ok, path) in [
        (true, "/healthcheck"),
        (true, "/healthcheck/deep/er"),
        (false, "/healthcheck/"),
    ] {
        if !ok {
            std::fs::write(&file, "").unwrap();
        }
        let reason = if ok { "OK" } else { "DISABLED BY FILE" };
        let status = if ok { 200 } else { 503 };
        for method in ["GET", "POST"] {
            let got = bench.raw(method, path, &[("accept", "*/*")], "").await;
            assert_eq!(
                (got.status, got.text.as_str()),
                (status, reason),
                "{method} {path}"
            );
        }
        let got = bench
            .raw("GET", path, &[("accept", "application/json")], "")
            .await;
        assert_eq!(
            got.json(),
            json!({"detailed": false, "reasons": [reason]}),
            "{path}"
        );
        let got = bench.raw("GET", path, &[("accept", "text/html")], "").await;
        assert!(
            got.text.contains(reason) && got.text.contains("<table>"),
            "{path}"
        );
        let got = bench.raw("HEAD", path, &[], "").await;
        assert_eq!(
            (got.status, got.text.as_str()),
            (if ok { 204 } else { 503 }, ""),
            "{path}"
        );
    }
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn extensions_are_listed_by_alias() {
    let bench = Bench::new();
    let got = bench.get("/v1/extensions").await;
    let list = got.root("extensions");
    let aliases: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["alias"].as_str().unwrap())
        .collect();
    assert_eq!(
        aliases,
        [
            "extensions",
            "notifications",
            "os-hosts",
            "segments",
            "versions",
            "vmoves"
        ]
    );
    let keys: Vec<_> = list[0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["name", "alias", "description", "namespace", "updated", "links"]
    );
    let got = bench.get("/v1/extensions/os-hosts").await;
    assert_eq!(got.root("extension"), list[2]);
    let got = bench.get("/v1/extensions/bogus").await;
    assert_eq!(
        got.fault(),
        fault(404, "itemNotFound", "The resource could not be found.")
    );
}
