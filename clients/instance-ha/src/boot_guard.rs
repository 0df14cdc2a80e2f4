//! The boot guard's query, which asks the API whether nova-compute on a host may start.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use crate::client::{Client, refused};
use crate::error::{CallFailure, Class};

/// The API's answer about a booting host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootGuard {
    /// True if nova-compute must wait.
    pub hold: bool,
    /// The reason, on one line.
    pub reason: String,
    /// True if the only thing left is that an operator purges the host's queue.
    pub queue_only: bool,
    /// The recovery that holds the host.
    pub recovery: Option<String>,
}

#[derive(Deserialize)]
struct Answer {
    boot_guard: Body,
}

#[derive(Deserialize)]
struct Body {
    hold: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    waits_for: Option<String>,
    #[serde(default)]
    recovery: Option<String>,
}

/// Rejects a host's name that has a special meaning in a path.
pub(crate) fn check_path_segment(hostname: &str) -> Result<(), CallFailure> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !hostname.chars().all(plain) || hostname.trim_matches('.').is_empty() {
        let why = format!("{hostname:?} is not a valid host name for a path");
        return Err(CallFailure::new(Class::Rejected, why));
    }
    Ok(())
}

impl Client {
    /// Asks the API whether nova-compute on a host may start.
    ///
    /// # Errors
    ///
    /// The API does not answer, refuses the user, or does not support the query.
    pub async fn boot_guard(&self, hostname: &str) -> Result<BootGuard, CallFailure> {
        check_path_segment(hostname)?;
        let path = format!("/boot-guard/{hostname}");
        let line = format!("GET {path}");
        let reply = self.call(Method::GET, &path, &HeaderMap::new(), None).await?;
        if !reply.status.is_success() {
            return Err(refused(&line, &reply));
        }
        let answer: Answer = serde_json::from_slice(&reply.body)
            .map_err(|error| CallFailure::new(Class::Broken, format!("{line}: invalid answer: {error}")))?;
        let body = answer.boot_guard;
        Ok(BootGuard {
            hold: body.hold,
            reason: tachi_text::one_line(&body.reason, &[]),
            queue_only: body.waits_for.as_deref() == Some("queue"),
            recovery: body.recovery.map(|id| tachi_text::one_line(&id, &[])),
        })
    }
}
