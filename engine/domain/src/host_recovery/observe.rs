//! The dispatch of observations. Each answer, and each command that has not left this engine, goes to the part that it concerns.

use std::collections::BTreeSet;

use super::decision_context::decision_context;
use super::operator_actions::rewound;
use super::plan::lost_instances::{adopt_lost, note_unknown_locks, plan_touched};
use super::{HostRecovery, Lock, Move, Stage, late_effects, lock_mark};
use crate::fault::Fault;
use crate::id::ServerId;
use crate::nova::Server;
use crate::recovery::{Command, DecisionTime, Inventory, Observation, Record, ServerCall};

impl HostRecovery {
    #[expect(clippy::too_many_lines, reason = "one arm for each observation")]
    pub(super) fn observe(&mut self, observation: Observation, now: DecisionTime, record: &mut Record) {
        // Observations that concern the whole recovery use `self` instead of this context.
        let mut ctx = decision_context!(self, now, record);
        let (move_track, moves) = (&mut self.in_flight.move_track, &mut self.moves);
        match observation {
            // A host recovery acts on none of these; the last ones belong to planned moves.
            Observation::Tick | Observation::InstancesUnderRecovery(_) | Observation::Followed { .. } => {}
            Observation::HostUnderRecovery => {
                if *ctx.stage == Stage::Returning {
                    // The host's new recovery may need it off.
                    self.power_on.over = true;
                    self.service.superseded(&mut ctx);
                } else if *ctx.stage == Stage::Starting {
                    self.in_flight.starts.superseded(now, ctx.policy);
                }
            }
            Observation::MayRunOn(hosts) => {
                let starts = &mut self.in_flight.starts;
                starts.may_run_elsewhere(&hosts, &mut self.moves, &mut ctx);
            }
            Observation::Actions { server, result } => {
                let starts = &mut self.in_flight.starts;
                starts.actions_read(server, result, &mut self.moves, &mut ctx);
            }
            Observation::Rewound => rewound(self, now, record),
            Observation::Claimed(operator_state) => self.claimed(operator_state, now, record),
            Observation::OperatorState(operator_state) => {
                self.apply_operator_state(operator_state, now, record);
            }
            Observation::Region(region) => {
                self.guard.region_probe.record_scan(region);
                let shown = self.guard.region_probe.heartbeats(self.host_id);
                self.guard.heartbeats.apply_listing(shown);
                self.guard.note_silence(&mut ctx);
            }
            Observation::OrderRefused => {
                self.fence.orders_refused(now.elapsed);
                self.guard.order_refused(&mut ctx);
            }
            Observation::Service(result) => {
                let untouched = self.is_untouched();
                let mut ctx = decision_context!(self, now, record);
                let (proof, moves) = (&mut self.proof, &mut self.moves);
                if self.service.answered(result, untouched, proof, moves, &mut ctx) {
                    self.guard.region_probe.was_ever_silent |= self.service.was_silent();
                }
            }
            Observation::FencingStopped(stopped) => self.in_flight.stopped = stopped,
            Observation::Levels(levels) => self.fence.apply_levels(levels, &mut ctx),
            Observation::Power {
                target,
                started,
                waited,
                result,
            } => self.power_read(&target, (started, waited), result, now, record),
            Observation::PowerOff { target, result } => {
                self.fence.order_answered(&target, result, &mut ctx);
            }
            Observation::PowerOn { target, result } => {
                self.power_on.answered(&target, result, &mut self.fence, &mut ctx);
            }
            Observation::ServiceUpdated(result) => {
                self.service.updated(result, self.proof.is_some(), &mut ctx);
            }
            Observation::Inventory(result) => self.inventory_read(&result, now, record),
            Observation::Lists(result) => {
                let (since, messaging) = (self.service.since, &self.in_flight.messaging);
                move_track.lists_read(result, since, messaging, moves, &mut ctx);
            }
            Observation::Evacuations(result) => {
                if let Ok(read) = &result {
                    self.power_on.evacuations_seen(read, moves);
                }
                move_track.evacuations_read(result, moves, &mut ctx);
            }
            Observation::ServerIds(result) => move_track.server_ids_read(result, moves, &mut ctx),
            Observation::Permits(permits) => move_track.pace.permits = Some(permits),
            Observation::Conductors(result) => self.in_flight.messaging.read(result, &self.policy, now),
            Observation::Server { server, result } if *ctx.stage == Stage::Starting => {
                self.in_flight
                    .starts
                    .server_read(server, result, &mut self.moves, &mut ctx);
            }
            Observation::Server { server, result } => {
                if self.arrivals.server_read(server, &result, moves, &mut ctx) {
                    return;
                }
                move_track.server_read(server, result, moves, &mut ctx);
            }
            Observation::ServerCall {
                server,
                call: ServerCall::Start,
                result,
            } => self
                .in_flight
                .starts
                .answered(server, result, &mut self.moves, &mut ctx),
            Observation::ServerCall { server, call, result } => {
                if move_track.call_answered((server, call), result, moves, &mut ctx) {
                    self.service.question.observed = None;
                }
            }
            Observation::Hook {
                phase,
                number,
                attempt,
                outcome,
            } => {
                self.hooks
                    .answered_in((phase, number, attempt), &outcome, &mut ctx);
            }
            Observation::NotSent(command) => self.not_sent(&command, now, record),
            Observation::MovesTaken(servers) => {
                self.in_flight.listing.defer_taken(servers, moves, &mut ctx);
            }
            Observation::Reserve(answer) => {
                self.reserve.answered(answer, moves, &mut ctx);
            }
            Observation::ReserveTaken(hosts) => self.reserve.refused(&hosts, now.elapsed),
        }
    }

    fn inventory_read(&mut self, result: &Result<Inventory, Fault>, now: DecisionTime, record: &mut Record) {
        late_effects::judge(self);
        let before = self.stage;
        let mut ctx = decision_context!(self, now, record);
        let (track, moves) = (
            (&mut self.in_flight.move_track, &mut self.arrivals),
            &mut self.moves,
        );
        let requested_at = self.in_flight.listing.question.sent();
        let read = result.as_ref().ok();
        let shown = read.and_then(|it| it.service.clone());
        let planned: BTreeSet<ServerId> = moves.keys().copied().collect();
        let mut known = planned.clone();
        let servers = read.map_or(&[][..], |it| &it.servers);
        known.extend(lock_mark::with_original_state(servers));
        let (listing, since) = (&mut self.in_flight.listing, &mut self.service.since);
        listing.answered(result, track, moves, since, &mut ctx);
        // This recovery locks nothing before its plan is written.
        let lost = |instance: &Move| instance.lock == Lock::Ours && !planned.contains(&instance.server);
        let mark = ctx.mark();
        let evacuated = read.map_or(&[][..], |it| &it.evacuated).iter();
        let (own, foreign): (Vec<&Server>, Vec<_>) =
            evacuated.partition(|server| lock_mark::is_locked_by(server, &mark));
        listing.foreign.extend(foreign.iter().map(|server| server.id));
        let on_host = moves.values().any(lost);
        if !self.rewound && (on_host || !own.is_empty()) {
            self.rewound = true;
            note_unknown_locks(&mut ctx);
        }
        let counts = requested_at.is_some() && listing.question.observed == requested_at;
        if self.rewound
            && let Some(inventory) = read
        {
            let follows = match *ctx.stage {
                Stage::Begin | Stage::Fencing | Stage::Disabling if counts => {
                    plan_touched(inventory, moves, since, &mut ctx);
                    true
                }
                Stage::Moving => true,
                Stage::Returning => counts && self.arrivals.may_move(),
                Stage::Begin
                | Stage::Fencing
                | Stage::Disabling
                | Stage::Listing
                | Stage::Starting
                | Stage::Done => false,
            };
            if follows {
                self.rewound = false;
                let known = (self.reported_at, &known);
                adopt_lost(inventory, moves, known, since, &mut ctx);
                if *ctx.stage == Stage::Returning && !moves.values().all(Move::is_finished) {
                    ctx.enter(Stage::Moving);
                }
            }
        }
        if (before, *ctx.stage) == (Stage::Returning, Stage::Moving) {
            late_effects::begin(self, now);
            ctx = decision_context!(self, now, record);
        }
        if let (Some(requested_at), Some(shown)) = (requested_at, shown) {
            let (proof, moves) = (&mut self.proof, &mut self.moves);
            self.service
                .shown_by_lists(shown, requested_at, proof, moves, &mut ctx);
        }
    }

    /// Reverts what was recorded for a command that was not carried out, so that it is decided again.
    fn not_sent(&mut self, command: &Command, now: DecisionTime, record: &mut Record) {
        match command {
            Command::ScanHosts => self.guard.region_probe.not_sent(now),
            Command::ReadService => self.service.question.not_sent(),
            Command::ReadLevels => self.fence.question.not_sent(),
            Command::ReadPower(target) => self.fence.not_asked(target),
            Command::PowerOff { target, .. } => {
                self.fence.not_sent(target);
                // Counting an order twice does no harm, and one whose write the journal has refused was never counted.
                self.guard.counted &= !self.fence.orders.is_empty();
                record.head = true;
            }
            Command::PowerOn { .. } => self.power_on.not_sent(),
            Command::UpdateService { .. } => {
                self.service.not_sent();
                record.head = true;
            }
            Command::TakeInventory { .. } => self.in_flight.listing.question.not_sent(),
            Command::ReadLists { .. } => self.in_flight.move_track.lists.not_sent(),
            Command::ReadEvacuations { .. } => self.in_flight.move_track.evacuations.not_sent(),
            Command::ReadServerIds => self.in_flight.move_track.server_ids.not_sent(),
            Command::ReadConductors => self.in_flight.messaging.question.not_sent(),
            Command::ReadServer(server) if self.stage == Stage::Starting => {
                self.in_flight.starts.server_not_read(*server);
            }
            Command::ReadActions(server) => self.in_flight.starts.actions_not_read(*server),
            Command::Start(server) => {
                if let Some(instance) = self.moves.get_mut(server) {
                    self.in_flight.starts.not_sent(instance, now, record);
                }
            }
            Command::ReadServer(server) => {
                if self.arrivals.not_read(*server) {
                    return;
                }
                self.in_flight.move_track.servers.remove(server);
            }
            Command::Lock { .. }
            | Command::Unlock(_)
            | Command::Prepare(_)
            | Command::Evacuate(_)
            | Command::Restore { .. } => {
                if let Some((server, call)) = command.server_call()
                    && let Some(instance) = self.moves.get_mut(&server)
                {
                    if call == ServerCall::Evacuate {
                        self.in_flight.move_track.not_sent(server);
                    }
                    instance.not_sent(call, now.elapsed);
                    if matches!(call, ServerCall::Evacuate | ServerCall::Prepare) {
                        // The journal has an intent without a call: an owner that takes over need not check for
                        // its effect.
                        record.moves.insert(server);
                    }
                }
            }
            Command::RunHook(call) => self.hooks.not_sent((call.phase, call.number, call.attempt), now),
            Command::Reserve(call) => self.reserve.not_sent(call),
            Command::Stop(_)
            | Command::Migrate(_)
            | Command::ConfirmMigration(_)
            | Command::Activate { .. }
            | Command::FollowMove(_)
            | Command::LiveMigrate { .. }
            | Command::AbortMigration { .. } => {}
        }
    }
}
