//! Segments in requests and answers.

use serde::Serialize;
use tachi_domain::SegmentId;
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod, SegmentChange};
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::enum_schema;
use super::fields::{Body, Fields};
use super::rules::{Boolean, Description, Name, OrNull, RECOVERY_METHOD};
use crate::datetime::Iso;
use crate::microversion::Microversion;

impl Body for NewSegment {
    const KEY: &'static str = "segment";

    fn fields(fields: &mut impl Fields, version: Microversion) -> Option<Self> {
        let name = fields.required("name", Name);
        let recovery_method = fields.required("recovery_method", RECOVERY_METHOD);
        let service_type = fields.required("service_type", Name);
        let description = fields.optional("description", OrNull(Description));
        let enabled = enabled(fields, version);
        Some(Self {
            name: name?,
            service_type: service_type?,
            enabled: enabled.unwrap_or(true),
            description: description.flatten(),
            recovery_method: recovery_method?,
        })
    }
}

impl Body for SegmentChange {
    const KEY: &'static str = "segment";

    fn fields(fields: &mut impl Fields, version: Microversion) -> Option<Self> {
        fields.at_least_one();
        Some(Self {
            name: fields.optional("name", Name),
            service_type: fields.optional("service_type", Name),
            enabled: enabled(fields, version),
            description: fields.optional("description", OrNull(Description)),
            recovery_method: fields.optional("recovery_method", RECOVERY_METHOD),
        })
    }
}

/// Older microversions do not have this field, so there it counts as unexpected.
fn enabled(fields: &mut impl Fields, version: Microversion) -> Option<bool> {
    if version < Microversion::SEGMENT_ENABLED {
        return None;
    }
    fields.optional("enabled", Boolean)
}

/// A segment in an answer. It is the same at every microversion.
#[derive(Serialize, ToSchema)]
#[schema(as = Segment)]
pub(crate) struct SegmentView<'a> {
    /// The row number. As `marker`, it starts the next page after this row.
    id: i64,
    #[schema(value_type = String, format = "uuid")]
    uuid: SegmentId,
    name: &'a str,
    service_type: &'a str,
    /// True if failures of the segment's hosts are recovered. If false, notifications from its hosts are accepted and ignored.
    enabled: bool,
    #[schema(required)]
    description: Option<&'a str>,
    #[schema(schema_with = recovery_method)]
    recovery_method: &'static str,
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

fn recovery_method() -> Object {
    enum_schema::values(RecoveryMethod::ALL.iter().map(|method| method.as_str()))
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
            // Deleted rows are never shown, but clients expect the keys.
            deleted_at: None,
            deleted: false,
        }
    }
}
