//! The reason why an instance does not run: the last request about it in Nova's records.

use serde::{Deserialize, Serialize};

use super::{PowerState, Server, VmState};
use crate::timestamp::Timestamp;

/// The requester of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// This service, or Masakari under the same user. A recovery's actions do not change whether the instance should run.
    Ours,
    /// Nova itself, which records an instance as stopped when it finds the guest shut down.
    Nova,
    /// Any other caller.
    Person,
}

/// An action on an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAction {
    /// Nova's name of the action, such as `stop` or `evacuate`.
    pub action: String,
    pub by: Actor,
    /// The time of the request, by Nova's clock; `None` if Nova does not show it.
    pub at: Option<Timestamp>,
}

/// The reason why an instance does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// Nova's records have not been read yet.
    Unasked,
    /// A user or an operator has requested it.
    Meant,
    /// No caller has requested it: the instance is down.
    Due,
    /// Nova found the guest shut down. It is unknown if the guest shut down by itself.
    Unclear,
}

impl StopReason {
    /// Returns the reason by the actions, latest first: the latest one that shows if the instance should run decides.
    pub fn judge(orders: &[ServerAction]) -> Self {
        let latest = orders
            .iter()
            .find_map(|order| match (order.action.as_str(), order.by) {
                (
                    "stop" | "pause" | "suspend" | "rescue" | "shelve" | "shelveOffload" | "delete"
                    | "softDelete" | "forceDelete",
                    by,
                ) => match by {
                    Actor::Person => Some(Self::Meant),
                    Actor::Nova => Some(Self::Unclear),
                    Actor::Ours => None,
                },
                (action, _) if is_start(action) => Some(Self::Due),
                // A move, a rebuild or a lock: the instance stays as it was.
                (_, _) => None,
            });
        latest.unwrap_or(Self::Unclear)
    }

    /// Returns the reason for an instance that ran when its host died: that death explains a stop that Nova has recorded by itself.
    pub fn judge_after_death(actions: &[ServerAction]) -> Self {
        let requested: Vec<ServerAction> = actions
            .iter()
            .filter(|action| action.by != Actor::Nova)
            .cloned()
            .collect();
        Self::judge(&requested)
    }

    /// Returns the reason for an instance whose reported failure no recovery has repaired; the last one gave up at `failed_at`. That
    /// failure explains a stop that Nova has recorded by itself, unless a user has started the instance since.
    pub fn judge_after_failure(actions: &[ServerAction], failed_at: Timestamp) -> Self {
        let is_start_since = |action: &ServerAction| {
            action.by == Actor::Person && is_start(&action.action) && is_since(action, failed_at)
        };
        match Self::judge(actions) {
            Self::Unclear if !actions.iter().any(is_start_since) => match Self::judge_after_death(actions) {
                Self::Meant => Self::Meant,
                // Only an instance that should run is recovered.
                Self::Due | Self::Unclear | Self::Unasked => Self::Due,
            },
            reason @ (Self::Meant | Self::Due | Self::Unclear | Self::Unasked) => reason,
        }
    }

    /// Returns the reason for an instance on a host that has booted at `booted_at`. A stop that Nova recorded by itself soon after that
    /// was the end of its guest with the host, and not a shutdown from inside.
    pub fn judge_after_boot(actions: &[ServerAction], booted_at: Timestamp) -> Self {
        let is_due_to_boot = |action: &ServerAction| {
            let after = action.at.map(|at| at.micros_since(booted_at));
            action.by == Actor::Nova
                && action.action == "stop"
                && after.is_some_and(|after| SYNC_AFTER_BOOT.contains(&after))
        };
        if actions.iter().any(is_due_to_boot) {
            Self::judge_after_failure(actions, booted_at)
        } else {
            Self::judge(actions)
        }
    }
}

/// The time after the boot of a host in which Nova finds its guests shut down, in microseconds: three of Nova's usual synchronisation
/// intervals. It is read by two clocks.
const SYNC_AFTER_BOOT: std::ops::Range<i64> = -60_000_000..1_800_000_000;

/// True if the actions show that an instance runs again, whose last recovery failed at `failed_at`, provided that Nova shows it running:
/// a user has started it, or it was built again, since.
pub fn is_started_since(actions: &[ServerAction], failed_at: Timestamp) -> bool {
    let is_built = |action: &str| matches!(action, "evacuate" | "rebuild");
    actions.iter().any(|action| {
        is_since(action, failed_at)
            && match action.by {
                Actor::Person => is_start(&action.action) || is_built(&action.action),
                // Our own starts are journalled by recoveries, which remove the failure once they have succeeded.
                Actor::Ours => is_built(&action.action),
                Actor::Nova => false,
            }
    })
}

/// True if the action is not older than the failure. Nova dates actions to the second.
fn is_since(action: &ServerAction, failed_at: Timestamp) -> bool {
    let second = |at: Timestamp| at.micros().div_euclid(1_000_000);
    action.at.is_some_and(|at| second(at) >= second(failed_at))
}

/// True if an instance should run after the action.
fn is_start(action: &str) -> bool {
    matches!(
        action,
        "create" | "start" | "reboot" | "resume" | "unpause" | "unrescue" | "unshelve" | "restore"
    )
}

/// An instance that does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    pub why: StopReason,
    /// The time since which it was seen not running.
    pub since: Timestamp,
    /// True if Nova has a task in progress for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busy: bool,
    /// True if Nova shows it as stopped, so that it can be started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// True if Nova shows it in error with a running guest. Nova does not look again at the guest of an instance in error on a host that
    /// is down, so it may run or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_run: bool,
    /// The time of its last change, as Nova shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "seen")]
    pub observed: Option<Timestamp>,
    /// The value of `observed` when the reason was last read from Nova.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Timestamp>,
}

impl Rest {
    /// True if the reason has not been read since the last change.
    pub fn needs_reading(&self) -> bool {
        self.judged.is_none() || (self.observed.is_some() && self.judged != self.observed)
    }
}

/// The event before which Nova refuses both a start and a hard reboot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartBlocker {
    /// A resize or cold migration has to be confirmed or reverted.
    Resize,
    /// A task has to end.
    Task,
}

/// The tasks during which Nova accepts a hard reboot (`ALLOW_REBOOT` in `nova/compute/task_states.py`). It starts a stopped instance only
/// without a task.
const REBOOT_TASKS: [&str; 8] = [
    "rebooting",
    "reboot_pending",
    "reboot_started",
    "rebooting_hard",
    "resuming",
    "unpausing",
    "pausing",
    "suspending",
];

impl StartBlocker {
    /// Returns the event before which Nova starts no guest of this server; `None` if it accepts a start of a stopped one, and a hard
    /// reboot of one that is active, paused, suspended or in error.
    pub fn of(server: &Server) -> Option<Self> {
        let is_stopped = server.vm_state == VmState::Stopped;
        match server.task_state.as_deref() {
            Some(task) if is_stopped || !REBOOT_TASKS.contains(&task) => Some(Self::Task),
            Some(_) | None => (server.vm_state == VmState::Resized).then_some(Self::Resize),
        }
    }
}

/// Returns the known reason why a server does not run, by its state alone; `None` if it runs.
pub fn at_rest(server: &Server) -> Option<StopReason> {
    match (&server.vm_state, server.power_state) {
        // Only a request brings an instance into these states.
        (
            VmState::Paused
            | VmState::Suspended
            | VmState::Rescued
            | VmState::Shelved
            | VmState::ShelvedOffloaded,
            _,
        ) => Some(StopReason::Meant),
        // A task may pause the guest for a moment, as a live migration does.
        // Nova records no power state where its host has no guest of the instance.
        (VmState::Active | VmState::Resized, PowerState::Halted | PowerState::Other) => {
            server.task_state.is_none().then_some(StopReason::Unasked)
        }
        (VmState::Deleted | VmState::Building, _)
        | (VmState::Active | VmState::Resized | VmState::Stopped, PowerState::Running)
        | (VmState::Other(_), PowerState::Running | PowerState::Halted | PowerState::Other) => None,
        (VmState::Active | VmState::Resized | VmState::Other(_), PowerState::Shutdown)
        | (VmState::Error, _)
        | (VmState::Stopped, PowerState::Shutdown | PowerState::Halted | PowerState::Other) => {
            Some(StopReason::Unasked)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ServerId;
    use crate::nova::InstanceTraits;

    fn judged(orders: &[(&str, Actor)]) -> StopReason {
        let orders: Vec<ServerAction> = orders
            .iter()
            .map(|(action, by)| ServerAction {
                action: (*action).to_owned(),
                by: *by,
                at: None,
            })
            .collect();
        StopReason::judge(&orders)
    }

    /// Covers R36.
    #[test]
    fn the_boot_of_its_host_explains_the_stop_that_nova_records_soon_after() {
        use Actor::{Nova, Person};
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        let one = |action: &str, by, second| ServerAction {
            action: action.to_owned(),
            by,
            at: Some(at(second)),
        };
        let booted = at(10_000);
        let created = one("create", Person, 10);
        for (case, actions, expected) in [
            ("soon after", vec![one("stop", Nova, 10_300)], StopReason::Due),
            ("long before", vec![one("stop", Nova, 9_000)], StopReason::Unclear),
            ("long after", vec![one("stop", Nova, 13_000)], StopReason::Unclear),
            (
                "stopped by its user before the boot",
                vec![one("stop", Nova, 10_300), one("stop", Person, 9_500)],
                StopReason::Meant,
            ),
            (
                "started by its user after the boot, and shut down since",
                vec![one("stop", Nova, 11_000), one("start", Person, 10_400)],
                StopReason::Unclear,
            ),
        ] {
            let actions: Vec<ServerAction> = actions.into_iter().chain([created.clone()]).collect();
            assert_eq!(StopReason::judge_after_boot(&actions, booted), expected, "{case}");
        }
    }

    /// Covers R36.
    #[test]
    fn a_crash_that_no_recovery_repaired_explains_the_stop_that_nova_records() {
        use Actor::{Nova, Ours, Person};
        let at = |second: i64| Timestamp::from_micros(second * 1_000_000);
        for (latest_first, why) in [
            (vec![("stop", Nova, 20), ("create", Person, 1)], StopReason::Due),
            (
                vec![
                    ("stop", Nova, 20),
                    ("start", Ours, 9),
                    ("stop", Ours, 8),
                    ("create", Person, 1),
                ],
                StopReason::Due,
            ),
            // Nova has archived its records.
            (vec![], StopReason::Due),
            (vec![("stop", Nova, 20)], StopReason::Due),
            // A user's own request decides, as always.
            (vec![("stop", Person, 20), ("start", Ours, 9)], StopReason::Meant),
            (vec![("stop", Nova, 20), ("stop", Person, 9)], StopReason::Meant),
            (vec![("start", Person, 20), ("stop", Nova, 15)], StopReason::Due),
            // It ran again for a user: the earlier failure does not explain this stop.
            (
                vec![("stop", Nova, 20), ("start", Person, 11)],
                StopReason::Unclear,
            ),
            (
                vec![("stop", Nova, 20), ("reboot", Person, 11), ("start", Ours, 9)],
                StopReason::Unclear,
            ),
            // A user had started it before the recovery gave up.
            (vec![("stop", Nova, 20), ("start", Person, 9)], StopReason::Due),
        ] {
            let actions: Vec<ServerAction> = latest_first
                .iter()
                .map(|(action, by, second)| ServerAction {
                    action: (*action).to_owned(),
                    by: *by,
                    at: Some(at(*second)),
                })
                .collect();
            assert_eq!(
                StopReason::judge_after_failure(&actions, at(10)),
                why,
                "{latest_first:?}"
            );
        }
    }

    #[test]
    fn an_instance_is_started_since_its_failure_by_a_later_start_or_evacuation() {
        use Actor::{Nova, Ours, Person};
        for (action, by, second, is_started) in [
            ("reboot", Person, 20, true),
            ("evacuate", Ours, 20, true),
            ("start", Ours, 20, false),
            ("start", Person, 9, false),
            ("start", Nova, 20, false),
            ("stop", Person, 20, false),
        ] {
            let one = ServerAction {
                action: action.to_owned(),
                by,
                at: Some(Timestamp::from_micros(second * 1_000_000)),
            };
            let judged = is_started_since(&[one], Timestamp::from_micros(10_900_000));
            assert_eq!(judged, is_started, "{action} at {second}");
        }
        assert!(!is_started_since(&[], Timestamp::from_micros(10_900_000)));
    }

    /// Covers R36.
    #[test]
    fn a_guest_that_is_halted_while_nova_shows_it_active_does_not_run() {
        let mut server = Server {
            id: ServerId(uuid::Uuid::from_u128(1)),
            name: "web".into(),
            host: Some("c1".into()),
            vm_state: VmState::Active,
            task_state: None,
            power_state: PowerState::Running,
            locked: false,
            locked_reason: None,
            metadata: std::collections::BTreeMap::new(),
            volume_backed: true,
            launched: true,
            fault: None,
            about: InstanceTraits::default(),
            needs: None,
            updated: None,
        };
        for vm_state in [VmState::Active, VmState::Resized] {
            server.vm_state = vm_state;
            for (number, expected) in [
                (1, None),
                (3, Some(StopReason::Unasked)),
                (4, Some(StopReason::Unasked)),
                (6, Some(StopReason::Unasked)),
                (7, Some(StopReason::Unasked)),
                (0, Some(StopReason::Unasked)),
            ] {
                server.power_state = PowerState::from_nova(number);
                assert_eq!(at_rest(&server), expected, "{number}");
            }
            server.power_state = PowerState::Halted;
            server.task_state = Some("migrating".into());
            assert_eq!(
                at_rest(&server),
                None,
                "a live migration pauses the guest at its end"
            );
            server.task_state = None;
        }
        // Nova keeps the last power state of an instance in error.
        server.vm_state = VmState::Error;
        for power_state in [PowerState::Running, PowerState::Other, PowerState::Shutdown] {
            server.power_state = power_state;
            assert_eq!(at_rest(&server), Some(StopReason::Unasked), "{power_state:?}");
        }
    }

    #[test]
    fn a_halted_guest_is_stored_as_versions_before_it_read_it() {
        let stored = serde_json::to_string(&PowerState::Halted).unwrap();
        assert_eq!(stored, "\"other\"");
        assert_eq!(
            serde_json::from_str::<PowerState>(&stored).unwrap(),
            PowerState::Other
        );
    }

    /// Covers R36.
    #[test]
    fn an_instance_stopped_by_an_operator_stays_stopped_and_one_stopped_by_a_recovery_does_not() {
        use Actor::{Nova, Ours, Person};
        for (latest_first, why) in [
            (vec![("stop", Person), ("create", Person)], StopReason::Meant),
            (
                vec![("lock", Person), ("stop", Person), ("start", Person)],
                StopReason::Meant,
            ),
            (vec![("stop", Ours), ("create", Person)], StopReason::Due),
            (
                vec![("start", Ours), ("stop", Ours), ("create", Person)],
                StopReason::Due,
            ),
            (
                vec![("stop", Ours), ("evacuate", Ours), ("stop", Person)],
                StopReason::Meant,
            ),
            (vec![("start", Person), ("stop", Person)], StopReason::Due),
            (vec![("reboot", Person)], StopReason::Due),
            (vec![("suspend", Person), ("create", Person)], StopReason::Meant),
            (vec![("stop", Nova), ("create", Person)], StopReason::Unclear),
            (
                vec![("evacuate", Ours), ("stop", Nova), ("start", Person)],
                StopReason::Unclear,
            ),
            (vec![("rebuild", Person), ("stop", Person)], StopReason::Meant),
            (vec![], StopReason::Unclear),
        ] {
            assert_eq!(judged(&latest_first), why, "{latest_first:?}");
        }
    }
}
