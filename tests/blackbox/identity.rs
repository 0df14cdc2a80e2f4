//! Authentication and authorization: a real API process, with the region's Keystone.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tachi_sandbox::{Credentials, SandboxOptions};

use super::support::{Harness, quick_region, until};

const LIMIT: Duration = Duration::from_secs(30);

fn client() -> reqwest::Client {
    reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

/// Gets a token from Keystone.
async fn token(url: &str, body: &Value) -> (String, Value) {
    let answer = client()
        .post(format!("{url}/auth/tokens"))
        .json(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 201);
    let token = answer.headers()["x-subject-token"].to_str().unwrap().to_owned();
    (token, answer.json().await.unwrap())
}

async fn login(who: &Credentials) -> (String, Value) {
    let domain = json!({"name": who.domain_name});
    let body = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": who.username, "domain": domain, "password": who.password,
        }}},
        "scope": {"project": {"name": who.project_name, "domain": domain}},
    }});
    token(&who.auth_url, &body).await
}

/// A client of a stage's API.
struct ApiClient {
    base: String,
}

impl ApiClient {
    async fn of(harness: &Harness) -> Self {
        // Waits until the API answers.
        harness.api().await;
        Self {
            base: format!("http://127.0.0.1:{}/v1", harness.api_port),
        }
    }

    async fn ask(&self, path: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut request = client().get(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn status(&self, path: &str, token: &str) -> u16 {
        self.ask(path, &[("x-auth-token", token)]).await.status().as_u16()
    }

    async fn status_with(&self, token: &str, service: &str) -> u16 {
        let both = [("x-auth-token", token), ("x-service-token", service)];
        self.ask("/segments", &both).await.status().as_u16()
    }
}

fn append(harness: &Harness, text: &str) {
    let conf = std::fs::read_to_string(harness.conf()).unwrap();
    std::fs::write(harness.conf(), conf + text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end_are_kept_alive_by_services_and_are_revoked() {
    let harness = Harness::set_with(SandboxOptions {
        region: quick_region(1),
        token_lifetime: Duration::from_secs(4),
        ..SandboxOptions::default()
    })
    .await;
    append(&harness, "[keystone_authtoken]\ntoken_cache_time = 1\n");
    let _api = harness.spawn("api");
    let door = ApiClient::of(&harness).await;
    let of = |user: &str, project: &str| harness.sandbox.credentials_of(user, project);

    let (ended, _) = login(&harness.sandbox.credentials()).await;
    assert_eq!(door.status("/segments", &ended).await, 200);
    until("the token to end", LIMIT, async || {
        door.status("/segments", &ended).await == 401
    })
    .await;
    let (service, _) = login(&of("nova", "service")).await;
    assert_eq!(
        door.status_with(&ended, &service).await,
        200,
        "a service keeps it alive"
    );
    let (demo, _) = login(&of("demo", "demo")).await;
    assert_eq!(
        door.status_with(&ended, &demo).await,
        401,
        "not everybody is a service"
    );
    assert_eq!(door.status_with("made up", &service).await, 401);

    let (revoked, _) = login(&harness.sandbox.credentials()).await;
    assert_eq!(door.status("/segments", &revoked).await, 200);
    // The service's own token is among them; it learns that only from a failed request.
    harness.sandbox.revoke_tokens();
    until("the revocation to count", LIMIT, async || {
        door.status("/segments", &revoked).await == 401
    })
    .await;
    let (again, _) = login(&harness.sandbox.credentials()).await;
    assert_eq!(
        door.status("/segments", &again).await,
        200,
        "our own token was renewed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_credential_is_good_for_what_its_access_rules_say() {
    let harness = Harness::set(quick_region(1)).await;
    append(&harness, "[keystone_authtoken]\nservice_type = instance-ha\n");
    let _api = harness.spawn("api");
    let door = ApiClient::of(&harness).await;
    let who = harness.sandbox.credentials();
    let (admin, body) = login(&who).await;
    let user = body["token"]["user"]["id"].as_str().unwrap();
    let project = body["token"]["project"]["id"].as_str().unwrap().to_owned();
    let made = client()
        .post(format!("{}/users/{user}/application_credentials", who.auth_url))
        .header("x-auth-token", &admin)
        .json(
            &json!({"application_credential": {"name": "segments only", "secret": "s", "access_rules": [
                {"service": "instance-ha", "method": "GET", "path": "/v1/*/segments"},
                {"service": "compute", "method": "GET", "path": "/v1/**"},
            ]}}),
        )
        .send()
        .await
        .unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let identity = json!({"auth": {"identity": {
        "methods": ["application_credential"],
        "application_credential": {"id": made["application_credential"]["id"], "secret": "s"},
    }}});
    let (limited, _) = token(&who.auth_url, &identity).await;
    for (name, path, status) in [
        ("covered", format!("/{project}/segments"), 200),
        ("the same without the project", "/segments".to_owned(), 401),
        (
            "covered for another service",
            format!("/{project}/notifications"),
            401,
        ),
    ] {
        assert_eq!(door.status(&path, &limited).await, status, "{name}");
        assert_eq!(door.status(&path, &admin).await, 200, "{name}, without limits");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_read_again_and_known_tokens_outlive_keystone() {
    const RULE: &str = "os_masakari_api:segments:index";
    let harness = Harness::set(quick_region(1)).await;
    let api = harness.spawn("api");
    let door = ApiClient::of(&harness).await;
    let (demo, _) = login(&harness.sandbox.credentials_of("demo", "demo")).await;
    let (never_seen, _) = login(&harness.sandbox.credentials()).await;
    let refused = door.ask("/segments", &[("x-auth-token", &demo)]).await;
    assert_eq!(refused.status(), 403);
    let body: Value = refused.json().await.unwrap();
    let text = format!("Policy doesn't allow {RULE} to be performed.");
    assert_eq!(body["forbidden"]["message"], text);

    let file = harness.folder.path().join("policy.yaml");
    std::fs::write(&file, format!("{RULE}: rule:admin_api or role:member\n")).unwrap();
    until("the file to count", LIMIT, async || {
        door.status("/segments", &demo).await == 200
    })
    .await;
    assert_eq!(door.status("/notifications", &demo).await, 403, "that rule only");
    let conf = harness.conf().display().to_string();
    let check = |rule: &str, role: &str| {
        let arguments = [
            "policy",
            "check",
            "--config-file",
            &conf,
            "--rule",
            rule,
            "--role",
            role,
        ];
        Harness::command(&arguments).0
    };
    assert_eq!(check(RULE, "member"), 0);
    assert_eq!(check(RULE, "reader"), 1);
    assert_eq!(check("os_masakari_api:segments:indx", "admin"), 2);

    std::fs::write(&file, "- broken\n").unwrap();
    api.signal(Signal::HUP);
    let log = harness.folder.path().join("api.log");
    until("the complaint", LIMIT, async || {
        std::fs::read_to_string(&log)
            .unwrap()
            .contains("policy reload failed; keeping the previous policy")
    })
    .await;
    assert_eq!(
        door.status("/segments", &demo).await,
        200,
        "the rules from before"
    );

    harness.sandbox.stop().await.unwrap();
    assert_eq!(
        door.status("/segments", &demo).await,
        200,
        "a known token still works"
    );
    let answer = door.ask("/segments", &[("x-auth-token", &never_seen)]).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "5");
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["serviceUnavailable"]["code"], 503);
}
