//! The progress and the result of a requested live migration.

use std::time::Duration;

use super::{MoveStage, NovaReading, PlannedState};
use crate::fault::Fault;
use crate::id::ServerId;
use crate::nova::{Migration, MigrationStatus, MigrationType, VmState};
use crate::recovery::{Command, DecisionTime, Record, ServerReading, StepKind, Task};

/// The time limit for Nova to abort a migration. After it the migration is left to Nova, and the message reports that.
const ABORT_LIMIT: Duration = Duration::from_mins(5);

/// The number of reads without any effect after which an unanswered call counts as not made.
const MAX_UNSEEN_READS: u32 = 2;

/// The number of attempts: a call that was certainly not made is repeated once.
const MAX_ATTEMPTS: u32 = 2;

impl PlannedState {
    pub(super) fn apply_followed_move(
        &mut self,
        server: ServerId,
        result: Result<ServerReading, Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let tick = self.policy.tick;
        let Some(instance) = self.moves.get_mut(&server) else {
            return;
        };
        // An answer that is no longer awaited shows nothing about the current state.
        let Some(at) = instance.read.answered() else {
            return;
        };
        instance.read.not_before = now.elapsed.plus(tick);
        let name = instance.name.clone();
        match result {
            Ok(reading) => {
                if instance.name == server.to_string()
                    && let Some(shown) = &reading.server
                {
                    instance.name.clone_from(&shown.name);
                    record.moves.insert(server);
                    record.head = true;
                }
                // An answer from before the call shows nothing about it.
                let is_old = instance.requested.is_some_and(|call| call.at > at);
                if !is_old {
                    instance.observed = Some(NovaReading { at, what: reading });
                }
            }
            Err(fault) => self.blocker(format!("reading {name}: {fault}"), now),
        }
    }

    pub(super) fn follow(
        &mut self,
        server: ServerId,
        reading: &NovaReading<ServerReading>,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let shown = &reading.what;
        let Some(row) = &shown.server else {
            let text = "it has been deleted meanwhile";
            return self.close(server, MoveStage::Left, text, now, record);
        };
        let Some(instance) = self.moves.get_mut(&server) else {
            return;
        };
        let later = || {
            let live = |row: &&Migration| row.kind == MigrationType::LiveMigration;
            shown
                .migrations
                .iter()
                .filter(live)
                .filter(|row| Some(row.id) > instance.before)
        };
        let ours = later().max_by_key(|row| row.id);
        // Nova has accepted our call, and no other record could come from another caller.
        let is_certain = instance.is_accepted() && later().count() == 1;
        if let Some(ours) = ours {
            let percent = shown.percent.map(|percent| percent / 10 * 10);
            if instance.record != Some(ours.id)
                || instance.dest != ours.dest
                || (percent.is_some() && instance.percent != percent)
            {
                instance.record = Some(ours.id);
                instance.dest.clone_from(&ours.dest);
                instance.percent = percent.or(instance.percent);
                record.head = true;
                record.moves.insert(server);
            }
        }
        let is_busy = row.task_state.is_some();
        let has_left = row.host.as_deref().is_some_and(|host| host != instance.source);
        if has_left && !is_busy && ours.is_none_or(|ours| ours.status.is_finished()) {
            instance.dest.clone_from(&row.host);
            let host = row.host.as_deref().unwrap_or_default();
            if row.vm_state == VmState::Error {
                let text = format!("it is on {host} and in error: {}", fault_of(row.fault.as_deref()));
                return self.close(server, MoveStage::Failed, &text, now, record);
            }
            let took = instance
                .requested
                .map_or(Duration::ZERO, |request| now.elapsed.since(request.at));
            let text = format!("live-migrated to {host} in {:.1} s", took.as_secs_f64());
            return self.close(server, MoveStage::Moved, &text, now, record);
        }
        match ours {
            None => follow_unseen(self, server, reading, is_busy, now, record),
            Some(ours) if ours.status.is_failed() && !is_busy => {
                let text = failure(self, server, ours, row.fault.as_deref());
                self.close(server, MoveStage::Failed, &text, now, record);
            }
            Some(ours) => follow_record(self, server, (ours, is_certain), now, record, commands),
        }
    }
}

fn fault_of(fault: Option<&str>) -> &str {
    fault.unwrap_or("no reason given, see `openstack server event list`")
}

/// Returns the reason why the instance did not move.
fn failure(state: &PlannedState, server: ServerId, ours: &Migration, fault: Option<&str>) -> String {
    let reason = state
        .moves
        .get(&server)
        .and_then(|instance| instance.abort_reason.as_deref());
    match (reason, &ours.status) {
        (Some(why), MigrationStatus::Cancelled) => format!("aborted: {why}; the instance stays where it was"),
        (None, MigrationStatus::Cancelled) => {
            format!(
                "migration {} was aborted outside Tachi; the instance stays where it was",
                ours.id
            )
        }
        (_, status) => format!(
            "Nova gave up migration {} ({status}): {}; the instance stays where it was",
            ours.id,
            fault_of(fault)
        ),
    }
}

/// Follows an unfinished migration record. A record that is not certainly ours is watched and never aborted: another caller
/// may have started that migration between the read and the call.
fn follow_record(
    state: &mut PlannedState,
    server: ServerId,
    (ours, is_certain): (&Migration, bool),
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    let (limit, aborted) = (state.order.limit, state.aborted.clone());
    let Some(instance) = state.moves.get(&server) else {
        return;
    };
    if let Some(request) = instance.aborting {
        if now.elapsed.since(request.at) >= ABORT_LIMIT {
            let text = format!(
                "migration {} is still {} after the request to abort it: check it in Nova",
                ours.id, ours.status
            );
            state.close(server, MoveStage::Failed, &text, now, record);
        }
        return;
    }
    let took = instance
        .requested
        .map_or(Duration::ZERO, |request| now.elapsed.since(request.at));
    let why = match aborted {
        Some(by) => format!("aborted by {by}"),
        None if took >= limit => format!("it was not done within {} s", limit.as_secs()),
        None => return,
    };
    if is_certain {
        return state.abort(server, why, now, record, commands);
    }
    let text = format!(
        "{why}, and migration {} ({}) may belong to others, so Tachi does not abort it: check it in Nova",
        ours.id, ours.status
    );
    state.close(server, MoveStage::Failed, &text, now, record);
}

/// Handles a requested move without a migration record.
fn follow_unseen(
    state: &mut PlannedState,
    server: ServerId,
    reading: &NovaReading<ServerReading>,
    is_busy: bool,
    now: DecisionTime,
    record: &mut Record,
) {
    let absence = state.policy.absence_counts_after();
    let limit = state.order.limit.max(absence) + ABORT_LIMIT;
    let Some(instance) = state.moves.get_mut(&server) else {
        return;
    };
    let Some(request) = instance.requested else { return };
    if is_busy {
        instance.absent = 0;
        if now.elapsed.since(request.at) >= limit {
            let text = "Nova shows a task of it and no migration: check it in Nova";
            state.close(server, MoveStage::Failed, text, now, record);
        }
        return;
    }
    if let Some(refusal) = instance.refused.clone()
        && request.answered.is_some_and(|answered| reading.at >= answered)
    {
        let text = format!("Nova refuses: {refusal}");
        return state.close(server, MoveStage::Left, &text, now, record);
    }
    if !instance.is_absent(reading.at, absence) {
        return;
    }
    instance.absent += 1;
    if instance.absent < MAX_UNSEEN_READS {
        return;
    }
    if request.answered.is_none() && instance.tries < MAX_ATTEMPTS && state.aborted.is_none() {
        instance.stage = MoveStage::Pending;
        instance.requested = None;
        record.head = true;
        record.moves.insert(server);
        let text = format!(
            "the call about {} had no effect: repeating it once",
            instance.name
        );
        return record.server_step(Task::LiveMigrate, StepKind::Note, server, 0.0, text);
    }
    let text = "the call had no effect: the instance stays where it was";
    state.close(server, MoveStage::Failed, text, now, record);
}
