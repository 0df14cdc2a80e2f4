//! The operator's view of recoveries, and the operator's actions on them.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::entity::{Host, Notification, Segment, Vmove};
use tachi_domain::recovery::{InstanceResolution, Life, OperatorAction, OperatorCommand, RecoveryKind};
use tachi_domain::{
    ApprovedWait, Elapsed, HostId, NotificationId, RecoveryId, Reporter, SegmentId, ServerId, Timestamp, Wait,
};

use super::JournalError;
use super::journal::{PeerClaim, ProofWrite};
use super::past::{Past, Span};
use tachi_domain::situation::{MutedReporter, ReportedFailure};

/// A recovery in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecoverySummary {
    pub id: RecoveryId,
    /// The notification that caused it.
    pub notification: NotificationId,
    pub kind: RecoveryKind,
    pub host: String,
    pub host_id: HostId,
    /// The host's segment when the notification arrived; `None` if unknown.
    pub segment: Option<SegmentId>,
    /// The state of its instances.
    pub moves: MoveCounts,
    pub life: Life,
    /// The status of the notification, or `dismissed`.
    pub status: String,
    /// The reason why it waits; `None` if no engine of this version has decided on it yet.
    pub wait: Option<Wait>,
    /// The reason for the hold, or the result; for people.
    pub message: Option<String>,
    pub owner: Option<String>,
    pub opened_at: Timestamp,
    /// Opening of the first attempt. Differs from `opened_at` only for a retry.
    pub first_reported_at: Timestamp,
}

/// The number of a recovery's instances by the status that the API shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoveCounts {
    /// Not requested yet, or on hold.
    pub pending: u64,
    /// Requested from Nova.
    pub ongoing: u64,
    /// Running again: on another host, or where they were left, or moved by a later recovery since.
    pub succeeded: u64,
    /// Given up: they need an operator.
    pub failed: u64,
    /// Left in place, by policy or by an operator, and not known to run again.
    pub ignored: u64,
}

impl MoveCounts {
    pub fn total(self) -> u64 {
        self.pending + self.ongoing + self.succeeded + self.failed + self.ignored
    }

    /// Adds `count` to one status.
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

/// A state to filter by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryState {
    /// Waiting for an operator.
    OnHold,
    /// In this part of the life cycle.
    Life(Life),
    /// The status of its notification, unless it was dismissed.
    Status(NotificationStatus),
    /// Ended because the report was a false alarm.
    Dismissed,
}

/// A filter for recoveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryFilter {
    /// True to include closed ones.
    pub closed: bool,
    /// The state to match. A state that only closed recoveries can have includes those.
    pub state: Option<RecoveryState>,
    /// A prefix of the id.
    pub id: Option<String>,
    /// The host, by name or id.
    pub host: Option<String>,
    /// The segment, by name or id.
    pub segment: Option<String>,
    /// The full id of an instance that it moved or was to move.
    pub instance: Option<String>,
    /// The earliest opening time.
    pub since: Option<Timestamp>,
    /// Only recoveries older than this one.
    pub before: Option<RecoveryId>,
    pub limit: Option<u64>,
}

/// A filter for moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveFilter {
    /// Moves of recoveries that are open or watch their host's return.
    Unsettled,
    /// Moves on hold, or given up by the last recovery that had the instance and not yet acknowledged by an operator.
    NeedsPerson,
}

/// One instance of a recovery, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveLine {
    pub recovery: RecoveryId,
    pub host: String,
    /// The recovery's part of the life cycle.
    pub life: Life,
    pub opened_at: Timestamp,
    pub server: ServerId,
    pub name: String,
    /// The rank in the order of moves, lowest first.
    pub rank: i64,
    /// The current host.
    pub dest: Option<String>,
    /// The reason why it waits; `None` if no engine of this version has decided on it yet, or an operator has
    /// acknowledged it.
    pub wait: Option<Wait>,
    /// Other hosts on which it may run.
    pub may_run: BTreeSet<String>,
    /// The known facts, for people.
    pub message: Option<String>,
    /// The move's own state.
    pub state: String,
}

/// Returns the text of the step that records that an operator has acknowledged an instance, which was given up.
pub fn acknowledgement_text(by: &str) -> String {
    format!("acknowledged by {by}")
}

/// A fencing proof, as the journal has it.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofLine {
    /// The epoch of the claim.
    pub epoch: u64,
    pub proof: ProofWrite,
}

/// A move in a recovery's history, with what the API's vmove does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryMove {
    /// The id of the vmove in the API.
    pub vmove: String,
    /// The reason why it waits; `None` if no engine of this version has decided on it yet.
    pub wait: Option<Wait>,
    /// The operator who acknowledged it after the recovery gave it up.
    pub seen_to: Option<String>,
    /// The newest later recovery that has moved the instance.
    pub moved_by: Option<RecoveryId>,
    /// The move's own state, as JSON.
    pub state: String,
}

/// The complete history of a recovery.
#[derive(Clone, Debug)]
pub struct RecoveryHistory {
    /// The recovery as in a list.
    pub summary: RecoverySummary,
    /// The notification that caused it; `None` if it was purged.
    pub notification: Option<Notification>,
    /// All its reporters, each identity once.
    pub reporters: Vec<Reporter>,
    /// The number of claims.
    pub epoch: u64,
    /// The number of lease renewals by its owners.
    pub beat: u64,
    pub elapsed: Elapsed,
    /// The last operator action: the action, the operator and the time.
    pub word: Option<(String, String, Timestamp)>,
    /// Operator actions that no engine has received yet, oldest first.
    pub unread: Vec<OperatorAction>,
    /// The state's head as last written, as JSON.
    pub state: Option<String>,
    /// The moves, in their order.
    pub moves: Vec<HistoryMove>,
    /// Operator actions on single instances, oldest first.
    pub move_words: Vec<InstanceResolution>,
    /// The instances as the API shows them, in the order they are moved.
    pub vmoves: Vec<Vmove>,
    /// The observations, decisions and actions, oldest first.
    pub steps: Vec<StepLine>,
    /// The proofs, oldest first.
    pub proofs: Vec<ProofLine>,
    /// The newest later recovery of the same host or instance, if this one has failed; it continues what this one left to do.
    pub later: Option<RecoveryId>,
    /// True if the segment has a reserved host that is not in maintenance.
    pub has_reserve: bool,
}

/// A host and its current recovery.
#[derive(Clone, Debug)]
pub struct HostView {
    pub host: Host,
    /// The reason for its maintenance, if it is in maintenance.
    pub why: Option<MaintenanceReason>,
    /// The host's recovery that is open or watching.
    pub recovery: Option<(RecoveryId, Life)>,
}

/// A segment with its hosts.
#[derive(Clone, Debug)]
pub struct SegmentView {
    pub segment: Segment,
    /// The hosts, by name.
    pub hosts: Vec<HostView>,
}

/// Returns the first line in the history of a retry. Stored: a repeated request is recognised by it.
pub fn attempt(failed: RecoveryId, by: &str) -> String {
    format!("another attempt at what recovery {failed} has failed at, asked for by {by}")
}

/// The result of a request for a retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryOutcome {
    /// The retry is open.
    Started {
        /// The new recovery.
        recovery: RecoveryId,
        notification: NotificationId,
    },
    /// There is no such recovery.
    Unknown,
    /// The notification was purged, so the subject of the recovery is unknown.
    Purged,
    /// The recovery has not failed; the field is its status.
    NotFailed(String),
    /// This recovery has the same subject and is still open.
    Open(RecoveryId),
    /// A notification of that kind is not accepted now.
    Refused(String),
}

/// One line of the step journal, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepLine {
    pub at: Timestamp,
    /// The epoch of the claim.
    pub epoch: u64,
    /// Masakari's task class name.
    pub task: String,
    /// `intent`, `outcome` or `note`.
    pub kind: String,
    /// The instance, if the step is about one.
    pub server: Option<String>,
    /// One line, for people.
    pub text: String,
}

/// The fact in the registry entry of an engine that reads operators' actions as rows.
pub const READS_ACTIONS: &str = "actions";

/// The result of an operator's action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionOutcome {
    /// The action is written; the owner receives it with its next lease renewal.
    Submitted,
    /// There is no such recovery.
    Unknown,
    /// The recovery is no longer open.
    NotOpen,
    /// Not written: a running older engine would receive only the last of several actions. An abort is written
    /// in spite of that.
    OlderEngine(String),
    /// The recovery has another wait than the operator was shown, or none: nothing was written.
    OtherWait(Option<Wait>),
    /// Not written: too many earlier actions on instances of the recovery may not have been read yet.
    TooMany,
}

/// The operator's side of the journal.
#[async_trait]
pub trait OperatorJournal: Send + Sync {
    /// Returns the recoveries that match the filter, newest first. Closed ones only if it includes them.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn find_recoveries(&self, filter: &RecoveryFilter) -> Result<Vec<RecoverySummary>, JournalError>;

    /// Returns the recoveries, newest first; only open and watching ones unless `all`.
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

    /// Returns the recoveries of a host, newest first: all that are not closed, and of each kind the last `closed` that are. A limit over
    /// all of them would let younger reports of single instances hide the host's own recovery.
    ///
    /// The host is found by its id and by its name, since a host that was registered again has another id.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn recoveries_of_host(
        &self,
        id: HostId,
        name: &str,
        closed: u64,
    ) -> Result<Vec<RecoverySummary>, JournalError>;

    /// Returns the claims of all recoveries that are not closed.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn claims(&self) -> Result<Vec<PeerClaim>, JournalError>;

    /// Returns the moves that match the filter, oldest recovery first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn moves(&self, filter: MoveFilter) -> Result<Vec<MoveLine>, JournalError>;

    /// Returns the vmoves of these notifications, in no order.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn moved(&self, notifications: &[NotificationId]) -> Result<Vec<Vmove>, JournalError>;

    /// Acknowledges an instance that a recovery has given up, and so removes it from the list. Returns `NotOpen` if it was
    /// not given up.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn acknowledge(
        &self,
        id: RecoveryId,
        server: ServerId,
        by: &str,
    ) -> Result<ActionOutcome, JournalError>;

    /// Returns the newest recovery of an instance alone; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn recovery_of_instance(&self, server: ServerId) -> Result<Option<RecoveryId>, JournalError>;

    /// Ends the failure of an instance that an operator has seen running: the instance no longer counts as reported down. Returns
    /// `NotOpen` if its last recovery has not failed at this time.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn dismiss_failure(
        &self,
        id: RecoveryId,
        server: ServerId,
        failed_at: Timestamp,
        by: &str,
    ) -> Result<ActionOutcome, JournalError>;

    /// Returns one recovery; `None` if there is none.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn history(&self, id: RecoveryId) -> Result<Option<RecoveryHistory>, JournalError>;

    /// Returns the stored history of a host, by its name or id, for a past time span; `None` if no host had that name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn past(&self, host: &str, span: Span) -> Result<Option<Past>, JournalError>;

    /// Returns every segment with its hosts, by name.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn region(&self) -> Result<Vec<SegmentView>, JournalError>;

    /// Starts another attempt at a failed recovery, as a repeated notification would.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn retry(&self, id: RecoveryId, by: &str) -> Result<RetryOutcome, JournalError>;

    /// Returns the step journal of one recovery, oldest first.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn steps(&self, id: RecoveryId) -> Result<Vec<StepLine>, JournalError>;

    /// Submits an action on a recovery. Only an approval is refused because of `wait`.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn submit(
        &self,
        id: RecoveryId,
        word: OperatorCommand,
        wait: &ApprovedWait,
        by: &str,
    ) -> Result<ActionOutcome, JournalError>;

    /// Submits an action on one instance of a recovery; the `number` in `word` is ignored.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn resolve_instance(
        &self,
        id: RecoveryId,
        word: &InstanceResolution,
    ) -> Result<ActionOutcome, JournalError>;

    /// Returns the instances with an open recovery, and those whose last recovery has failed.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn reported_failures(&self) -> Result<BTreeMap<ServerId, ReportedFailure>, JournalError>;

    /// Returns the muted reporters, and those that would be muted if the limit allowed it.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn muted_reporters(&self) -> Result<Vec<MutedReporter>, JournalError>;

    /// Unmutes a reporter; `None` if there is none with this number.
    ///
    /// # Errors
    ///
    /// The database failed.
    async fn unmute_reporter(&self, number: i64) -> Result<Option<MutedReporter>, JournalError>;
}
