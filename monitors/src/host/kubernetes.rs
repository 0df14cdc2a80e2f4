//! The Kubernetes driver: nodes that are no longer `Ready`.
//!
//! Like the Python monitor, it runs in the cluster under a service account, reports STOPPED and never STARTED, and
//! sends no `cluster_status`. Differences: every node has its own initial state, so that a node that was never seen up
//! is not reported as stopped; long lists are read completely; the token is read for each request, because it is
//! rotated every hour.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tachi_instance_ha::{HostEvent, HostStatus, Notification};

use super::samples::{Change, HostSampler, Sampler, State, stopped_status};
use crate::check::Finding;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::heartbeat::DetectionTime;
use crate::settings::Settings;

/// Folder of a pod's service account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Timeout of one page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Nodes on one page; a node is some ten kilobytes.
const PAGE: usize = 50;
/// Limit of pages of one list.
const PAGES: usize = 1000;
const MAX_BYTES: usize = 64 << 20;

#[derive(Debug, Deserialize)]
struct List {
    kind: String,
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Node>,
}

#[derive(Debug, Default, Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Node {
    metadata: NodeMeta,
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Debug, Deserialize)]
struct NodeMeta {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Node {
    fn state(&self) -> State {
        match self
            .status
            .conditions
            .iter()
            .find(|condition| condition.kind == "Ready")
        {
            Some(ready) if ready.status == "True" => State::Up,
            // `False` and `Unknown`: its kubelet reports a failure, or nothing.
            Some(_) => State::Down,
            None => State::Unknown,
        }
    }
}

/// The driver that reads the nodes through Kubernetes.
pub(crate) struct Driver {
    url: String,
    labels: String,
    token: PathBuf,
    http: reqwest::Client,
    stopped: HostStatus,
    hostname: String,
    clock: Clock,
}

impl Driver {
    /// Creates the driver from the configuration, in its pod.
    pub(crate) fn new(settings: &Settings, clock: &Clock) -> Result<Self, Failure> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(host), Some(port)) = (
            variable("KUBERNETES_SERVICE_HOST"),
            variable("KUBERNETES_SERVICE_PORT"),
        ) else {
            return Err(Failure::from_text(
                "this is not a pod of a Kubernetes cluster: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set",
            ));
        };
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host
        };
        let path = PathBuf::from(ACCOUNT).join("ca.crt");
        let wrong = |error| Failure::new(format!("reading {}", path.display()), error);
        let authority = std::fs::read(&path).map_err(wrong)?;
        let token = PathBuf::from(ACCOUNT).join("token");
        Self::at(
            format!("https://{host}:{port}"),
            Some(&authority),
            token,
            settings,
            clock,
        )
    }

    /// Creates the monitor.
    pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Result<Sampler<Self>, Failure> {
        Sampler::new(Self::new(settings, clock)?, settings)
    }

    fn at(
        url: String,
        authority: Option<&[u8]>,
        token: PathBuf,
        settings: &Settings,
        clock: &Clock,
    ) -> Result<Self, Failure> {
        let setting_up = |error| Failure::new("setting up the client of Kubernetes", error);
        let mut http = reqwest::Client::builder().timeout(PAGE_TIMEOUT).no_proxy();
        if let Some(authority) = authority {
            for certificate in reqwest::Certificate::from_pem_bundle(authority).map_err(setting_up)? {
                http = http.add_root_certificate(certificate);
            }
            http = http.tls_built_in_root_certs(false);
        }
        Ok(Self {
            url,
            labels: settings.kubernetes.labels.clone(),
            token,
            http: http.build().map_err(setting_up)?,
            stopped: stopped_status(settings),
            hostname: settings.hostname.clone(),
            clock: clock.clone(),
        })
    }

    async fn nodes(&self) -> Result<BTreeMap<String, State>, Failure> {
        let reading = |error| Failure::new(format!("reading {}", self.token.display()), error);
        let token = tokio::fs::read_to_string(&self.token).await.map_err(reading)?;
        let url = format!("{}/api/v1/nodes", self.url);
        let mut states = BTreeMap::new();
        let mut next = String::new();
        for _ in 0..PAGES {
            let query_error = |error| Failure::new(format!("querying {url}"), error);
            let limit = PAGE.to_string();
            let mut query = vec![("limit", limit.as_str())];
            if !self.labels.is_empty() {
                query.push(("labelSelector", &self.labels));
            }
            if !next.is_empty() {
                query.push(("continue", &next));
            }
            let request = self.http.get(&url).bearer_auth(token.trim()).query(&query);
            let mut answer = request
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .map_err(query_error)?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(query_error)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_BYTES {
                    return Err(Failure::from_text(format!(
                        "the answer of {url} exceeds the size limit"
                    )));
                }
            }
            let list: List = serde_json::from_slice(&body)
                .map_err(|error| Failure::new(format!("reading the answer of {url}"), error))?;
            // An answer of another kind would look like an empty list of nodes.
            if list.kind != "NodeList" {
                return Err(Failure::from_text(format!("{url} answers with a {}", list.kind)));
            }
            for node in &list.items {
                states.insert(node.metadata.name.clone(), node.state());
            }
            match list.metadata.next.filter(|next| !next.is_empty()) {
                Some(more) => next = more,
                None => return Ok(states),
            }
        }
        Err(Failure::from_text(format!(
            "the list at {url} exceeds the page limit"
        )))
    }
}

#[async_trait]
impl HostSampler for Driver {
    async fn sample(&mut self, health: &Health) -> Option<BTreeMap<String, State>> {
        let mut states = match self.nodes().await {
            Ok(states) => states,
            Err(failure) => {
                health.bad("kubernetes", failure.chain());
                return None;
            }
        };
        // A monitor whose own kubelet does not report cannot judge others.
        if states.remove(&self.hostname) == Some(State::Down) {
            health.bad(
                "kubernetes",
                format!("this node ({}) is not Ready: not reporting others", self.hostname),
            );
            return None;
        }
        health.good("kubernetes");
        Some(states)
    }

    fn report(&self, host: &str, change: Change) -> Option<Notification> {
        let at = self.clock.generated();
        (change == Change::Stopped)
            .then(|| Notification::host(host, HostEvent::Stopped, None, self.stopped, at))
    }

    fn lists_all(&self) -> bool {
        true
    }

    fn warning(&self) -> &'static str {
        "Kubernetes shows which hosts answer, not which are off: a host reported as stopped is not confirmed off"
    }
}

/// Returns the longest time until a failure is noticed.
pub(crate) fn max_latency(settings: &Settings) -> Finding {
    Finding::reported_within(
        "host",
        "a node that is no longer Ready in Kubernetes",
        within(settings),
    )
}

/// Returns the longest time until a failure is noticed, as a value.
pub(crate) fn report_latency(settings: &Settings) -> DetectionTime {
    DetectionTime {
        within: within(settings),
        by: format!("{} equal polls of Kubernetes", settings.host.samples),
        undetected_by: String::new(),
        beside: "until a node is no longer Ready in Kubernetes".to_owned(),
    }
}

fn within(settings: &Settings) -> Duration {
    let polls = u32::try_from(settings.host.samples).unwrap_or(u32::MAX);
    let each = settings.host.interval + PAGE_TIMEOUT;
    each.saturating_mul(polls)
}

#[cfg(test)]
mod tests;
