//! The context of one decision: the inputs of a stage, and where its results go.

use std::collections::{BTreeMap, BTreeSet};

use super::blockers::Blockers;
use super::{HoldKind, Move, RecoveryHold, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::freeze::Freeze;
use crate::id::{HostId, NotificationId, RecoveryId, ServerId};
use crate::policy::Policy;
use crate::recovery::{DecisionTime, Life, OperatorState, Record, Task, mark};
use crate::timestamp::Timestamp;

/// The instances of a recovery.
pub(super) type Moves = BTreeMap<ServerId, Move>;

pub(super) struct DecisionContext<'a> {
    pub(super) now: DecisionTime,
    pub(super) id: RecoveryId,
    pub(super) notification: NotificationId,
    pub(super) host_id: HostId,
    /// The host's service name in Nova.
    pub(super) host: &'a str,
    /// The last time at which the host's nova-compute is known to have run, by Nova's clock.
    pub(super) last_alive: Option<Timestamp>,
    pub(super) policy: &'a Policy,
    pub(super) method: RecoveryMethod,
    pub(super) operator_state: Option<&'a OperatorState>,
    /// The operator who has rejected the recovery.
    pub(super) rejected: Option<&'a str>,
    /// True if an operator has stopped all fencing.
    pub(super) stopped: bool,
    /// True if the notification is closed.
    pub(super) settled: bool,
    pub(super) stage: &'a mut Stage,
    pub(super) hold: &'a mut Option<RecoveryHold>,
    /// The message that the notification shows.
    pub(super) message: &'a mut Option<String>,
    pub(super) blockers: &'a mut Blockers,
    pub(super) record: &'a mut Record,
}

/// Borrows the context of a recovery, and leaves its stages and moves to be borrowed beside it.
macro_rules! decision_context {
    ($recovery:ident, $now:expr, $record:expr) => {
        $crate::host_recovery::decision_context::DecisionContext {
            now: $now,
            id: $recovery.id,
            notification: $recovery.notification,
            host_id: $recovery.host_id,
            host: &$recovery.host,
            last_alive: $crate::host_recovery::service::last_alive(&$recovery.service),
            policy: &$recovery.policy,
            method: $recovery.method,
            operator_state: $recovery.operator_state.as_ref(),
            rejected: $recovery.rejected.as_deref(),
            stopped: $recovery.in_flight.stopped,
            settled: $recovery.arrivals.settled,
            stage: &mut $recovery.stage,
            hold: &mut $recovery.hold,
            message: &mut $recovery.message,
            blockers: &mut $recovery.in_flight.blockers,
            record: $record,
        }
    };
}

pub(super) use decision_context;

impl DecisionContext<'_> {
    /// Returns the mark on locks and disable reasons.
    pub(super) fn mark(&self) -> String {
        mark(self.id)
    }

    /// Returns the reason why nothing destructive may be started now, if there is one.
    pub(super) fn block_reason(&self) -> Option<String> {
        block_reason(self.rejected, self.hold.as_ref(), self.operator_state)
    }

    /// Returns the reason why an operator's setting beyond this one recovery blocks it, if one does.
    pub(super) fn operator_block(&self) -> Option<String> {
        operator_block(self.operator_state)
    }

    /// Returns the freeze that applies to the host now, even if the recovery does not wait for it.
    pub(super) fn frozen_host(&self) -> Option<&Freeze> {
        self.operator_state?.frozen.of_host()
    }

    /// Returns the freeze of this instance, if it is frozen itself.
    pub(super) fn frozen(&self, server: ServerId) -> Option<&Freeze> {
        self.operator_state
            .and_then(|operator_state| operator_state.frozen.instances.get(&server))
    }

    /// Puts the recovery on hold until an operator acts.
    pub(super) fn hold(&mut self, kind: HoldKind, reason: String) {
        *self.hold = Some(RecoveryHold {
            kind,
            reason,
            since: self.now.elapsed,
            guards: BTreeSet::new(),
            domain: None,
            hosts: BTreeSet::new(),
        });
        self.record.head = true;
    }

    /// Sets the message that the notification shows while the recovery is open.
    pub(super) fn set_message(&mut self, message: Option<String>) {
        if *self.message != message {
            self.message.clone_from(&message);
            self.record.head = true;
            self.record.notification = Some((NotificationStatus::Running, message));
        }
    }

    /// Ends the recovery before Nova was touched.
    pub(super) fn end(&mut self, status: NotificationStatus, message: Option<String>) {
        self.message.clone_from(&message);
        self.record.notification = Some((status, message));
        self.record.life = Some(Life::Closed);
        self.enter(Stage::Done);
    }

    /// Ends the recovery because the report was a false alarm. Masakari's API shows it as failed, as before: a later report is then a
    /// new attempt (R19).
    pub(super) fn dismiss(&mut self, message: String) {
        self.record.failed(Task::Fence, message.clone());
        self.record.dismissed = true;
        self.end(NotificationStatus::Failed, Some(message));
    }

    pub(super) fn enter(&mut self, stage: Stage) {
        *self.stage = stage;
        self.record.head = true;
    }
}

pub(super) fn block_reason(
    rejected: Option<&str>,
    hold: Option<&RecoveryHold>,
    operator_state: Option<&OperatorState>,
) -> Option<String> {
    if let Some(by) = rejected {
        return Some(format!("aborted by {by}"));
    }
    if let Some(hold) = hold {
        return Some(hold.reason.clone());
    }
    operator_block(operator_state)
}

pub(super) fn operator_block(operator_state: Option<&OperatorState>) -> Option<String> {
    match operator_state {
        None => Some("not claimed".into()),
        Some(operator_state) if !operator_state.segment_enabled => {
            Some("the segment is disabled: nothing new is started until it is enabled again".into())
        }
        Some(operator_state) if operator_state.operator_maintenance => Some(
            "the host is in maintenance, set by an operator: nothing new is started until that is cleared"
                .into(),
        ),
        Some(_) => None,
    }
}
