//! The end of a move: confirmed, done but for its lock, done.

use std::time::Duration;

use super::restoration::needs_check;
use super::{End, Lock, Move, MoveStep};
use crate::elapsed::Elapsed;
use crate::recovery::{DecisionTime, Record, StepKind, Task};

pub(in super::super) fn confirmed(
    one: &mut Move,
    dest: Option<String>,
    now: DecisionTime,
    record: &mut Record,
) {
    one.dest = dest.or(one.dest.take());
    one.runs_on(one.dest.clone().as_ref());
    if needs_check(&one.was) {
        record_unrequested_end(one, record);
        one.faults = 0;
        one.fault = None;
        one.step = MoveStep::Restoring {
            since: now.elapsed,
            asked: None,
        };
    } else {
        finish(one, End::Moved, now, record);
    }
}

/// Writes a move that ends without a request: a new owner that reads the move as waiting would request it, perhaps after it was
/// unlocked.
pub(super) fn record_unrequested_end(one: &Move, record: &mut Record) {
    if matches!(one.step, MoveStep::Waiting { .. } | MoveStep::Held) {
        record.moves.insert(one.server);
    }
}

/// Ends the move. While the recovery's lock is on it, it is not done: nothing is written before the lock is off.
pub(in super::super) fn finish(one: &mut Move, end: End, now: DecisionTime, record: &mut Record) {
    record_unrequested_end(one, record);
    one.over_at = Some(now.wall);
    if one.step == MoveStep::Held && !one.deleted {
        // The other migration may still leave it there.
        let others = one.elsewhere.difference(&one.absent);
        let others: Vec<String> = others
            .filter(|host| one.dest.as_ref() != Some(*host))
            .cloned()
            .collect();
        one.may_run.extend(others);
    }
    if end == End::Person && !one.has_no_possible_host() {
        let hosts = one.possible_hosts_text();
        one.remark(&format!(
            "it may run on {hosts}: check there before starting it anywhere else"
        ));
    }
    one.finish(end, now.elapsed);
    if one.is_finished() {
        over(one, record);
    }
}

/// Records that the move is done, in its third and last transaction.
fn over(one: &Move, record: &mut Record) {
    let MoveStep::Over(end) = one.step else { return };
    record.moves.insert(one.server);
    let (name, note) = (&one.name, one.note.as_deref());
    let text = match end {
        End::Moved => format!("{name} is on {}", one.dest.as_deref().unwrap_or("another host")),
        End::Left => format!("{name} is left: {}", note.unwrap_or("policy")),
        End::Person => format!("{name} needs an operator: {}", note.unwrap_or("unknown")),
    };
    record.server_step(Task::Evacuate, StepKind::Outcome, one.server, 0.9, text);
}

/// Records that the lock is off. A lock request without an answer may have taken effect since this unlocking was sent, or may do so
/// later; its lock is then removed again. An unlocking that may still take effect is waited for, so that it does not remove the
/// next recovery's lock.
pub(in super::super) fn unlocked(
    one: &mut Move,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    let MoveStep::Unlocking {
        end,
        asked,
        sent,
        not_before,
    } = &mut one.step
    else {
        return;
    };
    one.over_at.get_or_insert(now.wall);
    let may_have_come_since = |at: &Elapsed| sent.since(*at) < effect_window;
    let lock = one.unanswered_lock.filter(may_have_come_since);
    let unlocking = one
        .unanswered_unlock
        .filter(|at| now.elapsed.since(*at) < effect_window);
    if let Some(since) = lock.max(unlocking) {
        one.lock_owner_unknown = true;
        *asked = false;
        *not_before = since.plus(effect_window);
        return;
    }
    let end = *end;
    one.lock = Lock::None;
    one.unanswered_lock = None;
    one.unanswered_unlock = None;
    one.step = MoveStep::Over(end);
    over(one, record);
}
