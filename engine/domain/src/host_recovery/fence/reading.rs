//! The answers of the devices.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, Moves, decision_context};
use super::super::guard::{GuardTrack, Suspect, suspect};
use super::super::monitor_heartbeats::{HeartbeatJudgement, OffReport};
use super::super::service::heartbeat::{renew_proof, revoke_proof};
use super::super::silence::MAX_OBSERVATION_GAP;
use super::super::{HostRecovery, Stage};
use super::confirmation::reject_confirmation;
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
const OFF_DEVICE_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between queries of a device while the guards wait for a scan.
const GUARDED_DEVICE_POLL_INTERVAL: Duration = Duration::from_millis(300);

impl Fence {
    /// Keeps the proof current while there is something left to request.
    pub(in super::super) fn keep_proof_fresh(
        &mut self,
        proof: Option<&Proof>,
        policy: &Policy,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        let due = proof.is_some_and(|proof| proof.needs_renewal(now.elapsed, policy.proof_age));
        if policy.fencing.queries_devices() && due && self.request_levels(now, commands) {
            self.read_devices(now, commands);
        }
    }
}

impl HostRecovery {
    /// Handles the answer of a device. `requested_at`: when the request was sent, and how long it had waited for a permit before.
    pub(in super::super) fn power_read(
        &mut self,
        target: &Target,
        requested_at: (Elapsed, Duration),
        result: Result<PowerReading, Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let started = requested_at.0;
        let suspect = suspect!(self);
        let mut ctx = decision_context!(self, now, record);
        let (fence, proof, moves) = (&mut self.fence, &mut self.proof, &self.moves);
        let Some(index) = fence.index_of(target) else {
            return late_reading(started, result, proof, moves, &mut ctx);
        };
        fence.device_state(index).reading = false;
        if started < self.freeze.restarted_at {
            return;
        }
        let deciding = *ctx.stage == Stage::Fencing && proof.is_none();
        let Some(dated) = fence.read((index, target), requested_at, result, deciding, &mut ctx) else {
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
            .is_some_and(|confirmation| started >= confirmation.received_at);
        if after && dated.reading.power == Power::On {
            let how = format!("{} reads {:?}", dated.reading.device, dated.reading.raw);
            return reject_confirmation(&mut self.confirmation, &how, fence, &mut ctx);
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
        revoke_proof(proof, moves, &how, ctx);
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
            revoke_proof(proof, moves, &how, ctx);
        }
        Power::Unknown => {
            let poll = ctx.now.elapsed.plus(ctx.policy.power_poll);
            fence.device_state(index).not_before = poll;
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
        self.device_state(index).waited += waited;
        let reading = match result {
            Ok(reading) => reading,
            Err(fault) => {
                self.not_read(index, &fault, deciding, now);
                let text = || format!("the host's power cannot be read: {}", fault.text);
                ctx.blockers.begin(BlockerKind::Power, now, text);
                return None;
            }
        };
        let device_state = self.device_state(index);
        device_state.faults = 0;
        if reading.power == Power::Unknown {
            device_state.record_unclear_reading(now.elapsed);
            let device = &reading.device;
            ctx.blockers.begin(BlockerKind::Power, now, || {
                format!(
                    "{device} does not show whether the host is off ({:?})",
                    reading.raw
                )
            });
        } else {
            device_state.unclear_since = None;
            ctx.blockers.end(BlockerKind::Power);
        }
        self.last_word = Some(format!("{} reads {:?}", reading.device, reading.raw));
        if reading.power == Power::Off {
            self.record_off_reading(target, started);
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
        let device_state = self.device_state(index);
        device_state.not_off = dated.reading.power != Power::Off;
        if device_state.not_off {
            device_state.first_off = None;
            device_state.latest_off = None;
            device_state.not_before = now.elapsed.plus(poll);
            return None;
        }
        let Some(first) = &device_state.first_off else {
            device_state.not_before = dated.started.plus(confirm);
            device_state.first_off = Some(dated);
            return None;
        };
        let enough = first.started.plus(confirm);
        if dated.started < enough || dated.started == first.started {
            device_state.not_before = enough;
            return None;
        }
        device_state.not_before = now.elapsed.plus(poll);
        device_state.latest_off = Some(dated);
        let proof = self.level_proof(policy, now)?;
        let named = (0..self.devices().len()).all(|index| self.device_state(index).names_machine());
        if !suspect.is_silent_in_nova(&proof, named, self, guard, ctx) {
            let soon = suspect
                .service
                .silent_in(now.elapsed)
                .unwrap_or(OFF_DEVICE_POLL_INTERVAL);
            self.device_state(index).not_before = now
                .elapsed
                .plus(soon.clamp(OFF_DEVICE_POLL_INTERVAL, poll.max(OFF_DEVICE_POLL_INTERVAL)));
            return None;
        }
        let shown = guard.region_probe.heartbeats(ctx.host_id);
        if let Some(claim) = OffReport::of(&proof, None)
            && let HeartbeatJudgement::Contradicted(why) =
                guard.heartbeats.judge(&claim, now.elapsed, shown, ctx)
        {
            let evidence = proof.summary();
            self.device_state(index).failed = Some(Failure {
                why: format!("{evidence}, but {why}"),
                lasting: false,
            });
            return None;
        }
        let read_before = |moved: Elapsed| {
            self.device_states
                .values()
                .any(|device_state| device_state.read_off_before(moved))
        };
        if suspect.service.moved.is_some_and(read_before) {
            let device_states = self.device_states.values_mut();
            device_states.for_each(|device_state| device_state.forget_readings(now.elapsed));
            return None;
        }
        // No order has switched it off. A fresh scan must let the guards decide whether it may be treated as lost.
        if !self.ordered && !guard.pass_last_scan(GuardPhase::Proof, suspect, ctx) {
            self.device_state(index).not_before = now.elapsed.plus(GUARDED_DEVICE_POLL_INTERVAL);
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
            self.device_state(index).ordering = false;
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
                    self.device_state(index).not_before = now.elapsed;
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
        let hopeless = self.ends_level(index, &fault);
        let device_state = self.device_state(index);
        device_state.faults = device_state.faults.saturating_add(1);
        device_state.record_unclear_reading(now.elapsed);
        device_state.off_not_before = now.elapsed.plus(backoff(device_state.faults));
        if hopeless {
            // The device can be read, and an operator may switch the host off by hand: a retry soon is worthwhile.
            device_state.failed = Some(Failure {
                why: format!("it cannot be powered off: {}", fault.text),
                lasting: false,
            });
        }
    }
}

impl Suspect<'_> {
    /// True if Nova is silent too. A controller that is cabled to another machine, or answers under its address, reports the power
    /// of that machine. Therefore the host must be down in Nova as well.
    fn is_silent_in_nova(
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
                .is_some_and(|age| age <= MAX_OBSERVATION_GAP)
        };
        let was_silent = self.service.was_silent() && (named || was_read());
        if silent || (fence.ordered && was_silent) {
            ctx.blockers.end(BlockerKind::HostUp);
            return true;
        }
        guard.wait_for_silence(self, ctx);
        if let Some(heartbeat) = self.service.up_evidence(now.elapsed) {
            let evidence = proof.summary();
            // In every failure the power device answers "off" before Nova's heartbeat is stale.
            let readings = fence
                .device_states
                .values()
                .filter_map(|one| one.first_off.as_ref());
            let off_since = readings.map(|first| first.started).min().unwrap_or(fence.began);
            let doubt = if now.elapsed.since(off_since) < ctx.policy.heartbeat_stale {
                " (normal until the Nova heartbeat is stale)"
            } else {
                " (of another machine? see `tachi fence test`)"
            };
            let heartbeat = format!("{heartbeat}; {evidence}{doubt}");
            self.contradicted(&heartbeat, fence.began, guard, ctx);
        }
        false
    }
}
