//! What a recovery is told: the answers to its commands, and the passing of time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Command, Pulse, ReserveAnswer, WrittenOff};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::guard::Region;
use crate::hooks::{HookOutcome, Phase};
use crate::id::{HostId, ServerId};
use crate::level::{Level, Target};
use crate::nova::{Migration, Server, Service};
use crate::pace::Permits;
use crate::power::PowerReading;
use crate::timestamp::Timestamp;

/// The lists a host recovery plans by, taken one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Every migration record with the host on either side.
    pub migrations: Vec<Migration>,
    /// Every server on the host.
    pub servers: Vec<Server>,
    /// What is behind it if that is none.
    pub in_cell: InCell,
    /// The host's service record, read before the lists and after them: if Nova could show it both times, the host's cell was
    /// there to be listed.
    pub service: Option<Service>,
    /// Evacuation records that earlier recoveries of the host have given up, because their destinations had died (R10). Those may
    /// be back since, and Nova never ends such a record.
    pub written_off: BTreeMap<ServerId, Vec<WrittenOff>>,
    /// Other hosts on which these instances may run by what earlier recoveries, of whatever host, have left (R10).
    pub may_run: BTreeMap<ServerId, BTreeSet<String>>,
}

/// What a host's cell says when a list shows no server of the host: Nova leaves a cell that does not answer out of its lists
/// without a word, but asked by itself it answers, or the call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InCell {
    /// There is no need, or no hypervisor of the host to ask by.
    NotAsked,
    /// So many servers are there.
    Has(usize),
    /// It did not answer.
    Failed(Fault),
}

/// The lists a host recovery follows its moves by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lists {
    /// When the first of them was asked for.
    pub started: Elapsed,
    /// The servers that are still on the host. Taken first, so that a server missing here has left before the
    /// migrations were read.
    pub servers: Vec<Server>,
    /// The evacuation records from the host, newest first.
    pub evacuations: Vec<Migration>,
    /// Other hosts that have a valid proof of their own.
    pub proven_off: BTreeSet<String>,
}

/// The evacuation records from a host, as they were read for all recoveries together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evacuations {
    /// When the reading began.
    pub started: Elapsed,
    /// Newest first.
    pub records: Vec<Migration>,
}

/// The servers Nova has on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIds {
    /// When the reading began.
    pub started: Elapsed,
    /// Of every project.
    pub ids: BTreeSet<ServerId>,
}

/// Whether Nova's messages get through (R10).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Messaging {
    /// Every nova-conductor is up. Their heartbeats do not go over the broker that evacuations go over.
    pub conductors_up: bool,
    /// The age of the youngest heartbeat of all nova-computes, by Nova's clock: these go over that broker. `None` if Nova shows
    /// none.
    pub youngest_beat: Option<Duration>,
    /// The latest heartbeat of them all, as Nova dates it. A Nova without a `Date` in its answers tells no age: there it counts
    /// that this goes on.
    pub latest_beat: Option<Timestamp>,
    /// The enabled hosts that Nova does not hear, and for how long: what was sent to one of them may wait in its queue.
    pub silent: BTreeMap<String, Duration>,
}

impl Messaging {
    /// From what Nova shows of its services.
    pub fn of<'a>(conductors_up: bool, services: impl IntoIterator<Item = &'a Service>) -> Self {
        let mut seen = Self {
            conductors_up,
            ..Self::default()
        };
        for service in services {
            let age = service.heartbeat_age_micros();
            let age = age.map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
            if service.up {
                seen.youngest_beat = [seen.youngest_beat, age].into_iter().flatten().min();
                seen.latest_beat = seen.latest_beat.max(service.last_heartbeat);
            } else if service.enabled && !service.forced_down {
                seen.silent
                    .insert(service.host.clone(), age.unwrap_or(Duration::ZERO));
            }
        }
        seen
    }
}

/// A server and its live migrations. These are read first: one that is over has written where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// `None`: it is gone.
    pub server: Option<Server>,
    /// Every live migration Nova has a record of.
    pub migrations: Vec<Migration>,
    /// How much of the one under way is done, if Nova says so.
    pub percent: Option<u8>,
}

/// What came of a call about one server.
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
    /// `os-stop`, `pause`, `suspend` or `os-resetState` after it.
    Restore,
    /// `os-stop` of a VM recovery.
    Stop,
    /// `os-start` of a VM recovery.
    Start,
    /// `os-resetState` to `active` of a VM recovery.
    Activate,
    /// `os-migrateLive`.
    LiveMigrate,
    /// `DELETE` of a live migration under way.
    AbortMigration,
}

/// Something a recovery learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observation {
    /// Time has passed.
    Tick,
    /// This engine has just claimed it: whatever was on its way when the last owner stopped is not known (R5).
    Claimed(Pulse),
    /// A failover of the database has lost what earlier owners wrote last. No call of theirs can take effect any more, but some may
    /// have that the journal does not know (R33). The claim follows.
    Rewound,
    /// What an operator may have changed.
    Pulse(Pulse),
    /// Answer to [`Command::CountHosts`].
    Region(Arc<Region>),
    /// Answer to [`Command::ReadService`].
    Service(Result<Option<Service>, Fault>),
    /// Whether an operator has stopped all fencing (`[fencing] enabled = false`).
    FencingStopped(bool),
    /// Answer to [`Command::LearnLevels`]; none if no device is configured.
    Levels(Vec<Level>),
    /// Answer to [`Command::ReadPower`].
    Power {
        /// Which device.
        target: Target,
        /// When the question was sent.
        started: Elapsed,
        /// How long it had waited for its turn before.
        waited: Duration,
        /// The answer.
        result: Result<PowerReading, Fault>,
    },
    /// Answer to [`Command::PowerOff`].
    PowerOff {
        /// Which device.
        target: Target,
        /// The answer.
        result: Result<(), Fault>,
    },
    /// Answer to [`Command::PowerOn`].
    PowerOn {
        /// Which device.
        target: Target,
        /// The answer.
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
    /// How much may be begun from now on, over all recoveries of this engine.
    Permits(Permits),
    /// Answer to [`Command::ReadConductors`].
    Conductors(Result<Messaging, Fault>),
    /// Answer to [`Command::ReadServer`].
    Server {
        /// The instance that was asked for.
        server: ServerId,
        /// `Ok(None)`: it is gone.
        result: Result<Option<Server>, Fault>,
    },
    /// Answer to [`Command::FollowMove`].
    Followed {
        /// The instance that was asked for.
        server: ServerId,
        /// The answer.
        result: Result<Followed, Fault>,
    },
    /// Answer to a command about one server.
    ServerCall {
        /// Which server.
        server: ServerId,
        /// Which call.
        call: ServerCall,
        /// The answer.
        result: Result<(), Fault>,
    },
    /// Answer to [`Command::RunHook`].
    Hook {
        /// In which phase.
        phase: Phase,
        /// Which of its hooks.
        number: u8,
        /// Which run of it.
        attempt: u32,
        /// What came of it.
        outcome: HookOutcome,
    },
    /// A command was not carried out, because its intent had grown too old or the claim too uncertain (R2, R4).
    NotSent(Command),
    /// The instances are being worked on by another recovery.
    MovesTaken(Vec<ServerId>),
    /// The write was refused: too many hosts were ordered off lately ([`super::FenceOrder`]).
    OrderRefused,
    /// The write was refused because the host is being recovered (R12).
    HostUnderRecovery,
    /// The write was refused: it would have frozen a host on which these instances are being recovered.
    InstancesUnderRecovery(Vec<ServerId>),
    /// Nothing was written or called: host recoveries may have left the instance running on these hosts.
    MayRunOn(BTreeSet<String>),
    /// Answer to [`Command::Reserve`].
    Reserve(ReserveAnswer),
    /// The write was refused: these reserved hosts are held by somebody else, or are in reserve no more.
    ReserveTaken(Vec<HostId>),
}
