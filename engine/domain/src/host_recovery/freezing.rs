//! A host that somebody has frozen: nothing of it is begun, and what was seen of it before says nothing afterwards (ADR 0051).
//!
//! What has begun, by an order to power off or by a change of Nova's record, is followed to its end: its instances are down, and waiting
//! would only keep them down. But no power command goes out while it is frozen, and no instance that is frozen itself is asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asks::Asks;
use super::deadlines::stop_the_clocks;
use super::trouble::Topic;
use super::turn::{Turn, said_no, turn};
use super::{HostRecovery, Move, MoveStep, Stage};
use crate::elapsed::Elapsed;
use crate::freeze::{Freeze, FreezeScope};
use crate::id::ServerId;
use crate::recovery::{Command, Now, Pulse, Record, StepKind, Task};

/// How often all hosts are looked at while that can end a freeze.
const LOOKS_APART: Duration = Duration::from_secs(5);

/// What must not be forgotten of freezes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FreezeTrack {
    /// The number of the latest one whose end was heard of.
    pub thawed: i64,
    /// The number of the latest one that was told.
    pub told: i64,
    /// What reports say speaks for nothing any more: only what is seen.
    pub seen_only: bool,
    /// What was asked before this moment counts for nothing.
    pub anew: Elapsed,
}

/// What holds its host just now, whether it minds or not.
pub(super) fn over(state: &HostRecovery) -> Option<&Freeze> {
    state.pulse.as_ref()?.frozen.of_host()
}

/// What it waits for before anything is begun.
pub(super) fn waits_for(state: &HostRecovery) -> Option<&Freeze> {
    let may_wait =
        has_not_begun(state) && state.rejected.is_none() && said_no(state.pulse.as_ref()).is_none();
    over(state).filter(|_| may_wait)
}

fn has_not_begun(state: &HostRecovery) -> bool {
    let early = matches!(state.stage, Stage::Begin | Stage::Fencing | Stage::Disabling);
    early && state.event == "STOPPED" && state.is_untouched()
}

/// Whether this instance is frozen itstate.
pub(super) fn holds(state: &HostRecovery, server: ServerId) -> bool {
    let pulse = state.pulse.as_ref();
    pulse.is_some_and(|pulse| pulse.frozen.instances.contains_key(&server))
}

/// The moves that wait for the end of a freeze of their own, by name.
pub(super) fn moves(state: &HostRecovery) -> impl Iterator<Item = &Move> {
    let waiting = |one: &&Move| matches!(one.step, MoveStep::Waiting { .. });
    let moves = state.moves.values().filter(waiting);
    moves.filter(|one| holds(state, one.server))
}

/// Hears of what has thawed, and waits while it is frozen: `true` then.
pub(super) fn act(
    state: &mut HostRecovery,
    now: Now,
    record: &mut Record,
    commands: &mut Vec<Command>,
) -> bool {
    end_approvals(state, now, record);
    hear_thaw(state, now, record);
    let frozen: Vec<ServerId> = moves(state).map(|one| one.server).collect();
    if !frozen.is_empty() {
        // What waits for an operator's word to be over is not late.
        state.deadline_from = now.elapsed;
    }
    for server in frozen {
        if let Some(one) = state.moves.get_mut(&server) {
            one.failing_since = None;
        }
    }
    let Some(freeze) = waits_for(state).cloned() else {
        return false;
    };
    if state.freeze.told != freeze.number {
        state.freeze.told = freeze.number;
        let text = format!("{}: nothing of it is begun until then", freeze.sentence());
        record.step(Task::Fence, StepKind::Note, 0.0, text);
        begin_anew(state, now, record);
    }
    stop_the_clocks(&mut state.deadline_from, &mut state.moves, now);
    look_whether_worse(state, now, record, commands);
    true
}

/// An approval is of what was seen before the freeze: it ends with its beginning, seen or not (R27).
fn end_approvals(state: &mut HostRecovery, now: Now, record: &mut Record) {
    let thawed = |pulse: &Pulse| pulse.frozen.thawed > state.freeze.thawed;
    if over(state).is_some() || state.pulse.as_ref().is_some_and(thawed) {
        state.fence.approved.clear();
        let mut turn = turn!(state, now, record);
        state
            .guard
            .end_approval("the host was frozen after it", &mut turn);
    }
}

/// The end of a freeze is heard once.
fn hear_thaw(state: &mut HostRecovery, now: Now, record: &mut Record) {
    let thawed = state.pulse.as_ref().map_or(0, |pulse| pulse.frozen.thawed);
    if thawed <= state.freeze.thawed {
        return;
    }
    state.freeze.thawed = thawed;
    record.head = true;
    if has_not_begun(state) && state.rejected.is_none() {
        let text = format!(
            "a freeze of host {} is over: it is looked at anew, and what was reported before speaks for nothing",
            state.host
        );
        record.step(Task::Fence, StepKind::Note, 0.0, text);
        state.freeze.seen_only = true;
        begin_anew(state, now, record);
    }
}

/// As if nobody had looked yet, and nobody had approved anything.
fn begin_anew(state: &mut HostRecovery, now: Now, record: &mut Record) {
    if state.stage == Stage::Disabling {
        // It went on maintenance with the proof.
        record.host_back = true;
    }
    let before = std::mem::take(&mut state.asks);
    state.asks = Asks {
        stopped: before.stopped,
        ..Asks::default()
    };
    state.asks.move_track.pace.permits = before.move_track.pace.permits;
    state.freeze.anew = now.elapsed;
    state.hold = None;
    state.guard.begin_anew(now.elapsed);
    state.vouch = None;
    state.proof = None;
    state.fence.begin_again(now.elapsed, &state.policy);
    state.service.seen = None;
    state.service.begin_again(now.elapsed);
    state.enter(Stage::Begin, record);
}

/// Ends the freezes that were to last only unless a second host is out.
fn look_whether_worse(state: &mut HostRecovery, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
    let over = state.pulse.as_ref().map(|pulse| pulse.frozen.over.clone());
    let over: Vec<Freeze> = over
        .into_iter()
        .flatten()
        .filter(|one| one.unless_worse)
        .collect();
    if over.is_empty() {
        return;
    }
    state.guard.lookout.want(now, LOOKS_APART, commands);
    let Some(region) = state.guard.lookout.fresh(now) else {
        return;
    };
    for one in over {
        let counts = one.scope == FreezeScope::Host;
        if region.is_worse(state.host_id, counts, &state.policy) {
            let text = format!("the freeze of {} ends: a second host is out", one.what());
            record.step(Task::Fence, StepKind::Note, 0.0, text);
            record.worse.insert(one.number);
        }
    }
}

/// Whether a power-off may go out as far as freezes are concerned.
pub(super) fn lets_order(turn: &mut Turn<'_>) -> bool {
    let Some(text) = turn.frozen_host().map(Freeze::sentence) else {
        turn.troubles.end(Topic::Frozen);
        return true;
    };
    turn.troubles.begin(Topic::Frozen, turn.now, || {
        format!("{text}: it is not told to power off again before that is over")
    });
    false
}
