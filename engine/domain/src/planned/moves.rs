//! The move of one instance.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{NovaReading, PlannedCall, PlannedState};
use crate::elapsed::Elapsed;
use crate::entity::vmove::VmoveStatus;
use crate::id::{MigrationId, ServerId, VmoveId};
use crate::question::Question;
use crate::recovery::{DecisionTime, Record, ServerReading, StepKind, Task};
use crate::timestamp::Timestamp;

/// The stage of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveStage {
    /// No call has been made to Nova.
    Pending,
    /// Nova has received the call, or may have.
    Asked,
    /// The instance has moved.
    Moved,
    /// The instance stays: no call was made, or Nova has refused it.
    Left,
    /// Nova received the call, and the instance did not move or its state is unknown.
    Failed,
}

/// An instance that is to be moved, and its progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// The move's id in the API.
    pub vmove: VmoveId,
    pub server: ServerId,
    pub name: String,
    /// The position in the order of the moves.
    pub rank: u32,
    /// The host the instance is on.
    pub source: String,
    /// The destination host, if known.
    pub dest: Option<String>,
    pub stage: MoveStage,
    /// The instance's latest live migration in Nova before the call: any later one is the call's effect.
    pub before: Option<MigrationId>,
    /// The id of Nova's record of the move.
    pub record: Option<MigrationId>,
    /// The call that requests the move.
    #[serde(rename = "asked")]
    pub requested: Option<PlannedCall>,
    /// The number of calls made.
    pub tries: u32,
    /// Nova's refusal. Nova's later records show if it is a real one.
    pub refused: Option<String>,
    /// The call that aborts the move.
    pub aborting: Option<PlannedCall>,
    pub abort_reason: Option<String>,
    /// The progress, in tens of percent.
    pub percent: Option<u8>,
    /// The time of the first call to Nova; for people.
    pub asked_at: Option<Timestamp>,
    /// The time the move finished; for people.
    #[serde(rename = "over_at")]
    pub done_at: Option<Timestamp>,
    /// The text for operators.
    pub note: Option<String>,
    /// The pending read of the instance and its migration.
    #[serde(skip)]
    pub(super) read: Question,
    #[serde(skip)]
    pub(super) observed: Option<NovaReading<ServerReading>>,
    /// The time since which the instance has had a task that is not from this move.
    #[serde(skip)]
    pub(super) busy_since: Option<Elapsed>,
    /// The time since which the move waits for a recovery's lock. It takes no slot while waiting.
    #[serde(skip)]
    pub(super) locked_since: Option<Elapsed>,
    /// The number of reads that showed no effect of an unanswered call.
    #[serde(skip)]
    pub(super) absent: u32,
}

impl PlannedMove {
    /// True if the move is done and nothing more happens.
    pub fn is_finished(&self) -> bool {
        !matches!(self.stage, MoveStage::Pending | MoveStage::Asked)
    }

    /// True if Nova has accepted the call: then no other migration of the instance was in progress.
    pub(super) fn is_accepted(&self) -> bool {
        self.refused.is_none() && self.requested.is_some_and(|call| call.answered.is_some())
    }

    /// Returns the status for the API.
    pub fn status(&self) -> VmoveStatus {
        match self.stage {
            MoveStage::Pending => VmoveStatus::Pending,
            MoveStage::Asked => VmoveStatus::Ongoing,
            MoveStage::Moved => VmoveStatus::Succeeded,
            MoveStage::Left => VmoveStatus::Ignored,
            MoveStage::Failed => VmoveStatus::Failed,
        }
    }

    /// Returns the message for the API.
    pub fn message(&self) -> Option<String> {
        if self.is_finished() {
            return self.note.clone();
        }
        let percent = self.percent.map(|percent| format!("{percent} %"));
        self.note.clone().or(percent)
    }
}

impl PlannedState {
    /// Adds an instance, unless it is known.
    pub(super) fn add_move(&mut self, server: ServerId, name: &str, source: &str, record: &mut Record) {
        let rank = u32::try_from(self.moves.len()).unwrap_or(u32::MAX);
        let vmove = VmoveId(Uuid::new_v5(&self.id.0, server.0.as_bytes()));
        self.moves.entry(server).or_insert_with(|| {
            record.moves.insert(server);
            record.head = true;
            PlannedMove {
                vmove,
                server,
                name: name.to_owned(),
                rank,
                source: source.to_owned(),
                dest: None,
                stage: MoveStage::Pending,
                before: None,
                record: None,
                requested: None,
                tries: 0,
                refused: None,
                aborting: None,
                abort_reason: None,
                percent: None,
                asked_at: None,
                done_at: None,
                note: None,
                read: Question::default(),
                observed: None,
                busy_since: None,
                locked_since: None,
                absent: 0,
            }
        });
    }

    /// Closes a move.
    pub(super) fn close(
        &mut self,
        server: ServerId,
        stage: MoveStage,
        text: &str,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let Some(instance) = self.moves.get_mut(&server) else {
            return;
        };
        instance.stage = stage;
        instance.done_at = Some(now.wall);
        instance.note = (stage != MoveStage::Moved).then(|| text.to_owned());
        instance.observed = None;
        let text = format!("{}: {text}", instance.name);
        record.head = true;
        record.moves.insert(server);
        record.server_step(Task::LiveMigrate, StepKind::Outcome, server, 1.0, text);
    }

    /// Returns the number of moves in this stage.
    pub(super) fn count(&self, stage: MoveStage) -> usize {
        self.moves
            .values()
            .filter(|instance| instance.stage == stage)
            .count()
    }

    /// Returns the instances in the order of their moves.
    pub(super) fn in_order(&self) -> Vec<ServerId> {
        let mut all: Vec<(u32, ServerId)> = self
            .moves
            .values()
            .map(|instance| (instance.rank, instance.server))
            .collect();
        all.sort_unstable();
        all.into_iter().map(|(_, server)| server).collect()
    }
}
