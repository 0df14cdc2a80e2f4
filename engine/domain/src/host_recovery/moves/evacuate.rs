//! The moves: lock, prepare, ask. `answers` hears what Nova says to that, `look` finds what came of it, `follow` sees to
//! the end of each.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::method::Way;
use super::super::pace::Room;
use super::super::trouble::Topic;
use super::super::turn::{Moves, Turn, turn};
use super::super::{End, HostRecovery, Lock, Move, MoveStep, Preparation};
use super::track::MoveTrack;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::proof::Proof;
use crate::recovery::{Command, Evacuation, Now, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// Between two looks at instances that wait for something other than Nova.
const HELD_LOOK: Duration = Duration::from_secs(10);

/// Nothing is asked for on lists older than this: somebody else may have begun meanwhile.
pub(in super::super) const LISTS_AGE: Duration = Duration::from_secs(30);

/// Nothing that is counted on not to run on a host is asked for elsewhere on a look older than this at which hosts are proven off.
const COUNTED_OFF_AGE: Duration = Duration::from_secs(15);

/// So many locks, or unlockings, may be under way for instances whose turn is not near while others wait to be asked for: Nova answers
/// them from the same processors, and nobody is back sooner for them.
pub(super) const ASIDE: usize = 1;

/// So many are near in any case: what a window begins with.
const NEAR: usize = 4;

impl HostRecovery {
    pub(in super::super) fn act_moving(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        self.arrivals.want_servers(commands);
        let mut turn = turn!(self, now, record);
        self.asks.move_track.give_up_rejected(&mut self.moves, &mut turn);
        let ready = self
            .hooks
            .before_moves(&mut self.moves, self.proof.as_ref(), &mut turn, commands);
        let settled = self.follow_moves(now, record, commands);
        let mut turn = turn!(self, now, record);
        self.reserve.act(&mut self.moves, &mut turn, commands);
        let listing = &mut self.asks.listing;
        let seen = listing.question.seen.unwrap_or_default();
        let looked = now.elapsed.since(seen) < HELD_LOOK;
        if !listing.taken.is_empty() && self.rejected.is_none() {
            if !looked && listing.retaking.is_none() {
                listing.want(&self.service, now, commands);
            }
        } else if settled && ready {
            self.act_last_look(now, record, commands);
            return;
        }
        self.service.want(now, self.policy.heartbeat_poll, commands);
        if !looked && self.moves.values().any(|one| one.step == MoveStep::Held) {
            self.asks.listing.want(&self.service, now, commands);
        }
        if self.forbidden().is_none() {
            self.submit(ready, now, record, commands);
        }
    }

    /// When every move is over the host is looked at once more: an instance may have come to it since the list was taken.
    fn act_last_look(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        // Nothing to be moved is believed at once, but only if this owner has seen it.
        let empty = self.moves.is_empty() && self.asks.listing.question.seen.is_some();
        // Before it, so that what comes to light by it may still take what is given back.
        let mut turn = turn!(self, now, record);
        if !self.reserve.hand_back(&self.moves, &mut turn, commands) {
            return;
        }
        // A host that is not proven off any more is not looked at for what it may run.
        let unproven = self.arrivals.settled && self.proof.is_none();
        // Nova deletes no service with instances, and lists of a host without one are not believed.
        let unlisted = unproven || self.service.is_gone();
        if self.asks.listing.last_look || self.rejected.is_some() || empty || unlisted {
            if self
                .hooks
                .after_moves(&self.moves, self.proof.as_ref(), &mut turn, commands)
            {
                self.settle(now, record);
            }
        } else {
            self.asks.listing.want_last(&self.service, now, commands);
            if self.asks.listing.question.failures() > 0 {
                self.service.want(now, self.policy.heartbeat_poll, commands);
            }
        }
    }

    /// Whether every move is over. Those that are not are followed.
    pub(in super::super) fn follow_moves(
        &mut self,
        now: Now,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mut turn = turn!(self, now, record);
        let move_track = &mut self.asks.move_track;
        let (since, listed) = (self.service.since, self.asks.listing.question.seen);
        let all_over = move_track.follow(&mut self.moves, since, listed, &mut turn, commands);
        let stuck = move_track.has_stuck(&self.moves, now);
        let every = self.policy.heartbeat_poll;
        if self.asks.messaging.want(stuck, every, now, commands) {
            // One reading of Nova's services answers both.
            self.service.want(now, Duration::ZERO, commands);
        }
        all_over
    }

    /// Locks and prepares ahead, and asks for as many evacuations as may be in flight, in order. While a hook is waited for
    /// they are only locked.
    fn submit(&mut self, ready: bool, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        let mut turn = turn!(self, now, record);
        let move_track = &mut self.asks.move_track;
        let order = wanting(&self.moves, &turn);
        if order.is_empty() {
            return;
        }
        let room = move_track.pace.room();
        self.fence
            .want_proof(self.proof.as_ref(), &self.policy, now, commands);
        let near = if ready {
            usize::try_from(room.evacuations).unwrap_or(usize::MAX).max(NEAR)
        } else {
            usize::MAX
        };
        lock_in_order(&mut self.moves, &order, (near, room.calls), &turn, commands);
        // R16: the heartbeat is noted before the first instance is asked for, so that its advance can be seen.
        let noted =
            self.service.in_force && self.service.mark.is_some() && self.service.question.seen.is_some();
        if !ready || !noted || move_track.records_age(self.asks.listing.question.seen, now) > LISTS_AGE {
            return;
        }
        // What is under way already has not waited either.
        let first = !self.moves.values().any(Move::is_in_flight);
        if first
            && self
                .asks
                .neighbours
                .are_dying(&mut self.guard.lookout, &mut turn, commands)
        {
            return;
        }
        let move_track = &mut self.asks.move_track;
        let leave = Leave {
            room,
            proof: self.proof.as_ref(),
            number: self.proofs,
            places: self.reserve.allot(&self.moves).0,
        };
        for host in move_track.submit(&mut self.moves, &order, &leave, &mut turn, commands) {
            self.reserve.consume(&host, turn.record);
        }
    }
}

/// What evacuations may be asked for by.
struct Leave<'a> {
    room: Room,
    proof: Option<&'a Proof>,
    /// The proof's number.
    number: u32,
    /// The reserved hosts that instances have a place on.
    places: BTreeMap<ServerId, String>,
}

impl MoveTrack {
    /// What has been rejected is given up, as far as nothing of it is under way.
    fn give_up_rejected(&self, moves: &mut Moves, turn: &mut Turn<'_>) {
        let Some(by) = turn.rejected else { return };
        self.let_stuck_go(by, moves, turn);
        for one in moves.values_mut() {
            if matches!(one.step, MoveStep::Waiting { .. } | MoveStep::Held) {
                one.remark(&format!("not moved: the recovery was rejected by {by}"));
                if one.preparation != Preparation::NotNeeded {
                    one.remark(&format!("it was {} before", one.was.vm_state));
                }
                super::finish(one, End::Person, turn.now, turn.record);
            }
        }
    }

    /// The records are wanted while something is in flight, and before something is asked for on old ones; what else is read, they
    /// say.
    pub(super) fn want_lists(
        &mut self,
        moves: &Moves,
        since: Option<Timestamp>,
        listed: Option<Elapsed>,
        turn: &mut Turn<'_>,
        commands: &mut Vec<Command>,
    ) {
        let now = turn.now;
        let in_flight = moves.values().any(Move::is_in_flight);
        if !in_flight {
            // What is to be asked for anew is not slow any more, and nobody should end it for that.
            turn.troubles.end(Topic::Slow);
        }
        let waiting = |one: &Move| matches!(one.step, MoveStep::Waiting { .. });
        let held = |one: &Move| one.step == MoveStep::Held;
        let stale = self.records_age(listed, now) >= HELD_LOOK && moves.values().any(waiting);
        if in_flight || stale {
            self.want_evacuations(since, now, commands);
        }
        let long = |one: &Move| matches!(one.step, MoveStep::Asked { since, .. } if now.elapsed.since(since) >= HELD_LOOK);
        let now_and_then =
            !self.lists_within(HELD_LOOK, now) && moves.values().any(|one| long(one) || held(one));
        if !self.lists_due && !now_and_then {
            return self.want_server_ids(now, commands);
        }
        if self.lists.send(now.elapsed) {
            commands.push(Command::ReadLists { since });
        }
    }

    /// The reserved hosts that were named.
    fn submit(
        &mut self,
        moves: &mut Moves,
        order: &[(u32, ServerId)],
        leave: &Leave<'_>,
        turn: &mut Turn<'_>,
        commands: &mut Vec<Command>,
    ) -> Vec<String> {
        let (now, policy, record) = (turn.now, turn.policy, &mut *turn.record);
        let mut room = leave.room;
        let mut named = Vec::new();
        let first = !moves.values().any(Move::is_in_flight);
        let mut preparing = moves.values().filter(|one| one.is_being_prepared()).count();
        for &(_, server) in order {
            let unsure = self.is_unsure(&server);
            let Some(one) = moves.get_mut(&server).filter(|_| !unsure) else {
                continue;
            };
            let MoveStep::Waiting { not_before } = one.step else {
                continue;
            };
            if now.elapsed < not_before {
                continue;
            }
            if matches!(one.lock, Lock::Wanted | Lock::Asked) {
                // Its place is kept: those behind it are not to go first because their locks were answered sooner.
                room.evacuations = room.evacuations.saturating_sub(1);
                continue;
            }
            if !one.counted_off.is_empty() && !self.lists_within(COUNTED_OFF_AGE, now) {
                self.lists_due = true;
                continue;
            }
            let Some((target, reserved)) = where_to(one, leave.places.get(&server), record) else {
                continue;
            };
            match one.preparation {
                Preparation::Wanted if preparing >= room.calls => continue,
                // Not long before it is asked for: what is marked in error and then forgotten would stay so.
                Preparation::Wanted if room.evacuations == 0 => {
                    self.pace.is_ready(one.urgency(policy));
                    continue;
                }
                Preparation::Wanted => {
                    preparing += 1;
                    room.evacuations -= 1;
                    one.preparation = Preparation::Asked {
                        at: now.elapsed,
                        loose: false,
                    };
                    record.intends(server);
                    one.tell_reset(record);
                    commands.push(Command::Prepare(server));
                    continue;
                }
                Preparation::Asked { .. } => continue,
                Preparation::NotNeeded | Preparation::Done => {}
            }
            let evacuation = leave
                .proof
                .and_then(|proof| Evacuation::on(proof, server, now.elapsed, policy.proof_age));
            let Some(evacuation) = evacuation.map(|one| one.to(target.clone())) else {
                return named;
            };
            if room.evacuations == 0 {
                self.pace.is_ready(one.urgency(policy));
                continue;
            }
            room.evacuations -= 1;
            self.pace.asked += 1;
            one.step = MoveStep::Asked {
                since: now.elapsed,
                floor: one.known,
                answered: false,
                absent: 0,
                gone: 0,
            };
            one.dest = None;
            one.proof = Some(leave.number);
            one.asked_at.get_or_insert(now.wall);
            one.route.target.clone_from(&target);
            let to = target
                .as_ref()
                .map(|host| format!(" to {host}"))
                .unwrap_or_default();
            let text = format!("evacuating {}{to}", one.name);
            self.evacuating.insert(server);
            self.stays.remove(&server);
            record.intends(server);
            record.server_step(Task::Evacuate, StepKind::Intent, server, 0.5, text);
            named.extend(target.filter(|_| reserved));
            commands.push(Command::Evacuate(evacuation));
            if first {
                self.look_later(policy.tick, now);
            }
        }
        named
    }

    /// Whether the lists moves are followed by, and with them what other hosts are proven off, are younger than `limit`.
    pub(in super::super) fn lists_within(&self, limit: Duration, now: Now) -> bool {
        self.lists.age(now.elapsed).is_some_and(|age| age < limit)
    }

    /// Whether something is asked about the instance that must be answered before anything more is asked of Nova for it.
    fn is_unsure(&self, server: &ServerId) -> bool {
        self.others.contains_key(server)
            || self.look.contains(server)
            || self.servers.contains(server)
            || self.evacuating.contains(server)
    }

    /// How long ago Nova was last asked what it is doing with these instances.
    fn records_age(&self, listed: Option<Elapsed>, now: Now) -> Duration {
        self.evacuations
            .seen
            .max(listed)
            .map_or(Duration::MAX, |seen| now.elapsed.since(seen))
    }
}

/// The instances that something is to be done about, by rank.
fn wanting(moves: &Moves, turn: &Turn<'_>) -> Vec<(u32, ServerId)> {
    let wants = |one: &&Move| {
        let under_way = one.is_in_flight() || one.step == MoveStep::Held;
        // What is frozen is not begun; what Nova was asked for is followed.
        let begins = matches!(one.step, MoveStep::Waiting { .. }) && turn.frozen(one.server).is_none();
        begins || (under_way && one.lock == Lock::Wanted)
    };
    let moves = moves.values().filter(wants);
    let mut order: Vec<(u32, ServerId)> = moves.map(|one| (one.rank, one.server)).collect();
    order.sort_unstable();
    order
}

/// R12: each instance is locked before it is asked for; those that somebody else has asked for, and those that are held, too. The
/// first `near` may all be locked at once, up to `calls`; the others are locked beside what they wait for.
fn lock_in_order(
    moves: &mut Moves,
    order: &[(u32, ServerId)],
    (near, calls): (usize, usize),
    turn: &Turn<'_>,
    commands: &mut Vec<Command>,
) {
    let (now, reason) = (turn.now, turn.mark());
    let mut locking = moves.values().filter(|one| one.lock == Lock::Asked).count();
    for (place, (_, server)) in order.iter().enumerate() {
        let limit = if place < near { calls } else { calls.min(ASIDE) };
        if locking >= limit {
            return;
        }
        let Some(one) = moves.get_mut(server) else {
            continue;
        };
        let due = match one.step {
            MoveStep::Waiting { not_before } => now.elapsed >= not_before,
            // Nobody but a person with all rights is to touch what may run in two places.
            MoveStep::Asked { .. } | MoveStep::Held => now.elapsed >= one.lock_not_before,
            MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } | MoveStep::Over(_) => false,
        };
        if due && one.lock == Lock::Wanted {
            locking += 1;
            one.lock = Lock::Asked;
            commands.push(Command::Lock {
                server: *server,
                reason: reason.clone(),
            });
        }
    }
}

/// The host to be named, if one is, and whether that is one in reserve; `None` if it cannot be asked for now.
fn where_to(one: &mut Move, place: Option<&String>, record: &mut Record) -> Option<(Option<String>, bool)> {
    // R10: where it may run already, and nowhere else.
    let Ok(bound) = one.bound_to() else {
        one.hold_for_absence("it may run on more than one host", record);
        return None;
    };
    match (bound, one.route.way) {
        (Some(host), _) => Some((Some(host.clone()), false)),
        (None, Way::Scheduler) => Some((None, false)),
        (None, Way::Reserved) => place.map(|host| (Some(host.clone()), true)),
    }
}
