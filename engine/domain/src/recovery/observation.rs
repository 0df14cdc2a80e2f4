//! Inputs of a recovery: the answers to its commands, and the passing of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Command, OperatorState, ReserveAnswer, WrittenOff};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::guard::Region;
use crate::hooks::{HookOutcome, Phase};
use crate::id::{HostId, ServerId};
use crate::level::{Level, Target};
use crate::nova::{Migration, Server, ServerAction, Service};
use crate::pace::Permits;
use crate::power::PowerReading;
use crate::timestamp::Timestamp;

/// The lists by which a host recovery plans, read one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Every migration record with the host on either side.
    pub migrations: Vec<Migration>,
    /// Every server on the host.
    pub servers: Vec<Server>,
    /// The servers of the unknown evacuations that were to be read.
    pub evacuated: Vec<Server>,
    /// The answer of the host's cell if there is no server.
    pub in_cell: InCell,
    /// The host's service record, read before the lists and after them. If Nova could show it both times, the host's cell was
    /// available for the lists.
    pub service: Option<Service>,
    /// Evacuation records that earlier recoveries of the host have given up, because their destinations had failed. Those
    /// destinations may be back since, and Nova never ends such a record.
    pub written_off: BTreeMap<ServerId, Vec<WrittenOff>>,
    /// Other hosts on which these instances may run, according to earlier recoveries of any host.
    pub may_run: BTreeMap<ServerId, BTreeSet<String>>,
    /// The instances that a monitor bound to this host has last read as being on its local disk.
    pub local_disks: BTreeSet<ServerId>,
}

/// The answer of a host's cell when a list shows no server of the host. Nova silently leaves a cell that does not answer out of
/// its lists, but a query of the cell itself returns an answer or fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InCell {
    /// No query was needed, or the host has no hypervisor to query by.
    NotQueried,
    /// The cell has this number of servers.
    Has(usize),
    /// The cell did not answer.
    Failed(Fault),
}

/// The lists by which a host recovery follows its moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// The time at which the first list was requested.
    pub started: Elapsed,
    /// The servers that are still on the host. Read first, so that a server missing here has left before the
    /// migrations were read.
    pub servers: Vec<Server>,
    /// The evacuation records from the host, newest first.
    pub evacuations: Vec<Migration>,
    /// Other hosts that have a valid proof of their own.
    pub proven_off: BTreeSet<String>,
}

/// The evacuation records from a host, read once for all recoveries together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evacuations {
    /// The start of the read.
    pub started: Elapsed,
    /// Newest first.
    pub records: Vec<Migration>,
}

/// The servers that Nova has on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIds {
    /// The start of the read.
    pub started: Elapsed,
    /// The ids of the servers of every project.
    pub ids: BTreeSet<ServerId>,
}

/// The state of Nova's messaging.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messaging {
    /// True if every nova-conductor is up. Their heartbeats do not use the broker that evacuations use.
    pub conductors_up: bool,
    /// The age of the latest heartbeat of all nova-computes, by Nova's clock. These heartbeats use that broker. `None` if Nova shows
    /// none.
    pub latest_heartbeat_age: Option<Duration>,
    /// The latest heartbeat of them all, as dated by Nova. A Nova without a `Date` in its answers gives no age: there it counts
    /// that this time advances.
    pub latest_heartbeat: Option<Timestamp>,
    /// The enabled hosts that are down in Nova, and for how long: a request sent to one of them may wait in its queue.
    pub silent: BTreeMap<String, Duration>,
}

impl Messaging {
    /// Derives the state from the services that Nova shows.
    pub fn of<'a>(conductors_up: bool, services: impl IntoIterator<Item = &'a Service>) -> Self {
        let mut reading = Self {
            conductors_up,
            ..Self::default()
        };
        for service in services {
            let age = service.heartbeat_age_micros();
            let age = age.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
            if service.up {
                reading.latest_heartbeat_age =
                    [reading.latest_heartbeat_age, age].into_iter().flatten().min();
                reading.latest_heartbeat = reading.latest_heartbeat.max(service.last_heartbeat);
            } else if service.enabled && !service.forced_down {
                reading
                    .silent
                    .insert(service.host.clone(), age.unwrap_or(Duration::ZERO));
            }
        }
        reading
    }
}

/// A server and its migrations. The migrations are read first: a finished one has recorded where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReading {
    /// The server; `None` if it is gone.
    pub server: Option<Server>,
    /// Every migration that Nova has a record of.
    pub migrations: Vec<Migration>,
    /// The progress of the current live migration, if Nova reports it.
    pub percent: Option<u8>,
}

/// The kind of a call about one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCall {
    /// `lock`.
    Lock,
    /// `unlock`.
    Unlock,
    /// `os-resetState` before the evacuation.
    Prepare,
    /// `evacuate`.
    Evacuate,
    /// `os-stop`, `pause`, `suspend` or `os-resetState` after the evacuation.
    Restore,
    /// `os-stop` of a VM recovery.
    Stop,
    /// `os-start` of a VM recovery.
    Start,
    /// `migrate` of a VM recovery.
    Migrate,
    /// `confirmResize` of a VM recovery.
    ConfirmMigration,
    /// `os-resetState` to `active` of a VM recovery.
    Activate,
    /// `os-migrateLive`.
    LiveMigrate,
    /// `DELETE` of a live migration under way.
    AbortMigration,
}

/// An input of a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Time has passed.
    Tick,
    /// This engine has just claimed the recovery: the fate of calls in flight when the last owner stopped is unknown.
    Claimed(OperatorState),
    /// A database failover has lost the latest writes of earlier owners. None of their calls can take effect any more, but some that
    /// the journal does not know may have taken effect. The claim follows.
    Rewound,
    /// The state that an operator may have changed.
    OperatorState(OperatorState),
    /// Answer to [`Command::CountHosts`].
    Region(Arc<Region>),
    /// Answer to [`Command::ReadService`].
    Service(Result<Option<Service>, Fault>),
    /// True if an operator has stopped all fencing (`[fencing] enabled = false`).
    FencingStopped(bool),
    /// Answer to [`Command::LearnLevels`]; empty if no device is configured.
    Levels(Vec<Level>),
    /// Answer to [`Command::ReadPower`].
    Power {
        target: Target,
        /// The time at which the query was sent.
        started: Elapsed,
        /// The time that the query had waited for its turn before.
        waited: Duration,
        result: Result<PowerReading, Fault>,
    },
    /// Answer to [`Command::PowerOff`].
    PowerOff {
        target: Target,
        result: Result<(), Fault>,
    },
    /// Answer to [`Command::PowerOn`].
    PowerOn {
        target: Target,
        result: Result<(), Fault>,
    },
    /// Answer to [`Command::UpdateService`].
    ServiceUpdated(Result<Service, Fault>),
    /// Answer to [`Command::TakeInventory`].
    Inventory(Result<Inventory, Fault>),
    /// Answer to [`Command::ReadLists`].
    Lists(Result<Lists, Fault>),
    /// Answer to [`Command::ReadEvacuations`].
    Evacuations(Result<Evacuations, Fault>),
    /// Answer to [`Command::ReadServerIds`].
    ServerIds(Result<ServerIds, Fault>),
    /// The amount of work that may be started from now on, over all recoveries of this engine.
    Permits(Permits),
    /// Answer to [`Command::ReadConductors`].
    Conductors(Result<Messaging, Fault>),
    /// Answer to [`Command::ReadServer`].
    Server {
        server: ServerId,
        /// The answer; `Ok(None)` if the instance is gone.
        result: Result<Option<Server>, Fault>,
    },
    /// Answer to [`Command::ReadActions`].
    Actions {
        server: ServerId,
        /// The actions, latest first; `Ok(None)` if the instance is gone.
        result: Result<Option<Vec<ServerAction>>, Fault>,
    },
    /// Answer to [`Command::FollowMove`].
    Followed {
        server: ServerId,
        result: Result<ServerReading, Fault>,
    },
    /// Answer to a command about one server.
    ServerCall {
        server: ServerId,
        call: ServerCall,
        result: Result<(), Fault>,
    },
    /// Answer to [`Command::RunHook`].
    Hook {
        phase: Phase,
        /// The number of the hook within the phase.
        number: u8,
        /// The number of the run.
        attempt: u32,
        /// The outcome of the run.
        outcome: HookOutcome,
    },
    /// A command was not carried out, because its intent had become too old or the claim too uncertain.
    NotSent(Command),
    /// Another recovery is working on these instances.
    MovesTaken(Vec<ServerId>),
    /// The write was refused: too many hosts were ordered off recently ([`super::FenceOrder`]).
    OrderRefused,
    /// The write was refused because the host is being recovered.
    HostUnderRecovery,
    /// The write was refused: it would have frozen a host on which these instances are being recovered.
    InstancesUnderRecovery(Vec<ServerId>),
    /// No write and no call was made: host recoveries may have left the instance running on these hosts.
    MayRunOn(BTreeSet<String>),
    /// Answer to [`Command::Reserve`].
    Reserve(ReserveAnswer),
    /// The write was refused: these reserved hosts are taken by another recovery, or are no longer in reserve.
    ReserveTaken(Vec<HostId>),
}
