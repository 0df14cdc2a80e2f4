//! Types that all kinds of recoveries share.

pub mod action;
pub mod command;
pub mod given_up;
pub mod hook_track;
pub mod observation;
pub mod off_claim;
pub mod record;
pub mod reserve;
pub mod resolution;
pub mod retry;
pub mod workflow;

use std::collections::BTreeMap;

pub use action::OperatorAction;
pub use command::{Command, Evacuation, Restoration, ServiceUpdate, UnknownEvacuations};
pub use given_up::WrittenOff;
pub use hook_track::HookTrack;
pub use observation::{
    Evacuations, InCell, Inventory, Lists, Messaging, Observation, ServerCall, ServerIds, ServerReading,
};
pub use off_claim::OffClaim;
pub use record::{
    Decision, DecisionTime, DeviceOutcome, Elsewhere, FenceOrder, FreezeOrder, MoveOrder, Record, Step,
    StepKind, Task,
};
pub use reserve::{JoinResult, ReserveAnswer, ReserveCall, ServiceStatus};
pub use resolution::{InstanceResolution, ResolutionKind};

use crate::entity::notification::{NotificationStatus, NotificationType};
use crate::freeze::FreezeStatus;
use crate::id::{HostId, RecoveryId};
use crate::instance_event::reports_failure;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;
use crate::wait::WaitsFor;

/// The status of a recovery that ended because the report was a false alarm. Masakari's API shows the notification's status instead.
pub const DISMISSED_STATUS: &str = "dismissed";

/// Returns the status of a recovery as our own views, events and metrics show it.
pub const fn shown_status(notification: NotificationStatus, dismissed: bool) -> &'static str {
    if dismissed {
        DISMISSED_STATUS
    } else {
        notification.as_str()
    }
}

string_enum! {
    /// The subject of a recovery.
    RecoveryKind {
        /// A failed host.
        Host = "host",
        /// One instance.
        Vm = "vm",
        /// A process on a host.
        Process = "process",
        /// A running host that is to be emptied.
        Drain = "drain",
        /// A running host that gets back the instances that were moved away from it.
        Giveback = "giveback",
    }
}

string_enum! {
    /// The stage of a recovery's life.
    Life {
        /// Work is in progress or on hold.
        Open = "open",
        /// The notification is finished; the host is watched until its nova-compute is back and its excluded instances run.
        Watching = "watching",
        /// The recovery is finished.
        Closed = "closed",
    }
}

impl Life {
    /// True if the recovery's host is not back yet, by the recovery's wait.
    pub fn awaits_return(self, wait: Option<WaitsFor>) -> bool {
        self == Self::Watching && wait != Some(WaitsFor::Start)
    }
}

string_enum! {
    /// An operator's decision about a recovery that is on hold.
    OperatorCommand {
        /// The recovery checks again, and acts if the result allows it.
        Approve = "approve",
        /// The recovery is given up: nothing more is done, and its instances are listed as left.
        Reject = "reject",
        /// The operator has checked that the host is off, and confirms it.
        HostIsOff = "host-is-off",
    }
}

impl OperatorCommand {
    /// Returns the action as operators type it and as texts for them name it. The stored value may differ.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Reject => "abort",
            Self::HostIsOff => "confirm-off",
        }
    }
}

/// An operator's action, numbered, so that each is processed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorRequest {
    /// The number, which grows by one with each action on this recovery.
    pub number: u64,
    pub word: OperatorCommand,
    /// The author.
    pub by: String,
    /// The time, for people.
    pub at: Timestamp,
}

/// The data that every transaction of a recovery reads again, so that an operator's change takes effect at the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorState {
    /// `enabled` of the segment; a deleted segment counts as disabled.
    pub segment_enabled: bool,
    /// True if an operator has put the host in maintenance.
    pub operator_maintenance: bool,
    /// The latest action, if any, in the column that an older API writes.
    pub word: Option<OperatorRequest>,
    /// The operator actions that no engine has processed yet, oldest first.
    pub actions: Vec<OperatorAction>,
    /// True if a further report of the same host has joined the recovery and claims that the host is off.
    pub joined_normal: bool,
    /// The claim about the host's fence made by reports that came with evidence or have joined the recovery.
    pub off_claim: Option<OffClaim>,
    /// The statements about single instances, oldest first.
    pub move_words: Vec<InstanceResolution>,
    /// The freezes that concern the recovery.
    pub frozen: FreezeStatus,
    /// The time of the database machine's clock; `None` where that is the engine's own.
    pub clock: Option<Timestamp>,
}

/// The change between two successive states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OperatorChange {
    /// No change.
    #[default]
    Nothing,
    /// Reports claim more than before: a reason to act, and never a reason not to.
    Reports,
    /// An operator has changed something, which may block what was just decided.
    Operator,
}

impl OperatorState {
    /// The state without anything unusual and without any operator action.
    pub const DEFAULT: Self = Self {
        segment_enabled: true,
        operator_maintenance: false,
        word: None,
        actions: Vec::new(),
        joined_normal: false,
        off_claim: None,
        move_words: Vec::new(),
        frozen: FreezeStatus::NONE,
        clock: None,
    };

    /// Returns the kind of change since `before`.
    pub fn change_since(&self, before: &Self) -> OperatorChange {
        let operators = |operator_state: &Self| {
            (
                operator_state.segment_enabled,
                operator_state.operator_maintenance,
                operator_state.word.clone(),
                operator_state.move_words.len(),
                operator_state
                    .move_words
                    .last()
                    .map(|resolution| resolution.number),
            )
        };
        let is_known = |action: &OperatorAction| before.actions.iter().any(|old| old.id == action.id);
        let has_new_actions = !self.actions.iter().all(is_known);
        if has_new_actions || operators(self) != operators(before) || self.frozen != before.frozen {
            OperatorChange::Operator
        } else if (&self.off_claim, self.joined_normal) != (&before.off_claim, before.joined_normal) {
            OperatorChange::Reports
        } else {
            OperatorChange::Nothing
        }
    }
}

/// The message of a recovery that waits for calls that the journal lost.
pub const LOST_CALLS_MESSAGE: &str = "the database has lost the latest writes of this recovery (a failover?): waiting until no earlier call can \
                           take effect any more, then everything is listed again";

impl RecoveryKind {
    /// True if an operator has planned the recovery, so that it has nothing to do with a failure.
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::Drain | Self::Giveback)
    }
}

/// Returns the kind of recovery that a notification causes.
pub const fn kind_of(notification: NotificationType) -> RecoveryKind {
    match notification {
        NotificationType::ComputeHost => RecoveryKind::Host,
        NotificationType::Vm => RecoveryKind::Vm,
        NotificationType::Process => RecoveryKind::Process,
    }
}

/// Returns the key that only one open recovery may hold: the host if a host stopped, the instance if an instance failed.
/// A notification that causes nothing that could be done twice gets no key, so that it keeps out nothing that must be done.
/// Examples are a report that something *started*, and an event of an instance that is mere noise.
pub fn open_key(kind: RecoveryKind, host: HostId, payload: &BTreeMap<String, String>) -> Option<String> {
    match kind {
        RecoveryKind::Host => {
            let stopped = payload.get("event").is_some_and(|event| event == "STOPPED");
            stopped.then(|| host.to_string())
        }
        RecoveryKind::Vm => payload
            .get("instance_uuid")
            .filter(|_| reports_failure(payload))
            .map(|id| format!("vm:{}", id.to_ascii_lowercase())),
        RecoveryKind::Process => None,
        // Only one planned recovery of a host is open at a time. Its key does not keep out a failure of the host.
        RecoveryKind::Drain | RecoveryKind::Giveback => Some(format!("planned:{host}")),
    }
}

/// Returns the mark in a server's lock and a service's disable reason. It distinguishes Tachi's from those of others.
pub fn mark(recovery: RecoveryId) -> String {
    format!("tachi {recovery}")
}

/// Returns the mark in the disable reason of a host that an operator has drained. The mark distinguishes
/// it from a disabling by others. Recoveries leave the service disabled, because an operator has requested it.
pub fn planned_mark(recovery: RecoveryId) -> String {
    format!("{DRAIN_MARK_PREFIX}{recovery}")
}

/// The prefix of a drain's mark.
const DRAIN_MARK_PREFIX: &str = "tachi drain ";

/// True if a disable reason shows that an operator has drained the host.
pub fn is_drained(reason: &str) -> bool {
    reason.contains(&format!("[{DRAIN_MARK_PREFIX}"))
}

/// True if a disable reason carries the mark of any recovery, including the bracket before it.
pub fn is_marked(reason: &str) -> bool {
    reason.contains("[tachi ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R20.
    #[test]
    fn changes_by_an_operator_are_distinguished_from_additions_by_reports() {
        let calm = OperatorState::DEFAULT;
        let request = OperatorRequest {
            number: 1,
            word: OperatorCommand::Reject,
            by: "ada".into(),
            at: Timestamp::from_micros(0),
        };
        let off_claim = OffClaim {
            arrived: None,
            dated: Timestamp::from_micros(0),
            evidence: None,
        };
        let joined = OperatorState {
            joined_normal: true,
            off_claim: Some(off_claim),
            ..calm.clone()
        };
        let operators = [
            OperatorState {
                segment_enabled: false,
                ..joined.clone()
            },
            OperatorState {
                operator_maintenance: true,
                ..joined.clone()
            },
            OperatorState {
                word: Some(request),
                ..joined.clone()
            },
            OperatorState {
                frozen: FreezeStatus {
                    thawed: 1,
                    ..FreezeStatus::NONE
                },
                ..joined.clone()
            },
        ];
        assert_eq!(calm.change_since(&calm), OperatorChange::Nothing);
        assert_eq!(joined.change_since(&calm), OperatorChange::Reports);
        for operator_state in operators {
            assert_eq!(
                operator_state.change_since(&calm),
                OperatorChange::Operator,
                "{operator_state:?}"
            );
            assert_eq!(
                calm.change_since(&operator_state),
                OperatorChange::Operator,
                "back again: {operator_state:?}"
            );
        }
        assert!(
            OperatorChange::Operator > OperatorChange::Reports
                && OperatorChange::Reports > OperatorChange::Nothing
        );
    }
}
