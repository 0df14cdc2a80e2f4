//! What a reporter knows of a host that was fenced, beside what its notification's body can say (R18, docs/reference/evidence.md).
//!
//! A reporter's word is read strictly: whoever means something by a member that this program does not know, or says one
//! thing twice, would be misunderstood, and instances would start a second time.

mod read;
mod time;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;
use crate::words::words;

pub use read::{EvidenceError, MOST_BYTES};
pub use time::{parse as parse_time, text as time_text};

words! {
    /// Who answers for it.
    EvidenceKind {
        /// A fencing operation that a cluster records as a success.
        PacemakerFence = "pacemaker_fence",
        /// A person's word.
        Operator = "operator",
    }
}

words! {
    /// What was done with the host.
    FenceAction {
        /// It was switched off, and is to stay so.
        Off = "off",
        /// It was switched off, and on again.
        Reboot = "reboot",
    }
}

/// Evidence, version 1. The members are those of docs/reference/evidence.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceEvidence {
    /// Who answers for it.
    pub kind: EvidenceKind,
    /// The cluster's name; there for [`EvidenceKind::PacemakerFence`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The node, as the cluster calls it.
    pub target: String,
    /// The host, as Nova calls it.
    pub host: String,
    /// What was done.
    pub action: FenceAction,
    /// When that was complete, by the cluster's clock.
    pub completed_at: Timestamp,
    /// When the reporter saw it, by the reporter's clock.
    pub observed_at: Timestamp,
    /// Who reports.
    pub reporter: String,
    /// The fence device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Its agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The node that carried it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// When the cluster last knew the node up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_up_at: Option<Timestamp>,
}

impl FenceEvidence {
    /// Reads the JSON object of the header.
    ///
    /// # Errors
    ///
    /// It is not as docs/reference/evidence.md says.
    pub fn from_json(json: &[u8]) -> Result<Self, EvidenceError> {
        read::read(json)
    }

    /// Evidence speaks of the host of its notification and of no other.
    ///
    /// # Errors
    ///
    /// It names another host.
    pub fn check_host(&self, hostname: &str) -> Result<(), EvidenceError> {
        if self.host == hostname {
            return Ok(());
        }
        Err(EvidenceError::OtherHost {
            named: read::shown(&self.host),
            reported: read::shown(hostname),
        })
    }

    /// Who fenced it, with what, and when: a part of a sentence, such as `it was fenced (off) by cluster az1 ...`.
    pub fn sentence(&self) -> String {
        let who = match self.kind {
            EvidenceKind::PacemakerFence => format!(
                "it was fenced ({}) by cluster {}",
                self.action,
                self.cluster.as_deref().unwrap_or("without a name")
            ),
            EvidenceKind::Operator => format!("a person vouches that it was fenced ({})", self.action),
        };
        let with = match (&self.device, &self.agent) {
            (Some(device), Some(agent)) => format!(" with {device} ({agent})"),
            (Some(one), None) | (None, Some(one)) => format!(" with {one}"),
            (None, None) => String::new(),
        };
        let from = self.delegate.as_ref().map(|node| format!(" from {node}"));
        let (from, at) = (from.unwrap_or_default(), time_text(self.completed_at));
        format!("{who}{with}{from} at {at}, as {} says", self.reporter)
    }
}

/// Evidence as it was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenEvidence {
    /// What was said.
    pub evidence: FenceEvidence,
    /// The id of the user who gave it, whom the policy admitted.
    pub by: String,
    /// `generated_time` of its notification.
    pub generated: Timestamp,
    /// When the API took it; wall time of its machine.
    pub arrived: Timestamp,
}

/// How far the dates of one fencing may be apart, in seconds: no host is fenced, starts and is fenced again within that.
const SAME_FENCING_WITHIN: i64 = 60;

impl GivenEvidence {
    /// The moment it speaks of. Every clock on its way may make it older, and none younger (R16).
    pub fn dated(&self) -> Timestamp {
        self.evidence
            .completed_at
            .min(self.evidence.observed_at)
            .min(self.generated)
            .min(self.arrived)
    }

    /// True if it is evidence of a later fencing than this one, and not the same fencing as another reporter dates it.
    pub fn is_of_another_fencing(&self, earlier: &Self) -> bool {
        let apart = self
            .evidence
            .completed_at
            .micros_since(earlier.evidence.completed_at);
        apart > SAME_FENCING_WITHIN * 1_000_000
    }

    /// Whichever speaks of the later fence.
    #[must_use]
    pub fn later(self, other: Self) -> Self {
        if other.dated() > self.dated() { other } else { self }
    }
}

/// Whether a report of a stopped host says that it is off for certain (`host_status` `NORMAL`): more than any other can say.
pub fn says_off(payload: &BTreeMap<String, String>) -> bool {
    payload
        .get("host_status")
        .is_some_and(|said| said.eq_ignore_ascii_case("NORMAL"))
}

#[cfg(test)]
mod tests;
