//! The options of recoveries, which operators set in advance.
//!
//! A recovery copies them when it starts and keeps the copy until it is done. A changed configuration file never changes the
//! rules in the middle of a recovery.

mod guards;
mod leave;
mod local_disk;
mod selection;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use guards::{GuardPolicy, MutingPolicy};
pub use leave::{ExclusionRules, InvalidMetadataPair, MetadataPair};
pub use local_disk::{InvalidLocalDisk, LocalDisk, LocalDiskRules, MAX_DISK_WAIT};

use crate::cadence::{self, Cadences, StandingHeartbeat};
use crate::hooks::Flows;

/// The source of the proof that a host is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FencingMode {
    /// The engine reads the host's power itself, and switches it if needed.
    Engine,
    /// Like `Engine`, but without power commands: the recovery reports what it would do, and then is on hold.
    DryRun,
    /// The notification's `host_status=NORMAL` is proof, established by another system.
    External,
}

/// The value of a report in mode `external` that has the status NORMAL but brings no evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BareNormal {
    /// The report is proof once the host's heartbeat has not changed for this time. Masakari waits the same time between
    /// disabling the service and the first evacuation.
    Wait(Duration),
    /// The report proves nothing, like UNKNOWN.
    Refuse,
}

/// The upper limit of the silence threshold that is learnt from heartbeats. A report is dropped if the host still has
/// heartbeats for two minutes, so a dead host has to count as silent before that.
const MAX_LEARNT_SILENCE: Duration = Duration::from_secs(100);

/// The time a nova-compute may take to reconnect to its broker.
const RECONNECT_TIME: Duration = Duration::from_mins(1);

impl FencingMode {
    /// Returns the value as written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::DryRun => "dry-run",
            Self::External => "external",
        }
    }

    /// True if the engine itself queries the fence devices.
    pub const fn queries_devices(self) -> bool {
        matches!(self, Self::Engine | Self::DryRun)
    }
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, named as in the file"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// A recovery that started under an older version gets the defaults of options that version did not know.
#[serde(default)]
pub struct Policy {
    /// The source of the proof that a host is off.
    pub fencing: FencingMode,
    /// The value of NORMAL without evidence, in mode `external`.
    pub bare_normal: BareNormal,
    /// The metadata key of the instances that are evacuated first from a failed host.
    pub ha_key: String,
    /// True if instances without that key are evacuated too, after those with it.
    pub evacuate_all: bool,
    /// True if instances in `vm_state` `error` are not evacuated.
    pub ignore_error_state: bool,
    /// True if instances that do not boot from a volume are evacuated. That discards their local disk unless the hosts share
    /// it.
    pub evacuate_image_backed: bool,
    /// The metadata key of the instances that are restarted when they fail themselves.
    pub instance_ha_key: String,
    /// True if every failed instance is restarted, with or without that key.
    pub process_all_instances: bool,
    /// The disabled reason of a failed host's service; the recovery's mark is appended.
    pub host_disable_reason: String,
    /// The disabled reason after a failed process.
    pub process_disable_reason: String,
    /// The processes whose failure leaves the host enabled.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_essential_processes: Vec<String>,
    /// The number of evacuations and other calls about instances that one recovery may have in flight.
    pub in_flight: u32,
    /// The number of evacuations per recovery that Nova has accepted and no destination has started. If Nova gets more
    /// requests, it works on all of them in parallel, and the first instance is back hardly before the last.
    pub queued: u32,
    /// The number of retries of an instance's evacuation after Nova has failed it.
    pub attempts: u32,
    /// The minimum time, from Nova's first failure, during which an instance's evacuation is retried, however many attempts
    /// that takes. While Nova's own broker recovers, Nova fails all of them.
    pub retry_for: Duration,
    /// The interval between two reads of the lists.
    pub tick: Duration,
    /// D: the total deadline of a call.
    pub call_deadline: Duration,
    /// Q: the longest time a proxy may still hold a request after its caller has given up.
    pub proxy_hold: Duration,
    /// The time limit for a host to report "off" after the power-off command.
    pub power_off_limit: Duration,
    /// The interval between two queries of a power controller.
    pub power_poll: Duration,
    /// The minimum time between the two readings that confirm a host off.
    pub power_confirm: Duration,
    /// The maximum age of a device reading on which an evacuation may be requested.
    pub proof_age: Duration,
    /// The heartbeat age above which a heartbeat is stale.
    pub heartbeat_stale: Duration,
    /// True if the operator has set `heartbeat_stale`. Learnt values do not raise it then.
    pub heartbeat_stale_is_set: bool,
    /// The greatest heartbeat age seen on the recovery's host while it was up; zero if unknown.
    pub heartbeat_age: Duration,
    /// The same value for most hosts.
    pub heartbeat_age_usual: Duration,
    /// The observations of the host's heartbeat from before the recovery started; the recovery takes them over.
    #[serde(skip)]
    pub watched: Option<StandingHeartbeat>,
    /// The interval between two reads of the host's service record.
    pub heartbeat_poll: Duration,
    /// The time every nova-conductor must have been up before an evacuation that none has picked up is requested again.
    pub conductors_up: Duration,
    /// Nova's `long_rpc_timeout`: for this time after a host has died, a migration's source may still record an instance
    /// there.
    pub nova_long_rpc_timeout: Duration,
    /// The time limit for an instance to stop.
    pub stop_limit: Duration,
    /// The time limit for an instance to become active.
    pub start_limit: Duration,
    /// The share of a segment's hosts that may be out at the same time, in percent; never less than one host.
    pub segment_percent: u32,
    /// The share of all segments' hosts that may be out at the same time, in percent; never less than one host.
    pub global_percent: u32,

    // --- selection and order of instances
    /// The metadata key of the priority that orders instances of the same kind, highest first; empty for none.
    pub priority_key: String,
    /// True if the priority orders the instances of all projects together, not those of each project separately.
    pub priority_across_projects: bool,
    /// The instances that an operator has excluded from evacuation.
    pub leave: ExclusionRules,
    /// The treatment of instances whose disk is on their host alone, as a monitor there has read it.
    pub local_disk: LocalDiskRules,
    /// True if excluded instances that ran when their host died are started when it has returned.
    #[serde(default = "start_excluded")]
    pub start_excluded: bool,
    /// True if instances that a cloud service keeps alive by itself are evacuated nevertheless.
    pub evacuate_service_instances: bool,
    // Workflows.
    /// The operator's hooks, and the parts of the engine's own work that they replace.
    #[serde(default, skip_serializing_if = "Flows::is_default")]
    pub flows: Flows,

    // --- limits for restarts of an instance
    /// The number of restarts allowed within [`Policy::restart_window`]; 0 for no limit.
    pub max_restarts: u32,
    /// The period in which restarts count.
    pub restart_window: Duration,
    /// The pause between the first and the second restart; doubled with each further one.
    pub restart_pause: Duration,
    /// The number of failed instances, in the whole region, that are moved to another host within
    /// [`Policy::restart_window`]; 0 for none.
    pub max_moves: u32,
    /// The time limit for Nova to move a failed instance, and again to confirm the move.
    pub move_limit: Duration,
    /// The time, from the first failed restart, during which restart and move are tried again.
    pub restart_again_for: Duration,

    // --- time limits
    /// The time limit for Nova to show a service as disabled after it has accepted the request.
    pub disable_limit: Duration,
    /// The time without progress after which an evacuation is reported as slow; it is never a failure by itself.
    pub slow_after: Duration,
    /// The time for which calls about an instance may fail before the instance is left to an operator.
    pub move_deadline: Duration,
    /// The time limit for a recovery that nothing blocks to request the last of its evacuations.
    pub deadline: Duration,

    // --- reserved hosts, and hosts that return
    /// True if a reserved host joins the aggregates of the host it replaces.
    #[serde(default)]
    pub join_aggregates: bool,
    /// The time to wait for a reserved host that another recovery holds, if there is no alternative.
    #[serde(default = "reserved_wait")]
    pub reserved_wait: Duration,
    /// The time limit for a reserved host to be up after it is enabled.
    #[serde(default = "reserved_up_limit")]
    pub reserved_up_limit: Duration,
    /// The time a recovered host must be up before its service is enabled again; `None` leaves that to an operator.
    #[serde(default)]
    pub enable_after_return: Option<Duration>,
    /// True if a host that a recovery has powered off is powered on again afterwards.
    #[serde(default)]
    pub power_on_after_recovery: bool,
    /// The time the host is shown as off before it is powered on. Recoveries of other hosts may be waiting for a rebuild on
    /// this host, and give that up when they see it off. They cannot find out later.
    #[serde(default = "power_on_delay")]
    pub power_on_delay: Duration,

    // --- guards
    /// The options of the guards, except the fractions.
    pub guards: GuardPolicy,
    // --- levels of fence devices
    /// The total time limit of all levels; no further level is started after it.
    pub episode_deadline: Duration,
    /// The pause between two attempts after every level has failed.
    pub fence_retry: Duration,
    /// True if an operator has stopped all fencing. For this option alone, the current value counts instead of the
    /// recovery's copy.
    #[serde(skip)]
    pub fencing_stopped: bool,
}

/// States of older versions name no choice. Their moves name no instance to start, either.
fn start_excluded() -> bool {
    true
}

fn reserved_wait() -> Duration {
    Duration::from_mins(2)
}

fn reserved_up_limit() -> Duration {
    Duration::from_mins(1)
}

fn power_on_delay() -> Duration {
    Duration::from_mins(3)
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            fencing: FencingMode::External,
            bare_normal: BareNormal::Wait(Duration::from_mins(3)),
            ha_key: "HA_Enabled".into(),
            evacuate_all: true,
            ignore_error_state: false,
            evacuate_image_backed: true,
            instance_ha_key: "HA_Enabled".into(),
            process_all_instances: false,
            host_disable_reason: "Masakari detected host failed.".into(),
            process_disable_reason: "Masakari detected process failed.".into(),
            non_essential_processes: Vec::new(),
            in_flight: 64,
            queued: 4,
            attempts: 3,
            retry_for: Duration::from_mins(3),
            tick: Duration::from_millis(500),
            call_deadline: Duration::from_secs(20),
            proxy_hold: Duration::from_mins(1),
            power_off_limit: Duration::from_secs(150),
            power_poll: Duration::from_secs(5),
            power_confirm: Duration::from_secs(3),
            proof_age: Duration::from_secs(30),
            heartbeat_stale: Duration::from_secs(15),
            heartbeat_stale_is_set: false,
            heartbeat_age: Duration::ZERO,
            heartbeat_age_usual: Duration::ZERO,
            watched: None,
            heartbeat_poll: Duration::from_secs(5),
            conductors_up: Duration::from_mins(1),
            nova_long_rpc_timeout: Duration::from_mins(30),
            stop_limit: Duration::from_mins(3),
            start_limit: Duration::from_mins(1),
            segment_percent: 34,
            global_percent: 25,
            priority_key: "HA_Priority".into(),
            priority_across_projects: false,
            leave: ExclusionRules::default(),
            local_disk: LocalDiskRules::default(),
            start_excluded: start_excluded(),
            evacuate_service_instances: false,
            flows: Flows::default(),
            max_restarts: 5,
            restart_window: Duration::from_hours(1),
            restart_pause: Duration::from_secs(10),
            max_moves: 10,
            move_limit: Duration::from_mins(30),
            restart_again_for: Duration::from_hours(1),
            disable_limit: Duration::from_mins(3),
            slow_after: Duration::from_mins(10),
            move_deadline: Duration::from_hours(6),
            deadline: Duration::from_hours(24),
            join_aggregates: false,
            reserved_wait: reserved_wait(),
            reserved_up_limit: reserved_up_limit(),
            enable_after_return: None,
            power_on_after_recovery: false,
            power_on_delay: power_on_delay(),
            guards: GuardPolicy::default(),
            episode_deadline: Duration::from_mins(10),
            fence_retry: Duration::from_mins(1),
            fencing_stopped: false,
        }
    }
}

impl Policy {
    /// Returns these rules for a recovery of `host`, with the heartbeat ages that were learnt.
    #[must_use]
    pub fn with_heartbeat_ages(self, cadences: &Cadences, host: &str) -> Self {
        Self {
            heartbeat_age: cadences.of(host).unwrap_or_default(),
            heartbeat_age_usual: cadences.usual().unwrap_or_default(),
            ..self
        }
    }

    /// Returns the time without a heartbeat after which the recovery's host counts as silent: one and a half times the
    /// age its heartbeats reach while it is up, and never less than the option.
    pub fn silent_after(&self) -> Duration {
        self.usual_silence(self.heartbeat_age)
    }

    /// Returns the same time for other hosts.
    pub fn others_silent_after(&self) -> Duration {
        self.usual_silence(self.heartbeat_age_usual)
    }

    /// Returns the heartbeat interval of a nova-compute, as learnt from most hosts.
    fn usual_cadence(&self) -> Duration {
        cadence::usual_or_default(self.heartbeat_age_usual)
    }

    /// Returns the deaf threshold: if most other hosts' heartbeats are older, Nova is deaf, even if it still shows services
    /// up.
    pub fn deaf_after(&self) -> Duration {
        cadence::deaf_after(self.heartbeat_age_usual)
    }

    /// Returns the time after a deaf Nova from which silence counts again: the time a nova-compute needs to reconnect and to
    /// send a heartbeat.
    pub fn silent_after_deafness(&self) -> Duration {
        self.silent_after().max(RECONNECT_TIME + self.usual_cadence())
    }

    /// Returns the interval within which heartbeats stopped together: the configured one, or the learnt one if that is
    /// longer. Heartbeats that stop at one moment were sent within one interval of each other.
    pub fn cliff_within(&self) -> Duration {
        self.guards.cliff_interval.max(self.heartbeat_age_usual)
    }

    fn usual_silence(&self, age: Duration) -> Duration {
        if self.heartbeat_stale_is_set {
            self.heartbeat_stale
        } else {
            let threshold = age.saturating_add(age / 2).min(MAX_LEARNT_SILENCE);
            self.heartbeat_stale.max(threshold)
        }
    }

    /// Returns D + Q: the time after its start in which a call without an answer may still take effect.
    pub fn late_effect_window(&self) -> Duration {
        self.call_deadline + self.proxy_hold
    }

    /// Returns the time after an evacuate intent from which the evacuation's absence from Nova's lists counts: D + Q after
    /// the call's own deadline.
    pub fn absence_counts_after(&self) -> Duration {
        // The intent may be half a second older than its call.
        self.call_deadline + self.late_effect_window() + Duration::from_secs(1)
    }
}

/// True if a metadata value means yes: `1 t true on y yes` in any case, with or without surrounding blanks, as
/// `bool_from_string` of oslo.utils reads it.
pub fn is_truthy(value: &str) -> bool {
    // Python strips the four ASCII separators too.
    let is_blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    matches!(
        value.trim_matches(is_blank).to_ascii_lowercase().as_str(),
        "1" | "t" | "true" | "on" | "y" | "yes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R16.
    #[test]
    fn silence_follows_the_measured_interval_and_is_never_shorter_than_without_one() {
        let seconds = Duration::from_secs;
        for (age, set, silent) in [
            (0, false, 15),
            (9, false, 15),
            (10, false, 15),
            (28, false, 42),
            (60, false, 90),
            (600, false, 100),
            (28, true, 15),
        ] {
            let rules = Policy {
                heartbeat_age: seconds(age),
                heartbeat_stale_is_set: set,
                ..Policy::default()
            };
            assert_eq!(rules.silent_after(), seconds(silent), "{age} s, set: {set}");
            assert_eq!(
                rules.others_silent_after(),
                seconds(15),
                "that of others is not known"
            );
        }
    }

    #[test]
    fn metadata_is_read_as_oslo_reads_booleans() {
        for yes in [
            "1",
            "t",
            "T",
            "true",
            "True",
            "TRUE",
            "on",
            "y",
            "yes",
            "Yes",
            " true",
            "True ",
            "\tyes\n",
            "\u{a0}1\u{1f}",
        ] {
            assert!(is_truthy(yes), "{yes:?}");
        }
        for no in ["", "0", "false", "no", "off", "enabled", "t rue", " ", "2"] {
            assert!(!is_truthy(no), "{no:?}");
        }
    }
}
