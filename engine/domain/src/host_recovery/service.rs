//! Nova's record of the host: changed after the proof, and cleared when the host is back.

pub(super) mod heartbeat;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::blockers::BlockerKind;
use super::decision_context::{DecisionContext, decision_context};
use super::{HostRecovery, Stage, has_not_begun};
use crate::cadence::StandingHeartbeat;
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::id::ServiceId;
use crate::nova::Service;
use crate::question::{MAX_READ_LAG, Question, backoff};
use crate::recovery::retry::OwnStamp;
use crate::recovery::{Command, DecisionTime, Record, ServiceUpdate, StepKind, Task, is_drained, is_marked};
use crate::timestamp::Timestamp;

/// Time that a host which is reported dead may stay up in Nova before the report is given up.
pub(super) const MAX_CONTRADICTED_TIME: Duration = Duration::from_mins(2);

/// Number of times that `forced_down` is set again after others have cleared it during the moves.
const MAX_FORCE_DOWN_REPEATS: u32 = 3;

/// A change of the record that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceDownRequest {
    /// The time of the change.
    pub at: Elapsed,
    /// True if Nova has answered. Until then, or until D + Q have passed, it may still take effect.
    pub answered: bool,
}

/// The state of Nova's record of the host.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent observation or request"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceTrack {
    /// The service's id in Nova.
    pub id: Option<ServiceId>,
    /// Nova's clock at the recovery's first reading, less a margin for clocks that differ: evacuation records newer than this are
    /// the recovery's own.
    pub since: Option<Timestamp>,
    /// The latest attempt to set `forced_down`.
    pub put: Option<ForceDownRequest>,
    /// The time of the latest attempt that has no answer.
    #[serde(rename = "put_loose")]
    pub unanswered_since: Option<Elapsed>,
    /// True if this recovery has set `forced_down` for the current proof.
    pub in_force: bool,
    /// The heartbeat noted after that: if it advances, the host is running.
    pub mark: Option<Timestamp>,
    /// The heartbeat that was shown before that change.
    #[serde(default)]
    pub before: Option<Timestamp>,
    /// The number of times that it was set again.
    pub again: u32,
    /// True if the service was requested to be enabled after the host's return.
    #[serde(default)]
    pub enable_asked: bool,
    /// The time since which the host has been back and up without a break, once `forced_down` was cleared.
    #[serde(default)]
    pub back: Option<Elapsed>,
    /// The number of failed updates in a row.
    pub faults: u32,
    /// The heartbeat that an earlier recovery's change has left in the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_stamp: Option<OwnStamp>,
    /// True if the record has carried this recovery's mark.
    #[serde(default)]
    pub marked: bool,
    /// The request that reads the record.
    #[serde(skip)]
    pub(super) question: Question,
    /// The number of times in a row that Nova knew of no service on the host.
    #[serde(skip)]
    pub(super) missing: u32,
    #[serde(skip)]
    pub(super) observed: Option<Service>,
    #[serde(skip)]
    pub(super) stale_after: Duration,
    #[serde(skip)]
    pub(super) reading_lifetime: Duration,
    #[serde(skip)]
    pub(super) updating: bool,
    /// The attempt to set `forced_down` before the one in flight.
    #[serde(skip)]
    pub(super) put_before: Option<ForceDownRequest>,
    #[serde(skip)]
    pub(super) not_before: Elapsed,
    /// The time at which the last change was answered: a reading requested before it may show the row as it was.
    #[serde(skip)]
    pub(super) changed: Elapsed,
    /// The time of the record in the answer to that change: a copy of Nova's database that shows an earlier one lags behind.
    #[serde(skip)]
    pub(super) made: Option<Timestamp>,
    /// True if it is unknown when the change was requested after which the heartbeat is to be noted, because its owner is gone.
    #[serde(skip)]
    pub(super) changed_by_another: bool,
    /// The time since which silence is awaited.
    #[serde(skip)]
    pub(super) waiting: Option<Elapsed>,
    /// True if the change in flight clears `forced_down`.
    #[serde(skip)]
    pub(super) clearing: bool,
    /// True if the change in flight enables the service.
    #[serde(skip)]
    pub(super) enabling: bool,
    /// The first heartbeat after the noted one, the time at which it was seen, and whether it has advanced once more soon after.
    #[serde(skip)]
    pub(super) advanced: Option<(Timestamp, Elapsed, bool)>,
    /// The heartbeat seen last, and the time at which it was first seen. The time counts across owners while no other one is seen.
    #[serde(default)]
    pub(super) still: Option<(Timestamp, Elapsed)>,
    /// The time at which it was last seen.
    #[serde(skip)]
    pub(super) last_seen: Elapsed,
    /// The time at which it was last seen to have moved between two readings.
    #[serde(skip)]
    pub(super) moved: Option<Elapsed>,
    /// The heartbeat as this owner saw it before it claimed the recovery, at `watched_until`.
    #[serde(skip)]
    pub watched: Option<StandingHeartbeat>,
    #[serde(skip)]
    pub(super) watched_until: Elapsed,
}

/// Returns the last time at which nova-compute is known to have run: its heartbeat before the first change of an attempt, at the
/// latest the first reading.
pub(super) fn last_alive(service: &ServiceTrack) -> Option<Timestamp> {
    let stamp = service.own_stamp.map(|stamp| stamp.before);
    [service.since, service.before, stamp].into_iter().flatten().min()
}

impl ServiceTrack {
    /// Drops the answers to the last owner, whose change may or may not have been made, and may yet be. A change moves the heartbeat
    /// that Nova shows, so one noted before it counts for nothing.
    pub(super) fn forget_answers(&mut self, now: Elapsed) {
        self.watched_until = now;
        self.question = Question::default();
        self.missing = 0;
        self.updating = false;
        self.changed_by_another = self.in_force;
        if let Some(put) = self.put.filter(|put| !put.answered) {
            self.unanswered_since = Some(put.at);
            self.mark = None;
        }
    }

    /// Reverts a change that was never sent.
    pub(super) fn not_sent(&mut self) {
        self.updating = false;
        if !self.clearing && !self.enabling {
            self.put = self.put_before.take();
        }
    }

    /// Reads the record unless it was read within `every`.
    pub(super) fn request_if_due(&mut self, now: DecisionTime, every: Duration, commands: &mut Vec<Command>) {
        let due = self.question.age(now.elapsed).is_none_or(|age| age >= every);
        if due && self.question.send(now.elapsed) {
            commands.push(Command::ReadService);
        }
    }

    fn put_answered(&mut self) {
        if let Some(put) = &mut self.put {
            put.answered = true;
        }
    }

    fn update_failed(&mut self, fault: &Fault, now: DecisionTime) {
        self.faults = self.faults.saturating_add(1);
        let wait = match fault.class {
            FaultClass::Transient | FaultClass::Conflict => backoff(self.faults),
            FaultClass::Permanent | FaultClass::Fatal => Duration::from_secs(30),
        };
        self.not_before = now.elapsed.plus(wait);
    }

    /// Handles a failure to clear `forced_down`. Nova refuses it while evacuations from the host are recorded as done, and only a start
    /// of its nova-compute closes those. A nova-compute that was started before the last of them must be restarted by hand.
    pub(super) fn clearing_failed(
        &mut self,
        fault: &Fault,
        host: &str,
        now: DecisionTime,
        record: &mut Record,
    ) {
        self.update_failed(fault, now);
        let wait = Duration::from_secs(30) * self.faults.min(10);
        self.not_before = now.elapsed.plus(wait);
        if fault.class == FaultClass::Permanent && self.faults == 3 {
            let text = format!(
                "forced_down of {host} cannot be cleared ({}): restart its nova-compute, which closes the evacuations",
                fault.text
            );
            record.step(Task::Return, StepKind::Outcome, 0.5, text);
        }
    }

    /// Adopts a change that carries this recovery's mark and that the journal has lost. A
    /// `forced_down` that this recovery has set it also clears.
    pub(super) fn adopt_lost_change(&mut self, shown: &Service, ctx: &mut DecisionContext<'_>) {
        if self.put.is_none() && shown.forced_down && reason_of(shown).contains(&ctx.mark()) {
            self.put = Some(ForceDownRequest {
                at: ctx.now.elapsed,
                answered: true,
            });
            self.marked = true;
            ctx.record.head = true;
        }
    }

    /// True if a change that sets `forced_down` may still take effect.
    pub(super) fn may_yet_be_set(&self, now: Elapsed, effect_window: Duration) -> bool {
        self.unanswered_since
            .is_some_and(|at| now.since(at) < effect_window)
    }

    /// True if a reading requested at `requested_at` may come from a copy of Nova's database that shows this recovery's changes late. Made
    /// several times, as after lost commits, they appear there one by one, and each looks like a heartbeat.
    pub(super) fn may_show_own_changes(&self, requested_at: Elapsed) -> bool {
        self.put
            .is_some_and(|put| requested_at.since(put.at) < MAX_READ_LAG)
    }
}

pub(super) fn reason_of(shown: &Service) -> &str {
    shown.disabled_reason.as_deref().unwrap_or_default()
}

impl HostRecovery {
    pub(super) fn act_disabling(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.rejected.is_some() {
            self.finish_rejected(now, record);
            return;
        }
        self.follow_moves(now, record, commands);
        if self.block_reason().is_some() {
            return;
        }
        if self.service.in_force {
            self.enter(Stage::Listing, record);
            return;
        }
        let (Some(id), Some(shown)) = (self.service.id, self.service.observed.clone()) else {
            self.service.request_if_due(now, Duration::from_secs(1), commands);
            return;
        };
        // The proof must be fresh here too: the next step takes Nova's own protection away.
        self.fence
            .keep_proof_fresh(self.proof.as_ref(), &self.policy, now, commands);
        let fresh = |proof: &crate::proof::Proof| proof.is_fresh(now.elapsed, self.policy.proof_age);
        if !self.proof.as_ref().is_some_and(fresh) {
            self.service.request_if_due(now, Duration::from_secs(1), commands);
            return;
        }
        if self.service.updating || now.elapsed < self.service.not_before {
            return;
        }
        let untouched = has_not_begun(self);
        let mut ctx = decision_context!(self, now, record);
        self.service.force_down(id, &shown, untouched, &mut ctx, commands);
    }
}

impl ServiceTrack {
    fn force_down(
        &mut self,
        id: ServiceId,
        shown: &Service,
        untouched: bool,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        self.updating = true;
        self.clearing = false;
        self.enabling = false;
        ctx.record.unless_frozen.own |= untouched;
        self.put_before = self.put;
        self.put = Some(ForceDownRequest {
            at: ctx.now.elapsed,
            answered: false,
        });
        self.before = Some(shown.heartbeat());
        // A service that is disabled without a mark of Tachi, with a reason or without, was disabled by others, and stays so. The
        // mark of an earlier recovery is replaced by this one's.
        // A drain counts as an operator's change.
        let reason = reason_of(shown);
        let foreign = !shown.enabled && (!is_marked(reason) || is_drained(reason));
        let (update, text) = if foreign {
            let text = format!(
                "setting forced_down of {}; others have disabled its service, which stays so",
                ctx.host
            );
            (ServiceUpdate::ForceDown, text)
        } else {
            let reason = format!("{} [{}]", ctx.policy.host_disable_reason, ctx.mark());
            let text = format!("disabling service of {} and setting forced_down", ctx.host);
            (ServiceUpdate::DisableAndForceDown { reason }, text)
        };
        ctx.record.head = true;
        ctx.record.step(Task::DisableService, StepKind::Intent, 0.5, text);
        commands.push(Command::UpdateService { id, update });
    }

    /// Handles the answer to a change. `is_proven`: there is a proof that the change counts for.
    pub(super) fn updated(
        &mut self,
        result: Result<Service, Fault>,
        is_proven: bool,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        self.updating = false;
        if std::mem::take(&mut self.enabling) {
            return self.enabled(result, ctx);
        }
        if std::mem::take(&mut self.clearing) {
            match result {
                Ok(shown) if !shown.forced_down => {
                    self.cleared(shown, ctx);
                }
                Ok(_) => {}
                Err(fault) => self.clearing_failed(&fault, ctx.host, now, ctx.record),
            }
            return;
        }
        match result {
            Ok(shown) => {
                self.faults = 0;
                self.put_answered();
                self.in_force = is_proven;
                self.changed = now.elapsed;
                self.made = Some(shown.heartbeat().whole_seconds());
                self.changed_by_another = false;
                let mark = ctx.mark();
                self.marked |= reason_of(&shown).contains(&mark);
                self.observed = Some(shown);
                // The heartbeat is noted from a separate reading, because the answer to a change may show the row before or
                // after it.
                self.mark = None;
                self.question.observed = None;
                ctx.record.head = true;
                ctx.record.step(
                    Task::DisableService,
                    StepKind::Outcome,
                    1.0,
                    "disabled and forced down",
                );
                ctx.blockers.end(BlockerKind::Update);
            }
            Err(fault) => {
                if fault.maybe_done {
                    // Nova shows the time of any change as the heartbeat.
                    self.mark = None;
                    self.changed = now.elapsed;
                    self.unanswered_since = self.put.map(|put| put.at);
                    ctx.record.head = true;
                } else {
                    self.put_answered();
                }
                self.update_failed(&fault, now);
                if fault.class == FaultClass::Permanent {
                    // The record may be gone, and the host registered again under another id.
                    self.observed = None;
                    self.question.observed = None;
                }
                let text = fault.text;
                ctx.blockers.begin(BlockerKind::Update, now, || {
                    format!("the host's service cannot be forced down yet: {text}")
                });
            }
        }
    }

    /// Sets `forced_down` again after others have cleared it during the moves: Nova would refuse every evacuation. The proof is
    /// unchanged, so it is set again; but not against an actor who clears it again and again. False in that case.
    fn sets_again(&mut self, ctx: &mut DecisionContext<'_>) -> bool {
        if self.again >= MAX_FORCE_DOWN_REPEATS {
            return false;
        }
        self.again += 1;
        self.in_force = false;
        self.mark = None;
        let text = format!(
            "forced_down of {} was cleared outside Tachi: setting it again",
            ctx.host
        );
        ctx.record.step(Task::DisableService, StepKind::Note, 0.2, text);
        ctx.enter(Stage::Disabling);
        true
    }
}
