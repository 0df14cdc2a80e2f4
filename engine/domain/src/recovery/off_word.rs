//! A report's word that its host is off.

use serde::{Deserialize, Serialize};

use crate::entity::Notification;
use crate::entity::notification::NewNotification;
use crate::evidence::{GivenEvidence, says_off};
use crate::timestamp::Timestamp;

/// That a host is off: of which moment reports say so, and what they know of the fence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffWord {
    /// The latest moment of which any of them speaks. Every clock on a report's way may make it older, none younger (R16).
    pub dated: Timestamp,
    /// When the report that speaks of it was accepted, by the database's clock; `None` if it is the one that opened the recovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Timestamp>,
    /// The latest evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<GivenEvidence>>,
}

impl OffWord {
    /// What a new report says, if it says that.
    pub fn reported(new: &NewNotification, arrived: Timestamp) -> Option<Self> {
        let evidence = new.evidence.clone();
        let dated = evidence
            .as_ref()
            .map_or(new.generated_time.min(arrived), |given| given.dated());
        says_off(&new.payload).then_some(Self {
            dated,
            arrived: None,
            evidence,
        })
    }

    /// What a report says of which the row is left.
    pub fn of(notification: &Notification) -> Option<Self> {
        let word = Self {
            dated: dated(notification),
            arrived: None,
            evidence: None,
        };
        says_off(&notification.payload).then_some(word)
    }

    /// What both say together.
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

/// The moment a report without evidence speaks of.
pub fn dated(notification: &Notification) -> Timestamp {
    notification.generated_time.min(notification.stamps.created_at)
}
