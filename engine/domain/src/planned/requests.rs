//! Requests to Nova to move an instance, or to abort a move.

use std::collections::BTreeSet;
use std::time::Duration;

use super::moves::PlannedMove;
use super::{MoveStage, PlannedCall, PlannedState};
use crate::elapsed::Elapsed;
use crate::fault::{Fault, FaultClass};
use crate::host_recovery::lock_mark::is_locked_by_tachi;
use crate::id::ServerId;
use crate::nova::{MigrationType, VmState};
use crate::recovery::{Command, DecisionTime, Elsewhere, Record, ServerCall, ServerReading, StepKind, Task};

/// The time after which an instance with an unfinished task is left to the caller who started the task.
const TASK_LIMIT: Duration = Duration::from_secs(60);

/// The interval between checks of a recovery's lock on an instance.
const LOCK_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// The decision on a move: request it, wait, or leave the instance.
enum MoveObstacle {
    /// The move may be requested.
    Go,
    /// The instance has to be checked again.
    Wait,
    /// A recovery of another host has not finished with the instance.
    WaitForUnlock,
    /// The instance stays, for this reason.
    Stays(String),
}

impl PlannedState {
    pub(super) fn act_moving(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        if let Some(by) = self.aborted.clone() {
            give_up_pending(self, &by, now, record);
        }
        if self.moves.values().all(PlannedMove::is_finished) {
            return self.finish_moves(record);
        }
        let service = self.poll_service(now, commands);
        let mut may_ask =
            service.is_some_and(|service| self.lives(&service, now, record) && takes(self, &service, now));
        if let Some(text) = self.frozen() {
            may_ask = false;
            if self.count(MoveStage::Pending) > 0 {
                self.blocker(text, now);
            }
        }
        let under_way = self.count(MoveStage::Asked);
        let mut room = usize::try_from(self.order.at_once)
            .unwrap_or(usize::MAX)
            .saturating_sub(under_way);
        for server in self.in_order() {
            let Some(instance) = self.moves.get_mut(&server) else {
                continue;
            };
            let is_pending = instance.stage == MoveStage::Pending;
            let has_room = room > 0 || instance.locked_since.is_some();
            if instance.is_finished()
                || (is_pending && (!has_room || !may_ask || now.elapsed < self.not_before))
            {
                continue;
            }
            room = room.saturating_sub(usize::from(is_pending && instance.locked_since.is_none()));
            if instance.read.send(now.elapsed) {
                commands.push(Command::FollowMove(server));
            }
            let oldest = self.policy.call_deadline.max(self.policy.tick * 2);
            instance
                .observed
                .take_if(|reading| now.elapsed.since(reading.at) > oldest);
            let Some(reading) = instance.observed.take() else {
                continue;
            };
            if !is_pending {
                self.follow(server, &reading, now, record, commands);
            } else if judge(self, server, &reading.what, now, record) {
                // One intent per transaction: the conditions on the journal are about one instance.
                may_ask &= !issue_call(self, server, &reading.what, now, record, commands);
            }
        }
        if self.moves.values().all(PlannedMove::is_finished) {
            self.finish_moves(record);
        }
    }

    /// Journals the intent to abort a migration and commands the abort, once per move.
    pub(super) fn abort(
        &mut self,
        server: ServerId,
        why: String,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let Some(instance) = self
            .moves
            .get_mut(&server)
            .filter(|instance| instance.aborting.is_none())
        else {
            return;
        };
        let Some(migration) = instance.record else { return };
        instance.aborting = Some(PlannedCall {
            at: now.elapsed,
            answered: None,
        });
        let text = format!(
            "asking Nova to abort the live migration of {}: {why}",
            instance.name
        );
        instance.abort_reason = Some(why);
        record.head = true;
        record.moves.insert(server);
        record.server_step(Task::LiveMigrate, StepKind::Intent, server, 0.5, text);
        commands.push(Command::AbortMigration { server, migration });
    }

    pub(super) fn apply_call_answer(
        &mut self,
        server: ServerId,
        call: ServerCall,
        result: Result<(), Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let Some(instance) = self
            .moves
            .get_mut(&server)
            .filter(|instance| instance.stage == MoveStage::Asked)
        else {
            return;
        };
        // Data read before the call does not show the call's effect.
        instance.observed = None;
        instance.read.not_before = now.elapsed;
        record.head = true;
        if call == ServerCall::AbortMigration {
            let Some(call) = instance.aborting.as_mut() else {
                return;
            };
            call.answered = Some(now.elapsed);
            if let Err(fault) = result {
                // The migration may be done, or past the point where Nova can abort it. Its record shows which.
                let text = format!("Nova did not abort it: {fault}");
                record.server_step(Task::LiveMigrate, StepKind::Outcome, server, 0.5, text);
            }
            return;
        }
        if call != ServerCall::LiveMigrate {
            return;
        }
        let Some(call) = instance.requested.as_mut() else {
            return;
        };
        match result {
            Ok(()) => call.answered = Some(now.elapsed),
            Err(fault) if fault.maybe_done => {
                let text = format!("no answer: {fault}");
                record.server_step(Task::LiveMigrate, StepKind::Outcome, server, 0.1, text);
            }
            // A proxy that repeats our own call gets the same refusal. Nova's records show which it is.
            Err(fault) if matches!(fault.class, FaultClass::Conflict | FaultClass::Permanent) => {
                call.answered = Some(now.elapsed);
                instance.refused = Some(fault.text);
            }
            Err(fault) => {
                instance.stage = MoveStage::Pending;
                instance.requested = None;
                instance.tries = instance.tries.saturating_sub(1);
                record.moves.insert(server);
                self.not_before = now.elapsed.plus(self.policy.tick * 5);
                self.blocker(format!("Nova was not reached: {fault}"), now);
            }
        }
    }

    /// Reverts the state of a command that was not sent, because nothing was requested.
    pub(super) fn revert_unsent_command(&mut self, command: &Command, now: DecisionTime) {
        let later = now.elapsed.plus(self.policy.tick);
        if let Command::LiveMigrate { server, .. } | Command::AbortMigration { server, .. } = command {
            let is_abort = matches!(command, Command::AbortMigration { .. });
            if let Some(instance) = self
                .moves
                .get_mut(server)
                .filter(|instance| instance.stage == MoveStage::Asked)
            {
                if is_abort {
                    instance.aborting = None;
                } else {
                    instance.stage = MoveStage::Pending;
                    instance.requested = None;
                    instance.tries = instance.tries.saturating_sub(1);
                }
                instance.read.not_before = later;
            }
        } else if let Command::FollowMove(server) = command {
            if let Some(instance) = self.moves.get_mut(server) {
                instance.read.not_sent();
                instance.read.not_before = later;
            }
        } else if *command == Command::ReadService {
            self.service_read.not_sent();
            self.service_read.not_before = later;
        } else if matches!(command, Command::TakeInventory { .. }) {
            self.list.not_sent();
            self.list.not_before = later;
        } else if matches!(command, Command::UpdateService { .. }) {
            self.updating = false;
            self.disabling = None;
            self.not_before = later;
        }
    }

    /// Leaves the instance whose intent the journal refused: an earlier recovery may have left it running on another host
    /// too.
    pub(super) fn apply_may_run_elsewhere(
        &mut self,
        hosts: &BTreeSet<String>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let Some(server) = self.journalled_server.take() else {
            return;
        };
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let text = format!(
            "an earlier recovery may have left it running on {} too: `tachi show {server}`",
            hosts.join(" or ")
        );
        self.close(server, MoveStage::Left, &text, now, record);
    }
}

impl PlannedMove {
    /// True if the call could no longer take effect when a read started at `polled_at`.
    pub(super) fn is_absent(&self, polled_at: Elapsed, after: Duration) -> bool {
        self.requested
            .is_some_and(|call| polled_at.since(call.at) >= after)
    }
}

/// True if the host accepts instances. A drain does not need that.
fn takes(state: &mut PlannedState, service: &crate::nova::Service, now: DecisionTime) -> bool {
    if state.is_drain() || service.enabled {
        return true;
    }
    let text = format!("{} has been disabled in Nova: it takes no instances", state.host);
    state.blocker(text, now);
    false
}

/// True if the move may be requested now. An instance that stays is closed.
fn judge(
    state: &mut PlannedState,
    server: ServerId,
    reading: &ServerReading,
    now: DecisionTime,
    record: &mut Record,
) -> bool {
    let verdict = verdict(state, server, reading, now);
    let Some(instance) = state.moves.get_mut(&server) else {
        return false;
    };
    let locked_since = match verdict {
        MoveObstacle::WaitForUnlock => instance.locked_since,
        MoveObstacle::Go | MoveObstacle::Wait | MoveObstacle::Stays(_) => None,
    };
    let was_locked = std::mem::replace(&mut instance.locked_since, locked_since).is_some();
    match verdict {
        // The instance took no slot while it waited, so it is checked again within a slot.
        MoveObstacle::Go => !was_locked,
        MoveObstacle::Wait => false,
        MoveObstacle::WaitForUnlock => {
            instance.read.not_before = now.elapsed.plus(LOCK_CHECK_INTERVAL);
            let text = format!("waits for the recovery that has locked {}", instance.name);
            state.blocker(text, now);
            false
        }
        MoveObstacle::Stays(why) => {
            state.close(server, MoveStage::Left, &why, now, record);
            false
        }
    }
}

fn verdict(
    state: &mut PlannedState,
    id: ServerId,
    reading: &ServerReading,
    now: DecisionTime,
) -> MoveObstacle {
    let frozen = state
        .operator_state
        .as_ref()
        .and_then(|operator_state| operator_state.frozen.instances.get(&id))
        .map(crate::freeze::Freeze::sentence);
    let (is_drain, with_locked, limit) = (state.is_drain(), state.order.with_locked, state.order.limit);
    let Some(instance) = state.moves.get_mut(&id) else {
        return MoveObstacle::Wait;
    };
    let Some(server) = &reading.server else {
        return MoveObstacle::Stays("it has been deleted meanwhile".into());
    };
    instance.name.clone_from(&server.name);
    let host = server.host.as_deref().unwrap_or("no host");
    if host != instance.source {
        return MoveObstacle::Stays(if is_drain {
            format!("it has left without this drain, and is on {host}")
        } else {
            format!("it was moved since, and is on {host}")
        });
    }
    if let Some(sentence) = frozen {
        return MoveObstacle::Stays(sentence);
    }
    if is_locked_by_tachi(server) {
        let since = *instance.locked_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) < limit {
            return MoveObstacle::WaitForUnlock;
        }
        return MoveObstacle::Stays(format!(
            "a recovery has locked it and did not unlock it within {} s",
            limit.as_secs()
        ));
    }
    if server.locked && !with_locked {
        let why = server.locked_reason.as_deref().unwrap_or("no reason given");
        return MoveObstacle::Stays(format!("it is locked ({why}); --with-locked moves it too"));
    }
    if let Some(task) = &server.task_state {
        let since = *instance.busy_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) < TASK_LIMIT {
            return MoveObstacle::Wait;
        }
        return MoveObstacle::Stays(format!(
            "its task {task} has not ended within {} s",
            TASK_LIMIT.as_secs()
        ));
    }
    if !matches!(server.vm_state, VmState::Active | VmState::Paused) {
        return MoveObstacle::Stays(format!(
            "it is {}: only what is active or paused can be live-migrated",
            server.vm_state
        ));
    }
    MoveObstacle::Go
}

fn give_up_pending(state: &mut PlannedState, by: &str, now: DecisionTime, record: &mut Record) {
    let pending: Vec<ServerId> = state
        .moves
        .values()
        .filter(|instance| instance.stage == MoveStage::Pending)
        .map(|instance| instance.server)
        .collect();
    for server in pending {
        let text = format!("not started: aborted by {by}");
        state.close(server, MoveStage::Left, &text, now, record);
    }
}

/// Journals an intent and commands its call.
fn issue_call(
    state: &mut PlannedState,
    server: ServerId,
    reading: &ServerReading,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) -> bool {
    let target = (!state.is_drain()).then(|| state.host.clone());
    let Some(instance) = state.moves.get_mut(&server) else {
        return false;
    };
    let live = reading
        .migrations
        .iter()
        .filter(|row| row.kind == MigrationType::LiveMigration);
    instance.before = live.map(|row| row.id).max();
    instance.stage = MoveStage::Asked;
    instance.requested = Some(PlannedCall {
        at: now.elapsed,
        answered: None,
    });
    instance.tries += 1;
    instance.refused = None;
    instance.absent = 0;
    instance.percent = None;
    instance.asked_at = instance.asked_at.or(Some(now.wall));
    instance.read.not_before = now.elapsed.plus(Duration::from_millis(200));
    state.journalled_server = Some(server);
    record.head = true;
    record.intends(server);
    record.unless_frozen.own = true;
    record.unless_host_recovery = Some(state.host.clone());
    record.unless_elsewhere = Some(Elsewhere {
        server,
        host: instance.source.clone(),
    });
    let to = target.as_deref().unwrap_or("a host of the scheduler's choice");
    let text = format!("asking Nova to live-migrate {} to {to}", instance.name);
    record.server_step(Task::LiveMigrate, StepKind::Intent, server, 0.0, text);
    commands.push(Command::LiveMigrate { server, target });
    true
}
