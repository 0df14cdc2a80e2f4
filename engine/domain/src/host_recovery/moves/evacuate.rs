//! The moves: lock, prepare, request. `answers` handles Nova's answers, `listing` and `judge` find the results, and `follow`
//! completes each move.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, Moves, decision_context};
use super::super::lock_mark::lock_reason;
use super::super::method::PlacementTarget;
use super::super::pace::Room;
use super::super::{End, HostRecovery, Lock, Move, MoveStep, Preparation};
use super::local_disk;
use super::track::MoveTrack;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::proof::Proof;
use crate::recovery::{Command, DecisionTime, Evacuation, Record, StepKind, Task};
use crate::timestamp::Timestamp;

/// Interval between two checks of instances that wait for something other than Nova.
const HELD_CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// Maximum age of the lists for a request: other actors may have started something since.
pub(in super::super) const MAX_LISTS_AGE: Duration = Duration::from_secs(30);

/// Maximum age of the reading of which hosts are confirmed off, for a request that relies on it.
const MAX_CONFIRMED_OFF_AGE: Duration = Duration::from_secs(15);

/// Number of lock or unlock calls that may be in flight for instances whose turn is not near, while others wait to be requested: Nova
/// answers them from the same processors, and no instance is back sooner for them.
pub(super) const MAX_BACKGROUND_LOCKS: usize = 1;

/// Number of instances that are near in any case: the initial size of a window.
const LOCK_LOOKAHEAD: usize = 4;

impl HostRecovery {
    pub(in super::super) fn act_moving(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        self.arrivals.request_servers(commands);
        let mut ctx = decision_context!(self, now, record);
        self.in_flight
            .move_track
            .give_up_rejected(&mut self.moves, &mut ctx);
        let ready = self
            .hooks
            .before_moves(&mut self.moves, self.proof.as_ref(), &mut ctx, commands);
        local_disk::host_is_back(self.hold.as_ref(), &mut self.moves, &self.policy, now, record);
        let settled = self.follow_moves(now, record, commands);
        let mut ctx = decision_context!(self, now, record);
        if local_disk::waits_for_disks_only(&self.moves, now.elapsed) {
            // A wait lasts for hours: other recoveries may need these hosts.
            self.reserve.hand_back(&self.moves, &mut ctx, commands);
        } else {
            self.reserve.act(&mut self.moves, &mut ctx, commands);
        }
        let listing = &mut self.in_flight.listing;
        let listed_at = listing.question.observed.unwrap_or_default();
        let polled_recently = now.elapsed.since(listed_at) < HELD_CHECK_INTERVAL;
        if !listing.taken.is_empty() && self.rejected.is_none() {
            if !polled_recently && listing.retaking.is_none() {
                listing.request_if_due(&self.service, (self.reported_at, &self.moves), now, commands);
            }
        } else if settled && ready {
            self.act_last_check(now, record, commands);
            return;
        }
        self.service
            .request_if_due(now, self.policy.heartbeat_poll, commands);
        if !polled_recently
            && self
                .moves
                .values()
                .any(|instance| instance.step == MoveStep::OnHold)
        {
            self.in_flight.listing.request_if_due(
                &self.service,
                (self.reported_at, &self.moves),
                now,
                commands,
            );
        }
        if self.block_reason().is_none() {
            self.submit(ready, now, record, commands);
        }
    }

    /// Checks the host again when every move is done: an instance may have come to it since the list was taken.
    fn act_last_check(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        // An empty list counts at once, but only if this owner has seen it.
        let empty = self.moves.is_empty() && self.in_flight.listing.question.observed.is_some();
        // Before the last check, so that instances that it finds may still use the reserved hosts.
        let mut ctx = decision_context!(self, now, record);
        if !self.reserve.hand_back(&self.moves, &mut ctx, commands) {
            return;
        }
        // A host that is not confirmed off any more is not checked for what it may run.
        let unproven = self.arrivals.settled && self.proof.is_none();
        // Nova deletes no service with instances, and lists of a host without a service do not count.
        let unlisted = unproven || self.service.is_gone();
        if self.in_flight.listing.is_last_list_processed || self.rejected.is_some() || empty || unlisted {
            if self
                .hooks
                .after_moves(&self.moves, self.proof.as_ref(), &mut ctx, commands)
            {
                self.finish(now, record);
            }
        } else {
            self.in_flight.listing.request_last_list(
                &self.service,
                (self.reported_at, &self.moves),
                now,
                commands,
            );
            if self.in_flight.listing.question.failures() > 0 {
                self.service
                    .request_if_due(now, self.policy.heartbeat_poll, commands);
            }
        }
    }

    /// Follows the moves that are not done. Returns true if every move is done.
    pub(in super::super) fn follow_moves(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let mut ctx = decision_context!(self, now, record);
        let move_track = &mut self.in_flight.move_track;
        let (since, listed) = (self.service.since, self.in_flight.listing.question.observed);
        let finish_moves = move_track.follow(&mut self.moves, since, listed, &mut ctx, commands);
        let stuck = move_track.has_stuck(&self.moves, now);
        let every = self.policy.heartbeat_poll;
        if self
            .in_flight
            .messaging
            .request_if_due(stuck, every, now, commands)
        {
            // One reading of Nova's services serves both.
            self.service.request_if_due(now, Duration::ZERO, commands);
        }
        finish_moves
    }

    /// Locks and prepares ahead, and requests evacuations in order, up to the number that may be in flight. While a hook is awaited
    /// instances are only locked.
    fn submit(&mut self, ready: bool, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        let mut ctx = decision_context!(self, now, record);
        let move_track = &mut self.in_flight.move_track;
        let order = pending_moves(&self.moves, &ctx);
        if order.is_empty() {
            return;
        }
        let room = move_track.pace.room();
        self.fence
            .keep_proof_fresh(self.proof.as_ref(), &self.policy, now, commands);
        let near = if ready {
            usize::try_from(room.evacuations)
                .unwrap_or(usize::MAX)
                .max(LOCK_LOOKAHEAD)
        } else {
            usize::MAX
        };
        lock_in_order(&mut self.moves, &order, (near, room.calls), &ctx, commands);
        if !ready
            || !self.service.is_watched()
            || move_track.records_age(self.in_flight.listing.question.observed, now) > MAX_LISTS_AGE
        {
            return;
        }
        // Evacuations that are already in flight have not waited either.
        let first = !self.moves.values().any(Move::is_in_flight);
        if first
            && self.in_flight.neighbours.waits_for_neighbours(
                &mut self.guard.region_probe,
                &mut ctx,
                commands,
            )
        {
            return;
        }
        let move_track = &mut self.in_flight.move_track;
        let leave = EvacuationBudget {
            room,
            proof: self.proof.as_ref(),
            number: self.proofs,
            places: self.reserve.allot(&self.moves, now.elapsed).0,
        };
        for host in move_track.submit(&mut self.moves, &order, &leave, &mut ctx, commands) {
            self.reserve.consume(&host, ctx.record);
        }
    }
}

/// The budget and the proof by which evacuations may be requested.
struct EvacuationBudget<'a> {
    room: Room,
    proof: Option<&'a Proof>,
    /// The number of the proof.
    number: u32,
    /// The reserved host of each instance that has a place on one.
    places: BTreeMap<ServerId, String>,
}

impl MoveTrack {
    /// Gives up the moves of a rejected recovery, unless they are in flight.
    fn give_up_rejected(&self, moves: &mut Moves, ctx: &mut DecisionContext<'_>) {
        let Some(by) = ctx.rejected else { return };
        self.give_up_stuck(by, moves, ctx);
        for instance in moves.values_mut() {
            if matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold) {
                instance.remark(&format!("not moved: the recovery was aborted by {by}"));
                if instance.preparation != Preparation::NotNeeded {
                    instance.remark(&format!("it was {} before", instance.was.vm_state));
                }
                super::finish(instance, End::Person, ctx.now, ctx.record);
            }
        }
    }

    /// Polls migration records while an evacuation is in flight, and before a request that would rely on stale ones. The records decide
    /// which other lists are read.
    pub(super) fn request_lists(
        &mut self,
        moves: &Moves,
        since: Option<Timestamp>,
        listed: Option<Elapsed>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        let now = ctx.now;
        let in_flight = moves.values().any(Move::is_in_flight);
        if !in_flight {
            // An evacuation that is to be requested again is not slow any more, and no operator should end it for that.
            ctx.blockers.end(BlockerKind::Slow);
        }
        let waiting = |instance: &Move| matches!(instance.step, MoveStep::Waiting { .. });
        let on_hold = |instance: &Move| instance.step == MoveStep::OnHold;
        let stale = self.records_age(listed, now) >= HELD_CHECK_INTERVAL && moves.values().any(waiting);
        if in_flight || stale {
            self.request_records(since, now, commands);
        }
        let long = |instance: &Move| matches!(instance.step, MoveStep::Asked { since, .. } if now.elapsed.since(since) >= HELD_CHECK_INTERVAL);
        let now_and_then = !self.lists_within(HELD_CHECK_INTERVAL, now)
            && moves.values().any(|instance| long(instance) || on_hold(instance));
        if !self.lists_due && !now_and_then {
            return self.request_server_ids(now, commands);
        }
        if self.lists.send(now.elapsed) {
            commands.push(Command::ReadLists { since });
        }
    }

    /// Requests evacuations. Returns the reserved hosts that they name.
    fn submit(
        &mut self,
        moves: &mut Moves,
        order: &[(u32, ServerId)],
        leave: &EvacuationBudget<'_>,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> Vec<String> {
        let (now, policy, record) = (ctx.now, ctx.policy, &mut *ctx.record);
        let mut room = leave.room;
        let mut named = Vec::new();
        let first = !moves.values().any(Move::is_in_flight);
        let mut preparing = moves
            .values()
            .filter(|instance| instance.is_being_prepared())
            .count();
        for &(_, server) in order {
            let unsure = self.is_unsure(&server);
            let Some(instance) = moves.get_mut(&server).filter(|_| !unsure) else {
                continue;
            };
            if !local_disk::is_due(instance, now.elapsed) {
                continue;
            }
            local_disk::end_wait(instance, record);
            if matches!(instance.lock, Lock::Wanted | Lock::Asked) {
                // Its slot is kept, so that the instances behind it do not go first because their locks were answered sooner.
                room.evacuations = room.evacuations.saturating_sub(1);
                continue;
            }
            if !instance.counted_off.is_empty() && !self.lists_within(MAX_CONFIRMED_OFF_AGE, now) {
                self.lists_due = true;
                continue;
            }
            let Some((target, reserved)) = where_to(instance, leave.places.get(&server), record) else {
                continue;
            };
            match instance.preparation {
                Preparation::Wanted if preparing >= room.calls => continue,
                // Only shortly before its request: an instance that is marked in error and then forgotten would stay so.
                Preparation::Wanted if room.evacuations == 0 => {
                    self.pace.is_ready(instance.urgency(policy));
                    continue;
                }
                Preparation::Wanted => {
                    preparing += 1;
                    room.evacuations -= 1;
                    instance.preparation = Preparation::Asked {
                        at: now.elapsed,
                        unanswered: false,
                    };
                    record.intends(server);
                    instance.log_task_reset(record);
                    commands.push(Command::Prepare(server));
                    continue;
                }
                Preparation::Asked { .. } => continue,
                Preparation::NotNeeded | Preparation::Done => {}
            }
            let evacuation = leave
                .proof
                .and_then(|proof| Evacuation::on(proof, server, now.elapsed, policy.proof_age));
            let Some(evacuation) = evacuation.map(|evacuation| evacuation.to(target.clone())) else {
                return named;
            };
            if room.evacuations == 0 {
                self.pace.is_ready(instance.urgency(policy));
                continue;
            }
            room.evacuations -= 1;
            self.pace.requested += 1;
            instance.step = MoveStep::Asked {
                since: now.elapsed,
                floor: instance.known,
                answered: false,
                absent: 0,
                gone: 0,
            };
            instance.dest = None;
            instance.proof = Some(leave.number);
            instance.asked_at.get_or_insert(now.wall);
            instance.route.target.clone_from(&target);
            let to = target
                .as_ref()
                .map(|host| format!(" to {host}"))
                .unwrap_or_default();
            let text = format!("evacuating {}{to}", instance.name);
            self.evacuating.insert(server);
            self.stays.remove(&server);
            record.intends(server);
            record.server_step(Task::Evacuate, StepKind::Intent, server, 0.5, text);
            named.extend(target.filter(|_| reserved));
            commands.push(Command::Evacuate(evacuation));
            if first {
                self.delay_first_poll(policy.tick, now);
            }
        }
        named
    }

    /// True if the lists by which moves are followed, and with them the hosts that are confirmed off, are more recent than `limit`.
    pub(in super::super) fn lists_within(&self, limit: Duration, now: DecisionTime) -> bool {
        self.lists.age(now.elapsed).is_some_and(|age| age < limit)
    }

    /// True if a request about the instance must be answered before anything more is requested for it.
    fn is_unsure(&self, server: &ServerId) -> bool {
        self.others.contains_key(server)
            || self.to_read.contains(server)
            || self.servers.contains(server)
            || self.evacuating.contains(server)
    }

    /// Returns the age of the last reading of what Nova is doing with these instances.
    fn records_age(&self, listed: Option<Elapsed>, now: DecisionTime) -> Duration {
        self.evacuations
            .observed
            .max(listed)
            .map_or(Duration::MAX, |listed_at| now.elapsed.since(listed_at))
    }
}

/// Returns the instances for which something is to be done, by rank.
fn pending_moves(moves: &Moves, ctx: &DecisionContext<'_>) -> Vec<(u32, ServerId)> {
    let is_pending = |instance: &&Move| {
        let under_way = instance.is_in_flight() || instance.step == MoveStep::OnHold;
        // Nothing is started for a frozen instance; a request that Nova already has is followed.
        let begins =
            matches!(instance.step, MoveStep::Waiting { .. }) && ctx.frozen(instance.server).is_none();
        // Nothing is left to do for one that is locked and waits for its host.
        let is_locked = !matches!(instance.lock, Lock::Wanted | Lock::Asked);
        let begins = begins && !(is_locked && local_disk::waits(instance, ctx.now.elapsed));
        begins || (under_way && instance.lock == Lock::Wanted)
    };
    let moves = moves.values().filter(is_pending);
    let mut order: Vec<(u32, ServerId)> = moves.map(|instance| (instance.rank, instance.server)).collect();
    order.sort_unstable();
    order
}

/// Locks each instance before it is requested, also those that another actor has requested and those on hold. The first `near`
/// may all be locked at once, up to `calls`; for the others `MAX_BACKGROUND_LOCKS` is the limit.
fn lock_in_order(
    moves: &mut Moves,
    order: &[(u32, ServerId)],
    (near, calls): (usize, usize),
    ctx: &DecisionContext<'_>,
    commands: &mut Vec<Command>,
) {
    let now = ctx.now;
    let mut locking = moves
        .values()
        .filter(|instance| instance.lock == Lock::Asked)
        .count();
    for (place, (_, server)) in order.iter().enumerate() {
        let limit = if place < near {
            calls
        } else {
            calls.min(MAX_BACKGROUND_LOCKS)
        };
        if locking >= limit {
            return;
        }
        let Some(instance) = moves.get_mut(server) else {
            continue;
        };
        let due = match instance.step {
            MoveStep::Waiting { not_before } => now.elapsed >= not_before,
            // Only an administrator may change an instance that may run in two places.
            MoveStep::Asked { .. } | MoveStep::OnHold => now.elapsed >= instance.lock_not_before,
            MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } | MoveStep::Done(_) => false,
        };
        if due && instance.lock == Lock::Wanted {
            locking += 1;
            instance.lock = Lock::Asked;
            commands.push(Command::Lock {
                server: *server,
                reason: lock_reason(ctx.id, &instance.was),
            });
        }
    }
}

/// Returns the host to name, if any, and whether that is one in reserve; `None` if the instance cannot be requested now.
fn where_to(
    instance: &mut Move,
    place: Option<&String>,
    record: &mut Record,
) -> Option<(Option<String>, bool)> {
    // Where it may run already, and on no other host.
    let Ok(bound) = instance.bound_to() else {
        instance.hold_for_absence("it may run on more than one host", record);
        return None;
    };
    match (bound, instance.route.way) {
        (Some(host), _) => Some((Some(host.clone()), false)),
        (None, PlacementTarget::Scheduler) => Some((None, false)),
        (None, PlacementTarget::Reserved) => place.map(|host| (Some(host.clone()), true)),
    }
}
