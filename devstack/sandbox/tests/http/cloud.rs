//! A sandbox with a client that is logged in.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tachi_sandbox::{Fleet, Region, RegionSettings, Sandbox, SandboxOptions};

/// Timeout of events that should happen at once.
pub(crate) const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// An answer: status and body.
pub(crate) type Answer = (u16, Value);

pub(crate) struct Cloud {
    pub(crate) sandbox: Sandbox,
    pub(crate) http: Client,
    pub(crate) token: String,
}

/// A quick region with this many hosts.
pub(crate) fn quick(hosts: usize) -> RegionSettings {
    RegionSettings {
        fleet: Fleet {
            hosts,
            ..Fleet::default()
        },
        rebuild_time: Duration::from_millis(50),
        conductor_delay: Duration::from_millis(5),
        action_time: Duration::from_millis(5),
        build_time: Duration::from_millis(5),
        boot_time: Duration::from_millis(20),
        maas_power_time: Duration::from_millis(20),
        service_down_time: Duration::from_millis(200),
        report_interval: Duration::from_millis(50),
        ..RegionSettings::default()
    }
}

pub(crate) fn client() -> Client {
    Client::builder()
        .no_proxy()
        .connect_timeout(WAIT_LIMIT)
        .timeout(WAIT_LIMIT)
        .build()
        .unwrap()
}

pub(crate) fn login(user: &str, project: &str, password: &str) -> Value {
    json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {
            "name": user, "domain": {"name": "Default"}, "password": password,
        }}},
        "scope": {"project": {"name": project, "domain": {"id": "default"}}},
    }})
}

pub(crate) async fn answer(response: Response) -> Answer {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

impl Cloud {
    pub(crate) async fn start(region: RegionSettings) -> Self {
        Self::with(SandboxOptions {
            region,
            ..SandboxOptions::default()
        })
        .await
    }

    pub(crate) async fn with(options: SandboxOptions) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let mut cloud = Self {
            sandbox,
            http: client(),
            token: String::new(),
        };
        cloud.token = cloud.token_of("admin", "admin").await;
        cloud
    }

    pub(crate) fn region(&self) -> &Region {
        self.sandbox.region()
    }

    pub(crate) async fn token_of(&self, user: &str, project: &str) -> String {
        let body = login(user, project, &self.sandbox.credentials().password);
        let response = self.authenticate(&body).await;
        assert_eq!(response.status().as_u16(), 201, "login of {user}");
        response
            .headers()
            .get("x-subject-token")
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) async fn authenticate(&self, body: &Value) -> Response {
        let url = format!("{}/auth/tokens", self.sandbox.urls().identity);
        self.http.post(url).json(body).send().await.unwrap()
    }

    /// Sends a request to Nova in microversion `2.minor`.
    pub(crate) fn nova(&self, method: Method, minor: u16, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.sandbox.urls().compute))
            .header("x-auth-token", &self.token)
            .header("openstack-api-version", format!("compute 2.{minor}"))
    }

    pub(crate) async fn get(&self, minor: u16, path: &str) -> Answer {
        answer(self.nova(Method::GET, minor, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, minor: u16, path: &str, body: Value) -> Answer {
        answer(
            self.nova(Method::POST, minor, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn put(&self, minor: u16, path: &str, body: Value) -> Answer {
        answer(
            self.nova(Method::PUT, minor, path)
                .json(&body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    pub(crate) async fn delete(&self, minor: u16, path: &str) -> Answer {
        answer(self.nova(Method::DELETE, minor, path).send().await.unwrap()).await
    }

    /// Requests an action of a server.
    pub(crate) async fn act(&self, minor: u16, server: uuid::Uuid, body: Value) -> u16 {
        self.post(minor, &format!("/servers/{server}/action"), body)
            .await
            .0
    }

    pub(crate) async fn wait(&self, what: &str, holds: impl FnMut(&Region) -> bool) {
        assert!(
            self.region().wait_until(WAIT_LIMIT, holds).await,
            "waited in vain until {what}"
        );
    }

    /// Cuts a host's power, and waits until Nova shows it down.
    pub(crate) async fn kill(&self, host: &str) {
        self.region().faults().power_loss(host).unwrap();
        self.stop_heartbeats(host).await;
    }

    /// Waits until Nova shows the host down.
    pub(crate) async fn stop_heartbeats(&self, host: &str) {
        self.wait("nova takes it for down", |region| !region.host(host).unwrap().up)
            .await;
    }
}

/// Returns the ids in a list body.
pub(crate) fn ids(body: &Value, key: &str) -> Vec<String> {
    let rows = body[key]
        .as_array()
        .unwrap_or_else(|| panic!("no {key} in {body}"));
    rows.iter()
        .map(|row| {
            row["id"]
                .as_str()
                .map_or_else(|| row["id"].to_string(), str::to_owned)
        })
        .collect()
}
