//! Instances that Nova was moving to the host when it died.
//!
//! The source of a migration writes where an instance is, without a check at the destination. It may do so up to its long RPC
//! timeout later, even after the recovery of the destination has finished. A live migration may have switched its guest to
//! the host that died, while Nova still shows it at its source. A recovery therefore remembers each migration that names its
//! host as the destination, and watches it while it waits for the host's return. Instances that Nova then shows on the host
//! are moved like the rest, under a proof that was read again. An instance that may have run on the host and does not run at
//! its source needs an operator.

pub(super) mod lost_arrivals;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::OriginalState;
use super::decision_context::{DecisionContext, Moves};
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::id::{MigrationId, ServerId};
use crate::nova::{Migration, MigrationStatus, MigrationType, PowerState, Server, VmState};
use crate::question::NOT_FOUND_CONFIRM_DELAY;
use crate::recovery::{Command, Inventory, StepKind, Task};
use crate::timestamp::Timestamp;

/// Interval between two lists of the host while an instance is on its way to it.
const LIST_INTERVAL: Duration = Duration::from_secs(10);

/// Interval between two lists of the host while none is.
const IDLE_LIST_INTERVAL: Duration = Duration::from_mins(1);

/// Number of instances that are read at once.
const MAX_PARALLEL_READS: usize = 4;

/// Number of names in a message; the rest is only counted.
const MAX_LISTED_NAMES: usize = 5;

/// The instance as Nova last showed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSighting {
    pub name: String,
    /// The host of its nova-compute service.
    pub host: Option<String>,
    /// The VM state and the power state.
    pub was: OriginalState,
    /// The task state in Nova.
    pub task: Option<String>,
}

impl LastSighting {
    fn of(shown: &Server) -> Self {
        Self {
            name: shown.name.clone(),
            host: shown.host.clone(),
            was: OriginalState {
                vm_state: shown.vm_state.clone(),
                power_state: shown.power_state,
            },
            task: shown.task_state.clone(),
        }
    }

    /// True if Nova shows it running, or bound to no host, and no task is in progress.
    fn is_settled(&self) -> bool {
        let runs = match self.was.vm_state {
            VmState::Active | VmState::Paused | VmState::Rescued | VmState::Resized => {
                self.was.power_state != PowerState::Shutdown
            }
            VmState::ShelvedOffloaded | VmState::Deleted => true,
            VmState::Stopped
            | VmState::Error
            | VmState::Suspended
            | VmState::Shelved
            | VmState::Building
            | VmState::Other(_) => false,
        };
        runs && self.task.is_none()
    }

    fn is_rebuilding(&self) -> bool {
        self.task
            .as_deref()
            .is_some_and(|task| task.starts_with("rebuild"))
    }
}

/// An instance that Nova was moving to the host, and does not show there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    /// The id of Nova's record of the migration.
    pub migration: MigrationId,
    pub status: MigrationStatus,
    /// The other host of the migration.
    pub from: Option<String>,
    /// True if the migration is being reverted, which brings the instance to the source of its record.
    #[serde(default)]
    pub reverts: bool,
    /// The time at which watching began.
    pub since: Elapsed,
    /// The instance as Nova last showed it; `None` before it was read.
    pub shown: Option<LastSighting>,
    /// True if the record has not changed for Nova's long RPC timeout.
    #[serde(skip)]
    overdue: bool,
}

impl Arrival {
    /// True if it is lost unless it lands. A guest that its source shuts down or switches has a task until then.
    fn may_be_lost(&self) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| !shown.is_settled() || self.has_left(shown))
    }

    /// True if the guest has left the host on which it is shown, even if a restart of that nova-compute hides it. The task is then gone
    /// and the power state is stale. A revert of a resize shuts the guest down first; a completed live migration has switched it.
    fn has_left(&self, shown: &LastSighting) -> bool {
        // Only live migrations end as `completed`.
        let left = matches!(
            self.status,
            MigrationStatus::Reverting | MigrationStatus::Completed
        );
        left && shown.host == self.from
    }

    /// Describes it without its status, because each change of the status would be a write of the notification.
    fn last_sighting_text(&self, server: ServerId) -> String {
        let name = self.shown.as_ref().map(|shown| shown.name.as_str());
        let from = self.from.as_deref().map(|host| format!(" from {host}"));
        format!(
            "{} ({server}, migration {}{})",
            name.unwrap_or("instance"),
            self.migration,
            from.unwrap_or_default()
        )
    }
}

/// The instances on their way to a host, and the state of watching them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arrivals {
    /// True if the notification is closed. Instances that come to the host later are moved while its return is awaited.
    pub settled: bool,
    /// The instances being watched.
    pub expected: BTreeMap<ServerId, Arrival>,
    /// Unfinished records that were too old to be watched, and were reported.
    pub reported: BTreeSet<MigrationId>,
    /// Instances to be read.
    #[serde(skip)]
    due: BTreeSet<ServerId>,
    /// Instances that are being read.
    #[serde(skip)]
    reading: BTreeSet<ServerId>,
    /// Instances that Nova did not know, with the time of the first such answer.
    #[serde(skip)]
    gone: BTreeMap<ServerId, Elapsed>,
    /// Finished migrations whose instance runs elsewhere.
    #[serde(skip)]
    harmless: BTreeSet<MigrationId>,
    /// True if an instance that was on its way is on the host, so that a new list is due.
    #[serde(skip)]
    list_due: bool,
    /// True if instances found on the host may be moved now.
    #[serde(skip)]
    may_move: bool,
}

/// True if the migration brings its instance to `host`. A migration that is being reverted brings it to its source.
fn brings(record: &Migration, host: &str) -> bool {
    let place = match record.status {
        MigrationStatus::Reverting | MigrationStatus::Reverted => &record.source,
        MigrationStatus::Queued
        | MigrationStatus::Accepted
        | MigrationStatus::Preparing
        | MigrationStatus::PreMigrating
        | MigrationStatus::Migrating
        | MigrationStatus::Running
        | MigrationStatus::PostMigrating
        | MigrationStatus::Finished
        | MigrationStatus::Confirming
        | MigrationStatus::Confirmed
        | MigrationStatus::Done
        | MigrationStatus::Completed
        | MigrationStatus::Failed
        | MigrationStatus::Error
        | MigrationStatus::Cancelled
        | MigrationStatus::Other(_) => &record.dest,
    };
    record.kind != MigrationType::Evacuation && place.as_deref() == Some(host)
}

/// True if a later record shows that the instance was on `host` after `record`, and was taken away from it.
fn has_left_since(record: &Migration, all: &[&Migration], host: &str) -> bool {
    let leaves = |later: &&Migration| {
        let moved = later.status.has_moved() || later.status == MigrationStatus::Finished;
        later.source.as_deref() == Some(host) && (moved || later.kind == MigrationType::Evacuation)
    };
    all.iter().filter(|later| later.id > record.id).any(leaves)
}

/// True if a migration of the instance, or the recovery of another host, has brought it to `host` after its latest evacuation from
/// there.
pub(super) fn has_come_back(records: &[&Migration], host: &str) -> bool {
    let is_evacuated_to = |record: &Migration| {
        record.kind == MigrationType::Evacuation
            && record.status.is_done()
            && record.dest.as_deref() == Some(host)
    };
    records.iter().any(|record| {
        (brings(record, host) || is_evacuated_to(record)) && !has_left_since(record, records, host)
    })
}

/// True if the source has shut the guest down. It does so before it writes that the instance is on `host`.
pub(super) fn is_shut_down_at_source(record: &Migration, host: &str) -> bool {
    matches!(record.kind, MigrationType::Resize | MigrationType::Migration)
        && record.status == MigrationStatus::PostMigrating
        && record.dest.as_deref() == Some(host)
}

impl Arrivals {
    /// True if a recovery whose notification is closed moves the instances that it finds on the host.
    pub(super) fn may_move(&self) -> bool {
        self.may_move
    }

    /// Sets whether such a recovery moves the instances that it finds on the host.
    pub(super) fn judged(&mut self, may_move: bool) {
        self.may_move = may_move;
    }

    /// True if the host is to be listed again, whose last list is of this age. A list shows what has come to the host, and
    /// migrations that have begun since, such as the revert of a resize.
    pub(super) fn is_list_due(&self, age: Option<Duration>) -> bool {
        let every = if self.expected.is_empty() {
            IDLE_LIST_INTERVAL
        } else {
            LIST_INTERVAL
        };
        self.list_due || age.is_none_or(|age| age >= every)
    }

    /// Drops the answers to the previous owner, so that the new owner reads them again.
    pub(super) fn forget_answers(&mut self) {
        *self = Self {
            settled: self.settled,
            expected: std::mem::take(&mut self.expected),
            reported: std::mem::take(&mut self.reported),
            ..Self::default()
        };
    }

    /// Records the instances that an inventory shows on their way to the host.
    pub(super) fn listed(&mut self, inventory: &Inventory, ctx: &mut DecisionContext<'_>) {
        self.list_due = false;
        let clock = inventory.service.as_ref().and_then(|service| service.nova_now);
        let clock = clock.unwrap_or(ctx.now.wall);
        let listed: BTreeSet<ServerId> = inventory.servers.iter().map(|server| server.id).collect();
        let mut by_server: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
        for record in &inventory.migrations {
            by_server.entry(record.server).or_default().push(record);
        }
        by_server.retain(|server, _| !listed.contains(server));
        let coming: BTreeMap<ServerId, &Migration> = by_server
            .iter()
            .filter_map(|(server, records)| {
                let latest = records
                    .iter()
                    // A failed revert has the same status as any other failed migration.
                    .filter(|record| brings(record, ctx.host) || self.is_known_revert(record))
                    .filter(|record| !has_left_since(record, records, ctx.host))
                    .filter(|record| !self.harmless.contains(&record.id))
                    .max_by_key(|record| record.id);
                latest.map(|record| (*server, *record))
            })
            .collect();
        let known = self.expected.len();
        self.expected.retain(|server, _| coming.contains_key(server));
        ctx.record.head |= self.expected.len() != known;
        for (server, record) in coming {
            self.expect(server, record, clock, ctx);
        }
        self.due = self.expected.keys().copied().collect();
    }

    fn is_known_revert(&self, record: &Migration) -> bool {
        let known = self.expected.get(&record.server);
        known.is_some_and(|known| known.reverts && known.migration == record.id)
    }

    fn expect(
        &mut self,
        server: ServerId,
        record: &Migration,
        clock: Timestamp,
        ctx: &mut DecisionContext<'_>,
    ) {
        let (now, window) = (ctx.now.elapsed, ctx.policy.nova_long_rpc_timeout);
        let is_old = record.touched_at().is_some_and(|at| at.plus(window) <= clock);
        if let Some(known) = self.expected.get_mut(&server) {
            let undated = record.touched_at().is_none() && now.since(known.since) >= window;
            known.overdue = is_old || undated;
            known.reverts |= record.status == MigrationStatus::Reverting;
            if (known.migration, &known.status) != (record.id, &record.status) {
                known.migration = record.id;
                known.status = record.status.clone();
                ctx.record.head = true;
            }
            return;
        }
        if is_old {
            if !record.status.is_finished() && self.reported.insert(record.id) {
                let text = format!(
                    "migration {} of instance {server} to {} is unfinished ({}), and has not changed for {} s: not waiting for it",
                    record.id,
                    ctx.host,
                    record.status,
                    window.as_secs()
                );
                ctx.record.step(Task::Prepare, StepKind::Note, 1.0, text);
                ctx.record.head = true;
            }
            return;
        }
        let mut hosts = [&record.source, &record.dest].into_iter().flatten();
        let arrival = Arrival {
            migration: record.id,
            status: record.status.clone(),
            from: hosts.find(|host| *host != ctx.host).cloned(),
            reverts: record.status == MigrationStatus::Reverting,
            since: now,
            shown: None,
            overdue: false,
        };
        self.expected.insert(server, arrival);
        ctx.record.head = true;
    }

    /// Reads the instances that are due.
    pub(super) fn request_servers(&mut self, commands: &mut Vec<Command>) {
        while self.reading.len() < MAX_PARALLEL_READS
            && let Some(server) = self.due.pop_first()
        {
            self.reading.insert(server);
            commands.push(Command::ReadServer(server));
        }
    }

    /// Records that a read was not made. Returns true if it was one of these reads.
    pub(super) fn not_read(&mut self, server: ServerId) -> bool {
        let ours = self.reading.remove(&server);
        if ours {
            self.due.insert(server);
        }
        ours
    }

    /// Handles the answer of a read. Returns true if it was one of these reads.
    pub(super) fn server_read(
        &mut self,
        server: ServerId,
        result: &Result<Option<Server>, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        if !self.reading.remove(&server) {
            return false;
        }
        let now = ctx.now.elapsed;
        let (Ok(shown), Some(arrival)) = (result, self.expected.get_mut(&server)) else {
            // The instance is read again after the next list.
            return true;
        };
        let Some(shown) = shown else {
            let first = *self.gone.entry(server).or_insert(now);
            if now.since(first) >= NOT_FOUND_CONFIRM_DELAY {
                self.expected.remove(&server);
                ctx.record.head = true;
            }
            return true;
        };
        self.gone.remove(&server);
        if shown.host.as_deref() == Some(ctx.host) {
            self.list_due = true;
            return true;
        }
        let sighting = LastSighting::of(shown);
        if arrival.shown.as_ref() != Some(&sighting) {
            arrival.shown = Some(sighting.clone());
            ctx.record.head = true;
        }
        if (arrival.status.is_finished() || arrival.overdue) && !arrival.may_be_lost() {
            self.harmless.insert(arrival.migration);
            self.expected.remove(&server);
            ctx.record.head = true;
        } else if arrival.overdue && !sighting.is_rebuilding() {
            // An instance that is being rebuilt belongs to another recovery, which names it if the rebuild fails.
            self.name(server, moves, ctx);
        }
        true
    }

    fn name(&mut self, server: ServerId, moves: &mut Moves, ctx: &mut DecisionContext<'_>) {
        let Some(arrival) = self.expected.remove(&server).filter(Arrival::may_be_lost) else {
            return;
        };
        self.harmless.insert(arrival.migration);
        let rank = moves
            .values()
            .map(|instance| instance.rank + 1)
            .max()
            .unwrap_or(0);
        moves.insert(server, lost_arrivals::lost(server, arrival, rank, ctx));
        ctx.record.head = true;
    }

    /// Renders the instances that may be lost, for the message when the notification is closed.
    pub(super) fn last_sighting_text(&self, host: &str, window: Duration) -> String {
        let lost = self.expected.iter().filter(|(_, arrival)| arrival.may_be_lost());
        let all = lost.clone().count();
        if all == 0 {
            return String::new();
        }
        let mut names: Vec<String> = lost
            .take(MAX_LISTED_NAMES)
            .map(|(server, arrival)| arrival.last_sighting_text(*server))
            .collect();
        if all > MAX_LISTED_NAMES {
            names.push(format!("and {} more", all - MAX_LISTED_NAMES));
        }
        format!(
            "; on the way to {host} when it died, and watched for up to {} s: {}",
            window.as_secs(),
            names.join(", ")
        )
    }
}
