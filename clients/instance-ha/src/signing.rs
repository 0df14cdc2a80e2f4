//! A monitor tells that it is at work.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use serde::Serialize;

use crate::booting::stands_in_a_path;
use crate::client::{Client, refused};
use crate::error::{Class, Failed};

/// What a monitor says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MonitorSignature {
    /// Its version.
    pub version: String,
    /// What does not work, by part, in words.
    pub troubles: BTreeMap<String, String>,
    /// The hosts that it watches, or did when it could last.
    pub watches: Vec<String>,
    /// Whether it can judge them now.
    pub watching: bool,
    /// Whether the guests of its host start by themselves when it does: `yes`, `no` or `unknown`. Nothing, if it says nothing of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests_resume: Option<&'static str>,
    /// Where that is said, or why it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guests_by: Option<String>,
    /// How many seconds it takes at most from the power loss of a host until it has reported it, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_seconds: Option<u32>,
    /// What these are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_by: Option<String>,
    /// What comes on top, and is not known; empty if nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notice_beside: Option<String>,
    /// The kernel's `boot_id`; with `uptime_ms` it lets two heartbeats show that the host has not been off between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// The time since that boot in milliseconds, suspend included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
}

#[derive(Serialize)]
struct Body<'a> {
    monitor: &'a MonitorSignature,
}

impl Client {
    /// Tells that the monitor `kind` of a host is at work.
    ///
    /// # Errors
    ///
    /// The API does not answer, does not let us, or does not take signatures.
    pub async fn sign_monitor(
        &self,
        hostname: &str,
        kind: &str,
        signature: &MonitorSignature,
    ) -> Result<(), Failed> {
        stands_in_a_path(hostname)?;
        let path = format!("/monitors/{hostname}/{kind}");
        let body = serde_json::to_string(&Body { monitor: signature })
            .map_err(|error| Failed::new(Class::Broken, format!("PUT {path}: {error}")))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let reply = self.call(Method::PUT, &path, &headers, Some(&body)).await?;
        if reply.status.is_success() {
            Ok(())
        } else {
            Err(refused(&format!("PUT {path}"), &reply))
        }
    }
}
