//! The move of one instance of a host recovery.

pub(super) mod absence;
pub(super) mod answers;
pub(super) mod blank;
mod completed;
mod completion;
pub(super) mod evacuate;
mod failure;
pub(super) mod follow;
mod judge;
pub(super) mod lists;
pub(super) mod local_disk;
pub(super) mod records;
pub(super) mod resolutions;
pub(super) mod restoration;
mod start;
pub(super) mod track;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use completion::record_unrequested_end;
pub(super) use completion::{confirmed, finish, unlocked};
pub(super) use failure::{call_failed, nova_failed};
pub use local_disk::DiskWait;
pub use start::{ExcludedStart, StartCall, StartEnd};

use super::method::PlacementPlan;
use crate::elapsed::Elapsed;
use crate::entity::vmove::VmoveStatus;
use crate::id::{MigrationId, ServerId, VmoveId};
use crate::nova::{Migration, PowerState, VmState};
use crate::recovery::{DecisionTime, Restoration, ServerCall, WrittenOff};
use crate::state_version::StateVersion;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

/// The note on an instance that was moved by a request that the journal has lost.
pub(super) const UNKNOWN_STATE_NOTE: &str =
    "moved by a request that the database lost: what it was before is not known";

/// The note on an instance after such a loss, if it is in `error` where it was.
pub(super) const OWN_ERROR_NOTE: &str =
    "in error since before the database lost the latest requests: what it was before them is not known";

/// The note on an instance whose lock Nova has refused.
pub(super) const NOT_LOCKED_NOTE: &str = "it could not be locked";

/// The original state of an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalState {
    pub vm_state: VmState,
    pub power_state: PowerState,
}

/// The owner of the lock on an instance, which decides how a locked instance is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// No lock yet; the recovery is to set its own.
    Wanted,
    /// The recovery has requested its own lock.
    Asked,
    /// The recovery's own lock.
    Ours,
    /// The lock of the instance's owner, which is kept.
    Owners,
    /// No lock, and the recovery sets none: Nova refused it, or it has been removed.
    None,
}

/// The reset to `error` that Nova requires before it evacuates an instance in some states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// The instance is in a state that Nova evacuates.
    NotNeeded,
    /// The reset is to be requested.
    Wanted,
    /// The reset was requested.
    Asked {
        /// The time at which the intent was journalled.
        at: Elapsed,
        /// True if no answer came, or an earlier owner requested it. Its effect is checked for, and it is not repeated before D + Q have
        /// passed.
        #[serde(rename = "loose")]
        unanswered: bool,
    },
    /// The reset is done.
    Done,
}

/// The end of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// The instance is on another host, in its original state.
    Moved,
    /// The instance is not moved: a stated policy excludes it, or it has left the host.
    Left,
    /// The instance needs an operator.
    Person,
}

/// The step that a move is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum MoveStep {
    /// On hold, because it may run on another host too; checked again at intervals.
    #[serde(rename = "held")]
    OnHold,
    /// Waiting for its request.
    Waiting {
        /// The earliest time of the request.
        not_before: Elapsed,
    },
    /// The evacuation was requested from Nova, or is about to be.
    Asked {
        /// The time at which the intent was journalled.
        since: Elapsed,
        /// The highest evacuation record known at that time: any higher one is the effect.
        floor: MigrationId,
        /// True if Nova has accepted the request.
        answered: bool,
        /// The number of lists in a row, late enough to count, that showed no effect.
        absent: u8,
        /// The number of lists in a row that showed it neither on the host nor done.
        gone: u8,
    },
    /// On another host; being brought back to its original state.
    Restoring {
        /// The start of this step.
        since: Elapsed,
        /// The last request.
        #[serde(rename = "asked")]
        requested: Option<RestorationCall>,
    },
    /// Done but for the recovery's lock.
    Unlocking {
        /// The end that the move will have.
        end: End,
        /// True if the call is in flight.
        #[serde(rename = "asked")]
        requested: bool,
        /// The time at which the call was decided: it has not taken effect before.
        #[serde(default)]
        sent: Elapsed,
        /// The earliest time of the next call.
        not_before: Elapsed,
    },
    /// Done.
    #[serde(rename = "over")]
    Done(End),
}

/// A [`Restoration`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestorationKind {
    Stop,
    Pause,
    Suspend,
    MarkError,
    MarkActive,
}

impl From<&Restoration> for RestorationKind {
    fn from(restoration: &Restoration) -> Self {
        match restoration {
            Restoration::Stop => Self::Stop,
            Restoration::Pause => Self::Pause,
            Restoration::Suspend => Self::Suspend,
            Restoration::MarkError => Self::MarkError,
            Restoration::MarkActive => Self::MarkActive,
        }
    }
}

/// A restoration that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestorationCall {
    /// The restoration that was requested from Nova.
    pub what: RestorationKind,
    /// The time of the request.
    pub at: Elapsed,
    /// True if Nova has answered. Until then it may still take effect, and is not repeated.
    pub answered: bool,
}

/// The move of one instance.
#[expect(clippy::struct_excessive_bools, reason = "each is an independent observation")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The version of the stored state. Reading a state of a newer version fails.
    #[serde(default)]
    pub version: StateVersion,
    /// The id in Nova.
    pub server: ServerId,
    pub name: String,
    /// The id under which the API shows the move.
    pub vmove: VmoveId,
    /// The rank in the order, lowest first.
    pub rank: u32,
    /// True if its owner has marked it for high availability.
    pub tagged: bool,
    /// The priority that its owner has set, highest first: among instances of one kind, across all recoveries.
    #[serde(default)]
    pub priority: i32,
    /// The state to which it is brought back.
    pub was: OriginalState,
    /// True if it does not boot from a volume.
    pub image_backed: bool,
    /// The wait for its host to be back, because its disk is on that host alone. `None` if it does not wait, or no longer; a move that
    /// has ended because the host seemed to run keeps it.
    #[serde(default)]
    pub disk_wait: Option<DiskWait>,
    /// The owner of its lock: the recovery removes its own at the end, and any other stays.
    pub lock: Lock,
    /// The time of the last lock request without an answer: until D + Q have passed it may still take effect.
    #[serde(rename = "lock_loose")]
    pub unanswered_lock: Option<Elapsed>,
    /// The same for its unlocking, which would remove the lock of the next recovery that moves it.
    #[serde(default)]
    #[serde(rename = "unlock_loose")]
    pub unanswered_unlock: Option<Elapsed>,
    /// True if it is uncertain whether the lock on it is the recovery's own: an earlier owner has requested the lock or its removal,
    /// or a call has failed. The lock is then read before it is removed.
    #[serde(default)]
    #[serde(rename = "lock_in_doubt")]
    pub lock_owner_unknown: bool,
    /// The time at which Nova answered that it has set the recovery's lock.
    #[serde(default)]
    pub locked_at: Option<Elapsed>,
    /// The earliest time of the next lock request while the evacuation is in flight.
    pub lock_not_before: Elapsed,
    /// The preparation, because Nova evacuates no instance in some states.
    pub preparation: Preparation,
    /// The highest evacuation record known for it.
    pub known: MigrationId,
    /// Evacuation records that were given up.
    pub written_off: Vec<WrittenOff>,
    /// Other hosts on which it may run, because Nova has recorded an evacuation to them as failed.
    #[serde(default)]
    pub may_run: BTreeSet<String>,
    /// Those of them that are confirmed off, for as long as they are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub counted_off: BTreeSet<String>,
    /// Other hosts on which it may run, because another move to or from them was unfinished when the host died.
    #[serde(default)]
    pub elsewhere: BTreeSet<String>,
    /// Other hosts on which it does not run, as an operator has confirmed.
    #[serde(default)]
    pub absent: BTreeSet<String>,
    /// True if it is done because Nova did not know it any more, in more than one answer.
    #[serde(default)]
    pub deleted: bool,
    /// True if Nova was moving it to the host when the host died, and has never shown it there.
    #[serde(default)]
    pub awaited: bool,
    /// True if its task_state was `rebuilding` before it was requested, so that this task shows nothing about the result.
    pub busy_before: bool,
    pub step: MoveStep,
    /// The number of times that Nova has failed it.
    pub failures: u32,
    /// The time of the first of these failures.
    #[serde(default)]
    pub failed_first: Option<Elapsed>,
    /// The number of calls about it in a row that have failed in a way that may pass.
    pub faults: u32,
    /// The time since which every call about it has failed.
    #[serde(default)]
    pub failing_since: Option<Elapsed>,
    /// The task in progress that Nova showed in the last check after a refusal.
    #[serde(default)]
    pub task: Option<String>,
    /// The time of Nova's last refusal to evacuate it. If the host's service turns out not to be forced down, that was the reason.
    #[serde(default)]
    pub refused: Option<Elapsed>,
    /// The host that it is on now.
    pub dest: Option<String>,
    /// The number of the proof on which it was last requested; the first of a recovery is 1.
    #[serde(default)]
    pub proof: Option<u32>,
    /// The note for operators.
    pub note: Option<String>,
    /// The reason why the latest call about it failed, if it did.
    pub fault: Option<String>,
    /// The time of the first request to Nova; for display.
    pub asked_at: Option<Timestamp>,
    /// The time at which it was done; for display.
    #[serde(rename = "over_at")]
    pub done_at: Option<Timestamp>,
    /// The way in which its destination is chosen.
    #[serde(default)]
    pub route: PlacementPlan,
    /// The current wait; `None` in a state that an older version wrote.
    #[serde(default)]
    pub wait: Option<Wait>,
    /// The start of an excluded instance after the host's return; `None` if it is not to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<ExcludedStart>,
}

impl Move {
    /// Returns the status that the API shows.
    pub fn status(&self) -> VmoveStatus {
        match &self.step {
            MoveStep::OnHold | MoveStep::Waiting { .. } => VmoveStatus::Pending,
            MoveStep::Asked { .. } | MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } => {
                VmoveStatus::Ongoing
            }
            MoveStep::Done(End::Moved) => VmoveStatus::Succeeded,
            MoveStep::Done(End::Left) => VmoveStatus::Ignored,
            MoveStep::Done(End::Person) => VmoveStatus::Failed,
        }
    }

    /// True if the move is done.
    pub fn is_finished(&self) -> bool {
        matches!(self.step, MoveStep::Done(_))
    }

    /// True if Nova may be rebuilding it.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.step, MoveStep::Asked { .. })
    }

    /// True if it is being prepared for its request. A move whose instance was deleted meanwhile is done, and needs no slot.
    pub(super) fn is_being_prepared(&self) -> bool {
        matches!(self.step, MoveStep::Waiting { .. }) && matches!(self.preparation, Preparation::Asked { .. })
    }

    /// Serializes the move for the journal.
    ///
    /// # Errors
    ///
    /// Never fails in practice; serde's signature requires the result.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Resets the state that depends on answers to the last owner, whose calls may or may not have been sent. Locking and unlocking are
    /// simply repeated. A call that changes more is checked for its effect, and never repeated at once.
    pub(super) fn forget_answers(&mut self, now: Elapsed) {
        self.lock_owner_unknown = true;
        if !self.is_finished() {
            // Its unlocking is not journalled: one that was sent may still remove the lock of the next recovery that moves it.
            self.unanswered_unlock = Some(now);
        }
        if matches!(self.lock, Lock::Wanted | Lock::Asked) && !matches!(self.step, MoveStep::Done(_)) {
            self.lock = Lock::Wanted;
            self.unanswered_lock = Some(now);
        }
        if let Preparation::Asked { unanswered, .. } = &mut self.preparation {
            *unanswered = true;
        }
        match &mut self.step {
            MoveStep::Asked { absent, gone, .. } => {
                *absent = 0;
                *gone = 0;
            }
            MoveStep::Unlocking { requested, .. } => *requested = false,
            MoveStep::OnHold | MoveStep::Waiting { .. } | MoveStep::Restoring { .. } | MoveStep::Done(_) => {}
        }
    }

    /// Records that Nova has not finished the move: no earlier owner can have unlocked an instance whose records show it in progress.
    pub(super) fn seen_under_way(&mut self, records: &[&Migration], polled_at: Elapsed) {
        let under_way = !records.is_empty() && !records.iter().any(|record| record.status.has_moved());
        if under_way && self.is_in_flight() && self.unanswered_unlock.is_some_and(|at| polled_at >= at) {
            self.unanswered_unlock = None;
        }
    }

    /// Reverts a call that was not carried out.
    pub(super) fn not_sent(&mut self, call: ServerCall, now: Elapsed) {
        match call {
            ServerCall::Lock => {
                if self.lock == Lock::Asked {
                    self.lock = Lock::Wanted;
                }
            }
            ServerCall::Prepare => {
                if matches!(self.preparation, Preparation::Asked { .. }) {
                    self.preparation = Preparation::Wanted;
                }
            }
            ServerCall::Evacuate => {
                if self.is_in_flight() {
                    self.step = MoveStep::Waiting { not_before: now };
                }
            }
            ServerCall::Unlock => {
                if let MoveStep::Unlocking { requested, .. } = &mut self.step {
                    *requested = false;
                }
            }
            ServerCall::Restore => {
                if let MoveStep::Restoring { requested, .. } = &mut self.step {
                    *requested = None;
                }
            }
            ServerCall::Stop
            | ServerCall::Start
            | ServerCall::Migrate
            | ServerCall::ConfirmMigration
            | ServerCall::Activate
            | ServerCall::LiveMigrate
            | ServerCall::AbortMigration => {}
        }
    }

    /// Finishes the move but for the recovery's lock, if it has one or may yet get one.
    pub(super) fn finish(&mut self, end: End, now: Elapsed) {
        self.faults = 0;
        let may_be_locked = match self.lock {
            Lock::Ours | Lock::Asked => true,
            Lock::Wanted | Lock::None | Lock::Owners => self.unanswered_lock.is_some(),
        };
        self.lock_owner_unknown |= self.lock != Lock::Ours;
        self.step = if may_be_locked {
            MoveStep::Unlocking {
                end,
                requested: false,
                sent: now,
                not_before: now,
            }
        } else {
            MoveStep::Done(end)
        };
    }

    /// Records that Nova has deleted the instance, and any lock with it.
    pub(super) fn deleted(&mut self) {
        self.remark("it has been deleted meanwhile");
        self.deleted = true;
        self.lock = Lock::None;
        self.unanswered_lock = None;
        self.unanswered_unlock = None;
    }

    /// Follows an existing evacuation, perhaps of an earlier recovery, instead of requesting another.
    pub(super) fn follow_existing(&mut self, first: MigrationId, now: DecisionTime) {
        self.step = MoveStep::Asked {
            since: now.elapsed,
            floor: MigrationId(first.0.saturating_sub(1)),
            // It is not known who requested it, nor whether Nova has answered.
            answered: false,
            absent: 0,
            gone: 0,
        };
        self.disk_wait = None;
        self.asked_at.get_or_insert(now.wall);
    }

    /// True if `record` has been given up in exactly its current shape.
    pub(super) fn has_written_off(&self, record: &Migration) -> bool {
        self.written_off
            .iter()
            .any(|off| off.id == record.id && off.status == record.status && off.dest == record.dest)
    }

    /// Drops the note, but keeps the remarks that stay true: that its original state is unknown, and that it is not locked.
    pub(super) fn clear_note(&mut self) {
        let note = self.note.take().unwrap_or_default();
        for text in [UNKNOWN_STATE_NOTE, OWN_ERROR_NOTE, NOT_LOCKED_NOTE]
            .into_iter()
            .filter(|text| note.contains(text))
        {
            self.remark(text);
        }
    }

    /// Adds a sentence to the note.
    pub(super) fn remark(&mut self, text: &str) {
        match &mut self.note {
            Some(note) if note.contains(text) => {}
            Some(note) => {
                note.push_str("; ");
                note.push_str(text);
            }
            None => self.note = Some(text.to_owned()),
        }
    }
}
