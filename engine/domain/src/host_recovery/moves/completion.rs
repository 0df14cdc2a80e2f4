//! The end of a move: confirmed, done but for its lock, done.

use std::time::Duration;

use super::restoration::needs_check;
use super::{End, Lock, Move, MoveStep};
use crate::elapsed::Elapsed;
use crate::recovery::{DecisionTime, Record, StepKind, Task};

pub(in super::super) fn confirmed(
    instance: &mut Move,
    dest: Option<String>,
    now: DecisionTime,
    record: &mut Record,
) {
    instance.dest = dest.or(instance.dest.take());
    instance.runs_on(instance.dest.clone().as_ref());
    if needs_check(&instance.was) {
        record_unrequested_end(instance, record);
        instance.faults = 0;
        instance.fault = None;
        instance.step = MoveStep::Restoring {
            since: now.elapsed,
            requested: None,
        };
    } else {
        finish(instance, End::Moved, now, record);
    }
}

/// Writes a move that ends without a request: a new owner that reads the move as waiting would request it, perhaps after it was
/// unlocked.
pub(super) fn record_unrequested_end(instance: &Move, record: &mut Record) {
    if matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold) {
        record.moves.insert(instance.server);
    }
}

/// Ends the move. While the recovery's lock is on it, it is not done: nothing is written before the lock is off.
pub(in super::super) fn finish(instance: &mut Move, end: End, now: DecisionTime, record: &mut Record) {
    record_unrequested_end(instance, record);
    instance.done_at = Some(now.wall);
    instance.disk_wait = None;
    if instance.step == MoveStep::OnHold && !instance.deleted {
        // The other migration may still leave it there.
        let others = instance.elsewhere.difference(&instance.absent);
        let others: Vec<String> = others
            .filter(|host| instance.dest.as_ref() != Some(*host))
            .cloned()
            .collect();
        instance.may_run.extend(others);
    }
    if end == End::Person && !instance.has_no_possible_host() {
        let hosts = instance.possible_hosts_text();
        instance.remark(&format!(
            "it may run on {hosts}: check there before starting it anywhere else"
        ));
    }
    instance.finish(end, now.elapsed);
    if instance.is_finished() {
        over(instance, record);
    }
}

/// Records that the move is done, in its third and last transaction.
fn over(instance: &Move, record: &mut Record) {
    let MoveStep::Done(end) = instance.step else {
        return;
    };
    record.moves.insert(instance.server);
    let (name, note) = (&instance.name, instance.note.as_deref());
    let text = match end {
        End::Moved => format!(
            "{name} is on {}",
            instance.dest.as_deref().unwrap_or("another host")
        ),
        End::Left => format!("{name} is left: {}", note.unwrap_or("policy")),
        End::Person => format!("{name} needs an operator: {}", note.unwrap_or("unknown")),
    };
    record.server_step(Task::Evacuate, StepKind::Outcome, instance.server, 0.9, text);
}

/// Records that the lock is off. A lock request without an answer may have taken effect since this unlocking was sent, or may do so
/// later; its lock is then removed again. An unlocking that may still take effect is waited for, so that it does not remove the
/// next recovery's lock.
pub(in super::super) fn unlocked(
    instance: &mut Move,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    let MoveStep::Unlocking {
        end,
        requested,
        sent,
        not_before,
    } = &mut instance.step
    else {
        return;
    };
    instance.done_at.get_or_insert(now.wall);
    let may_have_come_since = |at: &Elapsed| sent.since(*at) < effect_window;
    let lock = instance.unanswered_lock.filter(may_have_come_since);
    let unlocking = instance
        .unanswered_unlock
        .filter(|at| now.elapsed.since(*at) < effect_window);
    if let Some(since) = lock.max(unlocking) {
        instance.lock_owner_unknown = true;
        *requested = false;
        *not_before = since.plus(effect_window);
        return;
    }
    let end = *end;
    instance.lock = Lock::None;
    instance.unanswered_lock = None;
    instance.unanswered_unlock = None;
    instance.step = MoveStep::Done(end);
    over(instance, record);
}
