//! What an operator can see and say of recoveries.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::entity::{Host, Notification, Segment, Vmove};
use tachi_domain::recovery::{Life, MoveWord, OperatorAction, RecoveryKind, Word};
use tachi_domain::{
    Elapsed, HostId, NotificationId, RecoveryId, Reporter, SegmentId, ServerId, Timestamp, Wait,
};

use super::JournalError;
use super::journal::ClaimView;
use super::past::{Past, Span};
use super::reporters::Doubted;

/// A recovery in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySummary {
    /// The id that operators' commands take.
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    /// What it is about.
    pub kind: RecoveryKind,
    /// The host's name.
    pub host: String,
    /// The host.
    pub host_id: HostId,
    /// The segment it was in when the notification came; `None` if that is not known any more.
    pub segment: Option<SegmentId>,
    /// How its instances fare.
    pub moves: MoveCounts,
    /// Open, watching or closed.
    pub life: Life,
    /// The notification's status word.
    pub status: String,
    /// What it waits for; `None` if no engine of this version has decided on it yet.
    pub wait: Option<Wait>,
    /// Why it is held, or what came of it; for people.
    pub message: Option<String>,
    /// The engine that owns it.
    pub owner: Option<String>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Opening of the first attempt; equal to `opened_at` unless it is a retry.
    pub first_reported_at: Timestamp,
}

/// The instances of a recovery, by what the API shows of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveCounts {
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

impl MoveCounts {
    /// All of them.
    pub fn total(self) -> u64 {
        self.pending + self.ongoing + self.succeeded + self.failed + self.ignored
    }

    /// Adds so many of one status.
    pub fn add(&mut self, status: VmoveStatus, count: u64) {
        let place = match status {
            VmoveStatus::Pending => &mut self.pending,
            VmoveStatus::Ongoing => &mut self.ongoing,
            VmoveStatus::Succeeded => &mut self.succeeded,
            VmoveStatus::Failed => &mut self.failed,
            VmoveStatus::Ignored => &mut self.ignored,
        };
        *place += count;
    }
}

/// A state to look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    /// Waits for an operator.
    Held,
    /// In this part of its life.
    Life(Life),
    /// Its notification shows this.
    Status(NotificationStatus),
}

/// Which recoveries to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryFilter {
    /// Closed ones too.
    pub closed: bool,
    /// In this state; one that only closed ones can be in brings those along.
    pub state: Option<RecoveryState>,
    /// Whose id begins so.
    pub id: Option<String>,
    /// Of the host of this name or id.
    pub host: Option<String>,
    /// Of the segment of this name or id.
    pub segment: Option<String>,
    /// That had this instance, by its whole id.
    pub instance: Option<String>,
    /// Opened at this time or later.
    pub since: Option<Timestamp>,
    /// Older than this one.
    pub before: Option<RecoveryId>,
    /// At most so many.
    pub limit: Option<u64>,
}

/// Which moves to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveFilter {
    /// Of recoveries that are open or watch their host's return.
    Unsettled,
    /// Held, or given up by the last recovery that had the instance, and not seen to by anybody yet.
    NeedsPerson,
}

/// One instance of a recovery, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveLine {
    /// Its recovery.
    pub recovery: RecoveryId,
    /// That recovery's host.
    pub host: String,
    /// Where that recovery is in its life.
    pub life: Life,
    /// When that was opened.
    pub opened_at: Timestamp,
    /// The instance.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// The order in which moves are made, lowest first.
    pub rank: i64,
    /// Where it is now.
    pub dest: Option<String>,
    /// What it waits for; `None` if no engine of this version has decided on it yet, or somebody has seen to it.
    pub wait: Option<Wait>,
    /// Other hosts on which it may run.
    pub may_run: BTreeSet<String>,
    /// What is known; for people.
    pub message: Option<String>,
    /// The move's own state.
    pub state: String,
}

/// A proof, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofLine {
    /// When.
    pub at: Timestamp,
    /// Under which claim.
    pub epoch: u64,
    /// `device` or `notification`.
    pub kind: String,
    /// The engine that read it.
    pub by: String,
    /// From what.
    pub from: String,
    /// All of it, as JSON.
    pub evidence: String,
}

/// A move of a story, beside what the API shows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoryMove {
    /// The id under which the API shows it.
    pub vmove: String,
    /// What it waits for; `None` if no engine of this version has decided on it yet.
    pub wait: Option<Wait>,
    /// Who has seen to it after the recovery had given it up.
    pub seen_to: Option<String>,
    /// Its own state; JSON.
    pub state: String,
}

/// Everything there is to know of a recovery.
#[derive(Clone, Debug)]
pub struct Story {
    /// As in a list.
    pub summary: RecoverySummary,
    /// What caused it; `None` if it was purged.
    pub notification: Option<Notification>,
    /// All that have reported it, each voice once.
    pub reporters: Vec<Reporter>,
    /// How often it was claimed.
    pub epoch: u64,
    /// How often its owners have beaten.
    pub beat: u64,
    /// Its own time.
    pub elapsed: Elapsed,
    /// The last word said about it, by whom and when.
    pub word: Option<(String, String, Timestamp)>,
    /// What was said about it and no engine has heard yet, oldest first.
    pub unheard: Vec<OperatorAction>,
    /// The state's head as last written; JSON.
    pub state: Option<String>,
    /// Its moves, in their order.
    pub moves: Vec<StoryMove>,
    /// What was said of single instances, oldest first.
    pub move_words: Vec<MoveWord>,
    /// Its instances as the API shows them, in the order they are moved.
    pub vmoves: Vec<Vmove>,
    /// What was seen, decided and done, oldest first.
    pub steps: Vec<StepLine>,
    /// The proofs, oldest first.
    pub proofs: Vec<ProofLine>,
}

/// A host, and what is going on with it.
#[derive(Clone, Debug)]
pub struct HostView {
    /// Its row.
    pub host: Host,
    /// Why it is on maintenance, if it is (R19).
    pub why: Option<MaintenanceReason>,
    /// The recovery of it that is open or watching, if any.
    pub recovery: Option<(RecoveryId, Life)>,
}

/// A segment with its hosts.
#[derive(Clone, Debug)]
pub struct SegmentView {
    /// Its row.
    pub segment: Segment,
    /// Its hosts, by name.
    pub hosts: Vec<HostView>,
}

/// The first line of another attempt's story; whoever asks twice is found by it.
pub fn attempt(failed: RecoveryId, by: &str) -> String {
    format!("another attempt at what recovery {failed} has failed at, asked for by {by}")
}

/// What came of asking for another attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Retried {
    /// It is open.
    Begun {
        /// The new recovery.
        recovery: RecoveryId,
        /// Its notification.
        notification: NotificationId,
    },
    /// There is no such recovery.
    Unknown,
    /// Its notification was purged, so that nobody knows what it was about.
    Purged,
    /// It has not failed; its status.
    NotFailed(String),
    /// This one is about the same and still open.
    Open(RecoveryId),
    /// A notification of that kind is not accepted now.
    Refused(String),
}

/// One line of the step journal, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    /// When.
    pub at: Timestamp,
    /// Under which claim.
    pub epoch: u64,
    /// Masakari's task class name.
    pub task: String,
    /// `intent`, `outcome` or `note`.
    pub kind: String,
    /// The instance, if one.
    pub server: Option<String>,
    /// One line, for people.
    pub text: String,
}

/// The part that an engine signs with if it reads operators' actions as rows (R32).
pub const READS_ACTIONS: &str = "actions";

/// What came of an operator's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Written; the owner hears it with its next beat.
    Heard,
    /// There is no such recovery.
    Unknown,
    /// It is not open any more.
    Over,
    /// This engine runs, and would hear only the last of several: nothing was written. An abort is written all the same.
    OlderEngine(String),
}

/// The operator's side of the journal.
#[async_trait]
pub trait OperatorDesk: Send + Sync {
    /// The recoveries that the filter lets through, newest first; without closed ones unless it asks for them.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn find_recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoverySummary>, JournalError>;

    /// The recoveries, newest first; only open and watching ones unless `all`.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn recoveries(&self, all: bool) -> Result<Vec<RecoverySummary>, JournalError> {
        let filter = RecoveryFilter {
            closed: all,
            ..RecoveryFilter::default()
        };
        self.find_recoveries(&filter).await
    }

    /// Who has which recovery that is not closed, and how often its owner has beaten.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn claims(&self) -> Result<Vec<ClaimView>, JournalError>;

    /// The moves that the filter lets through, oldest recovery first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn moves(&self, filter: MoveFilter) -> Result<Vec<MoveLine>, JournalError>;

    /// What became of the instances of these notifications, in no order.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn moved(&self, notifications: &[NotificationId]) -> Result<Vec<Vmove>, JournalError>;

    /// Somebody has seen to an instance that a recovery has given up: it is listed no more. `Over` if it was not given up.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn see_to(&self, id: RecoveryId, server: ServerId, by: &str) -> Result<Said, JournalError>;

    /// One recovery; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn story(&self, id: RecoveryId) -> Result<Option<Story>, JournalError>;

    /// What is kept of a host, by its name or id, and a time that has passed; `None` if nothing ever had that name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn past(&self, host: &str, span: Span) -> Result<Option<Past>, JournalError>;

    /// Every segment with its hosts, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn region(&self) -> Result<Vec<SegmentView>, JournalError>;

    /// Asks for another attempt at what a recovery has failed at, as a repeated notification would.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn retry(&self, id: RecoveryId, by: &str) -> Result<Retried, JournalError>;

    /// The step journal of one recovery, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn steps(&self, id: RecoveryId) -> Result<Vec<StepLine>, JournalError>;

    /// Says a word about a recovery.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn say(&self, id: RecoveryId, word: Word, by: &str) -> Result<Said, JournalError>;

    /// Says a word about one instance of a recovery; `number` of it is ignored.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn say_of(&self, id: RecoveryId, word: &MoveWord) -> Result<Said, JournalError>;

    /// The reporters that are set aside, and those that should be and are too many.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn doubted_reporters(&self) -> Result<Vec<Doubted>, JournalError>;

    /// Lets a reporter be heard again; `None` if there is none of this number.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn lift_reporter(&self, number: i64) -> Result<Option<Doubted>, JournalError>;
}
