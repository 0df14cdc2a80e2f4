//! Nova's answers to calls about one instance.

use std::time::Duration;

use super::super::blockers::{BlockerKind, Blockers};
use super::super::decision_context::{DecisionContext, Moves};
use super::super::method::{RetryElsewhere, RetryPolicy};
use super::super::{Lock, Move, MoveStep, Preparation};
use super::track::MoveTrack;
use super::{NOT_LOCKED_NOTE, call_failed, nova_failed, unlocked};
use crate::fault::{Fault, FaultClass};
use crate::id::ServerId;
use crate::question::backoff;
use crate::recovery::{DecisionTime, Record, ServerCall, StepKind, Task};

/// Number of times that Nova may refuse a lock, or its removal, before the move continues without it.
const MAX_REFUSALS: u32 = 3;

impl MoveTrack {
    /// Handles the answer to a call. Returns true if it may have been refused because of the host's service, which is then read again.
    pub(in super::super) fn call_answered(
        &mut self,
        (server, call): (ServerId, ServerCall),
        result: Result<(), Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let (now, policy, record) = (ctx.now, ctx.policy, &mut *ctx.record);
        if call == ServerCall::Evacuate {
            self.evacuating.remove(&server);
        }
        let effect_window = policy.late_effect_window();
        let Some(one) = moves.get_mut(&server) else {
            return false;
        };
        let fault = match result {
            Ok(()) => {
                accepted(one, call, effect_window, now, record);
                return false;
            }
            Err(fault) => fault,
        };
        let mut service_in_doubt = false;
        match call {
            ServerCall::Lock => lock_failed(one, &fault, now),
            // Reading the lists again would show nothing new: they are of the host, and the instance may be on none.
            ServerCall::Prepare if fault.is_gone() && matches!(one.step, MoveStep::Waiting { .. }) => {
                one.preparation = Preparation::Wanted;
                self.gone.entry(server).or_insert(now.elapsed);
                self.to_read.insert(server);
            }
            ServerCall::Prepare => {
                if let Preparation::Asked { unanswered, .. } = &mut one.preparation {
                    if fault.maybe_done {
                        *unanswered = true;
                    } else {
                        one.preparation = Preparation::Wanted;
                    }
                }
                call_failed(one, &fault, now);
            }
            ServerCall::Evacuate => {
                // The instance is read before anything more is requested for it, and again later before this answer counts.
                if fault.is_gone() && one.route.target.is_none() {
                    self.gone.entry(server).or_insert(now.elapsed);
                }
                // A refusal may mean that the server or the host's service has changed: both are read again.
                if matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done {
                    self.to_read.insert(server);
                    service_in_doubt = true;
                }
                evacuation_refused(one, &fault, RetryPolicy::of(policy), now, record);
            }
            ServerCall::Unlock => unlock_failed(one, &fault, effect_window, now, record),
            ServerCall::Restore => {
                if let MoveStep::Restoring { asked, .. } = &mut one.step
                    && !fault.maybe_done
                {
                    *asked = None;
                }
                call_failed(one, &fault, now);
                let wait = now.elapsed.plus(backoff(one.faults.saturating_sub(1)));
                self.server_not_before.insert(server, wait);
            }
            ServerCall::Stop
            | ServerCall::Start
            | ServerCall::Migrate
            | ServerCall::ConfirmMigration
            | ServerCall::Activate
            | ServerCall::LiveMigrate
            | ServerCall::AbortMigration => {}
        }
        report_failing_calls(moves, ctx.blockers, now);
        service_in_doubt
    }
}

/// Shows it when calls about instances keep failing, and at the first evacuation that Nova refuses or fails: a second attempt does
/// not cure many of these.
pub(in super::super) fn report_failing_calls(moves: &Moves, blockers: &mut Blockers, now: DecisionTime) {
    let is_refused = |one: &&Move| one.failures > 0 && one.failing_since.is_some();
    let mut open = moves.values().filter(|one| !one.is_finished());
    let failing = open.find(|one| is_refused(one) || one.faults >= MAX_REFUSALS);
    let Some(one) = failing else {
        return blockers.end(BlockerKind::Calls);
    };
    blockers.begin(BlockerKind::Calls, now, || {
        let fault = one.fault.as_deref().unwrap_or_default();
        if is_refused(&one) {
            format!(
                "Nova has not evacuated {}; the request is repeated: {fault}",
                one.name
            )
        } else {
            format!(
                "calls about instances fail and are repeated, such as {}: {fault}",
                one.name
            )
        }
    });
}

fn accepted(
    one: &mut Move,
    call: ServerCall,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    one.faults = 0;
    match call {
        ServerCall::Lock => {
            one.lock = Lock::Ours;
            one.locked_at = Some(now.elapsed);
            // Its owner's lock on top of it changes nothing, and no other actor removes the recovery's lock.
            one.lock_owner_unknown = false;
        }
        ServerCall::Prepare => {
            if matches!(one.preparation, Preparation::Asked { .. }) {
                one.preparation = Preparation::Done;
            }
        }
        ServerCall::Evacuate => {
            one.failing_since = None;
            one.refused = None;
            one.task = None;
            if let MoveStep::Asked { answered, .. } = &mut one.step {
                *answered = true;
                record.moves.insert(one.server);
            }
        }
        ServerCall::Unlock => unlocked(one, effect_window, now, record),
        ServerCall::Restore => {
            if let MoveStep::Restoring {
                asked: Some(asked), ..
            } = &mut one.step
            {
                asked.answered = true;
            }
        }
        ServerCall::Stop
        | ServerCall::Start
        | ServerCall::Migrate
        | ServerCall::ConfirmMigration
        | ServerCall::Activate
        | ServerCall::LiveMigrate
        | ServerCall::AbortMigration => {}
    }
}

fn lock_failed(one: &mut Move, fault: &Fault, now: DecisionTime) {
    if fault.maybe_done {
        one.unanswered_lock = Some(now.elapsed);
    }
    call_failed(one, fault, now);
    one.lock_not_before = now.elapsed.plus(backoff(one.faults.saturating_sub(1)));
    let refused = match fault.class {
        // Nova has refused every call, and not this lock: the evacuation waits for it too.
        FaultClass::Transient | FaultClass::Fatal => false,
        FaultClass::Permanent | FaultClass::Conflict => true,
    };
    one.lock = if refused { Lock::None } else { Lock::Wanted };
    if refused && !fault.is_gone() {
        one.remark(NOT_LOCKED_NOTE);
    }
}

fn unlock_failed(
    one: &mut Move,
    fault: &Fault,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    if fault.maybe_done {
        one.unanswered_unlock = Some(now.elapsed);
    }
    if fault.is_gone() {
        one.unanswered_lock = None;
        one.unanswered_unlock = None;
        return unlocked(one, effect_window, now, record);
    }
    one.lock_owner_unknown = true;
    call_failed(one, fault, now);
    let wait = backoff(one.faults.saturating_sub(1));
    let refused = matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done;
    if refused && one.faults >= MAX_REFUSALS {
        // Nova has refused more than once: the rest is up to its owner or an administrator.
        one.remark(&format!("it is still locked: {}", fault.text));
        one.unanswered_lock = None;
        one.unanswered_unlock = None;
        return unlocked(one, effect_window, now, record);
    }
    if let MoveStep::Unlocking {
        asked, not_before, ..
    } = &mut one.step
    {
        *asked = false;
        *not_before = now.elapsed.plus(wait);
    }
}

fn evacuation_refused(
    one: &mut Move,
    fault: &Fault,
    patience: RetryPolicy,
    now: DecisionTime,
    record: &mut Record,
) {
    if !one.is_in_flight() {
        return;
    }
    if fault.maybe_done {
        // It may have taken effect: its effect is checked for, and it is not repeated before that is ruled out.
        let text = format!(
            "no answer about {}: checking for its effect ({})",
            one.name, fault.text
        );
        record.server_step(Task::Evacuate, StepKind::Outcome, one.server, 0.5, text);
        record.moves.insert(one.server);
        return;
    }
    match fault.class {
        // The only host on which it may be requested: nothing else can be tried, and an operator has to check there.
        _ if fault.is_gone() && !one.has_no_possible_host() => {
            nova_failed(one, &fault.text, RetryElsewhere::No, patience, now, record);
        }
        // Nova gives the same answer for a host that it does not know.
        _ if fault.is_gone() => {
            one.route.exclude_target();
            one.fault = Some(fault.text.clone());
            one.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            record.moves.insert(one.server);
        }
        FaultClass::Permanent | FaultClass::Conflict => {
            one.refused = Some(now.elapsed);
            nova_failed(one, &fault.text, RetryElsewhere::No, patience, now, record);
        }
        FaultClass::Transient | FaultClass::Fatal => {
            one.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            call_failed(one, fault, now);
            record.moves.insert(one.server);
        }
    }
}
