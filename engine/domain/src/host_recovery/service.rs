//! Nova's record of the host: changed after the proof, and cleared when the host is back.

pub(super) mod heartbeat;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::trouble::Topic;
use super::turn::{Turn, turn};
use super::{HostRecovery, Stage};
use crate::cadence::StandingHeartbeat;
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::id::ServiceId;
use crate::nova::Service;
use crate::question::{Question, backoff};
use crate::recovery::retry::OwnStamp;
use crate::recovery::{Command, Now, Record, ServiceUpdate, StepKind, Task, is_drained, is_marked};
use crate::timestamp::Timestamp;

/// How long Nova may go on hearing a host that is reported dead before the report is given up.
pub(super) const CONTRADICTED_LIMIT: Duration = Duration::from_mins(2);

/// How often `forced_down` is set again after somebody else has cleared it in the middle of the moves.
const SET_AGAIN: u32 = 3;

/// A change of the record that has been journalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// When.
    pub at: Elapsed,
    /// Whether Nova has answered. Until then, or until D + Q have passed, it may still take effect (R5).
    pub answered: bool,
}

/// What is known of the record.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what has been seen or asked"
)]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceTrack {
    /// Nova's id.
    pub id: Option<ServiceId>,
    /// Nova's clock when the recovery first looked, less a margin for clocks that differ: evacuation records younger than
    /// this are its own (R13).
    pub since: Option<Timestamp>,
    /// The latest attempt to set `forced_down`.
    pub put: Option<Put>,
    /// When the latest attempt that nobody has answered was made.
    pub put_loose: Option<Elapsed>,
    /// `forced_down` has been set by us for the proof there is.
    pub in_force: bool,
    /// The heartbeat noted after that (R16): if it advances, the host lives.
    pub mark: Option<Timestamp>,
    /// What was shown as the heartbeat before that change.
    #[serde(default)]
    pub before: Option<Timestamp>,
    /// How often it was set again.
    pub again: u32,
    /// The service was asked to be enabled after the host's return.
    #[serde(default)]
    pub enable_asked: bool,
    /// Since when the host has been back and up without a break, once `forced_down` was cleared.
    #[serde(default)]
    pub back: Option<Elapsed>,
    /// Failed updates in a row.
    pub faults: u32,
    /// The heartbeat that an earlier recovery's change has left in the record (R31).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_stamp: Option<OwnStamp>,
    /// The record has carried our mark.
    #[serde(default)]
    pub marked: bool,
    /// The look at it.
    #[serde(skip)]
    pub(super) question: Question,
    /// Times in a row that Nova knew of no service on the host.
    #[serde(skip)]
    pub(super) missing: u32,
    #[serde(skip)]
    pub(super) seen: Option<Service>,
    #[serde(skip)]
    pub(super) stale_after: Duration,
    #[serde(skip)]
    pub(super) look_counts_for: Duration,
    #[serde(skip)]
    pub(super) updating: bool,
    /// The attempt before the one under way that sets `forced_down`.
    #[serde(skip)]
    pub(super) put_before: Option<Put>,
    #[serde(skip)]
    pub(super) not_before: Elapsed,
    /// When the last change was answered: a reading asked for before it may show the row as it was.
    #[serde(skip)]
    pub(super) changed: Elapsed,
    /// Nobody knows how long ago the change was asked for that the heartbeat is to be noted after: its owner is gone.
    #[serde(skip)]
    pub(super) changed_by_another: bool,
    /// Since when silence is being waited for.
    #[serde(skip)]
    pub(super) waiting: Option<Elapsed>,
    /// Whether the change under way clears `forced_down`.
    #[serde(skip)]
    pub(super) clearing: bool,
    /// Whether the change under way enables the service.
    #[serde(skip)]
    pub(super) enabling: bool,
    /// The first heartbeat after the one noted, when it was seen, and whether it has advanced once more soon after.
    #[serde(skip)]
    pub(super) advanced: Option<(Timestamp, Elapsed, bool)>,
    /// The heartbeat seen last, and when it was seen first. Whoever has heard none other since, whoever looked, goes on counting.
    #[serde(default)]
    pub(super) still: Option<(Timestamp, Elapsed)>,
    /// When it was seen last.
    #[serde(skip)]
    pub(super) looked: Elapsed,
    /// When it was last seen to have moved between two looks.
    #[serde(skip)]
    pub(super) moved: Option<Elapsed>,
    /// What this owner had seen of it before it claimed the recovery, which was then.
    #[serde(skip)]
    pub watched: Option<StandingHeartbeat>,
    #[serde(skip)]
    pub(super) watched_until: Elapsed,
}

impl ServiceTrack {
    /// The last owner's change may or may not have been made, and may yet be. A change moves the heartbeat that Nova shows,
    /// so one noted before it is worth nothing.
    pub(super) fn forget_answers(&mut self, now: Elapsed) {
        self.watched_until = now;
        self.question = Question::default();
        self.missing = 0;
        self.updating = false;
        self.changed_by_another = self.in_force;
        if let Some(put) = self.put.filter(|put| !put.answered) {
            self.put_loose = Some(put.at);
            self.mark = None;
        }
    }

    /// A change that was never sent is none.
    pub(super) fn not_sent(&mut self) {
        self.updating = false;
        if !self.clearing && !self.enabling {
            self.put = self.put_before.take();
        }
    }

    /// Looks at the record unless it was looked at within `every`.
    pub(super) fn want(&mut self, now: Now, every: Duration, commands: &mut Vec<Command>) {
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

    fn update_failed(&mut self, fault: &Fault, now: Now) {
        self.faults = self.faults.saturating_add(1);
        let wait = match fault.class {
            FaultClass::Transient | FaultClass::Conflict => backoff(self.faults),
            FaultClass::Permanent | FaultClass::Fatal => Duration::from_secs(30),
        };
        self.not_before = now.elapsed.plus(wait);
    }

    /// Nova refuses while evacuations from the host are recorded as done, and only a start of its nova-compute closes those:
    /// one that was started before the last of them must be restarted by hand.
    pub(super) fn clearing_failed(&mut self, fault: &Fault, host: &str, now: Now, record: &mut Record) {
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

    /// The record carries our mark, and the journal knows of no change: it has lost it (R33). What we have set we see to the end of (R22).
    pub(super) fn adopt_lost_change(&mut self, seen: &Service, turn: &mut Turn<'_>) {
        if self.put.is_none() && seen.forced_down && reason_of(seen).contains(&turn.mark()) {
            self.put = Some(Put {
                at: turn.now.elapsed,
                answered: true,
            });
            self.marked = true;
            turn.record.head = true;
        }
    }

    /// Whether a change that sets `forced_down` may still take effect (R5).
    pub(super) fn may_yet_be_set(&self, now: Elapsed, settle: Duration) -> bool {
        self.put_loose.is_some_and(|at| now.since(at) < settle)
    }
}

pub(super) fn reason_of(seen: &Service) -> &str {
    seen.disabled_reason.as_deref().unwrap_or_default()
}

impl HostRecovery {
    pub(super) fn act_disabling(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if self.rejected.is_some() {
            self.settle_now(now, record);
            return;
        }
        self.follow_moves(now, record, commands);
        if self.forbidden().is_some() {
            return;
        }
        if self.service.in_force {
            self.enter(Stage::Listing, record);
            return;
        }
        let (Some(id), Some(seen)) = (self.service.id, self.service.seen.clone()) else {
            self.service.want(now, Duration::from_secs(1), commands);
            return;
        };
        // The proof must be young here too: what follows takes Nova's own protection away.
        self.fence
            .want_proof(self.proof.as_ref(), &self.policy, now, commands);
        let fresh = |proof: &crate::proof::Proof| proof.is_fresh(now.elapsed, self.policy.proof_age);
        if !self.proof.as_ref().is_some_and(fresh) {
            self.service.want(now, Duration::from_secs(1), commands);
            return;
        }
        if self.service.updating || now.elapsed < self.service.not_before {
            return;
        }
        let untouched = self.is_untouched();
        let mut turn = turn!(self, now, record);
        self.service.force_down(id, &seen, untouched, &mut turn, commands);
    }
}

impl ServiceTrack {
    fn force_down(
        &mut self,
        id: ServiceId,
        seen: &Service,
        untouched: bool,
        turn: &mut Turn<'_>,
        commands: &mut Vec<Command>,
    ) {
        self.updating = true;
        self.clearing = false;
        self.enabling = false;
        turn.record.unless_frozen.own |= untouched;
        self.put_before = self.put;
        self.put = Some(Put {
            at: turn.now.elapsed,
            answered: false,
        });
        self.before = Some(seen.beat());
        // Disabled without a mark of ours, with a reason or without: somebody else's doing, which stays (R23). The mark of an
        // earlier recovery gives way to this one's.
        // A drain's is a person's.
        let reason = reason_of(seen);
        let foreign = !seen.enabled && (!is_marked(reason) || is_drained(reason));
        let (update, text) = if foreign {
            let text = format!(
                "setting forced_down of {}; it was disabled by somebody else, which stays",
                turn.host
            );
            (ServiceUpdate::ForceDown, text)
        } else {
            let reason = format!("{} [{}]", turn.policy.host_disable_reason, turn.mark());
            let text = format!("disabling service of {} and setting forced_down", turn.host);
            (ServiceUpdate::DisableAndForceDown { reason }, text)
        };
        turn.record.head = true;
        turn.record
            .step(Task::DisableService, StepKind::Intent, 0.5, text);
        commands.push(Command::UpdateService { id, update });
    }

    /// `is_proven`: there is a proof that the change counts for.
    pub(super) fn updated(&mut self, result: Result<Service, Fault>, is_proven: bool, turn: &mut Turn<'_>) {
        let now = turn.now;
        self.updating = false;
        if std::mem::take(&mut self.enabling) {
            return self.enabled(result, turn);
        }
        if std::mem::take(&mut self.clearing) {
            match result {
                Ok(seen) if !seen.forced_down => {
                    self.cleared(seen, turn);
                }
                Ok(_) => {}
                Err(fault) => self.clearing_failed(&fault, turn.host, now, turn.record),
            }
            return;
        }
        match result {
            Ok(seen) => {
                self.faults = 0;
                self.put_answered();
                self.in_force = is_proven;
                self.changed = now.elapsed;
                self.changed_by_another = false;
                let mark = turn.mark();
                self.marked |= reason_of(&seen).contains(&mark);
                self.seen = Some(seen);
                // The heartbeat is noted from a reading of its own: whether the answer to a change shows the row
                // before or after it is nothing to build on.
                self.mark = None;
                self.question.seen = None;
                turn.record.head = true;
                turn.record.step(
                    Task::DisableService,
                    StepKind::Outcome,
                    1.0,
                    "disabled and forced down",
                );
                turn.troubles.end(Topic::Update);
            }
            Err(fault) => {
                if fault.maybe_done {
                    // Nova shows the time of any change as the heartbeat.
                    self.mark = None;
                    self.changed = now.elapsed;
                    self.put_loose = self.put.map(|put| put.at);
                    turn.record.head = true;
                } else {
                    self.put_answered();
                }
                self.update_failed(&fault, now);
                if fault.class == FaultClass::Permanent {
                    // The record may be gone, and the host registered again under another id.
                    self.seen = None;
                    self.question.seen = None;
                }
                let text = fault.text;
                turn.troubles.begin(Topic::Update, now, || {
                    format!("the host's service cannot be forced down yet: {text}")
                });
            }
        }
    }

    /// Somebody has cleared `forced_down` in the middle of the moves: Nova would refuse every evacuation. The proof says what
    /// it said, so it is set again; but not against somebody who insists: `false` then.
    fn sets_again(&mut self, turn: &mut Turn<'_>) -> bool {
        if self.again >= SET_AGAIN {
            return false;
        }
        self.again += 1;
        self.in_force = false;
        self.mark = None;
        let text = format!(
            "somebody has cleared forced_down of {}: setting it again",
            turn.host
        );
        turn.record.step(Task::DisableService, StepKind::Note, 0.2, text);
        turn.enter(Stage::Disabling);
        true
    }
}
