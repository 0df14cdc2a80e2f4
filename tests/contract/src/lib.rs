//! The contract of every journal: operations with their answers, run against the store on each database and against
//! the simulation's journal. Hosts, recoveries and instances are numbered; each journal maps the numbers to its own
//! ids.

mod actions;
mod freezes;
mod rewind;
mod scenarios;

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::{VmoveState, VmoveStatus};
use tachi_domain::freeze::UnlessFrozen;
use tachi_domain::recovery::given_up::{may_run_in, written_off_in};
use tachi_domain::recovery::{
    Elsewhere, FenceOrder, FreezeOrder, Life, OperatorCommand, OperatorState, RecoveryKind,
};
use tachi_domain::{Elapsed, HostId, ServerId, Timestamp, VmoveId, Wait, WaitsFor};
use tachi_driver::journal::{
    ClaimedRecovery, HostWrite, MoveWrite, ProofWrite, ReservationState, ReservationWrite, Write,
    WriteOutcome,
};
use uuid::Uuid;

pub use freezes::{FreezeView, Target};
pub use scenarios::scenarios;

/// Number of hosts, `compute-0` and so on, in one segment. The last one is reserved.
pub const HOSTS: usize = 5;

/// The number of the reserved host.
pub const RESERVED_HOST: usize = HOSTS - 1;

/// Returns the id of an instance.
pub fn server(number: u32) -> ServerId {
    ServerId(Uuid::from_u128(0x5e7 + u128::from(number)))
}

/// Returns the number of an instance.
pub fn number(server: ServerId) -> u32 {
    u32::try_from(server.0.as_u128().saturating_sub(0x5e7)).unwrap_or(u32::MAX)
}

/// Returns the name of a host.
pub fn host_name(host: usize) -> String {
    format!("compute-{host}")
}

/// A scenario, which starts with an empty journal.
#[derive(Debug)]
pub struct Scenario {
    /// The subject.
    pub name: &'static str,
    pub lines: Vec<Line>,
}

impl Scenario {
    /// Returns the differences from `apply`'s answers, line by line.
    pub fn differences(&self, answers: &[Answer]) -> Vec<String> {
        let lines = self.lines.iter().enumerate().zip(answers);
        let wrong = lines.filter(|((_, line), answer)| line.answer != **answer);
        let render = |((at, line), answer): ((usize, &Line), &Answer)| {
            let Line {
                operation,
                answer: expected,
            } = line;
            format!(
                "{}, line {at}: {operation:?}\n  wanted {expected:?}\n  got    {answer:?}",
                self.name
            )
        };
        wrong.map(render).collect()
    }
}

/// One operation and its expected answer.
#[derive(Debug)]
pub struct Line {
    pub operation: Operation,
    pub answer: Answer,
}

/// An operation on a journal.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Seconds pass.
    Pass(u32),
    /// A host is reported as stopped now, with or without a claim that it is off.
    Report {
        /// The host's number.
        host: usize,
        /// True if `host_status` is `NORMAL`.
        off: bool,
    },
    /// An instance is reported as failed now.
    ReportInstance {
        /// The host's number.
        host: usize,
        /// The instance's number.
        server: u32,
    },
    /// An operator drains a host.
    Drain {
        /// The host's number.
        host: usize,
    },
    /// An engine lists the recoveries.
    Unsettled,
    /// An engine claims a recovery.
    Claim {
        /// The recovery, numbered in the order in which they were opened.
        recovery: usize,
        /// The epoch that it has read.
        seen: u64,
        /// The engine's number.
        owner: usize,
    },
    /// The owner of an epoch commits.
    Commit {
        /// The recovery.
        recovery: usize,
        /// The owner's epoch.
        epoch: u64,
        /// The transaction's content.
        draft: Box<Draft>,
    },
    /// The owner of an epoch renews its lease.
    RenewLease {
        /// The recovery.
        recovery: usize,
        /// The owner's epoch.
        epoch: u64,
        /// The recovery's elapsed time.
        millis: u64,
    },
    /// The owner of an epoch commits with knowledge of commits that a database failover has lost.
    CommitPast {
        /// The recovery.
        recovery: usize,
        /// The owner's epoch.
        epoch: u64,
        /// The owner's number in [`Operation::Claim`].
        owner: usize,
        /// Number of lost commits.
        lost: u64,
        /// The transaction's content.
        draft: Box<Draft>,
    },
    /// The owner of an epoch renews its lease with knowledge of renewals that a database failover has lost.
    BeatPast {
        /// The recovery.
        recovery: usize,
        /// The owner's epoch.
        epoch: u64,
        /// The owner's number in [`Operation::Claim`].
        owner: usize,
        /// Numbers of lost commits and lost renewals.
        lost: (u64, u64),
    },
    /// An engine reads an older state of a recovery than before.
    MarkRewound {
        /// The recovery.
        recovery: usize,
        /// Number of lost commits.
        lost: u64,
    },
    /// The owner of an epoch releases the recovery.
    Release {
        /// The recovery.
        recovery: usize,
        /// The owner's epoch.
        epoch: u64,
    },
    /// An operator's action.
    Submit {
        recovery: usize,
        /// The action as the command line or the API sends it.
        word: OperatorCommand,
    },
    /// An operator enables or disables the segment.
    Segment { enabled: bool },
    /// An operator puts a host in maintenance.
    Maintenance {
        /// The host's number.
        host: usize,
    },
    /// An operator freezes a target for some minutes.
    Freeze {
        /// The target of the freeze.
        what: Target,
        minutes: u32,
    },
    /// An operator ends a freeze.
    Thaw {
        /// The target of the freeze.
        what: Target,
    },
    /// Query of the hosts that are confirmed off.
    ProvenOff,
    /// Query of the recoveries on hold, and of the instances that wait for an operator.
    Waits,
    /// Query of the Nova records that recoveries of a host have abandoned.
    WrittenOff {
        /// The host.
        host: usize,
    },
}

/// A transaction with the numbers of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The recovery's elapsed time.
    pub millis: u64,
    /// The state's head.
    pub state: Option<&'static str>,
    pub life: Option<Life>,
    pub status: Option<NotificationStatus>,
    /// See [`Write::wait`]; with the names of the objects that wait.
    pub wait: Option<(WaitsFor, &'static [&'static str])>,
    /// The waits of written moves.
    pub move_waits: Vec<(u32, WaitsFor)>,
    /// Moves: the instance, true if the move is open, and its state.
    pub moves: Vec<(u32, bool, String)>,
    /// True if the host is confirmed off.
    pub proven: bool,
    pub proven_off: Option<bool>,
    pub unless_recovered: Option<usize>,
    /// See [`Write::unless_elsewhere`]: an instance, and its host.
    pub unless_elsewhere: Option<(u32, usize)>,
    pub unless_joined: bool,
    pub restarted: Option<u32>,
    /// Reserved hosts.
    pub reservations: Vec<(usize, ReservationState)>,
    /// Puts the host in maintenance.
    pub put: Option<(usize, MaintenanceReason)>,
    /// Ends the maintenance of this host.
    pub back: Option<usize>,
    /// Orders its host off if fewer other hosts than this number were ordered off within this number of seconds.
    pub order: Option<(Option<u32>, u64)>,
    /// See [`Write::unless_frozen`]: the recovery's own freezes, and those of these instances.
    pub unless_frozen: Option<Vec<u32>>,
    /// Ends these freezes, numbered in the order in which they were created.
    pub worse: Vec<usize>,
    /// Freezes its host for this many minutes.
    pub freeze: Option<u32>,
    /// The instances that remain on the frozen host.
    pub left: Vec<u32>,
    pub rewind_done: bool,
    /// The numbers of the actions that the engine has read, from 1 in each scenario.
    pub processed: Vec<i64>,
}

impl Draft {
    fn freeze_order(&self) -> Option<FreezeOrder> {
        Some(FreezeOrder {
            lasts: Duration::from_mins(u64::from(self.freeze?)),
            by: "alice".to_owned(),
            reason: "firmware".to_owned(),
            left: self.left.iter().copied().map(server).collect(),
        })
    }

    /// Converts to a recovery's write. `host_id` maps a host to its id, `now` is the current time, and `freezes` are
    /// the numbers of the freezes so far.
    pub fn write(
        &self,
        recovery: usize,
        host_id: impl Fn(usize) -> HostId,
        freezes: &[i64],
        now: Timestamp,
    ) -> Write {
        let vmove = |number: u32| {
            let (number, recovery) = (u64::from(number), u64::try_from(recovery).unwrap_or_default());
            VmoveId(Uuid::from_u64_pair(recovery + 1, number))
        };
        let moves = self.moves.iter().map(|(number, open, state)| MoveWrite {
            server: server(*number),
            vmove: VmoveState {
                id: vmove(*number),
                name: format!("vm-{number}"),
                source_host: host_name(0),
                dest_host: None,
                start_time: None,
                end_time: None,
                status: VmoveStatus::Pending,
                message: None,
            },
            rank: *number,
            wait: self
                .move_waits
                .iter()
                .find(|(one, _)| one == number)
                .map(|(_, what)| Wait::bare(*what, now)),
            written_off: written_off_in(state).unwrap_or_default(),
            may_run: may_run_in(state).unwrap_or_default(),
            open: *open,
            state: state.clone(),
        });
        let reservations = self.reservations.iter().map(|(host, state)| ReservationWrite {
            host: host_id(*host),
            name: host_name(*host),
            state: *state,
            was_enabled: false,
            was_reason: None,
            aggregates: Vec::new(),
            at: now,
        });
        let proof = ProofWrite {
            kind: "device".to_owned(),
            by: "engine".to_owned(),
            from: "bmc".to_owned(),
            evidence: "{}".to_owned(),
            at: now,
        };
        Write {
            elapsed: Elapsed::from_millis(self.millis),
            state: self.state.map(str::to_owned),
            wait: self.wait.map(|(what, on)| Wait {
                what,
                on: on.iter().map(|name| (*name).to_owned()).collect(),
                since: now,
            }),
            life: self.life,
            moves: moves.collect(),
            steps: Vec::new(),
            proofs: self.proven.then_some(proof).into_iter().collect(),
            notification: self.status.map(|status| (status, None)),
            host: self.put.map(|(host, why)| HostWrite {
                host: host_id(host),
                why,
            }),
            proven_off: self.proven_off,
            running_again: false,
            dismissed: false,
            unrepaired: false,
            unless_host_recovery: self.unless_recovered.map(host_name),
            unless_elsewhere: self.unless_elsewhere.map(|(number, host)| Elsewhere {
                server: server(number),
                host: host_name(host),
            }),
            unless_joined: self.unless_joined,
            unless_evidence: self.unless_joined,
            latest: None,
            planned: Vec::new(),
            freeze: self.freeze_order(),
            restarted: self.restarted.map(server),
            reservations: reservations.collect(),
            host_back: self.back.map(host_id),
            order: self.order.map(|(at_most, within)| FenceOrder {
                at_most,
                within: Duration::from_secs(within),
            }),
            move_order: None,
            unless_frozen: self
                .unless_frozen
                .as_ref()
                .map(|servers| UnlessFrozen {
                    own: servers.is_empty(),
                    host: None,
                    servers: servers.iter().copied().map(server).collect(),
                })
                .unwrap_or_default(),
            rewind_done: self.rewind_done,
            processed_action_ids: self.processed.clone(),
            worse: self
                .worse
                .iter()
                .filter_map(|made| freezes.get(*made).copied())
                .collect(),
        }
    }
}

/// The answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// No result.
    Done,
    /// A report has opened the recovery of this number.
    Opened(usize),
    /// A report has opened no recovery.
    NotOpened,
    /// The recoveries that are open or watch their host's return.
    Views(Vec<View>),
    /// The claimed recovery; `None` if the claim was refused.
    Claimed(Option<Box<Found>>),
    /// The result of a transaction.
    Committed(Outcome),
    Hosts(Vec<usize>),
    Servers(Vec<u32>),
    /// The recoveries on hold, and the instances that wait for an operator, each with the reason.
    Waits {
        held: Vec<(usize, WaitsFor, Vec<String>)>,
        servers: Vec<(u32, WaitsFor)>,
    },
}

/// A recovery in the view of engines that do not own it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// The number, in the order in which they were opened.
    pub recovery: usize,
    pub epoch: u64,
    /// The counter of lease renewals.
    pub beat: u64,
    /// True if it has an owner.
    pub owned: bool,
    /// Open, or watching its host's return.
    pub life: Life,
}

/// The state that an operator or a report may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorView {
    /// True if the segment is enabled.
    pub enabled: bool,
    /// True if an operator has put the host in maintenance.
    pub maintenance: bool,
    /// The latest action, with its number.
    pub word: Option<(u64, OperatorCommand)>,
    /// The actions that no engine has read yet.
    pub actions: Vec<OperatorCommand>,
    /// True if a report that the host is off has joined the recovery.
    pub joined: bool,
    pub freeze_view: FreezeView,
}

/// The state without any action or report.
pub const NO_COMMANDS: OperatorView = OperatorView {
    enabled: true,
    maintenance: false,
    word: None,
    actions: Vec::new(),
    joined: false,
    freeze_view: FreezeView::NOTHING,
};

impl From<OperatorState> for OperatorView {
    fn from(operator_state: OperatorState) -> Self {
        Self {
            enabled: operator_state.segment_enabled,
            maintenance: operator_state.operator_maintenance,
            actions: operator_state
                .actions
                .iter()
                .map(|one| one.request.word)
                .collect(),
            word: operator_state.word.map(|word| (word.number, word.word)),
            joined: operator_state.joined_normal,
            freeze_view: operator_state.frozen.into(),
        }
    }
}

/// A recovery in the view of its new owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub epoch: u64,
    pub kind: RecoveryKind,
    /// True if the journal has lost writes of an earlier owner.
    pub rewound: bool,
    /// Open, or watching its host's return.
    pub life: Life,
    /// The status of its notification.
    pub status: NotificationStatus,
    /// The recovery's elapsed time.
    pub millis: u64,
    /// The state's head.
    pub state: Option<String>,
    /// The states of its moves, by rank.
    pub moves: Vec<String>,
    /// True if its host is in maintenance, for any reason.
    pub on_maintenance: bool,
    /// Ages of the instance's restarts by other recoveries, in seconds.
    pub restarts: Vec<u64>,
    /// The state that operators and reports may have changed.
    pub operator_view: OperatorView,
}

impl From<ClaimedRecovery> for Found {
    fn from(claimed: ClaimedRecovery) -> Self {
        Self {
            epoch: claimed.epoch,
            kind: claimed.kind,
            rewound: claimed.rewound,
            life: claimed.life,
            status: claimed.notification.status,
            millis: claimed.elapsed.millis(),
            state: claimed.state,
            moves: claimed.moves,
            on_maintenance: claimed.host.is_some_and(|host| host.on_maintenance),
            restarts: claimed.restarts.iter().map(Duration::as_secs).collect(),
            operator_view: claimed.operator_state.into(),
        }
    }
}

/// The result of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transaction is durable.
    Written(OperatorView),
    /// Another engine has claimed the recovery.
    Lost,
    /// The journal has lost writes that the owner knows.
    Rewound,
    /// Refused: another recovery moves these instances.
    MovesTaken(Vec<u32>),
    /// Refused: the host is being recovered.
    HostUnderRecovery,
    /// Refused: it would have frozen a host while these instances of it are being recovered.
    InstancesUnderRecovery(Vec<u32>),
    /// Refused: instances may run on these other hosts.
    MayRunOn(BTreeSet<String>),
    /// Refused: a report has joined the recovery.
    Joined,
    /// Refused: these reserved hosts are not available.
    ReserveTaken(Vec<usize>),
    /// Refused: too many hosts were ordered off.
    TooManyOrders,
    /// Refused: an affected object is frozen.
    Frozen(OperatorView),
    /// Refused: the writer's machine was suspended with its clocks.
    TooLate,
}

impl Outcome {
    /// Converts a result; `host` maps an id to a host's number.
    pub fn of(committed: WriteOutcome, host: impl Fn(HostId) -> usize) -> Self {
        match committed {
            WriteOutcome::Written(operator_state) => Self::Written(operator_state.into()),
            WriteOutcome::Lost => Self::Lost,
            WriteOutcome::Rewound => Self::Rewound,
            WriteOutcome::MovesTaken(servers) => {
                let mut taken: Vec<u32> = servers.into_iter().map(number).collect();
                taken.sort_unstable();
                Self::MovesTaken(taken)
            }
            WriteOutcome::HostUnderRecovery => Self::HostUnderRecovery,
            WriteOutcome::InstancesUnderRecovery(servers) => {
                Self::InstancesUnderRecovery(servers.into_iter().map(number).collect())
            }
            WriteOutcome::MayRunOn(hosts) => Self::MayRunOn(hosts),
            WriteOutcome::Joined => Self::Joined,
            WriteOutcome::ReserveTaken(hosts) => Self::ReserveTaken(hosts.into_iter().map(host).collect()),
            WriteOutcome::TooManyOrders => Self::TooManyOrders,
            WriteOutcome::Frozen(operator_state) => Self::Frozen(operator_state.into()),
            WriteOutcome::TooLate => Self::TooLate,
        }
    }
}
