//! The handling of a failed call about an instance, or of its failed evacuation.

use std::time::Duration;

use super::super::method::{FailureCount, NextStep, PlacementTarget, RetryElsewhere, RetryPolicy};
use super::completion::finish;
use super::{End, Move, MoveStep};
use crate::count;
use crate::fault::{Fault, FaultClass};
use crate::question::backoff;
use crate::recovery::{DecisionTime, Record, StepKind, Task};

/// Handles an evacuation that Nova has refused or failed: tries again after a while, takes the other way, or leaves it to an operator.
pub(in super::super) fn nova_failed(
    instance: &mut Move,
    why: &str,
    retry_elsewhere: RetryElsewhere,
    patience: RetryPolicy,
    now: DecisionTime,
    record: &mut Record,
) {
    instance.failures += 1;
    instance.fault = Some(why.to_owned());
    instance.failing_since.get_or_insert(now.elapsed);
    record.moves.insert(instance.server);
    let first = *instance.failed_first.get_or_insert(now.elapsed);
    let failing = FailureCount {
        times: instance.failures,
        lasts: now.elapsed.since(first),
    };
    let attempts = if failing.times <= patience.attempts {
        format!("{} of {}", failing.times, patience.attempts)
    } else {
        let lasts = failing.lasts.as_secs();
        format!(
            "{}, for {lasts} of {} s",
            count(failing.times, "time", "times"),
            patience.retry_for.as_secs()
        )
    };
    let text = format!(
        "Nova failed the evacuation of {} ({attempts}): {why}",
        instance.name
    );
    record.server_step(
        Task::Evacuate,
        StepKind::Outcome,
        instance.server,
        0.5,
        text.clone(),
    );
    if !instance.has_no_possible_host() {
        // It is requested where it may run and on no other host, so no other way is taken and no other host can cure it.
        if failing.times >= patience.attempts && failing.lasts >= patience.retry_for {
            instance.hold_for_absence(&text, record);
        } else {
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed.plus(backoff(instance.failures - 1)),
            };
        }
        return;
    }
    match instance.route.after_failure(retry_elsewhere, failing, patience) {
        NextStep::GiveUp => {
            instance.remark(&text);
            instance.remark_task();
            instance.remark(&format!("it was {} before", instance.was.vm_state));
            finish(instance, End::Person, now, record);
        }
        NextStep::Again => {
            let wait = backoff(instance.failures - 1);
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed.plus(wait),
            };
        }
        NextStep::OtherWay => {
            instance.failures = 0;
            instance.failed_first = None;
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            let text = match instance.route.way {
                PlacementTarget::Scheduler => {
                    format!("Nova's scheduler chooses the host of {}", instance.name)
                }
                PlacementTarget::Reserved => format!("{} goes to a reserved host", instance.name),
            };
            record.server_step(Task::Evacuate, StepKind::Note, instance.server, 0.5, text);
        }
    }
}

/// Handles a call that has failed in a way that may pass: the next one waits, longer each time.
pub(in super::super) fn call_failed(instance: &mut Move, fault: &Fault, now: DecisionTime) {
    instance.faults = instance.faults.saturating_add(1);
    instance.failing_since.get_or_insert(now.elapsed);
    instance.fault = Some(fault.text.clone());
    if let MoveStep::Waiting { not_before } = &mut instance.step {
        let wait = match fault.class {
            FaultClass::Fatal => Duration::from_secs(30),
            FaultClass::Transient | FaultClass::Permanent | FaultClass::Conflict => {
                backoff(instance.faults.saturating_sub(1))
            }
        };
        *not_before = now.elapsed.plus(wait);
    }
}
