//! Vmoves on the wire.

use serde::Serialize;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::{VmoveStatus, VmoveType};
use tachi_domain::{NotificationId, VmoveId};

use crate::datetime::Iso;

/// A vmove as callers see it.
#[derive(Serialize)]
pub(crate) struct VmoveView<'a> {
    id: i64,
    uuid: VmoveId,
    notification_uuid: NotificationId,
    instance_uuid: &'a str,
    instance_name: &'a str,
    source_host: Option<&'a str>,
    dest_host: Option<&'a str>,
    start_time: Option<Iso>,
    end_time: Option<Iso>,
    #[serde(rename = "type")]
    kind: Option<&'static str>,
    status: Option<&'static str>,
    message: Option<&'a str>,
    created_at: Iso,
    updated_at: Option<Iso>,
    deleted_at: Option<Iso>,
    deleted: bool,
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
