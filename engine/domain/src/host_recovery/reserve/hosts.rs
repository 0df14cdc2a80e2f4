//! The requests to reserved hosts: they are made ready, and put back as they were.

use std::time::Duration;

use super::super::blockers::BlockerKind;
use super::super::{End, Move, MoveStep};
use super::{DecisionContext, MAX_REFUSALS, Moves, Reservation, ReservationEnd, ReservationStep, Reserve};
use crate::count;
use crate::fault::{Fault, FaultClass};
use crate::question::backoff;
use crate::recovery::{
    Command, DecisionTime, JoinResult, Record, ReserveAnswer, ReserveCall, ServiceStatus, StepKind, Task,
};

/// Interval between two checks of a host that is to come up.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The result of a check of a host that is being made ready.
enum Readiness {
    Ready,
    Enable,
    Wait,
    Unfit(String),
}

impl Reserve {
    /// Makes one call at a time for each reserved host.
    pub(super) fn drive(
        &mut self,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        for at in 0..self.hosts.len() {
            let step = self.hosts[at].step;
            match step {
                ReservationStep::Preparing if ctx.block_reason().is_none() => self.prepare(at, ctx, commands),
                ReservationStep::Returning => self.give_back(at, moves, ctx, commands),
                ReservationStep::Preparing | ReservationStep::Ready | ReservationStep::Done(_) => {}
            }
        }
    }

    /// Puts back the hosts that are not needed any more. True once no host is reserved.
    pub(in super::super) fn hand_back(
        &mut self,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) -> bool {
        for taken in &mut self.hosts {
            if matches!(taken.step, ReservationStep::Preparing | ReservationStep::Ready) {
                taken.step = ReservationStep::Returning;
                ctx.record.head = true;
            }
        }
        self.drive(moves, ctx, commands);
        let settled = self.is_settled();
        if settled {
            ctx.blockers.end(BlockerKind::Reserve);
        }
        settled
    }

    fn prepare(&mut self, at: usize, ctx: &mut DecisionContext<'_>, commands: &mut Vec<Command>) {
        let (now, limit) = (ctx.now, ctx.policy.reserved_up_limit);
        let taken = &mut self.hosts[at];
        if taken.requested || now.elapsed < taken.not_before {
            return;
        }
        if let Some(joining) = taken.joining.iter_mut().find(|membership| !membership.done) {
            joining.ours = true;
            let text = format!(
                "adding reserved host {} to aggregate {}",
                taken.name, joining.name
            );
            let call = ReserveCall::Join {
                host: taken.name.clone(),
                aggregate: joining.aggregate,
            };
            return change(taken, call, (0.2, text), ctx, commands);
        }
        if taken.observed.is_none() {
            taken.requested = true;
            commands.push(Command::Reserve(ReserveCall::ReadHost {
                host: taken.name.clone(),
                servers: false,
            }));
            return;
        }
        match verdict(taken, now, limit) {
            Readiness::Ready => {
                taken.step = ReservationStep::Ready;
                ctx.record.head = true;
                let text = format!("reserved host {} is enabled and up", taken.name);
                ctx.record.step(Task::Reserve, StepKind::Outcome, 1.0, text);
                ctx.blockers.end(BlockerKind::Reserve);
            }
            Readiness::Enable => {
                taken.enabled += 1;
                set_status(taken, ServiceStatus::Enabled, ctx, commands);
            }
            Readiness::Wait => {
                taken.observed = None;
                taken.not_before = now.elapsed.plus(CHECK_INTERVAL);
                let name = taken.name.clone();
                ctx.blockers.begin(BlockerKind::Reserve, now, || {
                    format!("waiting until Nova shows reserved host {name} up")
                });
            }
            Readiness::Unfit(why) => self.of_no_use(at, why, ctx.record),
        }
    }

    fn of_no_use(&mut self, at: usize, why: String, record: &mut Record) {
        let taken = &mut self.hosts[at];
        taken.step = ReservationStep::Returning;
        taken.observed = None;
        record.head = true;
        let text = format!("reserved host {} cannot be used: it {why}", taken.name);
        record.step(Task::Reserve, StepKind::Outcome, 0.5, text);
        self.unfit.insert(taken.name.clone(), why);
    }

    fn give_back(
        &mut self,
        at: usize,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
        commands: &mut Vec<Command>,
    ) {
        let (now, effect_window) = (ctx.now, ctx.policy.late_effect_window());
        let taken = &self.hosts[at];
        let name = &taken.name;
        let target = |instance: &&Move| instance.route.target.as_ref() == Some(name);
        if moves.values().filter(target).any(Move::is_in_flight) {
            return;
        }
        let arrived = |instance: &Move| {
            let done = matches!(
                instance.step,
                MoveStep::Restoring { .. }
                    | MoveStep::Unlocking { end: End::Moved, .. }
                    | MoveStep::Done(End::Moved)
            );
            done && instance.dest.as_ref() == Some(name)
        };
        let instances = moves.values().filter(|instance| arrived(instance)).count();
        if instances > 0 {
            let instances = count(instances, "instance", "instances");
            let text = format!("reserved host {name} has taken {instances} and is an ordinary host now");
            return self.close(at, ReservationEnd::Used, text, ctx.record);
        }
        let taken = &mut self.hosts[at];
        if taken.requested || now.elapsed < taken.not_before {
            return;
        }
        if let Some(since) = taken.unanswered_since {
            // It may yet be enabled, or put into an aggregate, by a call that has no answer.
            if now.elapsed.since(since) < effect_window {
                return;
            }
            taken.unanswered_since = None;
            taken.observed = None;
        }
        let Some(view) = &taken.observed else {
            taken.requested = true;
            commands.push(Command::Reserve(ReserveCall::ReadHost {
                host: taken.name.clone(),
                servers: true,
            }));
            return;
        };
        let Some(servers) = view.servers else {
            taken.observed = None;
            return;
        };
        if servers > 0 {
            let text = format!(
                "{} on reserved host {} by now: it stays an ordinary host",
                count(servers, "instance runs", "instances run"),
                taken.name
            );
            return self.close(at, ReservationEnd::Used, text, ctx.record);
        }
        if let Some(joining) = taken.joining.iter().find(|membership| membership.ours) {
            let text = format!(
                "removing reserved host {} from aggregate {}",
                taken.name, joining.name
            );
            let call = ReserveCall::Leave {
                host: taken.name.clone(),
                aggregate: joining.aggregate,
            };
            return change(taken, call, (0.8, text), ctx, commands);
        }
        if !taken.was_enabled
            && taken.enabled > 0
            && let Some(service) = &view.service
        {
            let reason = taken.was_reason.clone();
            if !service.enabled && service.disabled_reason != reason {
                // That change belongs to others: for example to a recovery of this host, which enables it again as it found it.
                let text = format!(
                    "reserved host {} was disabled by others meanwhile ({}): it stays an ordinary host",
                    taken.name,
                    service.disabled_reason.as_deref().unwrap_or("without a reason"),
                );
                return self.close(at, ReservationEnd::Used, text, ctx.record);
            }
            // Shown disabled, it may be so in a copy of Nova's database that lags behind, as before it was enabled.
            let status = ServiceStatus::Disabled { reason };
            return set_status(taken, status, ctx, commands);
        }
        let text = format!(
            "reserved host {} was not needed and is in reserve again",
            taken.name
        );
        self.close(at, ReservationEnd::GivenBack, text, ctx.record);
    }

    fn close(&mut self, at: usize, end: ReservationEnd, text: String, record: &mut Record) {
        let taken = &mut self.hosts[at];
        taken.step = ReservationStep::Done(end);
        taken.consumed |= end == ReservationEnd::Used;
        record.reservations.insert(taken.host);
        record.head = true;
        record.step(Task::Reserve, StepKind::Outcome, 1.0, text);
    }

    pub(in super::super) fn answered(
        &mut self,
        answer: ReserveAnswer,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (host, result) = match answer {
            ReserveAnswer::Survey(result) => return self.surveyed(result, moves, ctx),
            ReserveAnswer::ReadHost { host, result } => {
                let Some(taken) = self.by_name(&host) else {
                    return;
                };
                taken.requested = false;
                let result = result.map(|view| {
                    // The host may have been registered again, under another id.
                    taken.service = view.service.as_ref().map_or(taken.service, |service| service.id);
                    taken.observed = Some(view);
                });
                return self.call_answered(&host, result, false, ctx);
            }
            ReserveAnswer::StatusSet { host, result } => {
                let Some(taken) = self.by_name(&host) else {
                    return;
                };
                if let (Ok(service), Some(view)) = (&result, &mut taken.observed) {
                    if !service.enabled {
                        taken.enabled = 0;
                    }
                    view.service = Some(service.clone());
                }
                (host, result.map(drop))
            }
            ReserveAnswer::Joined {
                host,
                aggregate,
                result,
            } => {
                let Some(taken) = self.by_name(&host) else {
                    return;
                };
                let is_unanswered = taken.unanswered_since.is_some();
                if let Some(joining) = taken
                    .joining
                    .iter_mut()
                    .find(|membership| membership.aggregate == aggregate)
                {
                    match &result {
                        Ok(joined) => {
                            joining.done = true;
                            // It was in it before the call: by an unanswered call of this recovery, or by others, whose change stays.
                            joining.ours = *joined == JoinResult::Added || is_unanswered;
                        }
                        Err(fault) if !fault.maybe_done && !is_unanswered => joining.ours = false,
                        Err(_) => {}
                    }
                }
                (host, result.map(drop))
            }
            ReserveAnswer::Left {
                host,
                aggregate,
                result,
            } => {
                let Some(taken) = self.by_name(&host) else {
                    return;
                };
                let joining = taken
                    .joining
                    .iter_mut()
                    .find(|membership| membership.aggregate == aggregate);
                if let Some(joining) = joining.filter(|_| result.is_ok()) {
                    joining.ours = false;
                }
                (host, result)
            }
        };
        self.call_answered(&host, result, true, ctx);
    }

    /// Handles what every answer has in common.
    fn call_answered(
        &mut self,
        host: &str,
        result: Result<(), Fault>,
        write: bool,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        let Some(at) = self
            .hosts
            .iter()
            .position(|reservation| reservation.name == host && !reservation.is_finished())
        else {
            return;
        };
        let taken = &mut self.hosts[at];
        taken.requested = false;
        ctx.record.head |= write;
        let Err(fault) = result else {
            taken.faults = 0;
            if write {
                taken.call_answered();
                ctx.blockers.end(BlockerKind::Reserve);
            }
            return;
        };
        if write {
            if fault.maybe_done {
                taken.not_answered();
            }
            taken.call_answered();
        }
        taken.observed = None;
        taken.faults = taken.faults.saturating_add(1);
        taken.not_before = now.elapsed.plus(backoff(taken.faults - 1));
        let refused = match fault.class {
            FaultClass::Transient => false,
            FaultClass::Conflict => write && !fault.maybe_done,
            FaultClass::Permanent | FaultClass::Fatal => taken.faults >= MAX_REFUSALS,
        };
        match taken.step {
            ReservationStep::Preparing if refused => {
                let why = format!("cannot be made ready: {}", fault.text);
                self.of_no_use(at, why, ctx.record);
            }
            ReservationStep::Returning if refused && taken.faults >= MAX_REFUSALS => {
                let text = format!(
                    "reserved host {host} is in reserve again, but could not be put back as it was: {}",
                    fault.text
                );
                ctx.record.failed(Task::Reserve, text.clone());
                self.lack = Some(text.clone());
                self.close(at, ReservationEnd::GivenBack, text, ctx.record);
            }
            ReservationStep::Preparing | ReservationStep::Returning => {
                let name = host.to_owned();
                ctx.blockers.begin(BlockerKind::Reserve, now, || {
                    format!(
                        "calls about reserved host {name} fail and are repeated: {}",
                        fault.text
                    )
                });
            }
            ReservationStep::Ready | ReservationStep::Done(_) => {}
        }
    }

    /// Reverts a call that was not sent.
    pub(in super::super) fn not_sent(&mut self, call: &ReserveCall) {
        let host = match call {
            ReserveCall::Survey => {
                self.in_flight.survey.not_sent();
                return;
            }
            ReserveCall::ReadHost { host, .. }
            | ReserveCall::SetStatus { host, .. }
            | ReserveCall::Join { host, .. }
            | ReserveCall::Leave { host, .. } => host,
        };
        if let Some(taken) = self.by_name(host) {
            taken.requested = false;
            if call.is_write() {
                taken.call_answered();
            }
        }
    }
}

fn verdict(taken: &mut Reservation, now: DecisionTime, limit: Duration) -> Readiness {
    let service = taken.observed.as_ref().and_then(|view| view.service.as_ref());
    let Some(service) = service else {
        return Readiness::Unfit("has no nova-compute service of that name in Nova".into());
    };
    if service.forced_down {
        return Readiness::Unfit("has been forced down in Nova".into());
    }
    if !service.enabled {
        // It is enabled whatever the reason, but only until another actor has disabled it repeatedly.
        return if taken.enabled >= MAX_REFUSALS {
            Readiness::Unfit("is disabled by others again and again".into())
        } else {
            Readiness::Enable
        };
    }
    if service.up {
        return Readiness::Ready;
    }
    let since = *taken.waiting.get_or_insert(now.elapsed);
    if now.elapsed.since(since) >= limit {
        Readiness::Unfit(format!("has not come up within {} s", limit.as_secs()))
    } else {
        Readiness::Wait
    }
}

fn set_status(
    taken: &mut Reservation,
    status: ServiceStatus,
    ctx: &mut DecisionContext<'_>,
    commands: &mut Vec<Command>,
) {
    let outcome = match &status {
        ServiceStatus::Enabled => {
            let was = taken
                .was_reason
                .as_ref()
                .map(|reason| format!(" (it was disabled: {reason})"))
                .unwrap_or_default();
            (0.4, format!("enabling reserved host {}{was}", taken.name))
        }
        ServiceStatus::Disabled { .. } => (0.9, format!("disabling reserved host {} as it was", taken.name)),
    };
    let call = ReserveCall::SetStatus {
        host: taken.name.clone(),
        service: taken.service,
        status,
    };
    change(taken, call, outcome, ctx, commands);
}

/// Requests a change of a host, once it is journalled. `told`: the progress and the text of the event.
fn change(
    taken: &mut Reservation,
    call: ReserveCall,
    outcome: (f64, String),
    ctx: &mut DecisionContext<'_>,
    commands: &mut Vec<Command>,
) {
    taken.intend(ctx.now.elapsed);
    ctx.record.head = true;
    ctx.record
        .step(Task::Reserve, StepKind::Intent, outcome.0, outcome.1);
    commands.push(Command::Reserve(call));
}
