//! The transport of an engine's transactions to the database, and of their results to the engine.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::host_recovery::{HostRecovery, MoveStep, Stage};
use tachi_driver::journal::{Claim, LeaseRenewal, Write, WriteOutcome};
use tachi_driver::{Event as DriverEvent, Recovery};

use crate::mishap::Mishap;
use crate::more_weather::ReturnMoment;
use crate::mutate::mutated;
use crate::world::{Event, Owner, World, note};

/// True if a terminal status may be written now.
fn is_settled(state: &dyn Recovery) -> bool {
    let returning =
        |state: &HostRecovery| matches!(state.stage, Stage::Returning | Stage::Starting | Stage::Done);
    state.is_finished() || state.of_host().is_some_and(returning)
}

impl World {
    /// Sends a driver's transaction. Returns the result if it is known at once.
    pub(crate) fn commit(&mut self, owner: Owner, claim: &Claim, write: Arc<Write>) -> Option<DriverEvent> {
        self.commits += 1;
        self.note_sent(owner);
        if self.database_down() {
            self.mishap(Mishap::DatabaseDown);
            return self.deliver(owner, None);
        }
        let due =
            self.commits == self.weather.crash_at || (self.chaos() && self.rng.percent(self.weather.crash));
        let after = self.weather.crash_after;
        if due && !after && self.goes_down_at(owner.engine, Mishap::DiesBeforeCommit) {
            return None;
        }
        if self.chaos() && self.weather.database > 0 && self.rng.percent(3) {
            self.mishap(Mishap::CommitSlow);
            let sent = self.boot_of(owner.engine);
            let travels = self.rng.between(1, 4_000);
            let claim = claim.clone();
            self.after(
                travels,
                Event::Commit {
                    owner,
                    claim,
                    write,
                    sent,
                },
            );
            return None;
        }
        let answer = self.write_down(owner, claim, &write, Duration::ZERO);
        let ordered = write.order.is_some() && matches!(answer, Some(WriteOutcome::Written(_)));
        if due && after && self.goes_down_at(owner.engine, Mishap::DiesAfterCommit) {
            return None;
        }
        if ordered && let Some(millis) = self.stops_before_order(owner) {
            self.count(answer.as_ref());
            let sent = self.boot_of(owner.engine);
            self.after(
                millis,
                Event::Journalled {
                    owner,
                    sent,
                    outcome: answer,
                },
            );
            return None;
        }
        self.deliver(owner, answer)
    }

    /// Executes a slow transaction, even if its sender is gone. The answer is delayed too.
    pub(crate) fn commit_arrives(&mut self, owner: Owner, claim: &Claim, write: &Write, sent: Duration) {
        let outcome = if self.database_down() {
            None
        } else {
            let took = self.boot_of(owner.engine).saturating_sub(sent);
            self.write_down(owner, claim, write, took)
        };
        self.count(outcome.as_ref());
        let travels = self.rng.between(1, 2_000);
        self.after(travels, Event::Journalled { owner, sent, outcome });
    }

    /// Executes a transaction that took `took` by its sender's clock. Returns the answer unless it is lost.
    fn write_down(
        &mut self,
        owner: Owner,
        claim: &Claim,
        write: &Write,
        took: Duration,
    ) -> Option<WriteOutcome> {
        let lost = self.chaos() && self.rng.percent(self.weather.database);
        if lost && self.rng.percent(50) {
            note!(self, "engine {}'s commit fails, unknown to it", owner.engine);
            self.mishap(Mishap::CommitLostUnwritten);
            return mutated("unsure").then(|| WriteOutcome::Written(self.journal.operator_state(owner.rec)));
        }
        self.freeze_before_commit(owner.rec, write.order.is_some());
        let touched = self.journal.recs[owner.rec].touched.is_some();
        let outcome = self.journal.commit(claim, write, (self.now, took));
        if matches!(outcome, WriteOutcome::Written(_)) {
            if let Some(driven) = self.engines[owner.engine].drivers.get_mut(&owner.rec) {
                driven.written = self.now;
            }
            self.check_write(owner, write);
            self.check_begun(owner.rec, touched);
            if write.freeze.is_some() {
                self.check_drained(owner.rec);
            }
        } else {
            note!(
                self,
                "engine {}'s write for {} is refused: {outcome:?}",
                owner.engine,
                owner.rec
            );
        }
        if lost {
            note!(self, "engine {} gets no answer from the database", owner.engine);
            self.mishap(Mishap::CommitLostWritten);
            if !mutated("unsure") {
                return None;
            }
        }
        Some(outcome)
    }

    fn count(&mut self, outcome: Option<&WriteOutcome>) {
        match outcome {
            None | Some(WriteOutcome::Written(_)) => {}
            Some(WriteOutcome::Lost | WriteOutcome::Rewound) => self.stats.refused_by_epoch += 1,
            Some(WriteOutcome::Joined) => self.mishap(Mishap::ReportJoins),
            Some(WriteOutcome::TooManyOrders) => self.stats.orders_refused += 1,
            Some(WriteOutcome::TooLate) => self.stats.too_late += 1,
            Some(WriteOutcome::Frozen(_)) => self.stats.frozen += 1,
            Some(
                WriteOutcome::MovesTaken(_)
                | WriteOutcome::HostUnderRecovery
                | WriteOutcome::InstancesUnderRecovery(_)
                | WriteOutcome::MayRunOn(_)
                | WriteOutcome::ReserveTaken(_),
            ) => self.stats.taken += 1,
        }
    }

    /// Delivers the answer, unless the engine is stopped before it can read it.
    fn deliver(&mut self, owner: Owner, outcome: Option<WriteOutcome>) -> Option<DriverEvent> {
        self.count(outcome.as_ref());
        let sent = self.boot_of(owner.engine);
        let written = matches!(outcome, Some(WriteOutcome::Written(_)));
        if written && self.chaos() && self.rng.percent(self.weather.stopped) {
            let long = self.rng.percent(50);
            let millis = if long {
                self.rng.between(60_000, 200_000)
            } else {
                self.rng.between(300, 12_000)
            };
            self.mishap(Mishap::StoppedAfterCommit);
            let engine = owner.engine;
            note!(self, "engine {engine} is stopped for {millis} ms after a commit");
            self.engines[engine].paused_until = self.now + millis;
            if self.rng.percent(50) {
                self.after(millis, Event::Journalled { owner, sent, outcome });
                return None;
            }
        }
        Some(DriverEvent::Journalled { sent, outcome })
    }

    fn note_sent(&mut self, owner: Owner) {
        let sent = self.boot_of(owner.engine);
        if let Some(driven) = self.engines[owner.engine].drivers.get_mut(&owner.rec) {
            driven.sent = sent;
        }
    }

    pub(crate) fn beat(&mut self, owner: Owner, beat: &LeaseRenewal) -> DriverEvent {
        self.note_sent(owner);
        let outcome = if self.database_down() {
            self.mishap(Mishap::DatabaseDown);
            None
        } else {
            let outcome = self.journal.beat(&beat.claim, beat.elapsed);
            self.count(Some(&outcome));
            let lost = self.chaos() && self.rng.percent(self.weather.database);
            if lost {
                self.mishap(Mishap::BeatLost);
            }
            (!lost).then_some(outcome)
        };
        let sent = self.boot_of(owner.engine);
        DriverEvent::Journalled { sent, outcome }
    }

    /// Passes a durable write to the ledger.
    fn check_write(&mut self, owner: Owner, write: &Write) {
        self.check_one_move(write);
        self.check_processes();
        if !write.proofs.is_empty() {
            self.check_found_off(owner.rec);
            self.note_victims(owner.rec);
            self.worst_moment(ReturnMoment::Proof);
        }
        if write.order.is_some() {
            self.check_order(owner.rec, self.journal.recs[owner.rec].host);
        }
        if self.log.is_some() {
            for step in write.steps.iter().map(|line| &line.step) {
                let (engine, rec) = (owner.engine, owner.rec);
                note!(self, "[{engine} of {rec}] {:?} {}", step.kind, step.text);
            }
        }
        // Nothing is known of an engine that has died since.
        let Some(state) = self.driver(owner).map(tachi_driver::Driver::state) else {
            return;
        };
        let (settled, guarded) = (is_settled(state), state.of_host().cloned());
        let notified = write.notification.is_some();
        let lacks_normal = guarded.as_ref().is_some_and(|state| !state.has_normal_report());
        if let Some(state) = guarded {
            let on_hold = state.hold.is_some()
                || state
                    .moves
                    .values()
                    .any(|instance| instance.step == MoveStep::OnHold);
            self.stats.holds += u64::from(on_hold && notified);
            self.note_guards(owner.rec, &state, notified);
        }
        if let Some((status, message)) = &write.notification {
            note!(self, "notification of {}: {status} {message:?}", owner.rec);
            if !status.is_open() {
                if !settled {
                    self.violate("a terminal status before the end".into());
                }
                self.check_terminal(owner.rec, *status);
                self.check_late_normal(owner.rec, lacks_normal);
                self.check_finished(owner.rec);
                self.check_real_end(owner.rec);
            }
        }
    }
}
