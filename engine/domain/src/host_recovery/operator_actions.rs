//! The actions of operators, and the start of a new owner.

use std::collections::BTreeSet;
use std::time::Duration;

use super::decision_context::{DecisionContext, decision_context};
use super::fence::confirmation;
use super::guard::off_claim::{apply_off_claim, confirmed_off};
use super::in_flight::InFlight;
use super::service::heartbeat::renew_proof;
use super::{HoldKind, HostRecovery, Lock, Move, MoveStep, Stage, missing_claim};
use crate::guard::Guard;
use crate::proof::Proof;
use crate::recovery::action::{self, AppliedAction};
use crate::recovery::{
    DecisionTime, LOST_CALLS_MESSAGE, OperatorCommand, OperatorRequest, OperatorState, Record, StepKind, Task,
};
use crate::wait::Wait;

/// The guards that an approval lifted in a version that named no guards.
const LEGACY_STORM_GUARDS: [Guard; 2] = [Guard::Segment, Guard::Global];

impl HostRecovery {
    /// Starts a new owner, which has no requests in flight and receives no answers to the last owner's.
    pub(super) fn claimed(&mut self, operator_state: OperatorState, now: DecisionTime, record: &mut Record) {
        self.in_flight = InFlight::default();
        self.guard.forget_answers(now.elapsed);
        self.fence.forget_answers();
        self.service.forget_answers(now.elapsed);
        self.hooks.forget_answers();
        self.reserve.forget_answers();
        self.power_on.forget_answers();
        self.arrivals.forget_answers();
        if std::mem::take(&mut self.storm_approved) {
            let ctx = decision_context!(self, now, record);
            self.guard.lift_guards(
                LEGACY_STORM_GUARDS,
                (None, &BTreeSet::new()),
                Duration::ZERO,
                &ctx,
            );
        }
        // No engine has checked since the last owner did: other recoveries must not count on the proof before one has.
        renew_proof(&mut self.proof, record, Proof::clear_confirmations);
        // The wait is shown as this owner sees it, and not as the last one has left it.
        record.head = true;
        for instance in self.moves.values_mut() {
            instance.forget_answers(now.elapsed);
        }
        // The heartbeat was never noted after the host was forced down: its changes since then are unknown.
        if self.service.in_force
            && self.service.mark.is_none()
            && !self.arrivals.settled
            && matches!(self.stage, Stage::Listing | Stage::Moving)
        {
            self.service.in_force = false;
            self.enter(Stage::Disabling, record);
        }
        self.apply_operator_state(operator_state, now, record);
    }

    pub(super) fn apply_operator_state(
        &mut self,
        operator_state: OperatorState,
        now: DecisionTime,
        record: &mut Record,
    ) {
        // The wait as it was shown when the actions were given.
        let wait = self.wait.clone();
        for applied in action::apply(&operator_state, &mut self.last_action, Task::Fence, record) {
            apply_action(self, &applied, wait.as_ref(), &operator_state, now, record);
        }
        let mut ctx = decision_context!(self, now, record);
        let move_track = &mut self.in_flight.move_track;
        if move_track.apply_resolutions(
            &operator_state.move_words,
            &mut self.heard_moves,
            &mut self.moves,
            &mut ctx,
        ) {
            self.in_flight.listing.question.observed = None;
        }
        if let Some(claim) = &operator_state.off_claim {
            let lacked_claim = missing_claim(self).is_some();
            apply_off_claim(&mut self.off_claim, claim, record);
            if lacked_claim && self.came_with_evidence() && !self.is_untouched() {
                end_fence_hold(self, now, record);
            }
        }
        if operator_state.joined_normal {
            self.joined(now, record);
        }
        self.operator_state = Some(operator_state);
    }

    /// Handles a further report that the host is off, once. It replaces the status of the first one.
    fn joined(&mut self, now: DecisionTime, record: &mut Record) {
        if self.has_normal_report() {
            return;
        }
        self.reported = Some("NORMAL".into());
        record.head = true;
        record.step(
            Task::Fence,
            StepKind::Note,
            0.0,
            "a further report with host_status NORMAL joins this recovery",
        );
        end_fence_hold(self, now, record);
    }

    /// Continues past what an operator has approved. `waited`: the age of the approval.
    fn approved(&mut self, waited: Duration, now: DecisionTime, record: &mut Record) {
        let Some(hold) = self.hold.take() else {
            if let Some(waiting) = self.guarded().cloned() {
                let ctx = decision_context!(self, now, record);
                self.guard
                    .lift_guards(waiting.guards, (None, &BTreeSet::new()), waited, &ctx);
                self.guard.region_probe.clear();
            }
            return;
        };
        // An operator has acted, so the wait ends.
        for device_state in self.fence.device_states.values_mut() {
            device_state.not_before = now.elapsed;
        }
        self.service.not_before = now.elapsed;
        match hold.kind {
            HoldKind::Storm => {
                let guards = if hold.guards.is_empty() {
                    LEGACY_STORM_GUARDS.into()
                } else {
                    hold.guards
                };
                let shown = (hold.domain.as_ref(), &hold.hosts);
                let ctx = decision_context!(self, now, record);
                self.guard.lift_guards(guards, shown, waited, &ctx);
                self.guard.region_probe.clear();
                if self.stage == Stage::Fencing {
                    self.fence.begin_again(now.elapsed, &self.policy);
                }
            }
            HoldKind::Fence | HoldKind::DryRun | HoldKind::Alive => fence_again(self, now, record),
        }
    }
}

/// Confirms the host off again if that has failed: it may be off by now.
fn end_fence_hold(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    if state
        .hold
        .as_ref()
        .is_some_and(|hold| hold.kind == HoldKind::Fence)
    {
        state.hold = None;
        record.head = true;
        fence_again(state, now, record);
    }
}

/// Confirms the host off again, by the levels as they are configured now. An earlier proof may be by a device of another level,
/// which is not read any more, and the host may have run since.
fn fence_again(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    state.fence.begin_again(now.elapsed, &state.policy);
    if matches!(state.stage, Stage::Begin | Stage::Fencing) {
        return;
    }
    state.proof = None;
    state.guard.counted = false;
    state.service.begin_again(now.elapsed);
    // Silence seen before the host was seen running does not count now.
    state.service.observed = None;
    state.enter(Stage::Fencing, record);
}

/// Lists everything again, and follows Nova's records of this host's evacuations, including those without a move.
pub(super) fn rewound(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    if !state.is_stop_report() {
        // It has requested nothing.
        return;
    }
    state.rewound = true;
    record.head = true;
    for instance in state.moves.values_mut() {
        if is_lock_doubtful(instance) {
            instance.lock = Lock::Wanted;
            instance.unanswered_lock = Some(now.elapsed);
            record.moves.insert(instance.server);
        }
    }
    if matches!(state.stage, Stage::Returning | Stage::Starting) {
        // The notification is closed: it is corrected by what the next list shows.
        return;
    }
    state.message = Some(LOST_CALLS_MESSAGE.to_owned());
    if state.stage == Stage::Moving {
        state.enter(Stage::Listing, record);
    }
}

/// True if the journal may have lost the unlocking of an instance that is to be locked.
fn is_lock_doubtful(instance: &Move) -> bool {
    let needs_lock = matches!(
        instance.step,
        MoveStep::OnHold | MoveStep::Waiting { .. } | MoveStep::Asked { .. }
    );
    needs_lock && instance.lock == Lock::Ours
}

fn apply_action(
    state: &mut HostRecovery,
    applied: &AppliedAction,
    wait: Option<&Wait>,
    operator_state: &OperatorState,
    now: DecisionTime,
    record: &mut Record,
) {
    let action = &applied.request;
    // The action has waited for an engine to process it.
    let waited = operator_state
        .clock
        .map_or(0, |clock| clock.micros_since(action.at));
    let waited = Duration::from_micros(u64::try_from(waited).unwrap_or(0));
    log_action(action, &mut decision_context!(state, now, record));
    match action.word {
        OperatorCommand::Approve => {
            if let Some(freeze) = operator_state.frozen.of_host() {
                let text = format!("an approval does not end a freeze; `{}` does", freeze.thaw());
                record.step(Task::Fence, StepKind::Note, 0.0, text);
            }
            if let Some(why) = applied.mismatch_reason(wait) {
                record.step(Task::Fence, StepKind::Note, 0.0, why);
                return;
            }
            state
                .guard
                .heartbeats
                .apply(action, &mut decision_context!(state, now, record));
            // Only these holds are about the state of the host: an approval past a guard, or of a dry run, does not make the report more
            // recent.
            if state
                .hold
                .as_ref()
                .is_some_and(|hold| matches!(hold.kind, HoldKind::Fence | HoldKind::Alive))
            {
                confirmed_off(&mut state.off_claim, action.at);
            }
            state.approved(waited, now, record);
        }
        OperatorCommand::HostIsOff => {
            state
                .guard
                .heartbeats
                .apply(action, &mut decision_context!(state, now, record));
            // It confirms that the host is off, whatever the hold was about; a later hold of another kind is not covered. Nor is it an
            // approval of what guards wait for: an operator who has seen one host does not know about the others.
            if state.hold.is_some() && applied.is_for_this_kind(wait) {
                state.approved(waited, now, record);
            }
            let mut ctx = decision_context!(state, now, record);
            if confirmation::apply(&mut state.confirmation, (action, waited), &mut ctx) {
                // Nova is read after the confirmation, as the devices are.
                state.service.observed = None;
                state.fence.begin_again(now.elapsed, &state.policy);
            }
        }
        OperatorCommand::Reject => {
            if !matches!(state.stage, Stage::Returning | Stage::Starting | Stage::Done) {
                state.rejected = Some(action.by.clone());
                state.hold = None;
                // The database may have lost the plan, and its engines may have died. A list shows the instances that it locked.
                if state.moves.is_empty() && state.service.put.is_some() && !state.rewound {
                    state.rewound = true;
                    record.head = true;
                }
            }
        }
    }
}

fn log_action(action: &OperatorRequest, ctx: &mut DecisionContext<'_>) {
    let text = format!("{} by {}", action.word.verb(), action.by);
    let waited = ctx.hold.as_ref().map(|hold| ctx.now.elapsed.since(hold.since));
    let text = match waited {
        Some(waited) => format!("{text}, after {} s on hold", waited.as_secs()),
        None => text,
    };
    ctx.record.step(Task::Fence, StepKind::Note, 0.0, text);
}
