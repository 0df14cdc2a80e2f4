//! Facts about a region, each with its age.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Acknowledgement, MAX_FACT_AGE};
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;
use crate::forecast::{Group, Needs, Provider};
use crate::freeze::Freeze;
use crate::guard::{JointLoss, WouldHold};
use crate::id::{RecoveryId, ServerId};
use crate::monitor::MonitorHeartbeat;
use crate::nova::{Rest, StartBlocker};
use crate::policy::{FencingMode, LocalDisk};
use crate::power::Power;
use crate::recovery::{Life, RecoveryKind};
use crate::reporter::Reporter;
use crate::reserved::Aggregate;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

/// A value with the time at which it was true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimedFact<T> {
    /// The time at which the value was true.
    pub as_of: Timestamp,
    /// The value at that time.
    pub value: T,
}

impl<T> TimedFact<T> {
    /// True if the value is current. A time in the future does not count, because some clock is wrong.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        u128::from(now.micros_since(self.as_of).unsigned_abs()) <= MAX_FACT_AGE.as_micros()
    }
}

/// All known facts. Facts from our own tables are as old as the read.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// The registered engines.
    pub engines: Vec<Engine>,
    /// The notifications that wait for an engine.
    pub queue: Queue,
    /// The segments with their hosts.
    pub segments: Vec<Segment>,
    /// The recoveries that are open or watching.
    pub recoveries: Vec<Recovery>,
    /// The instances that wait for an operator.
    pub waiting: Vec<WaitingInstance>,
    /// The instances that open recoveries have not brought back yet, wherever Nova shows them meanwhile.
    pub displaced_instances: BTreeSet<ServerId>,
    /// The instances whose reported failure no recovery has repaired, and that are not known to run since.
    pub failed: BTreeMap<ServerId, ReportedFailure>,
    /// The reporters that are muted, or should be.
    pub muted_reporters: Vec<MutedReporter>,
    /// The freezes in force.
    pub freezes: Vec<ActiveFreeze>,
    /// The monitors that have ever sent a heartbeat.
    pub monitors: Vec<Monitor>,
    /// The instances on the local disk of each host, as a monitor bound to the host has last read them. A missing host was not read.
    /// Shared, because there may be 50,000.
    pub local_disks: Arc<BTreeMap<String, BTreeSet<ServerId>>>,
    /// The fencing configuration and the state of the fence devices.
    pub fencing: Fencing,
    /// Nova's compute services; `None` if no engine has read them.
    pub computes: Option<TimedFact<Vec<ComputeService>>>,
    /// Nova's instances; `None` if no engine has listed them.
    pub instances: Option<TimedFact<Instances>>,
    /// The resources of the hosts; `None` if no engine has read them.
    pub rooms: Option<TimedFact<Rooms>>,
    /// The hosts whose recovery the guards would put on hold; `None` if no engine has reported them.
    pub holds: Option<TimedFact<Vec<WouldHold>>>,
    /// The guards' answers to the loss of several hosts at once; `None` if no engine has reported them.
    pub joint_losses: Option<TimedFact<Vec<JointLoss>>>,
    /// The findings that operators know of.
    pub acknowledged: Vec<Acknowledgement>,
}

/// The resources of the hosts, and the rules that restrict the choice among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    /// The resource provider of each service host. A missing host has changed since its last read, or was never read.
    pub providers: BTreeMap<String, Arc<Provider>>,
    pub aggregates: Vec<Aggregate>,
    /// Nova's server groups whose policy is binding.
    pub groups: Vec<Group>,
    /// The outcome of the last read.
    pub state: RoomsState,
}

/// The outcome of the last read of the hosts' resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsState {
    /// The reason why the read failed; then none of its data counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// True if access is denied until an operator grants it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The number of hosts that are still to be read.
    pub unread: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// The name, which begins with the machine's name and a colon.
    pub name: String,
    /// The start time.
    pub started_at: Timestamp,
    /// The time of the last heartbeat.
    pub seen_at: Timestamp,
    /// The state of the engine's parts, by name.
    pub parts: BTreeMap<String, EnginePart>,
    /// True if the engine supports freezes; older versions do not.
    pub supports_freezes: bool,
}

/// A part of an engine, such as its connection to Nova.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnginePart {
    pub is_working: bool,
    /// Text for people.
    pub text: String,
}

/// The notifications that wait for an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// The number of notifications that no engine has started to process.
    pub new: u64,
    /// The time at which the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    pub name: String,
    /// The recovery method of its instances.
    pub method: RecoveryMethod,
    /// False if none of its hosts or instances is recovered.
    pub enabled: bool,
    /// The treatment of instances on a local disk of its hosts that have none of their own.
    pub local_disk: LocalDisk,
    pub hosts: Vec<Host>,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    pub name: String,
    /// True if the host is kept empty for the instances of another.
    pub reserved: bool,
    /// The reason for its maintenance, if it is in maintenance.
    pub maintenance: Option<MaintenanceReason>,
    /// The host's recovery that is open or watching.
    pub recovery: Option<(RecoveryId, Life)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The id that commands take.
    pub id: RecoveryId,
    pub kind: RecoveryKind,
    pub host: String,
    /// The stage, which is open or watching.
    pub life: Life,
    /// The condition that the recovery waits for.
    pub wait: Option<Wait>,
    /// The number of its instances.
    pub instances: u64,
    /// The number of its instances that are running again.
    pub back: u64,
    /// The problem that it shows for people; `None` if it makes progress.
    pub message: Option<String>,
}

/// An instance that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingInstance {
    pub server: ServerId,
    pub name: String,
    /// The host that failed.
    pub host: String,
    pub recovery: RecoveryId,
    /// The condition that the instance waits for.
    pub wait: Option<Wait>,
    /// The reason, for people; `None` if it is not known.
    pub reason: Option<String>,
}

/// The reported failure of an instance that no recovery has repaired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedFailure {
    /// The recovery, while it is open.
    pub open: Option<RecoveryId>,
    /// The end of the recovery, or the start of an open one.
    pub at: Timestamp,
    /// The reason, for people; `None` if it is not known.
    pub reason: Option<String>,
}

/// A monitor, by its last heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// The content of the heartbeat.
    pub heartbeat: MonitorHeartbeat,
    /// The time of the heartbeat.
    pub signed_at: Timestamp,
}

/// A freeze that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveFreeze {
    /// The scope, end, author and reason.
    pub freeze: Freeze,
    /// The instance, if the freeze is of one.
    pub server: Option<ServerId>,
    /// The time at which the freeze was set.
    pub since: Timestamp,
    /// True if a drain of the host has set it.
    pub by_drain: bool,
}

/// A reporter whose claims Nova contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutedReporter {
    /// The number in the list of such reporters.
    pub number: i64,
    pub reporter: Reporter,
    /// The time when the reporter was put on this list.
    pub since: Timestamp,
    /// The reason, for people.
    pub why: String,
    /// True if its reports start no recovery. False if too many reporters are muted already: then Nova itself may be wrong.
    pub is_muted: bool,
    /// The number of its reports that were stored since then and started no recovery.
    pub ignored_reports: u64,
}

/// The fencing configuration and the state of the fence devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fencing {
    /// The source of the proof that a host is off.
    pub mode: FencingMode,
    /// True if an operator has stopped all fencing.
    pub stopped: bool,
    /// True if power controllers are configured.
    pub has_devices: bool,
    /// The reason why the file of fence devices cannot be read.
    pub trouble: Option<String>,
    /// The registered hosts without a device.
    pub without: Vec<String>,
    /// The devices that answer for another machine than expected.
    pub foreign: Vec<WrongMachine>,
    /// The last test of each device of each host; `None` if no engine has reported any.
    pub tests: Option<Vec<DeviceTest>>,
}

impl Fencing {
    /// Returns the state of fencing in this mode without any device.
    pub const fn without_devices(mode: FencingMode) -> Self {
        Self {
            mode,
            stopped: false,
            has_devices: false,
            trouble: None,
            without: Vec::new(),
            foreign: Vec::new(),
            tests: None,
        }
    }
}

/// A device whose answers are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongMachine {
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    /// The expected and the answering machine, for people.
    pub what: String,
    /// The time since when it has answered for another machine.
    pub since: Timestamp,
}

/// The result of the last test of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTest {
    pub host: String,
    /// The number of the fencing level.
    pub level: u32,
    pub device: String,
    /// The device's name with its plug.
    pub target: String,
    /// The time of the test.
    pub as_of: Timestamp,
    /// Validity of the result in seconds; tests run at intervals.
    pub counts_for: u32,
    /// The power reading; `None` if there was none, or an older engine made the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// The reason why the device cannot be relied on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The number of consecutive failures.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl DeviceTest {
    /// True if the device can be relied on at `now`: the test passed and is still valid.
    pub fn is_good(&self, now: Timestamp) -> bool {
        let age = now.micros_since(self.as_of).unsigned_abs();
        self.fault.is_none() && age <= u64::from(self.counts_for).saturating_mul(1_000_000)
    }
}

/// A compute service in Nova.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeService {
    pub host: String,
    /// True if Nova shows the service up, and it is not forced down.
    pub up: bool,
    /// True if the host may take instances.
    pub enabled: bool,
    /// True if the host's cell does not answer or Nova has several records of the host, so that its state is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cell_down: bool,
    /// True if it is not known because Nova has several records of the host.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ambiguous: bool,
    /// True if the service is disabled because an operator has drained the host, by the mark of the drain in the reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drained: bool,
    /// True if the service is forced down, and its heartbeats continue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forced_down: bool,
    /// The time since when the service has been in this state, as far as was observed.
    pub since: Timestamp,
}

impl ComputeService {
    /// True if the host's cell does not answer: then Nova omits what is in it from its lists.
    pub fn is_in_down_cell(&self) -> bool {
        self.cell_down && !self.ambiguous
    }
}

/// Nova's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// True if all instances have been listed once.
    pub complete: bool,
    /// The start of the first listing while it is not complete.
    pub listing_since: Option<Timestamp>,
    /// The instances by host. Shared, because the watcher keeps them while they are assessed.
    pub on: BTreeMap<String, Arc<Vec<Instance>>>,
}

/// An instance. `N` is the type of its needs: shared by instances of one flavor and project, or raw text for bulk reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance<N = Arc<Needs>> {
    pub id: ServerId,
    /// The name. Shared with everything that is derived from it: there may be 50,000 instances.
    pub name: Arc<str>,
    /// The reason why policy excludes the instance; `None` if it is included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// True if the instance is being moved, so that it may run on another host if its own fails now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// The treatment that its owner has set for the case that its disk is on its host alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_disk: Option<LocalDisk>,
    /// True if its owner has marked it, so that it is among the first to be moved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marked: bool,
    /// The reason why the instance does not run; `None` if it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// The boot of its host that ended its guest, while Nova still shows it running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by_boot: Option<Timestamp>,
    /// The event before which Nova refuses to start it; `None` if it accepts that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_blocker: Option<StartBlocker>,
    /// The resources and properties that it needs of a host; `None` if Nova does not show them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<N>,
}

impl<N> Instance<N> {
    /// Returns the command that starts its guest where it is, or that shows or ends what Nova refuses that for.
    pub fn start_command(&self) -> String {
        let command = match self.start_blocker {
            Some(StartBlocker::Task) => "event list",
            Some(StartBlocker::Resize) => "resize confirm",
            None if self.rest.as_ref().is_some_and(|rest| rest.stopped) => "start",
            None => "reboot --hard",
        };
        format!("openstack server {command} {}", self.id)
    }
}
