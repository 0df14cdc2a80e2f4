//! What a recovery's journal is asked for and what it answers, whoever keeps it.

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::entity::{Host, Notification};
use tachi_domain::freeze::UnlessFrozen;
pub use tachi_domain::recovery::StepKind;
use tachi_domain::recovery::WrittenOff;
use tachi_domain::recovery::{Elsewhere, FenceOrder, FreezeOrder, Life, Pulse, RecoveryKind};
use tachi_domain::{Elapsed, HostId, RecoveryId, ServerId, Timestamp, VmoveId, Wait};

/// What an engine sees of a recovery it does not own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimView {
    /// The recovery.
    pub id: RecoveryId,
    /// The claim's number; 0 if it was never claimed.
    pub epoch: u64,
    /// Raised by every claim and commit (R33).
    pub seq: u64,
    /// Raised by the owner every second (R2).
    pub beat: u64,
    /// Who owns it; `None` if nobody does, or the owner let go.
    pub owner: Option<String>,
    /// Open or watching.
    pub life: Life,
    /// It is of a host, and not of an instance or a process.
    pub of_host: bool,
}

/// A claim and the row as its owner has left it. Every write of the owner compares both, so that an owner whose latest writes were
/// lost by a failover of the database notices (R33).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The recovery.
    pub id: RecoveryId,
    /// The claim's number.
    pub epoch: u64,
    /// The engine's name, unique per process start.
    pub owner: String,
    /// Raised by every claim and commit.
    pub seq: u64,
    /// Raised by every claim, commit and heartbeat.
    pub beat: u64,
}

impl Claim {
    /// A commit of this claim is durable.
    pub const fn committed(&mut self) {
        self.seq += 1;
        self.beat += 1;
    }
}

/// A recovery as its new owner finds it, read after the claim was committed, on the same connection.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The recovery.
    pub id: RecoveryId,
    /// The epoch that every write of the new owner carries.
    pub epoch: u64,
    /// The new owner.
    pub owner: String,
    /// As the claim has left the row.
    pub seq: u64,
    /// The same.
    pub beat: u64,
    /// A failover of the database has lost writes of an earlier owner: calls may be under way that the journal does not know (R33).
    pub rewound: bool,
    /// What it is about.
    pub kind: RecoveryKind,
    /// Open or watching.
    pub life: Life,
    /// The notification that caused it.
    pub notification: Notification,
    /// The operator who has asked for it or has spoken about it, in a column that the API's database user may not write.
    pub asked_by: Option<String>,
    /// The host, deleted or not; `None` if no row is left of it.
    pub host: Option<Host>,
    /// The recovery's own time so far.
    pub elapsed: Elapsed,
    /// The state's head as last written; `None` if nothing was written yet.
    pub state: Option<String>,
    /// The states of its moves, as last written.
    pub moves: Vec<String>,
    /// When the notification was accepted; wall time of the API's machine.
    pub opened_at: Timestamp,
    /// What an operator may have changed.
    pub pulse: Pulse,
    /// How long ago the instance of a VM recovery was restarted by others, at most [`RESTARTS`] times.
    pub restarts: Vec<Duration>,
}

impl Claimed {
    /// What the first write of the new owner compares.
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

/// How many restarts of an instance are remembered at most when its next recovery begins.
pub const RESTARTS: u64 = 1000;

/// One instance of a host recovery, to be inserted or overwritten.
#[derive(Clone, Debug, PartialEq)]
pub struct MoveWrite {
    /// The vmove's id.
    pub vmove: VmoveId,
    /// The instance.
    pub server: ServerId,
    /// The instance's name.
    pub name: String,
    /// The order in which moves are made, lowest first.
    pub rank: u32,
    /// Nova's service host it was on.
    pub source_host: String,
    /// Nova's service host it is on.
    pub dest_host: Option<String>,
    /// When Nova was first asked.
    pub start_time: Option<Timestamp>,
    /// When it was over.
    pub end_time: Option<Timestamp>,
    /// What the API shows.
    pub status: VmoveStatus,
    /// What a person should know.
    pub message: Option<String>,
    /// What it waits for; `None` if nobody has decided yet.
    pub wait: Option<Wait>,
    /// What of Nova's records of it was given up (R10).
    pub written_off: Vec<WrittenOff>,
    /// Other hosts on which it may run (R10).
    pub may_run: BTreeSet<String>,
    /// Whether the instance is still being worked on: only one open move per instance over all recoveries (R6).
    pub open: bool,
    /// The move's own state.
    pub state: String,
}

/// One instance of what a person has planned. It is only shown: nobody else is kept from the instance by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedWrite {
    /// The vmove's id.
    pub vmove: VmoveId,
    /// The instance.
    pub server: ServerId,
    /// The instance's name.
    pub name: String,
    /// Nova's service host it was on.
    pub source_host: String,
    /// Nova's service host it is on, or goes to.
    pub dest_host: Option<String>,
    /// When Nova was first asked.
    pub start_time: Option<Timestamp>,
    /// When it was over.
    pub end_time: Option<Timestamp>,
    /// What the API shows.
    pub status: VmoveStatus,
    /// What a person should know.
    pub message: Option<String>,
}

/// One line of the step journal.
#[derive(Clone, Debug, PartialEq)]
pub struct StepWrite {
    /// Masakari's task class name.
    pub task: &'static str,
    /// The instance it is about, if one.
    pub server: Option<ServerId>,
    /// `intent` (about to call), `outcome` (what came of it) or `note`.
    pub kind: StepKind,
    /// 0.0 to 1.0 of the task.
    pub progress: f64,
    /// Whether the task has failed.
    pub failed: bool,
    /// For people.
    pub text: String,
    /// When; for people.
    pub at: Timestamp,
}

/// A proof that a host was off, for the record.
#[derive(Clone, Debug, PartialEq)]
pub struct ProofWrite {
    /// `device`, or `notification` in mode `external`.
    pub kind: String,
    /// Who read it: engine's name.
    pub by: String,
    /// The device, or the notification.
    pub from: String,
    /// All of it, as JSON.
    pub evidence: String,
    /// When; for people.
    pub at: Timestamp,
}

/// What the host's row shows from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostWrite {
    /// The host that is being recovered.
    pub host: HostId,
    /// Why it is on maintenance now (R19).
    pub why: MaintenanceReason,
}

/// One transaction of a claimed recovery.
#[derive(Clone, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a change or a condition of one transaction"
)]
pub struct Write {
    /// The recovery's own time.
    pub elapsed: Elapsed,
    /// The state's head; `None` leaves it.
    pub state: Option<String>,
    /// What it waits for; `None` leaves it.
    pub wait: Option<Wait>,
    /// Where it is in its life; `None` leaves it. Anything but open gives the open key free.
    pub life: Option<Life>,
    /// Moves that were added or changed.
    pub moves: Vec<MoveWrite>,
    /// New lines of the step journal.
    pub steps: Vec<StepWrite>,
    /// New proofs.
    pub proofs: Vec<ProofWrite>,
    /// The notification's status and message; `None` leaves them.
    pub notification: Option<(NotificationStatus, Option<String>)>,
    /// The host's maintenance; `None` leaves it.
    pub host: Option<HostWrite>,
    /// Whether the host counts as proven off for other recoveries from now on (R10); `None` leaves it.
    pub proven_off: Option<bool>,
    /// Refuse the whole write if a host recovery is open for the host of this name (R12), or, if the writer is a host recovery
    /// itself, if a younger one watches that host's return (R22).
    pub unless_host_recovery: Option<String>,
    /// Refuse the whole write if the youngest host recovery that has moved the instance is open or has given it up, nobody has seen
    /// to it since, and it may run on another host than this (R12).
    pub unless_elsewhere: Option<Elsewhere>,
    /// Refuse the whole write if a report has joined that says more than the recovery's own (R19).
    pub unless_joined: bool,
    /// The same of one that has brought evidence of a fence.
    pub unless_evidence: bool,
    /// Refuse the whole write if the database's clock shows a later time than this plus what the transaction takes (R2): this
    /// machine was stopped together with its clocks before it sent it.
    pub latest: Option<Timestamp>,
    /// This instance is being restarted.
    pub restarted: Option<ServerId>,
    /// Reserved hosts that are taken, consumed or given back.
    pub reservations: Vec<ReservationWrite>,
    /// This host goes off maintenance, if it was this recovery that has put it there.
    pub host_back: Option<HostId>,
    /// What the recovery is about was seen running again: another report of it is another failure (R19).
    pub running_again: bool,
    /// The recovery's host is about to be ordered off: one more on the account, or the whole write is refused.
    pub order: Option<FenceOrder>,
    /// Refuse the whole write if something of this is frozen.
    pub unless_frozen: UnlessFrozen,
    /// These freezes end now: it has become worse.
    pub worse: Vec<i64>,
    /// Instances of what a person has planned that were added or changed.
    pub planned: Vec<PlannedWrite>,
    /// The recovery's host is frozen from now on.
    pub freeze: Option<FreezeOrder>,
    /// The rows of operators' actions that were heard (R32).
    pub heard_actions: Vec<i64>,
    /// No call that the journal lost can take effect any more: clears the rewind mark (R33).
    pub rewind_over: bool,
}

/// What came of a [`Write`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Committed {
    /// Durable. With what an operator may have changed meanwhile.
    Written(Pulse),
    /// Another engine has claimed it: stop, make no call.
    Lost,
    /// The row is older than its owner knows: a failover of the database has lost writes (R33). Stop, make no call. If more than
    /// heartbeats were lost, the row is marked, and free.
    Rewound,
    /// Nothing was written: these instances have an open move in another recovery.
    MovesTaken(Vec<ServerId>),
    /// Nothing was written: [`Write::unless_host_recovery`] was not met.
    HostUnderRecovery,
    /// Nothing was written: [`Write::freeze`] would freeze a host of which instances are being recovered. Those.
    InstancesUnderRecovery(Vec<ServerId>),
    /// Nothing was written: [`Write::unless_elsewhere`] was not met. The other hosts.
    MayRunOn(BTreeSet<String>),
    /// Nothing was written: [`Write::unless_joined`] or [`Write::unless_evidence`] was not met.
    Joined,
    /// Nothing was written: [`Write::order`] was not met.
    TooManyOrders,
    /// Nothing was written: [`Write::unless_frozen`] was not met. With what an operator may have changed.
    Frozen(Pulse),
    /// Nothing was written: [`Write::latest`] was over.
    TooLate,
    /// Nothing was written: these hosts cannot be taken, as somebody else holds them or they are in reserve no more.
    ReserveTaken(Vec<HostId>),
}

/// What raises a recovery's beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The claim.
    pub claim: Claim,
    /// The recovery's own time.
    pub elapsed: Elapsed,
}

/// Where a reservation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// Taken; nothing has been asked for on the host yet.
    Held,
    /// Taken, and an instance has been asked for on it: the host's row is not reserved any more.
    Consumed,
    /// Over: something runs there, so it stays an ordinary host.
    Used,
    /// Over: in reserve again.
    GivenBack,
}

impl ReservationState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Consumed => "consumed",
            Self::Used => "used",
            Self::GivenBack => "given_back",
        }
    }

    /// Whether the host is held.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Consumed)
    }
}

/// A reservation as it is from now on. One that is open and not known yet is taken, or the whole write refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationWrite {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// How far the reserved host is.
    pub state: ReservationState,
    /// Whether its service was enabled before.
    pub was_enabled: bool,
    /// Why it was disabled before.
    pub was_reason: Option<String>,
    /// Names of the aggregates it was put into, or is to be.
    pub aggregates: Vec<String>,
    /// When; for people.
    pub at: Timestamp,
}
