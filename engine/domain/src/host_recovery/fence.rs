//! The way to a proof.
//!
//! Mode `engine`: ask the power controller. Two readings of "off" in a row, far enough apart, are the proof, whoever has
//! switched it off. If it says anything else, the host is told to power off, but only once Nova does not hear it either
//! (one report alone fences nobody), and then "off" is waited for. Mode `external`: the notification's word counts once Nova
//! does not hear the host.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::asks::Topic;
use super::{HoldKind, HostRecovery, Stage};
use crate::Elapsed;
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::fault::{Fault, FaultClass};
use crate::guard::Moment;
use crate::policy::FencingMode;
use crate::power::{Power, PowerReading};
use crate::proof::{DatedReading, Proof};
use crate::recovery::{Command, Now, Record, StepKind, Task};

/// How long Nova may go on hearing a host that is reported dead before the report is given up.
pub(super) const CONTRADICTED_LIMIT: Duration = Duration::from_mins(2);

/// A power-off that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffIntent {
    /// When.
    pub at: Elapsed,
    /// Whether the device has answered. Until then, or until D + Q have passed, it may still take effect (R5).
    pub answered: bool,
}

/// What is known on the way to a proof.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fence {
    /// When this try began.
    pub began: Elapsed,
    /// The first "off" of a pair that is not complete yet.
    pub first_off: Option<DatedReading>,
    /// The latest power-off.
    pub off: Option<OffIntent>,
    /// The first power-off of this try: what the limit is counted from.
    pub first_order: Option<Elapsed>,
    /// A power-off has been ordered, in this try or an earlier one.
    pub ordered: bool,
    /// The latest answer was something else than "off".
    pub not_off: bool,
    /// What the device said last, or why it did not.
    pub last_word: Option<String>,
    /// Failed questions in a row.
    pub faults: u32,
}

impl Fence {
    /// A new try. An order without an answer is not forgotten: it may still take effect.
    pub(super) fn begin_again(&mut self, now: Elapsed) {
        let off = self.off.filter(|off| !off.answered);
        *self = Self {
            began: now,
            off,
            ordered: self.ordered,
            ..Self::default()
        };
    }

    /// The last owner's order may or may not have been sent.
    pub(super) fn forget_answers(&mut self) {
        self.first_off = None;
        self.not_off = false;
    }

    pub(super) fn not_sent(&mut self) {
        self.off = None;
    }

    /// The order that was about to be given is not.
    pub(super) fn order_taken_back(&mut self) {
        self.off = None;
        self.first_order = None;
        self.ordered = false;
        self.not_off = true;
    }

    /// Whether every order is answered or too old to take effect (R5).
    pub(super) fn is_quiet(&self, now: Elapsed, settle: Duration) -> bool {
        self.off
            .is_none_or(|off| off.answered || now.since(off.at) >= settle)
    }
}

impl HostRecovery {
    pub(super) fn power_read(
        &mut self,
        started: Elapsed,
        result: Result<PowerReading, Fault>,
        now: Now,
        record: &mut Record,
    ) {
        self.asks.power = None;
        match result {
            Ok(reading) => {
                self.fence.faults = 0;
                self.fence.last_word = Some(format!("{} says {:?}", reading.device, reading.raw));
                if reading.power == Power::Unknown {
                    let device = &reading.device;
                    self.trouble(Topic::Power, now, || {
                        format!(
                            "{device} does not say whether the host is off ({:?})",
                            reading.raw
                        )
                    });
                } else {
                    self.no_trouble(Topic::Power);
                }
                let dated = DatedReading { started, reading };
                if self.proof.is_some() {
                    self.power_read_after_proof(&dated, now, record);
                } else if self.stage == Stage::Fencing {
                    self.power_read_before_proof(dated, now, record);
                }
            }
            Err(fault) => {
                self.fence.first_off = None;
                self.fence.not_off = false;
                self.fence.faults = self.fence.faults.saturating_add(1);
                self.fence.last_word = Some(fault.text.clone());
                self.trouble(Topic::Power, now, || {
                    format!("the host's power cannot be read: {}", fault.text)
                });
                self.asks.power_not_before = now.elapsed.plus(super::asks::backoff(self.fence.faults));
                if self.stage != Stage::Fencing || self.hold.is_some() {
                    return;
                }
                let waited = now
                    .elapsed
                    .since(self.fence.first_order.unwrap_or(self.fence.began));
                let hopeless = match fault.class {
                    FaultClass::Permanent | FaultClass::Fatal => self.fence.faults >= 2,
                    FaultClass::Transient | FaultClass::Conflict => waited >= self.policy.power_off_limit,
                };
                if hopeless {
                    self.hold_fence(&format!("its power cannot be read: {}", fault.text), now, record);
                }
            }
        }
    }

    fn power_read_before_proof(&mut self, dated: DatedReading, now: Now, record: &mut Record) {
        // A reading asked for before the order says nothing about what the order did, nor one of an earlier try about now.
        if dated.started < self.fence.began || self.fence.off.is_some_and(|off| dated.started < off.at) {
            return;
        }
        self.fence.not_off = dated.reading.power != Power::Off;
        if dated.reading.power != Power::Off {
            self.fence.first_off = None;
            self.asks.power_not_before = now.elapsed.plus(self.policy.power_poll);
            return;
        }
        let Some(first) = self.fence.first_off.clone() else {
            self.asks.power_not_before = dated.started.plus(self.policy.power_confirm);
            self.fence.first_off = Some(dated);
            return;
        };
        match Proof::from_readings(&first, &dated, self.policy.power_confirm) {
            // Nobody has ordered it off: whether it may be taken for lost is for the guards to say, by a young look around.
            Some(_) if !self.fence.ordered && !self.guards_are_content(Moment::Proof, now, record) => {
                self.asks.power_not_before = now.elapsed.plus(Duration::from_millis(300));
            }
            Some(proof) => self.proven(proof, now, record),
            None => self.asks.power_not_before = first.started.plus(self.policy.power_confirm),
        }
    }

    /// R17: a host seen on ends all further submits of the episode. Unknown proves nothing either way; the proof just
    /// grows old.
    fn power_read_after_proof(&mut self, dated: &DatedReading, now: Now, record: &mut Record) {
        match dated.reading.power {
            Power::Off => {
                self.renew_proof(record, |proof| proof.renew_by_reading(dated));
            }
            Power::On => self.seen_alive(
                &format!(
                    "{} says {:?} after it was proven off",
                    dated.reading.device, dated.reading.raw
                ),
                now,
                record,
            ),
            Power::Unknown => self.asks.power_not_before = now.elapsed.plus(self.policy.power_poll),
        }
    }

    pub(super) fn power_off_answered(&mut self, result: Result<(), Fault>, now: Now, record: &mut Record) {
        let Some(off) = &mut self.fence.off else { return };
        match result {
            Ok(()) => {
                off.answered = true;
                record.head = true;
                record.step(
                    Task::Fence,
                    StepKind::Outcome,
                    0.5,
                    "power-off accepted; waiting for \"off\"",
                );
                self.asks.power_not_before = now.elapsed;
            }
            Err(fault) => {
                record.step(
                    Task::Fence,
                    StepKind::Outcome,
                    0.3,
                    format!("power-off not accepted: {}", fault.text),
                );
                self.fence.last_word = Some(fault.text.clone());
                self.fence.faults = self.fence.faults.saturating_add(1);
                record.head = true;
                if fault.maybe_done {
                    return;
                }
                off.answered = true;
                match fault.class {
                    FaultClass::Permanent | FaultClass::Fatal => {
                        self.hold_fence(&format!("it cannot be powered off: {}", fault.text), now, record);
                    }
                    FaultClass::Transient | FaultClass::Conflict => {
                        self.asks.off_not_before = now.elapsed.plus(super::asks::backoff(self.fence.faults));
                        self.fence.off = None;
                    }
                }
            }
        }
    }

    pub(super) fn hold_fence(&mut self, why: &str, now: Now, record: &mut Record) {
        let reason = format!(
            "host {} is not proven off, so nothing is evacuated: {why}. Repair the power controller or switch the host \
             off, then approve the recovery",
            self.host
        );
        record.failed(Task::Fence, reason.clone());
        self.hold(HoldKind::Fence, reason, now, record);
    }

    pub(super) fn act_fencing(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if self.rejected.is_some() {
            self.settle_now(record);
            return;
        }
        self.follow(now, record, commands);
        if self.hold.is_some() {
            self.while_held(now, record, commands);
            return;
        }
        if let Some(why) = self.forbidden() {
            // With the host told to power off, or moves under way, it must not be forgotten: the fence is followed to its
            // proof, and nothing more is begun until it may.
            if self.is_untouched() {
                self.end(NotificationStatus::Ignored, Some(why), record);
            } else if self.fence.ordered && self.policy.fencing == FencingMode::Engine {
                self.want_power(now, commands);
            }
            return;
        }
        if !self.fence.ordered {
            self.want_region(now, Duration::from_secs(1), commands);
        }
        self.want_service(now, Duration::from_secs(1), commands);
        match self.policy.fencing {
            FencingMode::Engine => self.act_fencing_engine(now, record, commands),
            FencingMode::External => self.act_fencing_external(now, record),
        }
    }

    fn want_power(&mut self, now: Now, commands: &mut Vec<Command>) {
        if self.asks.power.is_none() && now.elapsed >= self.asks.power_not_before {
            self.asks.power = Some(now.elapsed);
            commands.push(Command::ReadPower);
        }
    }

    fn act_fencing_external(&mut self, now: Now, record: &mut Record) {
        if self.service.is_silent() {
            if !self.guards_are_content(Moment::Proof, now, record) {
                return;
            }
            let proof = Proof::from_word(self.notification, now.elapsed);
            self.proven(proof, now, record);
        } else if let Some(heard) = self.service.heard() {
            self.contradicted(&heard, now, record);
        }
    }

    fn act_fencing_engine(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        let overdue = self
            .fence
            .first_order
            .is_some_and(|first| now.elapsed.since(first) >= self.policy.power_off_limit);
        if overdue && self.fence.first_off.is_none() {
            let word = self
                .fence
                .last_word
                .clone()
                .unwrap_or_else(|| "it has not answered".into());
            let limit = self.policy.power_off_limit.as_secs();
            self.hold_fence(
                &format!("it was told to power off, and {limit} s later it is not: {word}"),
                now,
                record,
            );
            return;
        }
        if self.fence.not_off && self.may_order_off(now) {
            if self.is_corroborated() {
                if self.fence.ordered || self.guards_let(Moment::Order, now, record, commands) {
                    self.order_off(now, record, commands);
                }
            } else if let Some(heard) = self.service.heard() {
                self.contradicted(&heard, now, record);
                if self.stage != Stage::Fencing || self.hold.is_some() {
                    return;
                }
            }
        }
        self.want_power(now, commands);
    }

    /// Whether a power-off may be sent: not while one may still take effect (R5), nor again once one was accepted.
    fn may_order_off(&self, now: Now) -> bool {
        match self.fence.off {
            None => now.elapsed >= self.asks.off_not_before,
            Some(off) if off.answered => false,
            Some(off) => now.elapsed.since(off.at) >= self.policy.settle_time(),
        }
    }

    fn order_off(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        let word = self.fence.last_word.clone().unwrap_or_default();
        self.fence.off = Some(OffIntent {
            at: now.elapsed,
            answered: false,
        });
        self.fence.first_order.get_or_insert(now.elapsed);
        self.fence.ordered = true;
        self.fence.first_off = None;
        self.count_order(record);
        record.head = true;
        record.step(
            Task::Fence,
            StepKind::Intent,
            0.3,
            format!(
                "powering off {}: it is reported down, Nova does not hear it, and {word}",
                self.host
            ),
        );
        let host = self.host.clone();
        self.no_trouble(Topic::Heard);
        self.trouble(Topic::PowerOff, now, || format!("powering off host {host}"));
        commands.push(Command::PowerOff {
            reason: format!("{}: host recovery", self.mark()),
        });
    }

    /// Nova still hears a host that is reported dead. Wait a while; then give the report up, so that a later one is not
    /// taken for its repetition.
    fn contradicted(&mut self, heard: &str, now: Now, record: &mut Record) {
        if now.elapsed.since(self.fence.began) >= CONTRADICTED_LIMIT {
            let message = format!(
                "host {} is reported down, but {heard} and it is not known to be off: nothing was done",
                self.host
            );
            if self.is_untouched() {
                record.failed(Task::Fence, message.clone());
                self.end(NotificationStatus::Failed, Some(message), record);
            } else {
                // Something of an earlier episode is still to be seen to: it must not be forgotten.
                self.hold_fence(&message, now, record);
            }
        } else {
            let host = self.host.clone();
            self.trouble(Topic::Heard, now, || {
                format!("host {host} is reported down, but {heard}: waiting")
            });
        }
    }

    fn proven(&mut self, proof: Proof, now: Now, record: &mut Record) {
        record.step(Task::Fence, StepKind::Outcome, 1.0, proof.sentence(&self.host));
        record.proofs.push(proof.clone());
        let word = proof.is_word();
        self.proof = Some(proof);
        self.no_trouble(Topic::Power);
        self.no_trouble(Topic::PowerOff);
        self.no_trouble(Topic::Heard);
        // Clients see from now on that the host is not protected any more.
        record.host = Some(MaintenanceReason::Recovery);
        // What Nova heard before the proof says nothing about what comes after it.
        let heard_last = self.service.last_heartbeat().filter(|_| word);
        self.begin_again_with_service(now);
        // A word is as good as the silence it was heard in: any later heartbeat contradicts it (R17).
        self.service.mark = heard_last;
        self.enter(Stage::Disabling, record);
    }
}
