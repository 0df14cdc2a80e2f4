//! The instance of a recovery without moves: it is restarted, or moved by a cold migration.

use std::time::Duration;

use serde_json::Value;
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{Life, RecoveryKind, StepKind};
use tachi_engine::ports::operator::{RecoveryHistory, StepLine};

use super::{InstanceView, head, rounded, since_report};
use crate::when::Time;

/// Returns the view of the instance; `None` if the recovery has moves, or its instance is unknown.
pub(super) fn view(history: &RecoveryHistory) -> Option<InstanceView> {
    let summary = &history.summary;
    if summary.kind != RecoveryKind::Vm || !history.vmoves.is_empty() {
        return None;
    }
    let state = head(history);
    let text = |key: &str| state.get(key).and_then(Value::as_str).map(str::to_owned);
    let payload = history
        .notification
        .as_ref()
        .map(|notification| &notification.payload);
    let reported = payload.and_then(|payload| payload.get("instance_uuid").cloned());
    let id = reported.or_else(|| text("server"))?;
    let ended = |status: NotificationStatus| summary.status == status.as_str();
    let status = match summary.life {
        Life::Open | Life::Watching => VmoveStatus::Ongoing,
        Life::Closed if active_at(history).is_some() => VmoveStatus::Succeeded,
        Life::Closed if ended(NotificationStatus::Failed) => VmoveStatus::Failed,
        Life::Closed => VmoveStatus::Ignored,
    };
    let is_back = status == VmoveStatus::Succeeded;
    // The right command depends on the state that the instance has now; on a host that is being recovered there is none (R12).
    let show = || format!("tachi show {id}");
    let commands = match status {
        VmoveStatus::Failed => vec![show(), format!("tachi recovery retry {}", summary.id)],
        // It may be down: nothing was done because of its segment or its mark.
        VmoveStatus::Ignored => vec![show()],
        VmoveStatus::Pending | VmoveStatus::Ongoing | VmoveStatus::Succeeded => Vec::new(),
    };
    Some(InstanceView {
        name: text("name").unwrap_or_else(|| id.clone()),
        status: Some(status),
        from: Some(summary.host.clone()),
        to: text("host").filter(|_| is_back),
        message: summary.message.clone().filter(|_| !is_back),
        over_at: active_at(history).map(Time),
        ha_enabled: state.get("tagged").and_then(Value::as_bool),
        down_seconds: down(history).map(|(_, lasted)| rounded(lasted.as_secs_f64())),
        commands,
        id,
        ..InstanceView::default()
    })
}

/// Returns the downtime of the instance if it is back, with true if it is marked for high availability.
pub(super) fn down(history: &RecoveryHistory) -> Option<(bool, Duration)> {
    let at = active_at(history)?;
    let marked = head(history).get("tagged").and_then(Value::as_bool);
    Some((marked == Some(true), since_report(&history.summary, at)))
}

/// Returns when the instance was active again.
fn active_at(history: &RecoveryHistory) -> Option<Timestamp> {
    let summary = &history.summary;
    let is_active = head(history).get("active").and_then(Value::as_bool) == Some(true);
    if summary.kind != RecoveryKind::Vm
        || summary.status != NotificationStatus::Finished.as_str()
        || !is_active
        || !history.vmoves.is_empty()
    {
        return None;
    }
    let outcome = |step: &&StepLine| step.kind == StepKind::Outcome.as_str();
    Some(history.steps.iter().rfind(outcome)?.at)
}
