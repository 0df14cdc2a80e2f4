//! The operator's hooks in a host recovery: before the fence, before the moves, and after them.
//!
//! A hook can end the recovery or fail it. What it cannot do is to make anything happen that would not have happened without
//! it: guards and hosts that are out are looked at again after it, and the proof, the heartbeat and the lists are as young as
//! ever when the first evacuation is asked for.

use super::moves::finish;
use super::trouble::Topic;
use super::{End, HostRecovery, MoveStep, Stage};
use crate::entity::notification::NotificationStatus;
use crate::entity::segment::RecoveryMethod;
use crate::hooks::{Flow, Gate, HookCall, HookInstance, HookOutcome, Phase};
use crate::policy::Policy;
use crate::recovery::{Command, Now, Record};

/// The workflow of a host recovery by this method: with two of them the one that is tried first.
fn flow(policy: &Policy, method: RecoveryMethod) -> &Flow {
    match method {
        RecoveryMethod::Auto | RecoveryMethod::AutoPriority => &policy.flows.host_auto,
        RecoveryMethod::ReservedHost | RecoveryMethod::RhPriority => &policy.flows.host_reserved,
    }
}

impl HostRecovery {
    pub(super) fn hook_answered(
        &mut self,
        run: (Phase, u8, u32),
        outcome: &HookOutcome,
        now: Now,
        record: &mut Record,
    ) {
        let hooks = flow(&self.policy, self.method).hooks(run.0);
        self.hooks.answered(run, hooks, outcome, now, record);
        self.asks.troubles.end(Topic::Hook);
    }

    /// Whether the fence may begin. A hook that says otherwise ends the recovery before anything was touched.
    pub(super) fn before_fence(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        match self.pass(Phase::Pre, now, record, commands) {
            Gate::Open => {
                // Hooks take their time, and other hosts may have failed meanwhile.
                let stale = self.hooks.began(Phase::Pre) && !self.asks.counted_after_hooks;
                if stale {
                    self.asks.counted_after_hooks = true;
                    self.asks.guarded = false;
                    self.asks.lookout.look_anew(now, commands);
                }
                !stale
            }
            Gate::Skip(why) => {
                self.end(
                    NotificationStatus::Finished,
                    Some(format!("skipped: {why}")),
                    record,
                );
                false
            }
            Gate::Abort(why) => {
                self.end(
                    NotificationStatus::Failed,
                    Some(format!("nothing was done: {why}")),
                    record,
                );
                false
            }
            Gate::Wait | Gate::Run { .. } => false,
        }
    }

    /// Whether evacuations may be asked for, as far as hooks are concerned. Moves that they rule out are over then.
    pub(super) fn before_moves(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        if self.rejected.is_some() {
            return true;
        }
        match self.pass(Phase::Main, now, record, commands) {
            Gate::Open => {
                let flow = flow(&self.policy, self.method);
                if !flow.acts {
                    let why = "the workflow leaves out evacuate_instances_task";
                    self.leave_waiting(End::Left, why, now, record);
                }
                true
            }
            Gate::Skip(why) => {
                self.leave_waiting(End::Left, &format!("skipped: {why}"), now, record);
                true
            }
            Gate::Abort(why) => {
                self.leave_waiting(End::Person, &format!("not moved: {why}"), now, record);
                true
            }
            Gate::Wait | Gate::Run { .. } => false,
        }
    }

    /// Whether the notification may end. What these hooks say changes nothing but the notification's last word.
    pub(super) fn after_moves(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) -> bool {
        if self.rejected.is_some() {
            return true;
        }
        match self.pass(Phase::Post, now, record, commands) {
            Gate::Open | Gate::Skip(_) | Gate::Abort(_) => true,
            Gate::Wait | Gate::Run { .. } => false,
        }
    }

    /// The notification's last word, with what the hooks have to say.
    pub(super) fn with_hooks(
        &self,
        status: NotificationStatus,
        message: String,
    ) -> (NotificationStatus, String) {
        let status = match self.hooks.aborted() {
            Some(_) => NotificationStatus::Failed,
            None => status,
        };
        (status, self.hooks.with_remarks(message))
    }

    fn pass(&mut self, phase: Phase, now: Now, record: &mut Record, commands: &mut Vec<Command>) -> Gate {
        // What comes after the moves undoes nothing and begins nothing: no word of an operator stands against it.
        let may_begin = phase == Phase::Post || self.forbidden().is_none();
        let hooks = flow(&self.policy, self.method).hooks(phase);
        let hold = self.policy.proxy_hold;
        let gate = self.hooks.pass(phase, hooks, may_begin, hold, now, record);
        match &gate {
            Gate::Run { number, attempt } => {
                if let Some(hook) = hooks.get(usize::from(*number)).cloned() {
                    commands.push(Command::RunHook(Box::new(HookCall {
                        phase,
                        number: *number,
                        attempt: *attempt,
                        hook,
                        instances: self.told_instances(),
                        proof: self.proof.as_ref().map(|proof| proof.sentence(&self.host)),
                    })));
                }
            }
            Gate::Wait => self.tell_hook(now),
            Gate::Open | Gate::Skip(_) | Gate::Abort(_) => self.asks.troubles.end(Topic::Hook),
        }
        gate
    }

    fn tell_hook(&mut self, now: Now) {
        let Some((phase, number)) = self.hooks.running() else {
            return self.asks.troubles.end(Topic::Hook);
        };
        let hooks = flow(&self.policy, self.method).hooks(phase);
        if let Some(name) = hooks.get(usize::from(number)).map(crate::hooks::Hook::name) {
            self.asks
                .troubles
                .begin(Topic::Hook, now, || format!("waiting for hook {name}"));
        }
    }

    /// The instances as a hook is told of them, in the order of the moves; `None` before there is a plan.
    fn told_instances(&self) -> Option<Vec<HookInstance>> {
        if matches!(self.stage, Stage::Begin | Stage::Fencing) {
            return None;
        }
        let mut moves: Vec<_> = self.moves.values().collect();
        moves.sort_unstable_by_key(|one| (one.rank, one.server));
        let told = moves.into_iter().map(|one| HookInstance {
            id: one.server,
            name: Some(one.name.clone()),
            status: one.status().as_str(),
            dest_host: one.dest.clone(),
            message: one.note.clone(),
        });
        Some(told.collect())
    }

    fn leave_waiting(&mut self, end: End, why: &str, now: Now, record: &mut Record) {
        for one in self.moves.values_mut() {
            if matches!(one.step, MoveStep::Waiting { .. } | MoveStep::Held) {
                one.remark(why);
                finish(one, end, now, record);
            }
        }
    }
}
