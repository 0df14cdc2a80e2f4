//! The heartbeats of the host in Nova: none before it is forced down, no advance afterwards, until it is back.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::deadlines::refusals_explained;
use super::super::decision_context::{DecisionContext, Moves};
use super::super::silence::SilenceTrack;
use super::super::{HoldKind, Move, MoveStep, Stage};
use super::{MAX_CONTRADICTED_TIME, ServiceTrack, reason_of};
use crate::cadence::StandingHeartbeat;
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::fault::Fault;
use crate::nova::Service;
use crate::policy::Policy;
use crate::proof::Proof;
use crate::question::MAX_READ_LAG;
use crate::recovery::{Record, Task};
use crate::timestamp::Timestamp;

/// Maximum difference between Nova's clocks, in seconds: records made this long before the first reading still count as made
/// after it. A record taken for missing would be made a second time; one too many only costs a line.
const MAX_CLOCK_SKEW_SECONDS: i64 = 300;

/// Time within which the next heartbeat must follow: two changes of the record by others within an hour are not two heartbeats.
/// A host with rarer heartbeats has twice as long as it takes to be silent.
const NEXT_HEARTBEAT_LIMIT: Duration = Duration::from_secs(60);
const MAX_NEXT_HEARTBEAT_LIMIT: Duration = Duration::from_mins(5);

/// Time after the request of this recovery's own change within which the first reading shows that change, and not a heartbeat that
/// came meanwhile. A process that was stopped in between makes a late reading, even if it takes the answer to the change just
/// before.
const OWN_CHANGE_WINDOW: Duration = Duration::from_secs(8);

/// Time after which a copy of Nova's database that lags behind is read again.
const LAGGING_READ_RETRY_DELAY: Duration = Duration::from_secs(1);

/// Maximum age of a reading of the record that shows that the host's cell is available.
const MAX_CELL_READING_AGE: Duration = Duration::from_secs(2);

/// Number of answers in a row, five seconds apart, that have to show no service before it counts as missing.
const MIN_MISSING_ANSWERS: u32 = 3;

impl ServiceTrack {
    /// Starts again, because the heartbeats so far show nothing about what comes now. The heartbeat is noted again, and readings
    /// requested before now do not count for that.
    pub(in super::super) fn begin_again(&mut self, now: Elapsed) {
        self.question.observed = None;
        self.mark = None;
        self.advanced = None;
        self.in_force = false;
        self.waiting = None;
        self.changed = now;
    }

    /// Returns the record, if it was read just now: no longer ago than it takes until the next reading is requested and answered. A host
    /// that was seen silent before a recovery was put on hold, or before Nova was away, may be back since.
    fn seen_now(&self, now: Elapsed) -> Option<&Service> {
        let just_now = now.since(self.last_seen) <= self.reading_lifetime;
        self.observed.as_ref().filter(|_| just_now)
    }

    /// True if a reading of the record is in flight.
    pub(in super::super) fn is_awaited(&self) -> bool {
        self.question.sent().is_some()
    }

    /// True if Nova has known of no service on the host in several readings.
    pub(in super::super) fn is_gone(&self) -> bool {
        self.missing >= MIN_MISSING_ANSWERS
    }

    /// True if an advance of the host's heartbeat would be seen: it was noted after `forced_down`, and Nova still shows the record.
    pub(in super::super) fn is_watched(&self) -> bool {
        self.in_force && self.mark.is_some() && self.question.observed.is_some() && self.missing == 0
    }

    /// True if the record was seen so recently that a request now needs no reading of it before.
    pub(in super::super) fn was_shown_just_now(&self, now: Elapsed) -> bool {
        self.question
            .age(now)
            .is_some_and(|age| age <= MAX_CELL_READING_AGE)
    }

    /// True if the host is silent in Nova: Nova shows it down, or its heartbeat is stale. `forced_down` hides the first,
    /// never the second.
    pub(in super::super) fn is_silent(&self, now: Elapsed) -> bool {
        self.seen_now(now).is_some() && self.was_silent()
    }

    /// True if the host was silent in Nova at the last reading, however long ago.
    pub(in super::super) fn was_silent(&self) -> bool {
        self.observed
            .as_ref()
            .is_some_and(|shown| (!shown.up && !shown.forced_down) || self.is_stale(shown))
    }

    /// True if the heartbeat is stale by Nova's own clock, if Nova shows one. For a Nova without a `Date` in its answers, a heartbeat
    /// is stale that has not moved between two readings, far enough apart.
    fn is_stale(&self, shown: &Service) -> bool {
        let limit = i64::try_from(self.stale_after.as_micros()).unwrap_or(i64::MAX);
        match shown.heartbeat_age_micros() {
            Some(age) => age > limit,
            None => self
                .still
                .is_some_and(|(_, since)| self.last_seen.since(since) > self.stale_after),
        }
    }

    /// Returns the time until it is silent if no heartbeat follows; `None` if Nova does not show the age of the heartbeat.
    pub(in super::super) fn silent_in(&self, now: Elapsed) -> Option<Duration> {
        let age = self.heartbeat_age(now)?;
        Some(self.stale_after.saturating_sub(age))
    }

    /// Returns the time for which the heartbeat has been seen to stand still.
    pub(in super::super) fn still_for(&self) -> Duration {
        self.still
            .map_or(Duration::ZERO, |(_, since)| self.last_seen.since(since))
    }

    /// True if it may have stood still for `limit` by now, which no reading has shown yet.
    pub(in super::super) fn may_be_still_for(&self, limit: Duration, now: Elapsed) -> bool {
        self.still.is_some_and(|(_, since)| {
            let enough = since.plus(limit);
            self.last_seen < enough && enough <= now
        })
    }

    /// True if the record comes from a copy of Nova's database that lags behind: it shows the state before this recovery's change. An
    /// actor who clears `forced_down` also changes the time of the record.
    fn is_outdated(&self, shown: &Service, requested: Elapsed, mark: &str) -> bool {
        // The heartbeat is noted from a record that shows the change: that of the host before it is none since.
        let is_older = self.made.is_some_and(|made| shown.heartbeat() < made);
        if self.in_force && self.mark.is_none() && is_older && requested.since(self.changed) < MAX_READ_LAG {
            return true;
        }
        let is_not_own_mark = |before: &Timestamp| self.mark.is_none_or(|mark| mark != *before);
        let before = self.before.filter(is_not_own_mark);
        // The mark of an earlier recovery, which this one's has replaced.
        let unmarked = self.marked && !reason_of(shown).contains(mark);
        let is_before = before.is_some_and(|before| before == shown.heartbeat());
        self.in_force && (!shown.forced_down || unmarked) && is_before
    }

    /// Records a heartbeat. True if it has moved. A reading is made between its request and its answer. The heartbeat stands still from
    /// the answer to the first reading that showed it until the request of the last one.
    fn record_heartbeat(&mut self, heartbeat: Timestamp, requested_at: Elapsed, answered: Elapsed) -> bool {
        self.last_seen = requested_at;
        let moved = self.still.is_none_or(|(last, _)| last != heartbeat);
        if moved {
            self.moved = self.still.map(|_| answered).or(self.moved);
            self.still = Some((heartbeat, answered));
        }
        // A heartbeat that comes back after another one, as from a copy that lags behind, was not watched.
        self.watched = self.watched.filter(|watched| watched.stamp == heartbeat);
        moved
    }

    /// True if it has been seen to stand still for as long as silence takes, while others were up in Nova. No lag in Nova's data
    /// makes a moving heartbeat look like that, as the age in one answer could.
    pub(in super::super) fn has_stood_still(&self, silence: &SilenceTrack, rules: &Policy) -> bool {
        let lasts = |stood: Duration| stood >= rules.silent_after();
        let others_up =
            |deaf_ago: Option<Duration>| deaf_ago.is_none_or(|ago| ago >= rules.silent_after_deafness());
        let since = |from: Elapsed| self.last_seen.since(from);
        let own = |(_, from): (Timestamp, Elapsed)| {
            lasts(since(silence.again.map_or(from, |again| from.max(again))))
        };
        let before = |watched: StandingHeartbeat| {
            let unbroken = silence.again.is_none_or(|again| again <= self.watched_until);
            let until = since(self.watched_until);
            unbroken && lasts(watched.stood + until) && others_up(watched.deaf_ago.map(|ago| ago + until))
        };
        others_up(silence.deaf_ago(self.last_seen))
            && (self.still.is_some_and(own) || self.watched.is_some_and(before))
    }

    /// Records a heartbeat that is not the noted one. A single difference may be another actor's change of the record, which moves the same
    /// timestamp; a host that sends heartbeats moves it again.
    fn has_advanced(&mut self, heartbeat: Timestamp, requested_at: Elapsed) {
        let (first, since, again) = self.advanced.unwrap_or((heartbeat, requested_at, false));
        let within = (self.stale_after * 2).clamp(NEXT_HEARTBEAT_LIMIT, MAX_NEXT_HEARTBEAT_LIMIT);
        let soon = requested_at.since(since) <= within;
        // Different, not later: API servers and conductors date the record by their own clocks.
        self.advanced = Some(if again || (heartbeat != first && soon) {
            (first, since, true)
        } else if heartbeat != first {
            (heartbeat, requested_at, false)
        } else {
            (first, since, false)
        });
    }

    /// Returns the heartbeat that Nova shows; one that was never sent stands still at the beginning of time.
    pub(in super::super) fn last_heartbeat(&self) -> Option<Timestamp> {
        self.observed.as_ref().map(Service::heartbeat)
    }

    /// Returns the last heartbeat that the host itself has sent: a change by the recovery that failed before is none.
    pub(in super::super) fn last_own_heartbeat(&self) -> Option<Timestamp> {
        let shown = self.last_heartbeat()?;
        let own = self.own_stamp.filter(|own| own.made == shown);
        Some(own.map_or(shown, |own| own.before))
    }

    /// Returns the current age of the heartbeat in the last reading, if Nova shows it. A decision may come long after the reading, as by
    /// an engine that was stopped meanwhile.
    pub(in super::super) fn heartbeat_age(&self, now: Elapsed) -> Option<Duration> {
        let age = self.observed.as_ref()?.heartbeat_age_micros()?;
        Some(Duration::from_micros(u64::try_from(age).unwrap_or_default()) + now.since(self.last_seen))
    }

    /// Returns the time since the heartbeat was seen to move.
    pub(in super::super) fn moved_ago(&self, now: Elapsed) -> Option<Duration> {
        self.still.map(|(_, since)| now.since(since))
    }

    /// True if its nova-compute has sent heartbeats again since it was forced down.
    pub(in super::super) fn is_back(&self) -> bool {
        self.advanced.is_some_and(|(.., again)| again)
    }

    /// Describes how the host is up in Nova, if it is.
    pub(in super::super) fn up_evidence(&self, now: Elapsed) -> Option<String> {
        // No age in the text: the message would change, and be written, with every reading.
        let shown = self.seen_now(now).filter(|_| !self.is_silent(now))?;
        Some(if shown.forced_down {
            "its nova-compute still sends heartbeats".into()
        } else {
            "Nova shows it up".into()
        })
    }
}

impl ServiceTrack {
    /// Handles the answer to a reading. Returns true if it shows the host's record.
    pub(in super::super) fn answered(
        &mut self,
        result: Result<Option<Service>, Fault>,
        untouched: bool,
        proof: &mut Option<Proof>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let now = ctx.now;
        let requested_at = self.question.answered();
        // A change is in flight, or was when this was requested: it is unknown which side of the change the answer shows.
        if self.updating || requested_at.is_some_and(|requested_at| requested_at < self.changed) {
            self.question.not_before = now.elapsed.plus(Duration::from_millis(500));
            return false;
        }
        match result {
            Ok(Some(shown)) => {
                self.shown(shown, requested_at.unwrap_or(now.elapsed), proof, moves, ctx);
                return true;
            }
            Ok(None) => self.not_shown(untouched, moves, ctx),
            Err(fault) => {
                self.question.not_before = now.elapsed.plus(Duration::from_secs(1));
                ctx.blockers.begin(BlockerKind::Service, now, || {
                    format!("waiting for Nova: {}", fault.text)
                });
            }
        }
        false
    }

    /// Handles the record from lists that were requested at `requested_at`. A reading of its own that is in flight, or was later, shows more.
    pub(in super::super) fn shown_by_lists(
        &mut self,
        shown: Service,
        requested_at: Elapsed,
        proof: &mut Option<Proof>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let is_newer = requested_at >= self.changed && requested_at > self.last_seen;
        if is_newer && !self.updating && !self.is_awaited() {
            self.shown(shown, requested_at, proof, moves, ctx);
        }
    }

    fn shown(
        &mut self,
        shown: Service,
        requested_at: Elapsed,
        proof: &mut Option<Proof>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, policy) = (ctx.now, ctx.policy);
        self.question.observed = Some(requested_at);
        self.missing = 0;
        ctx.blockers.end(BlockerKind::Service);
        self.stale_after = policy.silent_after();
        self.reading_lifetime = policy.heartbeat_poll + policy.call_deadline;
        if self.id != Some(shown.id) {
            // This record may accept what the last one has refused.
            self.faults = 0;
            self.not_before = now.elapsed;
            self.id = Some(shown.id);
            ctx.record.head = true;
        }
        if self.since.is_none() && !matches!(*ctx.stage, Stage::Returning | Stage::Starting) {
            self.since = shown.nova_now.map(|at| at.minus_seconds(MAX_CLOCK_SKEW_SECONDS));
            ctx.record.head = true;
        }
        if self.is_outdated(&shown, requested_at, &ctx.mark()) {
            self.question.not_before = now.elapsed.plus(LAGGING_READ_RETRY_DELAY);
            return;
        }
        let gone = !shown.forced_down;
        let heartbeat = shown.heartbeat();
        let fresh_reading = self.record_heartbeat(heartbeat, requested_at, now.elapsed);
        ctx.record.head |= fresh_reading && *ctx.stage == Stage::Fencing;
        self.adopt_lost_change(&shown, ctx);
        self.observed = Some(shown);
        // A record with a time before this recovery's change shows nothing about the heartbeats since.
        let earlier = self.mark.is_none_or(|mark| heartbeat < mark);
        if !(gone && self.in_force && earlier) || *ctx.stage == Stage::Returning {
            self.judge_heartbeat(heartbeat, requested_at, proof, moves, ctx);
        }
        let counted_on = self.in_force && matches!(*ctx.stage, Stage::Listing | Stage::Moving);
        if gone {
            refusals_explained(moves, requested_at, ctx.record);
        }
        if gone && counted_on && proof.is_some() && (ctx.settled || !self.sets_again(ctx)) {
            revoke_proof(proof, moves, "others clear its forced_down again and again", ctx);
        }
    }

    fn not_shown(&mut self, untouched: bool, moves: &Moves, ctx: &mut DecisionContext<'_>) {
        let (now, host) = (ctx.now, ctx.host);
        self.question.not_before = now.elapsed.plus(Duration::from_secs(5));
        self.missing = self.missing.saturating_add(1);
        ctx.blockers.begin(BlockerKind::Service, now, || {
            format!("Nova knows no nova-compute service on host {host}")
        });
        if self.missing < MIN_MISSING_ANSWERS {
            return;
        }
        match *ctx.stage {
            // Without a service there is no effect of a lost request to look for: the recovery ends as rejected.
            Stage::Begin | Stage::Fencing | Stage::Disabling | Stage::Listing if ctx.rejected.is_some() => {}
            Stage::Begin | Stage::Fencing | Stage::Disabling if ctx.hold.is_none() => {
                let message = format!(
                    "Nova knows no nova-compute service on host {host}: check that it is registered under its service host name"
                );
                if untouched {
                    ctx.record.failed(Task::Fence, message.clone());
                    ctx.end(NotificationStatus::Failed, Some(message));
                } else {
                    self.missing = 0;
                    ctx.hold_fence(&message);
                }
            }
            // The lists of a host without a service do not count, and only an operator can find out what has become of it.
            Stage::Listing if ctx.hold.is_none() => {
                self.missing = 0;
                ctx.hold_fence(&format!(
                    "Nova knows no nova-compute service on host {host} any more"
                ));
            }
            // Nova evacuates nothing from a host without a service.
            Stage::Moving
                if ctx.hold.is_none()
                    && ctx.rejected.is_none()
                    && moves
                        .values()
                        .any(|instance| matches!(instance.step, MoveStep::Waiting { .. })) =>
            {
                self.missing = 0;
                let reason = format!(
                    "Nova knows no nova-compute service on host {host} any more, so it evacuates nothing from it. Abort the recovery: \
                     it then names the instances that are left"
                );
                ctx.record.failed(Task::Evacuate, reason.clone());
                ctx.hold(HoldKind::Fence, reason);
            }
            // The operator has deleted the service: there is nothing left to return to service.
            Stage::Returning => ctx.returned("its service record is gone"),
            Stage::Begin
            | Stage::Fencing
            | Stage::Disabling
            | Stage::Listing
            | Stage::Moving
            | Stage::Starting
            | Stage::Done => {}
        }
    }

    /// Judges a heartbeat. After `forced_down` it is noted once; if it advances while there are moves to be made, the host is
    /// running. When they are done, an advance is its return. The claim of a notification is bound to the heartbeat before that too.
    fn judge_heartbeat(
        &mut self,
        heartbeat: Timestamp,
        requested_at: Elapsed,
        proof: &mut Option<Proof>,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        let is_claim = proof.as_ref().is_some_and(Proof::is_claim);
        let sent = self.put.map_or(self.changed, |put| put.at);
        // It is unknown when Nova read the record, only that it was not after its answer arrived. A process that was stopped before
        // it sent its question gets a late reading.
        let late = self.changed_by_another || now.elapsed.since(sent) > OWN_CHANGE_WINDOW;
        // A copy of Nova's database that lags behind shows every heartbeat as old. A claim counts only on one that was seen to stand still.
        let is_silent = self.is_silent(now.elapsed) && (!is_claim || self.still_for() >= self.stale_after);
        match (self.mark, *ctx.stage) {
            (_, Stage::Begin | Stage::Fencing | Stage::Starting | Stage::Done) => {}
            (Some(mark), _) if heartbeat != mark => {
                // This recovery's own late change would look like a heartbeat: a heartbeat seen before that is ruled out is an
                // alarm, and no return.
                if !self.may_yet_be_set(requested_at, ctx.policy.late_effect_window())
                    && !self.may_show_own_changes(requested_at)
                {
                    self.has_advanced(heartbeat, requested_at);
                }
                revoke_proof(proof, moves, "its nova-compute sends heartbeats again", ctx);
            }
            (Some(_), _) => {
                renew_proof(proof, ctx.record, |proof| proof.renew_by_stillness(requested_at));
            }
            (None, Stage::Disabling) if !is_claim => {}
            // Long after this recovery's change a fresh heartbeat may be the host's own: it must become stale once more.
            (None, Stage::Disabling | Stage::Listing | Stage::Moving)
                if !is_silent && (*ctx.stage == Stage::Disabling || late) =>
            {
                // Nova shows the time of this recovery's own unanswered change as a heartbeat: it must become stale once more.
                let since = *self.waiting.get_or_insert(now.elapsed);
                let host = ctx.host;
                ctx.blockers.begin(BlockerKind::HostUp, now, || {
                    format!("waiting until host {host} has sent no heartbeat to Nova for a while")
                });
                if now.elapsed.since(since) >= MAX_CONTRADICTED_TIME {
                    revoke_proof(proof, moves, "its nova-compute sends heartbeats", ctx);
                }
            }
            (None, _) => {
                self.waiting = None;
                ctx.blockers.end(BlockerKind::HostUp);
                self.mark = Some(heartbeat);
                ctx.record.head = true;
                renew_proof(proof, ctx.record, |proof| proof.renew_by_stillness(requested_at));
            }
        }
    }
}

/// Revokes the proof because the host is seen running, and ends all further submits of this episode for good; moves in
/// flight are followed to their end.
pub(in super::super) fn revoke_proof(
    proof: &mut Option<Proof>,
    moves: &Moves,
    how: &str,
    ctx: &mut DecisionContext<'_>,
) {
    if proof.take().is_none() {
        return;
    }
    // Other recoveries must not count on the proof any more.
    ctx.record.head = true;
    // After the notification is closed no operator is waiting for it: the moves that are left are named.
    if matches!(*ctx.stage, Stage::Returning | Stage::Starting | Stage::Done)
        || ctx.rejected.is_some()
        || ctx.settled
    {
        return;
    }
    ctx.blockers.end(BlockerKind::HostUp);
    let under_way = moves.values().filter(|instance| instance.is_in_flight()).count();
    let waiting = |instance: &&Move| matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold);
    let left = moves.values().filter(waiting).count();
    let reason = format!(
        "ALARM: host {} is alive: {how}. No further instance is evacuated ({left} are left); {under_way} requested before are followed to their end. Power the host off and approve the recovery, or abort it",
        ctx.host
    );
    ctx.record.failed(Task::Evacuate, reason.clone());
    ctx.hold(HoldKind::Alive, reason);
}

/// Renews the proof; if that confirms it for the first time, other recoveries may count on it from now on.
pub(in super::super) fn renew_proof(
    proof: &mut Option<Proof>,
    record: &mut Record,
    renew: impl FnOnce(&mut Proof),
) {
    if let Some(proof) = proof {
        let before = proof.is_confirmed();
        renew(proof);
        record.head |= proof.is_confirmed() != before;
    }
}
