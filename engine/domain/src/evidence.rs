//! A reporter's evidence of a fencing, beside the fields of its notification's body (docs/reference/evidence.md).
//!
//! Evidence is parsed strictly: a misunderstood field could start instances a second time. Unknown and repeated fields
//! are errors.

mod read;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

pub use read::{EvidenceError, MAX_EVIDENCE_BYTES};
pub use time::{parse as parse_time, text as time_text};

string_enum! {
    /// The source of the evidence.
    EvidenceKind {
        /// A fencing operation that a cluster records as a success.
        PacemakerFence = "pacemaker_fence",
        /// An operator's confirmation.
        Operator = "operator",
    }
}

string_enum! {
    /// The action of the fencing.
    FenceAction {
        /// The host was powered off, and is to stay off.
        Off = "off",
        /// The host was powered off and on again.
        Reboot = "reboot",
    }
}

/// Evidence, version 1, with the members of docs/reference/evidence.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceEvidence {
    /// The source of the evidence.
    pub kind: EvidenceKind,
    /// The cluster's name; present for [`EvidenceKind::PacemakerFence`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The node, as the cluster names it.
    pub target: String,
    /// The host, as Nova names it.
    pub host: String,
    pub action: FenceAction,
    /// The time the action was complete, by the cluster's clock.
    pub completed_at: Timestamp,
    /// The time the reporter observed it, by the reporter's clock.
    pub observed_at: Timestamp,
    pub reporter: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The node that carried out the fencing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<String>,
    /// The requester of the fencing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The time at which the cluster last saw the node up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_up_at: Option<Timestamp>,
}

impl FenceEvidence {
    /// Reads the JSON object of the header.
    ///
    /// # Errors
    ///
    /// Fails if the object does not conform to docs/reference/evidence.md.
    pub fn from_json(json: &[u8]) -> Result<Self, EvidenceError> {
        read::read(json)
    }

    /// Checks that the evidence is about the host of its notification.
    ///
    /// # Errors
    ///
    /// Fails if the evidence names another host.
    pub fn check_host(&self, hostname: &str) -> Result<(), EvidenceError> {
        if self.host == hostname {
            return Ok(());
        }
        Err(EvidenceError::OtherHost {
            named: read::shown(&self.host),
            reported: read::shown(hostname),
        })
    }

    /// Returns who fenced the host, with what, and when: a part of a sentence, such as
    /// `it was fenced (off) by cluster az1 ...`.
    pub fn sentence(&self) -> String {
        let who = match self.kind {
            EvidenceKind::PacemakerFence => format!(
                "it was fenced ({}) by cluster {}",
                self.action,
                self.cluster.as_deref().unwrap_or("without a name")
            ),
            EvidenceKind::Operator => format!("an operator confirmed that it was fenced ({})", self.action),
        };
        let with = match (&self.device, &self.agent) {
            (Some(device), Some(agent)) => format!(" with {device} ({agent})"),
            (Some(one), None) | (None, Some(one)) => format!(" with {one}"),
            (None, None) => String::new(),
        };
        let from = self.delegate.as_ref().map(|node| format!(" from {node}"));
        let (from, at) = (from.unwrap_or_default(), time_text(self.completed_at));
        format!("{who}{with}{from} at {at}, as {} reports", self.reporter)
    }
}

/// Evidence as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenEvidence {
    pub evidence: FenceEvidence,
    /// The id of the user who gave the evidence, and whom the policy admitted.
    pub by: String,
    /// The `generated_time` of the notification.
    pub generated: Timestamp,
    /// The wall-clock time at which the API received the evidence.
    pub arrived: Timestamp,
}

/// The greatest difference between the dates of one fencing, in seconds: no host is fenced, starts and is fenced again
/// within it.
const SAME_FENCING_WINDOW_SECONDS: i64 = 60;

impl GivenEvidence {
    /// Returns the earliest of its times, so that a wrong clock can make evidence older, but never more recent.
    pub fn dated(&self) -> Timestamp {
        self.evidence
            .completed_at
            .min(self.evidence.observed_at)
            .min(self.generated)
            .min(self.arrived)
    }

    /// True if this is evidence of a later fencing, and not of the same one with another reporter's date.
    pub fn is_of_another_fencing(&self, earlier: &Self) -> bool {
        let apart = self
            .evidence
            .completed_at
            .micros_since(earlier.evidence.completed_at);
        apart > SAME_FENCING_WINDOW_SECONDS * 1_000_000
    }

    /// Returns the evidence of the later fencing.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.dated() > self.dated() { other } else { self }
    }
}

/// True if a report claims that a stopped host is certainly off (`host_status` `NORMAL`), the strongest claim of any report.
pub fn claims_off(payload: &BTreeMap<String, String>) -> bool {
    payload
        .get("host_status")
        .is_some_and(|status| status.eq_ignore_ascii_case("NORMAL"))
}

#[cfg(test)]
mod tests;
