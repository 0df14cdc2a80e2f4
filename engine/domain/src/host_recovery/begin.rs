//! The first stage: checks whether anything is to be done, and whether the guards let the recovery through.

use super::decision_context::{DecisionContext, decision_context};
use super::guard::suspect;
use super::{HostRecovery, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::guard::GuardPhase;
use crate::hooks::Phase;
use crate::policy::{BareNormal, FencingMode};
use crate::recovery::{Command, DecisionTime, Record, StepKind, Task};

impl HostRecovery {
    pub(super) fn act_begin(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        // Only lost requests can have moves here.
        self.follow_moves(now, record, commands);
        // A retry waits for an operator or a report with evidence to confirm that the host is off.
        let claim = (self.reported.as_deref(), self.came_with_evidence());
        let retry = self.retry;
        let (untouched, stop_reported) = (self.is_untouched(), self.is_stop_report());
        let mut ctx = decision_context!(self, now, record);
        let nothing_to_do = nothing_to_do(&self.event, claim, retry, &ctx).filter(|_| untouched);
        if let Some((status, message)) = nothing_to_do {
            // A report that adds a claim may be joining just now.
            ctx.record.unless_joined = stop_reported;
            ctx.end(status, Some(message));
            return;
        }
        if self.rejected.is_some() {
            self.finish_rejected(now, record);
            return;
        }
        if self.hold.is_some() {
            let suspect = suspect!(self);
            let mut ctx = decision_context!(self, now, record);
            self.guard.update_hold(&suspect, &mut ctx, commands);
            return;
        }
        if self.block_reason().is_some() {
            return;
        }
        // Once the guards let it through, hooks may take as long as they need; the guards are checked again after the hooks.
        if !self.in_flight.guarded {
            let suspect = suspect!(self);
            let mut ctx = decision_context!(self, now, record);
            if !self
                .guard
                .pass_guards(GuardPhase::Begin, &suspect, &mut ctx, commands)
            {
                return;
            }
        }
        self.in_flight.guarded = true;
        let mut ctx = decision_context!(self, now, record);
        let (moves, proof) = ((&self.moves, untouched), self.proof.as_ref());
        match self.hooks.before_fence(moves, proof, &mut ctx, commands) {
            Ok(true) => {}
            Ok(false) => return,
            Err(why) => {
                self.rejected = Some(why);
                self.finish_rejected(now, record);
                return;
            }
        }
        if self.hooks.began(Phase::Pre) && !self.in_flight.counted_after_hooks {
            // Hooks take time, and other hosts may have failed meanwhile.
            self.in_flight.counted_after_hooks = true;
            self.in_flight.guarded = false;
            self.guard.region_probe.rescan(now, commands);
            return;
        }
        record.step(
            Task::Fence,
            StepKind::Note,
            0.1,
            format!("host {} is reported down; recovery {} starts", self.host, self.id),
        );
        if self.method != RecoveryMethod::Auto {
            record.step(
                Task::Fence,
                StepKind::Note,
                0.1,
                format!("the segment's recovery method is {}", self.method),
            );
        }
        let silent_after = self.policy.silent_after();
        if silent_after > self.policy.heartbeat_stale {
            let (age, limit) = (self.policy.heartbeat_age.as_secs(), silent_after.as_secs());
            record.step(
                Task::Fence,
                StepKind::Note,
                0.1,
                format!(
                    "its heartbeats were up to {age} s old while it was up, so it is silent after {limit} s without one"
                ),
            );
        }
        self.fence.begin_again(now.elapsed, &self.policy);
        self.enter(Stage::Fencing, record);
    }
}

/// Checks the conditions that end a recovery before anything was touched. Returns the status and the message of that end.
fn nothing_to_do(
    event: &str,
    (reported, has_evidence): (Option<&str>, bool),
    retry: bool,
    ctx: &DecisionContext<'_>,
) -> Option<(NotificationStatus, String)> {
    use NotificationStatus::{Finished, Ignored};
    let (operator_state, host, policy) = (ctx.operator_state?, ctx.host, ctx.policy);
    if event == "STARTED" {
        return Some((Finished, format!("host {host} has started: nothing to do")));
    }
    if event != "STOPPED" {
        return Some((Ignored, format!("event {event:?} requires no recovery")));
    }
    if !operator_state.segment_enabled {
        return Some((Ignored, "Recovery aborted: the segment HA is disabled.".into()));
    }
    if operator_state.operator_maintenance {
        return Some((
            Ignored,
            format!("host {host} is in maintenance, set by an operator"),
        ));
    }
    let claims = policy.fencing == FencingMode::External && !retry;
    if claims && reported != Some("NORMAL") {
        let status = reported.unwrap_or("missing");
        return Some((
            Ignored,
            format!(
                "host_status is {status}, so no report claims that host {host} is off, and in fencing mode external the \
                     engine cannot see for itself"
            ),
        ));
    }
    if claims && policy.bare_normal == BareNormal::Refuse && !has_evidence {
        return Some((
            Ignored,
            format!(
                "host_status is NORMAL without evidence that host {host} is off, and [fencing] normal_without_evidence is \
                     refuse"
            ),
        ));
    }
    None
}
