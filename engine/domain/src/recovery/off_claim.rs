//! A report's claim that its host is off.

use serde::{Deserialize, Serialize};

use crate::entity::Notification;
use crate::entity::notification::NewNotification;
use crate::evidence::{GivenEvidence, claims_off};
use crate::timestamp::Timestamp;

/// The claim that a host is off: the time that it refers to, and what the reports know of the fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffClaim {
    /// The latest time that any of the reports refers to. Each clock on a report's way can make it older, but never newer.
    pub dated: Timestamp,
    /// The time when that report was accepted, by the database's clock; `None` if that report opened the recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Timestamp>,
    /// The latest evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<GivenEvidence>>,
}

impl OffClaim {
    /// Returns the claim of a new report, if it makes this claim.
    pub fn reported(new: &NewNotification, arrived: Timestamp) -> Option<Self> {
        let evidence = new.evidence.clone();
        let dated = evidence
            .as_ref()
            .map_or(new.generated_time.min(arrived), |given| given.dated());
        claims_off(&new.payload).then_some(Self {
            dated,
            arrived: None,
            evidence,
        })
    }

    /// Returns the claim of a stored report.
    pub fn of(notification: &Notification) -> Option<Self> {
        let claim = Self {
            dated: dated(notification),
            arrived: None,
            evidence: None,
        };
        claims_off(&notification.payload).then_some(claim)
    }

    /// Combines both claims.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        let arrived = if other.dated > self.dated {
            other.arrived
        } else {
            self.arrived
        };
        Self {
            dated: self.dated.max(other.dated),
            arrived,
            evidence: match (self.evidence, other.evidence) {
                (Some(one), Some(other)) => Some(Box::new(one.later(*other))),
                (one, other) => one.or(other),
            },
        }
    }
}

/// Returns the time that a report without evidence refers to.
pub fn dated(notification: &Notification) -> Timestamp {
    notification.generated_time.min(notification.stamps.created_at)
}
