//! Frozen instances and hosts: the instance is not restarted, and after the freeze only if it does not run (ADR 0051).

use serde::{Deserialize, Serialize};

use super::{BlockerKind, Stage, VmRecovery};
use crate::entity::notification::NotificationStatus;
use crate::freeze::{Freeze, UnlessFrozen};
use crate::nova::{PowerState, Server, VmState};
use crate::recovery::{DecisionTime, Record, StepKind};

/// The state of the instance's first call, until another call is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FirstCall {
    /// No call is about to be made.
    #[default]
    None,
    /// The call is about to be made.
    Pending,
    /// The call was not made after all.
    Withdrawn,
}

/// The stored state of freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct FreezeTrack {
    /// The number of the latest freeze whose end was observed.
    thawed: i64,
    /// True if the recovery waits for a freeze, and continues only after it.
    waited: bool,
    /// True if the failure was reported before a freeze ended.
    seen_only: bool,
    #[serde(skip)]
    first: FirstCall,
}

/// True if the instance has been stopped, or may have been: then it has to be started again.
fn has_begun(state: &VmRecovery) -> bool {
    let stopped_by_us = matches!(
        state.stage,
        Stage::Starting | Stage::Migrating | Stage::Confirming | Stage::Waiting
    );
    state.called || state.active || state.unanswered_stop.is_some() || stopped_by_us
}

/// Returns the freeze that the recovery waits for.
pub(super) fn waits_for(state: &VmRecovery) -> Option<&Freeze> {
    let begins_anew = match state.stage {
        Stage::Waiting => true,
        Stage::Migrating => !state.called,
        Stage::Begin
        | Stage::Activating
        | Stage::Stopping
        | Stage::Starting
        | Stage::Confirming
        | Stage::Done => false,
    };
    let may_wait = (begins_anew || !has_begun(state)) && state.stage != Stage::Done;
    over(state).filter(|_| may_wait)
}

/// Returns the freeze of the instance or its host, even if it does not stop this recovery.
fn over(state: &VmRecovery) -> Option<&Freeze> {
    let frozen = &state.operator_state.as_ref()?.frozen;
    let own = state
        .server
        .as_ref()
        .and_then(|server| frozen.instances.get(server));
    own.or_else(|| frozen.of_host())
        .or_else(|| frozen.hosts.get(&state.host))
}

/// True while a freeze prevents the recovery from starting anything.
pub(super) fn holds(state: &mut VmRecovery, now: DecisionTime, record: &mut Record) -> bool {
    if over(state).is_some() && state.freeze.first == FirstCall::Withdrawn {
        state.freeze.first = FirstCall::None;
        // A call that the journal has refused was never made.
        state.called = false;
        state.counted = false;
        record.head = true;
    }
    let message = waits_for(state).map(Freeze::message);
    let thawed = state
        .operator_state
        .as_ref()
        .map_or(0, |operator_state| operator_state.frozen.thawed);
    let over = thawed > state.freeze.thawed || (state.freeze.waited && message.is_none());
    record.head |= over || (message.is_some() && !state.freeze.waited);
    state.freeze.thawed = state.freeze.thawed.max(thawed);
    state.freeze.waited = message.is_some();
    if over && !has_begun(state) {
        state.freeze.seen_only = true;
        state.observed = None;
        state.service = None;
        state.enter(Stage::Begin, now, record);
        let text = "the freeze has ended: the instance is checked again";
        record.step(state.task(), StepKind::Note, 0.0, text);
    }
    let Some(message) = message else {
        state.clear_blocker(BlockerKind::Freeze);
        return false;
    };
    if state.stage == Stage::Migrating {
        // The limit is for Nova, not for the freeze.
        state.since = now.elapsed;
    }
    // A freeze replaces every other blocker.
    state
        .blocker
        .take_if(|blocker| blocker.about != BlockerKind::Freeze);
    state.blocker(BlockerKind::Freeze, message, now);
    true
}

/// Ends the recovery if the failure was reported before a freeze ended and the instance runs now: the operator of the freeze
/// or the owner has repaired it.
pub(super) fn runs_since_thaw(state: &mut VmRecovery, server: &Server, record: &mut Record) -> bool {
    let runs = server.vm_state == VmState::Active && server.power_state == PowerState::Running;
    if !state.freeze.seen_only || !runs {
        return false;
    }
    let text = "reported before a freeze ended, and Nova shows it running now: it is not restarted; report it again if it fails";
    record.dismissed = true;
    // What is reported from now on is another failure, even within the window for duplicates.
    record.running_again = true;
    state.end(NotificationStatus::Ignored, text, record);
    true
}

/// Adds the condition that neither the instance nor its host is frozen to the first call's intent.
pub(super) fn note_first(state: &mut VmRecovery, record: &mut Record) {
    state.freeze.first = FirstCall::None;
    if !has_begun(state) {
        state.freeze.first = FirstCall::Pending;
        unless_frozen(state, record);
    }
}

/// Adds the condition that neither the instance nor its host is frozen to an intent.
pub(super) fn unless_frozen(state: &VmRecovery, record: &mut Record) {
    record.unless_frozen = UnlessFrozen {
        own: true,
        host: Some(state.host.clone()),
        servers: state.server.into_iter().collect(),
    };
}

/// Records that the call was not made.
pub(super) fn call_withdrawn(state: &mut VmRecovery) {
    state.requested = None;
    if state.stage == Stage::Migrating {
        state.called = false;
    }
    if state.freeze.first == FirstCall::Pending {
        state.freeze.first = FirstCall::Withdrawn;
    }
}
