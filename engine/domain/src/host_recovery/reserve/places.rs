//! The assignment of instances to reserved hosts: which instance goes where, and when another host is reserved or the other way is
//! taken.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::method::{NextStep, PlacementTarget};
use super::super::moves::{finish, local_disk};
use super::super::{End, Move, MoveStep, Preparation};
use super::choice::{Pick, ReserveRequest, choose};
use super::{AggregateMembership, DecisionContext, Moves, Reservation, ReservationStep, Reserve};
use crate::count;
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::id::ServerId;
use crate::recovery::{Command, Record, ReserveCall, StepKind, Task};
use crate::reserved::{Resources, Survey};

/// Maximum number of reserved hosts that may refuse one instance: a problem of the instance must not use up the whole reserve.
const MAX_REFUSING_HOSTS: usize = 2;

/// Number of instances that a host could not take, after which it is not requested any more.
const MAX_REFUSED_INSTANCES: usize = 3;

/// Interval between two surveys while a host that others hold is awaited.
const SURVEY_INTERVAL: Duration = Duration::from_secs(2);

/// Number of refused surveys after which there is no reserve.
const MAX_REFUSED_SURVEYS: u32 = 3;

impl Move {
    /// True if it needs a place now. While it waits for its host, none is reserved for it.
    fn waits_for_reserve(&self, now: Elapsed) -> bool {
        let waits = matches!(self.step, MoveStep::Waiting { .. }) && !local_disk::waits(self, now);
        self.route.way == PlacementTarget::Reserved && waits && self.has_no_possible_host()
    }

    /// True if it takes resources on `host`, or is about to.
    fn takes_room_on(&self, host: &str) -> bool {
        match &self.step {
            MoveStep::Asked { .. } => self.route.target.as_deref() == Some(host),
            MoveStep::Restoring { .. }
            | MoveStep::Unlocking { end: End::Moved, .. }
            | MoveStep::Done(End::Moved) => self.dest.as_deref() == Some(host),
            MoveStep::OnHold
            | MoveStep::Waiting { .. }
            | MoveStep::Unlocking {
                end: End::Left | End::Person,
                ..
            }
            | MoveStep::Done(End::Left | End::Person) => false,
        }
    }
}

impl Reserve {
    /// Reserves the hosts that are needed, and makes reserved hosts ready.
    pub(in super::super) fn act(
        &mut self,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        self.drive(moves, ctx, commands);
        if ctx.block_reason().is_some() || ctx.rejected.is_some() {
            return;
        }
        let now = ctx.now;
        let (_, unplaced) = self.allot(moves, now.elapsed);
        let (unplaced, hopeless): (Vec<_>, Vec<_>) = unplaced.into_iter().partition(|server| {
            moves
                .get(server)
                .is_some_and(|instance| instance.route.tried.len() < MAX_REFUSING_HOSTS)
        });
        for server in hopeless {
            let why = format!("{MAX_REFUSING_HOSTS} of them could not take it");
            self.no_place(server, &why, moves, ctx);
        }
        if unplaced.is_empty() {
            self.in_flight.waiting = None;
            ctx.blockers.end(BlockerKind::Reserve);
            return;
        }
        if let Some(survey) = self.survey(now.elapsed) {
            self.find_room(&survey, &unplaced, moves, ctx);
            // A host that was just reserved gets its first request at once, right after the same transaction.
            self.drive(moves, ctx, commands);
        } else if self.in_flight.survey.send(now.elapsed) {
            commands.push(Command::Reserve(ReserveCall::Survey));
        }
    }

    /// Returns the instances that have a ready reserved host, and those that have not even one that will be ready.
    pub(in super::super) fn allot(
        &self,
        moves: &Moves,
        now: Elapsed,
    ) -> (BTreeMap<ServerId, String>, Vec<ServerId>) {
        let mut waiting: Vec<&Move> = moves
            .values()
            .filter(|instance| instance.waits_for_reserve(now))
            .collect();
        if waiting.is_empty() {
            return (BTreeMap::new(), Vec::new());
        }
        waiting.sort_by_key(|instance| (instance.rank, instance.server));
        let mut rooms: Vec<(&Reservation, Option<Resources>)> = self
            .hosts
            .iter()
            .filter(|taken| taken.is_open() && !is_full(taken, moves))
            .map(|taken| (taken, room_left(taken, moves)))
            .collect();
        let mut placed = BTreeMap::new();
        let mut unplaced = Vec::new();
        for instance in waiting {
            let needs = instance.route.needs.unwrap_or_default();
            let place = rooms.iter_mut().find(|(taken, room)| {
                !instance.route.tried.contains(&taken.name) && room.is_none_or(|room| room.holds(&needs))
            });
            match place {
                Some((taken, room)) => {
                    *room = room.map(|room| room.without(&needs));
                    if taken.step == ReservationStep::Ready {
                        placed.insert(instance.server, taken.name.clone());
                    }
                }
                None => unplaced.push(instance.server),
            }
        }
        (placed, unplaced)
    }

    fn find_room(
        &mut self,
        survey: &Survey,
        unplaced: &[ServerId],
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        let needs: Vec<Option<Resources>> = unplaced
            .iter()
            .filter_map(|server| moves.get(server))
            .map(|instance| instance.route.needs)
            .collect();
        let request = ReserveRequest {
            source: ctx.host,
            needs: &needs,
            join: ctx.policy.join_aggregates,
            taken: &|name| {
                self.hosts
                    .iter()
                    .any(|reservation| reservation.name == name && !reservation.is_finished())
            },
            unfit: &|name| self.unfit.get(name).cloned(),
        };
        let choice = choose(survey, &request);
        self.in_flight.observed = None;
        if !choice.picks.is_empty() {
            self.in_flight.waiting = None;
            ctx.blockers.end(BlockerKind::Reserve);
            for pick in choice.picks {
                self.take(pick, survey.placement_error.as_deref(), ctx.record);
            }
            return;
        }
        let mut why = if choice.reasons.is_empty() {
            "the segment has none that is not taken or in maintenance".to_owned()
        } else {
            choice.reasons.join(", ")
        };
        let since = *self.in_flight.waiting.get_or_insert(now.elapsed);
        let may_wait = choice.busy && now.elapsed.since(since) < ctx.policy.reserved_wait;
        if choice.busy && !may_wait {
            why.push_str(", and the time limit of the wait has passed");
        }
        for server in unplaced {
            let has_other = moves
                .get(server)
                .is_some_and(|instance| instance.route.then.is_some());
            if has_other || !may_wait {
                self.no_place(*server, &why, moves, ctx);
            }
        }
        self.in_flight.survey.not_before = now.elapsed.plus(SURVEY_INTERVAL);
        if may_wait {
            ctx.blockers.begin(BlockerKind::Reserve, now, || {
                format!("waiting for a reserved host: {why}")
            });
        }
    }

    /// Reserves a host. The journal gives it to one recovery only, or refuses the whole transaction.
    fn take(&mut self, pick: Pick, placement_error: Option<&str>, record: &mut Record) {
        let Pick {
            host,
            joins,
            instances,
        } = pick;
        let Some(service) = host.service else { return };
        let names: Vec<&str> = joins.iter().map(|aggregate| aggregate.name.as_str()).collect();
        let room = if host.room.is_none() {
            let why = placement_error.unwrap_or("Placement does not show its capacity");
            format!("; Nova's scheduler decides if they fit ({why})")
        } else {
            String::new()
        };
        let joining = if names.is_empty() {
            String::new()
        } else {
            let aggregates = if names.len() == 1 {
                "aggregate"
            } else {
                "aggregates"
            };
            format!("; it joins {aggregates} {}", names.join(", "))
        };
        let text = format!(
            "reserving {} for up to {}{room}{joining}",
            host.name,
            count(instances, "instance", "instances")
        );
        record.step(Task::Reserve, StepKind::Intent, 0.1, text);
        record.reservations.insert(host.id);
        record.head = true;
        self.hosts.retain(|reservation| reservation.host != host.id);
        self.hosts.push(Reservation {
            host: host.id,
            name: host.name,
            step: ReservationStep::Preparing,
            service: service.id,
            was_enabled: service.enabled,
            was_reason: service.disabled_reason,
            room: host.room,
            joining: joins
                .into_iter()
                .map(|aggregate| AggregateMembership {
                    aggregate: aggregate.id,
                    name: aggregate.name,
                    done: false,
                    ours: false,
                })
                .collect(),
            consumed: false,
            enabled: 0,
            call: None,
            unanswered_since: None,
            requested: false,
            not_before: Elapsed::ZERO,
            faults: 0,
            observed: None,
            waiting: None,
        });
    }

    /// Handles an instance that no reserved host takes: it goes the other way, or needs an operator.
    fn no_place(&mut self, server: ServerId, why: &str, moves: &mut Moves, ctx: &mut DecisionContext<'_>) {
        let (now, record) = (ctx.now, &mut *ctx.record);
        let Some(instance) = moves.get_mut(&server) else {
            return;
        };
        record.moves.insert(server);
        if instance.route.switch_target() == NextStep::OtherWay {
            instance.failures = 0;
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            let text = format!(
                "no reserved host for {}: {why}; Nova's scheduler chooses",
                instance.name
            );
            record.server_step(Task::Evacuate, StepKind::Note, server, 0.5, text);
            return;
        }
        instance.remark(&format!("no reserved host for it: {why}"));
        if instance.preparation != Preparation::NotNeeded {
            instance.remark(&format!("it was {} before", instance.was.vm_state));
        }
        finish(instance, End::Person, now, record);
        self.lack = Some(why.to_owned());
        record.head = true;
    }

    /// Records that an instance has been requested on this host: from now on the host is not in reserve.
    pub(in super::super) fn consume(&mut self, name: &str, record: &mut Record) {
        let Some(taken) = self.by_name(name).filter(|taken| !taken.consumed) else {
            return;
        };
        taken.consumed = true;
        record.reservations.insert(taken.host);
        record.head = true;
    }

    pub(super) fn surveyed(
        &mut self,
        result: Result<Survey, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        self.in_flight.survey.answered();
        let in_flight = &mut self.in_flight;
        match result {
            Ok(survey) => {
                in_flight.survey.succeeded();
                in_flight.observed = Some((now.elapsed, survey));
            }
            Err(fault) => {
                in_flight.survey.failed(now.elapsed);
                let for_good = matches!(fault.class, FaultClass::Permanent | FaultClass::Fatal);
                if for_good && in_flight.survey.failures() >= MAX_REFUSED_SURVEYS {
                    in_flight.survey.succeeded();
                    let (_, unplaced) = self.allot(moves, now.elapsed);
                    for server in unplaced {
                        self.no_place(server, &fault.text, moves, ctx);
                    }
                    return;
                }
                ctx.blockers.begin(BlockerKind::Reserve, now, || {
                    format!("the reserved hosts cannot be read yet: {}", fault.text)
                });
            }
        }
    }
}

/// True if it could not take several instances: it is not requested any more, whatever Placement has shown.
fn is_full(taken: &Reservation, moves: &Moves) -> bool {
    let refused = |instance: &&Move| instance.route.tried.contains(&taken.name);
    moves.values().filter(refused).count() >= MAX_REFUSED_INSTANCES
}

fn room_left(taken: &Reservation, moves: &Moves) -> Option<Resources> {
    let room = taken.room?;
    let there = moves
        .values()
        .filter(|instance| instance.takes_room_on(&taken.name));
    Some(there.fold(room, |room, instance| {
        room.without(&instance.route.needs.unwrap_or_default())
    }))
}
