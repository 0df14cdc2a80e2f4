//! What Nova tells us, in our own words: services, servers, migrations.

mod about;
mod migration;
mod orders;

use serde::{Deserialize, Serialize};

pub use about::About;
pub use migration::{Migration, MigrationStatus, MigrationType};
pub use orders::{By, Rest, ServerAction, Why, at_rest};

use crate::id::{ServerId, ServiceId};
use crate::resources::Resources;
use crate::timestamp::Timestamp;

/// A `nova-compute` service record, read by `GET /os-services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Nova's id of the record.
    pub id: ServiceId,
    /// The service host.
    pub host: String,
    /// `enabled` is true, `disabled` false.
    pub enabled: bool,
    /// Why it is disabled, if somebody said so.
    pub disabled_reason: Option<String>,
    /// Nova's verdict; `forced_down` makes it false whatever the heartbeat says.
    pub up: bool,
    /// Somebody declared it dead.
    pub forced_down: bool,
    /// Its last heartbeat, by Nova's clock. `forced_down` does not stop it from advancing.
    pub last_heartbeat: Option<Timestamp>,
    /// The `Date` of Nova's answer: the clock the heartbeat is to be compared with.
    pub nova_now: Option<Timestamp>,
}

impl Service {
    /// Age of the last heartbeat by Nova's own clock, in microseconds; `None` if Nova gave no heartbeat or no date.
    pub fn heartbeat_age_micros(&self) -> Option<i64> {
        Some(self.nova_now?.micros_since(self.last_heartbeat?))
    }

    /// The heartbeat Nova shows; one that was never sent stands still at the beginning of time.
    pub fn beat(&self) -> Timestamp {
        self.last_heartbeat.unwrap_or(Timestamp::from_micros(0))
    }
}

/// `OS-EXT-STS:vm_state`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// Should run.
    Active,
    /// Should be off.
    Stopped,
    /// Nova gave up on it.
    Error,
    /// Halted in memory.
    Paused,
    /// Halted with its memory on the host's disk.
    Suspended,
    /// Runs a rescue image.
    Rescued,
    /// Resized or migrated and not confirmed yet.
    Resized,
    /// Off, with a snapshot in Glance, still bound to the host.
    Shelved,
    /// Bound to no host.
    ShelvedOffloaded,
    /// Was never launched.
    Building,
    /// Deleted, or about to be purged.
    Deleted,
    /// A word this version does not know.
    Other(String),
}

impl VmState {
    /// From Nova's word.
    pub fn from_nova(word: &str) -> Self {
        match word {
            "active" => Self::Active,
            "stopped" => Self::Stopped,
            "error" => Self::Error,
            "paused" => Self::Paused,
            "suspended" => Self::Suspended,
            "rescued" => Self::Rescued,
            "resized" => Self::Resized,
            "shelved" => Self::Shelved,
            "shelved_offloaded" => Self::ShelvedOffloaded,
            "building" => Self::Building,
            "deleted" | "soft-delete" => Self::Deleted,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Nova's word.
    pub fn as_nova(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Stopped => "stopped",
            Self::Error => "error",
            Self::Paused => "paused",
            Self::Suspended => "suspended",
            Self::Rescued => "rescued",
            Self::Resized => "resized",
            Self::Shelved => "shelved",
            Self::ShelvedOffloaded => "shelved_offloaded",
            Self::Building => "building",
            Self::Deleted => "deleted",
            Self::Other(word) => word,
        }
    }
}

impl std::fmt::Display for VmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_nova())
    }
}

/// `OS-EXT-STS:power_state`: the last state Nova knows, stale once the host is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// 1.
    Running,
    /// 4.
    Shutdown,
    /// Any other number.
    Other,
}

impl PowerState {
    /// From Nova's number.
    pub const fn from_nova(number: i64) -> Self {
        match number {
            1 => Self::Running,
            4 => Self::Shutdown,
            _ => Self::Other,
        }
    }
}

/// A server, read by `GET /servers/detail` or `GET /servers/{id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Nova's id.
    pub id: ServerId,
    /// Its name.
    pub name: String,
    /// `OS-EXT-SRV-ATTR:host`: the *service* host, never the hypervisor's name.
    pub host: Option<String>,
    /// As Nova's database has it.
    pub vm_state: VmState,
    /// What Nova is doing with it just now.
    pub task_state: Option<String>,
    /// What Nova last saw of it.
    pub power_state: PowerState,
    /// Whether somebody locked it.
    pub locked: bool,
    /// What the locker said (microversion 2.73).
    pub locked_reason: Option<String>,
    /// The owner's key/value pairs.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// Boots from a volume (`image` is empty).
    pub volume_backed: bool,
    /// Whether it was launched once (`OS-SRV-USG:launched_at`): Nova evacuates no server that was not.
    pub launched: bool,
    /// The text of Nova's last fault, if it shows one.
    pub fault: Option<String>,
    /// What the operator's rules look at.
    pub about: About,
    /// What it takes of a host, by its flavor; `None` if Nova does not say.
    #[serde(default)]
    pub needs: Option<Resources>,
}

impl Server {
    /// Nova says it is at work on it, or was when whoever did the work died.
    pub fn is_rebuilding(&self) -> bool {
        self.task_state
            .as_deref()
            .is_some_and(|task| task.starts_with("rebuil"))
    }
}
