//! What the lists show of each move.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::super::messaging::Messaging;
use super::super::method::{Cure, Patience};
use super::super::trouble::{Topic, Troubles};
use super::super::turn::{Moves, Turn};
use super::super::{End, Lock, Move, MoveStep};
use super::absence::Absence;
use super::answers::tell_calls;
use super::track::MoveTrack;
use super::{confirmed, finish, nova_failed};
use crate::fault::Fault;
use crate::nova::{Migration, MigrationStatus, Server, VmState};
use crate::recovery::{Lists, Now, Record, StepKind, Task, WrittenOff};
use crate::{Elapsed, MigrationId, ServerId, Timestamp};

/// How many times `conductors_up` an evacuation that no conductor has picked up may simply be waiting its turn.
const TURN: u32 = 5;

/// Nova's `rpc_response_timeout`: how long a part of Nova may wait for another after messages get through again.
const RPC_TIMEOUT: Duration = Duration::from_mins(1);

/// A host that Nova has not heard for so long when an evacuation is asked for is not chosen for it any more.
const HEARD_BEFORE: Duration = Duration::from_mins(2);

/// Lists in a row that show an instance on the host although its evacuation is recorded as done.
const LONG_DONE: u8 = 20;

/// A look that is not a long one takes a sixteenth of the time at most, so that following the evacuations does not hold them up. A Nova
/// that is busy with fifty of them answers in a tenth of a second, and is asked every second and a half.
const PAUSE_PER_LOOK: u32 = 15;

/// The longest it is put off for that. What is seen too late is begun too late.
const PAUSE: Duration = Duration::from_secs(2);

/// The longest it is put off for as long as the last one has taken.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How long another host must have been proven off to be counted on: longer than a recovery is without an owner.
const PROVEN_FOR: Duration = Duration::from_secs(10);

/// How long an evacuation may be recorded as done without the instance leaving the host.
const DONE_FOR: Duration = Duration::from_mins(10);

impl MoveTrack {
    pub(in super::super) fn lists_read(
        &mut self,
        result: Result<Lists, Fault>,
        since: Option<Timestamp>,
        messaging: &Messaging,
        moves: &mut Moves,
        turn: &mut Turn<'_>,
    ) {
        let (now, policy, record) = (turn.now, turn.policy, &mut *turn.record);
        self.lists.answered();
        let lists = match result {
            Ok(lists) => lists,
            Err(fault) => {
                self.lists.not_before = not_followed(&fault, turn);
                return;
            }
        };
        turn.troubles.end(Topic::Lists);
        self.lists.not_before = self.next_look(lists.started, policy.tick, now);
        self.evacuations.not_before = self.lists.not_before;
        self.lists.seen = Some(lists.started);
        let looked_before = self.evacuations.seen;
        self.evacuations.seen = looked_before.max(Some(lists.started));
        self.pace.looked = true;
        self.others.retain(|_, seen| *seen > lists.started);
        self.lists_due = !self.others.is_empty();
        self.stays.clear();
        self.server_ids_due = false;
        self.done.clear();
        let mut records: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
        for migration in &lists.evacuations {
            records.entry(migration.server).or_default().push(migration);
        }
        self.open_records = records
            .iter()
            .map(|(server, records)| {
                let open = records.iter().filter(|record| !record.status.is_over());
                (*server, open.map(|record| (*record).clone()).collect())
            })
            .collect();
        let on_host: BTreeMap<ServerId, &Server> =
            lists.servers.iter().map(|server| (server.id, server)).collect();
        let known = std::mem::take(&mut self.proven_off);
        let first_seen = |host: &String| known.get(host).copied().unwrap_or(now.elapsed);
        self.proven_off = lists
            .proven_off
            .iter()
            .map(|host| (host.clone(), first_seen(host)))
            .collect();
        let dead = self.hosts_to_count_on(now);
        let look = Look {
            started: lists.started,
            since,
            absence_after: policy.absence_counts_after(),
            conductors_up: policy.conductors_up,
            messages_since: messaging.since,
            let_go_within: policy.call_deadline + RPC_TIMEOUT,
            silent: messaging.silent.clone(),
            silent_at: messaging.silent_at,
            patience: Patience::of(policy),
            dead,
        };
        for one in moves.values_mut() {
            let absent = one.may_run.intersection(&look.dead).filter(|_| !one.is_over());
            for host in absent.cloned().collect::<Vec<_>>() {
                one.is_absent_from(&host, Absence::ProvenOff, record);
            }
            let records = records.get(&one.server).map(Vec::as_slice).unwrap_or_default();
            let here = on_host.get(&one.server).copied();
            if one.is_in_flight() {
                let sight = sight(here, records);
                let seen = self.progress.entry(one.server).or_insert((sight, now.elapsed));
                if seen.0 != sight {
                    *seen = (sight, now.elapsed);
                }
            } else {
                self.progress.remove(&one.server);
            }
            one.keep_owners_lock(here);
            let queued = one.queued_since();
            if look.at(one, here, records, now, record) == Seen::LookAtServer {
                self.look.insert(one.server);
            }
            self.pace.note_taken_up(queued, one, looked_before, now);
        }
        self.unpicked = lists
            .evacuations
            .iter()
            .filter(|record| record.is_unpicked())
            .map(|record| record.server)
            .collect();
        self.tell_slow(moves, policy.slow_after, turn.troubles, now);
        // What failed for an instance that is over since hides nothing any more.
        tell_calls(moves, turn.troubles, now);
    }
}

/// Something that moves are followed by could not be read: when to ask for it again.
pub(super) fn not_followed(fault: &Fault, turn: &mut Turn<'_>) -> Elapsed {
    turn.troubles.begin(Topic::Lists, turn.now, || {
        format!("the moves cannot be followed just now: {}", fault.text)
    });
    let tick = turn.policy.tick;
    turn.now.elapsed.plus(Duration::from_secs(1).max(tick))
}

impl MoveTrack {
    /// When to look next: a Nova that takes its time over a list is busy with the evacuations themselves, and is asked as much
    /// more seldom.
    pub(super) fn next_look(&self, started: Elapsed, tick: Duration, now: Now) -> Elapsed {
        let taken = now.elapsed.since(started).min(LONGEST_PAUSE);
        let pause = taken.max((taken * PAUSE_PER_LOOK).min(PAUSE));
        now.elapsed.plus(self.pace.pause(tick).max(pause))
    }

    /// The other hosts that have been proven off for long enough. One proven off while the lists were taken may have
    /// finished its work just before, and the record that says so is not in them. And a proof whose owner has died is worth
    /// nothing; within this time it has a new one, who takes it back until it has looked.
    pub(in super::super) fn hosts_to_count_on(&self, now: Now) -> BTreeSet<String> {
        self.proven_off
            .iter()
            .filter(|(_, since)| now.elapsed.since(**since) >= PROVEN_FOR)
            .map(|(host, _)| host.clone())
            .collect()
    }

    /// R10: what cannot be told apart from a dead destination waits, and says so. What makes progress is never slow (EW4).
    fn tell_slow(&mut self, moves: &Moves, limit: Duration, troubles: &mut Troubles, now: Now) {
        let mut slow = BTreeSet::new();
        let mut dests = BTreeSet::new();
        for one in moves.values() {
            let MoveStep::Asked { since, .. } = one.step else {
                continue;
            };
            let progress = self.progress.get(&one.server).map(|seen| seen.1);
            if now.elapsed.since(progress.map_or(since, |at| at.max(since))) >= limit {
                slow.insert(one.server);
                dests.extend(one.dest.as_deref());
            }
        }
        let count = slow.len();
        self.slow = Some(slow);
        if count == 0 {
            return troubles.end(Topic::Slow);
        }
        let mut text = format!(
            "evacuations of {count} instances have made no progress for over {} s",
            limit.as_secs()
        );
        if !dests.is_empty() {
            let dests: Vec<&str> = dests.into_iter().collect();
            let named = dests.join(", ");
            text =
                format!("{text}, to {named}; if such a host is dead too, it must be reported and proven off");
        }
        let unanswered = |one: &&Move| {
            matches!(one.step, MoveStep::Asked { answered: false, .. }) && self.unpicked.contains(&one.server)
        };
        let unanswered = moves.values().filter(unanswered).count();
        if unanswered > 0 {
            text = format!(
                "{text}; the call for {unanswered} of them was never answered, so Nova's API may hold it still"
            );
        }
        text.push_str("; tachi vmove list --needs-person says what can be done");
        troubles.begin(Topic::Slow, now, || text);
    }
}

impl Move {
    /// Its owner has locked it since it was planned: that lock stays, and serves as well.
    fn keep_owners_lock(&mut self, here: Option<&Server>) {
        let owners = here.is_some_and(|seen| {
            let reason = seen.locked_reason.as_deref().unwrap_or_default();
            seen.locked && !reason.starts_with("tachi ")
        });
        if owners && self.lock == Lock::Wanted && self.lock_loose.is_none() && !self.is_over() {
            self.lock = Lock::Owners;
        }
    }
}

/// What a move looks like from here: another number means that Nova has done something.
fn sight(here: Option<&Server>, records: &[&Migration]) -> u64 {
    let mut hasher = DefaultHasher::new();
    here.map(|server| (&server.vm_state, &server.task_state))
        .hash(&mut hasher);
    for record in records {
        (record.id, &record.status, &record.dest).hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether the lists are enough.
#[derive(PartialEq)]
enum Seen {
    Enough,
    LookAtServer,
}

/// What a pair of lists is judged by.
struct Look {
    started: Elapsed,
    since: Option<Timestamp>,
    absence_after: Duration,
    conductors_up: Duration,
    /// Since when Nova's messages get through.
    messages_since: Option<Elapsed>,
    /// How long after that Nova may let go of what it has held: a call's deadline and Nova's own.
    let_go_within: Duration,
    /// The hosts that Nova does not hear, and how long it had not heard them.
    silent: BTreeMap<String, Duration>,
    /// At this moment.
    silent_at: Elapsed,
    patience: Patience,
    /// Hosts that were proven off before the lists were asked for.
    dead: BTreeSet<String>,
}

impl Look {
    fn at(
        &self,
        one: &mut Move,
        on_host: Option<&Server>,
        records: &[&Migration],
        now: Now,
        record: &mut Record,
    ) -> Seen {
        match &one.step {
            MoveStep::Asked { since, .. } if self.started < *since => Seen::Enough,
            MoveStep::Asked { .. } => match on_host {
                Some(server) => {
                    self.still_there(one, server, records, now, record);
                    Seen::Enough
                }
                None => self.not_there(one, records, now, record),
            },
            MoveStep::Waiting { .. } => {
                let begun = records
                    .iter()
                    .filter(|record| self.is_in_progress(one, record))
                    .map(|record| record.id)
                    .min();
                match begun {
                    Some(first) => {
                        one.adopt(first, now);
                        record.moves.insert(one.server);
                        Seen::Enough
                    }
                    None if on_host.is_none() => Seen::LookAtServer,
                    None => {
                        let known = one.known;
                        if one.note_failed_at(records, |record| record.id > known, &self.dead) {
                            record.moves.insert(one.server);
                        }
                        one.known = highest(one, records);
                        one.busy_before = on_host.is_some_and(Server::is_rebuilding);
                        Seen::Enough
                    }
                }
            }
            MoveStep::Held | MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } | MoveStep::Over(_) => {
                Seen::Enough
            }
        }
    }

    /// Whether Nova may be at work on it, somebody else's doing.
    fn is_in_progress(&self, one: &Move, record: &Migration) -> bool {
        !record.status.is_over() && !one.has_written_off(record) && !self.goes_to_the_dead(record)
    }

    fn goes_to_the_dead(&self, record: &Migration) -> bool {
        record.dest.as_ref().is_some_and(|dest| self.dead.contains(dest))
    }

    /// R10: accepted, and never picked up: Nova has answered the call, so that its API does not hold the message any more; its
    /// messages have got through for long enough since, longer after they have not; and it waits in the queue of no host. In
    /// which order records were picked up says nothing: what was held is let go in any order.
    fn is_lost(&self, record: &Migration, asked: Elapsed, answered: bool) -> bool {
        let Some(up) = self.messages_since else {
            return false;
        };
        // What was asked for before messages got through may have been held for as long as that.
        let held = up.since(asked);
        let wait = (self.conductors_up * TURN).max(self.let_go_within + held);
        let queued = self
            .silent
            .values()
            .any(|silent| *silent <= self.silent_at.since(asked) + HEARD_BEFORE);
        record.is_unpicked() && answered && !queued && self.started.since(up.max(asked)) >= wait
    }

    /// R9: it has left the host, and an evacuation of it from this host is done.
    fn not_there(&self, one: &mut Move, records: &[&Migration], now: Now, record: &mut Record) -> Seen {
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
            one.known = highest(one, records);
            confirmed(one, done.dest.clone(), now, record);
            return Seen::Enough;
        }
        let unfinished = records.iter().any(|record| self.is_in_progress(one, record));
        let MoveStep::Asked { gone, .. } = &mut one.step else {
            return Seen::Enough;
        };
        // Nova switches the host a moment before it finishes the record.
        *gone = gone.saturating_add(1);
        let patience = if unfinished { 20 } else { 2 };
        if *gone < patience {
            return Seen::Enough;
        }
        *gone = 0;
        Seen::LookAtServer
    }

    fn still_there(
        &self,
        one: &mut Move,
        server: &Server,
        records: &[&Migration],
        now: Now,
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
        // Any younger record is the effect (R8), and so is an older one that has come to life after it was given up.
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
            // R8: absence counts only late, twice, and not while Nova says it is at work.
            let late = self.started.since(since) >= self.absence_after;
            let at_work = server.is_rebuilding() && !one.busy_before;
            *absent = if late && !at_work { *absent + 1 } else { 0 };
            if *absent >= 2 {
                ask_again(one, "Nova has no trace of its evacuation", now, record);
            }
            return;
        }
        if effects.iter().any(|record| record.status.is_done()) {
            // The list of servers was taken first: the next one will show that it has left. If it never does, the host came
            // back in the middle and its nova-compute has closed the record; a destination may still be at work.
            *absent = absent.saturating_add(1);
            if *absent >= LONG_DONE && self.started.since(since) >= DONE_FOR {
                one.remark("its evacuation is recorded as completed, but it has not left the host: look where it runs");
                one.remark(&format!("it was {} before", one.was.vm_state));
                finish(one, End::Person, now, record);
            }
            return;
        }
        *absent = 0;
        let open: Vec<&Migration> = effects
            .iter()
            .copied()
            .filter(|record| !record.status.is_over())
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
            let cure = cure_of(status.map(|record| &record.status), server);
            nova_failed(one, &why, cure, self.patience, now, record);
            return;
        }
        one.dest = open.iter().rev().find_map(|record| record.dest.clone());
        let over_with =
            |record: &&Migration| self.goes_to_the_dead(record) || self.is_lost(record, since, answered);
        if !open.iter().all(over_with) {
            // What goes to the dead is over whatever becomes of the others, and the host may be back before they end.
            for dead in open.into_iter().filter(|record| self.goes_to_the_dead(record)) {
                one.written_off.retain(|off| off.id != dead.id);
                one.written_off.push(WrittenOff::of(dead));
                record.moves.insert(one.server);
            }
            return;
        }
        // R10: nothing of what was asked for can come to anything any more, so it runs nowhere.
        let why = match &one.dest {
            Some(dead) => format!("destination {dead} died during the rebuild and is proven off"),
            None => "no conductor has picked up its evacuation".into(),
        };
        one.known = known;
        one.busy_before = server.is_rebuilding();
        // A reserved host that was named has died before it took it up, or after: it is not named again.
        one.route.cross_out_target();
        one.dest = None;
        one.written_off
            .retain(|off| !effects.iter().any(|record| record.id == off.id));
        one.written_off.extend(open.into_iter().map(WrittenOff::of));
        // A conductor has taken up an older record in the place of this one, and failed it: that was an attempt.
        let failed = effects.iter().rev().find(|record| record.status.is_failed());
        if let Some(failed) = failed {
            let cure = cure_of(Some(&failed.status), server);
            nova_failed(one, &why, cure, self.patience, now, record);
        } else {
            ask_again(one, &why, now, record);
        }
    }
}

/// By what Nova leaves behind: the conductor ends a record with `error`, a compute host with `failed`, and the latter marks
/// an instance in error only if it had begun to build it.
fn cure_of(status: Option<&MigrationStatus>, server: &Server) -> Cure {
    match status {
        Some(MigrationStatus::Error) => Cure::NoHost,
        Some(MigrationStatus::Failed) if server.vm_state != VmState::Error => Cure::OtherHost,
        _ => Cure::Perhaps,
    }
}

fn highest(one: &Move, records: &[&Migration]) -> MigrationId {
    records
        .iter()
        .map(|record| record.id)
        .max()
        .map_or(one.known, |id| id.max(one.known))
}

fn ask_again(one: &mut Move, why: &str, now: Now, record: &mut Record) {
    one.step = MoveStep::Waiting {
        not_before: now.elapsed,
    };
    record.moves.insert(one.server);
    let text = format!("asking again for {}: {why}", one.name);
    record.server_step(Task::Evacuate, StepKind::Note, one.server, 0.5, text);
}
