//! The initial state of every move.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::decision_context::DecisionContext;
use super::super::method::PlacementPlan;
use super::{Lock, Move, MoveStep, OriginalState, Preparation};
use crate::id::{MigrationId, ServerId, VmoveId};
use crate::state_version::StateVersion;

/// Returns a move of which nothing is known yet.
pub(in super::super) fn blank(
    server: ServerId,
    name: String,
    was: OriginalState,
    rank: u32,
    ctx: &DecisionContext<'_>,
) -> Move {
    let now = ctx.now.elapsed;
    Move {
        version: StateVersion,
        server,
        name,
        vmove: VmoveId(Uuid::new_v5(&ctx.id.0, server.0.as_bytes())),
        rank,
        tagged: false,
        priority: 0,
        was,
        image_backed: false,
        disk_wait: None,
        lock: Lock::None,
        unanswered_lock: None,
        unanswered_unlock: None,
        lock_owner_unknown: false,
        locked_at: None,
        lock_not_before: now,
        preparation: Preparation::NotNeeded,
        known: MigrationId(0),
        written_off: Vec::new(),
        may_run: BTreeSet::new(),
        counted_off: BTreeSet::new(),
        elsewhere: BTreeSet::new(),
        absent: BTreeSet::new(),
        deleted: false,
        awaited: false,
        busy_before: false,
        step: MoveStep::Waiting { not_before: now },
        failures: 0,
        failed_first: None,
        faults: 0,
        failing_since: None,
        task: None,
        refused: None,
        dest: None,
        proof: None,
        note: None,
        fault: None,
        asked_at: None,
        done_at: None,
        route: PlacementPlan::new(ctx.method, None),
        wait: None,
        start: None,
    }
}
