//! The evacuation records, and what they alone show of each move.
//!
//! Every poll starts with them, because they are Nova's cheapest request. When many recoveries are open, the records of all
//! are read at once. The records alone decide nothing: they show which destination has picked a move up, and what is worth a
//! check. An instance whose evacuation is done is checked for on the host by itself. Several are checked for by the ids of those that
//! are still there, which spares Nova the rest of their data. The whole lists are read only when a record shows
//! something unexpected about a move, and at intervals besides.

use std::collections::BTreeMap;

use super::super::blockers::BlockerKind;
use super::super::decision_context::{DecisionContext, Moves};
use super::super::{Move, MoveStep};
use super::completed::{Done, is_departure_check_due};
use super::lists::not_followed;
use super::track::MoveTrack;
use crate::fault::Fault;
use crate::id::{MigrationId, ServerId};
use crate::nova::Migration;
use crate::recovery::{Command, DecisionTime, Evacuations, ServerIds};
use crate::timestamp::Timestamp;

impl MoveTrack {
    /// Requests the records, if that is due.
    pub(in super::super) fn request_records(
        &mut self,
        since: Option<Timestamp>,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        if self.evacuations.send(now.elapsed) {
            commands.push(Command::ReadEvacuations { since });
        }
    }

    /// Asks which instances are still on the host, if their evacuations are recorded as done and the request is due.
    pub(in super::super) fn request_server_ids(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        if self.server_ids_due && self.server_ids.send(now.elapsed) {
            commands.push(Command::ReadServerIds);
        }
    }

    pub(in super::super) fn evacuations_read(
        &mut self,
        result: Result<Evacuations, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, tick) = (ctx.now, ctx.policy.tick);
        self.evacuations.answered();
        let read = match result {
            Ok(read) => read,
            Err(fault) => {
                self.evacuations.not_before = not_followed(&fault, ctx);
                return;
            }
        };
        ctx.blockers.end(BlockerKind::Lists);
        let pause = self.records_cost.pause_after(now.elapsed.since(read.started));
        self.evacuations.not_before = self.next_poll(pause, tick, now);
        let last_poll = self.evacuations.observed;
        self.evacuations.observed = last_poll.max(Some(read.started));
        self.pace.polled = true;
        let mut records: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
        for record in &read.records {
            records.entry(record.server).or_default().push(record);
        }
        let before = std::mem::take(&mut self.done);
        let mut done = BTreeMap::new();
        for instance in moves.values_mut() {
            let Some(records) = records.get(&instance.server) else {
                continue;
            };
            instance.seen_under_way(records, read.started);
            let queued = instance.queued_since();
            self.lists_due |= match instance.step {
                MoveStep::Asked { since, floor, .. } if read.started >= since => {
                    match record_pickup(instance, floor, records) {
                        RecordOutcome::Nothing => false,
                        RecordOutcome::Unexpected => true,
                        RecordOutcome::Done(dest) => {
                            instance.dest = dest.clone().or(instance.dest.take());
                            if !self.stays.contains(&instance.server) {
                                let known = before.get(&instance.server);
                                let (since, at) =
                                    known.map_or((now.elapsed, now.wall), |it| (it.since, it.at));
                                done.insert(instance.server, Done { dest, since, at });
                            }
                            false
                        }
                    }
                }
                MoveStep::Waiting { .. } => {
                    let others = is_requested_by_another(instance, records);
                    if others {
                        self.others.insert(instance.server, now.elapsed);
                    }
                    others
                }
                MoveStep::Asked { .. }
                | MoveStep::OnHold
                | MoveStep::Restoring { .. }
                | MoveStep::Unlocking { .. }
                | MoveStep::Done(_) => false,
            };
            self.pace.note_taken_up(queued, instance, last_poll, now);
        }
        let due = is_departure_check_due(&done, moves, now);
        // Reading one instance is one request, and so is reading the ids of all.
        if let Some(only) = done.keys().next().filter(|_| due && done.len() == 1) {
            self.to_read.insert(*only);
        }
        self.server_ids_due = due && done.len() > 1;
        self.done = done;
        self.unpicked = read
            .records
            .iter()
            .filter(|record| record.is_unpicked())
            .map(|record| record.server)
            .collect();
    }

    /// Confirms the moves of instances that have left the host, and whose evacuation from it is done.
    pub(in super::super) fn server_ids_read(
        &mut self,
        result: Result<ServerIds, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, tick) = (ctx.now, ctx.policy.tick);
        self.server_ids.answered();
        let read = match result {
            Ok(read) => read,
            Err(fault) => {
                self.server_ids.not_before = not_followed(&fault, ctx);
                return;
            }
        };
        ctx.blockers.end(BlockerKind::Lists);
        let pause = self.ids_cost.pause_after(now.elapsed.since(read.started));
        self.server_ids.not_before = self.next_poll(pause, tick, now);
        self.server_ids_due = false;
        for (server, done) in std::mem::take(&mut self.done) {
            let Some(instance) = moves.get_mut(&server) else {
                continue;
            };
            let asked_before =
                matches!(instance.step, MoveStep::Asked { since, .. } if read.started >= since);
            if asked_before && read.ids.contains(&server) {
                self.stays.insert(server);
            } else if asked_before {
                self.to_read.remove(&server);
                done.confirmed(instance, None, now, ctx.record);
            }
        }
    }
}

/// The state of a move by its records.
enum RecordOutcome {
    /// No result yet.
    Nothing,
    /// The evacuation is done, if the instance has left. Contains its destination.
    Done(Option<String>),
    /// The records show something that only the whole lists can explain.
    Unexpected,
}

/// Records which host has picked it up, and returns its state by the records.
fn record_pickup(instance: &mut Move, floor: MigrationId, records: &[&Migration]) -> RecordOutcome {
    let given_up = |record: &Migration| instance.written_off.iter().any(|off| off.id == record.id);
    let changed = records
        .iter()
        .any(|record| given_up(record) && !instance.has_written_off(record));
    let effects = || records.iter().filter(|record| record.id > floor);
    if changed {
        return RecordOutcome::Unexpected;
    }
    if let Some(done) = effects().find(|record| record.status.is_done()) {
        return RecordOutcome::Done(done.dest.clone());
    }
    if effects().any(|record| record.status.is_finished()) {
        return RecordOutcome::Unexpected;
    }
    if let Some(dest) = effects().find_map(|record| record.dest.clone()) {
        instance.dest = Some(dest);
    }
    RecordOutcome::Nothing
}

/// True if another actor may have requested its evacuation, or have moved it already. Otherwise every record is finished, and older
/// than this recovery's own request.
fn is_requested_by_another(instance: &mut Move, records: &[&Migration]) -> bool {
    let moved = |record: &Migration| record.status.is_done() && record.id > instance.known;
    if records
        .iter()
        .any(|record| moved(record) || (!record.status.is_finished() && !instance.has_written_off(record)))
    {
        return true;
    }
    // A failure that only the whole lists can explain.
    let known = instance.known;
    let failed =
        |record: &&Migration| record.status.is_finished() && !record.status.is_done() && record.id > known;
    if records
        .iter()
        .any(|record| failed(record) && record.dest.is_some())
    {
        return true;
    }
    let highest = records.iter().map(|record| record.id).max();
    instance.known = highest.map_or(instance.known, |id| id.max(instance.known));
    false
}
