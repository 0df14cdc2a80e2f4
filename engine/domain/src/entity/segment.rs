//! Failover segments.

use super::Stamps;
use crate::id::SegmentId;
use crate::string_enum::string_enum;

string_enum! {
    /// The choice of the new host for the instances of a failed host of the segment.
    RecoveryMethod {
        /// Nova's scheduler chooses.
        Auto = "auto",
        /// A reserved host of the segment takes them.
        ReservedHost = "reserved_host",
        /// `auto` first, then a reserved host if that fails.
        AutoPriority = "auto_priority",
        /// A reserved host first, then `auto` if that fails.
        RhPriority = "rh_priority",
    }
}

/// A failover segment: hosts that replace one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The integer primary key; clients use it for pagination.
    pub row: i64,
    /// The id that clients use.
    pub id: SegmentId,
    /// The name, unique among segments that are not deleted.
    pub name: String,
    /// Free text; `COMPUTE` by custom.
    pub service_type: String,
    /// True if failures are handled. A disabled segment's notifications are accepted and then ignored.
    pub enabled: bool,
    /// Free text.
    pub description: Option<String>,
    /// The method that chooses the new hosts of instances.
    pub recovery_method: RecoveryMethod,
    pub stamps: Stamps,
}

impl Segment {
    /// The column names that a list may be sorted by.
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSegment {
    pub name: String,
    pub service_type: String,
    pub enabled: bool,
    pub description: Option<String>,
    pub recovery_method: RecoveryMethod,
}

/// A partial change; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentChange {
    pub name: Option<String>,
    pub service_type: Option<String>,
    pub enabled: Option<bool>,
    /// See [`Segment::description`]; `Some(None)` clears it.
    pub description: Option<Option<String>>,
    pub recovery_method: Option<RecoveryMethod>,
}

impl SegmentChange {
    /// True if the change is only about `enabled`, which is allowed at any time.
    pub fn only_enables(&self) -> bool {
        let without = Self {
            enabled: None,
            ..self.clone()
        };
        self.enabled.is_some() && without == Self::default()
    }

    /// Returns `segment` with the change applied.
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

    /// Returns the change without the values that `segment` already has; `enabled` is kept.
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

/// The filters of a list of segments. Texts have to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentFilter {
    /// A value that no segment can have matches none.
    pub recovery_method: Option<String>,
    pub service_type: Option<String>,
    /// True for only the enabled segments, false for only the disabled ones.
    pub enabled: Option<bool>,
    /// The integer id of the only row to list.
    pub row: Option<i64>,
}
