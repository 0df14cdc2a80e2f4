//! Finding room on reserved hosts: which instance goes where, and when another host is taken or the other way is gone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choosing::{Pick, Wanted, choose};
use super::method::{Next, Way};
use super::moves::finish;
use super::reserve::{Joining, Taken, TakenStep};
use super::trouble::Topic;
use super::{End, HostRecovery, Move, MoveStep, Preparation};
use crate::ServerId;
use crate::fault::{Fault, FaultClass};
use crate::recovery::{Command, Now, Record, ReserveCall, StepKind, Task};
use crate::reserved::{Resources, Survey};

/// So many reserved hosts may refuse one instance: what is peculiar about it does not walk through the whole reserve.
const MOST_HOSTS: usize = 2;

/// After so many instances that it could not take a host is asked for no more.
const FULL: usize = 3;

/// Between two looks while somebody else's host is waited for.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Refused surveys after which there is no reserve.
const SURVEYS: u32 = 3;

impl Move {
    fn waits_for_reserve(&self) -> bool {
        let waits = matches!(self.step, MoveStep::Waiting { .. });
        self.route.way == Way::Reserved && waits && self.may_run.is_empty()
    }

    /// Whether it takes room on `host`, or is about to.
    fn takes_room_on(&self, host: &str) -> bool {
        match &self.step {
            MoveStep::Asked { .. } => self.route.target.as_deref() == Some(host),
            MoveStep::Restoring { .. }
            | MoveStep::Unlocking { end: End::Moved, .. }
            | MoveStep::Over(End::Moved) => self.dest.as_deref() == Some(host),
            MoveStep::Held
            | MoveStep::Waiting { .. }
            | MoveStep::Unlocking {
                end: End::Left | End::Person,
                ..
            }
            | MoveStep::Over(End::Left | End::Person) => false,
        }
    }
}

impl HostRecovery {
    /// Takes what is needed and makes ready what is taken.
    pub(super) fn act_reserve(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        self.drive_reserved(now, record, commands);
        if self.forbidden().is_some() || self.rejected.is_some() {
            return;
        }
        let (_, unplaced) = self.allot();
        let (unplaced, hopeless): (Vec<_>, Vec<_>) = unplaced.into_iter().partition(|server| {
            self.moves
                .get(server)
                .is_some_and(|one| one.route.tried.len() < MOST_HOSTS)
        });
        for server in hopeless {
            let why = format!("{MOST_HOSTS} of them could not take it");
            self.no_place(server, &why, now, record);
        }
        if unplaced.is_empty() {
            self.reserve.asks.waiting = None;
            self.asks.troubles.end(Topic::Reserve);
            return;
        }
        if let Some(survey) = self.reserve.survey(now.elapsed) {
            self.look_for_room(&survey, &unplaced, now, record);
            // What was taken is asked for at once, in the same transaction's wake.
            self.drive_reserved(now, record, commands);
        } else if self.reserve.asks.survey.send(now.elapsed) {
            commands.push(Command::Reserve(ReserveCall::Survey));
        }
    }

    /// Instances that have a reserved host that is ready, and those that have not even one that will be.
    pub(super) fn allot(&self) -> (BTreeMap<ServerId, String>, Vec<ServerId>) {
        let mut waiting: Vec<&Move> = self
            .moves
            .values()
            .filter(|one| one.waits_for_reserve())
            .collect();
        if waiting.is_empty() {
            return (BTreeMap::new(), Vec::new());
        }
        waiting.sort_by_key(|one| (one.rank, one.server));
        let mut rooms: Vec<(&Taken, Option<Resources>)> = self
            .reserve
            .hosts
            .iter()
            .filter(|taken| taken.is_open() && !self.is_full(taken))
            .map(|taken| (taken, self.room_left(taken)))
            .collect();
        let mut placed = BTreeMap::new();
        let mut unplaced = Vec::new();
        for one in waiting {
            let needs = one.route.needs.unwrap_or_default();
            let place = rooms.iter_mut().find(|(taken, room)| {
                !one.route.tried.contains(&taken.name) && room.is_none_or(|room| room.holds(&needs))
            });
            match place {
                Some((taken, room)) => {
                    *room = room.map(|room| room.without(&needs));
                    if taken.step == TakenStep::Ready {
                        placed.insert(one.server, taken.name.clone());
                    }
                }
                None => unplaced.push(one.server),
            }
        }
        (placed, unplaced)
    }

    /// It could not take several instances: it is asked for no more, whatever Placement said of it.
    fn is_full(&self, taken: &Taken) -> bool {
        let refused = |one: &&Move| one.route.tried.contains(&taken.name);
        self.moves.values().filter(refused).count() >= FULL
    }

    fn room_left(&self, taken: &Taken) -> Option<Resources> {
        let room = taken.room?;
        let there = self.moves.values().filter(|one| one.takes_room_on(&taken.name));
        Some(there.fold(room, |room, one| {
            room.without(&one.route.needs.unwrap_or_default())
        }))
    }

    fn look_for_room(&mut self, survey: &Survey, unplaced: &[ServerId], now: Now, record: &mut Record) {
        let needs: Vec<Option<Resources>> = unplaced
            .iter()
            .filter_map(|server| self.moves.get(server))
            .map(|one| one.route.needs)
            .collect();
        let reserve = &self.reserve;
        let wanted = Wanted {
            source: &self.host,
            needs: &needs,
            join: self.policy.join_aggregates,
            taken: &|name| reserve.hosts.iter().any(|one| one.name == name && !one.is_over()),
            unfit: &|name| reserve.unfit.get(name).cloned(),
        };
        let choice = choose(survey, &wanted);
        self.reserve.asks.seen = None;
        if !choice.picks.is_empty() {
            self.reserve.asks.waiting = None;
            self.asks.troubles.end(Topic::Reserve);
            for pick in choice.picks {
                self.take(pick, survey.blind.as_deref(), record);
            }
            return;
        }
        let mut why = if choice.reasons.is_empty() {
            "the segment has none that is not taken or on maintenance".to_owned()
        } else {
            choice.reasons.join(", ")
        };
        let since = *self.reserve.asks.waiting.get_or_insert(now.elapsed);
        let may_wait = choice.busy && now.elapsed.since(since) < self.policy.reserved_wait;
        if choice.busy && !may_wait {
            why.push_str(", and it was waited for long enough");
        }
        for server in unplaced {
            let has_other = self.moves.get(server).is_some_and(|one| one.route.then.is_some());
            if has_other || !may_wait {
                self.no_place(*server, &why, now, record);
            }
        }
        self.reserve.asks.survey.not_before = now.elapsed.plus(LOOK_AGAIN);
        if may_wait {
            self.asks.troubles.begin(Topic::Reserve, now, || {
                format!("waiting for a reserved host: {why}")
            });
        }
    }

    /// R6: the journal gives it to one recovery only, or refuses the whole transaction.
    fn take(&mut self, pick: Pick, blind: Option<&str>, record: &mut Record) {
        let Pick {
            host,
            joins,
            instances,
        } = pick;
        let Some(service) = host.service else { return };
        let names: Vec<&str> = joins.iter().map(|one| one.name.as_str()).collect();
        let room = if host.room.is_none() {
            let why = blind.unwrap_or("Placement does not tell its room");
            format!("; whether it holds them Nova's scheduler must say ({why})")
        } else {
            String::new()
        };
        let joining = if names.is_empty() {
            String::new()
        } else {
            format!("; it joins aggregates {}", names.join(", "))
        };
        let text = format!(
            "reserving {} for up to {instances} instances{room}{joining}",
            host.name
        );
        record.step(Task::Reserve, StepKind::Intent, 0.1, text);
        record.reservations.insert(host.id);
        record.head = true;
        self.reserve.hosts.retain(|one| one.host != host.id);
        self.reserve.hosts.push(Taken {
            host: host.id,
            name: host.name,
            step: TakenStep::Preparing,
            service: service.id,
            was_enabled: service.enabled,
            was_reason: service.disabled_reason,
            room: host.room,
            joining: joins
                .into_iter()
                .map(|one| Joining {
                    aggregate: one.id,
                    name: one.name,
                    done: false,
                    ours: false,
                })
                .collect(),
            consumed: false,
            enabled: 0,
            call: None,
            loose: None,
            asked: false,
            not_before: crate::Elapsed::ZERO,
            faults: 0,
            seen: None,
            waiting: None,
        });
    }

    /// No reserved host takes it: the other way, or a person's work.
    fn no_place(&mut self, server: ServerId, why: &str, now: Now, record: &mut Record) {
        let Some(one) = self.moves.get_mut(&server) else {
            return;
        };
        record.moves.insert(server);
        if one.route.turn() == Next::OtherWay {
            one.failures = 0;
            one.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            let text = format!(
                "no reserved host for {}: {why}; Nova's scheduler chooses",
                one.name
            );
            record.server_step(Task::Evacuate, StepKind::Note, server, 0.5, text);
            return;
        }
        one.remark(&format!("no reserved host for it: {why}"));
        if one.preparation != Preparation::NotNeeded {
            one.remark(&format!("it was {} before", one.was.vm_state));
        }
        finish(one, End::Person, now, record);
        self.reserve.lack = Some(why.to_owned());
        record.head = true;
    }

    /// It has been asked for on this host: from now on the host is not in reserve.
    pub(super) fn consume(&mut self, name: &str, record: &mut Record) {
        let Some(taken) = self.reserve.by_name(name).filter(|taken| !taken.consumed) else {
            return;
        };
        taken.consumed = true;
        record.reservations.insert(taken.host);
        record.head = true;
    }

    pub(super) fn surveyed(&mut self, result: Result<Survey, Fault>, now: Now, record: &mut Record) {
        self.reserve.asks.survey.answered();
        let asks = &mut self.reserve.asks;
        match result {
            Ok(survey) => {
                asks.survey.succeeded();
                asks.seen = Some((now.elapsed, survey));
            }
            Err(fault) => {
                asks.survey.failed(now.elapsed);
                let for_good = matches!(fault.class, FaultClass::Permanent | FaultClass::Fatal);
                if for_good && asks.survey.failures() >= SURVEYS {
                    asks.survey.succeeded();
                    let (_, unplaced) = self.allot();
                    for server in unplaced {
                        self.no_place(server, &fault.text, now, record);
                    }
                    return;
                }
                self.asks.troubles.begin(Topic::Reserve, now, || {
                    format!("the reserved hosts cannot be looked at yet: {}", fault.text)
                });
            }
        }
    }
}
