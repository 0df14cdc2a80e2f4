//! Segments on the wire.

use serde::Serialize;
use serde_json::Value;
use tachi_domain::SegmentId;
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::{NewSegment, SegmentChange};

use super::fields::{Fields, Problems};
use super::rules;
use crate::authorised::FromBody;
use crate::datetime::Iso;
use crate::microversion::Microversion;

const KEY: &str = "segment";

/// The keys a body may have under `segment`.
fn allowed(version: Microversion) -> &'static [&'static str] {
    const ALL: &[&str] = &[
        "name",
        "recovery_method",
        "service_type",
        "description",
        "enabled",
    ];
    if version >= Microversion::SEGMENT_ENABLED {
        ALL
    } else {
        ALL.split_last().map_or(ALL, |(_, rest)| rest)
    }
}

impl FromBody for NewSegment {
    fn from_body(body: &Value, version: Microversion) -> Result<Self, Problems> {
        let mut fields = Fields::open(body, KEY, allowed(version))?;
        let name = fields.required("name", rules::name);
        let recovery_method = fields.required("recovery_method", rules::recovery_method);
        let service_type = fields.required("service_type", rules::name);
        let description = fields
            .optional("description", rules::description_or_null)
            .flatten();
        let enabled = fields.optional("enabled", rules::boolean).unwrap_or(true);
        let problems = fields.finish();
        match (name, recovery_method, service_type) {
            (Some(name), Some(recovery_method), Some(service_type)) if problems.is_empty() => Ok(Self {
                name,
                service_type,
                enabled,
                description,
                recovery_method,
            }),
            _ => Err(problems),
        }
    }
}

impl FromBody for SegmentChange {
    fn from_body(body: &Value, version: Microversion) -> Result<Self, Problems> {
        let mut fields = Fields::open(body, KEY, allowed(version))?;
        fields.at_least_one();
        let change = Self {
            name: fields.optional("name", rules::name),
            service_type: fields.optional("service_type", rules::name),
            enabled: fields.optional("enabled", rules::boolean),
            description: fields.optional("description", rules::description_or_null),
            recovery_method: fields.optional("recovery_method", rules::recovery_method),
        };
        let problems = fields.finish();
        if problems.is_empty() {
            Ok(change)
        } else {
            Err(problems)
        }
    }
}

/// A segment as callers see it, the same at every microversion.
#[derive(Serialize)]
pub(crate) struct SegmentView<'a> {
    id: i64,
    uuid: SegmentId,
    name: &'a str,
    service_type: &'a str,
    enabled: bool,
    description: Option<&'a str>,
    recovery_method: &'static str,
    created_at: Iso,
    updated_at: Option<Iso>,
    deleted_at: Option<Iso>,
    deleted: bool,
}

impl<'a> From<&'a Segment> for SegmentView<'a> {
    fn from(segment: &'a Segment) -> Self {
        Self {
            id: segment.row,
            uuid: segment.id,
            name: &segment.name,
            service_type: &segment.service_type,
            enabled: segment.enabled,
            description: segment.description.as_deref(),
            recovery_method: segment.recovery_method.as_str(),
            created_at: Iso(segment.stamps.created_at),
            updated_at: segment.stamps.updated_at.map(Iso),
            // Deleted rows are never shown, but clients want the keys.
            deleted_at: None,
            deleted: false,
        }
    }
}
