//! A recovery in a list.

use serde::{Deserialize, Serialize};
use tachi_domain::downtime::Downtime;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{HostId, NotificationId, RecoveryId, SegmentId};
use tachi_engine::ports::operator::{MoveCounts, RecoveryState, RecoverySummary};
use utoipa::ToSchema;

use crate::downtime::rounded;
use crate::schema;
use crate::story::{InstanceView, down};
use crate::waits::WaitView;
use crate::when::Time;

/// The words for states that recoveries can be listed by.
pub const STATES: &[&str] = &[
    "held", "open", "watching", "closed", "new", "running", "finished", "failed", "ignored",
];

/// The state that a word of [`STATES`] stands for.
pub fn state(word: &str) -> Option<RecoveryState> {
    if !STATES.contains(&word) {
        return None;
    }
    let life = || Life::from_word(word).map(RecoveryState::Life);
    let status = || NotificationStatus::from_word(word).map(RecoveryState::Status);
    if word == "held" {
        Some(RecoveryState::Held)
    } else {
        life().or_else(status)
    }
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Recovery)]
pub struct RecoveryView {
    /// Its id; the `marker` of the next page.
    #[schema(value_type = String, format = "uuid")]
    pub recovery: RecoveryId,
    /// The notification that caused it.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// What it is about.
    #[schema(schema_with = schema::kind)]
    pub kind: RecoveryKind,
    /// The host's name.
    pub host: String,
    /// The host.
    #[schema(value_type = String, format = "uuid")]
    pub host_id: HostId,
    /// The segment that the host was in.
    #[schema(required, value_type = Option<String>)]
    pub segment: Option<SegmentId>,
    /// Where it is in its life.
    #[schema(schema_with = schema::life)]
    pub life: Life,
    /// Its notification's status; `purged` if that is gone.
    pub status: String,
    /// What it waits for.
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// For people.
    #[schema(required)]
    pub message: Option<String>,
    /// The engine that has it.
    #[schema(required)]
    pub owner: Option<String>,
    /// When it was opened.
    pub opened_at: Time,
    /// Opening of the first attempt: earlier than `opened_at` after a retry. Null from an older API.
    #[serde(default)]
    #[schema(required)]
    pub first_reported_at: Option<Time>,
    /// How its instances fare.
    pub moves: MovesView,
    /// For how long those that are back were down, all together; null unless `downtime` asks for it, and of what was planned.
    #[serde(default)]
    #[schema(required)]
    pub down_seconds: Option<f64>,
    /// What became of the instance that was asked about.
    #[serde(default)]
    #[schema(required)]
    pub instance: Option<InstanceView>,
}

impl RecoveryView {
    /// With what became of its instances; `moved` has those of other recoveries, too.
    #[must_use]
    pub fn with(mut self, row: &RecoverySummary, moved: &[Vmove], instance: Option<&str>) -> Self {
        let own = || moved.iter().filter(|one| one.notification == row.notification);
        if !row.kind.is_planned() {
            let lasted: Downtime = own().filter_map(|one| down(row, one)).collect();
            self.down_seconds = Some(rounded(lasted.total().as_secs_f64()));
        }
        let asked = instance.and_then(|id| own().find(|one| one.instance_uuid == id));
        self.instance = asked.map(|one| InstanceView::of(row, one));
        self
    }
}

/// The instances of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryMoves)]
pub struct MovesView {
    /// All of them.
    pub total: u64,
    /// To be asked for, or held.
    pub pending: u64,
    /// Nova has been asked.
    pub ongoing: u64,
    /// On another host.
    pub succeeded: u64,
    /// Need an operator.
    pub failed: u64,
    /// Left where they were, by policy or by an operator's word.
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
            message: row.message.clone(),
            owner: row.owner.clone(),
            opened_at: Time(row.opened_at),
            first_reported_at: Some(Time(row.first_reported_at)),
            moves: row.moves.into(),
            down_seconds: None,
            instance: None,
        }
    }
}
