//! An operator's resolution of one instance, which ends every wait that Nova does not end.

use std::time::Duration;

use super::super::decision_context::{DecisionContext, Moves};
use super::super::{End, Move, MoveStep, Preparation};
use super::absence::note_report;
use super::finish;
use super::track::MoveTrack;
use crate::nova::Migration;
use crate::recovery::action::APPROVAL_LIFETIME;
use crate::recovery::{DecisionTime, InstanceResolution, Record, ResolutionKind, StepKind, Task, WrittenOff};

/// Time without progress after which an operator may give a move up.
const NO_PROGRESS_PERIOD: Duration = Duration::from_mins(1);

/// Refuses an action that no engine has read for so long that what the operator has seen may have changed.
fn is_in_time(resolution: &InstanceResolution) -> Result<(), String> {
    if !resolution.is_late {
        return Ok(());
    }
    Err(format!(
        "it was given more than {} s before it was read. Repeat it if it is still true",
        APPROVAL_LIFETIME.as_secs()
    ))
}

impl Move {
    /// Checks whether the action applies to the move as it is. Nova's view is checked when the action is taken.
    ///
    /// # Errors
    ///
    /// Returns the reason why it does not apply, as text for operators.
    pub fn accepts(&self, kind: ResolutionKind, on: Option<&str>) -> Result<(), String> {
        if self.is_finished() {
            return Err(format!(
                "the move of {} is done in this recovery: retry the recovery to repeat it",
                self.name
            ));
        }
        if matches!(self.step, MoveStep::Restoring { .. } | MoveStep::Unlocking { .. }) {
            return Err(format!(
                "{} has been moved, and only its unlock is left",
                self.name
            ));
        }
        let in_flight = self.is_in_flight();
        match kind {
            ResolutionKind::Success if on.is_none() => {
                Err("name the host that it runs on: --running-on HOST".into())
            }
            ResolutionKind::Retry if in_flight => Err(format!(
                "Nova may still be working on {}: use --not-running-on with the host it went to, once it is certain that nothing runs there",
                self.name
            )),
            ResolutionKind::Retry
                if self.step == MoveStep::OnHold
                    && (self.has_no_possible_host()
                        || self.elsewhere.difference(&self.absent).count() > 0) =>
            {
                Err(format!(
                    "{} may run elsewhere: {}",
                    self.name,
                    self.note.as_deref().unwrap_or_default()
                ))
            }
            ResolutionKind::Failure if self.step == MoveStep::OnHold && on.is_none() => Err(format!(
                "name the host that {} does not run on: --not-running-on HOST; {}",
                self.name,
                self.note.as_deref().unwrap_or_default()
            )),
            ResolutionKind::Failure
                if self.step == MoveStep::OnHold
                    && self.has_no_possible_host()
                    && on.is_some_and(|host| !self.elsewhere.contains(host)) =>
            {
                let hosts: Vec<&str> = self
                    .elsewhere
                    .difference(&self.absent)
                    .map(String::as_str)
                    .collect();
                Err(format!("it may run on {}: name that host", hosts.join(" or ")))
            }
            ResolutionKind::Failure
                if matches!(self.step, MoveStep::Waiting { .. }) && self.has_no_possible_host() =>
            {
                Err(format!("{} is about to be requested anyway", self.name))
            }
            ResolutionKind::Failure
                if in_flight
                    && self.dest.is_some()
                    && self.dest.as_deref() != on
                    && on.is_none_or(|host| !self.possible_hosts().any(|possible| possible == host)) =>
            {
                Err(format!(
                    "{} goes to {}: use --not-running-on with that host",
                    self.name,
                    self.dest.as_deref().unwrap_or_default()
                ))
            }
            ResolutionKind::Failure
                if !self.has_no_possible_host()
                    && on.is_none_or(|host| !self.adds_information(host, in_flight)) =>
            {
                Err(format!(
                    "it may run on {}: name that host",
                    self.possible_hosts_text()
                ))
            }
            ResolutionKind::Success
            | ResolutionKind::Failure
            | ResolutionKind::Retry
            | ResolutionKind::Ignore => Ok(()),
        }
    }

    /// True if it is new information that it does not run on `host`. For a host that is confirmed off that is known.
    fn adds_information(&self, host: &str, in_flight: bool) -> bool {
        let may_be_moved_there = self.may_run.contains(host) || self.dest.as_deref() == Some(host);
        self.possible_hosts().any(|doubt| doubt == host) || (in_flight && may_be_moved_there)
    }

    /// Gives the move up, and keeps the host on which Nova may still start it.
    fn give_up(&mut self, why: &str, end: End, now: DecisionTime, record: &mut Record) {
        if self.is_in_flight()
            && let Some(dest) = self.dest.clone()
        {
            self.may_run.insert(dest);
        }
        self.remark(why);
        if self.preparation != Preparation::NotNeeded {
            self.remark(&format!("it was {} before", self.was.vm_state));
        }
        finish(self, end, now, record);
    }
}

impl MoveTrack {
    /// Processes the operator actions on instances. `last_action`: the number of the last one processed. True if the instances are to be listed again.
    pub(in super::super) fn apply_resolutions(
        &mut self,
        resolutions: &[InstanceResolution],
        last_applied: &mut u64,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let last = *last_applied;
        let mut lists_anew = false;
        for resolution in resolutions.iter().filter(|resolution| resolution.number > last) {
            *last_applied = (*last_applied).max(resolution.number);
            ctx.record.head = true;
            let verb = resolution.word.verb(resolution.on.as_deref());
            let text = format!("{verb} for instance {}", resolution.server);
            ctx.record.applied(text, &resolution.by);
            lists_anew |= self.apply_resolution(resolution, moves, ctx);
        }
        lists_anew
    }

    fn apply_resolution(
        &mut self,
        resolution: &InstanceResolution,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        let (now, record) = (ctx.now, &mut *ctx.record);
        let Some(instance) = moves.get_mut(&resolution.server) else {
            let verb = resolution.word.verb(resolution.on.as_deref());
            let text = format!("{verb} by {}: no such instance here", resolution.by);
            record.step(Task::Evacuate, StepKind::Note, 0.5, text);
            return false;
        };
        let on = resolution.on.as_deref();
        let verb = resolution.word.verb(on);
        let admitted = is_in_time(resolution)
            .and_then(|()| instance.accepts(resolution.word, on))
            .and_then(|()| self.check_stuck(instance, resolution.word, now));
        // The next list releases a move on hold, if nothing else holds it.
        let lists_anew = admitted.is_ok() && resolution.word == ResolutionKind::Failure;
        let text = match admitted {
            Ok(()) => {
                self.apply_to_move(instance, resolution, now, record);
                format!("{verb} requested for {} by {}", instance.name, resolution.by)
            }
            Err(why) => format!(
                "{verb} requested for {} by {}: not done: {why}",
                instance.name, resolution.by
            ),
        };
        record.server_step(Task::Evacuate, StepKind::Note, instance.server, 0.5, text);
        record.moves.insert(instance.server);
        lists_anew
    }

    /// Refuses an action on a move that makes progress, because it needs none.
    fn check_stuck(&self, instance: &Move, kind: ResolutionKind, now: DecisionTime) -> Result<(), String> {
        if kind != ResolutionKind::Failure || !instance.is_in_flight() {
            return Ok(());
        }
        let progress = self.progress.get(&instance.server);
        match progress.map(|track| now.elapsed.since(track.1)) {
            Some(still) if still >= NO_PROGRESS_PERIOD => Ok(()),
            Some(still) => Err(format!("it has made progress {} s ago", still.as_secs())),
            None => Err("this engine has not seen its evacuation yet: repeat the action in a moment".into()),
        }
    }

    fn apply_to_move(
        &mut self,
        instance: &mut Move,
        resolution: &InstanceResolution,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let on = resolution.on.as_deref();
        match resolution.word {
            // The report counts once Nova shows the instance there.
            ResolutionKind::Success => {
                let host = on.unwrap_or_default().to_owned();
                // At once: an owner that never gets the answer to the reading must leave the host to the next one.
                note_report(instance, &host, &resolution.by, record);
                self.said_on
                    .insert(instance.server, (host, resolution.by.clone()));
                self.to_read.insert(instance.server);
            }
            ResolutionKind::Failure => {
                if let Some(host) = on {
                    instance.is_absent_from(host, &resolution.by, record);
                    instance.absent.insert(host.to_owned());
                }
                // A statement about the host of an earlier evacuation leaves this one as it is.
                if instance.is_in_flight()
                    && (on.is_none() || instance.dest.is_none() || instance.dest.as_deref() == on)
                {
                    instance.give_up_records(self.open_records.get(&instance.server));
                    instance.poll_again(now);
                }
            }
            ResolutionKind::Retry => instance.poll_again(now),
            ResolutionKind::Ignore => {
                let why = format!("left as it is by {}", resolution.by);
                let end = if instance.is_in_flight() {
                    End::Person
                } else {
                    End::Left
                };
                instance.give_up(&why, end, now, record);
            }
        }
    }

    /// Gives up moves that an operator has rejected, and that Nova does not end.
    pub(super) fn give_up_stuck(&self, by: &str, moves: &mut Moves, ctx: &mut DecisionContext<'_>) {
        let (now, limit) = (ctx.now, ctx.policy.slow_after);
        for instance in moves.values_mut() {
            let MoveStep::Asked { since, .. } = instance.step else {
                continue;
            };
            let progress = self.progress.get(&instance.server).map(|track| track.1);
            // Only moves that this owner has polled: a new owner first sees for itself.
            if progress.is_some_and(|at| now.elapsed.since(at.max(since)) >= limit) {
                let place = instance
                    .dest
                    .clone()
                    .map(|dest| format!(" on {dest}"))
                    .unwrap_or_default();
                let why = format!(
                    "aborted by {by} while Nova may still be working on it{place}: check where it runs before you start it again"
                );
                instance.give_up(&why, End::Person, now, ctx.record);
            }
        }
    }
}

impl Move {
    fn poll_again(&mut self, now: DecisionTime) {
        self.failures = 0;
        self.failed_first = None;
        self.clear_note();
        self.dest = None;
        self.disk_wait = None;
        self.remark_nature();
        self.step = MoveStep::Waiting {
            not_before: now.elapsed,
        };
    }

    fn give_up_records(&mut self, open: Option<&Vec<Migration>>) {
        for record in open.into_iter().flatten() {
            self.known = self.known.max(record.id);
            self.written_off.retain(|off| off.id != record.id);
            self.written_off.push(WrittenOff::of(record));
        }
    }
}
