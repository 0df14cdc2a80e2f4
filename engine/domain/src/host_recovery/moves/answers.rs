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
        let Some(instance) = moves.get_mut(&server) else {
            return false;
        };
        let fault = match result {
            Ok(()) => {
                accepted(instance, call, effect_window, now, record);
                return false;
            }
            Err(fault) => fault,
        };
        let mut service_in_doubt = false;
        match call {
            ServerCall::Lock => lock_failed(instance, &fault, now),
            // Reading the lists again would show nothing new: they are of the host, and the instance may be on none.
            ServerCall::Prepare if fault.is_gone() && matches!(instance.step, MoveStep::Waiting { .. }) => {
                instance.preparation = Preparation::Wanted;
                self.gone.entry(server).or_insert(now.elapsed);
                self.to_read.insert(server);
            }
            ServerCall::Prepare => {
                if let Preparation::Asked { unanswered, .. } = &mut instance.preparation {
                    if fault.maybe_done {
                        *unanswered = true;
                    } else {
                        instance.preparation = Preparation::Wanted;
                    }
                }
                call_failed(instance, &fault, now);
            }
            ServerCall::Evacuate => {
                // The instance is read before anything more is requested for it, and again later before this answer counts.
                if fault.is_gone() && instance.route.target.is_none() {
                    self.gone.entry(server).or_insert(now.elapsed);
                }
                // A refusal may mean that the server or the host's service has changed: both are read again.
                if matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done {
                    self.to_read.insert(server);
                    service_in_doubt = true;
                }
                evacuation_refused(instance, &fault, RetryPolicy::of(policy), now, record);
            }
            ServerCall::Unlock => unlock_failed(instance, &fault, effect_window, now, record),
            ServerCall::Restore => {
                if let MoveStep::Restoring { requested, .. } = &mut instance.step
                    && !fault.maybe_done
                {
                    *requested = None;
                }
                call_failed(instance, &fault, now);
                let wait = now.elapsed.plus(backoff(instance.faults.saturating_sub(1)));
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
    let is_refused = |instance: &&Move| instance.failures > 0 && instance.failing_since.is_some();
    let mut open = moves.values().filter(|instance| !instance.is_finished());
    let failing = open.find(|instance| is_refused(instance) || instance.faults >= MAX_REFUSALS);
    let Some(instance) = failing else {
        return blockers.end(BlockerKind::Calls);
    };
    blockers.begin(BlockerKind::Calls, now, || {
        let fault = instance.fault.as_deref().unwrap_or_default();
        if is_refused(&instance) {
            format!(
                "Nova has not evacuated {}; the request is repeated: {fault}",
                instance.name
            )
        } else {
            format!(
                "calls about instances fail and are repeated, such as {}: {fault}",
                instance.name
            )
        }
    });
}

fn accepted(
    instance: &mut Move,
    call: ServerCall,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    instance.faults = 0;
    match call {
        ServerCall::Lock => {
            instance.lock = Lock::Ours;
            instance.locked_at = Some(now.elapsed);
            // Its owner's lock on top of it changes nothing, and no other actor removes the recovery's lock.
            instance.lock_owner_unknown = false;
        }
        ServerCall::Prepare => {
            if matches!(instance.preparation, Preparation::Asked { .. }) {
                instance.preparation = Preparation::Done;
            }
        }
        ServerCall::Evacuate => {
            instance.failing_since = None;
            instance.refused = None;
            instance.task = None;
            if let MoveStep::Asked { answered, .. } = &mut instance.step {
                *answered = true;
                record.moves.insert(instance.server);
            }
        }
        ServerCall::Unlock => unlocked(instance, effect_window, now, record),
        ServerCall::Restore => {
            if let MoveStep::Restoring {
                requested: Some(requested),
                ..
            } = &mut instance.step
            {
                requested.answered = true;
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

fn lock_failed(instance: &mut Move, fault: &Fault, now: DecisionTime) {
    if fault.maybe_done {
        instance.unanswered_lock = Some(now.elapsed);
    }
    call_failed(instance, fault, now);
    instance.lock_not_before = now.elapsed.plus(backoff(instance.faults.saturating_sub(1)));
    let refused = match fault.class {
        // Nova has refused every call, and not this lock: the evacuation waits for it too.
        FaultClass::Transient | FaultClass::Fatal => false,
        FaultClass::Permanent | FaultClass::Conflict => true,
    };
    instance.lock = if refused { Lock::None } else { Lock::Wanted };
    if refused && !fault.is_gone() {
        instance.remark(NOT_LOCKED_NOTE);
    }
}

fn unlock_failed(
    instance: &mut Move,
    fault: &Fault,
    effect_window: Duration,
    now: DecisionTime,
    record: &mut Record,
) {
    if fault.maybe_done {
        instance.unanswered_unlock = Some(now.elapsed);
    }
    if fault.is_gone() {
        instance.unanswered_lock = None;
        instance.unanswered_unlock = None;
        return unlocked(instance, effect_window, now, record);
    }
    instance.lock_owner_unknown = true;
    call_failed(instance, fault, now);
    let wait = backoff(instance.faults.saturating_sub(1));
    let refused = matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done;
    if refused && instance.faults >= MAX_REFUSALS {
        // Nova has refused more than once: the rest is up to its owner or an administrator.
        instance.remark(&format!("it is still locked: {}", fault.text));
        instance.unanswered_lock = None;
        instance.unanswered_unlock = None;
        return unlocked(instance, effect_window, now, record);
    }
    if let MoveStep::Unlocking {
        requested,
        not_before,
        ..
    } = &mut instance.step
    {
        *requested = false;
        *not_before = now.elapsed.plus(wait);
    }
}

fn evacuation_refused(
    instance: &mut Move,
    fault: &Fault,
    patience: RetryPolicy,
    now: DecisionTime,
    record: &mut Record,
) {
    if !instance.is_in_flight() {
        return;
    }
    if fault.maybe_done {
        // It may have taken effect: its effect is checked for, and it is not repeated before that is ruled out.
        let text = format!(
            "no answer about {}: checking for its effect ({})",
            instance.name, fault.text
        );
        record.server_step(Task::Evacuate, StepKind::Outcome, instance.server, 0.5, text);
        record.moves.insert(instance.server);
        return;
    }
    match fault.class {
        // The only host on which it may be requested: nothing else can be tried, and an operator has to check there.
        _ if fault.is_gone() && !instance.has_no_possible_host() => {
            nova_failed(instance, &fault.text, RetryElsewhere::No, patience, now, record);
        }
        // Nova gives the same answer for a host that it does not know.
        _ if fault.is_gone() => {
            instance.route.exclude_target();
            instance.fault = Some(fault.text.clone());
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            record.moves.insert(instance.server);
        }
        FaultClass::Permanent | FaultClass::Conflict => {
            instance.refused = Some(now.elapsed);
            nova_failed(instance, &fault.text, RetryElsewhere::No, patience, now, record);
        }
        FaultClass::Transient | FaultClass::Fatal => {
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            call_failed(instance, fault, now);
            record.moves.insert(instance.server);
        }
    }
}
