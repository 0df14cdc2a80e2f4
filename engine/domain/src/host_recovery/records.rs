//! What the evacuation records alone show of each move.
//!
//! When many recoveries are open, the records of all of them are read at once (R13), and each recovery takes its own lists
//! only when a record says that something strange has come of one, and now and then besides. The records alone decide
//! nothing: they show which destination has taken a move up, and which instance, or whether the whole lists, are worth a
//! look.

use std::collections::BTreeMap;
use std::time::Duration;

use super::asks::Topic;
use super::look::is_done;
use super::plan::is_over;
use super::{HostRecovery, Move, MoveStep};
use crate::fault::Fault;
use crate::nova::Migration;
use crate::recovery::{Command, Evacuations, Now};
use crate::{MigrationId, ServerId};

impl HostRecovery {
    /// Asks for the records, if it is time.
    pub(super) fn want_evacuations(&mut self, now: Now, commands: &mut Vec<Command>) {
        if self.asks.evacuations.is_none() && now.elapsed >= self.asks.evacuations_not_before {
            self.asks.evacuations = Some(now.elapsed);
            commands.push(Command::ReadEvacuations {
                since: self.service.since,
            });
        }
    }

    pub(super) fn evacuations_read(&mut self, result: Result<Evacuations, Fault>, now: Now) {
        self.asks.evacuations = None;
        let read = match result {
            Ok(read) => read,
            Err(fault) => {
                let wait = Duration::from_secs(1).max(self.policy.tick);
                self.asks.evacuations_not_before = now.elapsed.plus(wait);
                return self.trouble(Topic::Lists, now, || {
                    format!("the moves cannot be followed just now: {}", fault.text)
                });
            }
        };
        self.no_trouble(Topic::Lists);
        self.evacuations_seen(&read);
        self.asks.evacuations_not_before = now.elapsed.plus(self.pause_after(read.started, now));
        let looked_before = self.asks.evacuations_seen;
        self.asks.evacuations_seen = looked_before.max(Some(read.started));
        let mut records: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
        for record in &read.records {
            records.entry(record.server).or_default().push(record);
        }
        let mut done = BTreeMap::new();
        for one in self.moves.values_mut() {
            let Some(records) = records.get(&one.server) else {
                continue;
            };
            let queued = Self::queued_since(one);
            self.asks.lists_due |= match one.step {
                MoveStep::Asked { since, floor, .. } if read.started >= since => {
                    match take_up(one, floor, records) {
                        Come::Nothing => false,
                        Come::Strange => true,
                        Come::Done(dest) => {
                            one.dest = dest.clone().or(one.dest.take());
                            done.insert(one.server, dest);
                            false
                        }
                    }
                }
                MoveStep::Waiting { .. } => somebody_is_at_it(one, records),
                MoveStep::Asked { .. }
                | MoveStep::Held
                | MoveStep::Restoring { .. }
                | MoveStep::Unlocking { .. }
                | MoveStep::Over(_) => false,
            };
            Self::note_taken_up(&mut self.asks.taken_up, queued, one, looked_before);
        }
        // One look at an instance is one request, and the lists are two.
        if done.len() > FEW {
            self.asks.lists_due = true;
        } else {
            self.asks.look.extend(done.keys());
            self.asks.done = done;
        }
        self.asks.unpicked = read
            .records
            .iter()
            .filter(|record| record.status == "accepted" && record.dest.is_none())
            .map(|record| record.server)
            .collect();
    }
}

/// So many instances are looked at one by one.
const FEW: usize = 2;

/// What has come of a move by its records.
enum Come {
    /// Nothing yet.
    Nothing,
    /// It is done, if the instance has left (R9).
    Done(Option<String>),
    /// Something that only the whole lists can tell the meaning of.
    Strange,
}

/// Notes who has taken it up.
fn take_up(one: &mut Move, floor: MigrationId, records: &[&Migration]) -> Come {
    let given_up = |record: &Migration| one.written_off.iter().any(|off| off.id == record.id);
    let changed = records
        .iter()
        .any(|record| given_up(record) && !one.has_written_off(record));
    let effects = || records.iter().filter(|record| record.id > floor);
    if changed {
        return Come::Strange;
    }
    if let Some(done) = effects().find(|record| is_done(&record.status)) {
        return Come::Done(done.dest.clone());
    }
    if effects().any(|record| is_over(&record.status)) {
        return Come::Strange;
    }
    if let Some(dest) = effects().find_map(|record| record.dest.clone()) {
        one.dest = Some(dest);
    }
    Come::Nothing
}

/// Somebody else may have asked for it; otherwise whatever is on record is over, and older than our own asking.
fn somebody_is_at_it(one: &mut Move, records: &[&Migration]) -> bool {
    if records
        .iter()
        .any(|record| !is_over(&record.status) && !one.has_written_off(record))
    {
        return true;
    }
    let highest = records.iter().map(|record| record.id).max();
    one.known = highest.map_or(one.known, |id| id.max(one.known));
    false
}
