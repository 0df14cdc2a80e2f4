//! What operators decide beforehand: the options a recovery goes by.
//!
//! A recovery takes a copy when it begins and keeps it to its end, so that a changed file never changes the rules in the
//! middle of one.

mod guards;
mod leave;
mod meant;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use guards::{Doubts, GuardPolicy};
pub use leave::{LeaveRules, MetadataPair, NoKey};

use crate::cadence::{self, Cadences, StandingHeartbeat};
use crate::hooks::Flows;

/// Whose word is proof that a host is off (R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FencingMode {
    /// The engine reads, and if needed switches, the host's power itself.
    Engine,
    /// The same without a power command: what would be done is said, and the recovery held.
    DryRun,
    /// The notification's `host_status=NORMAL` is somebody else's proof.
    External,
}

/// What it is worth in mode `external` that a report says NORMAL and brings no evidence (R15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BareNormal {
    /// A proof once the host's heartbeat has stood still for so long, as Masakari waits between disabling the service and the
    /// first evacuation.
    Wait(Duration),
    /// Nothing, as UNKNOWN is.
    Refuse,
}

/// What is learnt of heartbeats makes silence no longer than this: a report is given up for a host that is heard for two minutes,
/// and one that has died has to be silent before.
const LONGEST_LEARNT: Duration = Duration::from_secs(100);

/// How long a nova-compute may take to be back at its broker.
const RECONNECTED: Duration = Duration::from_mins(1);

impl FencingMode {
    /// As it is written in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::DryRun => "dry-run",
            Self::External => "external",
        }
    }

    /// Whether the engine asks the devices itself.
    pub const fn asks_devices(self) -> bool {
        matches!(self, Self::Engine | Self::DryRun)
    }
}

/// The options of recoveries.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, named as in the file"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
// A recovery that began under an older version has the defaults of what it did not know.
#[serde(default)]
pub struct Policy {
    /// Whose word is proof that a host is off (R15).
    pub fencing: FencingMode,
    /// What NORMAL is worth without evidence, in mode `external` (R15).
    pub bare_normal: BareNormal,
    /// Metadata key that marks the instances of a failed host that come first.
    pub ha_key: String,
    /// Whether the instances without that mark are evacuated too, after the marked ones.
    pub evacuate_all: bool,
    /// Whether instances in `vm_state` `error` are left where they are.
    pub ignore_error_state: bool,
    /// Whether instances that do not boot from a volume are evacuated, which discards their local disk unless the
    /// hosts share it (R14).
    pub evacuate_image_backed: bool,
    /// Metadata key that marks the instances whose own failure is acted on.
    pub instance_ha_key: String,
    /// Whether the failure of every instance is acted on.
    pub process_all_instances: bool,
    /// What the disabled service of a failed host shows; the recovery's mark is appended.
    pub host_disable_reason: String,
    /// The same after a failed process.
    pub process_disable_reason: String,
    /// Processes whose failure leaves the host in use.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub non_essential_processes: Vec<String>,
    /// Evacuations, and other calls about instances, in flight at once per recovery.
    pub in_flight: u32,
    /// Evacuations per recovery that Nova has accepted and no destination has taken up yet: a Nova that is asked for more
    /// works on all of them side by side, and the first instance is back hardly before the last.
    pub queued: u32,
    /// How often an instance's evacuation is asked for again after Nova has failed it.
    pub attempts: u32,
    /// How long after Nova has failed it first an instance is asked for again at least, however many attempts that takes: while
    /// Nova's own broker comes back, Nova fails all of them.
    pub retry_for: Duration,
    /// Between two looks at the lists.
    pub tick: Duration,
    /// D: a call's total deadline.
    pub call_deadline: Duration,
    /// Q: the longest a proxy may still hold a request after its caller has given up.
    pub proxy_hold: Duration,
    /// How long a host may take to report "off" after it was told to.
    pub power_off_limit: Duration,
    /// Between two questions to a power controller.
    pub power_poll: Duration,
    /// The least time between the two readings that prove a host off.
    pub power_confirm: Duration,
    /// The oldest reading of a device an evacuation may be asked for on (R17).
    pub proof_age: Duration,
    /// A heartbeat older than this is stale (R16).
    pub heartbeat_stale: Duration,
    /// Whether the operator has set that number, so that nothing learnt makes it longer.
    pub heartbeat_stale_is_set: bool,
    /// How old the heartbeats of the host of a recovery were seen to get while it lived; zero if that is not known.
    pub heartbeat_age: Duration,
    /// The same of most hosts.
    pub heartbeat_age_usual: Duration,
    /// What was seen of the host's heartbeat before its recovery began; that takes it over.
    #[serde(skip)]
    pub watched: Option<StandingHeartbeat>,
    /// Between two looks at the host's service record.
    pub heartbeat_poll: Duration,
    /// How long every nova-conductor must have been up before an evacuation nobody has picked up is asked for again.
    pub conductors_up: Duration,
    /// Nova's `long_rpc_timeout`: how long after a host has died the source of a migration may still write that an instance is there.
    pub nova_long_rpc_timeout: Duration,
    /// How long an instance may take to stop.
    pub stop_limit: Duration,
    /// How long an instance may take to become active.
    pub start_limit: Duration,
    /// Hosts of a segment that may be out at once, in percent; never less than one host (R24).
    pub segment_percent: u32,
    /// Hosts of all segments that may be out at once, in percent; never less than one host.
    pub global_percent: u32,

    // --- which instances, and in which order
    /// Metadata key of the number by which the instances of one kind are ordered, highest first; empty for none.
    pub priority_key: String,
    /// Whether that number orders the instances of all projects together, and not those of each project by themselves.
    pub priority_across_projects: bool,
    /// Instances that an operator wants to be left where they are.
    pub leave: LeaveRules,
    /// Whether instances that a service of the cloud keeps alive by itself are evacuated all the same.
    pub evacuate_service_instances: bool,
    // Workflows.
    /// The operator's hooks, and which of the engine's own work is left to them.
    #[serde(default, skip_serializing_if = "Flows::is_default")]
    pub flows: Flows,

    // --- how often an instance is restarted
    /// How often within [`Policy::restart_window`]; 0 for any number.
    pub max_restarts: u32,
    /// What counts as lately.
    pub restart_window: Duration,
    /// Between the first restart and the second; doubled with each.
    pub restart_pause: Duration,

    // --- how long something may go on
    /// How long Nova may go on showing a service enabled after it has accepted to disable it.
    pub disable_limit: Duration,
    /// How long an evacuation may be under way without progress before that is told; it is never a failure by itself.
    pub slow_after: Duration,
    /// How long calls about an instance may go on failing before it is left to a person.
    pub move_deadline: Duration,
    /// How long a recovery that nothing and nobody holds up may take to ask for the last of its instances.
    pub deadline: Duration,

    // --- reserved hosts, and hosts that return
    /// Whether a reserved host joins the aggregates of the host it stands in for.
    #[serde(default)]
    pub join_aggregates: bool,
    /// How long a reserved host that another recovery holds is waited for when there is no other way.
    #[serde(default = "reserved_wait")]
    pub reserved_wait: Duration,
    /// How long a reserved host may take to be up once it is enabled.
    #[serde(default = "reserved_up_limit")]
    pub reserved_up_limit: Duration,
    /// How long a recovered host must have been up before its service is enabled again; `None` leaves that to a person.
    #[serde(default)]
    pub enable_after_return: Option<Duration>,
    /// Whether a host that a recovery has switched off is powered on again after it.
    #[serde(default)]
    pub power_on_after_recovery: bool,
    /// How long it is shown to be off before that. Recoveries of other hosts may be waiting for a rebuild on this one, and give
    /// it up when they see that this one is off (R10); nothing tells them afterwards.
    #[serde(default = "power_on_delay")]
    pub power_on_delay: Duration,

    // --- guards
    /// What operators decide of the guards beforehand, but for the fractions.
    pub guards: GuardPolicy,
    // --- levels of fence devices
    /// How long the levels may take together; no further one is begun after that.
    pub episode_deadline: Duration,
    /// Between two tries after every level has failed.
    pub fence_retry: Duration,
    /// An operator has stopped all fencing. The one option of which the copy of a recovery does not count, but what holds now.
    #[serde(skip)]
    pub fencing_stopped: bool,
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
            leave: LeaveRules::default(),
            evacuate_service_instances: false,
            flows: Flows::default(),
            max_restarts: 5,
            restart_window: Duration::from_hours(1),
            restart_pause: Duration::from_secs(10),
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
    /// These rules for a recovery of `host`, with what was learnt of heartbeats.
    #[must_use]
    pub fn hearing(self, cadences: &Cadences, host: &str) -> Self {
        Self {
            heartbeat_age: cadences.of(host).unwrap_or_default(),
            heartbeat_age_usual: cadences.usual().unwrap_or_default(),
            ..self
        }
    }

    /// After how long without a heartbeat Nova does not hear the host of the recovery (R16). Half as long again as its heartbeats
    /// get old while it lives, and never sooner than the option says.
    pub fn silent_after(&self) -> Duration {
        self.learnt(self.heartbeat_age)
    }

    /// The same for other hosts.
    pub fn others_silent_after(&self) -> Duration {
        self.learnt(self.heartbeat_age_usual)
    }

    /// How often a nova-compute beats, by what was learnt of most.
    fn usual_cadence(&self) -> Duration {
        cadence::usual_or_default(self.heartbeat_age_usual)
    }

    /// With most other stamps older than this Nova is deaf, however many of its services it still shows up (R26).
    pub fn deaf_after(&self) -> Duration {
        cadence::deaf_after(self.heartbeat_age_usual)
    }

    /// How long after Nova was deaf a silence counts again: as long as a nova-compute takes to come back to its broker, and to beat.
    pub fn silent_after_deafness(&self) -> Duration {
        self.silent_after().max(RECONNECTED + self.usual_cadence())
    }

    /// Heartbeats that stop at one moment were sent within one interval of each other: the one that is told, or the one that was
    /// learnt if that is longer.
    pub fn cliff_within(&self) -> Duration {
        self.guards.cliff_interval.max(self.heartbeat_age_usual)
    }

    fn learnt(&self, age: Duration) -> Duration {
        if self.heartbeat_stale_is_set {
            self.heartbeat_stale
        } else {
            let learnt = age.saturating_add(age / 2).min(LONGEST_LEARNT);
            self.heartbeat_stale.max(learnt)
        }
    }

    /// D + Q: how long after its beginning a call without an answer may still take effect (R5).
    pub fn settle_time(&self) -> Duration {
        self.call_deadline + self.proxy_hold
    }

    /// How long after an evacuate intent its absence from Nova's lists begins to count: D + Q after the call's own
    /// deadline (R8).
    pub fn absence_counts_after(&self) -> Duration {
        // The intent may be half a second older than its call (R4).
        self.call_deadline + self.settle_time() + Duration::from_secs(1)
    }
}

/// True if a metadata value means yes: `1 t true on y yes` in any case and between blanks, as `bool_from_string` of oslo.utils
/// reads it.
pub fn is_truthy(value: &str) -> bool {
    // Python strips the four separators of ASCII too.
    let is_blank = |c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c);
    matches!(
        value.trim_matches(is_blank).to_ascii_lowercase().as_str(),
        "1" | "t" | "true" | "on" | "y" | "yes"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r16_silence_follows_the_cadence_that_was_learnt_and_is_never_shorter_than_without() {
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
