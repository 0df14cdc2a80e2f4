//! One instance that is to be moved.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Dated, Planned, PlannedCall};
use crate::elapsed::Elapsed;
use crate::entity::vmove::VmoveStatus;
use crate::id::{MigrationId, ServerId, VmoveId};
use crate::question::Question;
use crate::recovery::{Followed, Now, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveStage {
    /// Nova has not been asked.
    Pending,
    /// Nova has been asked, or may have been.
    Asked,
    /// It has moved.
    Moved,
    /// It stays, and Nova was not asked or has refused.
    Left,
    /// Nova was asked, and it did not move, or nobody knows.
    Failed,
}

/// An instance that is to be moved, and how far that is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Its id in the API.
    pub vmove: VmoveId,
    /// The instance.
    pub server: ServerId,
    /// The instance's name.
    pub name: String,
    /// Moves are begun in this order.
    pub rank: u32,
    /// The host it is on.
    pub source: String,
    /// The host it goes to, as far as that is known.
    pub dest: Option<String>,
    /// How far it is.
    pub stage: MoveStage,
    /// The latest live migration Nova had of it before it was asked: any later one is the effect (R8).
    pub before: Option<MigrationId>,
    /// Nova's record of it.
    pub record: Option<MigrationId>,
    /// The call.
    pub asked: Option<PlannedCall>,
    /// How often it was asked for.
    pub tries: u32,
    /// Nova's refusal; what Nova shows afterwards says whether it is one.
    pub refused: Option<String>,
    /// The call that aborts it.
    pub aborting: Option<PlannedCall>,
    /// Why it was asked to be aborted.
    pub abort_reason: Option<String>,
    /// How much of it is done, in tens of percent.
    pub percent: Option<u8>,
    /// When Nova was asked first; for people.
    pub asked_at: Option<Timestamp>,
    /// When it was over; for people.
    pub over_at: Option<Timestamp>,
    /// What a person should know.
    pub note: Option<String>,
    /// The instance and its migration.
    #[serde(skip)]
    pub(super) read: Question,
    #[serde(skip)]
    pub(super) seen: Option<Dated<Followed>>,
    /// Since when it has a task that is not this one's.
    #[serde(skip)]
    pub(super) busy_since: Option<Elapsed>,
    /// Since when a recovery's lock on it is waited for. It takes no place meanwhile.
    #[serde(skip)]
    pub(super) locked_since: Option<Elapsed>,
    /// In how many looks nothing was seen of a call that nobody has answered.
    #[serde(skip)]
    pub(super) absent: u32,
}

impl PlannedMove {
    /// Whether nothing more is done about it.
    pub fn is_over(&self) -> bool {
        !matches!(self.stage, MoveStage::Pending | MoveStage::Asked)
    }

    /// Whether Nova has accepted the call: then no other migration of it was under way.
    pub(super) fn is_accepted(&self) -> bool {
        self.refused.is_none() && self.asked.is_some_and(|asked| asked.answered.is_some())
    }

    /// As the API shows it.
    pub fn status(&self) -> VmoveStatus {
        match self.stage {
            MoveStage::Pending => VmoveStatus::Pending,
            MoveStage::Asked => VmoveStatus::Ongoing,
            MoveStage::Moved => VmoveStatus::Succeeded,
            MoveStage::Left => VmoveStatus::Ignored,
            MoveStage::Failed => VmoveStatus::Failed,
        }
    }

    /// What the API tells of it.
    pub fn message(&self) -> Option<String> {
        if self.is_over() {
            return self.note.clone();
        }
        let percent = self.percent.map(|percent| format!("{percent} %"));
        self.note.clone().or(percent)
    }
}

impl Planned {
    /// Takes an instance in, unless it is known.
    pub(super) fn take_in(&mut self, server: ServerId, name: &str, source: &str, record: &mut Record) {
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
                asked: None,
                tries: 0,
                refused: None,
                aborting: None,
                abort_reason: None,
                percent: None,
                asked_at: None,
                over_at: None,
                note: None,
                read: Question::default(),
                seen: None,
                busy_since: None,
                locked_since: None,
                absent: 0,
            }
        });
    }

    /// It is over.
    pub(super) fn close(
        &mut self,
        server: ServerId,
        stage: MoveStage,
        text: &str,
        now: Now,
        record: &mut Record,
    ) {
        let Some(one) = self.moves.get_mut(&server) else {
            return;
        };
        one.stage = stage;
        one.over_at = Some(now.wall);
        one.note = (stage != MoveStage::Moved).then(|| text.to_owned());
        one.seen = None;
        let text = format!("{}: {text}", one.name);
        record.head = true;
        record.moves.insert(server);
        record.server_step(Task::LiveMigrate, StepKind::Outcome, server, 1.0, text);
    }

    /// How many are at this stage.
    pub(super) fn count(&self, stage: MoveStage) -> usize {
        self.moves.values().filter(|one| one.stage == stage).count()
    }

    /// The instances, in the order in which their moves are begun.
    pub(super) fn in_order(&self) -> Vec<ServerId> {
        let mut all: Vec<(u32, ServerId)> = self.moves.values().map(|one| (one.rank, one.server)).collect();
        all.sort_unstable();
        all.into_iter().map(|(_, server)| server).collect()
    }
}
