//! The operator's hooks in a host recovery: before the fence, before the moves, and after them.
//!
//! A hook can end the recovery or fail it, but cannot cause any further action. The guards and the hosts that are out are
//! checked again after it. The limits for the age of the proof, the heartbeat and the lists apply as usual when the first
//! evacuation is requested.

use super::blockers::BlockerKind;
use super::decision_context::{DecisionContext, Moves};
use super::moves::finish;
use super::{End, MoveStep, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::hooks::{Flow, Hook, HookCall, HookInstance, HookOutcome, Phase};
use crate::policy::Policy;
use crate::proof::Proof;
use crate::recovery::hook_track::Gate;
use crate::recovery::{Command, HookTrack};

/// Returns the workflow of a host recovery by this method. For a method of two ways it is that of the first.
fn flow(policy: &Policy, method: RecoveryMethod) -> &Flow {
    match method {
        RecoveryMethod::Auto | RecoveryMethod::AutoPriority => &policy.flows.host_auto,
        RecoveryMethod::ReservedHost | RecoveryMethod::RhPriority => &policy.flows.host_reserved,
    }
}

impl HookTrack {
    pub(super) fn answered_in(
        &mut self,
        run: (Phase, u8, u32),
        outcome: &HookOutcome,
        ctx: &mut DecisionContext<'_>,
    ) {
        let hooks = flow(ctx.policy, ctx.method).hooks(run.0);
        self.answered(run, hooks, outcome, ctx.now, ctx.record);
        ctx.blockers.end(BlockerKind::Hook);
    }

    /// Returns true if fencing may start. A hook that prevents it ends the recovery before anything was touched.
    ///
    /// # Errors
    ///
    /// The reason why a hook ends the recovery, if requests that the database has lost have touched something.
    pub(super) fn before_fence(
        &mut self,
        (moves, untouched): (&Moves, bool),
        proof: Option<&Proof>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> Result<bool, String> {
        match self.pass_in(Phase::Pre, moves, proof, ctx, commands) {
            Gate::Open => return Ok(true),
            Gate::Skip(why) | Gate::Abort(why) if !untouched => return Err(why),
            Gate::Skip(why) => ctx.end(NotificationStatus::Finished, Some(format!("skipped: {why}"))),
            Gate::Abort(why) => {
                let text = format!("nothing was done: {why}");
                ctx.end(NotificationStatus::Failed, Some(text));
            }
            Gate::Wait | Gate::Run { .. } => {}
        }
        Ok(false)
    }

    /// True if no hook prevents evacuations from being requested. Moves that hooks rule out are done by then.
    pub(super) fn before_moves(
        &mut self,
        moves: &mut Moves,
        proof: Option<&Proof>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        if ctx.rejected.is_some() {
            return true;
        }
        match self.pass_in(Phase::Main, moves, proof, ctx, commands) {
            Gate::Open => {
                if !flow(ctx.policy, ctx.method).acts {
                    let why = "the workflow leaves out evacuate_instances_task";
                    leave_waiting(moves, End::Left, why, ctx);
                }
                true
            }
            Gate::Skip(why) => {
                leave_waiting(moves, End::Left, &format!("skipped: {why}"), ctx);
                true
            }
            Gate::Abort(why) => {
                leave_waiting(moves, End::Person, &format!("not moved: {why}"), ctx);
                true
            }
            Gate::Wait | Gate::Run { .. } => false,
        }
    }

    /// True if the notification may be closed. The results of these hooks change only its final status and message.
    pub(super) fn after_moves(
        &mut self,
        moves: &Moves,
        proof: Option<&Proof>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        if ctx.rejected.is_some() {
            return true;
        }
        match self.pass_in(Phase::Post, moves, proof, ctx, commands) {
            Gate::Open | Gate::Skip(_) | Gate::Abort(_) => true,
            Gate::Wait | Gate::Run { .. } => false,
        }
    }

    /// Returns the final status and message of the notification, with the remarks of the hooks.
    pub(super) fn final_result(
        &self,
        status: NotificationStatus,
        message: String,
    ) -> (NotificationStatus, String) {
        let status = match self.aborted() {
            Some(_) => NotificationStatus::Failed,
            None => status,
        };
        (status, self.with_remarks(message))
    }

    /// Runs the hooks of a phase in order. Each hook gets the instances and the proof.
    fn pass_in(
        &mut self,
        phase: Phase,
        moves: &Moves,
        proof: Option<&Proof>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> Gate {
        // Hooks after the moves neither undo nor start anything, so no operator action blocks them.
        let may_begin = phase == Phase::Post || ctx.block_reason().is_none();
        let hooks = flow(ctx.policy, ctx.method).hooks(phase);
        let hold = ctx.policy.proxy_hold;
        let verdict = self.pass(phase, hooks, may_begin, hold, ctx.now, ctx.record);
        match &verdict {
            Gate::Run { number, attempt } => {
                if let Some(hook) = hooks.get(usize::from(*number)).cloned() {
                    commands.push(Command::RunHook(Box::new(HookCall {
                        phase,
                        number: *number,
                        attempt: *attempt,
                        hook,
                        instances: hook_instances(moves, *ctx.stage),
                        proof: proof.map(|proof| proof.sentence(ctx.host)),
                    })));
                }
            }
            Gate::Wait => self.record_change(ctx),
            Gate::Open | Gate::Skip(_) | Gate::Abort(_) => ctx.blockers.end(BlockerKind::Hook),
        }
        verdict
    }

    fn record_change(&self, ctx: &mut DecisionContext<'_>) {
        let Some((phase, number)) = self.running() else {
            return ctx.blockers.end(BlockerKind::Hook);
        };
        let hooks = flow(ctx.policy, ctx.method).hooks(phase);
        if let Some(name) = hooks.get(usize::from(number)).map(Hook::name) {
            ctx.blockers
                .begin(BlockerKind::Hook, ctx.now, || format!("waiting for hook {name}"));
        }
    }
}

/// Returns the instances as a hook gets them, in the order of the moves; `None` before there is a plan.
fn hook_instances(moves: &Moves, stage: Stage) -> Option<Vec<HookInstance>> {
    if matches!(stage, Stage::Begin | Stage::Fencing) {
        return None;
    }
    let mut moves: Vec<_> = moves.values().collect();
    moves.sort_unstable_by_key(|instance| (instance.rank, instance.server));
    let instances = moves.into_iter().map(|instance| HookInstance {
        id: instance.server,
        name: Some(instance.name.clone()),
        status: instance.status().as_str(),
        dest_host: instance.dest.clone(),
        message: instance.note.clone(),
    });
    Some(instances.collect())
}

fn leave_waiting(moves: &mut Moves, end: End, why: &str, ctx: &mut DecisionContext<'_>) {
    for instance in moves.values_mut() {
        if matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold) {
            instance.remark(why);
            finish(instance, end, ctx.now, ctx.record);
        }
    }
}
