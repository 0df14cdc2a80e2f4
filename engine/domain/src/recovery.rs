//! What every kind of recovery has in common.

pub mod action;
pub mod command;
pub mod given_up;
pub mod hook_track;
pub mod observation;
pub mod off_word;
pub mod record;
pub mod reserve;
pub mod retry;
pub mod workflow;

use std::collections::BTreeMap;

pub use action::OperatorAction;
pub use command::{Command, Evacuation, Restoration, ServiceUpdate};
pub use given_up::WrittenOff;
pub use hook_track::HookTrack;
pub use observation::{
    Evacuations, Followed, InCell, Inventory, Lists, Messaging, Observation, ServerCall, ServerIds,
};
pub use off_word::OffWord;
pub use record::{Decision, Elsewhere, FenceOrder, Fenced, FreezeOrder, Now, Record, Step, StepKind, Task};
pub use reserve::{Joined, ReserveAnswer, ReserveCall, ServiceStatus};

use crate::entity::notification::NotificationType;
use crate::freeze::Frozen;
use crate::id::{HostId, RecoveryId, ServerId};
use crate::instance_event::says_failure;
use crate::timestamp::Timestamp;
use crate::words::words;

words! {
    /// What a recovery is about.
    RecoveryKind {
        /// A dead host.
        Host = "host",
        /// One instance.
        Vm = "vm",
        /// A process on a host.
        Process = "process",
        /// A living host that is to be emptied.
        Drain = "drain",
        /// A living host that gets back what was moved away from it.
        Giveback = "giveback",
    }
}

words! {
    /// Where a recovery is in its life.
    Life {
        /// Work is going on, or it is held.
        Open = "open",
        /// The notification has ended; the host is watched until its nova-compute is back (R22).
        Watching = "watching",
        /// Over.
        Closed = "closed",
    }
}

words! {
    /// What an operator says about a held recovery.
    Word {
        /// Go on: look again, and act if what is seen allows it.
        Approve = "approve",
        /// Give it up: nothing further is done, the instances are listed as left.
        Reject = "reject",
        /// Somebody has seen to it that the host is off, and vouches for it.
        HostIsOff = "host-is-off",
    }
}

/// An operator's word, numbered, so that each is heard once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorWord {
    /// Grows by one with each word said about this recovery.
    pub number: u64,
    /// What was said.
    pub word: Word,
    /// Who said it.
    pub by: String,
    /// When; for people.
    pub at: Timestamp,
}

words! {
    /// What a person says of one instance.
    MoveVerdict {
        /// It runs on that host.
        Success = "success",
        /// It does not run on that host, or nothing will come of what Nova was asked.
        Failure = "failure",
        /// Ask again where that is safe.
        Retry = "retry",
        /// Leave it.
        Ignore = "ignore",
    }
}

/// A person's word of one instance, numbered within its recovery, so that each is heard once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MoveWord {
    /// Grows by one with each such word.
    pub number: u64,
    /// Of which instance.
    pub server: ServerId,
    /// What was said.
    pub word: MoveVerdict,
    /// Of which host.
    pub on: Option<String>,
    /// Who said it, and why.
    pub by: String,
}

/// What is read afresh in every transaction of a recovery, so that an operator's change takes effect at the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// `enabled` of the segment; a deleted segment counts as disabled.
    pub segment_enabled: bool,
    /// Whether an operator has put the host on maintenance.
    pub operator_maintenance: bool,
    /// The latest word, if any: what an older API writes.
    pub word: Option<OperatorWord>,
    /// What operators ask for that no engine has heard, oldest first (R32).
    pub actions: Vec<OperatorAction>,
    /// A further report of the same host has joined the recovery and says that the host is off (R19).
    pub joined_normal: bool,
    /// What reports that came with evidence, or that have joined the recovery, say of the host's fence (R16, R18).
    pub off_word: Option<OffWord>,
    /// What was said of single instances, oldest first.
    pub move_words: Vec<MoveWord>,
    /// What is frozen of what it is about.
    pub frozen: Frozen,
    /// What the clock of the database's machine showed; `None` where that is the engine's own.
    pub clock: Option<Timestamp>,
}

/// What one pulse has that the one before it had not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum News {
    /// Nothing.
    #[default]
    Nothing,
    /// Reports have said more: a reason to act, and never one not to.
    Reports,
    /// An operator has changed something, which may forbid what was just decided.
    Operator,
}

impl Pulse {
    /// Nothing is unusual, and nobody has said anything.
    pub const CALM: Self = Self {
        segment_enabled: true,
        operator_maintenance: false,
        word: None,
        actions: Vec::new(),
        joined_normal: false,
        off_word: None,
        move_words: Vec::new(),
        frozen: Frozen::NOTHING,
        clock: None,
    };

    /// What is new in this one.
    pub fn news_since(&self, before: &Self) -> News {
        let operators = |pulse: &Self| {
            (
                pulse.segment_enabled,
                pulse.operator_maintenance,
                pulse.word.clone(),
                pulse.move_words.len(),
                pulse.move_words.last().map(|said| said.number),
            )
        };
        let is_known = |one: &OperatorAction| before.actions.iter().any(|old| old.id == one.id);
        let says_more = !self.actions.iter().all(is_known);
        if says_more || operators(self) != operators(before) || self.frozen != before.frozen {
            News::Operator
        } else if (&self.off_word, self.joined_normal) != (&before.off_word, before.joined_normal) {
            News::Reports
        } else {
            News::Nothing
        }
    }
}

/// What a recovery shows while it waits for calls that the journal lost (R33).
pub const REWOUND: &str = "the database has lost the latest writes of this recovery (a failover?): waiting until no earlier call can \
                           take effect any more, then everything is listed again";

impl RecoveryKind {
    /// Whether a person has planned it: it has nothing to do with a failure.
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Drain | Self::Giveback)
    }
}

/// The kind of recovery a notification causes.
pub const fn kind_of(notification: NotificationType) -> RecoveryKind {
    match notification {
        NotificationType::ComputeHost => RecoveryKind::Host,
        NotificationType::Vm => RecoveryKind::Vm,
        NotificationType::Process => RecoveryKind::Process,
    }
}

/// The key that only one open recovery may hold (R6): the host for a host that stopped, the instance for an instance that
/// failed. What causes nothing that could be done twice holds none, so that it keeps nothing out that must be done: that
/// something *started*, or an event of an instance that is mere noise.
pub fn open_key(kind: RecoveryKind, host: HostId, payload: &BTreeMap<String, String>) -> Option<String> {
    match kind {
        RecoveryKind::Host => {
            let stopped = payload.get("event").is_some_and(|event| event == "STOPPED");
            stopped.then(|| host.to_string())
        }
        RecoveryKind::Vm => payload
            .get("instance_uuid")
            .filter(|_| says_failure(payload))
            .map(|id| format!("vm:{}", id.to_ascii_lowercase())),
        RecoveryKind::Process => None,
        // Whatever is planned for a host, one at a time. It keeps no failure of the host out.
        RecoveryKind::Drain | RecoveryKind::Giveback => Some(format!("planned:{host}")),
    }
}

/// The mark a server's lock and a service's disable reason carry, so that they can be told from anybody else's.
pub fn mark(recovery: RecoveryId) -> String {
    format!("tachi {recovery}")
}

/// The mark in the disable reason of a host that a person has drained. It is one of ours, so that it can be told from anybody else's;
/// but what a recovery does by itself leaves it alone, as a person's doing.
pub fn planned_mark(recovery: RecoveryId) -> String {
    format!("{PLANNED}{recovery}")
}

/// How the mark of a drain begins.
const PLANNED: &str = "tachi drain ";

/// Whether a disable reason says that a person has drained the host.
pub fn is_drained(reason: &str) -> bool {
    reason.contains(&format!("[{PLANNED}"))
}

/// Whether a disable reason carries the mark of any recovery, in the brackets that it stands in there.
pub fn is_marked(reason: &str) -> bool {
    reason.contains("[tachi ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_what_an_operator_changes_is_told_apart_from_what_reports_say_more() {
        let calm = Pulse::CALM;
        let said = OperatorWord {
            number: 1,
            word: Word::Reject,
            by: "ada".into(),
            at: Timestamp::from_micros(0),
        };
        let off_word = OffWord {
            arrived: None,
            dated: Timestamp::from_micros(0),
            evidence: None,
        };
        let joined = Pulse {
            joined_normal: true,
            off_word: Some(off_word),
            ..calm.clone()
        };
        let operators = [
            Pulse {
                segment_enabled: false,
                ..joined.clone()
            },
            Pulse {
                operator_maintenance: true,
                ..joined.clone()
            },
            Pulse {
                word: Some(said),
                ..joined.clone()
            },
            Pulse {
                frozen: Frozen {
                    thawed: 1,
                    ..Frozen::NOTHING
                },
                ..joined.clone()
            },
        ];
        assert_eq!(calm.news_since(&calm), News::Nothing);
        assert_eq!(joined.news_since(&calm), News::Reports);
        for pulse in operators {
            assert_eq!(pulse.news_since(&calm), News::Operator, "{pulse:?}");
            assert_eq!(calm.news_since(&pulse), News::Operator, "back again: {pulse:?}");
        }
        assert!(News::Operator > News::Reports && News::Reports > News::Nothing);
    }
}
