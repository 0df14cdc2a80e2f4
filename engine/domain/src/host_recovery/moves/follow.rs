//! The completion of each move: confirmed, brought back to its original state, unlocked. It runs in every stage, even when new
//! work is blocked.

use super::super::decision_context::{DecisionContext, Moves};
use super::super::{End, Lock, Move, MoveStep, Preparation, RestorationCall, lock_mark};
use super::answers::report_failing_calls;
use super::evacuate::MAX_BACKGROUND_LOCKS;
use super::local_disk::is_due;
use super::restoration::{Rest, is_stuck, needs_preparation, rest, target};
use super::track::MoveTrack;
use super::{call_failed, confirmed, finish, record_unrequested_end, unlocked};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::id::ServerId;
use crate::nova::{Server, VmState};
use crate::policy::Policy;
use crate::question::{MAX_READ_LAG, NOT_FOUND_CONFIRM_DELAY, backoff};
use crate::recovery::{Command, DecisionTime, Record, Restoration, StepKind, Task};
use crate::timestamp::Timestamp;
use std::time::Duration;

/// Time after which an evacuation that no conductor has picked up is worth a check of Nova's services.
const PICKUP_CHECK_DELAY: Duration = Duration::from_secs(10);

/// Time after which a returned instance is unlocked while others are still down: Nova unlocks with the processors that bring those back.
const UNLOCK_DELAY: Duration = Duration::from_secs(10);

impl MoveTrack {
    /// Follows the moves that are not done, by records that are more recent than `since`. True if every move is done. `listed`: when
    /// the instances of the host were listed.
    pub(in super::super) fn follow(
        &mut self,
        moves: &mut Moves,
        since: Option<Timestamp>,
        listed: Option<Elapsed>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        let (now, policy) = (ctx.now, ctx.policy);
        let calls = self.pace.room().calls;
        let waits = |instance: &Move| is_due(instance, now.elapsed);
        let (limit, patience) = if moves.values().any(Move::is_in_flight) {
            (calls.min(MAX_BACKGROUND_LOCKS), UNLOCK_DELAY)
        } else if moves.values().any(waits) {
            (calls.min(MAX_BACKGROUND_LOCKS), Duration::ZERO)
        } else {
            (calls, Duration::ZERO)
        };
        let is_unlocking =
            |instance: &&Move| matches!(instance.step, MoveStep::Unlocking { requested: true, .. });
        let mut unlocking = moves.values().filter(is_unlocking).count();
        let mut finish_moves = true;
        let mut to_read = Vec::new();
        let mut doubtful = Vec::new();
        for instance in moves.values_mut() {
            let server = instance.server;
            match &mut instance.step {
                MoveStep::Done(_) => continue,
                MoveStep::Unlocking {
                    requested,
                    sent,
                    not_before,
                    ..
                } => {
                    // A lock request that is still on its way would take effect after the unlocking.
                    let free = !*requested && instance.lock != Lock::Asked;
                    if free && now.elapsed >= not_before.plus(patience) && unlocking < limit {
                        unlocking += 1;
                        if !instance.lock_owner_unknown || self.ours.remove(&server) {
                            *requested = true;
                            *sent = now.elapsed;
                            commands.push(Command::Unlock(server));
                        } else {
                            doubtful.push(server);
                        }
                    }
                }
                MoveStep::Restoring { .. } => match self.restorations.remove(&server) {
                    Some(restoration) => restore(instance, &restoration, ctx, commands),
                    None => to_read.push(server),
                },
                MoveStep::Waiting { .. } => {
                    if matches!(instance.preparation, Preparation::Asked { unanswered: true, .. }) {
                        to_read.push(server);
                    }
                }
                MoveStep::OnHold | MoveStep::Asked { .. } => {}
            }
            if self.to_read.contains(&server) {
                to_read.push(server);
            }
            finish_moves = false;
        }
        for server in to_read {
            self.request_server(server, policy.tick, now, commands);
        }
        for server in doubtful {
            self.request_lock_check(server, moves, policy.tick, now, commands);
        }
        self.request_lists(moves, since, listed, ctx, commands);
        finish_moves
    }

    /// True if an evacuation has waited too long for a conductor to pick it up.
    pub(in super::super) fn has_stuck(&self, moves: &Moves, now: DecisionTime) -> bool {
        let picked_up_late = |server: &ServerId| {
            let step = moves.get(server).map(|instance| &instance.step);
            matches!(step, Some(MoveStep::Asked { since, .. }) if now.elapsed.since(*since) >= PICKUP_CHECK_DELAY)
        };
        self.unpicked.iter().any(picked_up_late)
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each step of a move")]
    pub(in super::super) fn server_read(
        &mut self,
        server: ServerId,
        result: Result<Option<Server>, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        self.servers.remove(&server);
        let mark = ctx.mark();
        let (now, policy, record) = (ctx.now, ctx.policy, &mut *ctx.record);
        let settled = policy.late_effect_window() + policy.call_deadline;
        let Some(instance) = moves.get_mut(&server) else {
            return;
        };
        let shown = match result {
            Ok(shown) => shown,
            Err(fault) => {
                call_failed(instance, &fault, now);
                if let MoveStep::Unlocking { not_before, .. } = &mut instance.step {
                    *not_before = now.elapsed.plus(backoff(instance.faults.saturating_sub(1)));
                }
                return report_failing_calls(moves, ctx.blockers, now);
            }
        };
        if shown.is_some() {
            self.gone.remove(&server);
        } else if !self.is_confirmed_gone(server, now) {
            return;
        }
        self.to_read.remove(&server);
        if !matches!(
            instance.step,
            MoveStep::Restoring { .. } | MoveStep::Unlocking { .. }
        ) {
            instance.faults = 0;
        }
        let done = self.done.remove(&server);
        if let (Some(said_on), Some(shown)) = (self.said_on.remove(&server), &shown)
            && apply_location_report(instance, said_on, shown, now, record)
        {
            return;
        }
        let is_on_other_host = |shown: &Server| shown.host.as_ref().is_some_and(|host| *host != ctx.host);
        match (&instance.step, shown) {
            (
                MoveStep::OnHold
                | MoveStep::Asked { .. }
                | MoveStep::Waiting { .. }
                | MoveStep::Restoring { .. },
                None,
            ) => {
                self.gone.remove(&server);
                instance.deleted();
                finish(instance, End::Left, now, record);
            }
            (MoveStep::OnHold, Some(shown)) if is_on_other_host(&shown) => {
                instance.runs_on(shown.host.as_ref());
                instance.dest = shown.host;
                instance.clear_note();
                instance.remark("it has left the host without this recovery");
                finish(instance, End::Left, now, record);
            }
            // It has left the host, and its evacuation from this host is done.
            (MoveStep::Asked { .. }, Some(shown)) if is_on_other_host(&shown) && done.is_some() => {
                if let Some(done) = done {
                    done.confirmed(instance, shown.host, now, record);
                }
            }
            // Nova writes the new host at the very end of a move, so the instance has been moved, whatever its records show. Another actor
            // has moved it, or one of two evacuations that conflicted and left it marked in error.
            (MoveStep::Asked { .. } | MoveStep::Waiting { .. }, Some(shown)) if is_on_other_host(&shown) => {
                if is_stuck(&shown) {
                    record_unrequested_end(instance, record);
                    instance.remark("found on another host without a finished evacuation, and in error");
                    instance.runs_on(shown.host.as_ref());
                    instance.dest = shown.host;
                    instance.step = MoveStep::Restoring {
                        since: now.elapsed,
                        requested: None,
                    };
                } else if shown.task_state.is_none() {
                    instance.remark("found on another host without a finished evacuation");
                    confirmed(instance, shown.host, now, record);
                }
            }
            (MoveStep::Waiting { .. }, Some(shown)) => prepare(instance, &shown, now, settled),
            (MoveStep::Restoring { .. }, Some(shown)) => {
                self.bring_back(instance, &shown, policy, now, record);
            }
            (MoveStep::Asked { .. }, Some(_)) => {
                if done.is_some() {
                    self.stays.insert(server);
                }
            }
            (
                &MoveStep::Unlocking {
                    requested: false,
                    sent,
                    ..
                },
                shown,
            ) if self.locks.remove(&server) => {
                let seen_after_lock = instance.locked_at.map(|at| at.plus(MAX_READ_LAG));
                let is_unlocked = shown.as_ref().is_some_and(|shown| !shown.locked);
                if shown.as_ref().is_some_and(|shown| is_our_lock(shown, &mark)) {
                    self.ours.insert(server);
                } else if let Some(after) = seen_after_lock.filter(|after| is_unlocked && sent < *after) {
                    if let MoveStep::Unlocking { not_before, .. } = &mut instance.step {
                        *not_before = after;
                    }
                } else {
                    if shown.is_none() {
                        instance.unanswered_lock = None;
                        instance.unanswered_unlock = None;
                    }
                    // No lock, or its owner's: there is no lock of the recovery to remove, and one that may come late is checked for later.
                    unlocked(instance, policy.late_effect_window(), now, record);
                }
            }
            (MoveStep::OnHold | MoveStep::Unlocking { .. } | MoveStep::Done(_), _) => {}
        }
    }

    /// Sets the restoration that a moved instance needs; [`Self::follow`] requests it.
    fn bring_back(
        &mut self,
        instance: &mut Move,
        shown: &Server,
        policy: &Policy,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let limit = policy.stop_limit;
        let MoveStep::Restoring { since, .. } = instance.step else {
            return;
        };
        let overdue = now.elapsed.since(since) >= limit;
        match rest(&instance.was, shown) {
            Rest::Done => {
                let target = target(&instance.was);
                if shown.vm_state != target {
                    instance.remark(&format!("moved, but it is {} and not {target}", shown.vm_state));
                }
                finish(instance, End::Moved, now, record);
            }
            Rest::Wait | Rest::Do(_) if overdue => {
                let why = instance
                    .fault
                    .clone()
                    .map(|fault| format!(": {fault}"))
                    .unwrap_or_default();
                instance.remark(&format!(
                    "moved, but not brought back to {} within {} s (it is {}){why}",
                    instance.was.vm_state,
                    limit.as_secs(),
                    shown.vm_state
                ));
                finish(instance, End::Moved, now, record);
            }
            Rest::Wait => {}
            Rest::Do(restoration) => {
                self.restorations.insert(instance.server, restoration);
            }
        }
    }
}

/// Decides whether its state has to be reset before it is requested, and whether an unanswered reset has been done.
fn prepare(instance: &mut Move, shown: &Server, now: DecisionTime, settled: Duration) {
    let is_kept = instance.has_stale_task(shown, now.elapsed, settled);
    match instance.preparation {
        Preparation::Asked { unanswered: true, .. }
            if shown.vm_state == VmState::Error && shown.task_state.is_none() =>
        {
            instance.preparation = Preparation::Done;
        }
        // Late enough: this check was started when the call could no longer take effect.
        Preparation::Asked { at, unanswered: true } if now.elapsed.since(at) >= settled => {
            instance.preparation = Preparation::Wanted;
        }
        Preparation::NotNeeded if is_kept || needs_preparation(&shown.vm_state) => {
            instance.preparation = Preparation::Wanted;
        }
        Preparation::Done if is_kept => instance.preparation = Preparation::Wanted,
        Preparation::Asked { .. } | Preparation::NotNeeded | Preparation::Wanted | Preparation::Done => {}
    }
}

/// True if the lock on it is this recovery's. A Nova that shows no reasons (below microversion 2.73) is trusted to show this one's.
fn is_our_lock(shown: &Server, mark: &str) -> bool {
    shown.locked && (shown.locked_reason.is_none() || lock_mark::is_locked_by(shown, mark))
}

impl MoveTrack {
    /// Reads the instance, unless a read is in flight or was made just now. Returns true if it requests now.
    fn request_server(
        &mut self,
        server: ServerId,
        tick: Duration,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) -> bool {
        let not_before = self.server_not_before.get(&server);
        let is_requested = not_before.is_none_or(|at| now.elapsed >= *at) && self.servers.insert(server);
        if is_requested {
            self.server_not_before.insert(server, now.elapsed.plus(tick));
            commands.push(Command::ReadServer(server));
        }
        is_requested
    }

    /// Checks whose lock is on it. A lock that is not this recovery's counts as removed from the time of this check on.
    fn request_lock_check(
        &mut self,
        server: ServerId,
        moves: &mut Moves,
        tick: Duration,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        if !self.request_server(server, tick, now, commands) {
            return;
        }
        self.locks.insert(server);
        if let Some(instance) = moves.get_mut(&server)
            && let MoveStep::Unlocking { sent, .. } = &mut instance.step
        {
            *sent = now.elapsed;
        }
    }

    /// True if an instance that is not found was not found some time before either: an API server may use a database that lags behind.
    fn is_confirmed_gone(&mut self, server: ServerId, now: DecisionTime) -> bool {
        let first = *self.gone.entry(server).or_insert(now.elapsed);
        let again = now.elapsed.since(first) >= NOT_FOUND_CONFIRM_DELAY;
        if !again {
            self.to_read.insert(server);
            self.server_not_before
                .insert(server, first.plus(NOT_FOUND_CONFIRM_DELAY));
        }
        again
    }
}

/// Requests a restoration, unless the same one may still take effect.
fn restore(
    instance: &mut Move,
    restoration: &Restoration,
    ctx: &mut DecisionContext<'_>,
    commands: &mut Vec<Command>,
) {
    let (now, policy, record) = (ctx.now, ctx.policy, &mut *ctx.record);
    let MoveStep::Restoring { requested, .. } = &mut instance.step else {
        return;
    };
    let busy = requested.as_ref().is_some_and(|last| {
        let wait = if last.answered {
            policy.call_deadline
        } else {
            policy.late_effect_window() + policy.call_deadline
        };
        last.what == restoration.into() && now.elapsed.since(last.at) < wait
    });
    if busy {
        return;
    }
    *requested = Some(RestorationCall {
        what: restoration.into(),
        at: now.elapsed,
        answered: false,
    });
    record.moves.insert(instance.server);
    record.server_step(
        Task::Evacuate,
        StepKind::Intent,
        instance.server,
        0.9,
        format!("{} {}, as it was before", verb(restoration), instance.name),
    );
    commands.push(Command::Restore {
        server: instance.server,
        to: restoration.clone(),
    });
}

fn verb(restoration: &Restoration) -> &'static str {
    match restoration {
        Restoration::Stop => "stopping",
        Restoration::Pause => "pausing",
        Restoration::Suspend => "suspending",
        Restoration::MarkError => "marking in error",
        Restoration::MarkActive => "marking active",
    }
}

/// Applies an operator's report that the instance runs on a host. Returns true if that settles for now what becomes of it.
fn apply_location_report(
    instance: &mut Move,
    (host, by): (String, String),
    server: &Server,
    now: DecisionTime,
    record: &mut Record,
) -> bool {
    if server.host.as_ref() == Some(&host) && !instance.is_finished() {
        instance.clear_note();
        instance.remark(&format!("it runs on {host}, as {by} reported and Nova shows"));
        instance.remark_nature();
        confirmed(instance, Some(host), now, record);
        return true;
    }
    if matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold) {
        instance.hold_for_report(host, &by, server.host.as_deref(), record);
        return true;
    }
    let shown = server.host.as_deref().unwrap_or("no host");
    let text = format!(
        "{by} reported that it runs on {host}, but Nova shows it on {shown}: the evacuation is followed, and none to another host is requested"
    );
    record.server_step(Task::Evacuate, StepKind::Note, instance.server, 0.5, text);
    false
}
