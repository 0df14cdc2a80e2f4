//! The lists by which moves are followed: when they are read, and their results for all moves together.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use super::super::blockers::{BlockerKind, Blockers};
use super::super::decision_context::{DecisionContext, Moves};
use super::super::lock_mark::is_locked_by_tachi;
use super::super::method::RetryPolicy;
use super::super::nova_bus::Messaging;
use super::super::{Lock, Move, MoveStep};
use super::answers::report_failing_calls;
use super::judge::{ListPair, ListStatus};
use super::track::MoveTrack;
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::id::ServerId;
use crate::nova::{Migration, Server};
use crate::recovery::{DecisionTime, Lists};
use crate::timestamp::Timestamp;

/// Nova's `rpc_response_timeout`: the time that one part of Nova may wait for another after messages get through again.
const RPC_TIMEOUT: Duration = Duration::from_mins(1);

/// Time that another host must have been confirmed off before that counts: longer than a recovery is without an owner.
const MIN_PROOF_DURATION: Duration = Duration::from_secs(10);

impl MoveTrack {
    pub(in super::super) fn lists_read(
        &mut self,
        result: Result<Lists, Fault>,
        since: Option<Timestamp>,
        messaging: &Messaging,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, policy, record) = (ctx.now, ctx.policy, &mut *ctx.record);
        self.lists.answered();
        let lists = match result {
            Ok(lists) => lists,
            Err(fault) => {
                self.lists.not_before = not_followed(&fault, ctx);
                return;
            }
        };
        ctx.blockers.end(BlockerKind::Lists);
        let pause = self.lists_cost.pause_after(now.elapsed.since(lists.started));
        self.lists.not_before = self.next_poll(pause, policy.tick, now);
        self.evacuations.not_before = self.lists.not_before;
        self.lists.observed = Some(lists.started);
        let last_poll = self.evacuations.observed;
        self.evacuations.observed = last_poll.max(Some(lists.started));
        self.pace.polled = true;
        self.others.retain(|_, named_at| *named_at > lists.started);
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
                let open = records.iter().filter(|record| !record.status.is_finished());
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
        let dead = self.confirmed_off_hosts(now);
        let pair = ListPair {
            started: lists.started,
            since,
            absence_after: policy.absence_counts_after(),
            conductors_up: policy.conductors_up,
            messages_since: messaging.since,
            let_go_within: policy.call_deadline + RPC_TIMEOUT,
            silent: messaging.silent.clone(),
            silent_at: messaging.silent_at,
            patience: RetryPolicy::of(policy),
            dead,
        };
        for instance in moves.values_mut() {
            if !instance.is_finished() {
                instance.exclude_dead_hosts(&pair.dead, record);
            }
            let records = records
                .get(&instance.server)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let listed = on_host.get(&instance.server).copied();
            if instance.is_in_flight() {
                let fingerprint = fingerprint(listed, records);
                let checked = self
                    .progress
                    .entry(instance.server)
                    .or_insert((fingerprint, now.elapsed));
                if checked.0 != fingerprint {
                    *checked = (fingerprint, now.elapsed);
                }
            } else {
                self.progress.remove(&instance.server);
            }
            instance.keep_owners_lock(listed);
            instance.seen_under_way(records, lists.started);
            let queued = instance.queued_since();
            if pair.at(instance, listed, records, now, record) == ListStatus::ReadServer {
                self.to_read.insert(instance.server);
            }
            self.pace.note_taken_up(queued, instance, last_poll, now);
        }
        self.unpicked = lists
            .evacuations
            .iter()
            .filter(|record| record.is_unpicked())
            .map(|record| record.server)
            .collect();
        self.report_slow_moves(moves, policy.slow_after, ctx.blockers, now);
        // The failures of an instance that is done must not hide other messages.
        report_failing_calls(moves, ctx.blockers, now);
    }
}

/// Shows that moves cannot be followed now. Returns when to read again.
pub(super) fn not_followed(fault: &Fault, ctx: &mut DecisionContext<'_>) -> Elapsed {
    ctx.blockers.begin(BlockerKind::Lists, ctx.now, || {
        format!("the moves cannot be followed at the moment: {}", fault.text)
    });
    let tick = ctx.policy.tick;
    ctx.now.elapsed.plus(Duration::from_secs(1).max(tick))
}

impl MoveTrack {
    /// Returns the time of the next poll: at least `pause` after this one.
    pub(super) fn next_poll(&self, pause: Duration, tick: Duration, now: DecisionTime) -> Elapsed {
        now.elapsed.plus(self.pace.pause(tick).max(pause))
    }

    /// Returns the other hosts that have been confirmed off for long enough. A host confirmed off while the lists were taken may
    /// have finished a rebuild just before, and the record of that is not in them. A proof whose owner has died is worth nothing;
    /// within this time it has a new owner, which suspends it until it has checked.
    pub(in super::super) fn confirmed_off_hosts(&self, now: DecisionTime) -> BTreeSet<String> {
        self.proven_off
            .iter()
            .filter(|(_, since)| now.elapsed.since(**since) >= MIN_PROOF_DURATION)
            .map(|(host, _)| host.clone())
            .collect()
    }

    /// Shows the moves without progress, with their destinations: Nova shows a move to a dead destination like one that only
    /// waits. A move that makes progress is never slow.
    fn report_slow_moves(
        &mut self,
        moves: &Moves,
        limit: Duration,
        blockers: &mut Blockers,
        now: DecisionTime,
    ) {
        let mut slow = BTreeSet::new();
        let mut dests = BTreeSet::new();
        for instance in moves.values() {
            let MoveStep::Asked { since, .. } = instance.step else {
                continue;
            };
            let progress = self.progress.get(&instance.server).map(|progress| progress.1);
            if now.elapsed.since(progress.map_or(since, |at| at.max(since))) >= limit {
                slow.insert(instance.server);
                dests.extend(instance.dest.as_deref());
            }
        }
        let many = slow.len();
        self.slow = Some(slow);
        if many == 0 {
            return blockers.end(BlockerKind::Slow);
        }
        let limit = limit.as_secs();
        let mut text = if many == 1 {
            format!("the evacuation of 1 instance has made no progress for over {limit} s")
        } else {
            format!("evacuations of {many} instances have made no progress for over {limit} s")
        };
        if !dests.is_empty() {
            let dests: Vec<&str> = dests.into_iter().collect();
            let named = dests.join(", ");
            text = format!(
                "{text}, to {named}; if such a host is dead too, it must be reported and confirmed off"
            );
        }
        let unanswered = |instance: &&Move| {
            matches!(instance.step, MoveStep::Asked { answered: false, .. })
                && self.unpicked.contains(&instance.server)
        };
        let unanswered = moves.values().filter(unanswered).count();
        if unanswered > 0 {
            text = format!(
                "{text}; the call for {unanswered} of them was never answered, so Nova's API may still hold it"
            );
        }
        text.push_str("; tachi instance list --waiting shows what can be done");
        blockers.begin(BlockerKind::Slow, now, || text);
    }
}

impl Move {
    /// Keeps a lock that its owner has set since it was planned, because that lock serves as well.
    fn keep_owners_lock(&mut self, listed: Option<&Server>) {
        let owners = listed.is_some_and(|server| server.locked && !is_locked_by_tachi(server));
        if owners && self.lock == Lock::Wanted && self.unanswered_lock.is_none() && !self.is_finished() {
            self.lock = Lock::Owners;
        }
    }
}

/// Returns a fingerprint of the visible state of a move: another number means that Nova has done something.
fn fingerprint(listed: Option<&Server>, records: &[&Migration]) -> u64 {
    let mut hasher = DefaultHasher::new();
    listed
        .map(|server| (&server.vm_state, &server.task_state))
        .hash(&mut hasher);
    for record in records {
        (record.id, &record.status, &record.dest).hash(&mut hasher);
    }
    hasher.finish()
}
