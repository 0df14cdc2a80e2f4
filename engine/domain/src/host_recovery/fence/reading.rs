//! What the devices say.

use std::time::Duration;

use super::super::question::backoff;
use super::super::trouble::Topic;
use super::super::{HostRecovery, Stage};
use super::{Failure, Order};
use crate::Elapsed;
use crate::fault::Fault;
use crate::guard::Moment;
use crate::level::Target;
use crate::power::{Power, PowerReading};
use crate::proof::{DatedReading, Proof};
use crate::recovery::{Command, Now, Record, StepKind, Task};

/// The least time until a device that says "off" is asked again while Nova hears the host.
const LISTEN: Duration = Duration::from_secs(1);

/// How soon a device is asked again while the guards look around.
const LOOKED: Duration = Duration::from_millis(300);

impl HostRecovery {
    /// Keeps the proof young while there is something left to be asked for (R17).
    pub(in super::super) fn want_proof(&mut self, now: Now, commands: &mut Vec<Command>) {
        let Some(proof) = &self.proof else { return };
        if self.policy.fencing.asks_devices()
            && proof.wants_renewal(now.elapsed, self.policy.proof_age)
            && self.fence.want_levels(now, commands)
        {
            self.fence.read_devices(now, commands);
        }
    }

    /// `asked`: when the question was sent, and how long it had waited for its turn before.
    pub(in super::super) fn power_read(
        &mut self,
        target: &Target,
        asked: (Elapsed, Duration),
        result: Result<PowerReading, Fault>,
        now: Now,
        record: &mut Record,
    ) {
        let (started, waited) = asked;
        let Some(index) = self.fence.index_of(target) else {
            return self.late_reading(started, result, now, record);
        };
        let anew = self.freeze.anew;
        let post = self.fence.post(index);
        post.reading = false;
        if started < anew {
            return;
        }
        post.waited += waited;
        let reading = match result {
            Ok(reading) => reading,
            Err(fault) => {
                let deciding = self.stage == Stage::Fencing && self.proof.is_none();
                self.fence.not_read(index, &fault, deciding, now);
                let text = || format!("the host's power cannot be read: {}", fault.text);
                return self.asks.troubles.begin(Topic::Power, now, text);
            }
        };
        post.faults = 0;
        if reading.power == Power::Unknown {
            post.not_clear(now.elapsed);
            let device = &reading.device;
            self.asks.troubles.begin(Topic::Power, now, || {
                format!(
                    "{device} does not say whether the host is off ({:?})",
                    reading.raw
                )
            });
        } else {
            post.unclear_since = None;
            self.asks.troubles.end(Topic::Power);
        }
        self.fence.last_word = Some(format!("{} says {:?}", reading.device, reading.raw));
        if reading.power == Power::Off {
            self.fence.saw_off(target, started);
        }
        let dated = DatedReading { started, reading };
        self.power_read_while_returning(index, &dated, now, record);
        if self.proof.is_some() {
            self.power_read_after_proof(index, &dated, now, record);
        } else if self.stage == Stage::Fencing {
            // What was asked before the word says nothing about it.
            let after = self.vouch.as_ref().is_some_and(|vouch| started >= vouch.heard);
            if after && dated.reading.power == Power::On {
                let how = format!("{} says {:?}", dated.reading.device, dated.reading.raw);
                return self.gainsaid(&how, now, record);
            }
            self.power_read_before_proof(index, dated, now, record);
        }
    }

    /// Of a device whose level was left. Whatever it says, it is not waited for; but a host that it sees on after another
    /// level has proven it off is not proven off.
    fn late_reading(
        &mut self,
        started: Elapsed,
        result: Result<PowerReading, Fault>,
        now: Now,
        record: &mut Record,
    ) {
        let after = self.proof.as_ref().is_some_and(|proof| started > proof.since());
        if let Ok(reading) = result
            && after
            && reading.power == Power::On
        {
            let how = format!(
                "{} says {:?} after it was proven off",
                reading.device, reading.raw
            );
            self.seen_alive(&how, now, record);
        }
    }

    fn power_read_before_proof(&mut self, index: usize, dated: DatedReading, now: Now, record: &mut Record) {
        let Some(device) = self.fence.devices().get(index) else {
            return;
        };
        // A reading asked for before the order says nothing about what the order did, nor one of an earlier try about now.
        let ordered = self.fence.orders_of(&device.target).last().map(|order| order.at);
        if dated.started < self.fence.level_began || ordered.is_some_and(|at| dated.started < at) {
            return;
        }
        let poll = device.poll.unwrap_or(self.policy.power_poll);
        let confirm = self.policy.power_confirm;
        let post = self.fence.post(index);
        post.not_off = dated.reading.power != Power::Off;
        if post.not_off {
            post.first_off = None;
            post.latest_off = None;
            post.not_before = now.elapsed.plus(poll);
            return;
        }
        let Some(first) = &post.first_off else {
            post.not_before = dated.started.plus(confirm);
            post.first_off = Some(dated);
            return;
        };
        let enough = first.started.plus(confirm);
        if dated.started < enough || dated.started == first.started {
            post.not_before = enough;
            return;
        }
        post.not_before = now.elapsed.plus(poll);
        post.latest_off = Some(dated);
        let Some(proof) = self.fence.level_is_off(&self.policy, now) else {
            return;
        };
        if !self.silent_beside_off(&proof, now, record) {
            let soon = self.service.silent_in(now.elapsed).unwrap_or(LISTEN);
            self.fence.post(index).not_before = now.elapsed.plus(soon.clamp(LISTEN, poll.max(LISTEN)));
            return;
        }
        // Nobody has ordered it off: whether it may be taken for lost is for the guards to say, by a young look around.
        if !self.fence.ordered && !self.guards_are_content(Moment::Proof, now, record) {
            self.fence.post(index).not_before = now.elapsed.plus(LOOKED);
            return;
        }
        self.proven(proof, now, record);
    }

    /// A controller that is cabled to another machine, or answers under its address, says what is so of that one: Nova must not
    /// hear the host either (R16).
    fn silent_beside_off(&mut self, proof: &Proof, now: Now, record: &mut Record) -> bool {
        // What was begun in silence is gone on with although Nova has stopped answering.
        if self.service.is_silent(now.elapsed) || (self.fence.ordered && self.service.was_silent()) {
            return true;
        }
        if let Some(heard) = self.service.heard(now.elapsed) {
            let said = proof.said();
            self.contradicted(
                &format!("{heard} while {said} (of another machine? see `tachi fence check`)"),
                now,
                record,
            );
        }
        false
    }

    /// R17: a host seen on ends all further submits of the episode. Unknown proves nothing either way; the proof just
    /// grows old.
    fn power_read_after_proof(&mut self, index: usize, dated: &DatedReading, now: Now, record: &mut Record) {
        match dated.reading.power {
            Power::Off => {
                self.renew_proof(record, |proof| proof.renew_by_reading(index, dated));
            }
            Power::On => self.seen_alive(
                &format!(
                    "{} says {:?} after it was proven off",
                    dated.reading.device, dated.reading.raw
                ),
                now,
                record,
            ),
            Power::Unknown => {
                let poll = now.elapsed.plus(self.policy.power_poll);
                self.fence.post(index).not_before = poll;
            }
        }
    }

    pub(in super::super) fn power_off_answered(
        &mut self,
        target: &Target,
        result: Result<(), Fault>,
        now: Now,
        record: &mut Record,
    ) {
        self.freeze.first.order = false;
        let index = self.fence.index_of(target);
        if let Some(index) = index {
            self.fence.post(index).ordering = false;
        }
        let waiting = |order: &Order| !order.answered && order.target.as_ref() == Some(target);
        let Some(at) = self.fence.orders.iter().rposition(waiting) else {
            return;
        };
        record.head = true;
        let fault = match result {
            Ok(()) => {
                if let Some(order) = self.fence.orders.get_mut(at) {
                    order.answered = true;
                }
                let text = format!("{target} has accepted the power-off; waiting for \"off\"");
                record.step(Task::Fence, StepKind::Outcome, 0.5, text);
                if let Some(index) = index {
                    self.fence.post(index).not_before = now.elapsed;
                }
                return;
            }
            Err(fault) => fault,
        };
        let text = format!("{target} has not accepted the power-off: {}", fault.text);
        record.step(Task::Fence, StepKind::Outcome, 0.3, text);
        self.fence.last_word = Some(fault.text.clone());
        if fault.maybe_done {
            // It may have taken effect: it is looked for, and not repeated before that is ruled out (R5).
            return;
        }
        self.fence.orders.remove(at);
        let Some(index) = index else { return };
        let hopeless = self.fence.is_hopeless(index, &fault);
        let post = self.fence.post(index);
        post.faults = post.faults.saturating_add(1);
        post.not_clear(now.elapsed);
        post.off_not_before = now.elapsed.plus(backoff(post.faults));
        if hopeless {
            // It can be read, and somebody may switch the host off by hand: worth a look soon.
            post.failed = Some(Failure {
                why: format!("it cannot be powered off: {}", fault.text),
                lasting: false,
            });
        }
    }
}
