//! The state machine of one recovery, from its claim to its end: it decides, journals, and only then acts.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::Fault;
use tachi_domain::freeze::UnlessFrozen;
use tachi_domain::recovery::{
    Command, Decision, DecisionTime, Observation, OperatorChange, OperatorState, Record, StepKind, Task,
};
use tachi_domain::{Elapsed, HostId, Timestamp};

use crate::alarm::Alarm;
use crate::claim_guard::Intent;
use crate::effect::{Calls, DriverEnd, DurableState, Effect, Event, Time, UncertainClaim};
use crate::journal::{Claim, ClaimedRecovery, LeaseRenewal, Write, WriteOutcome};
use crate::recovery::Recovery;
use crate::rewind::Rewind;
use crate::write::write_of;

/// Interval of the owner's heartbeats.
pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum difference between the database's clock and this machine's between two responses. Real clocks drift
/// less; a false alarm costs only one claim.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(2);

/// Limit of consecutive decisions after refused writes. No refusal needs as many.
const MAX_ROUNDS: u8 = 4;

/// The response that the driver waits for.
#[derive(Debug)]
enum Phase {
    Idle,
    Auditing(Box<Round>),
    Committing(Box<Round>, Arc<Write>),
    Beating(Box<Round>),
    Done,
}

/// A decision that is not durable yet.
#[derive(Debug)]
struct Round {
    record: Record,
    commands: Vec<Command>,
    unaudited: Option<Fault>,
    now: DecisionTime,
    left: u8,
}

/// The driver of one recovery, as a machine without clock or network.
#[derive(Debug)]
pub struct Driver {
    claim: Claim,
    host: Option<HostId>,
    state: Box<dyn Recovery>,
    phase: Phase,
    inbox: Vec<Observation>,
    /// The recovery's elapsed time when it was claimed. With the time at which the claim was sent, it is the origin of
    /// the elapsed time.
    claimed_elapsed: Elapsed,
    claimed_at: Duration,
    /// The time at which the last committed heartbeat was sent.
    renewal_sent: Duration,
    operator_state: OperatorState,
    /// The time at which the last transaction was sent, and the database's clock in it.
    clocks: Option<(Duration, Timestamp)>,
    /// The changes of the pulse that the recovery has not observed yet.
    change: OperatorChange,
    alarm: Alarm,
    stopping: bool,
    /// Set while the row carries the rewind mark.
    rewind: Option<Rewind>,
}

impl Driver {
    /// Creates the driver of a claimed recovery. The claim was sent at `sent` on the boot-time clock. The first event
    /// contains the other facts, such as the permits.
    pub fn new(claimed: &ClaimedRecovery, state: Box<dyn Recovery>, sent: Duration) -> Self {
        Self {
            claim: claimed.claim(),
            host: claimed.host.as_ref().map(|host| host.id),
            rewind: claimed
                .rewound
                .then(|| Rewind::new(claimed.life, state.policy(), sent)),
            state,
            phase: Phase::Idle,
            inbox: vec![Observation::Claimed(claimed.operator_state.clone())],
            claimed_elapsed: claimed.elapsed,
            claimed_at: sent,
            renewal_sent: sent,
            operator_state: claimed.operator_state.clone(),
            clocks: claimed.operator_state.clock.map(|shown| (sent, shown)),
            change: OperatorChange::Nothing,
            alarm: Alarm::default(),
            stopping: false,
        }
    }

    /// Returns the claim as of the journal's last response.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Returns the recovery as of the last decision.
    pub fn state(&self) -> &dyn Recovery {
        &*self.state
    }

    /// Returns the time at which the last committed heartbeat was sent, by the boot-time clock.
    pub fn renewal_sent(&self) -> Duration {
        self.renewal_sent
    }

    /// Returns the recovery's elapsed time.
    pub fn elapsed(&self, boot: Duration) -> Elapsed {
        self.claimed_elapsed.plus(boot.saturating_sub(self.claimed_at))
    }

    /// Handles `event` and returns the effects to perform.
    #[must_use]
    pub fn handle(&mut self, event: Event, time: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        match (event, std::mem::replace(&mut self.phase, Phase::Done)) {
            (_, Phase::Done) => {}
            (Event::Observed(observations), Phase::Idle) => {
                if self.inbox.is_empty() {
                    self.inbox = observations;
                } else {
                    self.inbox.extend(observations);
                }
                self.step(time, &mut effects);
            }
            (Event::Stop, Phase::Idle) => effects.push(Effect::Release),
            (Event::Audited(unaudited), Phase::Auditing(round)) => {
                let round = Round { unaudited, ..*round };
                self.journal(round, time, &mut effects);
            }
            (Event::Journalled { sent, outcome }, Phase::Committing(round, write)) => {
                self.committed(*round, write, (sent, outcome), time, &mut effects);
            }
            (Event::Journalled { sent, outcome }, Phase::Beating(round)) => match outcome {
                Some(WriteOutcome::Written(operator_state)) => {
                    self.claim.beat += 1;
                    let stood_still = self.clock_stood_still(sent, &operator_state, time);
                    self.note_lease_held(sent, operator_state);
                    if stood_still {
                        effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::ClocksStopped)));
                    } else {
                        self.act(*round, sent, time, &mut effects);
                    }
                }
                Some(WriteOutcome::Rewound) => {
                    effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Rewound)));
                }
                Some(_) => effects.push(Effect::End(DriverEnd::Lost)),
                None => effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Journal))),
            },
            // Observations that arrive during another phase wait for its end.
            (Event::Observed(observations), phase) => {
                self.inbox.extend(observations);
                self.phase = phase;
            }
            (Event::Stop, phase) => {
                self.stopping = true;
                self.phase = phase;
            }
            // A response without a matching request is ignored.
            (Event::Audited(_) | Event::Journalled { .. }, phase) => self.phase = phase,
        }
        effects
    }

    /// Decides on all observations so far, in one transaction.
    fn step(&mut self, time: Time, effects: &mut Vec<Effect>) {
        let mut observations = std::mem::take(&mut self.inbox);
        if self
            .rewind
            .as_ref()
            .is_some_and(|rewind| rewind.is_quiet(time.boot))
        {
            self.inbox = observations;
            return self.keep_claim(time, effects);
        }
        if self.rewind.as_mut().is_some_and(Rewind::ends) {
            // The data of the last heartbeat is newer than that of the claim.
            self.change = OperatorChange::Nothing;
            observations.retain(|observation| !matches!(observation, Observation::Claimed(_)));
            let begins = [
                Observation::Rewound,
                Observation::Claimed(self.operator_state.clone()),
            ];
            observations.splice(0..0, begins);
        }
        if std::mem::take(&mut self.change) != OperatorChange::Nothing {
            // First, because an operator's veto must apply to everything decided in this round.
            observations.insert(0, Observation::OperatorState(self.operator_state.clone()));
        }
        if observations.is_empty() {
            observations = vec![Observation::Tick];
        }
        self.decide(None, observations, MAX_ROUNDS, time, effects);
    }

    /// Decides on the observations. `before` is the rest of an earlier decision of the same round whose write was
    /// refused.
    fn decide(
        &mut self,
        before: Option<Record>,
        observations: Vec<Observation>,
        left: u8,
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let Some(left) = left.checked_sub(1) else {
            effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Refused)));
            return;
        };
        let now = DecisionTime {
            elapsed: self.elapsed(time.boot),
            wall: time.wall,
        };
        let Decision { mut record, commands } = self.state.decide(observations, now);
        if let Some((demand, sight)) = self.state.demand() {
            effects.push(Effect::Demand(demand, sight));
        }
        if let Some(mut before) = before {
            before.merge(record);
            record = before;
        }
        // The audit precedes the commit, so that the disk's latency does not make the intent too old.
        let power: Vec<Command> = commands
            .iter()
            .filter(|command| matches!(command, Command::PowerOff { .. } | Command::PowerOn { .. }))
            .cloned()
            .collect();
        let round = Round {
            record,
            commands,
            unaudited: None,
            now,
            left,
        };
        if power.is_empty() {
            self.journal(round, time, effects);
        } else {
            effects.push(Effect::Audit(power));
            self.phase = Phase::Auditing(Box::new(round));
        }
    }

    /// Keeps the claim and records the reason, without a call or a decision.
    fn keep_claim(&mut self, time: Time, effects: &mut Vec<Effect>) {
        let record = self.rewind.as_mut().map(Rewind::take_record).unwrap_or_default();
        let now = DecisionTime {
            elapsed: self.elapsed(time.boot),
            wall: time.wall,
        };
        let round = Round {
            record,
            commands: Vec::new(),
            unaudited: None,
            now,
            left: MAX_ROUNDS,
        };
        self.journal(round, time, effects);
    }

    /// Journals a decision. No part of it is performed before it is durable.
    fn journal(&mut self, round: Round, time: Time, effects: &mut Vec<Effect>) {
        let rewind_done = self
            .rewind
            .as_ref()
            .is_some_and(|rewind| !rewind.is_quiet(time.boot));
        if round.record.is_empty() && !rewind_done {
            if time.boot.saturating_sub(self.renewal_sent) < RENEWAL_INTERVAL {
                return self.act(round, time.boot, time, effects);
            }
            effects.push(Effect::RenewLease(LeaseRenewal {
                claim: self.claim.clone(),
                elapsed: self.elapsed(time.boot),
            }));
            self.phase = Phase::Beating(Box::new(round));
            return;
        }
        let now = round.now;
        let write = write_of(
            &*self.state,
            &round.record,
            self.host,
            &self.claim.owner,
            now.elapsed,
            now.wall,
        );
        let Ok(mut write) = write else {
            effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::State)));
            return;
        };
        write.latest = self.latest(time);
        write.rewind_done = rewind_done;
        let write = Arc::new(write);
        effects.push(Effect::Commit(self.claim.clone(), Arc::clone(&write)));
        self.phase = Phase::Committing(Box::new(round), write);
    }

    /// Handles the result of a commit. If the commit failed or its response was lost, the claim counts as lost.
    fn committed(
        &mut self,
        mut round: Round,
        write: Arc<Write>,
        (sent, outcome): (Duration, Option<WriteOutcome>),
        time: Time,
        effects: &mut Vec<Effect>,
    ) {
        let record = &mut round.record;
        let refusal = match outcome {
            Some(WriteOutcome::Written(operator_state)) => {
                self.claim.committed();
                if write.rewind_done {
                    self.rewind = None;
                }
                let record = std::mem::take(record);
                round.record.head = record.head;
                let now = round.now;
                effects.push(Effect::Written(Box::new(DurableState { record, write, now })));
                let stood_still = self.clock_stood_still(sent, &operator_state, time);
                self.note_lease_held(sent, operator_state);
                if stood_still && !self.state.is_finished() {
                    return effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::ClocksStopped)));
                }
                return self.act(round, sent, time, effects);
            }
            Some(WriteOutcome::Lost) => return effects.push(Effect::End(DriverEnd::Lost)),
            Some(WriteOutcome::Rewound) => {
                return effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Rewound)));
            }
            Some(WriteOutcome::TooLate) => {
                return effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::ClocksStopped)));
            }
            None => return effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Journal))),
            Some(WriteOutcome::Joined) => {
                return effects.push(Effect::End(DriverEnd::Uncertain(UncertainClaim::Joined)));
            }
            Some(WriteOutcome::MovesTaken(servers)) => Observation::MovesTaken(servers),
            Some(WriteOutcome::HostUnderRecovery) => {
                record.freeze = None;
                record.steps.clear();
                record.restarted = None;
                Observation::HostUnderRecovery
            }
            Some(WriteOutcome::InstancesUnderRecovery(servers)) => {
                // The recovery continues.
                record.freeze = None;
                record.life = None;
                record.notification = None;
                record.steps.clear();
                Observation::InstancesUnderRecovery(servers)
            }
            Some(WriteOutcome::MayRunOn(hosts)) => {
                record.steps.clear();
                record.restarted = None;
                Observation::MayRunOn(hosts)
            }
            Some(WriteOutcome::TooManyOrders) => {
                // The order was not written, so its step is not recorded.
                record.order = None;
                record.steps.retain(|step| step.kind != StepKind::Intent);
                Observation::OrderRefused
            }
            Some(WriteOutcome::Frozen(operator_state)) => {
                // The write was refused, so no intent is recorded.
                record.steps.retain(|step| step.kind != StepKind::Intent);
                record.order = None;
                record.restarted = None;
                self.operator_state = operator_state.clone();
                // Actions that this record has already processed are not observed again: they are written with the next
                // decision.
                let mut operator_state = operator_state;
                operator_state
                    .actions
                    .retain(|action| !record.processed_action_ids.contains(&action.id));
                Observation::OperatorState(operator_state)
            }
            Some(WriteOutcome::ReserveTaken(hosts)) => {
                // The reservations were refused, so their steps are not recorded.
                record.steps.retain(|step| step.task != Task::Reserve);
                Observation::ReserveTaken(hosts)
            }
        };
        record.unless_host_recovery = None;
        record.unless_elsewhere = None;
        record.move_order = None;
        record.unless_frozen = UnlessFrozen::default();
        let mut observations: Vec<Observation> =
            round.commands.into_iter().map(Observation::NotSent).collect();
        observations.push(refusal);
        self.decide(Some(round.record), observations, round.left, time, effects);
    }

    /// Returns true if this machine and its clocks were stopped since the last transaction.
    ///
    /// In that case more time has passed by the database's clock than between the sending of that transaction and now.
    /// All known data is older than it seems, and another engine may have acted. So the recovery is claimed again, and
    /// no earlier decision is carried out.
    fn clock_stood_still(&mut self, sent: Duration, operator_state: &OperatorState, time: Time) -> bool {
        let Some(shown) = operator_state.clock else {
            return false;
        };
        let latest = self.latest(time);
        self.clocks = Some((sent, shown));
        latest.is_some_and(|latest| shown > latest)
    }

    /// Returns the latest time that the database's clock can show now, unless this machine's clocks have stood still.
    fn latest(&self, time: Time) -> Option<Timestamp> {
        let (sent, shown) = self.clocks?;
        Some(shown.plus(time.boot.saturating_sub(sent) + MAX_CLOCK_DIFFERENCE))
    }

    /// Records that a heartbeat sent at `sent` is committed.
    fn note_lease_held(&mut self, sent: Duration, operator_state: OperatorState) {
        self.renewal_sent = sent;
        self.change = self.change.max(operator_state.change_since(&self.operator_state));
        self.operator_state = operator_state;
    }

    /// Performs a decision that is durable; its transaction was sent at `sent`.
    fn act(&mut self, round: Round, sent: Duration, time: Time, effects: &mut Vec<Effect>) {
        self.raise_alarm(&round.record, time, effects);
        if self.change == OperatorChange::Operator && round.commands.iter().any(Command::is_write) {
            // An operator has changed something since the decision; the process may have been stopped in between. The
            // change applies to the calls that are about to be sent.
            self.change = OperatorChange::Nothing;
            let mut observations = vec![Observation::OperatorState(self.operator_state.clone())];
            observations.extend(round.commands.into_iter().map(Observation::NotSent));
            return self.decide(None, observations, round.left, time, effects);
        }
        if !round.commands.is_empty() {
            effects.push(Effect::Call(Calls {
                commands: round.commands,
                unaudited: round.unaudited,
                intent: Intent {
                    sent,
                    durable: time.boot,
                },
                started: self.elapsed(time.boot),
            }));
        }
        if self.state.is_finished() {
            return effects.push(Effect::End(DriverEnd::Done));
        }
        if self.stopping {
            return effects.push(Effect::Release);
        }
        let is_quiet = self
            .rewind
            .as_ref()
            .is_some_and(|rewind| rewind.is_quiet(time.boot));
        if !is_quiet && (self.change != OperatorChange::Nothing || !self.inbox.is_empty()) {
            return self.step(time, effects);
        }
        let now = DecisionTime {
            elapsed: self.elapsed(time.boot),
            wall: time.wall,
        };
        let next_poll = time.boot.saturating_add(self.state.next_poll(now));
        // Timers are accurate to a millisecond, and a check right before the time would be useless.
        let until = next_poll.min(self.renewal_sent + RENEWAL_INTERVAL) + Duration::from_millis(1);
        effects.push(Effect::Wait(until));
        self.phase = Phase::Idle;
    }

    /// Raises the alarm about a waiting recovery if it is due.
    fn raise_alarm(&mut self, record: &Record, time: Time, effects: &mut Vec<Effect>) {
        let state = &self.state;
        let note_lease_held = state.is_on_hold();
        let waits = note_lease_held || state.is_guarded();
        let every = state.policy().guards.alarm_interval;
        if self.alarm.is_due(waits, note_lease_held, every, time.boot) {
            // The commit that puts the recovery on hold has reported it already.
            effects.push(Effect::Alarm {
                again: note_lease_held && !record.head,
            });
        }
    }
}

#[cfg(test)]
mod tests;
