//! The wait of an instance for its host, whose local disk it is on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::decision_context::Moves;
use super::super::excluded;
use super::super::{End, HoldKind, Move, MoveStep, RecoveryHold};
use super::finish;
use crate::elapsed::Elapsed;
use crate::evidence::time_text;
use crate::policy::Policy;
use crate::recovery::{DecisionTime, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// The wait of an instance for its host, whose local disk it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskWait {
    /// The end of the wait in the recovery's elapsed time, which decides.
    pub until: Elapsed,
    /// The same by the wall clock, for messages.
    pub ends_at: Timestamp,
}

impl DiskWait {
    pub(in super::super) fn new(time: Duration, now: DecisionTime) -> Self {
        Self {
            until: now.elapsed.plus(time),
            ends_at: now.wall.plus(time).whole_seconds(),
        }
    }
}

/// The note on an instance that has stayed where its disk is.
const STAYED_NOTE: &str = "the host is running again: the instance stays there, with its disk";

/// Ends the moves that wait for their host once it is seen running: their disks are there. Nothing was requested for them, so
/// they are started when the host has returned to service.
pub(in super::super) fn host_is_back(
    hold: Option<&RecoveryHold>,
    moves: &mut Moves,
    policy: &Policy,
    now: DecisionTime,
    record: &mut Record,
) {
    if !hold.is_some_and(|hold| hold.kind == HoldKind::Alive) {
        return;
    }
    for instance in moves.values_mut() {
        if instance.disk_wait.is_some() && matches!(instance.step, MoveStep::Waiting { .. }) {
            instance.clear_note();
            instance.remark(STAYED_NOTE);
            excluded::plan_after_wait(instance, policy);
            record.moves.insert(instance.server);
            let wait = instance.disk_wait;
            finish(instance, End::Left, now, record);
            instance.disk_wait = wait;
        }
    }
}

/// True if its wait has ended because its host seemed to run again.
pub(in super::super) fn has_stayed(one: &Move) -> bool {
    one.step == MoveStep::Done(End::Left) && one.disk_wait.is_some()
}

/// True if its request is due.
pub(super) fn is_due(instance: &Move, now: Elapsed) -> bool {
    matches!(instance.step, MoveStep::Waiting { not_before } if now >= not_before)
        && instance.disk_wait.is_none_or(|wait| now >= wait.until)
}

/// True if it waits for its host, whose local disk it is on.
pub(in super::super) fn waits(instance: &Move, now: Elapsed) -> bool {
    matches!(instance.step, MoveStep::Waiting { .. })
        && instance.disk_wait.is_some_and(|wait| now < wait.until)
}

/// True if less than `limit` has passed since its wait for its host ended: the deadline counts from that end.
pub(in super::super) fn has_waited(instance: &Move, limit: Duration, now: DecisionTime) -> bool {
    instance
        .disk_wait
        .is_some_and(|wait| now.elapsed < wait.until.plus(limit))
}

/// True if every unfinished move waits for the host, so that nothing else is left to do.
pub(in super::super) fn waits_for_disks_only(moves: &Moves, now: Elapsed) -> bool {
    let mut open = moves
        .values()
        .filter(|instance| !instance.is_finished())
        .peekable();
    open.peek().is_some() && open.all(|instance| waits(instance, now))
}

/// Returns the message for the instances that wait for the host; `None` if there are none.
pub(in super::super) fn message(moves: &Moves, now: Elapsed) -> Option<String> {
    let waiting = || moves.values().filter(|instance| waits(instance, now));
    let last = waiting()
        .filter_map(|instance| instance.disk_wait)
        .map(|wait| wait.ends_at)
        .max()?;
    let (until, command) = (time_text(last), "tachi instance list --recovering");
    Some(match waiting().count() {
        1 => format!("1 instance waits until {until} for its host (local disk): {command}"),
        more => {
            format!("{more} instances wait for their host (local disk), the last until {until}: {command}")
        }
    })
}

pub(in super::super) fn remark_wait(instance: &mut Move) {
    if let Some(wait) = instance.disk_wait {
        instance.remark(&format!(
            "its disk is on this host alone: it waits for the host until {}, and is then evacuated without that disk; \
             tachi instance resolve {} --retry evacuates it now",
            time_text(wait.ends_at),
            instance.server
        ));
    }
}

/// Ends a wait that is due, before the request.
pub(super) fn end_wait(instance: &mut Move, record: &mut Record) {
    if instance.disk_wait.take().is_none() {
        return;
    }
    instance.clear_note();
    instance.remark_nature();
    record.moves.insert(instance.server);
    let text = format!(
        "{}: its host is not back in time, so it is evacuated without its disk",
        instance.name
    );
    record.server_step(Task::Evacuate, StepKind::Note, instance.server, 0.5, text);
}
