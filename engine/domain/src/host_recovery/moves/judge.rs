//! The judgement of one move by a pair of lists, and the consequences.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::method::{RetryElsewhere, RetryPolicy};
use super::super::{End, Move, MoveStep};
use super::{confirmed, finish, nova_failed};
use crate::elapsed::Elapsed;
use crate::id::MigrationId;
use crate::nova::{Migration, MigrationStatus, Server, VmState};
use crate::recovery::{DecisionTime, Record, StepKind, Task, WrittenOff};
use crate::timestamp::Timestamp;

/// Multiple of `conductors_up` for which an evacuation that no conductor has picked up may simply be waiting its turn.
const CONDUCTOR_WAIT_FACTOR: u32 = 5;

/// Time without a heartbeat, at the request of an evacuation, after which Nova does not choose a host for it any more.
const MIN_SILENCE_AT_REQUEST: Duration = Duration::from_mins(2);

/// Number of lists in a row that show an instance on the host although its evacuation is recorded as done.
const MAX_DONE_LISTS: u8 = 20;

/// Maximum time that an evacuation may be recorded as done without the instance leaving the host.
const MAX_DONE_DURATION: Duration = Duration::from_mins(10);

/// The result of a judgement: the lists are enough, or the server has to be read.
#[derive(PartialEq)]
pub(super) enum ListStatus {
    Enough,
    ReadServer,
}

/// The facts for judging a pair of lists.
pub(super) struct ListPair {
    pub(super) started: Elapsed,
    pub(super) since: Option<Timestamp>,
    pub(super) absence_after: Duration,
    pub(super) conductors_up: Duration,
    /// The time since which Nova's messages get through.
    pub(super) messages_since: Option<Elapsed>,
    /// The time after that within which Nova may release what it has held: a call's deadline and Nova's own.
    pub(super) let_go_within: Duration,
    /// The hosts that are down in Nova, with the time since their last heartbeat.
    pub(super) silent: BTreeMap<String, Duration>,
    /// The time of that reading.
    pub(super) silent_at: Elapsed,
    pub(super) patience: RetryPolicy,
    /// The hosts that were confirmed off before the lists were requested.
    pub(super) dead: BTreeSet<String>,
}

impl ListPair {
    /// Judges one move by the lists. Returns whether they are enough; if so, the result is applied.
    pub(super) fn at(
        &self,
        instance: &mut Move,
        on_host: Option<&Server>,
        records: &[&Migration],
        now: DecisionTime,
        record: &mut Record,
    ) -> ListStatus {
        match &instance.step {
            MoveStep::Asked { since, .. } if self.started < *since => ListStatus::Enough,
            MoveStep::Asked { .. } => match on_host {
                Some(server) => {
                    self.still_there(instance, server, records, now, record);
                    ListStatus::Enough
                }
                None => self.not_there(instance, records, now, record),
            },
            MoveStep::Waiting { .. } => {
                let begun = records
                    .iter()
                    .filter(|record| self.is_in_progress(instance, record))
                    .map(|record| record.id)
                    .min();
                match begun {
                    Some(first) => {
                        instance.follow_existing(first, now);
                        record.moves.insert(instance.server);
                        ListStatus::Enough
                    }
                    None if on_host.is_none() => ListStatus::ReadServer,
                    None => {
                        let known = instance.known;
                        if instance.note_failed_at(records, |record| record.id > known, &self.dead) {
                            record.moves.insert(instance.server);
                        }
                        instance.known = highest(instance, records);
                        instance.busy_before = on_host.is_some_and(Server::is_rebuilding);
                        ListStatus::Enough
                    }
                }
            }
            // The inventory decides whether it may continue. Its leaving needs no inventory: Nova may have no service to list by any more.
            MoveStep::OnHold if on_host.is_none() => ListStatus::ReadServer,
            MoveStep::OnHold
            | MoveStep::Restoring { .. }
            | MoveStep::Unlocking { .. }
            | MoveStep::Done(_) => ListStatus::Enough,
        }
    }

    /// True if Nova may be carrying out a move of it that another actor has requested.
    fn is_in_progress(&self, instance: &Move, record: &Migration) -> bool {
        !record.status.is_finished() && !instance.has_written_off(record) && !self.targets_dead_host(record)
    }

    fn targets_dead_host(&self, record: &Migration) -> bool {
        record.dest.as_ref().is_some_and(|dest| self.dead.contains(dest))
    }

    /// Records that its destination may have spawned it. It does not run there for as long as that host is confirmed off.
    fn note_possible_run(&self, instance: &mut Move, record: &Migration) {
        if let Some(dest) = record.dest.as_ref().filter(|_| self.targets_dead_host(record)) {
            instance.note_may_run_on(dest, &self.dead);
        }
    }

    /// True if an evacuation was accepted and never picked up. Nova has answered the call, so its API does not hold the message
    /// any more. Its messages have got through for long enough since then, longer after an outage. And the evacuation waits in the
    /// queue of no host. The order in which records were picked up shows nothing: held messages are released in any order.
    fn is_lost(&self, record: &Migration, requested_at: Elapsed, answered: bool) -> bool {
        let Some(up) = self.messages_since else {
            return false;
        };
        // A request from before messages got through may have been held for as long as that.
        let held_for = up.since(requested_at);
        let wait = (self.conductors_up * CONDUCTOR_WAIT_FACTOR).max(self.let_go_within + held_for);
        let queued = self
            .silent
            .values()
            .any(|silent| *silent <= self.silent_at.since(requested_at) + MIN_SILENCE_AT_REQUEST);
        record.is_unpicked() && answered && !queued && self.started.since(up.max(requested_at)) >= wait
    }

    /// Judges an instance that the list does not show on the host. It has been moved if an evacuation of it from this host is done.
    fn not_there(
        &self,
        instance: &mut Move,
        records: &[&Migration],
        now: DecisionTime,
        record: &mut Record,
    ) -> ListStatus {
        let young = |record: &&&Migration| {
            record
                .created_at
                .is_none_or(|at| self.since.is_none_or(|since| at >= since))
        };
        let done = records
            .iter()
            .filter(young)
            .find(|record| record.status.is_done());
        if let Some(done) = done {
            instance.known = highest(instance, records);
            confirmed(instance, done.dest.clone(), now, record);
            return ListStatus::Enough;
        }
        let unfinished = records.iter().any(|record| self.is_in_progress(instance, record));
        let MoveStep::Asked { gone, .. } = &mut instance.step else {
            return ListStatus::Enough;
        };
        // Nova switches the host a moment before it finishes the record.
        *gone = gone.saturating_add(1);
        let patience = if unfinished { 20 } else { 2 };
        if *gone < patience {
            return ListStatus::Enough;
        }
        *gone = 0;
        ListStatus::ReadServer
    }

    fn still_there(
        &self,
        one: &mut Move,
        server: &Server,
        records: &[&Migration],
        now: DecisionTime,
        record: &mut Record,
    ) {
        let known = highest(one, records);
        let changed = |record: &Migration| {
            one.written_off.iter().any(|off| off.id == record.id) && !one.has_written_off(record)
        };
        let MoveStep::Asked {
            since,
            floor,
            answered,
            ..
        } = one.step
        else {
            return;
        };
        // Any newer record is the effect, and so is an older one that has changed since it was given up.
        let effects: Vec<&Migration> = records
            .iter()
            .copied()
            .filter(|record| (record.id > floor && !one.has_written_off(record)) || changed(record))
            .collect();
        let MoveStep::Asked { absent, gone, .. } = &mut one.step else {
            return;
        };
        *gone = 0;
        if effects.is_empty() {
            // Absence counts only late, twice, and not while Nova shows that it is rebuilding.
            let late = self.started.since(since) >= self.absence_after;
            let at_work = server.is_rebuilding() && !one.busy_before;
            *absent = if late && !at_work { *absent + 1 } else { 0 };
            if *absent >= 2 {
                retry_later(one, "Nova has no trace of its evacuation", now, record);
            }
            return;
        }
        if effects.iter().any(|record| record.status.is_done()) {
            // The list of servers was taken first: the next one will show that it has left. If it never does, the host came
            // back in the middle and its nova-compute has closed the record; a destination may still be rebuilding.
            *absent = absent.saturating_add(1);
            if *absent >= MAX_DONE_LISTS && self.started.since(since) >= MAX_DONE_DURATION {
                one.remark("the evacuation is recorded as completed, but the instance has not left the host: check where it runs");
                one.remark(&format!("it was {} before", one.was.vm_state));
                finish(one, End::Person, now, record);
            }
            return;
        }
        *absent = 0;
        let open: Vec<&Migration> = effects
            .iter()
            .copied()
            .filter(|record| !record.status.is_finished())
            .collect();
        let failed_at = |record: &Migration| effects.iter().any(|effect| effect.id == record.id);
        if one.note_failed_at(&effects, failed_at, &self.dead) {
            record.moves.insert(one.server);
        }
        if open.is_empty() {
            one.known = known;
            one.written_off
                .retain(|off| !effects.iter().any(|record| record.id == off.id));
            let status = effects.iter().find(|record| record.status.is_failed());
            let why = server.fault.clone().unwrap_or_else(|| {
                format!(
                    "migration {}",
                    status.map_or("ended", |record| record.status.as_nova())
                )
            });
            one.busy_before = server.is_rebuilding();
            let retry_elsewhere = retry_elsewhere_of(status.map(|record| &record.status), server);
            nova_failed(one, &why, retry_elsewhere, self.patience, now, record);
            return;
        }
        one.dest = open.iter().rev().find_map(|record| record.dest.clone());
        let over_with =
            |record: &&Migration| self.targets_dead_host(record) || self.is_lost(record, since, answered);
        if !open.iter().all(over_with) {
            // An evacuation to a dead host is finished whatever becomes of the others, and that host may be back before they end.
            for dead in open.into_iter().filter(|record| self.targets_dead_host(record)) {
                one.written_off.retain(|off| off.id != dead.id);
                one.written_off.push(WrittenOff::of(dead));
                self.note_possible_run(one, dead);
                record.moves.insert(one.server);
            }
            return;
        }
        // No request for it can have an effect any more, so it runs nowhere.
        let why = match &one.dest {
            Some(dead) => format!("destination {dead} died during the rebuild and is confirmed off"),
            None => "no conductor has picked up its evacuation".into(),
        };
        one.known = known;
        one.busy_before = server.is_rebuilding();
        // The reserved host that was named has died before it picked the instance up, or after: it is not named again.
        one.route.exclude_target();
        one.dest = None;
        one.written_off
            .retain(|off| !effects.iter().any(|record| record.id == off.id));
        for record in &open {
            self.note_possible_run(one, record);
        }
        one.written_off.extend(open.into_iter().map(WrittenOff::of));
        // A conductor has picked up an older record in the place of this one, and failed it: that was an attempt.
        let failed = effects.iter().rev().find(|record| record.status.is_failed());
        if let Some(failed) = failed {
            let retry_elsewhere = retry_elsewhere_of(Some(&failed.status), server);
            nova_failed(one, &why, retry_elsewhere, self.patience, now, record);
        } else {
            retry_later(one, &why, now, record);
        }
    }
}

/// Derives the cure from what Nova leaves behind. The conductor ends a record with `error`, a compute host with `failed`. The
/// latter marks an instance in error only if it had started to build it.
fn retry_elsewhere_of(status: Option<&MigrationStatus>, server: &Server) -> RetryElsewhere {
    match status {
        Some(MigrationStatus::Error) => RetryElsewhere::NoHost,
        Some(MigrationStatus::Failed) if server.vm_state != VmState::Error => RetryElsewhere::OtherHost,
        _ => RetryElsewhere::MayHelp,
    }
}

fn highest(instance: &Move, records: &[&Migration]) -> MigrationId {
    records
        .iter()
        .map(|record| record.id)
        .max()
        .map_or(instance.known, |id| id.max(instance.known))
}

fn retry_later(instance: &mut Move, why: &str, now: DecisionTime, record: &mut Record) {
    instance.step = MoveStep::Waiting {
        not_before: now.elapsed,
    };
    record.moves.insert(instance.server);
    let text = format!("requesting the evacuation of {} again: {why}", instance.name);
    record.server_step(Task::Evacuate, StepKind::Note, instance.server, 0.5, text);
}
