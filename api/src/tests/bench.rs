//! A router with fakes behind it, and requests to it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use tachi_domain::Timestamp;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_engine::ports::{CallError, Notifier};
use tachi_testkit::ManualClock;
use tower::ServiceExt;

use super::controller::Machine;
use super::fake::Fake;
use super::operator_journal::FakeRegion;
use crate::{
    AccessRule, Auth, CacheOptions, ComputeHosts, Identity, Options, Ports, TokenValidator, Unavailable,
    router,
};

/// The project of every token here.
pub(super) const PROJECT: &str = "0123456789abcdef0123456789abcdef";

/// Keystone: tokens `admin`, `member` and `system` are valid, `service` belongs to a service, `ended` has expired,
/// `limited` permits only the list of segments, and `ends-soon` expires in a minute. `masakari-monitor-NAME` belongs to
/// an application credential of that name.
#[derive(Default)]
pub(super) struct Keystone {
    pub(super) requests: AtomicUsize,
    pub(super) down: AtomicBool,
}

impl Keystone {
    fn answer(&self, token: &str, also_ended: bool) -> Result<Option<Identity>, Unavailable> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if self.down.load(Ordering::SeqCst) {
            return Err(Unavailable {
                source: "connection refused".into(),
            });
        }
        let role = match token {
            "member" | "service" | "masakari_monitor" | "reader" => token,
            "admin-monitor" => "admin",
            "service-reader" | "service-monitor" => "reader",
            _ if token.starts_with("masakari-monitor-") => "masakari_monitor",
            _ => "admin",
        };
        let may_get = |path: &str| AccessRule {
            service: "instance-ha".to_owned(),
            method: "GET".to_owned(),
            path: path.to_owned(),
        };
        let identity = Identity {
            user_id: format!("{token}-user"),
            project_id: (token != "system").then(|| PROJECT.to_owned()),
            system_scope: (token == "system").then(|| "all".to_owned()),
            roles: if matches!(token, "service-monitor" | "admin-monitor") {
                vec![role.to_owned(), "Masakari_Monitor".to_owned()]
            } else {
                vec![role.to_owned()]
            },
            is_service_project: token.starts_with("service"),
            access_rules: (token == "limited")
                .then(|| vec![may_get("/v1/segments"), may_get("/v1/*/segments")]),
            application_credential: token.starts_with("masakari-monitor-").then(|| token.to_owned()),
            expires_at: (token == "ends-soon").then(|| NOW.minus_seconds(-60)),
            ..Identity::default()
        };
        let good = matches!(
            token,
            "admin"
                | "member"
                | "system"
                | "service"
                | "limited"
                | "masakari_monitor"
                | "reader"
                | "service-reader"
                | "service-monitor"
                | "admin-monitor"
                | "ends-soon"
        ) || token.starts_with("masakari-monitor-");
        Ok((good || also_ended && token == "ended").then_some(identity))
    }
}

#[async_trait]
impl TokenValidator for Keystone {
    async fn validate(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.answer(token, false)
    }

    async fn validate_expired(&self, token: &str) -> Result<Option<Identity>, Unavailable> {
        self.answer(token, true)
    }
}

/// Nova: any host whose name does not begin with `unknown`.
#[derive(Default)]
pub(super) struct Nova {
    pub(super) requests: AtomicUsize,
    pub(super) fault: Mutex<Option<(FaultClass, Option<u16>)>>,
}

#[async_trait]
impl ComputeHosts for Nova {
    async fn exists(&self, name: &str) -> Result<bool, CallError> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        if let Some((class, status)) = *self.fault.lock().unwrap() {
            let fault = Fault {
                class,
                status,
                maybe_done: false,
                text: "nova says no".to_owned(),
            };
            return Err(CallError { fault, source: None });
        }
        Ok(!name.starts_with("unknown"))
    }
}

#[derive(Default)]
pub(super) struct RecordedWakeups(
    pub(super) AtomicUsize,
    /// The state of the connection to the broker.
    pub(super) std::sync::Mutex<Option<bool>>,
);

impl Notifier for RecordedWakeups {
    fn notify(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn is_connected(&self) -> Option<bool> {
        *self.1.lock().unwrap()
    }
}

/// The wall clock.
const NOW: Timestamp = Timestamp::from_micros(1_795_155_308_123_456);

pub(super) struct Bench {
    pub(super) router: Router,
    pub(super) registry: Arc<Fake>,
    pub(super) keystone: Arc<Keystone>,
    pub(super) nova: Arc<Nova>,
    pub(super) operator_journal: Arc<FakeRegion>,
    pub(super) machine: Arc<Machine>,
    pub(super) notifications_sent: Arc<RecordedWakeups>,
    pub(super) clock: Arc<ManualClock>,
    pub(super) refusals: crate::RefusalCounter,
}

/// An answer.
#[derive(Debug)]
pub(super) struct TestResponse {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl TestResponse {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {:?}", self.text))
    }

    /// The value under the only root key.
    pub(super) fn root(&self, key: &str) -> Value {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1, "{json}");
        json.get(key)
            .unwrap_or_else(|| panic!("no {key} in {json}"))
            .clone()
    }

    /// Status, fault name and message.
    pub(super) fn fault(&self) -> (u16, String, String) {
        let json = self.json();
        let object = json.as_object().unwrap();
        assert_eq!(object.len(), 1, "one root key: {json}");
        let (name, fault) = object.iter().next().unwrap();
        assert_eq!(fault["code"], self.status, "{json}");
        (
            self.status,
            name.clone(),
            fault["message"].as_str().unwrap().to_owned(),
        )
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A fault in the form of [`Got::fault`].
pub(super) fn fault(status: u16, name: &str, message: &str) -> (u16, String, String) {
    (status, name.to_owned(), message.to_owned())
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(|options| options)
    }

    pub(super) fn with(change: impl FnOnce(Options) -> Options) -> Self {
        let (registry, keystone, nova) = (
            Arc::<Fake>::default(),
            Arc::<Keystone>::default(),
            Arc::<Nova>::default(),
        );
        let (operator_journal, machine) = (Arc::<FakeRegion>::default(), Arc::<Machine>::default());
        let (notifications_sent, clock) = (Arc::<RecordedWakeups>::default(), Arc::new(ManualClock::at(NOW)));
        let auth = Auth::Keystone {
            validator: keystone.clone(),
            www_authenticate_uri: "http://keystone:5000".to_owned(),
            cache: CacheOptions::default(),
        };
        let mut options = Options::new(auth);
        options.health.disable_file = None;
        // A test that reads the whole answer would never finish.
        options.streams.max_duration = Duration::ZERO;
        let refusals = crate::RefusalCounter::new(registry.clone(), clock.clone());
        let ports = Ports {
            registry: registry.clone(),
            notify: notifications_sent.clone(),
            clock: clock.clone(),
            compute_hosts: nova.clone(),
            region: operator_journal.clone(),
            operator_journal: operator_journal.clone(),
            freezes: operator_journal.clone(),
            plans: operator_journal.clone(),
            audit: operator_journal.clone(),
            monitors: registry.clone(),
            controller: machine.clone(),
            refusals: refusals.clone(),
        };
        let router = router(change(options), ports).unwrap();
        Self {
            router,
            registry,
            keystone,
            nova,
            operator_journal,
            machine,
            notifications_sent,
            clock,
            refusals,
        }
    }

    /// Sends a request with exactly these headers.
    pub(super) async fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> TestResponse {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(body.into()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        TestResponse {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
        }
    }

    /// Sends a request as administrator.
    pub(super) async fn get(&self, path: &str) -> TestResponse {
        self.raw("GET", path, &[("x-auth-token", "admin")], "").await
    }

    /// As [`Bench::get`], with a microversion.
    pub(super) async fn get_at(&self, version: &str, path: &str) -> TestResponse {
        let version = format!("instance-ha {version}");
        let headers = [
            ("x-auth-token", "admin"),
            ("openstack-api-version", version.as_str()),
        ];
        self.raw("GET", path, &headers, "").await
    }

    /// Sends a body as administrator at the newest microversion.
    pub(super) async fn send(&self, method: &str, path: &str, body: Value) -> TestResponse {
        self.send_at("1.3", method, path, body).await
    }

    /// As [`Bench::send`], with another microversion.
    pub(super) async fn send_at(&self, version: &str, method: &str, path: &str, body: Value) -> TestResponse {
        let version = format!("instance-ha {version}");
        let headers = [
            ("x-auth-token", "admin"),
            ("content-type", "application/json"),
            ("openstack-api-version", version.as_str()),
        ];
        self.raw(method, path, &headers, body.to_string()).await
    }

    pub(super) async fn delete(&self, path: &str) -> TestResponse {
        self.raw("DELETE", path, &[("x-auth-token", "admin")], "").await
    }

    /// Creates a segment and returns its path.
    pub(super) async fn segment(&self, name: &str) -> String {
        let body = json!({"segment": {"name": name, "recovery_method": "auto", "service_type": "COMPUTE"}});
        let got = self.send("POST", "/v1/segments", body).await;
        assert_eq!(got.status, StatusCode::CREATED.as_u16(), "{}", got.text);
        format!("/v1/segments/{}", got.root("segment")["uuid"].as_str().unwrap())
    }

    /// Creates a host in the segment at this path and returns its path.
    pub(super) async fn host(&self, segment: &str, name: &str) -> String {
        let body = json!({"host": {"name": name, "type": "COMPUTE", "control_attributes": "SSH"}});
        let got = self.send("POST", &format!("{segment}/hosts"), body).await;
        assert_eq!(got.status, StatusCode::CREATED.as_u16(), "{}", got.text);
        format!("{segment}/hosts/{}", got.root("host")["uuid"].as_str().unwrap())
    }

    /// Reports a dead host.
    pub(super) async fn notify(&self, hostname: &str, generated_time: &str) -> TestResponse {
        let payload = json!({"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"});
        self.send(
            "POST",
            "/v1/notifications",
            notification("COMPUTE_HOST", hostname, generated_time, &payload),
        )
        .await
    }
}

/// The body of a notification.
pub(super) fn notification(kind: &str, hostname: &str, generated_time: &str, payload: &Value) -> Value {
    json!({"notification": {
        "type": kind, "hostname": hostname, "generated_time": generated_time, "payload": payload,
    }})
}
