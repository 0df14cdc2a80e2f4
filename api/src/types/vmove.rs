//! Vmoves in answers.

use serde::Serialize;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::{NotificationId, VmoveId};
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::enum_schema;
use crate::datetime::Iso;

/// A vmove, the move of one instance by a recovery, in an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Vmove)]
pub(crate) struct VmoveView<'a> {
    /// The row number. As `marker`, it starts the next page after this row.
    id: i64,
    #[schema(value_type = String, format = "uuid")]
    uuid: VmoveId,
    #[schema(value_type = String, format = "uuid")]
    notification_uuid: NotificationId,
    /// The id of the instance in Nova.
    instance_uuid: &'a str,
    instance_name: &'a str,
    /// The host where the instance was, by its name in Nova.
    #[schema(required)]
    source_host: Option<&'a str>,
    /// The host where the instance is now, by its name in Nova. Null until it is known.
    #[schema(required)]
    dest_host: Option<&'a str>,
    /// The time when Nova was asked to move the instance. Null before that.
    #[schema(required)]
    start_time: Option<Iso>,
    /// The time when the move finished, successfully or not. Null before that.
    #[schema(required)]
    end_time: Option<Iso>,
    #[serde(rename = "type")]
    #[schema(required, schema_with = kind)]
    kind: Option<&'static str>,
    #[schema(required, schema_with = status)]
    status: Option<&'static str>,
    /// The reason why the move failed, or why the instance was excluded. Null if there is none.
    #[schema(required)]
    message: Option<&'a str>,
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

fn kind() -> Object {
    enum_schema::nullable_string_enum(VmoveType::ALL.iter().map(|kind| kind.as_str()))
}

fn status() -> Object {
    enum_schema::nullable_string_enum(VmoveStatus::ALL.iter().map(|status| status.as_str()))
}

impl<'a> From<&'a Vmove> for VmoveView<'a> {
    fn from(vmove: &'a Vmove) -> Self {
        Self {
            id: vmove.row,
            uuid: vmove.id,
            notification_uuid: vmove.notification,
            instance_uuid: &vmove.instance_uuid,
            instance_name: &vmove.instance_name,
            source_host: vmove.source_host.as_deref(),
            dest_host: vmove.dest_host.as_deref(),
            start_time: vmove.start_time.map(Iso),
            end_time: vmove.end_time.map(Iso),
            kind: vmove.kind.map(VmoveType::as_str),
            status: vmove.status.map(VmoveStatus::as_str),
            message: vmove.message.as_deref(),
            created_at: Iso(vmove.stamps.created_at),
            updated_at: vmove.stamps.updated_at.map(Iso),
            deleted_at: None,
            deleted: false,
        }
    }
}
