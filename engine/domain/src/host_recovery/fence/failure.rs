//! The end of a failed level. When all levels have failed, the recovery is on hold, shows the reasons, and retries at intervals.

use super::super::decision_context::{DecisionContext, decision_context, operator_block};
use super::super::guard::{HOLD_SCAN_INTERVAL, suspect};
use super::super::monitor_heartbeats::HeartbeatJudgement;
use super::super::{HoldKind, HostRecovery, RecoveryHold, missing_claim};
use super::{Failure, Fence};
use crate::policy::FencingMode;
use crate::recovery::{Command, DecisionTime, Record, StepKind, Task};

impl HostRecovery {
    /// Acts while the recovery is on hold because no level could confirm the host off. The levels are tried again from time to
    /// time, until one succeeds, the host is up in Nova again, or an operator acts.
    pub(super) fn act_on_hold(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let failed = self
            .hold
            .as_ref()
            .is_some_and(|hold| hold.kind == HoldKind::Fence);
        let trying = self.fence.retrying || self.fence.retry_at.is_some();
        let is_blocked = operator_block(self.operator_state.as_ref()).is_some() || self.in_flight.stopped;
        if failed && self.is_untouched() {
            let every = self
                .guard
                .region_probe
                .up_track
                .scan_interval(now.elapsed, HOLD_SCAN_INTERVAL);
            self.guard.region_probe.request_if_due(now, every, commands);
            if let Some(region) = self.guard.region_probe.fresh(now) {
                let suspect = suspect!(self);
                let mut ctx = decision_context!(self, now, record);
                if self.guard.end_if_host_up(&region, &suspect, &mut ctx) {
                    return;
                }
            }
            if self.policy.fencing == FencingMode::External {
                if is_blocked || missing_claim(self).is_some() {
                    return;
                }
                // The host was silent in Nova, but with a heartbeat since the time that the report gives. A later report that
                // claims it off now releases the hold.
                let claims = suspect!(self).claims;
                let claim = claims.claim();
                let younger = claims.contradicting_heartbeat().is_none();
                let ctx = decision_context!(self, now, record);
                let guard = &mut self.guard;
                let shown = guard.region_probe.heartbeats(ctx.host_id);
                let verdict = claim.map(|claim| guard.heartbeats.judge(&claim, now.elapsed, shown, &ctx));
                let younger = younger && verdict.is_none_or(|verdict| verdict == HeartbeatJudgement::Silent);
                if younger {
                    self.service
                        .request_if_due(now, self.policy.heartbeat_poll, commands);
                }
                if younger && self.service.is_silent(now.elapsed) {
                    self.hold = None;
                    record.head = true;
                    let text = format!(
                        "host {} is reported off by a later report: the recovery continues",
                        self.host
                    );
                    record.step(Task::Fence, StepKind::Note, 0.3, text);
                }
                return;
            }
        }
        if !failed || !trying || is_blocked {
            return;
        }
        self.service
            .request_if_due(now, self.policy.heartbeat_poll, commands);
        let ordered = self.fence.ordered;
        self.guard
            .region_probe
            .request_scan_for_order(ordered, now, commands);
        if let Some(heartbeat) = self.service.up_evidence(now.elapsed) {
            let mut ctx = decision_context!(self, now, record);
            return self.fence.stop_retries(&heartbeat, &mut ctx);
        }
        if self.fence.retry_at.is_some_and(|at| now.elapsed >= at) {
            self.fence.try_again(now.elapsed, &self.policy);
            self.fence.retrying = true;
            record.head = true;
        }
        if self.fence.retrying {
            let suspect = suspect!(self);
            let mut ctx = decision_context!(self, now, record);
            self.fence
                .act_levels(&mut self.guard, &suspect, &mut ctx, commands);
        }
    }
}

impl Fence {
    /// Ends the current level, which has failed. Continues with the next one, if there is one and time for it.
    pub(super) fn next_level(&mut self, failure: &Failure, ctx: &mut DecisionContext<'_>) -> bool {
        let (now, policy) = (ctx.now, ctx.policy);
        self.record_order(false, now, ctx.record);
        self.passing |= !failure.lasting;
        let why = &failure.why;
        let text = match self.current() {
            Some(level) => format!("{level}: {why}"),
            None => why.clone(),
        };
        let late = now.elapsed.since(self.began) >= policy.episode_deadline;
        let levels = self.levels.as_deref().unwrap_or_default();
        let next = levels.get(self.level + 1).filter(|_| !late);
        // Only the first try is recorded; the same once a minute would fill the event log.
        if let Some(next) = next
            && ctx.hold.is_none()
        {
            let text = format!("{text}. Next is {next}");
            ctx.record.step(Task::Fence, StepKind::Outcome, 0.3, text);
        }
        let goes_on = next.is_some();
        self.failures.push(text);
        self.device_states.clear();
        ctx.record.head = true;
        if goes_on {
            self.level += 1;
            self.level_began = now.elapsed;
        } else {
            self.all_failed(late, ctx);
        }
        goes_on
    }

    /// Holds the recovery because every level has failed, or its time is up (`FENCE_FAILED`).
    fn all_failed(&mut self, late: bool, ctx: &mut DecisionContext<'_>) {
        let policy = ctx.policy;
        let mut why = std::mem::take(&mut self.failures).join("; ");
        if late {
            let limit = policy.episode_deadline.as_secs();
            why = format!("{why}; the limit of {limit} s has passed");
        }
        let every = if self.passing {
            policy.fence_retry
        } else {
            policy.fence_retry.max(policy.episode_deadline)
        };
        let why = format!("{why}. The engine retries every {} s", every.as_secs());
        self.retry_at = Some(ctx.now.elapsed.plus(every));
        self.retrying = false;
        ctx.hold_fence(&why);
    }

    /// Stops the retries because the host is up in Nova again. An earlier order may still switch it off, or may have done so
    /// already; the engine cannot know, so an operator decides.
    fn stop_retries(&mut self, heartbeat: &str, ctx: &mut DecisionContext<'_>) {
        self.retry_at = None;
        self.retrying = false;
        // The operator's decision depends on the answers of the devices.
        let last_answer = self.last_word.as_deref().unwrap_or("no device has answered");
        let tried = if self.ordered {
            "it could not be powered off"
        } else {
            "it was not powered off"
        };
        let text = format!(
            "{tried} ({last_answer}), and now {heartbeat}, so the engine does not retry. If the host works, abort the recovery"
        );
        let note = format!("host {}: {text}", ctx.host);
        ctx.record.step(Task::Fence, StepKind::Note, 0.3, note);
        ctx.hold_fence(&text);
    }

    /// Records that the host is confirmed off, perhaps while the recovery was on hold because no level had succeeded.
    pub(super) fn record_confirmed_off(&mut self, ctx: &mut DecisionContext<'_>) {
        let now = ctx.now;
        self.record_order(true, now, ctx.record);
        // Guards put it on hold only before a further order, and the order before that has taken effect.
        let by_proof = |hold: &mut RecoveryHold| matches!(hold.kind, HoldKind::Fence | HoldKind::Storm);
        if let Some(hold) = ctx.hold.take_if(by_proof) {
            let waited = now.elapsed.since(hold.since).as_secs();
            let text = format!("confirmed off after {waited} s on hold");
            ctx.record.step(Task::Fence, StepKind::Note, 1.0, text);
        }
        self.retry_at = None;
        self.retrying = false;
        ctx.record.head = true;
    }
}

impl DecisionContext<'_> {
    /// Puts the recovery on hold because the host is not confirmed off, with the reason for the operator.
    pub(in super::super) fn hold_fence(&mut self, why: &str) {
        self.hold_until(
            why,
            "Repair the power controller or power the host off, then approve the recovery; or confirm that it is off",
        );
    }

    /// Puts the recovery on hold as [`Self::hold_fence`] does, until the operator does `what`.
    pub(in super::super) fn hold_until(&mut self, why: &str, what: &str) {
        let reason = format!(
            "host {} is not confirmed off, so nothing is evacuated: {why}. {what}",
            self.host
        );
        match self.hold.as_mut() {
            Some(hold) if hold.kind == HoldKind::Fence => {
                hold.reason = reason;
                self.record.head = true;
            }
            Some(_) | None => {
                self.record.failed(Task::Fence, reason.clone());
                self.hold(HoldKind::Fence, reason);
            }
        }
    }
}
