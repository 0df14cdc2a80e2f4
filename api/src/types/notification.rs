//! Notifications in requests and answers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::entity::progress::ProgressDetail;
use tachi_domain::entity::{Notification, TaskProgress};
use tachi_domain::{HostId, NotificationId, SegmentId};
use utoipa::ToSchema;
use utoipa::openapi::Object;

use super::enum_schema;
use super::fields::{Body, Fields, Problems};
use super::payload::{self, Pairs};
use super::rules::{DateTime, HOSTNAME, NOTIFICATION_TYPE, Rule as _};
use crate::datetime::{Iso, SpacedTime};
use crate::microversion::Microversion;
use crate::policy::ReportContext;

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
            evidence: None,
            reporter: None,
        })
    }

    fn claim(&self) -> Option<ReportContext<'_>> {
        Some(ReportContext {
            hostname: &self.hostname,
            kind: self.kind,
            bound_host: None,
        })
    }

    fn later(object: &Map<String, Value>) -> Problems {
        let read = |key: &str| object.get(key).unwrap_or(&Value::Null);
        match (NOTIFICATION_TYPE.read(read("type")), Pairs.read(read("payload"))) {
            (Ok(kind), Ok(payload)) => payload::check(kind, &payload).err().unwrap_or_default(),
            _ => Problems::default(),
        }
    }
}

/// A notification in an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = Notification)]
pub(crate) struct NotificationView<'a> {
    /// The row number. As `marker`, it starts the next page after this row.
    id: i64,
    #[schema(value_type = String, format = "uuid")]
    notification_uuid: NotificationId,
    /// The time when the reporter saw the failure, by the reporter's clock.
    generated_time: Iso,
    /// The UUID of the host that the notification is about. The host may have been deleted since.
    #[schema(value_type = String, format = "uuid")]
    source_host_uuid: HostId,
    #[serde(rename = "type")]
    #[schema(schema_with = kind)]
    kind: &'static str,
    payload: &'a BTreeMap<String, String>,
    #[schema(schema_with = status)]
    status: &'static str,
    /// The UUID of the host's segment. Null in rows that are older than this column.
    #[schema(required, value_type = Option<String>, format = "uuid")]
    failover_segment_uuid: Option<SegmentId>,
    /// The reason why the notification is on hold, was ignored, or failed. Null if there is none.
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
    /// The tasks of the recovery. Present only when a single notification is shown, from microversion 1.1 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    recovery_workflow_details: Option<Vec<TaskView<'a>>>,
}

impl<'a> NotificationView<'a> {
    /// Adds the progress of the tasks.
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
#[derive(Serialize, ToSchema)]
#[schema(as = Task)]
pub(crate) struct TaskView<'a> {
    name: &'a str,
    /// The progress, from 0.0 to 1.0.
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

/// A line in the log of a task. The progress is a text here, as Masakari stores it.
#[derive(Serialize, ToSchema)]
#[schema(as = TaskDetail)]
pub(crate) struct DetailView<'a> {
    /// The time in UTC, with a blank between date and time. The fraction is omitted when it is zero.
    timestamp: String,
    progress: String,
    message: &'a str,
}

impl<'a> From<&'a ProgressDetail> for DetailView<'a> {
    fn from(detail: &'a ProgressDetail) -> Self {
        Self {
            timestamp: SpacedTime(detail.at).to_string(),
            // Debug formatting keeps the ".0" of a whole number.
            progress: format!("{:?}", detail.progress),
            message: &detail.message,
        }
    }
}

fn kind() -> Object {
    enum_schema::values(NotificationType::ALL.iter().map(|kind| kind.as_str()))
}

fn status() -> Object {
    enum_schema::values(NotificationStatus::ALL.iter().map(|status| status.as_str()))
}
