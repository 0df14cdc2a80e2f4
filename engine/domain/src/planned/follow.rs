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
        let Some(one) = self.moves.get_mut(&server) else {
            return;
        };
        // An answer that is no longer awaited shows nothing about the current state.
        let Some(at) = one.read.answered() else { return };
        one.read.not_before = now.elapsed.plus(tick);
        let name = one.name.clone();
        match result {
            Ok(seen) => {
                if one.name == server.to_string()
                    && let Some(shown) = &seen.server
                {
                    one.name.clone_from(&shown.name);
                    record.moves.insert(server);
                    record.head = true;
                }
                // An answer from before the call shows nothing about it.
                let is_old = one.asked.is_some_and(|call| call.at > at);
                if !is_old {
                    one.seen = Some(NovaReading { at, what: seen });
                }
            }
            Err(fault) => self.blocker(format!("reading {name}: {fault}"), now),
        }
    }

    pub(super) fn follow(
        &mut self,
        server: ServerId,
        seen: &NovaReading<ServerReading>,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let shown = &seen.what;
        let Some(row) = &shown.server else {
            let text = "it has been deleted meanwhile";
            return self.close(server, MoveStage::Left, text, now, record);
        };
        let Some(one) = self.moves.get_mut(&server) else {
            return;
        };
        let later = || {
            let live = |row: &&Migration| row.kind == MigrationType::LiveMigration;
            shown
                .migrations
                .iter()
                .filter(live)
                .filter(|row| Some(row.id) > one.before)
        };
        let ours = later().max_by_key(|row| row.id);
        // Nova has accepted our call, and no other record could come from another caller.
        let is_certain = one.is_accepted() && later().count() == 1;
        if let Some(ours) = ours {
            let percent = shown.percent.map(|percent| percent / 10 * 10);
            if one.record != Some(ours.id)
                || one.dest != ours.dest
                || (percent.is_some() && one.percent != percent)
            {
                one.record = Some(ours.id);
                one.dest.clone_from(&ours.dest);
                one.percent = percent.or(one.percent);
                record.head = true;
                record.moves.insert(server);
            }
        }
        let is_busy = row.task_state.is_some();
        let has_left = row.host.as_deref().is_some_and(|host| host != one.source);
        if has_left && !is_busy && ours.is_none_or(|ours| ours.status.is_finished()) {
            one.dest.clone_from(&row.host);
            let host = row.host.as_deref().unwrap_or_default();
            if row.vm_state == VmState::Error {
                let text = format!("it is on {host} and in error: {}", fault_of(row.fault.as_deref()));
                return self.close(server, MoveStage::Failed, &text, now, record);
            }
            let took = one
                .asked
                .map_or(Duration::ZERO, |asked| now.elapsed.since(asked.at));
            let text = format!("live-migrated to {host} in {:.1} s", took.as_secs_f64());
            return self.close(server, MoveStage::Moved, &text, now, record);
        }
        match ours {
            None => follow_unseen(self, server, seen, is_busy, now, record),
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
        .and_then(|one| one.abort_reason.as_deref());
    match (reason, &ours.status) {
        (Some(why), MigrationStatus::Cancelled) => format!("aborted: {why}; it stays where it was"),
        (None, MigrationStatus::Cancelled) => {
            format!(
                "its migration {} was aborted outside Tachi; it stays where it was",
                ours.id
            )
        }
        (_, status) => format!(
            "Nova gave up its migration {} ({status}): {}; it stays where it was",
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
    let Some(one) = state.moves.get(&server) else {
        return;
    };
    if let Some(asked) = one.aborting {
        if now.elapsed.since(asked.at) >= ABORT_LIMIT {
            let text = format!(
                "its migration {} is still {} after the request to abort it: check it in Nova",
                ours.id, ours.status
            );
            state.close(server, MoveStage::Failed, &text, now, record);
        }
        return;
    }
    let took = one
        .asked
        .map_or(Duration::ZERO, |asked| now.elapsed.since(asked.at));
    let why = match aborted {
        Some(by) => format!("aborted by {by}"),
        None if took >= limit => format!("it was not done within {} s", limit.as_secs()),
        None => return,
    };
    if is_certain {
        return state.abort(server, why, now, record, commands);
    }
    let text = format!(
        "{why}, and its migration {} ({}) may belong to others, so it is not aborted: check it in Nova",
        ours.id, ours.status
    );
    state.close(server, MoveStage::Failed, &text, now, record);
}

/// Handles a requested move without a migration record.
fn follow_unseen(
    state: &mut PlannedState,
    server: ServerId,
    seen: &NovaReading<ServerReading>,
    is_busy: bool,
    now: DecisionTime,
    record: &mut Record,
) {
    let absence = state.policy.absence_counts_after();
    let limit = state.order.limit.max(absence) + ABORT_LIMIT;
    let Some(one) = state.moves.get_mut(&server) else {
        return;
    };
    let Some(asked) = one.asked else { return };
    if is_busy {
        one.absent = 0;
        if now.elapsed.since(asked.at) >= limit {
            let text = "Nova shows a task of it and no migration: check it in Nova";
            state.close(server, MoveStage::Failed, text, now, record);
        }
        return;
    }
    if let Some(refusal) = one.refused.clone()
        && asked.answered.is_some_and(|answered| seen.at >= answered)
    {
        let text = format!("Nova refuses: {refusal}");
        return state.close(server, MoveStage::Left, &text, now, record);
    }
    if !one.is_absent(seen.at, absence) {
        return;
    }
    one.absent += 1;
    if one.absent < MAX_UNSEEN_READS {
        return;
    }
    if asked.answered.is_none() && one.tries < MAX_ATTEMPTS && state.aborted.is_none() {
        one.stage = MoveStage::Pending;
        one.asked = None;
        record.head = true;
        record.moves.insert(server);
        let text = format!("the call about {} had no effect: repeating it once", one.name);
        return record.server_step(Task::LiveMigrate, StepKind::Note, server, 0.0, text);
    }
    let text = "the call had no effect: it stays where it was";
    state.close(server, MoveStage::Failed, text, now, record);
}
