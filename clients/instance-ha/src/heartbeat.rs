//! Heartbeats of monitors.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;

use crate::boot_guard::check_path_segment;
use crate::client::{Client, refused};
use crate::error::{CallFailure, Class};

/// The header of an answer with the hosts that have lost planes and that Nova shows down.
const DOWN_IN_NOVA: &str = "x-tachi-down-in-nova";

/// The state that a monitor reports in its heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitorHeartbeat {
    /// The monitor's version.
    pub version: String,
    /// Problems by subsystem.
    pub troubles: BTreeMap<String, String>,
    /// The hosts that it watches, or the last ones that it could watch.
    pub watches: Vec<String>,
    /// True if it can judge them now.
    pub watching: bool,
    /// The setting that starts guests at boot: `yes`, `no` or `unknown`. `None` if not reported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests_resume: Option<&'static str>,
    /// The source of this setting, or the reason why it is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests_by: Option<String>,
    /// Longest time in seconds from a host's power loss to its report, as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_seconds: Option<u32>,
    /// The parts of this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_by: Option<String>,
    /// Additional parts of unknown length; empty if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_beside: Option<String>,
    /// The networks that hosts have lost while their management network works, by host, each with the seconds since when.
    /// `None` if the monitor does not judge them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub planes: Option<BTreeMap<String, BTreeMap<String, u64>>>,
    /// The processes of its host that it could not restart, each with the seconds since when.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub processes_down: BTreeMap<String, u64>,
    /// The kernel's `boot_id`; with `uptime_ms` it lets two heartbeats show that the host has not been off between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The time since that boot in milliseconds, suspend included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// The instances whose disk is on its host alone. `None` if it has not read that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_disks: Option<Vec<String>>,
    /// The instances on its host that have shut themselves down, and were not started since.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shut_down: Vec<String>,
}

#[derive(Serialize)]
struct Body<'a> {
    monitor: &'a MonitorHeartbeat,
}

impl Client {
    /// Sends the heartbeat of the monitor `kind` on a host. Returns the hosts with lost planes that Nova shows down.
    ///
    /// # Errors
    ///
    /// The API does not answer, refuses, or does not support heartbeats.
    pub async fn send_heartbeat(
        &self,
        hostname: &str,
        kind: &str,
        signature: &MonitorHeartbeat,
    ) -> Result<Vec<String>, CallFailure> {
        check_path_segment(hostname)?;
        let path = format!("/monitors/{hostname}/{kind}");
        let body = serde_json::to_string(&Body { monitor: signature })
            .map_err(|error| CallFailure::new(Class::Broken, format!("PUT {path}: {error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let reply = self.call(Method::PUT, &path, &headers, Some(&body)).await?;
        if reply.status.is_success() {
            let down = reply.headers.get(DOWN_IN_NOVA);
            let down = down.and_then(|hosts| hosts.to_str().ok()).unwrap_or_default();
            let hosts = down.split(',').map(str::trim).filter(|host| !host.is_empty());
            Ok(hosts.map(str::to_owned).collect())
        } else {
            Err(refused(&format!("PUT {path}"), &reply))
        }
    }
}
