//! Hosts of failover segments.

use super::{Segment, Stamps};
use crate::id::HostId;
use crate::string_enum::string_enum;

/// A compute host of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The integer primary key; clients use it for pagination.
    pub row: i64,
    /// The id that clients use.
    pub id: HostId,
    /// Nova's *service* host name, never the hypervisor's host name. Unique among hosts that are not deleted.
    pub name: String,
    /// The segment the host belongs to.
    pub segment: Segment,
    /// Free text; `COMPUTE` by custom.
    pub kind: String,
    /// Free text; `SSH` by custom.
    pub control_attributes: String,
    /// True if the host is kept empty for the instances of another host.
    pub reserved: bool,
    /// True if the host is shown to clients as not protected: set by an operator, or because the host is being or has been
    /// recovered (`host_state` shows which).
    pub on_maintenance: bool,
    pub stamps: Stamps,
}

impl Host {
    /// The column names that a list may be sorted by.
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

/// A host that is to be registered in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewHost {
    pub name: String,
    pub kind: String,
    pub control_attributes: String,
    pub reserved: bool,
    /// See [`Host::on_maintenance`]; here it is always set by an operator.
    pub on_maintenance: bool,
}

/// Some attributes of a host: those that an operator changes, or those that a list requires. Texts have to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostAttributes {
    pub name: Option<String>,
    pub kind: Option<String>,
    pub control_attributes: Option<String>,
    pub reserved: Option<bool>,
    pub on_maintenance: Option<bool>,
}

impl HostAttributes {
    /// True if the change only puts the host in maintenance, which is allowed even while the host is being recovered.
    pub fn only_sets_maintenance(&self) -> bool {
        *self
            == Self {
                on_maintenance: Some(true),
                ..Self::default()
            }
    }

    /// Returns `host` with the change applied.
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

    /// Returns the change without the values that `host` already has. Maintenance is kept: if a recovery has put the host in
    /// maintenance, the change makes it the operator's setting.
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

/// The filters of a list of hosts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFilter {
    pub attributes: HostAttributes,
    /// The integer id of the only row to list.
    pub row: Option<i64>,
}

string_enum! {
    /// The reason why a host is in maintenance.
    MaintenanceReason {
        /// An operator has set it: nothing may be recovered there.
        Operator = "operator",
        /// The host is being recovered, or has been.
        Recovery = "recovery",
        /// A process on the host has failed.
        Process = "process",
    }
}
