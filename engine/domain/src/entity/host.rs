//! Hosts of failover segments.

use super::{Segment, Stamps};
use crate::id::{HostId, SegmentId};
use crate::words::words;

/// A compute host of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The integer primary key; clients page by it.
    pub row: i64,
    /// The id clients use.
    pub id: HostId,
    /// Nova's *service* host name, never the hypervisor's host name. Unique among hosts that are not deleted.
    pub name: String,
    /// The segment it belongs to.
    pub segment: Segment,
    /// Free text; `COMPUTE` by custom.
    pub kind: String,
    /// Free text; `SSH` by custom.
    pub control_attributes: String,
    /// Kept empty for the instances of another host.
    pub reserved: bool,
    /// What clients see as "not protected now": set by an operator, or because the host is recovered or has been
    /// (`host_state` says which).
    pub on_maintenance: bool,
    /// When made and changed.
    pub stamps: Stamps,
}

impl Host {
    /// The column names a list may be sorted by.
    pub const SORT_KEYS: &'static [&'static str] = &[
        "id",
        "uuid",
        "name",
        "reserved",
        "type",
        "control_attributes",
        "on_maintenance",
        "failover_segment_id",
        "created_at",
        "updated_at",
        "deleted_at",
        "deleted",
    ];
}

/// What a new host is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Host`")]
pub struct NewHost {
    /// The segment it goes into.
    pub segment: SegmentId,
    pub name: String,
    pub kind: String,
    pub control_attributes: String,
    pub reserved: bool,
    /// See [`Host::on_maintenance`]; here always the operator's word.
    pub on_maintenance: bool,
}

/// A partial change by an operator: `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "what has no comment is as in `Host`")]
pub struct HostChange {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub control_attributes: Option<String>,
    pub reserved: Option<bool>,
    pub on_maintenance: Option<bool>,
}

impl HostChange {
    /// Whether it only puts the host on maintenance, which is allowed even while the host is recovered (R20).
    pub fn only_sets_maintenance(&self) -> bool {
        *self
            == Self {
                on_maintenance: Some(true),
                ..Self::default()
            }
    }

    /// `host` with the change.
    #[must_use]
    pub fn applied_to(&self, host: Host) -> Host {
        let change = self.clone();
        Host {
            name: change.name.unwrap_or(host.name),
            kind: change.kind.unwrap_or(host.kind),
            control_attributes: change.control_attributes.unwrap_or(host.control_attributes),
            reserved: change.reserved.unwrap_or(host.reserved),
            on_maintenance: change.on_maintenance.unwrap_or(host.on_maintenance),
            ..host
        }
    }

    /// The same change without what `host` is already. Maintenance stays: putting a host there that a recovery has put
    /// there makes it the operator's word.
    #[must_use]
    pub fn beyond(&self, host: &Host) -> Self {
        Self {
            name: self.name.clone().filter(|name| *name != host.name),
            kind: self.kind.clone().filter(|kind| *kind != host.kind),
            control_attributes: self
                .control_attributes
                .clone()
                .filter(|attributes| *attributes != host.control_attributes),
            reserved: self.reserved.filter(|reserved| *reserved != host.reserved),
            on_maintenance: self.on_maintenance,
        }
    }
}

/// Which hosts to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    /// Exactly this type.
    pub kind: Option<String>,
    /// Exactly this name.
    pub name: Option<String>,
    /// Exactly these control attributes.
    pub control_attributes: Option<String>,
    /// Only those on maintenance, or only the others.
    pub on_maintenance: Option<bool>,
    /// Only reserved ones, or only the others.
    pub reserved: Option<bool>,
    /// Only the row with this integer id.
    pub row: Option<i64>,
}

words! {
    /// Why a host is on maintenance (R19).
    MaintenanceReason {
        /// An operator said so: nothing may be recovered there.
        Operator = "operator",
        /// It is being recovered, or has been.
        Recovery = "recovery",
        /// A process on it failed.
        Process = "process",
    }
}
