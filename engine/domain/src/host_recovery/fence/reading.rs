//! The answers of the devices.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, Moves, decision_context};
use super::super::guard::{GuardTrack, Suspect, suspect};
use super::super::monitor_heartbeats::{HeartbeatJudgement, OffReport};
use super::super::service::heartbeat::{renew_proof, seen_alive};
use super::super::silence::UNSEEN;
use super::super::{HostRecovery, Stage};
use super::confirmation::gainsaid;
use super::{Failure, Fence, Order};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::guard::GuardPhase;
use crate::level::Target;
use crate::policy::Policy;
use crate::power::{Power, PowerReading};
use crate::proof::{DatedReading, Proof};
use crate::question::backoff;
use crate::recovery::{Command, DecisionTime, Record, StepKind, Task};

/// Minimum interval between queries of a device that reads "off" while the host is up in Nova.
const LISTEN: Duration = Duration::from_secs(1);

/// Interval between queries of a device while the guards wait for a scan.
const LOOKED: Duration = Duration::from_millis(300);

impl Fence {
    /// Keeps the proof current while there is something left to request.
    pub(in super::super) fn want_proof(
        &mut self,
        proof: Option<&Proof>,
        policy: &Policy,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        let due = proof.is_some_and(|proof| proof.wants_renewal(now.elapsed, policy.proof_age));
        if policy.fencing.asks_devices() && due && self.want_levels(now, commands) {
            self.read_devices(now, commands);
        }
    }
}

impl HostRecovery {
    /// Handles the answer of a device. `asked`: when the request was sent, and how long it had waited for a permit before.
    pub(in super::super) fn power_read(
        &mut self,
        target: &Target,
        asked: (Elapsed, Duration),
        result: Result<PowerReading, Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let started = asked.0;
        let suspect = suspect!(self);
        let mut ctx = decision_context!(self, now, record);
        let (fence, proof, moves) = (&mut self.fence, &mut self.proof, &self.moves);
        let Some(index) = fence.index_of(target) else {
            return late_reading(started, result, proof, moves, &mut ctx);
        };
        fence.post(index).reading = false;
        if started < self.freeze.restarted_at {
            return;
        }
        let deciding = *ctx.stage == Stage::Fencing && proof.is_none();
        let Some(dated) = fence.read((index, target), asked, result, deciding, &mut ctx) else {
            return;
        };
        self.power_on.power_read(index, &dated, fence, moves, &mut ctx);
        if proof.is_some() {
            return read_after_proof(index, &dated, fence, proof, moves, &mut ctx);
        }
        if *ctx.stage != Stage::Fencing {
            return;
        }
        // A reading requested before the confirmation shows nothing about it.
        let after = self
            .confirmation
            .as_ref()
            .is_some_and(|confirmation| started >= confirmation.heard);
        if after && dated.reading.power == Power::On {
            let how = format!("{} reads {:?}", dated.reading.device, dated.reading.raw);
            return gainsaid(&mut self.confirmation, &how, fence, &mut ctx);
        }
        if let Some(proof) = fence.read_before_proof(index, dated, &mut self.guard, &suspect, &mut ctx) {
            self.proven(proof, now, record);
        }
    }
}

/// Handles a reading from a device of a level that was left. The recovery does not wait for it. But if the device reads the host
/// as on after another level has confirmed it off, the host is not confirmed off.
fn late_reading(
    started: Elapsed,
    result: Result<PowerReading, Fault>,
    proof: &mut Option<Proof>,
    moves: &Moves,
    ctx: &mut DecisionContext<'_>,
) {
    let after = proof.as_ref().is_some_and(|proof| started > proof.since());
    if let Ok(reading) = result
        && after
        && reading.power == Power::On
    {
        let how = format!(
            "{} reads {:?} after it was confirmed off",
            reading.device, reading.raw
        );
        seen_alive(proof, moves, &how, ctx);
    }
}

/// Handles a reading after the proof. A host that reads as on ends all further submits of the episode. Unknown proves
/// nothing either way; the proof only ages.
fn read_after_proof(
    index: usize,
    dated: &DatedReading,
    fence: &mut Fence,
    proof: &mut Option<Proof>,
    moves: &Moves,
    ctx: &mut DecisionContext<'_>,
) {
    match dated.reading.power {
        Power::Off => {
            renew_proof(proof, ctx.record, |proof| {
                proof.renew_by_reading(index, dated);
            });
        }
        Power::On => {
            let how = format!(
                "{} reads {:?} after it was confirmed off",
                dated.reading.device, dated.reading.raw
            );
            seen_alive(proof, moves, &how, ctx);
        }
        Power::Unknown => {
            let poll = ctx.now.elapsed.plus(ctx.policy.power_poll);
            fence.post(index).not_before = poll;
        }
    }
}

impl Fence {
    /// Handles the answer of a device of the current level. `deciding`: the reading is to confirm the host off.
    fn read(
        &mut self,
        (index, target): (usize, &Target),
        (started, waited): (Elapsed, Duration),
        result: Result<PowerReading, Fault>,
        deciding: bool,
        ctx: &mut DecisionContext<'_>,
    ) -> Option<DatedReading> {
        let now = ctx.now;
        self.post(index).waited += waited;
        let reading = match result {
            Ok(reading) => reading,
            Err(fault) => {
                self.not_read(index, &fault, deciding, now);
                let text = || format!("the host's power cannot be read: {}", fault.text);
                ctx.troubles.begin(BlockerKind::Power, now, text);
                return None;
            }
        };
        let post = self.post(index);
        post.faults = 0;
        if reading.power == Power::Unknown {
            post.not_clear(now.elapsed);
            let device = &reading.device;
            ctx.troubles.begin(BlockerKind::Power, now, || {
                format!(
                    "{device} does not show whether the host is off ({:?})",
                    reading.raw
                )
            });
        } else {
            post.unclear_since = None;
            ctx.troubles.end(BlockerKind::Power);
        }
        self.last_word = Some(format!("{} reads {:?}", reading.device, reading.raw));
        if reading.power == Power::Off {
            self.saw_off(target, started);
        }
        Some(DatedReading { started, reading })
    }

    /// Handles a reading before there is a proof, and returns the proof if the level gives it.
    fn read_before_proof(
        &mut self,
        index: usize,
        dated: DatedReading,
        guard: &mut GuardTrack,
        suspect: &Suspect<'_>,
        ctx: &mut DecisionContext<'_>,
    ) -> Option<Proof> {
        let (now, policy) = (ctx.now, ctx.policy);
        let device = self.devices().get(index)?;
        // A reading requested before the order shows nothing of its effect, and one of an earlier try nothing about now.
        let ordered = self.orders_of(&device.target).last().map(|order| order.at);
        if dated.started < self.level_began || ordered.is_some_and(|at| dated.started < at) {
            return None;
        }
        let poll = device.poll.unwrap_or(policy.power_poll);
        let confirm = policy.power_confirm;
        let post = self.post(index);
        post.not_off = dated.reading.power != Power::Off;
        if post.not_off {
            post.first_off = None;
            post.latest_off = None;
            post.not_before = now.elapsed.plus(poll);
            return None;
        }
        let Some(first) = &post.first_off else {
            post.not_before = dated.started.plus(confirm);
            post.first_off = Some(dated);
            return None;
        };
        let enough = first.started.plus(confirm);
        if dated.started < enough || dated.started == first.started {
            post.not_before = enough;
            return None;
        }
        post.not_before = now.elapsed.plus(poll);
        post.latest_off = Some(dated);
        let proof = self.level_is_off(policy, now)?;
        let named = (0..self.devices().len()).all(|index| self.post(index).names_machine());
        if !suspect.is_silent_beside(&proof, named, self, guard, ctx) {
            let soon = suspect.service.silent_in(now.elapsed).unwrap_or(LISTEN);
            self.post(index).not_before = now.elapsed.plus(soon.clamp(LISTEN, poll.max(LISTEN)));
            return None;
        }
        let shown = guard.lookout.heartbeats(ctx.host_id);
        if let Some(claim) = OffReport::of(&proof, None)
            && let HeartbeatJudgement::Contradicted(why) =
                guard.heartbeats.judge(&claim, now.elapsed, shown, ctx)
        {
            let evidence = proof.summary();
            self.post(index).failed = Some(Failure {
                why: format!("{evidence}, but {why}"),
                lasting: false,
            });
            return None;
        }
        let read_before = |moved: Elapsed| self.posts.values().any(|post| post.read_off_before(moved));
        if suspect.service.moved.is_some_and(read_before) {
            let posts = self.posts.values_mut();
            posts.for_each(|post| post.forget_readings(now.elapsed));
            return None;
        }
        // No order has switched it off. A fresh scan must let the guards decide whether it may be treated as lost.
        if !self.ordered && !guard.are_content(GuardPhase::Proof, suspect, ctx) {
            self.post(index).not_before = now.elapsed.plus(LOOKED);
            return None;
        }
        Some(proof)
    }

    pub(in super::super) fn order_answered(
        &mut self,
        target: &Target,
        result: Result<(), Fault>,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, record) = (ctx.now, &mut *ctx.record);
        let index = self.index_of(target);
        if let Some(index) = index {
            self.post(index).ordering = false;
        }
        let waiting = |order: &Order| !order.answered && order.target.as_ref() == Some(target);
        let Some(at) = self.orders.iter().rposition(waiting) else {
            return;
        };
        record.head = true;
        let fault = match result {
            Ok(()) => {
                if let Some(order) = self.orders.get_mut(at) {
                    order.answered = true;
                }
                let text = format!("{target} has accepted the power-off; waiting for \"off\"");
                record.step(Task::Fence, StepKind::Outcome, 0.5, text);
                if let Some(index) = index {
                    self.post(index).not_before = now.elapsed;
                }
                return;
            }
            Err(fault) => fault,
        };
        let text = format!("{target} has not accepted the power-off: {}", fault.text);
        record.step(Task::Fence, StepKind::Outcome, 0.3, text);
        self.last_word = Some(fault.text.clone());
        if fault.maybe_done {
            // It may have taken effect: its effect is checked for, and it is not repeated before that is ruled out.
            return;
        }
        self.orders.remove(at);
        // The order was sent, although the device has refused it.
        self.ordered_before = true;
        let Some(index) = index else { return };
        let hopeless = self.is_hopeless(index, &fault);
        let post = self.post(index);
        post.faults = post.faults.saturating_add(1);
        post.not_clear(now.elapsed);
        post.off_not_before = now.elapsed.plus(backoff(post.faults));
        if hopeless {
            // The device can be read, and an operator may switch the host off by hand: a retry soon is worthwhile.
            post.failed = Some(Failure {
                why: format!("it cannot be powered off: {}", fault.text),
                lasting: false,
            });
        }
    }
}

impl Suspect<'_> {
    /// True if Nova is silent too. A controller that is cabled to another machine, or answers under its address, reports the power
    /// of that machine. Therefore the host must be down in Nova as well.
    fn is_silent_beside(
        &self,
        proof: &Proof,
        named: bool,
        fence: &Fence,
        guard: &mut GuardTrack,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let now = ctx.now;
        // A reading that does not name the machine may be about any machine.
        let silent = if named {
            self.service.is_silent(now.elapsed)
        } else {
            self.is_surely_silent(now.elapsed, ctx.policy)
        };
        // An episode that started in silence continues although Nova has stopped answering.
        let was_read = || {
            self.service
                .question
                .age(now.elapsed)
                .is_some_and(|age| age <= UNSEEN)
        };
        let was_silent = self.service.was_silent() && (named || was_read());
        if silent || (fence.ordered && was_silent) {
            ctx.troubles.end(BlockerKind::Heard);
            return true;
        }
        guard.wait_for_silence(self, ctx);
        if let Some(heartbeat) = self.service.up_evidence(now.elapsed) {
            let evidence = proof.summary();
            // In every failure the power device answers "off" before Nova's heartbeat is stale.
            let doubt = if now.elapsed.since(fence.began) < ctx.policy.heartbeat_stale {
                " (Nova may still show a heartbeat from before the failure)"
            } else {
                " (of another machine? see `tachi fence test`)"
            };
            let heartbeat = format!("{heartbeat} while {evidence}{doubt}");
            self.contradicted(&heartbeat, fence.began, guard, ctx);
        }
        false
    }
}
