//! Failover segments.

use super::Stamps;
use crate::id::SegmentId;
use crate::words::words;

words! {
    /// How the instances of a failed host of the segment get a new one.
    RecoveryMethod {
        /// Nova's scheduler chooses.
        Auto = "auto",
        /// A reserved host of the segment takes them.
        ReservedHost = "reserved_host",
        /// `auto`, and a reserved host if that fails.
        AutoPriority = "auto_priority",
        /// A reserved host, and `auto` if that fails.
        RhPriority = "rh_priority",
    }
}

/// A failover segment: hosts that stand in for one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The integer primary key; clients page by it.
    pub row: i64,
    /// The id clients use.
    pub id: SegmentId,
    /// Unique among segments that are not deleted.
    pub name: String,
    /// Free text; `COMPUTE` by custom.
    pub service_type: String,
    /// A disabled segment's notifications are accepted and then ignored.
    pub enabled: bool,
    /// Free text.
    pub description: Option<String>,
    /// Whether instances go to reserved hosts, or to any.
    pub recovery_method: RecoveryMethod,
    /// When made and changed.
    pub stamps: Stamps,
}

impl Segment {
    /// The column names a list may be sorted by.
    pub const SORT_KEYS: &'static [&'static str] = &[
        "id",
        "uuid",
        "name",
        "service_type",
        "enabled",
        "description",
        "recovery_method",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted",
    ];
}

/// What a new segment is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Segment`")]
pub struct NewSegment {
    pub name: String,
    pub service_type: String,
    pub enabled: bool,
    pub description: Option<String>,
    pub recovery_method: RecoveryMethod,
}

/// A partial change: `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Segment`")]
pub struct SegmentChange {
    pub name: Option<String>,
    pub service_type: Option<String>,
    pub enabled: Option<bool>,
    /// See [`Segment::description`]; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    pub recovery_method: Option<RecoveryMethod>,
}

impl SegmentChange {
    /// Whether it changes nothing but `enabled`, which is allowed at any time (R20).
    pub fn only_enables(&self) -> bool {
        let without = Self {
            enabled: None,
            ..self.clone()
        };
        self.enabled.is_some() && without == Self::default()
    }

    /// `segment` with the change.
    #[must_use]
    pub fn applied_to(&self, segment: Segment) -> Segment {
        let change = self.clone();
        Segment {
            name: change.name.unwrap_or(segment.name),
            service_type: change.service_type.unwrap_or(segment.service_type),
            enabled: change.enabled.unwrap_or(segment.enabled),
            description: change.description.unwrap_or(segment.description),
            recovery_method: change.recovery_method.unwrap_or(segment.recovery_method),
            ..segment
        }
    }

    /// The same change without what `segment` is already; `enabled` stays.
    #[must_use]
    pub fn beyond(&self, segment: &Segment) -> Self {
        Self {
            name: self.name.clone().filter(|name| *name != segment.name),
            service_type: self
                .service_type
                .clone()
                .filter(|service| *service != segment.service_type),
            enabled: self.enabled,
            description: self
                .description
                .clone()
                .filter(|description| *description != segment.description),
            recovery_method: self
                .recovery_method
                .filter(|method| *method != segment.recovery_method),
        }
    }
}

/// Which segments to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentFilter {
    /// Exactly this word; one that no segment can have matches none.
    pub recovery_method: Option<String>,
    /// Exactly this text.
    pub service_type: Option<String>,
    /// Only enabled or only disabled ones.
    pub enabled: Option<bool>,
    /// Only the row with this integer id.
    pub row: Option<i64>,
}
