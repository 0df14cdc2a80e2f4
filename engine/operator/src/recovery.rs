//! A recovery as lists show it.

use serde::{Deserialize, Serialize};
use tachi_domain::downtime::Downtime;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{DISMISSED_STATUS, Life, RecoveryKind};
use tachi_domain::{HostId, NotificationId, RecoveryId, SegmentId};
use tachi_engine::ports::operator::{MoveCounts, RecoveryState, RecoverySummary};
use utoipa::ToSchema;

use crate::downtime::rounded;
use crate::history::{InstanceView, down};
use crate::plain::without_repeats;
use crate::schema;
use crate::waits::WaitView;
use crate::when::Time;

/// The names of the states that recoveries can be filtered by.
pub const STATES: &[&str] = &[
    "held",
    "open",
    "watching",
    "closed",
    "new",
    "running",
    "finished",
    "failed",
    "ignored",
    DISMISSED_STATUS,
];

/// Returns the state for a name of [`STATES`].
pub fn state(value: &str) -> Option<RecoveryState> {
    if !STATES.contains(&value) {
        return None;
    }
    let life = || Life::from_value(value).map(RecoveryState::Life);
    let status = || NotificationStatus::from_value(value).map(RecoveryState::Status);
    match value {
        "held" => Some(RecoveryState::OnHold),
        DISMISSED_STATUS => Some(RecoveryState::Dismissed),
        _ => life().or_else(status),
    }
}

/// A recovery as lists show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Recovery)]
pub struct RecoveryView {
    /// The recovery's id; also the `marker` for the next page.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The id of the notification that caused the recovery.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// The kind of recovery.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// The host's name.
    pub host: String,
    /// The host's id.
    #[schema(value_type = String, format = "uuid")]
    pub host_id: HostId,
    /// The id of the segment that the host was in; null if unknown.
    #[schema(required, value_type = Option<String>)]
    pub segment: Option<SegmentId>,
    /// The life-cycle state: `open`, `watching` for the host's return, or `closed`.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// The status of the notification; `dismissed` if the report was a false alarm and nothing was done, `purged` if the notification no
    /// longer exists.
    pub status: String,
    /// The wait that the recovery is in; null if no engine has decided on one yet.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The reason for a hold, or the result; for people. Null if there is neither.
    #[schema(required)]
    pub message: Option<String>,
    /// The engine that owns the recovery; null if none does.
    #[schema(required)]
    pub owner: Option<String>,
    /// When the recovery was opened.
    pub opened_at: Time,
    /// When the first attempt was opened: earlier than `opened_at` after a retry. Null from an older API.
    #[serde(default)]
    #[schema(required)]
    pub first_reported_at: Option<Time>,
    /// The number of instances by the status of their moves.
    pub moves: MovesView,
    /// The total downtime in seconds of the instances that are back. Null unless the query asks for `downtime`, for a planned
    /// recovery, and for one of an instance or a process.
    #[serde(default)]
    #[schema(required)]
    pub down_seconds: Option<f64>,
    /// The move of the instance that the query names; null if it names none.
    #[serde(default)]
    #[schema(required)]
    pub instance: Option<InstanceView>,
}

impl RecoveryView {
    /// Adds the downtime and the move of `instance`. `moved` may contain the instances of other recoveries too.
    #[must_use]
    pub fn with(mut self, row: &RecoverySummary, moved: &[Vmove], instance: Option<&str>) -> Self {
        let own = || {
            moved
                .iter()
                .filter(|vmove| vmove.notification == row.notification)
        };
        // A list does not read the end of a recovery without moves; its history shows the downtime.
        if !row.kind.is_planned() && (row.kind == RecoveryKind::Host || own().next().is_some()) {
            let lasted: Downtime = own().filter_map(|vmove| down(row, vmove)).collect();
            self.down_seconds = Some(rounded(lasted.total().as_secs_f64()));
        }
        let vmove = instance.and_then(|id| own().find(|vmove| vmove.instance_uuid == id));
        self.instance = vmove.map(|vmove| InstanceView::of(row, vmove));
        self
    }
}

/// The number of a recovery's instances by the status of their moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryMoves)]
pub struct MovesView {
    /// The number of all instances.
    pub total: u64,
    /// Instances whose move was not requested yet, or is on hold.
    pub pending: u64,
    /// Instances that Nova was asked to move.
    pub ongoing: u64,
    /// Instances that are on another host, that were started on their own one after its return, or that a later recovery has moved.
    pub succeeded: u64,
    /// Instances that need an operator.
    pub failed: u64,
    /// Instances that were left where they are, by policy or by an operator's action, and are not known to run again.
    pub ignored: u64,
}

impl From<MoveCounts> for MovesView {
    fn from(counts: MoveCounts) -> Self {
        Self {
            total: counts.total(),
            pending: counts.pending,
            ongoing: counts.ongoing,
            succeeded: counts.succeeded,
            failed: counts.failed,
            ignored: counts.ignored,
        }
    }
}

impl From<&RecoverySummary> for RecoveryView {
    fn from(row: &RecoverySummary) -> Self {
        Self {
            recovery: row.id,
            notification: row.notification,
            kind: row.kind,
            host: row.host.clone(),
            host_id: row.host_id,
            segment: row.segment,
            life: row.life,
            status: row.status.clone(),
            waits: row.wait.as_ref().map(WaitView::from),
            message: row.message.as_deref().map(without_repeats),
            owner: row.owner.clone(),
            opened_at: Time(row.opened_at),
            first_reported_at: Some(Time(row.first_reported_at)),
            moves: row.moves.into(),
            down_seconds: None,
            instance: None,
        }
    }
}
