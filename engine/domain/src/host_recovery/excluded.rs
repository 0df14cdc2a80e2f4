//! The start of excluded instances after the host's return (ADR 0150).
//!
//! An instance that is excluded from evacuation stays on its host. It does not run when the host returns: Nova finds it shut down within
//! its power synchronisation interval, and records it as stopped. Then it is started here, if it ran when the host died and no user has
//! stopped it since. The recovery's life stays `watching` meanwhile, which blocks no other recovery and counts for no guard.

mod answers;
mod progress;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::decision_context::{DecisionContext, Moves, decision_context, operator_block};
use super::{End, ExcludedStart, HostRecovery, Move, MoveStep, Stage, StartCall, StartEnd};
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::nova::{PowerState, Server, VmState};
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::{Command, DecisionTime, Elsewhere, Life, Record, StepKind, Task};
use crate::wait::WaitsFor;

pub(super) use progress::summary;

/// The remark on an excluded instance that is to be started.
const START_REMARK: &str = "it is started when its host has returned";

/// The time for which a returned host has to be up before what is left is given up: three times Nova's usual power synchronisation
/// interval, in which Nova finds instances shut down.
const START_LIMIT: Duration = Duration::from_mins(30);

/// The interval between two reads of an instance.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// The delay between an accepted start and the next read.
const FIRST_CHECK_DELAY: Duration = Duration::from_secs(1);

/// The delay after a call that has failed.
const CALL_RETRY_DELAY: Duration = Duration::from_secs(30);

/// The longest time between an intent and its call, rounded up.
const MAX_CALL_DELAY: Duration = Duration::from_secs(1);

/// The age at which what was read of an instance does not justify a start any more.
const MAX_READING_AGE: Duration = Duration::from_secs(10);

/// The number of instances that are read at the same time.
const MAX_PARALLEL_READS: usize = 5;

/// The number of instances that are started at the same time: a host that has just booted starts no more.
const MAX_PARALLEL_STARTS: usize = 10;

/// The number of instance names in a wait.
const MAX_LISTED_NAMES: usize = 5;

/// The readings of one instance.
#[derive(Clone, Debug, Default, PartialEq)]
struct Readings {
    server: Question,
    actions: Question,
    /// The time at which the reading was requested that shows it stopped and idle.
    stopped: Option<Elapsed>,
    /// The time at which the actions were requested that show that no user has stopped it.
    due: Option<Elapsed>,
    /// True if it was seen stopped since the host's return.
    was_stopped: bool,
    not_before: Elapsed,
}

impl Readings {
    /// True if it was seen stopped and idle just now.
    fn is_stopped(&self, now: Elapsed) -> bool {
        self.stopped.is_some_and(|at| now.since(at) < MAX_READING_AGE)
    }
}

/// The requests about excluded instances. None survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StartTrack {
    /// The time since which the host has been usable without a break.
    usable_since: Option<Elapsed>,
    readings: BTreeMap<ServerId, Readings>,
    /// The instance whose start was journalled last.
    journalled_server: Option<ServerId>,
    not_before: Elapsed,
}

/// Marks an excluded instance for its start after the host's return, if it ran on this host and can run nowhere else.
pub(super) fn plan(instance: &mut Move, server: &Server, ctx: &DecisionContext<'_>) {
    let is_excluded = matches!(
        instance.step,
        MoveStep::Done(End::Left) | MoveStep::Unlocking { end: End::Left, .. }
    );
    if is_excluded && ctx.policy.starts_on_return(server) {
        mark(instance);
    }
}

/// Marks an instance that stays on its host after a wait for it (ADR 0141). Policy does not exclude it, so no service replaces it.
pub(super) fn plan_after_wait(instance: &mut Move, policy: &Policy) {
    let ran = instance.was.vm_state == VmState::Active && instance.was.power_state == PowerState::Running;
    if ran && policy.start_excluded {
        mark(instance);
    }
}

fn mark(instance: &mut Move) {
    if instance.elsewhere.is_empty() && instance.may_run.is_empty() {
        instance.start = Some(ExcludedStart::default());
        instance.remark(START_REMARK);
    }
}

impl Move {
    /// True if it is still to be started.
    fn is_to_be_started(&self) -> bool {
        self.start.is_some_and(|start| start.end.is_none())
    }

    /// Ends its start. `how` replaces the remark on its note.
    fn end_start(&mut self, end: StartEnd, how: &str, record: &mut Record) {
        let Some(start) = &mut self.start else { return };
        start.end = Some(end);
        let note = self.note.take().unwrap_or_default();
        self.note = Some(if note.contains(START_REMARK) {
            note.replace(START_REMARK, how)
        } else {
            format!("{note}; {how}")
        });
        record.moves.insert(self.server);
        let text = format!("{}: {how}", self.name);
        record.server_step(Task::StartInstance, StepKind::Outcome, self.server, 1.0, text);
    }
}

impl HostRecovery {
    /// Starts the excluded instances, and ends the recovery once that is done.
    pub(super) fn act_starting(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        // The proof ends with the host's return, however that was seen.
        self.proof = None;
        let returned = *self.returned.get_or_insert(now.elapsed);
        if self.moves.values().any(Move::is_to_be_started) {
            self.service
                .request_if_due(now, self.policy.heartbeat_poll, commands);
            if self.service.is_gone() {
                give_up_starts(&mut self.moves, "its host's service record is gone", record);
            } else if now.elapsed.since(returned) >= self.policy.deadline {
                give_up_starts(&mut self.moves, "its host did not stay up", record);
            } else if start_block_reason(self, now).is_some() {
                self.in_flight.starts.suspend();
            } else {
                self.start_excluded(now, record, commands);
            }
        }
        if !self.moves.values().any(Move::is_to_be_started) && record.life.is_none() {
            record.life = Some(Life::Closed);
            self.enter(Stage::Done, record);
        }
    }

    fn start_excluded(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        let since = *self.in_flight.starts.usable_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) >= START_LIMIT {
            let why = "Nova has not shown it stopped and then active in 30 minutes";
            return give_up_starts(&mut self.moves, why, record);
        }
        let ctx = decision_context!(self, now, record);
        let starts = &mut self.in_flight.starts;
        let mut pending: Vec<&mut Move> = self
            .moves
            .values_mut()
            .filter(|instance| instance.is_to_be_started() && ctx.frozen(instance.server).is_none())
            .collect();
        pending.sort_by_key(|instance| instance.rank);
        starts.read(&pending, &ctx, commands);
        if now.elapsed < starts.not_before || free_start_slots(&pending) == 0 {
            return;
        }
        // One for each decision: the journal checks for each of them where else it may run.
        if let Some(instance) = pending
            .into_iter()
            .find(|instance| starts.may_start(instance, &ctx))
        {
            starts.start(instance, ctx, commands);
        }
    }
}

/// Returns the reason why nothing is started now.
fn start_block_reason(state: &HostRecovery, now: DecisionTime) -> Option<String> {
    let is_down = || {
        let up = state
            .service
            .observed
            .as_ref()
            .is_some_and(|service| !service.forced_down)
            && state.service.up_evidence(now.elapsed).is_some();
        (!up).then(|| format!("host {} is down", state.host))
    };
    operator_block(state.operator_state.as_ref())
        .or_else(|| Some(state.operator_state.as_ref()?.frozen.of_host()?.message()))
        .or_else(is_down)
}

fn give_up_starts(moves: &mut Moves, why: &str, record: &mut Record) {
    for instance in moves.values_mut().filter(|instance| instance.is_to_be_started()) {
        instance.end_start(StartEnd::NotStarted, &format!("not started: {why}"), record);
    }
}

/// Returns what the recovery waits for while excluded instances are started.
pub(super) fn waits_for(state: &HostRecovery, now: DecisionTime) -> (WaitsFor, BTreeSet<String>) {
    if let Some(why) = start_block_reason(state, now) {
        return (WaitsFor::Start, [why].into());
    }
    let pending = state
        .moves
        .values()
        .filter(|instance| instance.is_to_be_started());
    let names = pending
        .take(MAX_LISTED_NAMES)
        .map(|instance| instance.name.clone())
        .collect();
    (WaitsFor::Start, names)
}

/// True if a start can no longer take effect, or was accepted so long ago that another one may be requested.
fn is_settled(call: StartCall, now: Elapsed, policy: &Policy) -> bool {
    let limit = if call.answered {
        policy.start_limit
    } else {
        policy.late_effect_window() + MAX_CALL_DELAY
    };
    now.since(call.at) >= limit
}

/// Returns the number of instances that may be started now besides those that are being started.
fn free_start_slots(pending: &[&mut Move]) -> usize {
    let is_under_way = |instance: &&&mut Move| instance.start.is_some_and(|start| start.requested.is_some());
    MAX_PARALLEL_STARTS.saturating_sub(pending.iter().filter(is_under_way).count())
}

impl StartTrack {
    fn suspend(&mut self) {
        self.usable_since = None;
        self.readings.clear();
    }

    /// Starts over, because the host is under recovery again. That recovery may have to wait for a long time.
    pub(super) fn superseded(&mut self, now: DecisionTime, policy: &Policy) {
        self.suspend();
        self.not_before = now.elapsed.plus(policy.heartbeat_poll);
    }

    /// Reads the instances, and the actions on those that are stopped and next to be started.
    fn read(&mut self, pending: &[&mut Move], ctx: &DecisionContext<'_>, commands: &mut Vec<Command>) {
        let now = ctx.now.elapsed;
        let is_read = |pending_reads: &&Readings| {
            pending_reads.server.sent().is_some() || pending_reads.actions.sent().is_some()
        };
        let mut room = MAX_PARALLEL_READS.saturating_sub(self.readings.values().filter(is_read).count());
        let mut starts = free_start_slots(pending);
        for instance in pending {
            let readings = self.readings.entry(instance.server).or_default();
            if is_read(&&*readings) {
                continue;
            }
            let request = instance.start.and_then(|start| start.requested);
            let may_ask = request.is_none_or(|call| is_settled(call, now, ctx.policy));
            if readings.is_stopped(now) && may_ask && now >= readings.not_before {
                if starts == 0 && request.is_none() {
                    continue;
                }
                starts = starts.saturating_sub(1);
                if room > 0 && readings.due.is_none() && readings.actions.send(now) {
                    commands.push(Command::ReadActions(instance.server));
                    room -= 1;
                }
            } else if room > 0 && readings.server.send(now) {
                commands.push(Command::ReadServer(instance.server));
                room -= 1;
            }
        }
    }

    fn may_start(&self, instance: &Move, ctx: &DecisionContext<'_>) -> bool {
        let now = ctx.now.elapsed;
        let is_due = |it: &Readings| it.is_stopped(now) && it.due.is_some();
        let request = instance.start.and_then(|start| start.requested);
        self.readings.get(&instance.server).is_some_and(is_due)
            && request.is_none_or(|call| is_settled(call, now, ctx.policy))
    }

    fn start(&mut self, instance: &mut Move, ctx: DecisionContext<'_>, commands: &mut Vec<Command>) {
        let now = ctx.now.elapsed;
        let Some(start) = &mut instance.start else { return };
        start.tries += 1;
        start.requested = Some(StartCall {
            at: now,
            answered: false,
        });
        self.journalled_server = Some(instance.server);
        let readings = Readings {
            was_stopped: true,
            ..Readings::default()
        };
        self.readings.insert(instance.server, readings);
        let record = ctx.record;
        record.intends(instance.server);
        record.unless_frozen.own = true;
        record.unless_host_recovery = Some(ctx.host.to_owned());
        record.unless_elsewhere = Some(Elsewhere {
            server: instance.server,
            host: ctx.host.to_owned(),
        });
        let text = format!("starting {}: it ran when {} died", instance.name, ctx.host);
        record.server_step(Task::StartInstance, StepKind::Intent, instance.server, 0.5, text);
        commands.push(Command::Start(instance.server));
    }
}
