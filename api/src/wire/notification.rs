//! Notifications on the wire.

use std::collections::BTreeMap;

use serde::Serialize;
use tachi_domain::entity::notification::NewNotification;
use tachi_domain::entity::progress::ProgressDetail;
use tachi_domain::entity::{Notification, TaskProgress};
use tachi_domain::{HostId, NotificationId, SegmentId};

use super::fields::{Body, Fields};
use super::payload::Pairs;
use super::rules::{DateTime, HOSTNAME, NOTIFICATION_TYPE};
use crate::datetime::{Iso, Spaced};
use crate::microversion::Microversion;

impl Body for NewNotification {
    const KEY: &'static str = "notification";

    fn fields(fields: &mut impl Fields, _: Microversion) -> Option<Self> {
        let kind = fields.required("type", NOTIFICATION_TYPE);
        let hostname = fields.required("hostname", HOSTNAME);
        let generated_time = fields.required("generated_time", DateTime);
        let payload = fields.required("payload", Pairs);
        Some(Self {
            kind: kind?,
            hostname: hostname?,
            generated_time: generated_time?,
            payload: payload?,
        })
    }
}

/// A notification as callers see it.
#[derive(Serialize)]
pub(crate) struct NotificationView<'a> {
    id: i64,
    notification_uuid: NotificationId,
    generated_time: Iso,
    source_host_uuid: HostId,
    #[serde(rename = "type")]
    kind: &'static str,
    payload: &'a BTreeMap<String, String>,
    status: &'static str,
    failover_segment_uuid: Option<SegmentId>,
    message: Option<&'a str>,
    created_at: Iso,
    updated_at: Option<Iso>,
    deleted_at: Option<Iso>,
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery_workflow_details: Option<Vec<TaskView<'a>>>,
}

impl<'a> NotificationView<'a> {
    /// The view with the tasks' progress.
    #[must_use]
    pub(crate) fn with_progress(mut self, tasks: &'a [TaskProgress]) -> Self {
        self.recovery_workflow_details = Some(tasks.iter().map(TaskView::from).collect());
        self
    }
}

impl<'a> From<&'a Notification> for NotificationView<'a> {
    fn from(notification: &'a Notification) -> Self {
        Self {
            id: notification.row,
            notification_uuid: notification.id,
            generated_time: Iso(notification.generated_time),
            source_host_uuid: notification.source_host,
            kind: notification.kind.as_str(),
            payload: &notification.payload,
            status: notification.status.as_str(),
            failover_segment_uuid: notification.segment,
            message: notification.message.as_deref(),
            created_at: Iso(notification.stamps.created_at),
            updated_at: notification.stamps.updated_at.map(Iso),
            deleted_at: None,
            deleted: false,
            recovery_workflow_details: None,
        }
    }
}

/// A task of a recovery.
#[derive(Serialize)]
struct TaskView<'a> {
    name: &'a str,
    progress: f64,
    state: &'a str,
    progress_details: Vec<DetailView<'a>>,
}

impl<'a> From<&'a TaskProgress> for TaskView<'a> {
    fn from(task: &'a TaskProgress) -> Self {
        Self {
            name: &task.name,
            progress: task.progress,
            state: &task.state,
            progress_details: task.details.iter().map(DetailView::from).collect(),
        }
    }
}

/// A line of a task's story. Here the progress is a text: Masakari keeps these lines as such.
#[derive(Serialize)]
struct DetailView<'a> {
    timestamp: String,
    progress: String,
    message: &'a str,
}

impl<'a> From<&'a ProgressDetail> for DetailView<'a> {
    fn from(detail: &'a ProgressDetail) -> Self {
        Self {
            timestamp: Spaced(detail.at).to_string(),
            // Debug keeps the ".0" of a whole number.
            progress: format!("{:?}", detail.progress),
            message: &detail.message,
        }
    }
}
