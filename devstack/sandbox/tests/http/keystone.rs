//! Keystone on the wire.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_sandbox::SandboxOptions;

use crate::cloud::{Answer, Cloud, answer, login, quick};

fn merge(mut body: Value, pointer: &str, value: Value) -> Value {
    *body.pointer_mut(pointer).unwrap() = value;
    body
}

#[tokio::test]
async fn who_gets_a_token() {
    let cloud = Cloud::start(quick(1)).await;
    let password = cloud.sandbox.credentials().password;
    let admin = || login("admin", "admin", &password);
    let (_, token) = answer(cloud.authenticate(&admin()).await).await;
    let user_id = token["token"]["user"]["id"].clone();
    let project_id = token["token"]["project"]["id"].clone();
    let user = "/auth/identity/password/user";
    for (name, body, expected) in [
        ("by name", admin(), 201),
        (
            "by id",
            merge(admin(), user, json!({"id": user_id, "password": password})),
            201,
        ),
        (
            "project by id",
            merge(admin(), "/auth/scope", json!({"project": {"id": project_id}})),
            201,
        ),
        (
            "the whole system",
            merge(admin(), "/auth/scope", json!({"system": {"all": true}})),
            201,
        ),
        ("a wrong password", login("admin", "admin", "wrong"), 401),
        ("an unknown user", login("nobody", "admin", &password), 401),
        ("an unknown project", login("admin", "nowhere", &password), 401),
        ("a project without a role", login("demo", "admin", &password), 401),
        (
            "a system role that is not there",
            merge(
                login("demo", "demo", &password),
                "/auth/scope",
                json!({"system": {"all": true}}),
            ),
            401,
        ),
        (
            "another domain",
            merge(admin(), &format!("{user}/domain"), json!({"name": "Other"})),
            401,
        ),
        (
            "an unknown method",
            merge(admin(), "/auth/identity/methods", json!(["magic"])),
            401,
        ),
        ("no auth", json!({}), 400),
    ] {
        assert_eq!(
            cloud.authenticate(&body).await.status().as_u16(),
            expected,
            "{name}"
        );
    }
}

#[tokio::test]
async fn roles_and_catalog_of_a_token() {
    let cloud = Cloud::start(quick(1)).await;
    cloud
        .sandbox
        .register_endpoint("instance-ha", "masakari", "http://127.0.0.1:1/v1/$(tenant_id)s");
    let password = cloud.sandbox.credentials().password;
    for (user, project, roles) in [
        ("admin", "admin", vec!["admin", "manager", "member", "reader"]),
        ("demo", "demo", vec!["member", "reader"]),
        ("masakari", "service", vec!["admin", "service"]),
        ("masakari-monitor", "service", vec!["masakari_monitor"]),
    ] {
        let (_, body) = answer(cloud.authenticate(&login(user, project, &password)).await).await;
        let token = &body["token"];
        let names: Vec<&str> = token["roles"]
            .as_array()
            .unwrap()
            .iter()
            .map(|role| role["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, roles, "{user}");
        let catalog = token["catalog"].as_array().unwrap();
        let ha = catalog
            .iter()
            .find(|service| service["type"] == "instance-ha")
            .unwrap();
        let expected = format!(
            "http://127.0.0.1:1/v1/{}",
            token["project"]["id"].as_str().unwrap()
        );
        assert_eq!(ha["endpoints"][0]["url"], json!(expected), "{user}");
        assert_eq!(ha["name"], "masakari");
    }
}

#[tokio::test]
async fn application_credentials() {
    let cloud = Cloud::start(quick(1)).await;
    let id = cloud
        .sandbox
        .add_application_credential("masakari", "engine", "s3cret")
        .unwrap();
    assert_eq!(cloud.sandbox.add_application_credential("nobody", "x", "y"), None);
    let owner = json!({"name": "masakari", "domain": {"id": "default"}});
    let by = |credential: Value| json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": credential}}});
    for (name, credential, expected) in [
        ("by id", json!({"id": id, "secret": "s3cret"}), 201),
        (
            "by name and user",
            json!({"name": "engine", "user": owner, "secret": "s3cret"}),
            201,
        ),
        ("a wrong secret", json!({"id": id, "secret": "wrong"}), 401),
        (
            "another user's",
            json!({"name": "engine", "user": {"name": "demo"}, "secret": "s3cret"}),
            401,
        ),
        (
            "by name alone",
            json!({"name": "engine", "secret": "s3cret"}),
            401,
        ),
    ] {
        let response = cloud.authenticate(&by(credential)).await;
        let (status, body) = answer(response).await;
        assert_eq!(status, expected, "{name}");
        if expected == 201 {
            assert_eq!(body["token"]["project"]["name"], "service", "{name}");
            assert_eq!(body["token"]["application_credential"]["id"], json!(id), "{name}");
        }
    }
}

async fn tokens(cloud: &Cloud, method: reqwest::Method, auth: Option<&str>, subject: &str) -> Answer {
    let url = format!("{}/auth/tokens", cloud.sandbox.urls().identity);
    let mut request = cloud.http.request(method, url).header("x-subject-token", subject);
    if let Some(auth) = auth {
        request = request.header("x-auth-token", auth);
    }
    answer(request.send().await.unwrap()).await
}

#[tokio::test]
async fn validation_and_revocation() {
    use reqwest::Method;
    let cloud = Cloud::start(quick(1)).await;
    let demo = cloud.token_of("demo", "demo").await;
    let service = cloud.token_of("masakari", "service").await;
    for (name, auth, subject, expected) in [
        ("an admin asks", Some(&cloud.token), demo.as_str(), 200),
        ("a service asks", Some(&service), demo.as_str(), 200),
        ("one's own", Some(&demo), demo.as_str(), 200),
        ("another's", Some(&demo), cloud.token.as_str(), 403),
        ("an unknown one", Some(&cloud.token), "gAAAAnothing", 404),
        ("without a token", None, demo.as_str(), 401),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let (status, _) = tokens(&cloud, method.clone(), auth.map(String::as_str), subject).await;
            assert_eq!(status, expected, "{name}, {method}");
        }
    }
    assert_eq!(tokens(&cloud, Method::DELETE, Some(&demo), &service).await.0, 403);
    assert_eq!(
        tokens(&cloud, Method::DELETE, Some(&cloud.token), &demo).await.0,
        204
    );
    assert_eq!(
        tokens(&cloud, Method::GET, Some(&cloud.token), &demo).await.0,
        404
    );
    assert_eq!(tokens(&cloud, Method::GET, Some(&demo), &demo).await.0, 401);
    assert!(cloud.sandbox.revoke_tokens() >= 2);
    assert_eq!(cloud.get(1, "/servers").await.0, 401);
}

#[tokio::test]
async fn a_token_ends_with_its_lifetime() {
    let options = SandboxOptions {
        region: quick(1),
        token_lifetime: Duration::ZERO,
        ..SandboxOptions::default()
    };
    let cloud = Cloud::with(options).await;
    let response = cloud
        .nova(reqwest::Method::GET, 1, "/servers")
        .send()
        .await
        .unwrap();
    assert_eq!(response.status().as_u16(), 401);
    let challenge = response
        .headers()
        .get("www-authenticate")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert!(challenge.starts_with("Keystone uri="), "{challenge}");
}

#[tokio::test]
async fn a_token_that_has_ended_is_shown_to_those_who_allow_it() {
    let options = SandboxOptions {
        region: quick(1),
        token_lifetime: Duration::from_secs(2),
        ..SandboxOptions::default()
    };
    let cloud = Cloud::with(options).await;
    let ended = cloud.token_of("demo", "demo").await;
    let url = format!("{}/auth/tokens", cloud.sandbox.urls().identity);
    let ask = async |query: &str| {
        let asker = cloud.token_of("nova", "service").await;
        let request = cloud.http.get(format!("{url}{query}"));
        let request = request
            .header("x-subject-token", &ended)
            .header("x-auth-token", asker);
        request.send().await.unwrap().status().as_u16()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while ask("").await == 200 {
        assert!(std::time::Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(ask("").await, 404);
    assert_eq!(ask("?allow_expired=1").await, 200);
}

#[tokio::test]
async fn a_token_with_access_rules_is_shown_to_those_who_look_at_them() {
    let cloud = Cloud::start(quick(1)).await;
    let identity = cloud.sandbox.urls().identity;
    let password = cloud.sandbox.credentials().password;
    let (_, body) = answer(cloud.authenticate(&login("admin", "admin", &password)).await).await;
    let user = body["token"]["user"]["id"].as_str().unwrap();
    let create = async |rules: Value| {
        let body = json!({"application_credential": {"name": "n", "secret": "s", "access_rules": rules}});
        let url = format!("{identity}/users/{user}/application_credentials");
        let request = cloud
            .http
            .post(url)
            .header("x-auth-token", &cloud.token)
            .json(&body);
        answer(request.send().await.unwrap()).await
    };
    assert_eq!(create(json!([{"service": "compute"}])).await.0, 400);
    let rules = json!([{"service": "compute", "method": "GET", "path": "/v2.1/**"}]);
    let (status, made) = create(rules.clone()).await;
    assert_eq!(status, 201);
    let by = json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": {
        "id": made["application_credential"]["id"], "secret": "s",
    }}}});
    let response = cloud.authenticate(&by).await;
    let limited = response.headers()["x-subject-token"].to_str().unwrap().to_owned();
    assert_eq!(
        tokens(&cloud, reqwest::Method::GET, Some(&cloud.token), &limited)
            .await
            .0,
        404
    );
    let request = cloud.http.get(format!("{identity}/auth/tokens"));
    let request = request
        .header("x-subject-token", &limited)
        .header("x-auth-token", &cloud.token);
    let request = request.header("openstack-identity-access-rules", "1.0");
    let (status, body) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, 200);
    assert_eq!(body["token"]["application_credential"]["access_rules"], rules);
}

#[tokio::test]
async fn a_token_of_the_whole_system_is_refused_by_nova() {
    let mut cloud = Cloud::start(quick(1)).await;
    let body = login("admin", "admin", &cloud.sandbox.credentials().password);
    let response = cloud
        .authenticate(&merge(body, "/auth/scope", json!({"system": {"all": true}})))
        .await;
    cloud.token = response
        .headers()
        .get("x-subject-token")
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(cloud.get(53, "/os-services").await.0, 403);
}

#[tokio::test]
async fn version_documents() {
    let cloud = Cloud::start(quick(1)).await;
    let base = cloud.sandbox.urls().base;
    for (path, status, pointer, expected) in [
        ("/identity", 300, "/versions/values/0/id", "v3.14"),
        ("/identity/v3/", 200, "/version/id", "v3.14"),
        ("/compute/", 200, "/versions/1/version", "2.100"),
        ("/compute/v2.1", 200, "/version/min_version", "2.1"),
        ("/compute/v2.1/", 200, "/version/version", "2.100"),
        ("/image", 300, "/versions/0/id", "v2.16"),
        ("/network/", 200, "/versions/0/id", "v2.0"),
        ("/placement", 200, "/versions/0/max_version", "1.39"),
    ] {
        let (code, body) = answer(cloud.http.get(format!("{base}{path}")).send().await.unwrap()).await;
        assert_eq!(code, status, "{path}");
        assert_eq!(body.pointer(pointer), Some(&json!(expected)), "{path}: {body}");
    }
}

#[tokio::test]
async fn clouds_yaml_names_both_clouds() {
    let cloud = Cloud::start(quick(1)).await;
    let yaml = cloud.sandbox.clouds_yaml();
    let login = cloud.sandbox.credentials();
    for part in [
        "  tachi-sandbox:\n",
        "  tachi-sandbox-demo:\n",
        &login.auth_url,
        &format!("password: \"{}\"", login.password),
    ] {
        assert!(yaml.contains(part), "{part} is missing in\n{yaml}");
    }
}
