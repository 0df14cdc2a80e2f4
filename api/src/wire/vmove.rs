//! Vmoves on the wire.

use serde::Serialize;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::{NotificationId, VmoveId};
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::shown;
use crate::datetime::Iso;

/// A vmove as callers see it.
#[derive(Serialize, ToSchema)]
#[schema(as = Vmove)]
pub(crate) struct VmoveView<'a> {
    /// Row number; the `marker` of the next page.
    id: i64,
    #[schema(value_type = String, format = "uuid")]
    uuid: VmoveId,
    #[schema(value_type = String, format = "uuid")]
    notification_uuid: NotificationId,
    instance_uuid: &'a str,
    instance_name: &'a str,
    #[schema(required)]
    source_host: Option<&'a str>,
    /// Where the instance runs now.
    #[schema(required)]
    dest_host: Option<&'a str>,
    /// When Nova was asked to move it.
    #[schema(required)]
    start_time: Option<Iso>,
    #[schema(required)]
    end_time: Option<Iso>,
    #[serde(rename = "type")]
    #[schema(required, schema_with = kind)]
    kind: Option<&'static str>,
    #[schema(required, schema_with = status)]
    status: Option<&'static str>,
    /// Why it failed or was left.
    #[schema(required)]
    message: Option<&'a str>,
    created_at: Iso,
    /// Null until the first change.
    #[schema(required)]
    updated_at: Option<Iso>,
    /// Always null: deleted rows are not shown.
    #[schema(required)]
    deleted_at: Option<Iso>,
    /// Always false.
    deleted: bool,
}

fn kind() -> Object {
    shown::words_or_null(VmoveType::ALL.iter().map(|kind| kind.as_str()))
}

fn status() -> Object {
    shown::words_or_null(VmoveStatus::ALL.iter().map(|status| status.as_str()))
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
