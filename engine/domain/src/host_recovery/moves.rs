//! One instance of a host recovery.

pub(super) mod absence;
pub(super) mod answers;
pub(super) mod blank;
mod done;
mod ending;
pub(super) mod evacuate;
mod failing;
pub(super) mod follow;
mod judge;
pub(super) mod look;
pub(super) mod records;
pub(super) mod restoration;
pub(super) mod track;
pub(super) mod words;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

pub(super) use ending::{confirmed, finish, unlocked};
pub(super) use failing::{call_failed, nova_failed};

use super::method::Route;
use crate::elapsed::Elapsed;
use crate::entity::vmove::VmoveStatus;
use crate::id::{MigrationId, ServerId, VmoveId};
use crate::nova::{Migration, PowerState, VmState};
use crate::recovery::{Now, Restoration, ServerCall, WrittenOff};
use crate::state_version::StateVersion;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

/// What is shown of an instance that was moved by a call that the journal lost.
pub(super) const UNKNOWN_STATE: &str =
    "moved by a request that the database lost: what it was before is not known";

/// The same of one that is in `error` where it was.
pub(super) const ERROR_OF_OURS: &str =
    "in error since before the database lost the latest requests: what it was before them is not known";

/// What an instance was before anything was done to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Was {
    /// Its `vm_state`.
    pub vm_state: VmState,
    /// Its last known power state.
    pub power_state: PowerState,
}

/// Whose lock is on it (R12): what happens to a locked instance goes by this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// Nobody's yet; ours is to come.
    Wanted,
    /// We have asked for ours.
    Asked,
    /// Ours.
    Ours,
    /// The owner's, which is kept.
    Owners,
    /// None, and none of ours is to come: Nova refused it, or it has been taken off.
    None,
}

/// Whether Nova has to be told that it is in `error` before it can be evacuated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preparation {
    /// It is in a state Nova evacuates.
    NotNeeded,
    /// To be asked.
    Wanted,
    /// Asked.
    Asked {
        /// When the intent was journalled.
        at: Elapsed,
        /// No answer came, or a former owner asked: it is looked for, and not repeated before D + Q have passed (R5).
        loose: bool,
    },
    /// Done.
    Done,
}

/// How a move ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// On another host, as it was.
    Moved,
    /// Left by a stated policy.
    Left,
    /// Needs an operator.
    Person,
}

/// Where a move is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub enum MoveStep {
    /// It may run on another host too (R11); looked at again from time to time.
    Held,
    /// To be asked for, not before this moment.
    Waiting {
        /// See above.
        not_before: Elapsed,
    },
    /// Nova has been asked, or is about to be.
    Asked {
        /// When the intent was journalled.
        since: Elapsed,
        /// The highest evacuation record known then: any higher one is the effect (R8).
        floor: MigrationId,
        /// Whether Nova has said yes.
        answered: bool,
        /// Lists in a row, late enough to count, that showed no effect.
        absent: u8,
        /// Lists in a row that showed it neither on the host nor done.
        gone: u8,
    },
    /// On another host; being brought to what it was.
    Restoring {
        /// Since when.
        since: Elapsed,
        /// What was asked for last.
        asked: Option<RestorationCall>,
    },
    /// Over but for our lock.
    Unlocking {
        /// How it will have ended.
        end: End,
        /// Whether the call is under way.
        asked: bool,
        /// When it was decided to make it: it has not taken effect before.
        #[serde(default)]
        sent: Elapsed,
        /// Not before this moment.
        not_before: Elapsed,
    },
    /// Over.
    Over(End),
}

/// [`Restoration`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "as in `Restoration`")]
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
    /// What Nova was asked for.
    pub what: RestorationKind,
    /// When.
    pub at: Elapsed,
    /// Whether Nova has answered. Until then it may still take effect, and is not repeated (R5).
    pub answered: bool,
}

/// One instance.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is something of its own that was seen"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// A state of a newer version is refused when it is read.
    #[serde(default)]
    pub version: StateVersion,
    /// Nova's id.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// The id under which the API shows it.
    pub vmove: VmoveId,
    /// Its place in the order, lowest first.
    pub rank: u32,
    /// Whether its owner has marked it for high availability.
    pub tagged: bool,
    /// What its owner wants it to be preferred by, highest first: among those of one kind, across all recoveries.
    #[serde(default)]
    pub priority: i32,
    /// What it is brought back to.
    pub was: Was,
    /// Does not boot from a volume.
    pub image_backed: bool,
    /// Ours is taken off at the end, anybody else's stays (R12).
    pub lock: Lock,
    /// When a lock was last asked for without an answer: until D + Q have passed it may still come.
    pub lock_loose: Option<Elapsed>,
    /// The same of its unlocking, which would take off the lock of whoever moves it next.
    #[serde(default)]
    pub unlock_loose: Option<Elapsed>,
    /// It is not certain that the lock that is on it is ours: an owner before has asked for it or for its unlocking, or a call has
    /// failed. Then it is looked at before it is taken off.
    #[serde(default)]
    pub lock_in_doubt: bool,
    /// When Nova answered that it has set our lock.
    #[serde(default)]
    pub locked_at: Option<Elapsed>,
    /// A lock is not asked for before this moment, once the evacuation is under way.
    pub lock_not_before: Elapsed,
    /// Nova evacuates no instance in some states.
    pub preparation: Preparation,
    /// The highest evacuation record known for it.
    pub known: MigrationId,
    /// Evacuation records that were given up.
    pub written_off: Vec<WrittenOff>,
    /// Other hosts on which it may run, because Nova has recorded an evacuation to them as failed (R10).
    #[serde(default)]
    pub may_run: BTreeSet<String>,
    /// Those of them that are proven off, for as long as they are (R29).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub counted_off: BTreeSet<String>,
    /// Other hosts on which it may run, because another move to or from them was unfinished when the host died (R11).
    #[serde(default)]
    pub elsewhere: BTreeSet<String>,
    /// Other hosts of which a person says that it does not run there.
    #[serde(default)]
    pub absent: BTreeSet<String>,
    /// It is over because Nova did not know it any more, more than once.
    #[serde(default)]
    pub deleted: bool,
    /// Nova was moving it to the host when that died, and has never shown it there (R28).
    #[serde(default)]
    pub awaited: bool,
    /// Its task_state said `rebuilding` before it was asked for, so that this says nothing about what came of it.
    pub busy_before: bool,
    /// How far it is.
    pub step: MoveStep,
    /// How often Nova has failed it.
    pub failures: u32,
    /// When it did so first.
    #[serde(default)]
    pub failed_first: Option<Elapsed>,
    /// Calls about it that failed in passing, in a row.
    pub faults: u32,
    /// Since when calls about it have failed, one after the other.
    #[serde(default)]
    pub failing_since: Option<Elapsed>,
    /// The task that Nova showed under way when it was last looked at after a refusal.
    #[serde(default)]
    pub task: Option<String>,
    /// When Nova refused its evacuation last. If the host's service turns out not to be forced down, that was the reason.
    #[serde(default)]
    pub refused: Option<Elapsed>,
    /// Where it is now.
    pub dest: Option<String>,
    /// The number of the proof it was last asked for on; the first of a recovery is 1.
    #[serde(default)]
    pub proof: Option<u32>,
    /// What a person should know.
    pub note: Option<String>,
    /// Why the latest call about it failed, if it did.
    pub fault: Option<String>,
    /// When Nova was first asked; for people.
    pub asked_at: Option<Timestamp>,
    /// When it was over; for people.
    pub over_at: Option<Timestamp>,
    /// By which way it is asked for.
    #[serde(default)]
    pub route: Route,
    /// What it waits for; `None` in what an older program wrote.
    #[serde(default)]
    pub wait: Option<Wait>,
}

impl Move {
    /// What the API shows.
    pub fn status(&self) -> VmoveStatus {
        match &self.step {
            MoveStep::Held | MoveStep::Waiting { .. } => VmoveStatus::Pending,
            MoveStep::Asked { .. } | MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } => {
                VmoveStatus::Ongoing
            }
            MoveStep::Over(End::Moved) => VmoveStatus::Succeeded,
            MoveStep::Over(End::Left) => VmoveStatus::Ignored,
            MoveStep::Over(End::Person) => VmoveStatus::Failed,
        }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.step, MoveStep::Over(_))
    }

    /// Whether Nova may be rebuilding it.
    pub fn is_in_flight(&self) -> bool {
        matches!(self.step, MoveStep::Asked { .. })
    }

    /// Whether it is being made ready to be asked for. One that was deleted meanwhile is over, and needs no place.
    pub(super) fn is_being_prepared(&self) -> bool {
        matches!(self.step, MoveStep::Waiting { .. }) && matches!(self.preparation, Preparation::Asked { .. })
    }

    /// For the journal.
    ///
    /// # Errors
    ///
    /// Never in practice; serde's signature.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// The last owner's calls may or may not have been sent. Lock and unlocking are simply done again; what changes more is
    /// looked for, never repeated at once (R5).
    pub(super) fn forget_answers(&mut self, now: Elapsed) {
        self.lock_in_doubt = true;
        if !self.is_over() {
            // Its unlocking is written nowhere: one that was sent may yet take off the lock of whoever moves it next.
            self.unlock_loose = Some(now);
        }
        if matches!(self.lock, Lock::Wanted | Lock::Asked) && !matches!(self.step, MoveStep::Over(_)) {
            self.lock = Lock::Wanted;
            self.lock_loose = Some(now);
        }
        if let Preparation::Asked { loose, .. } = &mut self.preparation {
            *loose = true;
        }
        match &mut self.step {
            MoveStep::Asked { absent, gone, .. } => {
                *absent = 0;
                *gone = 0;
            }
            MoveStep::Unlocking { asked, .. } => *asked = false,
            MoveStep::Held | MoveStep::Waiting { .. } | MoveStep::Restoring { .. } | MoveStep::Over(_) => {}
        }
    }

    /// Nova has not finished the move: no owner before can have unlocked what its records show as under way.
    pub(super) fn seen_under_way(&mut self, records: &[&Migration], looked: Elapsed) {
        let under_way = !records.is_empty() && !records.iter().any(|record| record.status.has_moved());
        if under_way && self.is_in_flight() && self.unlock_loose.is_some_and(|at| looked >= at) {
            self.unlock_loose = None;
        }
    }

    /// A call was not carried out.
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
                if let MoveStep::Unlocking { asked, .. } = &mut self.step {
                    *asked = false;
                }
            }
            ServerCall::Restore => {
                if let MoveStep::Restoring { asked, .. } = &mut self.step {
                    *asked = None;
                }
            }
            ServerCall::Stop
            | ServerCall::Start
            | ServerCall::Activate
            | ServerCall::LiveMigrate
            | ServerCall::AbortMigration => {}
        }
    }

    /// Over but for our lock, if it has one or may yet get one.
    pub(super) fn finish(&mut self, end: End, now: Elapsed) {
        self.faults = 0;
        let may_be_locked = match self.lock {
            Lock::Ours | Lock::Asked => true,
            Lock::Wanted | Lock::None | Lock::Owners => self.lock_loose.is_some(),
        };
        self.lock_in_doubt |= self.lock != Lock::Ours;
        self.step = if may_be_locked {
            MoveStep::Unlocking {
                end,
                asked: false,
                sent: now,
                not_before: now,
            }
        } else {
            MoveStep::Over(end)
        };
    }

    /// It is gone from Nova, and any lock with it.
    pub(super) fn deleted(&mut self) {
        self.remark("it has been deleted meanwhile");
        self.deleted = true;
        self.lock = Lock::None;
        self.lock_loose = None;
        self.unlock_loose = None;
    }

    /// Somebody has asked already, perhaps an earlier recovery: follow that, ask for nothing.
    pub(super) fn adopt(&mut self, first: MigrationId, now: Now) {
        self.step = MoveStep::Asked {
            since: now.elapsed,
            floor: MigrationId(first.0.saturating_sub(1)),
            // By whom, and whether Nova has answered, is not known.
            answered: false,
            absent: 0,
            gone: 0,
        };
        self.asked_at.get_or_insert(now.wall);
    }

    /// Whether `record` has been given up in just the shape it has now.
    pub(super) fn has_written_off(&self, record: &Migration) -> bool {
        self.written_off
            .iter()
            .any(|off| off.id == record.id && off.status == record.status && off.dest == record.dest)
    }

    /// Drops the note, but what is unknown of its state before stays so (R33).
    pub(super) fn clear_note(&mut self) {
        let note = self.note.take().unwrap_or_default();
        for text in [UNKNOWN_STATE, ERROR_OF_OURS]
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
