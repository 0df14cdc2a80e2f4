//! What Nova answers to a call about one instance.

use std::time::Duration;

use super::asks::{Topic, backoff};
use super::following::finish;
use super::method::{Cure, Failing, Next, Patience, Way};
use super::{End, HostRecovery, Lock, Move, MoveStep, Preparation};
use crate::fault::{Fault, FaultClass};
use crate::recovery::{Now, Record, ServerCall, StepKind, Task};
use crate::{Elapsed, ServerId};

/// How often Nova may refuse a lock, or the taking off of one, before it is gone on without.
const REFUSALS: u32 = 3;

impl HostRecovery {
    pub(super) fn patience(&self) -> Patience {
        Patience {
            attempts: self.policy.attempts,
            retry_for: self.policy.retry_for,
        }
    }

    pub(super) fn server_answered(
        &mut self,
        server: ServerId,
        call: ServerCall,
        result: Result<(), Fault>,
        now: Now,
        record: &mut Record,
    ) {
        if call == ServerCall::Evacuate {
            self.asks.evacuating.remove(&server);
        }
        let patience = self.patience();
        let settle = self.policy.settle_time();
        let Some(one) = self.moves.get_mut(&server) else {
            return;
        };
        let fault = match result {
            Ok(()) => return accepted(one, call, settle, now, record),
            Err(fault) => fault,
        };
        match call {
            ServerCall::Lock => lock_failed(one, &fault, now),
            // Looking at the lists again would say nothing new: they are of the host, and it may be on none.
            ServerCall::Prepare if fault.is_gone() && matches!(one.step, MoveStep::Waiting { .. }) => {
                one.preparation = Preparation::Wanted;
                self.asks.gone.entry(server).or_insert(now.elapsed);
                self.asks.look.insert(server);
            }
            ServerCall::Prepare => {
                if let Preparation::Asked { loose, .. } = &mut one.preparation {
                    if fault.maybe_done {
                        *loose = true;
                    } else {
                        one.preparation = Preparation::Wanted;
                    }
                }
                call_failed(one, &fault, now);
            }
            ServerCall::Evacuate => {
                // It is looked at before anything more is asked of it, and once more later before that is believed.
                if fault.is_gone() && one.route.target.is_none() {
                    self.asks.gone.entry(server).or_insert(now.elapsed);
                }
                // A refusal may mean that the server or the host's service is not what it was: both are looked at anew.
                if matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done {
                    self.asks.look.insert(server);
                    self.asks.service_seen = None;
                }
                evacuation_refused(one, &fault, patience, now, record);
            }
            ServerCall::Unlock => unlock_failed(one, &fault, settle, now, record),
            ServerCall::Restore => {
                if let MoveStep::Restoring { asked, .. } = &mut one.step
                    && !fault.maybe_done
                {
                    *asked = None;
                }
                call_failed(one, &fault, now);
                let wait = now.elapsed.plus(backoff(one.faults.saturating_sub(1)));
                self.asks.server_not_before.insert(server, wait);
            }
            ServerCall::Stop | ServerCall::Start | ServerCall::Activate => {}
        }
        self.tell_calls(now);
    }

    /// Says so when calls about instances go on failing.
    pub(super) fn tell_calls(&mut self, now: Now) {
        let failing = self
            .moves
            .values()
            .find(|one| !one.is_over() && one.faults >= REFUSALS)
            .map(|one| (one.name.clone(), one.fault.clone().unwrap_or_default()));
        match failing {
            Some((name, fault)) => self.trouble(Topic::Calls, now, || {
                format!("calls about instances fail and are repeated, such as {name}: {fault}")
            }),
            None => self.no_trouble(Topic::Calls),
        }
    }
}

fn accepted(one: &mut Move, call: ServerCall, settle: Duration, now: Now, record: &mut Record) {
    one.faults = 0;
    match call {
        ServerCall::Lock => {
            one.lock = Lock::Ours;
            // Its owner's lock on top of it changes nothing, and nobody else takes it off.
            one.lock_in_doubt = false;
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
        ServerCall::Unlock => unlocked(one, settle, now, record),
        ServerCall::Restore => {
            if let MoveStep::Restoring {
                asked: Some(asked), ..
            } = &mut one.step
            {
                asked.answered = true;
            }
        }
        ServerCall::Stop | ServerCall::Start | ServerCall::Activate => {}
    }
}

fn lock_failed(one: &mut Move, fault: &Fault, now: Now) {
    if fault.maybe_done {
        one.lock_loose = Some(now.elapsed);
    }
    call_failed(one, fault, now);
    one.lock_not_before = now.elapsed.plus(backoff(one.faults.saturating_sub(1)));
    let refused = match fault.class {
        FaultClass::Transient => false,
        FaultClass::Permanent | FaultClass::Conflict => true,
        FaultClass::Fatal => one.faults >= REFUSALS,
    };
    one.lock = if refused { Lock::None } else { Lock::Wanted };
    if refused && !fault.is_gone() {
        one.remark("it could not be locked");
    }
}

fn unlock_failed(one: &mut Move, fault: &Fault, settle: Duration, now: Now, record: &mut Record) {
    if fault.maybe_done {
        one.unlock_loose = Some(now.elapsed);
    }
    if fault.is_gone() {
        one.lock_loose = None;
        one.unlock_loose = None;
        return unlocked(one, settle, now, record);
    }
    one.lock_in_doubt = true;
    call_failed(one, fault, now);
    let wait = backoff(one.faults.saturating_sub(1));
    let refused = matches!(fault.class, FaultClass::Permanent | FaultClass::Conflict) && !fault.maybe_done;
    if refused && one.faults >= REFUSALS {
        // Nova has answered, more than once: what is left is for its owner or an administrator.
        one.remark(&format!("it is still locked: {}", fault.text));
        one.lock_loose = None;
        one.unlock_loose = None;
        return unlocked(one, settle, now, record);
    }
    if let MoveStep::Unlocking {
        asked, not_before, ..
    } = &mut one.step
    {
        *asked = false;
        *not_before = now.elapsed.plus(wait);
    }
}

/// The lock is off. If one was asked for that nobody has answered, it may have come since this unlocking was sent, or come yet,
/// and is taken off once more then; an unlocking that may come yet is waited for, so that it does not meet the next recovery's
/// lock.
pub(super) fn unlocked(one: &mut Move, settle: Duration, now: Now, record: &mut Record) {
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
    let may_have_come_since = |at: &Elapsed| sent.since(*at) < settle;
    let lock = one.lock_loose.filter(may_have_come_since);
    let unlocking = one.unlock_loose.filter(|at| now.elapsed.since(*at) < settle);
    if let Some(loose) = lock.max(unlocking) {
        one.lock_in_doubt = true;
        *asked = false;
        *not_before = loose.plus(settle);
        return;
    }
    let end = *end;
    one.lock = Lock::None;
    one.lock_loose = None;
    one.unlock_loose = None;
    one.step = MoveStep::Over(end);
    super::following::over(one, record);
}

fn evacuation_refused(one: &mut Move, fault: &Fault, patience: Patience, now: Now, record: &mut Record) {
    if !one.is_in_flight() {
        return;
    }
    if fault.maybe_done {
        // It may have taken effect: it is looked for, and not repeated before that is ruled out (R5, R8).
        let text = format!(
            "no answer about {}: looking for its effect ({})",
            one.name, fault.text
        );
        record.server_step(Task::Evacuate, StepKind::Outcome, one.server, 0.5, text);
        record.moves.insert(one.server);
        return;
    }
    match fault.class {
        // Nova says so of a host it does not know, too.
        _ if fault.is_gone() => {
            one.route.cross_out_target();
            one.fault = Some(fault.text.clone());
            one.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            record.moves.insert(one.server);
        }
        FaultClass::Permanent | FaultClass::Conflict => {
            one.refused = Some(now.elapsed);
            nova_failed(one, &fault.text, Cure::No, patience, now, record);
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

/// Nova took it on and failed it: again after a while, by the other way, or a person's work.
pub(super) fn nova_failed(
    one: &mut Move,
    why: &str,
    cure: Cure,
    patience: Patience,
    now: Now,
    record: &mut Record,
) {
    one.failures += 1;
    one.fault = Some(why.to_owned());
    one.failing_since.get_or_insert(now.elapsed);
    record.moves.insert(one.server);
    let first = *one.failed_first.get_or_insert(now.elapsed);
    let failing = Failing {
        times: one.failures,
        lasts: now.elapsed.since(first),
    };
    let count = if failing.times <= patience.attempts {
        format!("{} of {}", failing.times, patience.attempts)
    } else {
        let lasts = failing.lasts.as_secs();
        format!(
            "{} times, for {lasts} of {} s",
            failing.times,
            patience.retry_for.as_secs()
        )
    };
    let text = format!("Nova failed the evacuation of {} ({count}): {why}", one.name);
    record.server_step(Task::Evacuate, StepKind::Outcome, one.server, 0.5, text.clone());
    if !one.may_run.is_empty() {
        // It is asked for where it may run and nowhere else, so no other way is taken and no other host can cure it.
        if failing.times >= patience.attempts && failing.lasts >= patience.retry_for {
            one.hold_for_absence(&text, record);
        } else {
            one.step = MoveStep::Waiting {
                not_before: now.elapsed.plus(backoff(one.failures - 1)),
            };
        }
        return;
    }
    match one.route.after_failure(cure, failing, patience) {
        Next::GiveUp => {
            one.remark(&text);
            one.remark_task();
            one.remark(&format!("it was {} before", one.was.vm_state));
            finish(one, End::Person, now, record);
        }
        Next::Again => {
            let wait = backoff(one.failures - 1);
            one.step = MoveStep::Waiting {
                not_before: now.elapsed.plus(wait),
            };
        }
        Next::OtherWay => {
            one.failures = 0;
            one.failed_first = None;
            one.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            let text = match one.route.way {
                Way::Scheduler => format!("{} goes wherever Nova's scheduler puts it", one.name),
                Way::Reserved => format!("{} goes to a reserved host", one.name),
            };
            record.server_step(Task::Evacuate, StepKind::Note, one.server, 0.5, text);
        }
    }
}

/// A call failed in passing: the next one waits, longer each time.
pub(super) fn call_failed(one: &mut Move, fault: &Fault, now: Now) {
    one.faults = one.faults.saturating_add(1);
    one.failing_since.get_or_insert(now.elapsed);
    one.fault = Some(fault.text.clone());
    if let MoveStep::Waiting { not_before } = &mut one.step {
        let wait = match fault.class {
            FaultClass::Fatal => Duration::from_secs(30),
            FaultClass::Transient | FaultClass::Permanent | FaultClass::Conflict => {
                backoff(one.faults.saturating_sub(1))
            }
        };
        *not_before = now.elapsed.plus(wait);
    }
}
