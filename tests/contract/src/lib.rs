//! What every journal has to answer: operations with their answers, run against the store on each database and against the
//! journal of the simulation. Hosts, recoveries and instances have numbers here; what they are called is each journal's own.

mod freezes;
mod rewind;
mod scenarios;

use std::collections::BTreeSet;
use std::time::Duration;

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::freeze::UnlessFrozen;
use tachi_domain::recovery::given_up::{may_run_in, written_off_in};
use tachi_domain::recovery::{Elsewhere, FenceOrder, FreezeOrder, Life, Pulse, RecoveryKind, Word};
use tachi_domain::{Elapsed, HostId, ServerId, Timestamp, VmoveId, Wait, WaitsFor};
use tachi_driver::journal::{
    Claimed, Committed, HostWrite, MoveWrite, ProofWrite, ReservationState, ReservationWrite, Write,
};
use uuid::Uuid;

pub use freezes::{IceTold, Target};
pub use scenarios::scenarios;

/// So many hosts, `compute-0` and so on, in one segment. The last is in reserve.
pub const HOSTS: usize = 5;

/// The host that is in reserve.
pub const RESERVED: usize = HOSTS - 1;

/// An instance's id.
pub fn server(number: u32) -> ServerId {
    ServerId(Uuid::from_u128(0x5e7 + u128::from(number)))
}

/// An instance's number.
pub fn number(server: ServerId) -> u32 {
    u32::try_from(server.0.as_u128().saturating_sub(0x5e7)).unwrap_or(u32::MAX)
}

/// A host's name.
pub fn host_name(host: usize) -> String {
    format!("compute-{host}")
}

/// One story, on a journal of its own in which nothing has happened.
#[derive(Debug)]
pub struct Scenario {
    /// What it is about.
    pub name: &'static str,
    /// In this order.
    pub lines: Vec<Line>,
}

impl Scenario {
    /// What `apply` has answered otherwise, line by line.
    pub fn differences(&self, answers: &[Answer]) -> Vec<String> {
        let lines = self.lines.iter().enumerate().zip(answers);
        let wrong = lines.filter(|((_, line), answer)| line.answer != **answer);
        let told = |((at, line), answer): ((usize, &Line), &Answer)| {
            let Line {
                operation,
                answer: wanted,
            } = line;
            format!(
                "{}, line {at}: {operation:?}\n  wanted {wanted:?}\n  got    {answer:?}",
                self.name
            )
        };
        wrong.map(told).collect()
    }
}

/// One operation and what it must come to.
#[derive(Debug)]
pub struct Line {
    /// What is done.
    pub operation: Operation,
    /// What comes of it.
    pub answer: Answer,
}

/// What is done to a journal.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Seconds pass.
    Pass(u32),
    /// A host is reported to have stopped, now; by one that has seen to it that it is off, or not.
    Report {
        /// Its number among the script's hosts.
        host: usize,
        /// `host_status` is `NORMAL`.
        off: bool,
    },
    /// An instance is reported to have failed, now.
    ReportInstance {
        /// Where.
        host: usize,
        /// Its number among the script's servers.
        server: u32,
    },
    /// A person has a host drained.
    Drain {
        /// Its number among the script's hosts.
        host: usize,
    },
    /// An engine looks which recoveries there are.
    Unsettled,
    /// An engine claims a recovery.
    Claim {
        /// Which, by the order in which they were opened.
        recovery: usize,
        /// The epoch it has seen.
        seen: u64,
        /// Its number.
        owner: usize,
    },
    /// The owner of an epoch commits.
    Commit {
        /// Which recovery.
        recovery: usize,
        /// The owner's.
        epoch: u64,
        /// All that goes into the transaction.
        draft: Box<Draft>,
    },
    /// The owner of an epoch raises the beat.
    Beat {
        /// Which recovery.
        recovery: usize,
        /// The owner's.
        epoch: u64,
        /// The recovery's own time.
        millis: u64,
    },
    /// The owner of an epoch commits, knowing of so many writes that the journal does not have: a failover has lost them.
    CommitPast {
        /// Which recovery.
        recovery: usize,
        /// The owner's.
        epoch: u64,
        /// As it is called in [`Operation::Claim`].
        owner: usize,
        /// How many commits were lost.
        lost: u64,
        /// All that goes into the transaction.
        draft: Box<Draft>,
    },
    /// The owner of an epoch raises the beat, knowing of so many beats that the journal does not have.
    BeatPast {
        /// Which recovery.
        recovery: usize,
        /// The owner's.
        epoch: u64,
        /// As it is called in [`Operation::Claim`].
        owner: usize,
        /// How many commits were lost, and how many beats.
        lost: (u64, u64),
    },
    /// An engine sees a recovery at an older state than it once knew.
    MarkRewound {
        /// Which recovery.
        recovery: usize,
        /// By how many commits it is older.
        lost: u64,
    },
    /// The owner of an epoch lets go.
    Release {
        /// Which recovery.
        recovery: usize,
        /// The owner's.
        epoch: u64,
    },
    /// An operator says something.
    Say {
        /// About which recovery.
        recovery: usize,
        /// As a command or the API says it.
        word: Word,
    },
    /// An operator switches the segment.
    Segment {
        /// On or off.
        enabled: bool,
    },
    /// An operator puts a host on maintenance.
    Maintenance {
        /// Its number among the script's hosts.
        host: usize,
    },
    /// An operator freezes something for so many minutes.
    Freeze {
        /// A freeze is of one of them alone.
        what: Target,
        /// For how long.
        minutes: u32,
    },
    /// An operator ends a freeze.
    Thaw {
        /// Of what.
        what: Target,
    },
    /// Somebody asks which hosts are proven off.
    ProvenOff,
    /// Somebody asks which recoveries are held, and which instances wait for a person.
    Waits,
    /// Somebody asks what recoveries of a host have given up of Nova's records.
    WrittenOff {
        /// Which host.
        host: usize,
    },
}

/// A transaction, in the script's words.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs, reason = "what has no comment is as in `Write`")]
pub struct Draft {
    /// The recovery's own time.
    pub millis: u64,
    /// The state's head.
    pub state: Option<&'static str>,
    pub life: Option<Life>,
    pub status: Option<NotificationStatus>,
    /// See [`Write::wait`]; with the names that it is about.
    pub wait: Option<(WaitsFor, &'static [&'static str])>,
    /// The same of moves that are written.
    pub move_waits: Vec<(u32, WaitsFor)>,
    /// Moves: instance, whether it is open, and its state.
    pub moves: Vec<(u32, bool, String)>,
    /// The host is proven off.
    pub proven: bool,
    pub proven_off: Option<bool>,
    pub unless_recovered: Option<usize>,
    /// See [`Write::unless_elsewhere`]: an instance, and its host.
    pub unless_elsewhere: Option<(u32, usize)>,
    pub unless_joined: bool,
    pub restarted: Option<u32>,
    /// Reserved hosts.
    pub reservations: Vec<(usize, ReservationState)>,
    /// The host goes on maintenance.
    pub put: Option<(usize, MaintenanceReason)>,
    /// The host comes off it.
    pub back: Option<usize>,
    /// Orders its host off, if fewer than so many others have within so many seconds.
    pub order: Option<(Option<u32>, u64)>,
    /// See [`Write::unless_frozen`]: its own, and instances.
    pub unless_frozen: Option<Vec<u32>>,
    /// Ends these freezes, by the order in which they were made.
    pub worse: Vec<usize>,
    /// Freezes its host for so many minutes.
    pub freeze: Option<u32>,
    pub rewind_over: bool,
}

impl Draft {
    /// As a journal takes it of a recovery. `host_id` says what a host is called there, `now` when it is.
    /// `freezes` are the numbers of those that were made.
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
            vmove: vmove(*number),
            server: server(*number),
            name: format!("vm-{number}"),
            rank: *number,
            source_host: host_name(0),
            dest_host: None,
            start_time: None,
            end_time: None,
            status: VmoveStatus::Pending,
            message: None,
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
            unless_host_recovery: self.unless_recovered.map(host_name),
            unless_elsewhere: self.unless_elsewhere.map(|(number, host)| Elsewhere {
                server: server(number),
                host: host_name(host),
            }),
            unless_joined: self.unless_joined,
            unless_evidence: self.unless_joined,
            latest: None,
            planned: Vec::new(),
            freeze: self.freeze.map(|minutes| FreezeOrder {
                lasts: Duration::from_mins(u64::from(minutes)),
                by: "alice".to_owned(),
                reason: "firmware".to_owned(),
            }),
            restarted: self.restarted.map(server),
            reservations: reservations.collect(),
            host_back: self.back.map(host_id),
            order: self.order.map(|(at_most, within)| FenceOrder {
                at_most,
                within: Duration::from_secs(within),
            }),
            unless_frozen: self
                .unless_frozen
                .as_ref()
                .map(|servers| UnlessFrozen {
                    own: servers.is_empty(),
                    host: None,
                    servers: servers.iter().copied().map(server).collect(),
                })
                .unwrap_or_default(),
            rewind_over: self.rewind_over,
            worse: self
                .worse
                .iter()
                .filter_map(|made| freezes.get(*made).copied())
                .collect(),
        }
    }
}

/// What comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to be told.
    Done,
    /// A report has opened the recovery of this number.
    Opened(usize),
    /// A report has opened none.
    NotOpened,
    /// The recoveries that are open or watching.
    Views(Vec<View>),
    /// A claim, if it was made.
    Claimed(Option<Box<Found>>),
    /// A transaction.
    Committed(Outcome),
    /// Hosts.
    Hosts(Vec<usize>),
    /// Instances.
    Servers(Vec<u32>),
    /// The recoveries that are held, and the instances that wait for a person, each with what for.
    Waits {
        /// By their numbers.
        held: Vec<(usize, WaitsFor, Vec<String>)>,
        /// By their numbers.
        servers: Vec<(u32, WaitsFor)>,
    },
}

/// A recovery as others see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// By the order in which they were opened.
    pub recovery: usize,
    /// Its epoch.
    pub epoch: u64,
    /// Its beat.
    pub beat: u64,
    /// Whether somebody owns it.
    pub owned: bool,
    /// Open or watching.
    pub life: Life,
}

/// What an operator or a report may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The segment is enabled.
    pub enabled: bool,
    /// An operator has put the host on maintenance.
    pub maintenance: bool,
    /// The latest word and its number.
    pub word: Option<(u64, Word)>,
    /// A report has joined that says that the host is off.
    pub joined: bool,
    /// What is frozen.
    pub ice: IceTold,
}

/// Nobody has said anything.
pub const CALM: Said = Said {
    enabled: true,
    maintenance: false,
    word: None,
    joined: false,
    ice: IceTold::NOTHING,
};

impl From<Pulse> for Said {
    fn from(pulse: Pulse) -> Self {
        Self {
            enabled: pulse.segment_enabled,
            maintenance: pulse.operator_maintenance,
            word: pulse.word.map(|word| (word.number, word.word)),
            joined: pulse.joined_normal,
            ice: pulse.frozen.into(),
        }
    }
}

/// A recovery as its new owner finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The new owner's epoch.
    pub epoch: u64,
    /// What it is about.
    pub kind: RecoveryKind,
    /// The journal has lost writes of an earlier owner.
    pub rewound: bool,
    /// Open or watching.
    pub life: Life,
    /// Of its notification.
    pub status: NotificationStatus,
    /// The recovery's own time.
    pub millis: u64,
    /// The state's head.
    pub state: Option<String>,
    /// The states of its moves, in the order of their ranks.
    pub moves: Vec<String>,
    /// Whether its host is on maintenance, for whatever reason.
    pub on_maintenance: bool,
    /// How many seconds ago others have restarted its instance.
    pub restarts: Vec<u64>,
    /// What was said.
    pub said: Said,
}

impl From<Claimed> for Found {
    fn from(claimed: Claimed) -> Self {
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
            said: claimed.pulse.into(),
        }
    }
}

/// What came of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Durable.
    Written(Said),
    /// Another engine has claimed it.
    Lost,
    /// The journal has lost what its owner knows.
    Rewound,
    /// Instances that another recovery moves.
    MovesTaken(Vec<u32>),
    /// The host is being recovered.
    HostUnderRecovery,
    /// Nothing was written: it would have frozen a host of which these instances are being recovered.
    InstancesUnderRecovery(Vec<u32>),
    /// Nothing was written: instances may run on these other hosts.
    MayRunOn(BTreeSet<String>),
    /// A report has joined.
    Joined,
    /// Reserved hosts that cannot be taken.
    ReserveTaken(Vec<usize>),
    /// Too many were ordered off.
    TooManyOrders,
    /// Something of it is frozen.
    Frozen(Said),
    /// The writer's machine was stopped with its clocks.
    TooLate,
}

impl Outcome {
    /// `host` says which host an id is.
    pub fn of(committed: Committed, host: impl Fn(HostId) -> usize) -> Self {
        match committed {
            Committed::Written(pulse) => Self::Written(pulse.into()),
            Committed::Lost => Self::Lost,
            Committed::Rewound => Self::Rewound,
            Committed::MovesTaken(servers) => {
                let mut taken: Vec<u32> = servers.into_iter().map(number).collect();
                taken.sort_unstable();
                Self::MovesTaken(taken)
            }
            Committed::HostUnderRecovery => Self::HostUnderRecovery,
            Committed::InstancesUnderRecovery(servers) => {
                Self::InstancesUnderRecovery(servers.into_iter().map(number).collect())
            }
            Committed::MayRunOn(hosts) => Self::MayRunOn(hosts),
            Committed::Joined => Self::Joined,
            Committed::ReserveTaken(hosts) => Self::ReserveTaken(hosts.into_iter().map(host).collect()),
            Committed::TooManyOrders => Self::TooManyOrders,
            Committed::Frozen(pulse) => Self::Frozen(pulse.into()),
            Committed::TooLate => Self::TooLate,
        }
    }
}
