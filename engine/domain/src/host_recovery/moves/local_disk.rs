//! The wait of an instance for its host, whose local disk it is on.

use std::time::Duration;

use super::super::decision_context::Moves;
use super::super::{End, HoldKind, Move, MoveStep, RecoveryHold};
use super::finish;
use crate::recovery::{DecisionTime, Record, StepKind, Task};

/// The note on an instance that has stayed where its disk is.
const BACK: &str = "its host is back while it was waiting for that: it is left there, with its disk";

/// Ends the moves that wait for the host to be back, once it is seen running: their disks are there. Nothing was
/// requested for them.
pub(in super::super) fn host_is_back(
    hold: Option<&RecoveryHold>,
    moves: &mut Moves,
    now: DecisionTime,
    record: &mut Record,
) {
    if !hold.is_some_and(|hold| hold.kind == HoldKind::Alive) {
        return;
    }
    for one in moves.values_mut() {
        if one.disk_wait.is_some() && matches!(one.step, MoveStep::Waiting { .. }) {
            one.disk_wait = None;
            one.clear_note();
            one.remark(BACK);
            record.moves.insert(one.server);
            finish(one, End::Left, now, record);
        }
    }
}

/// True if less than `limit` has passed since its wait for its host ended: the recovery's own time does not count before.
pub(in super::super) fn has_waited(one: &Move, limit: Duration, now: DecisionTime) -> bool {
    one.disk_wait.is_some_and(|until| now.elapsed < until.plus(limit))
}

pub(in super::super) fn remark_wait(one: &mut Move) {
    if let Some(until) = one.disk_wait {
        one.remark(&format!(
            "its disk is on this host alone: it waits for the host until {} s after the start of the recovery, and is then \
             evacuated without that disk; tachi instance retry {} ends the wait",
            until.as_duration().as_secs(),
            one.server
        ));
    }
}

/// Ends the wait, whose time has passed, before the request.
pub(super) fn end_wait(one: &mut Move, record: &mut Record) {
    if one.disk_wait.take().is_none() {
        return;
    }
    one.clear_note();
    one.remark_nature();
    record.moves.insert(one.server);
    let text = format!(
        "{}: its host is not back in time, so it is evacuated without its disk",
        one.name
    );
    record.server_step(Task::Evacuate, StepKind::Note, one.server, 0.5, text);
}
