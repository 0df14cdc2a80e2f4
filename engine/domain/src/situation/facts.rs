//! What is known, with when it was known.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::FRESH;
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;
use crate::forecast::{Group, Needs, Provider};
use crate::freeze::Freeze;
use crate::guard::WouldHold;
use crate::id::{RecoveryId, ServerId};
use crate::monitor::Signature;
use crate::nova::Rest;
use crate::policy::FencingMode;
use crate::power::Power;
use crate::recovery::{Life, RecoveryKind};
use crate::reserved::Aggregate;
use crate::timestamp::Timestamp;
use crate::wait::Wait;

/// Something, and when it was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// When.
    pub as_of: Timestamp,
    /// What was seen then.
    pub value: T,
}

impl<T> Known<T> {
    /// Whether it is young enough to be good news. What comes from the future says as little: a clock is wrong.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        u128::from(now.micros_since(self.as_of).unsigned_abs()) <= FRESH.as_micros()
    }
}

/// All that is known. What is in our own tables is as old as the reading of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Who has signed the roll of engines.
    pub engines: Vec<Engine>,
    /// What waits for an engine.
    pub queue: Queue,
    /// The segments with their hosts.
    pub segments: Vec<Segment>,
    /// The recoveries that are open or watching.
    pub recoveries: Vec<Recovery>,
    /// The instances that wait for an operator.
    pub waiting: Vec<Waiting>,
    /// The instances that open recoveries have not brought back yet, wherever Nova shows them meanwhile.
    pub away: BTreeSet<ServerId>,
    /// The reporters that are set aside, or should be.
    pub doubted: Vec<Doubt>,
    /// What somebody has frozen.
    pub freezes: Vec<Ice>,
    /// The monitors that have ever signed.
    pub monitors: Vec<Monitor>,
    /// How hosts are proven off.
    pub fencing: Fencing,
    /// Nova's compute services; `None` if nobody has looked.
    pub computes: Option<Known<Vec<ComputeService>>>,
    /// Nova's instances; `None` if nobody has listed them.
    pub instances: Option<Known<Instances>>,
    /// What hosts have; `None` if nobody has looked.
    pub rooms: Option<Known<Rooms>>,
    /// The hosts whose recovery the guards would hold; `None` if no engine has told.
    pub holds: Option<Known<Vec<WouldHold>>>,
}

/// What hosts have, and what binds those that choose among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rooms {
    /// By service host. One that is missing has changed since it was read last, or was never read.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Nova's aggregates.
    pub aggregates: Vec<Aggregate>,
    /// Its server groups that bind.
    pub groups: Vec<Group>,
    /// How it went.
    pub state: RoomsState,
}

/// How the last look at what hosts have went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomsState {
    /// Why it failed, so that nothing counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// We are not let in, and shall not be until somebody changes that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// So many hosts are to be read.
    pub unread: u64,
}

/// An engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Its name, which begins with its machine's and a colon.
    pub name: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When it signed last.
    pub seen_at: Timestamp,
    /// How its parts are, by name.
    pub parts: BTreeMap<String, Part>,
    /// It keeps freezes; older ones know of none.
    pub keeps_freezes: bool,
}

/// A part of an engine, such as its way to Nova.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Nothing to worry about.
    pub well: bool,
    /// For people.
    pub text: String,
}

/// What waits for an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Notifications nobody has begun to work on.
    pub new: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Timestamp>,
}

/// A segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its name.
    pub name: String,
    /// How its instances are recovered.
    pub method: RecoveryMethod,
    /// Whether anything of it is recovered.
    pub enabled: bool,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

/// A registered host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Kept empty for the instances of another.
    pub reserved: bool,
    /// Why it is on maintenance, if it is.
    pub maintenance: Option<MaintenanceReason>,
    /// The recovery of it that is open or watching.
    pub recovery: Option<(RecoveryId, Life)>,
}

/// A recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// As commands take it.
    pub id: RecoveryId,
    /// What it is about.
    pub kind: RecoveryKind,
    /// Its host.
    pub host: String,
    /// Open or watching.
    pub life: Life,
    /// What it waits for.
    pub wait: Option<Wait>,
    /// Its instances, and how many of them are back.
    pub instances: u64,
    /// See `instances`.
    pub back: u64,
}

/// An instance that waits for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The instance.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// The host that failed.
    pub host: String,
    /// The recovery.
    pub recovery: RecoveryId,
    /// For what it waits.
    pub wait: Option<Wait>,
}

/// A monitor, by its last signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// What it said.
    pub said: Signature,
    /// When.
    pub signed_at: Timestamp,
}

/// A freeze that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ice {
    /// What, until when, who, why.
    pub freeze: Freeze,
    /// The instance, if it is one.
    pub server: Option<ServerId>,
    /// When it was said.
    pub since: Timestamp,
}

/// A reporter whose claims Nova contradicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Its number in the list.
    pub number: i64,
    /// Who.
    pub reporter: String,
    /// Since when.
    pub since: Timestamp,
    /// For people.
    pub why: String,
    /// What it says begins nothing. If not, too many are set aside already.
    pub aside: bool,
    /// How many of its reports were kept since.
    pub unheard: u64,
}

/// How hosts are proven off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fencing {
    /// Whose word counts.
    pub mode: FencingMode,
    /// An operator has stopped all fencing.
    pub stopped: bool,
    /// Whether power controllers are configured.
    pub has_devices: bool,
    /// Why their file cannot be read.
    pub trouble: Option<String>,
    /// Registered hosts without a device.
    pub without: Vec<String>,
    /// Devices that answer for another machine than is expected.
    pub foreign: Vec<Foreign>,
    /// The last test of each device of each host; `None` if nobody has told of any.
    pub tests: Option<Vec<DeviceTest>>,
}

/// A device whose word does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The host.
    pub host: String,
    /// The device, with its plug.
    pub device: String,
    /// What is expected and what answers, for people.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
}

/// What a device said when it was tested last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTest {
    /// The host.
    pub host: String,
    /// The level's number.
    pub level: u32,
    /// The device's name.
    pub device: String,
    /// The same with its plug.
    pub target: String,
    /// When.
    pub as_of: Timestamp,
    /// How long that counts, in seconds: tests are apart.
    pub counts_for: u32,
    /// The reading; `None` if there was none, or an older engine made the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Power>,
    /// Why it cannot be counted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// How often in a row it has failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl DeviceTest {
    /// Whether it can be counted on at `now`: it works, and was tested lately.
    pub fn is_good(&self, now: Timestamp) -> bool {
        let age = now.micros_since(self.as_of).unsigned_abs();
        self.fault.is_none() && age <= u64::from(self.counts_for).saturating_mul(1_000_000)
    }
}

/// A compute service of Nova's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComputeService {
    /// Its host.
    pub host: String,
    /// Nova hears it, and nobody has declared it dead.
    pub up: bool,
    /// It may take instances.
    pub enabled: bool,
    /// Its cell is away, so that nothing of this is known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cell_down: bool,
    /// Since when it is as it is, as far as was seen.
    pub since: Timestamp,
}

/// Nova's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instances {
    /// All have been listed once.
    pub complete: bool,
    /// By host. Shared, for who watches keeps them while they are judged.
    pub on: BTreeMap<String, Arc<Vec<Instance>>>,
}

/// An instance. `N` is what it needs, shared by those of one flavor and project; or the text of that, for who reads many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance<N = Arc<Needs>> {
    /// Nova's id.
    pub id: ServerId,
    /// Its name. Shared with what is made of it: there may be fifty thousand.
    pub name: Arc<str>,
    /// Why policy leaves it where it is, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<String>,
    /// It is being moved by somebody, so that it may run on another host if its own dies now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub moving: bool,
    /// Its owner has marked it, so that it is among those that are moved first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marked: bool,
    /// It does not run; `None` if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<Rest>,
    /// What it needs of a host; `None` if Nova does not show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<N>,
}
