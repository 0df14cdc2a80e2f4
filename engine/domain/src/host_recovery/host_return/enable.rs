//! The last step of the return, if an operator has configured it: a recovered host that has been up for long enough is enabled, and
//! its maintenance ends. This happens only if this recovery has disabled it.

use super::super::decision_context::DecisionContext;
use super::super::service::ServiceTrack;
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::nova::Service;
use crate::recovery::{Command, ServiceUpdate, StepKind, Task};

const CLEARED_REASON: &str = "its nova-compute is back and its evacuated instances are cleaned up";

/// The verdict on a host that is not forced down any more.
enum EnableDecision {
    /// No change by this recovery is left on it.
    Unchanged(&'static str),
    /// The host is not up now.
    Down,
    /// The host has been up since then.
    UpSince(Elapsed),
}

fn verdict(service: &ServiceTrack, shown: &Service, ours: bool, now: Elapsed) -> EnableDecision {
    if shown.enabled {
        EnableDecision::Unchanged("it is enabled")
    } else if !ours {
        EnableDecision::Unchanged("it stays disabled, for a reason that is not ours")
    } else if !shown.up || service.up_evidence(now).is_none() {
        EnableDecision::Down
    } else {
        EnableDecision::UpSince(service.back.unwrap_or(now))
    }
}

impl ServiceTrack {
    /// Records that this recovery has cleared `forced_down`.
    pub(in super::super) fn cleared(&mut self, shown: Service, ctx: &mut DecisionContext<'_>) {
        ctx.record.running_again = true;
        let Some(stable) = ctx.policy.enable_after_return else {
            return ctx.returned(CLEARED_REASON);
        };
        let now = ctx.now;
        self.faults = 0;
        self.changed = now.elapsed;
        self.not_before = now.elapsed;
        self.observed = Some(shown);
        self.question.observed = None;
        ctx.record.head = true;
        let text = format!(
            "forced_down of {} is cleared: {CLEARED_REASON}; its service is enabled once it has been up for {} s",
            ctx.host,
            stable.as_secs()
        );
        ctx.record.step(Task::Return, StepKind::Outcome, 0.7, text);
    }

    /// Acts on a record without `forced_down`, from a reading that is recent enough.
    pub(super) fn act_enabling(
        &mut self,
        how: &str,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        let Some(stable) = ctx.policy.enable_after_return else {
            return ctx.returned(how);
        };
        let now = ctx.now;
        let (Some(shown), Some(id)) = (self.observed.clone(), self.id) else {
            return;
        };
        let mark = ctx.mark();
        let ours = shown
            .disabled_reason
            .as_deref()
            .is_some_and(|reason| reason.contains(&mark));
        match verdict(self, &shown, ours, now.elapsed) {
            EnableDecision::Unchanged(why) => {
                // An unanswered call of this recovery has enabled it: the rest of that step is done now.
                ctx.record.host_back = shown.enabled && self.enable_asked;
                ctx.record.running_again |= self.up_evidence(now.elapsed).is_some();
                ctx.returned(why);
            }
            EnableDecision::Down => {
                ctx.record.head |= self.back.take().is_some();
            }
            EnableDecision::UpSince(since) => {
                ctx.record.head |= self.back.is_none();
                ctx.record.running_again |= self.back.is_none();
                self.back = Some(since);
                let due = now.elapsed.since(since) >= stable && now.elapsed >= self.not_before;
                let age = self.question.age(now.elapsed);
                // The operator who has frozen it works on it: nothing new is to be placed on it.
                let due = due && ctx.frozen_host().is_none();
                if due && age.is_some_and(|age| age <= ctx.policy.heartbeat_poll * 2) {
                    self.updating = true;
                    self.enabling = true;
                    self.enable_asked = true;
                    let record = &mut *ctx.record;
                    record.head = true;
                    self.clearing = false;
                    // As for `forced_down`: a new recovery of this host would want it disabled.
                    record.unless_host_recovery = Some(ctx.host.to_owned());
                    record.unless_frozen.own = true;
                    let text = format!(
                        "enabling the service of {}: it has been up for {} s",
                        ctx.host,
                        now.elapsed.since(since).as_secs()
                    );
                    record.step(Task::Return, StepKind::Intent, 0.9, text);
                    commands.push(Command::UpdateService {
                        id,
                        update: ServiceUpdate::Enable,
                    });
                }
            }
        }
    }

    pub(in super::super) fn enabled(
        &mut self,
        result: Result<Service, Fault>,
        ctx: &mut DecisionContext<'_>,
    ) {
        match result {
            Ok(shown) if shown.enabled => {
                ctx.record.host_back = true;
                ctx.returned("it is enabled and no longer in maintenance");
            }
            Ok(_) => self.question.observed = None,
            Err(fault) => {
                // It may have taken effect: the next reading shows that.
                self.question.observed = None;
                self.changed = ctx.now.elapsed;
                self.clearing_failed(&fault, ctx.host, ctx.now, ctx.record);
            }
        }
    }
}
