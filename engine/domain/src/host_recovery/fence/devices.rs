//! The devices of the level that is being tried: the requests to them, and their answers.

use super::super::Stage;
use super::super::decision_context::DecisionContext;
use super::{Failure, Fence, Order, Post};
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::level::{Device, Level, Target};
use crate::policy::Policy;
use crate::proof::Proof;
use crate::question::{Question, backoff};
use crate::recovery::{Command, DecisionTime, DeviceOutcome, Record, StepKind, Task};

/// Maximum number of orders to a device in one try of its level: the first, and a second after half its time.
const ORDERS: usize = 2;

impl Fence {
    /// True if the devices of the host are known. Requests them if they are not.
    pub(in super::super) fn want_levels(&mut self, now: DecisionTime, commands: &mut Vec<Command>) -> bool {
        if self.levels.is_some() {
            return true;
        }
        if self.question.send(now.elapsed) {
            commands.push(Command::LearnLevels);
        }
        false
    }

    /// Returns the state of a device of the current level.
    pub(in super::super) fn post(&mut self, index: usize) -> &mut Post {
        self.posts.entry(index).or_default()
    }

    /// Queries every device of the level whose next query is due.
    pub(in super::super) fn read_devices(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        let levels = self.levels.as_deref().unwrap_or_default();
        let devices = levels.get(self.level).map_or(&[][..], |level| &level.devices);
        for (index, device) in devices.iter().enumerate() {
            let post = self.posts.entry(index).or_default();
            if post.reading || post.ordering || now.elapsed < post.not_before {
                continue;
            }
            post.reading = true;
            commands.push(Command::ReadPower(device.target.clone()));
        }
    }

    /// Returns the failure of the current level. A level has failed if one of its devices has.
    pub(super) fn level_failure(&self, level: &Level, policy: &Policy, now: DecisionTime) -> Option<Failure> {
        level.devices.iter().enumerate().find_map(|(index, device)| {
            let post = self.posts.get(&index)?;
            let overdue = || self.overdue(device, post, policy, now);
            let late = || overdue().map(|why| Failure { why, lasting: false });
            let mut failure = post.failed.clone().or_else(late)?;
            if level.devices.len() > 1 {
                failure.why = format!("{}: {}", device.target, failure.why);
            }
            Some(failure)
        })
    }

    /// Returns a reason if a device has used up its time. Waiting for a permit does not count as the device's time.
    fn overdue(&self, device: &Device, post: &Post, policy: &Policy, now: DecisionTime) -> Option<String> {
        // A request in flight is answered first; one that hangs ends by its own deadline.
        if post.first_off.is_some() || post.reading {
            return None;
        }
        let limit = device.patience(policy);
        let over = |since: Elapsed| now.elapsed.since(since).saturating_sub(post.waited) >= limit;
        let word = self.last_word.as_deref().unwrap_or("it has not answered");
        let seconds = limit.as_secs();
        let ordered = self.orders_of(&device.target).next().map(|order| order.at);
        if ordered.is_some_and(over) {
            return Some(format!("it did not power off within {seconds} s: {word}"));
        }
        let unclear = post.unclear_since.is_some_and(over);
        unclear.then(|| format!("it has not shown for {seconds} s whether the host is off: {word}"))
    }

    /// True if a device is to be ordered off, provided that the host is down in Nova too.
    pub(super) fn wants_order(&self, policy: &Policy, now: DecisionTime) -> bool {
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
        let Some(post) = self.posts.get(&index) else {
            return false;
        };
        if !post.not_off || post.ordering || post.failed.is_some() || now.elapsed < post.off_not_before {
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
            .any(|order| order.may_come(now.elapsed, policy))
        {
            return false;
        }
        let mut orders = self.orders_of(&device.target);
        let Some(first) = orders.next() else {
            return true;
        };
        let half = device.patience(policy) / 2 + post.waited;
        1 + orders.count() < ORDERS && now.elapsed.since(first.at) >= half
    }

    /// Records that a device's power could not be read. If the reading was to decide something, its level may have failed with it.
    pub(super) fn not_read(&mut self, index: usize, fault: &Fault, deciding: bool, now: DecisionTime) {
        let hopeless = self.is_hopeless(index, fault);
        let post = self.post(index);
        post.first_off = None;
        post.latest_off = None;
        post.not_off = false;
        post.faults = post.faults.saturating_add(1);
        post.not_clear(now.elapsed);
        post.not_before = now.elapsed.plus(backoff(post.faults));
        if deciding && hopeless {
            post.failed = Some(Failure {
                why: format!("its power cannot be read: {}", fault.text),
                lasting: is_lasting(fault),
            });
        }
        self.last_word = Some(fault.text.clone());
    }

    /// True if this fault, after those before it, ends the device's level. It does so at once if it is not transient, or if another
    /// machine answers, which an operator may correct at any moment. Otherwise it does so after all attempts, if there is a next level.
    pub(super) fn is_hopeless(&self, index: usize, fault: &Fault) -> bool {
        let faults = self.posts.get(&index).map_or(0, |post| post.faults);
        let device = self.devices().get(index);
        let attempts = device.map_or(1, |device| device.attempts);
        is_lasting(fault)
            || fault.class == FaultClass::Conflict
            || (!self.is_last() && faults.saturating_add(1) >= attempts)
    }

    /// Returns the proof if every device of the level has read "off" twice, and recently enough to count together.
    pub(super) fn level_is_off(&self, policy: &Policy, now: DecisionTime) -> Option<Proof> {
        let level = self.current()?;
        let mut pairs = Vec::new();
        for index in 0..level.devices.len() {
            let post = self.posts.get(&index)?;
            let (first, latest) = (post.first_off.as_ref()?, post.latest_off.as_ref()?);
            if level.devices.len() > 1 && now.elapsed.since(latest.started) > policy.proof_age / 2 {
                return None;
            }
            pairs.push((first, latest));
        }
        Proof::from_level(level.number, &pairs, policy.power_confirm)
    }

    /// True if every device of the level has answered, and not all with "off".
    pub(in super::super) fn level_cannot_tell(&self) -> bool {
        let mut all_off = true;
        for index in 0..self.targets().len() {
            let Some(answer) = self.posts.get(&index).and_then(Post::says_off) else {
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
    pub(in super::super) fn learn_levels(&mut self, mut levels: Vec<Level>, ctx: &mut DecisionContext<'_>) {
        self.question.answered();
        if self.levels.is_some() {
            return;
        }
        levels.retain(|level| !level.devices.is_empty());
        self.level = 0;
        self.level_began = ctx.now.elapsed;
        self.posts.clear();
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
            self.post(index).reading = false;
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
            self.post(index).ordering = false;
        }
    }

    /// Drops all answers of devices and all queries in flight.
    pub(super) fn forget_devices(&mut self) {
        self.question = Question::default();
        self.posts.clear();
    }

    /// Returns the earliest times of the next query of, and the next order to, each device.
    pub(in super::super) fn moments(&self) -> impl Iterator<Item = Elapsed> {
        let posts = self.posts.values();
        posts.flat_map(|post| [post.not_before, post.off_not_before])
    }
}

/// True if a retry a moment later would fail in the same way.
fn is_lasting(fault: &Fault) -> bool {
    match fault.class {
        FaultClass::Permanent | FaultClass::Fatal => true,
        FaultClass::Transient | FaultClass::Conflict => false,
    }
}
