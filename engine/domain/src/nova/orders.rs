//! Why an instance does not run: what was asked of it last, by Nova's record.

use serde::{Deserialize, Serialize};

use super::{PowerState, Server, VmState};
use crate::timestamp::Timestamp;

/// Who has asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// This service, or Masakari under the same user: what a recovery does changes nothing of what is meant.
    Ours,
    /// Nova itself, which stops in its records what it finds shut down.
    Nova,
    /// Anybody else.
    Person,
}

/// What was asked of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAction {
    /// Nova's word for it: `stop`, `evacuate`.
    pub action: String,
    /// Who.
    pub by: By,
}

/// Why an instance does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// Nobody has looked yet.
    Unasked,
    /// A person has asked for it.
    Meant,
    /// Nobody has: it is down.
    Due,
    /// Nova found its guest shut down: whether the guest did that by itself is not known.
    Unclear,
}

impl Why {
    /// By what was asked for, the latest first: the latest that says whether it is meant to run.
    pub fn judge(orders: &[ServerAction]) -> Self {
        let said = orders
            .iter()
            .find_map(|order| match (order.action.as_str(), order.by) {
                (
                    "stop" | "pause" | "suspend" | "rescue" | "shelve" | "shelveOffload" | "delete"
                    | "softDelete" | "forceDelete",
                    by,
                ) => match by {
                    By::Person => Some(Self::Meant),
                    By::Nova => Some(Self::Unclear),
                    By::Ours => None,
                },
                (
                    "create" | "start" | "reboot" | "resume" | "unpause" | "unrescue" | "unshelve"
                    | "restore",
                    _,
                ) => Some(Self::Due),
                // A move, a rebuild, a lock: it goes on as it was.
                (_, _) => None,
            });
        said.unwrap_or(Self::Unclear)
    }
}

/// An instance that does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Why.
    pub why: Why,
    /// Since when, as far as was seen.
    pub since: Timestamp,
    /// Nova is at work on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub busy: bool,
    /// Nova calls it stopped, so that it can be started.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// When it was changed last, as Nova shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// The same when Nova was asked why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Timestamp>,
}

impl Rest {
    /// Nobody has asked why since it was changed last.
    pub fn is_to_be_asked(&self) -> bool {
        self.judged.is_none() || (self.seen.is_some() && self.judged != self.seen)
    }
}

/// Whether a server does not run, and what is known of why by its state alone; `None` if it runs.
pub fn at_rest(server: &Server) -> Option<Why> {
    match (&server.vm_state, server.power_state) {
        // Only a person brings an instance into these.
        (
            VmState::Paused
            | VmState::Suspended
            | VmState::Rescued
            | VmState::Shelved
            | VmState::ShelvedOffloaded,
            _,
        ) => Some(Why::Meant),
        (VmState::Deleted | VmState::Building, _)
        | (VmState::Active | VmState::Resized | VmState::Other(_), PowerState::Running | PowerState::Other)
        | (VmState::Stopped | VmState::Error, PowerState::Running) => None,
        (VmState::Active | VmState::Resized | VmState::Other(_), PowerState::Shutdown)
        | (VmState::Stopped | VmState::Error, PowerState::Shutdown | PowerState::Other) => Some(Why::Unasked),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(orders: &[(&str, By)]) -> Why {
        let orders: Vec<ServerAction> = orders
            .iter()
            .map(|(action, by)| ServerAction {
                action: (*action).to_owned(),
                by: *by,
            })
            .collect();
        Why::judge(&orders)
    }

    #[test]
    fn r36_what_a_person_stopped_is_meant_and_what_a_recovery_stopped_is_not() {
        use By::{Nova, Ours, Person};
        for (latest_first, why) in [
            (vec![("stop", Person), ("create", Person)], Why::Meant),
            (
                vec![("lock", Person), ("stop", Person), ("start", Person)],
                Why::Meant,
            ),
            (vec![("stop", Ours), ("create", Person)], Why::Due),
            (
                vec![("start", Ours), ("stop", Ours), ("create", Person)],
                Why::Due,
            ),
            (
                vec![("stop", Ours), ("evacuate", Ours), ("stop", Person)],
                Why::Meant,
            ),
            (vec![("start", Person), ("stop", Person)], Why::Due),
            (vec![("reboot", Person)], Why::Due),
            (vec![("suspend", Person), ("create", Person)], Why::Meant),
            (vec![("stop", Nova), ("create", Person)], Why::Unclear),
            (
                vec![("evacuate", Ours), ("stop", Nova), ("start", Person)],
                Why::Unclear,
            ),
            (vec![("rebuild", Person), ("stop", Person)], Why::Meant),
            (vec![], Why::Unclear),
        ] {
            assert_eq!(judged(&latest_first), why, "{latest_first:?}");
        }
    }
}
