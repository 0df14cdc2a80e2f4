//! The plan made from the lists: what becomes of each instance. `order` defines the order.

mod elsewhere;
pub(super) mod lost_instances;
pub(super) mod order;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::arrivals::{Arrivals, has_come_back};
use super::blockers::{BlockerKind, Blockers};
use super::decision_context::{DecisionContext, Moves};
use super::excluded;
use super::lock_mark;
use super::method::PlacementPlan;
use super::moves::blank::blank;
use super::moves::evacuate::MAX_LISTS_AGE;
use super::moves::local_disk::{DiskWait, has_stayed, remark_wait};
use super::moves::restoration::{needs_preparation, remark};
use super::moves::track::MoveTrack;
use super::service::ServiceTrack;
use super::{End, HoldKind, HostRecovery, Lock, Move, MoveStep, OriginalState, Preparation, Stage};
use crate::count;
use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::id::{MigrationId, ServerId};
use crate::nova::{Migration, Server};
use crate::policy::LocalDisk;
use crate::question::Question;
use crate::recovery::{Command, DecisionTime, InCell, Inventory, Record, StepKind, Task, WrittenOff};
use crate::timestamp::Timestamp;
use elsewhere::{held_note, other_hosts};

pub(crate) use elsewhere::runs_elsewhere;

/// Minimum time between the first list without an instance and the one that counts.
const EMPTY_LIST_CONFIRM_DELAY: Duration = Duration::from_secs(3);

/// The remark on an instance whose local disk an evacuation discards.
const LOCAL_DISK_REMARK: &str =
    "rebuilt from image, local disk discarded (unless the hosts share their instance storage)";

/// The note on an instance that stays on its host because of its disk.
const DISK_ON_HOST_NOTE: &str =
    "local_disk is leave, and its disk is on this host alone, as the monitor of the host has read it";

/// An instance as Nova shows it on the host.
#[derive(Clone, Copy)]
struct HostInstance<'a> {
    server: &'a Server,
    host: &'a str,
    /// The time since which a record that was touched may still be active.
    recent: Timestamp,
    /// True if a monitor on this host has read that its disk is on the host alone.
    on_local_disk: bool,
}

impl<'a> HostInstance<'a> {
    fn new(server: &'a Server, listing: Option<&Inventory>, ctx: &DecisionContext<'a>) -> Self {
        let window = ctx.policy.nova_long_rpc_timeout.as_secs();
        let clock = listing.and_then(|lists| lists.service.as_ref()?.nova_now);
        let clock = clock.unwrap_or(ctx.now.wall);
        // nova-compute of the host would show that a guest is gone, as long as it runs.
        let clock = ctx.last_alive.map_or(clock, |alive| alive.min(clock));
        Self {
            server,
            host: ctx.host,
            recent: clock.minus_seconds(i64::try_from(window).unwrap_or(i64::MAX)),
            on_local_disk: listing.is_some_and(|lists| lists.local_disks.contains(&server.id)),
        }
    }
}

impl Move {
    /// Adds remarks for its owner about the state in which it comes back.
    pub(super) fn remark_nature(&mut self) {
        remark_wait(self);
        if self.image_backed {
            self.remark(LOCAL_DISK_REMARK);
        }
        if let Some(text) = remark(&self.was) {
            self.remark(text);
        }
    }
}

/// The requests about the instances of the host. None survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InstanceListing {
    pub(super) question: Question,
    /// The time at which an empty list of the host's instances was first requested.
    empty_seen: Option<Elapsed>,
    /// Instances that another recovery is working on: checked again from time to time.
    pub(super) taken: BTreeSet<ServerId>,
    /// The time at which they were planned again; the journal may still refuse them.
    pub(super) retaking: Option<Elapsed>,
    /// Servers that were evacuated from the host, but not by this recovery.
    pub(super) foreign: BTreeSet<ServerId>,
    /// True if the list in flight was requested when every move was done.
    is_last_list: bool,
    /// True if that list has been processed.
    pub(super) is_last_list_processed: bool,
}

impl InstanceListing {
    pub(super) fn request_if_due(
        &mut self,
        service: &ServiceTrack,
        moves: (Option<Timestamp>, &Moves),
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        if self.question.send(now.elapsed) {
            commands.push(Command::TakeInventory {
                shown: service.was_shown_just_now(now.elapsed),
                unknown: lost_instances::unknown(moves, &self.foreign, service.since),
            });
        }
    }

    /// Requests another list when every move is done.
    pub(super) fn request_last_list(
        &mut self,
        service: &ServiceTrack,
        moves: (Option<Timestamp>, &Moves),
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) {
        self.request_if_due(service, moves, now, commands);
        self.is_last_list |= self.question.sent() == Some(now.elapsed);
    }

    /// Counts instances that were planned again as this recovery's, unless the journal has refused them meanwhile.
    pub(super) fn retaken(&mut self, blockers: &mut Blockers, now: DecisionTime) {
        let unrefused = |since: Elapsed| now.elapsed.since(since) >= Duration::from_secs(2);
        if self.retaking.is_some_and(unrefused) {
            self.retaking = None;
            self.taken.clear();
            blockers.end(BlockerKind::OtherRecovery);
        }
    }

    /// Defers instances that another recovery is working on: nothing about them has been written. That recovery may leave them
    /// on this host when it ends (it moved them here, and then this host died), so they are checked again.
    pub(super) fn defer_taken(
        &mut self,
        servers: Vec<ServerId>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        for server in &servers {
            moves.remove(server);
        }
        self.taken = servers.into_iter().collect();
        self.retaking = None;
        self.is_last_list_processed = false;
        let taken = count(self.taken.len(), "instance is", "instances are");
        ctx.blockers.begin(BlockerKind::OtherRecovery, ctx.now, || {
            format!("{taken} still being worked on by another recovery: waiting for it")
        });
    }

    /// True if an empty list counts although there is no hypervisor by which to query the cell: a second one seconds later confirms it.
    fn is_confirmed_empty(&mut self, requested_at: Elapsed) -> bool {
        let first = *self.empty_seen.get_or_insert(requested_at);
        if requested_at.since(first) >= EMPTY_LIST_CONFIRM_DELAY {
            return true;
        }
        self.question.not_before = first.plus(EMPTY_LIST_CONFIRM_DELAY);
        false
    }
}

impl HostRecovery {
    pub(super) fn act_listing(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.rejected.is_some() {
            self.finish_rejected(now, record);
            return;
        }
        // Listing changes nothing, so it continues while other work is blocked.
        self.follow_moves(now, record, commands);
        self.service
            .request_if_due(now, self.policy.heartbeat_poll, commands);
        // The lists start with a reading of the service record: one that is in flight is that reading.
        if !self.service.is_awaited() {
            self.in_flight.listing.request_if_due(
                &self.service,
                (self.reported_at, &self.moves),
                now,
                commands,
            );
        }
    }
}

impl InstanceListing {
    /// Applies an inventory. `since`: records newer than this are the recovery's own; following an older one moves it back.
    pub(super) fn answered(
        &mut self,
        result: &Result<Inventory, Fault>,
        (move_track, arrivals): (&mut MoveTrack, &mut Arrivals),
        moves: &mut Moves,
        since: &mut Option<Timestamp>,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now;
        let requested_at = self.question.answered();
        let last = std::mem::take(&mut self.is_last_list);
        let inventory = match result {
            // Without its service record the host's cell may be down, and an empty list may be wrong.
            Ok(inventory) if inventory.service.is_some() => inventory,
            Ok(_) => {
                return self.failed("Nova does not show the host's service record", ctx);
            }
            Err(fault) => return self.failed(&fault.text, ctx),
        };
        if inventory.servers.is_empty() && !self.is_empty(&inventory.in_cell, requested_at, moves, ctx) {
            return;
        }
        self.question.succeeded();
        ctx.blockers.end(BlockerKind::Inventory);
        if !inventory.servers.is_empty() {
            self.empty_seen = None;
        }
        self.question.observed = requested_at;
        if !self.taken.is_empty() {
            self.retaking = Some(now.elapsed);
        }
        match *ctx.stage {
            Stage::Listing => {
                arrivals.listed(inventory, ctx);
                plan(inventory, moves, since, ctx);
                ctx.enter(Stage::Moving);
            }
            Stage::Moving => {
                arrivals.listed(inventory, ctx);
                // Instances on a host that may be running again do not belong to this recovery.
                if !ctx.settled || arrivals.may_move() {
                    plan(inventory, moves, since, ctx);
                }
                recheck_held(inventory, move_track, moves, since, ctx);
                self.is_last_list_processed = last && moves.values().all(Move::is_finished);
            }
            Stage::Returning if arrivals.may_move() => {
                arrivals.listed(inventory, ctx);
                plan(inventory, moves, since, ctx);
                if !moves.values().all(Move::is_finished) {
                    ctx.enter(Stage::Moving);
                }
            }
            Stage::Begin
            | Stage::Fencing
            | Stage::Disabling
            | Stage::Returning
            | Stage::Starting
            | Stage::Done => {}
        }
    }

    /// True if an empty list counts, because the host's cell confirms it: the cell may have been away just while the list was read.
    fn is_empty(
        &mut self,
        in_cell: &InCell,
        requested_at: Option<Elapsed>,
        moves: &Moves,
        ctx: &mut DecisionContext<'_>,
    ) -> bool {
        // Instances that were known to be there have left by Nova's records, and not by an empty list.
        let known = !moves.is_empty() && !moves.values().any(|instance| instance.deleted);
        let why = match in_cell {
            InCell::Has(0) => return true,
            InCell::Has(count) => {
                format!("Nova's list shows none on the host, and the host's cell has {count}")
            }
            InCell::NotQueried | InCell::Failed(_) if known => return true,
            InCell::NotQueried => return self.is_confirmed_empty(requested_at.unwrap_or(ctx.now.elapsed)),
            InCell::Failed(fault) => format!(
                "Nova's list shows none on the host, and the host's cell could not be queried: {}",
                fault.text
            ),
        };
        self.failed(&why, ctx);
        false
    }

    fn failed(&mut self, why: &str, ctx: &mut DecisionContext<'_>) {
        self.question.failed(ctx.now.elapsed);
        ctx.blockers.begin(BlockerKind::Inventory, ctx.now, || {
            format!("the instances cannot be listed yet: {why}")
        });
    }
}

/// Adds a move for every server that has none yet: all of them the first time, late arrivals afterwards.
fn plan(
    inventory: &Inventory,
    moves: &mut Moves,
    since: &mut Option<Timestamp>,
    ctx: &mut DecisionContext<'_>,
) {
    let planned = plan_if(|_, _| true, inventory, moves, since, ctx);
    if planned > 0 || *ctx.stage == Stage::Listing {
        let to_move = moves.values().filter(|instance| !instance.is_finished()).count();
        let left = moves
            .values()
            .filter(|instance| instance.step == MoveStep::Done(End::Left))
            .count();
        ctx.record.head = true;
        ctx.record.step(
            Task::Prepare,
            StepKind::Note,
            1.0,
            found(planned, to_move, left, ctx),
        );
    }
}

/// Describes the newly planned instances. Only those of the first list are all that the recovery knows.
fn found(planned: usize, to_move: usize, left: usize, ctx: &DecisionContext<'_>) -> String {
    let host = ctx.host;
    let number = |word: &str| count(planned, &format!("{word}instance"), &format!("{word}instances"));
    match (planned, *ctx.stage) {
        (0, _) => format!("no instance found on {host}"),
        (_, Stage::Listing) => format!(
            "{} found on {host}: {to_move} to evacuate, {left} excluded",
            number("")
        ),
        _ => format!("{} found on {host}: {to_move} to evacuate now", number("more ")),
    }
}

/// Plans the servers that meet the condition, as [`plan`] does. Returns how many.
fn plan_if(
    selects: impl Fn(&Server, &[&Migration]) -> bool,
    inventory: &Inventory,
    moves: &mut Moves,
    since: &mut Option<Timestamp>,
    ctx: &mut DecisionContext<'_>,
) -> usize {
    let mut by_server: BTreeMap<ServerId, Vec<&Migration>> = BTreeMap::new();
    for migration in &inventory.migrations {
        by_server.entry(migration.server).or_default().push(migration);
    }
    let unplanned: Vec<Server> = inventory
        .servers
        .iter()
        .filter(|server| {
            let records = by_server.get(&server.id).map_or(&[][..], Vec::as_slice);
            moves
                .get(&server.id)
                .is_none_or(|instance| instance.is_finished() && is_back_on_host(instance, records, ctx))
                && selects(server, records)
        })
        .map(lock_mark::in_original_state)
        .collect();
    let mut fresh: Vec<&Server> = unplanned.iter().collect();
    order::in_order(ctx.policy, &mut fresh);
    let first = moves
        .values()
        .map(|instance| instance.rank + 1)
        .max()
        .unwrap_or(0);
    let planned = fresh.len();
    for (rank, server) in (first..).zip(fresh) {
        let migrations = by_server.remove(&server.id).unwrap_or_default();
        let written_off = inventory
            .written_off
            .get(&server.id)
            .map_or(&[][..], Vec::as_slice);
        let shown = HostInstance::new(server, Some(inventory), ctx);
        let mut instance = plan_one(shown, rank, &migrations, written_off, since, ctx);
        if let Some(hosts) = inventory.may_run.get(&server.id) {
            let others = hosts.iter().filter(|host| *host != ctx.host).cloned();
            instance.may_run.extend(others);
        }
        excluded::plan(&mut instance, server, ctx);
        ctx.record.moves.insert(instance.server);
        moves.insert(instance.server, instance);
    }
    planned
}

/// True if an instance is on the host again. One that waited for the host stays there only if the host runs, and is planned again by the
/// first list after a new proof. One that Nova once did not know, or did not show on the host, and shows there all the same was not
/// deleted, and has arrived. One that was moved may have come back by another migration.
fn is_back_on_host(instance: &Move, records: &[&Migration], ctx: &DecisionContext<'_>) -> bool {
    let host_runs = ctx.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Alive);
    instance.deleted
        || instance.awaited
        || (has_stayed(instance) && *ctx.stage == Stage::Listing && !host_runs)
        || (instance.step == MoveStep::Done(End::Moved) && has_come_back(records, ctx.host))
}

fn plan_one(
    shown: HostInstance<'_>,
    rank: u32,
    migrations: &[&Migration],
    written_off: &[WrittenOff],
    since: &mut Option<Timestamp>,
    ctx: &DecisionContext<'_>,
) -> Move {
    let (now, policy) = (ctx.now, ctx.policy);
    let HostInstance { server, host, .. } = shown;
    let evacuations: Vec<&&Migration> = migrations
        .iter()
        .filter(|migration| migration.is_evacuation_from(host))
        .collect();
    let known = evacuations
        .iter()
        .map(|migration| migration.id)
        .max()
        .unwrap_or(MigrationId(0));
    let was = OriginalState {
        vm_state: server.vm_state.clone(),
        power_state: server.power_state,
    };
    let mut instance = Move {
        tagged: policy.marks(server),
        priority: order::priority(policy, server),
        image_backed: !server.volume_backed,
        // This recovery replaces the lock of an earlier recovery, which may be about to remove it.
        lock: match server.locked {
            true if lock_mark::is_locked_by(server, &ctx.mark()) => Lock::Ours,
            true if !lock_mark::is_locked_by_tachi(server) => Lock::Owners,
            true | false => Lock::Wanted,
        },
        preparation: if needs_preparation(&server.vm_state) {
            Preparation::Wanted
        } else {
            Preparation::NotNeeded
        },
        known,
        written_off: written_off.to_vec(),
        elsewhere: other_hosts(shown, migrations)
            .map(|(_, other)| other.clone())
            .collect(),
        busy_before: server.is_rebuilding(),
        route: PlacementPlan::new(ctx.method, server.needs),
        ..blank(server.id, server.name.clone(), was, rank, ctx)
    };
    let (disk, objection) = if shown.on_local_disk {
        policy.local_disk.of(server, policy.deadline)
    } else {
        (LocalDisk::Evacuate, None)
    };
    let left_for_disk = (disk == LocalDisk::Leave).then(|| DISK_ON_HOST_NOTE.to_owned());
    if let Some(why) = policy.leaves(server).or(left_for_disk) {
        // A lock left over from an earlier recovery is not left on an instance that is excluded.
        instance.lock = if instance.lock == Lock::Ours {
            Lock::Ours
        } else {
            Lock::None
        };
        instance.finish(End::Left, now.elapsed);
        instance.note = Some(why);
        if let Some(text) = objection {
            instance.remark(&text);
        }
        instance.done_at = Some(now.wall);
        return instance;
    }
    if let LocalDisk::Wait(time) = disk {
        instance.disk_wait = Some(DiskWait::new(time, now));
    }
    if let Some((migration, other)) = other_hosts(shown, migrations).next() {
        instance.step = MoveStep::OnHold;
        instance.note = Some(held_note(host, migration, other));
    } else {
        follow_open_evacuation(&mut instance, migrations, since, ctx);
    }
    instance.remark_nature();
    if let Some(text) = objection {
        instance.remark(&text);
    }
    instance
}

/// Follows an evacuation that was already requested, perhaps by an earlier recovery, instead of requesting one.
fn follow_open_evacuation(
    instance: &mut Move,
    migrations: &[&Migration],
    since: &mut Option<Timestamp>,
    ctx: &DecisionContext<'_>,
) {
    let open = migrations.iter().filter(|record| {
        record.is_evacuation_from(ctx.host)
            && !record.status.is_finished()
            && !instance.has_written_off(record)
    });
    let Some(first) = open.min_by_key(|record| record.id) else {
        return;
    };
    instance.follow_existing(first.id, ctx.now);
    if let (Some(before), Some(made)) = (*since, first.created_at) {
        *since = Some(before.min(made.minus_seconds(1)));
    }
}

/// Releases moves on hold whose other migration has ended, or whose other host is confirmed off too.
fn recheck_held(
    inventory: &Inventory,
    move_track: &mut MoveTrack,
    moves: &mut Moves,
    since: &mut Option<Timestamp>,
    ctx: &mut DecisionContext<'_>,
) {
    let now = ctx.now;
    let on_host: BTreeMap<ServerId, HostInstance<'_>> = inventory
        .servers
        .iter()
        .map(|server| (server.id, HostInstance::new(server, Some(inventory), ctx)))
        .collect();
    let off = if move_track.lists_within(MAX_LISTS_AGE, now) {
        move_track.confirmed_off_hosts(now)
    } else {
        BTreeSet::new()
    };
    for instance in moves
        .values_mut()
        .filter(|instance| instance.step == MoveStep::OnHold)
    {
        let server = instance.server;
        let migrations: Vec<&Migration> = inventory
            .migrations
            .iter()
            .filter(|migration| migration.server == instance.server)
            .collect();
        let Some(shown) = on_host.get(&server).copied() else {
            // A list may lack an instance that is there: it is read by itself.
            move_track.to_read.insert(server);
            continue;
        };
        if instance.has_no_possible_host()
            && other_hosts(shown, &migrations)
                .all(|(_, other)| off.contains(other) || instance.absent.contains(other))
        {
            for (_, other) in other_hosts(shown, &migrations) {
                if !instance.absent.contains(other) {
                    instance.note_may_run_on(other, &off);
                }
            }
            instance.elsewhere.clear();
            instance.clear_note();
            instance.remark_nature();
            instance.step = MoveStep::Waiting {
                not_before: now.elapsed,
            };
            follow_open_evacuation(instance, &migrations, since, ctx);
            ctx.record.moves.insert(server);
            ctx.record.head = true;
        }
    }
}
