//! Freezes: nothing is started for a host that an operator has frozen, and observations from before the freeze do not count
//! afterwards (ADR 0051).
//!
//! A recovery that has already ordered a power-off or changed Nova's record is followed to its end: its instances are down, and
//! waiting would only keep them down. But no power command is sent while the host is frozen, and no evacuation of an instance
//! that is frozen itself is requested.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blockers::BlockerKind;
use super::deadlines::pause_deadlines;
use super::decision_context::{DecisionContext, decision_context, operator_block};
use super::in_flight::InFlight;
use super::{HostRecovery, Move, MoveStep, Stage, has_not_begun};
use crate::elapsed::Elapsed;
use crate::freeze::{Freeze, FreezeScope};
use crate::id::ServerId;
use crate::recovery::{Command, DecisionTime, OperatorState, Record, StepKind, Task};

/// Interval between scans of all hosts while a scan can end a freeze.
const SCAN_INTERVAL: Duration = Duration::from_secs(5);

/// The durable state of freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FreezeTrack {
    /// The number of the latest freeze whose end was taken.
    pub thawed: i64,
    /// The number of the latest freeze that was recorded as an event.
    #[serde(rename = "told")]
    pub recorded: i64,
    /// True if only new observations count, and reports do not.
    pub seen_only: bool,
    /// The time before which any question that was sent does not count.
    #[serde(rename = "anew")]
    pub restarted_at: Elapsed,
}

/// Returns the freeze that applies to its host now, even if the recovery does not wait for it.
pub(super) fn over(state: &HostRecovery) -> Option<&Freeze> {
    state.operator_state.as_ref()?.frozen.of_host()
}

/// Returns the freeze that it waits for before anything is started.
pub(super) fn waits_for(state: &HostRecovery) -> Option<&Freeze> {
    let may_wait = has_not_begun(state)
        && state.rejected.is_none()
        && operator_block(state.operator_state.as_ref()).is_none();
    over(state).filter(|_| may_wait)
}

/// True if this instance itself is frozen.
pub(super) fn holds(state: &HostRecovery, server: ServerId) -> bool {
    let operator_state = state.operator_state.as_ref();
    operator_state.is_some_and(|operator_state| operator_state.frozen.instances.contains_key(&server))
}

/// Returns the moves that wait for the end of a freeze of their instance, by name.
pub(super) fn moves(state: &HostRecovery) -> impl Iterator<Item = &Move> {
    let waiting = |instance: &&Move| matches!(instance.step, MoveStep::Waiting { .. });
    let moves = state.moves.values().filter(waiting);
    moves.filter(|instance| holds(state, instance.server))
}

/// Handles the ends of freezes, and waits while the host is frozen. Returns true if it waits.
pub(super) fn act(
    state: &mut HostRecovery,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) -> bool {
    end_approvals(state, now, record);
    apply_freeze_end(state, now, record);
    let frozen: Vec<ServerId> = moves(state).map(|instance| instance.server).collect();
    if !frozen.is_empty() {
        // A recovery that waits for an operator's freeze to end is not late.
        state.deadline_from = now.elapsed;
    }
    for server in frozen {
        if let Some(instance) = state.moves.get_mut(&server) {
            instance.failing_since = None;
        }
    }
    let Some(freeze) = waits_for(state).cloned() else {
        return false;
    };
    if state.freeze.recorded != freeze.number {
        state.freeze.recorded = freeze.number;
        let text = format!("{}: nothing is started until then", freeze.sentence());
        record.step(Task::Fence, StepKind::Note, 0.0, text);
        restart(state, now, record);
    }
    pause_deadlines(&mut state.deadline_from, &mut state.moves, now);
    end_conditional_freezes(state, now, record, commands);
    true
}

/// Ends the approvals. An approval covers what was seen before the freeze, and so ends when the freeze starts, seen or not.
fn end_approvals(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    let thawed = |operator_state: &OperatorState| operator_state.frozen.thawed > state.freeze.thawed;
    if over(state).is_some() || state.operator_state.as_ref().is_some_and(thawed) {
        state.fence.approved.clear();
        let mut ctx = decision_context!(state, now, record);
        state.guard.end_approval("the host was frozen after it", &mut ctx);
    }
}

/// Handles the end of a freeze, once.
fn apply_freeze_end(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    let thawed = state
        .operator_state
        .as_ref()
        .map_or(0, |operator_state| operator_state.frozen.thawed);
    if thawed <= state.freeze.thawed {
        return;
    }
    state.freeze.thawed = thawed;
    record.head = true;
    if has_not_begun(state) && state.rejected.is_none() {
        let text = format!(
            "the freeze of host {} has ended: it is checked again, and earlier reports do not count",
            state.host
        );
        record.step(Task::Fence, StepKind::Note, 0.0, text);
        state.freeze.seen_only = true;
        restart(state, now, record);
    }
}

/// Restarts the recovery as if nothing had been checked yet, and no operator had approved anything.
fn restart(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    if state.stage == Stage::Disabling {
        // The host was set to maintenance with the proof.
        record.host_back = true;
    }
    let before = std::mem::take(&mut state.in_flight);
    state.in_flight = InFlight {
        stopped: before.stopped,
        ..InFlight::default()
    };
    state.in_flight.move_track.pace.permits = before.move_track.pace.permits;
    state.freeze.restarted_at = now.elapsed;
    state.hold = None;
    state.guard.restart(now.elapsed);
    state.confirmation = None;
    state.proof = None;
    state.fence.begin_again(now.elapsed, &state.policy);
    state.service.observed = None;
    state.service.begin_again(now.elapsed);
    state.enter(Stage::Begin, record);
}

/// Ends the freezes that were to last only until a second host is out.
fn end_conditional_freezes(
    state: &mut HostRecovery,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    let over = state
        .operator_state
        .as_ref()
        .map(|operator_state| operator_state.frozen.over.clone());
    let over: Vec<Freeze> = over
        .into_iter()
        .flatten()
        .filter(|freeze| freeze.unless_worse)
        .collect();
    if over.is_empty() {
        return;
    }
    state
        .guard
        .region_probe
        .request_if_due(now, SCAN_INTERVAL, commands);
    let Some(region) = state.guard.region_probe.fresh(now) else {
        return;
    };
    for freeze in over {
        let counts = freeze.scope == FreezeScope::Host;
        if region.is_worse(state.host_id, counts, &state.policy) {
            let text = format!("the freeze of {} ends: a second host is out", freeze.what());
            record.step(Task::Fence, StepKind::Note, 0.0, text);
            record.worse.insert(freeze.number);
        }
    }
}

/// True if no freeze prevents a power-off now.
pub(super) fn allows_order(ctx: &mut DecisionContext<'_>) -> bool {
    let Some(text) = ctx.frozen_host().map(Freeze::sentence) else {
        ctx.blockers.end(BlockerKind::Frozen);
        return true;
    };
    ctx.blockers.begin(BlockerKind::Frozen, ctx.now, || {
        format!("{text}: no further power-off is sent before it ends")
    });
    false
}
