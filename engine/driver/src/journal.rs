//! The requests to a recovery's journal and its responses, independent of the implementation.

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveState;
use tachi_domain::entity::{Host, Notification};
use tachi_domain::freeze::UnlessFrozen;
use tachi_domain::recovery::{
    Elsewhere, FenceOrder, FreezeOrder, Life, MoveOrder, OperatorState, RecoveryKind, Step, WrittenOff,
};
use tachi_domain::{Elapsed, HostId, RecoveryId, ServerId, Timestamp, Wait};

/// A recovery as seen by an engine that does not own it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerClaim {
    pub id: RecoveryId,
    /// The claim's number; 0 if it was never claimed.
    pub epoch: u64,
    /// Incremented by every claim and commit.
    pub seq: u64,
    /// Incremented by the owner every second.
    pub beat: u64,
    /// The owner; `None` if there is none or the owner released the claim.
    pub owner: Option<String>,
    pub life: Life,
    /// True for the recovery of a host, not of an instance or a process.
    pub of_host: bool,
}

/// A claim, and the row as its owner last wrote it. Every write of the owner compares both, so that the owner detects
/// a failover of the database that lost its latest writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub id: RecoveryId,
    /// The claim's number.
    pub epoch: u64,
    /// The engine's name, unique per process start.
    pub owner: String,
    /// Incremented by every claim and commit.
    pub seq: u64,
    /// Incremented by every claim, commit and heartbeat.
    pub beat: u64,
}

impl Claim {
    /// Counts a durable commit of this claim.
    pub const fn committed(&mut self) {
        self.seq += 1;
        self.beat += 1;
    }
}

/// A recovery as read by its new owner after the claim was committed, on the same connection.
#[derive(Clone, Debug)]
pub struct ClaimedRecovery {
    pub id: RecoveryId,
    /// The epoch in every write of the new owner.
    pub epoch: u64,
    pub owner: String,
    /// The value after the claim.
    pub seq: u64,
    /// The value after the claim.
    pub beat: u64,
    /// True if a failover of the database has lost writes of an earlier owner. Calls may be running that are not in
    /// the journal.
    pub rewound: bool,
    pub kind: RecoveryKind,
    pub life: Life,
    /// The notification that caused it.
    pub notification: Notification,
    /// The operator who requested the recovery or acted on it, from a column that the API's database user may not
    /// write.
    pub requested_by: Option<String>,
    /// The host, deleted or not; `None` if its row no longer exists.
    pub host: Option<Host>,
    /// The recovery's elapsed time so far.
    pub elapsed: Elapsed,
    /// The state's head as last written; `None` if none was written yet.
    pub state: Option<String>,
    /// The states of the recovery's moves as last written.
    pub moves: Vec<String>,
    /// The time at which the notification was accepted, by the wall clock of the API's machine.
    pub opened_at: Timestamp,
    /// The opening of the first attempt; differs from `opened_at` only for a later one.
    pub first_reported_at: Timestamp,
    /// The data that an operator may have changed.
    pub operator_state: OperatorState,
    /// The ages of restarts of the instance by other VM recoveries; at most [`RESTARTS`].
    pub restarts: Vec<Duration>,
}

impl ClaimedRecovery {
    /// Returns the values that the first write of the new owner compares.
    pub fn claim(&self) -> Claim {
        Claim {
            id: self.id,
            epoch: self.epoch,
            owner: self.owner.clone(),
            seq: self.seq,
            beat: self.beat,
        }
    }
}

/// Limit of restarts of an instance that are read when its next recovery starts.
pub const RESTARTS: u64 = 1000;

/// One instance of a host recovery, to be inserted or overwritten.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveWrite {
    pub server: ServerId,
    pub vmove: VmoveState,
    /// The position in the order of moves, lowest first.
    pub rank: u32,
    /// The blocker of the move; `None` if none has been decided yet.
    pub wait: Option<Wait>,
    /// Nova's records of this instance that were given up.
    pub written_off: Vec<WrittenOff>,
    /// Other hosts on which the instance may run.
    pub may_run: BTreeSet<String>,
    /// True until the move is done. An instance has at most one open move across all recoveries.
    pub open: bool,
    pub state: String,
}

/// An instance of a planned recovery, for display. It blocks no other work on the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWrite {
    pub server: ServerId,
    pub vmove: VmoveState,
}

/// A line of the step journal.
#[derive(Clone, Debug, PartialEq)]
pub struct StepWrite {
    pub step: Step,
    /// The time, for people.
    pub at: Timestamp,
}

/// A record of the proof that a host was off.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofWrite {
    /// `device`, or `notification` in mode `external`.
    pub kind: String,
    /// The name of the engine that read it.
    pub by: String,
    /// The device or the notification.
    pub from: String,
    /// The complete evidence as JSON.
    pub evidence: String,
    /// The time, for people.
    pub at: Timestamp,
}

/// The change to the host's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWrite {
    /// The host that is being recovered.
    pub host: HostId,
    /// The reason why the host is in maintenance.
    pub why: MaintenanceReason,
}

/// One transaction of a claimed recovery.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a change or a condition of one transaction"
)]
pub struct Write {
    /// The recovery's elapsed time.
    pub elapsed: Elapsed,
    /// The state's head; `None` leaves it unchanged.
    pub state: Option<String>,
    /// The recovery's blocker; `None` leaves it unchanged.
    pub wait: Option<Wait>,
    /// The recovery's life; `None` leaves it unchanged. Every value except open clears the open key.
    pub life: Option<Life>,
    /// Moves that were added or changed.
    pub moves: Vec<MoveWrite>,
    /// New lines of the step journal.
    pub steps: Vec<StepWrite>,
    pub proofs: Vec<ProofWrite>,
    /// The notification's status and message; `None` leaves them unchanged.
    pub notification: Option<(NotificationStatus, Option<String>)>,
    /// The host's maintenance; `None` leaves it unchanged.
    pub host: Option<HostWrite>,
    /// True if other recoveries may treat the host as confirmed off from now on; `None` leaves it unchanged.
    pub proven_off: Option<bool>,
    /// Refuses the whole write if a host recovery of this host is open, or watches its return and is newer than the writer.
    pub unless_host_recovery: Option<String>,
    /// Refuses the whole write if the instance may run on another host: the newest host recovery that moved the
    /// instance is open or has given it up, and no operator has acknowledged it since.
    pub unless_elsewhere: Option<Elsewhere>,
    /// Refuses the whole write if a report has joined that adds information to the recovery's own.
    pub unless_joined: bool,
    /// Refuses the whole write if a joined report has brought fencing evidence.
    pub unless_evidence: bool,
    /// Refuses the whole write if the database's clock is later than this plus the transaction's time: this machine was stopped before.
    pub latest: Option<Timestamp>,
    /// The instance that is being restarted.
    pub restarted: Option<ServerId>,
    /// Reserved hosts that are taken, consumed or returned.
    pub reservations: Vec<ReservationWrite>,
    /// The host whose maintenance ends, if this recovery put it in maintenance.
    pub host_back: Option<HostId>,
    /// True if the subject of the recovery was seen running again: another report of it is a new failure.
    pub running_again: bool,
    /// True if the recovery ends as dismissed: the report was a false alarm, and the recovery changed nothing.
    pub dismissed: bool,
    /// True if a recovery that does not end as failed has done nothing about an instance that was reported down.
    pub unrepaired: bool,
    /// The host's power-off order to count. Refuses the whole write if there are too many orders.
    pub order: Option<FenceOrder>,
    /// The move of a failed instance to count. Refuses the whole write if too many were moved.
    pub move_order: Option<MoveOrder>,
    /// Refuses the whole write if one of these is frozen.
    pub unless_frozen: UnlessFrozen,
    /// The freezes that end now because the failure has spread.
    pub worse: Vec<i64>,
    /// Instances of a planned recovery that were added or changed.
    pub planned: Vec<PlannedWrite>,
    /// The freeze that starts now on the recovery's host.
    pub freeze: Option<FreezeOrder>,
    /// The rows of operators' actions that were processed.
    pub processed_action_ids: Vec<i64>,
    /// True to clear the rewind mark: calls lost from the journal can no longer take effect.
    pub rewind_done: bool,
}

/// The result of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum WriteOutcome {
    /// The write is durable. Contains the data that an operator may have changed meanwhile.
    Written(OperatorState),
    /// Another engine has claimed the recovery: stop, and make no call.
    Lost,
    /// The row is older than the owner's last write: a failover of the database has lost writes. Stop, and make no
    /// call. If it lost more than heartbeats, the row is marked and released.
    Rewound,
    /// Refused, without any write: these instances have an open move in another recovery.
    MovesTaken(Vec<ServerId>),
    /// Refused, without any write, because of [`Write::unless_host_recovery`].
    HostUnderRecovery,
    /// Refused, without any write: [`Write::freeze`] would freeze a host with instances that are being recovered.
    /// Contains those instances.
    InstancesUnderRecovery(Vec<ServerId>),
    /// Refused, without any write, because of [`Write::unless_elsewhere`]. Contains the other hosts.
    MayRunOn(BTreeSet<String>),
    /// Refused, without any write, because of [`Write::unless_joined`] or [`Write::unless_evidence`].
    Joined,
    /// Refused, without any write, because of [`Write::order`] or [`Write::move_order`].
    TooManyOrders,
    /// Refused, without any write, because of [`Write::unless_frozen`]. Contains the data that an operator may have
    /// changed.
    Frozen(OperatorState),
    /// Refused, without any write: the time in [`Write::latest`] had passed.
    TooLate,
    /// Refused, without any write: these hosts cannot be taken, because another recovery holds them or they are no
    /// longer reserved.
    ReserveTaken(Vec<HostId>),
}

/// A heartbeat of a recovery's owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRenewal {
    pub claim: Claim,
    /// The recovery's elapsed time.
    pub elapsed: Elapsed,
}

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// Taken; no instance has been requested on the host yet.
    Reserved,
    /// Taken, and an instance has been requested on the host, so its row is not reserved any more.
    Consumed,
    /// Done: an instance runs there, so the host remains an ordinary one.
    Used,
    /// Done: the host is reserved again.
    GivenBack,
}

impl ReservationState {
    /// Returns the value stored in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "held",
            Self::Consumed => "consumed",
            Self::Used => "used",
            Self::GivenBack => "given_back",
        }
    }

    /// True if the recovery holds the host.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Reserved | Self::Consumed)
    }
}

/// The new state of a reservation. If it is open and not stored yet, the host must be free, or the whole write is
/// refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationWrite {
    pub host: HostId,
    pub name: String,
    pub state: ReservationState,
    /// True if the host's service was enabled before.
    pub was_enabled: bool,
    /// The reason why the service was disabled before.
    pub was_reason: Option<String>,
    /// Names of the aggregates to which the host was added, or will be.
    pub aggregates: Vec<String>,
    /// The time, for people.
    pub at: Timestamp,
}
