//! The devices of the level that is being tried: the requests to them, and their answers.

use super::super::Stage;
use super::super::decision_context::DecisionContext;
use super::{DeviceState, Failure, Fence, Order};
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::level::{Device, Level, Target};
use crate::policy::Policy;
use crate::proof::Proof;
use crate::question::{Question, backoff};
use crate::recovery::{Command, DecisionTime, DeviceOutcome, Record, StepKind, Task};

/// Maximum number of orders to a device in one try of its level: the first, and a second after half its time.
const MAX_ORDERS: usize = 2;

impl Fence {
    /// True if the devices of the host are known. Requests them if they are not.
    pub(in super::super) fn request_levels(
        &mut self,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) -> bool {
        if self.levels.is_some() {
            return true;
        }
        if self.question.send(now.elapsed) {
            commands.push(Command::ReadLevels);
        }
        false
    }

    /// Returns the state of a device of the current level.
    pub(in super::super) fn device_state(&mut self, index: usize) -> &mut DeviceState {
        self.device_states.entry(index).or_default()
    }

    /// Queries every device of the level whose next query is due.
    pub(in super::super) fn read_devices(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        let levels = self.levels.as_deref().unwrap_or_default();
        let devices = levels.get(self.level).map_or(&[][..], |level| &level.devices);
        for (index, device) in devices.iter().enumerate() {
            let device_state = self.device_states.entry(index).or_default();
            if device_state.reading || device_state.ordering || now.elapsed < device_state.not_before {
                continue;
            }
            device_state.reading = true;
            commands.push(Command::ReadPower(device.target.clone()));
        }
    }

    /// Returns the failure of the current level. A level has failed if one of its devices has.
    pub(super) fn level_failure(&self, level: &Level, policy: &Policy, now: DecisionTime) -> Option<Failure> {
        level.devices.iter().enumerate().find_map(|(index, device)| {
            let device_state = self.device_states.get(&index)?;
            let overdue = || self.overdue(device, device_state, policy, now);
            let late = || overdue().map(|why| Failure { why, lasting: false });
            let mut failure = device_state.failed.clone().or_else(late)?;
            if level.devices.len() > 1 {
                failure.why = format!("{}: {}", device.target, failure.why);
            }
            Some(failure)
        })
    }

    /// Returns a reason if a device has used up its time. Waiting for a permit does not count as the device's time.
    fn overdue(
        &self,
        device: &Device,
        device_state: &DeviceState,
        policy: &Policy,
        now: DecisionTime,
    ) -> Option<String> {
        // A request in flight is answered first; one that hangs ends by its own deadline.
        if device_state.first_off.is_some() || device_state.reading {
            return None;
        }
        let limit = device.patience(policy);
        let over = |since: Elapsed| now.elapsed.since(since).saturating_sub(device_state.waited) >= limit;
        let last_answer = self.last_word.as_deref().unwrap_or("it has not answered");
        let seconds = limit.as_secs();
        let ordered = self.orders_of(&device.target).next().map(|order| order.at);
        if ordered.is_some_and(over) {
            return Some(format!("it did not power off within {seconds} s: {last_answer}"));
        }
        let unclear = device_state.unclear_since.is_some_and(over);
        unclear.then(|| format!("it has not shown for {seconds} s whether the host is off: {last_answer}"))
    }

    /// True if a device is to be ordered off, provided that the host is down in Nova too.
    pub(super) fn needs_order(&self, policy: &Policy, now: DecisionTime) -> bool {
        let devices = self.devices().iter().enumerate();
        devices
            .into_iter()
            .any(|(index, device)| self.may_order_off(index, device, policy, now))
    }

    /// True if a power-off may be sent: not while an unanswered one may still take effect. After an
    /// accepted one, half of the device's time has to pass first.
    pub(super) fn may_order_off(
        &self,
        index: usize,
        device: &Device,
        policy: &Policy,
        now: DecisionTime,
    ) -> bool {
        let Some(device_state) = self.device_states.get(&index) else {
            return false;
        };
        if !device_state.not_off
            || device_state.ordering
            || device_state.failed.is_some()
            || now.elapsed < device_state.off_not_before
        {
            return false;
        }
        // An order without a target comes from a version that knew one device per host, which may be any of these.
        let same = |order: &&Order| {
            order
                .target
                .as_ref()
                .is_none_or(|target| *target == device.target)
        };
        let unanswered = self.orders.iter().filter(|order| !order.answered);
        if unanswered
            .filter(same)
            .any(|order| order.may_take_effect(now.elapsed, policy))
        {
            return false;
        }
        let mut orders = self.orders_of(&device.target);
        let Some(first) = orders.next() else {
            return true;
        };
        let half = device.patience(policy) / 2 + device_state.waited;
        1 + orders.count() < MAX_ORDERS && now.elapsed.since(first.at) >= half
    }

    /// Records that a device's power could not be read. If the reading was to decide something, its level may have failed with it.
    pub(super) fn not_read(&mut self, index: usize, fault: &Fault, deciding: bool, now: DecisionTime) {
        let hopeless = self.ends_level(index, fault);
        let device_state = self.device_state(index);
        device_state.first_off = None;
        device_state.latest_off = None;
        device_state.not_off = false;
        device_state.faults = device_state.faults.saturating_add(1);
        device_state.record_unclear_reading(now.elapsed);
        device_state.not_before = now.elapsed.plus(backoff(device_state.faults));
        if deciding && hopeless {
            device_state.failed = Some(Failure {
                why: format!("its power cannot be read: {}", fault.text),
                lasting: is_permanent(fault),
            });
        }
        self.last_word = Some(fault.text.clone());
    }

    /// True if this fault, after those before it, ends the device's level. It does so at once if it is not transient, or if another
    /// machine answers, which an operator may correct at any moment. Otherwise it does so after all attempts, if there is a next level.
    pub(super) fn ends_level(&self, index: usize, fault: &Fault) -> bool {
        let faults = self
            .device_states
            .get(&index)
            .map_or(0, |device_state| device_state.faults);
        let device = self.devices().get(index);
        let attempts = device.map_or(1, |device| device.attempts);
        is_permanent(fault)
            || fault.class == FaultClass::Conflict
            || (!self.is_last() && faults.saturating_add(1) >= attempts)
    }

    /// Returns the proof if every device of the level has read "off" twice, and recently enough to count together.
    pub(super) fn level_proof(&self, policy: &Policy, now: DecisionTime) -> Option<Proof> {
        let level = self.current()?;
        let mut pairs = Vec::new();
        for index in 0..level.devices.len() {
            let device_state = self.device_states.get(&index)?;
            let (first, latest) = (
                device_state.first_off.as_ref()?,
                device_state.latest_off.as_ref()?,
            );
            if level.devices.len() > 1 && now.elapsed.since(latest.started) > policy.proof_age / 2 {
                return None;
            }
            pairs.push((first, latest));
        }
        Proof::from_level(level.number, &pairs, policy.power_confirm)
    }

    /// True if every device of the level has answered, and not all with "off".
    pub(in super::super) fn is_level_unclear(&self) -> bool {
        let mut all_off = true;
        for index in 0..self.targets().len() {
            let Some(answer) = self.device_states.get(&index).and_then(DeviceState::reads_off) else {
                return false;
            };
            all_off &= answer;
        }
        !all_off || self.targets().is_empty()
    }

    /// Records the outcome of a level for the metrics.
    pub(super) fn record_order(&self, off: bool, now: DecisionTime, record: &mut Record) {
        let took = now.elapsed.since(self.level_began);
        let outcomes = self.devices().iter().map(|device| DeviceOutcome {
            device: device.target.device.clone(),
            off,
            took,
        });
        record.fenced.extend(outcomes);
    }

    /// Records the levels of the host. Drops those without a device, because no reading could confirm the host off by them.
    pub(in super::super) fn apply_levels(&mut self, mut levels: Vec<Level>, ctx: &mut DecisionContext<'_>) {
        self.question.answered();
        if self.levels.is_some() {
            return;
        }
        levels.retain(|level| !level.devices.is_empty());
        self.level = 0;
        self.level_began = ctx.now.elapsed;
        self.device_states.clear();
        ctx.record.head = true;
        if levels.len() > 1 && *ctx.stage == Stage::Fencing && ctx.hold.is_none() {
            let names: Vec<String> = levels.iter().map(ToString::to_string).collect();
            let text = format!(
                "confirming that host {} is off by {}",
                ctx.host,
                names.join(", else by ")
            );
            ctx.record.step(Task::Fence, StepKind::Note, 0.1, text);
        }
        self.levels = Some(levels);
    }

    /// Records that a query was not sent.
    pub(in super::super) fn not_asked(&mut self, target: &Target) {
        if let Some(index) = self.index_of(target) {
            self.device_state(index).reading = false;
        }
    }

    /// Records that a power-off was not sent, so it cannot take effect.
    pub(in super::super) fn not_sent(&mut self, target: &Target) {
        let ours = |order: &Order| !order.answered && order.target.as_ref() == Some(target);
        if let Some(last) = self.orders.iter().rposition(ours) {
            self.orders.remove(last);
            // An order that was never sent does not count as given.
            self.ordered = self.ordered_before || !self.orders.is_empty();
            if !self.ordered {
                // Nor does the approval under which it was decided.
                self.approved.clear();
            }
        }
        if let Some(index) = self.index_of(target) {
            self.device_state(index).ordering = false;
        }
    }

    /// Drops all answers of devices and all queries in flight.
    pub(super) fn forget_devices(&mut self) {
        self.question = Question::default();
        self.device_states.clear();
    }

    /// Returns the earliest times of the next query of, and the next order to, each device.
    pub(in super::super) fn moments(&self) -> impl Iterator<Item = Elapsed> {
        let device_states = self.device_states.values();
        device_states.flat_map(|device_state| [device_state.not_before, device_state.off_not_before])
    }
}

/// True if a retry a moment later would fail in the same way.
fn is_permanent(fault: &Fault) -> bool {
    match fault.class {
        FaultClass::Permanent | FaultClass::Fatal => true,
        FaultClass::Transient | FaultClass::Conflict => false,
    }
}
