//! What is asked of the devices.

use std::time::Duration;

use super::super::freezing;
use super::super::trouble::Topic;
use super::super::{HoldKind, HostRecovery, Stage};
use super::devices::limit_of;
use super::{CONTRADICTED_LIMIT, Failure, Order};
use crate::Elapsed;
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::guard::Moment;
use crate::level::Level;
use crate::policy::{BareNormal, FencingMode};
use crate::proof::Proof;
use crate::recovery::{Command, Now, Record, StepKind, Task};

/// A heartbeat as young as this was sent by a host that nobody can have reported since.
const JUST_HEARD: Duration = Duration::from_secs(2);

impl HostRecovery {
    pub(in super::super) fn act_fencing(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.rejected.is_some() {
            self.settle_now(record);
            return;
        }
        self.follow(now, record, commands);
        if self.hold.is_some() {
            self.while_held(now, record, commands);
            self.act_held_fence(now, record, commands);
            return;
        }
        if let Some(why) = self.forbidden() {
            // With the host told to power off, or moves under way, it must not be forgotten: the fence is followed to its
            // proof, and nothing more is begun until it may.
            if self.is_untouched() {
                self.end(NotificationStatus::Ignored, Some(why), record);
            } else if self.fence.ordered
                && self.policy.fencing.asks_devices()
                && self.fence.want_levels(now, commands)
            {
                self.fence.read_devices(now, commands);
            }
            return;
        }
        if self.asks.stopped {
            return;
        }
        if !self.fence.ordered {
            self.asks.lookout.want(now, Duration::from_secs(1), commands);
        }
        self.service.want(now, Duration::from_secs(1), commands);
        match self.policy.fencing {
            FencingMode::Engine | FencingMode::DryRun => match self.vouch.clone() {
                Some(vouch) => self.act_vouched(&vouch, now, record, commands),
                None => self.act_levels(now, record, commands),
            },
            FencingMode::External => self.act_fencing_external(now, record),
        }
    }

    fn act_fencing_external(&mut self, now: Now, record: &mut Record) {
        if self.service.is_silent(now.elapsed) {
            if let Some(heard) = self.outlived_word() {
                return self.contradicted(&heard, now, record);
            }
            if self.bare_word_waits(now) || !self.guards_are_content(Moment::Proof, now, record) {
                return;
            }
            let proof = match &self.vouch {
                Some(vouch) => Proof::from_person(self.notification, &vouch.by, now.elapsed),
                None => Proof::from_word(self.notification, self.standing_evidence(), now.elapsed),
            };
            self.proven(proof, now, record);
        } else if let Some(heard) = self.service.heard(now.elapsed) {
            self.contradicted(&heard, now, record);
        }
    }

    /// A word that nobody answers for counts once the heartbeat has stood still for as long as Masakari would have waited.
    fn bare_word_waits(&mut self, now: Now) -> bool {
        let BareNormal::Wait(limit) = self.policy.bare_normal else {
            return false;
        };
        let answered_for = self.vouch.is_some() || self.standing_evidence().is_some();
        if answered_for || self.service.still_for() >= limit {
            self.asks.troubles.end(Topic::BareWord);
            return false;
        }
        let (host, seconds) = (self.host.clone(), limit.as_secs());
        self.asks.troubles.begin(Topic::BareWord, now, || {
            format!(
                "host {host} is said to be off, without evidence: waiting until its heartbeat has stood still for {seconds} s, as \
                 Masakari waits ([fencing] normal_without_evidence); vouch for its being off if it need not wait"
            )
        });
        true
    }

    pub(in super::super) fn levels_learnt(&mut self, levels: Vec<Level>, now: Now, record: &mut Record) {
        let Some(levels) = self.fence.learn_levels(levels, now) else {
            return;
        };
        record.head = true;
        if levels.len() > 1 && self.stage == Stage::Fencing && self.hold.is_none() {
            let names: Vec<String> = levels.iter().map(ToString::to_string).collect();
            let text = format!(
                "host {} is to be proven off by {}",
                self.host,
                names.join(", else by ")
            );
            record.step(Task::Fence, StepKind::Note, 0.1, text);
        }
    }

    /// Works at the current level, and at the next when it has failed.
    pub(super) fn act_levels(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if !self.fence.want_levels(now, commands) {
            return;
        }
        let levels = self.fence.levels.as_ref().map_or(0, Vec::len);
        for _ in 0..=levels {
            let failure = match self.fence.current() {
                None => Some(Failure {
                    why: "no fence device is configured for it".to_owned(),
                    lasting: false,
                }),
                Some(level) => self.fence.level_failure(level, &self.policy, now),
            };
            let Some(failure) = failure else { break };
            if !self.next_level(&failure, now, record) {
                return;
            }
        }
        if self.fence.wants_order(&self.policy, now) {
            // What was begun is gone on with although Nova has stopped answering.
            let begun = self.fence.ordered && self.service.was_silent();
            if begun || self.is_corroborated(now) {
                if self.fence.ordered || self.guards_let(Moment::Order, now, record, commands) {
                    self.order_off(now, record, commands);
                }
            } else if let Some(heard) = self.service.heard(now.elapsed) {
                self.contradicted(&heard, now, record);
            }
            // It has ended, or waits for a person: nothing more is asked.
            if self.stage != Stage::Fencing || (self.hold.is_some() && !self.fence.retrying) {
                return;
            }
        }
        self.fence.read_devices(now, commands);
    }

    fn order_off(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if !freezing::lets_order(self, now) {
            return;
        }
        let word = self.fence.last_word.clone().unwrap_or_default();
        let Some(level) = self.fence.current().cloned() else {
            return;
        };
        if self.policy.fencing == FencingMode::DryRun {
            let reason = format!(
                "dry-run: host {} is reported down, {}, and {word}; {level} would now power it off, and its instances would be \
                 evacuated. Nothing was done; reject the recovery",
                self.host,
                self.beside_the_report(now),
            );
            record.step(Task::Fence, StepKind::Note, 0.3, reason.clone());
            return self.hold(HoldKind::DryRun, reason, now, record);
        }
        for (index, device) in level.devices.iter().enumerate() {
            if !self.fence.may_order_off(index, device, &self.policy, now) {
                continue;
            }
            let again = self.fence.orders_of(&device.target).next().is_some();
            self.fence.orders.push(Order {
                target: Some(device.target.clone()),
                level: level.number,
                at: now.elapsed,
                limit: limit_of(device, &self.policy),
                call: device.call,
                answered: false,
                seen_off: false,
            });
            self.freeze.first.order |= !std::mem::replace(&mut self.fence.ordered, true);
            record.unless_frozen.own = true;
            self.guard.count_order(&self.policy.guards, record);
            let post = self.fence.post(index);
            post.ordering = true;
            post.first_off = None;
            post.latest_off = None;
            if !again {
                post.waited = Duration::ZERO;
            }
            record.head = true;
            let text = if again {
                format!(
                    "half of its time is over and {word}: {} is told once more to power off {}",
                    device.target, self.host
                )
            } else {
                format!(
                    "powering off {} by level {} ({}): it is reported down, {}, and {word}",
                    self.host,
                    level.number,
                    device.target,
                    self.beside_the_report(now)
                )
            };
            record.step(Task::Fence, StepKind::Intent, 0.3, text);
            commands.push(Command::PowerOff {
                target: device.target.clone(),
                reason: format!("{}: host recovery", self.mark()),
            });
        }
        let host = self.host.clone();
        self.asks.troubles.end(Topic::Heard);
        self.asks
            .troubles
            .begin(Topic::PowerOff, now, || format!("powering off host {host}"));
    }

    /// Nova still hears a host that is reported dead. Wait a while; then give the report up, so that a later one is not
    /// taken for its repetition.
    pub(super) fn contradicted(&mut self, heard: &str, now: Now, record: &mut Record) {
        let doubted = now.elapsed.since(self.fence.began);
        if doubted >= CONTRADICTED_LIMIT && self.is_given_up_after(doubted, now.elapsed) {
            let message = format!(
                "host {} is reported down, but {heard} and it is not known to be off: nothing was done",
                self.host
            );
            if self.service.was_silent() {
                // Nova misses it. Somebody's change of its service's record looks like a heartbeat: a person has to say how it is.
                self.hold_fence(heard, now, record);
            } else if self.is_untouched() {
                record.failed(Task::Fence, message.clone());
                record.contradicted = !self.asks.lookout.was_missed;
                self.end(NotificationStatus::Failed, Some(message), record);
            } else {
                // Something of an earlier episode is still to be seen to: it must not be forgotten.
                self.hold_fence(&message, now, record);
            }
        } else {
            let host = self.host.clone();
            self.asks.troubles.begin(Topic::Heard, now, || {
                format!("host {host} is reported down, but {heard}: waiting")
            });
        }
    }

    /// Whether a report may be given up now: right after a heartbeat. A host that has died since it was heard last may have been
    /// reported already, and that report has joined this recovery: nobody else would see to it. Where clocks differ no heartbeat ever
    /// looks so young: after a while one that has been seen to come just now is enough. Whom Nova misses is held, and not given up.
    fn is_given_up_after(&self, doubted: Duration, now: Elapsed) -> bool {
        let seen_to_come = || self.service.moved_ago(now).is_none_or(|ago| ago <= JUST_HEARD);
        self.service
            .heartbeat_age(now)
            .is_none_or(|age| age <= JUST_HEARD)
            || doubted >= CONTRADICTED_LIMIT * 2 && (self.service.was_silent() || seen_to_come())
    }

    pub(in super::super) fn proven(&mut self, proof: Proof, now: Now, record: &mut Record) {
        let sentence = proof.sentence(&self.host);
        if self.policy.fencing == FencingMode::DryRun {
            let reason = format!(
                "dry-run: {sentence}; its instances would now be evacuated. Nothing was done; reject the recovery"
            );
            record.step(Task::Fence, StepKind::Note, 0.5, reason.clone());
            return self.hold(HoldKind::DryRun, reason, now, record);
        }
        record.step(Task::Fence, StepKind::Outcome, 1.0, sentence);
        record.proofs.push(proof.clone());
        self.proofs += 1;
        let word = proof.is_word();
        self.proof = Some(proof);
        self.vouch = None;
        self.asks.troubles.end(Topic::Power);
        self.asks.troubles.end(Topic::PowerOff);
        self.asks.troubles.end(Topic::Heard);
        self.fence_has_come_true(now, record);
        // Clients see from now on that the host is not protected any more.
        record.host = Some(MaintenanceReason::Recovery);
        // What Nova heard before the proof says nothing about what comes after it.
        let heard_last = self.service.last_heartbeat().filter(|_| word);
        self.service.begin_again(now.elapsed);
        // A word is as good as the silence it was heard in: any later heartbeat contradicts it (R17).
        self.service.mark = heard_last;
        self.enter(Stage::Disabling, record);
    }
}
