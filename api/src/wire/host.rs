//! Hosts on the wire.

use serde::Serialize;
use serde_json::Value;
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostChange, NewHost};
use tachi_domain::{HostId, SegmentId};

use super::fields::{Fields, Problems};
use super::rules;
use super::segment::SegmentView;
use crate::authorised::FromBody;
use crate::datetime::Iso;
use crate::microversion::Microversion;

const KEY: &str = "host";
const ALLOWED: &[&str] = &["name", "type", "control_attributes", "reserved", "on_maintenance"];

/// The body of a new host; its segment is in the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostBody {
    name: String,
    kind: String,
    control_attributes: String,
    reserved: bool,
    on_maintenance: bool,
}

impl HostBody {
    /// As a host of `segment`.
    pub(crate) fn into_host_of(self, segment: SegmentId) -> NewHost {
        let Self {
            name,
            kind,
            control_attributes,
            reserved,
            on_maintenance,
        } = self;
        NewHost {
            segment,
            name,
            kind,
            control_attributes,
            reserved,
            on_maintenance,
        }
    }
}

impl FromBody for HostBody {
    fn from_body(body: &Value, _: Microversion) -> Result<Self, Problems> {
        let mut fields = Fields::open(body, KEY, ALLOWED)?;
        let name = fields.required("name", rules::name);
        let kind = fields.required("type", rules::host_type);
        let control_attributes = fields.required("control_attributes", rules::description);
        let reserved = fields.optional("reserved", rules::boolean).unwrap_or(false);
        let on_maintenance = fields.optional("on_maintenance", rules::boolean).unwrap_or(false);
        let problems = fields.finish();
        match (name, kind, control_attributes) {
            (Some(name), Some(kind), Some(control_attributes)) if problems.is_empty() => Ok(Self {
                name,
                kind,
                control_attributes,
                reserved,
                on_maintenance,
            }),
            _ => Err(problems),
        }
    }
}

impl FromBody for HostChange {
    fn from_body(body: &Value, _: Microversion) -> Result<Self, Problems> {
        let mut fields = Fields::open(body, KEY, ALLOWED)?;
        fields.at_least_one();
        let change = Self {
            name: fields.optional("name", rules::name),
            kind: fields.optional("type", rules::host_type),
            control_attributes: fields.optional("control_attributes", rules::description),
            reserved: fields.optional("reserved", rules::boolean),
            on_maintenance: fields.optional("on_maintenance", rules::boolean),
        };
        let problems = fields.finish();
        if problems.is_empty() {
            Ok(change)
        } else {
            Err(problems)
        }
    }
}

/// A host as callers see it.
#[derive(Serialize)]
pub(crate) struct HostView<'a> {
    id: i64,
    uuid: HostId,
    name: &'a str,
    failover_segment_id: SegmentId,
    failover_segment: SegmentView<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
    reserved: bool,
    control_attributes: &'a str,
    on_maintenance: bool,
    created_at: Iso,
    updated_at: Option<Iso>,
    deleted_at: Option<Iso>,
    deleted: bool,
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
