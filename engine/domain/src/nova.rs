//! Nova's data in the types of this crate: services, servers, migrations.

mod about;
mod migration;
mod orders;

use serde::{Deserialize, Serialize};

pub use about::InstanceTraits;
pub use migration::{Migration, MigrationStatus, MigrationType};
pub use orders::{Actor, Rest, ServerAction, StartBlocker, StopReason, at_rest, is_started_since};

use crate::id::{ServerId, ServiceId};
use crate::resources::Resources;
use crate::timestamp::Timestamp;

/// A `nova-compute` service record, read by `GET /os-services`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Nova's id of the record.
    pub id: ServiceId,
    /// The service host, never the hypervisor's name.
    pub host: String,
    /// True for `enabled`, false for `disabled`.
    pub enabled: bool,
    /// The reason why it is disabled, if one was given.
    pub disabled_reason: Option<String>,
    /// Nova's state of the service; `forced_down` makes it false whatever the heartbeat.
    pub up: bool,
    /// True if a caller has forced the service down.
    pub forced_down: bool,
    /// The last heartbeat, by Nova's clock. `forced_down` does not stop it from advancing.
    pub last_heartbeat: Option<Timestamp>,
    /// The `Date` of Nova's answer: the clock with which the heartbeat is compared.
    pub nova_now: Option<Timestamp>,
}

impl Service {
    /// True if the service is forced down although nova-compute has sent a heartbeat within a minute, Nova's usual limit.
    pub fn is_forced_down_alive(&self) -> bool {
        const MAX_HEARTBEAT_AGE_MICROS: i64 = 60_000_000;
        let age = self.heartbeat_age_micros();
        self.forced_down && age.is_some_and(|age| age <= MAX_HEARTBEAT_AGE_MICROS)
    }

    /// Returns the age of the last heartbeat by Nova's own clock, in microseconds; `None` if Nova gave no heartbeat or no
    /// date.
    pub fn heartbeat_age_micros(&self) -> Option<i64> {
        Some(self.nova_now?.micros_since(self.last_heartbeat?))
    }

    /// Returns the heartbeat that Nova shows; a missing one counts as time zero.
    pub fn heartbeat(&self) -> Timestamp {
        self.last_heartbeat.unwrap_or(Timestamp::from_micros(0))
    }
}

/// The state in `OS-EXT-STS:vm_state`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VmState {
    /// The instance should run.
    Active,
    /// The instance should be off.
    Stopped,
    /// Nova has given the instance up.
    Error,
    /// Halted in memory.
    Paused,
    /// Halted with its memory on the host's disk.
    Suspended,
    /// Runs a rescue image.
    Rescued,
    /// Resized or migrated, and not confirmed yet.
    Resized,
    /// Off, with a snapshot in Glance, still on its host.
    Shelved,
    /// On no host.
    ShelvedOffloaded,
    /// Never launched so far.
    Building,
    /// Deleted, or about to be purged.
    Deleted,
    /// A value that this version does not know.
    Other(String),
}

impl VmState {
    /// Parses Nova's value.
    pub fn from_nova(value: &str) -> Self {
        match value {
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

    /// Returns Nova's value.
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
            Self::Other(value) => value,
        }
    }
}

impl std::fmt::Display for VmState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_nova())
    }
}

/// The state in `OS-EXT-STS:power_state`: the last one Nova knows, stale once the host is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Nova's 1.
    Running,
    /// Nova's 4.
    Shutdown,
    /// Nova's 3, 6 and 7: paused, crashed or suspended. Stored as `other`, which every version reads.
    #[serde(skip_deserializing, rename(serialize = "other"))]
    Halted,
    /// Any other number.
    Other,
}

impl PowerState {
    /// Parses Nova's number.
    pub const fn from_nova(number: i64) -> Self {
        match number {
            1 => Self::Running,
            3 | 6 | 7 => Self::Halted,
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
    pub name: String,
    /// The host in `OS-EXT-SRV-ATTR:host`: the *service* host, never the hypervisor's name.
    pub host: Option<String>,
    /// The state in Nova's database.
    pub vm_state: VmState,
    /// Nova's current task for the server.
    pub task_state: Option<String>,
    /// The power state that Nova saw last.
    pub power_state: PowerState,
    pub locked: bool,
    /// The reason for the lock (microversion 2.73).
    pub locked_reason: Option<String>,
    /// The owner's key/value pairs.
    pub metadata: std::collections::BTreeMap<String, String>,
    /// True if it boots from a volume (`image` is empty).
    pub volume_backed: bool,
    /// True if it was launched once (`OS-SRV-USG:launched_at`): Nova evacuates no server that was not.
    pub launched: bool,
    /// The text of Nova's last fault, if it shows one.
    pub fault: Option<String>,
    /// The properties that the operator's rules use.
    pub about: InstanceTraits,
    /// The resources it needs on a host, by its flavor; `None` if Nova does not show them.
    #[serde(default)]
    pub needs: Option<Resources>,
    /// The time of the last change of Nova's record, by Nova's clock, to the second. A copy of its database that lags behind shows an
    /// earlier one.
    pub updated: Option<Timestamp>,
}

impl Server {
    /// True if Nova is rebuilding it, or was when the service that did the work died.
    pub fn is_rebuilding(&self) -> bool {
        self.task_state
            .as_deref()
            .is_some_and(|task| task.starts_with("rebuild"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R36.
    #[test]
    fn a_forced_down_service_lives_while_its_heartbeats_continue() {
        for (forced_down, age, expected) in [
            (true, Some(9), true),
            (true, Some(61), false),
            (true, None, false),
            (false, Some(9), false),
        ] {
            let now = Timestamp::from_micros(1_700_000_000_000_000);
            let service = Service {
                id: ServiceId(uuid::Uuid::nil()),
                host: "c1".to_owned(),
                enabled: true,
                disabled_reason: None,
                up: false,
                forced_down,
                last_heartbeat: age.map(|age| now.minus_seconds(age)),
                nova_now: Some(now),
            };
            assert_eq!(service.is_forced_down_alive(), expected, "{forced_down}, {age:?}");
        }
    }
}
