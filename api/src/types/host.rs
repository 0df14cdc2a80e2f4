//! Hosts in requests and answers.

use serde::Serialize;
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostAttributes, NewHost};
use tachi_domain::{HostId, SegmentId};
use utoipa::ToSchema;
use utoipa::openapi::Ref;

use super::fields::{Body, Fields};
use super::rules::{Boolean, Description, HOST_TYPE, Name};
use super::segment::SegmentView;
use crate::datetime::Iso;
use crate::microversion::Microversion;

impl Body for NewHost {
    const KEY: &'static str = "host";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let name = fields.required("name", Name);
        let kind = fields.required("type", HOST_TYPE);
        let control_attributes = fields.required("control_attributes", Description);
        let reserved = fields.optional("reserved", Boolean).unwrap_or(false);
        let on_maintenance = fields.optional("on_maintenance", Boolean).unwrap_or(false);
        Some(Self {
            name: name?,
            kind: kind?,
            control_attributes: control_attributes?,
            reserved,
            on_maintenance,
        })
    }
}

impl Body for HostAttributes {
    const KEY: &'static str = "host";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        fields.at_least_one();
        Some(Self {
            name: fields.optional("name", Name),
            kind: fields.optional("type", HOST_TYPE),
            control_attributes: fields.optional("control_attributes", Description),
            reserved: fields.optional("reserved", Boolean),
            on_maintenance: fields.optional("on_maintenance", Boolean),
        })
    }
}

/// A host in an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Host)]
pub(crate) struct HostView<'a> {
    /// The row number. As `marker`, it starts the next page after this row.
    id: i64,
    #[schema(value_type = String, format = "uuid")]
    uuid: HostId,
    name: &'a str,
    /// The UUID of the host's segment.
    #[schema(value_type = String, format = "uuid")]
    failover_segment_id: SegmentId,
    #[schema(value_type = Object, schema_with = segment)]
    failover_segment: SegmentView<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
    /// True if the host is kept free for the instances of a failed host.
    reserved: bool,
    control_attributes: &'a str,
    /// True if the host is in maintenance. Notifications from it are then refused with 409.
    on_maintenance: bool,
    created_at: Iso,
    /// Null until the first change.
    #[schema(required)]
    updated_at: Option<Iso>,
    /// Always null, because deleted rows are not shown.
    #[schema(required)]
    deleted_at: Option<Iso>,
    /// Always false, because deleted rows are not shown.
    deleted: bool,
}

fn segment() -> Ref {
    Ref::from_schema_name("Segment")
}

impl<'a> From<&'a Host> for HostView<'a> {
    fn from(host: &'a Host) -> Self {
        Self {
            id: host.row,
            uuid: host.id,
            name: &host.name,
            failover_segment_id: host.segment.id,
            failover_segment: SegmentView::from(&host.segment),
            kind: &host.kind,
            reserved: host.reserved,
            control_attributes: &host.control_attributes,
            on_maintenance: host.on_maintenance,
            created_at: Iso(host.stamps.created_at),
            updated_at: host.stamps.updated_at.map(Iso),
            deleted_at: None,
            deleted: false,
        }
    }
}
