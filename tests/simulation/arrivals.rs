//! Moves of instances between hosts by owners and administrators, with Nova's semantics. The guest of a live
//! migration runs at its destination before Nova shows it there. A resize is recorded by its source, which does
//! not contact the destination. If the destination is dead by then, the live-migrated guest runs nowhere, and
//! the resized instance arrives at a host that no recovery lists again. When an owner reverts a resize, the
//! instance returns to the *source* of its record.

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::nova::{MigrationType, VmState};
use tachi_domain::recovery::{Life, RecoveryKind};

use crate::mishap::Mishap;
use crate::nova::{HostIx, MigrationRow, ServerIx};
use crate::rng::Rng;
use crate::world::{Event, HOSTS, World, note};

/// Timeout of a live migration's source for an unresponsive destination, in ms.
const UNANSWERED_TIMEOUT: u64 = 60_000;

/// A host and its boot number.
pub(crate) type At = (HostIx, u32);

#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedMove {
    record: u64,
    server: ServerIx,
    source: At,
    dest: At,
    /// Delay from the guest's departure to the source's record of the arrival, in ms.
    lands: u64,
}

/// The next event of a move.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stage {
    /// The guest leaves its source.
    Leaves,
    /// The source records the arrival.
    Lands,
    /// The destination of a live migration did not answer.
    Unanswered,
    /// The destination of a resize starts the guest.
    Starts,
    Confirmed,
    /// The owner reverts the resize.
    Reverts,
    /// The guest is back at its source.
    IsBack,
}

/// A move to the host that fails first. `before`: lead time before the failure. `leaves`: delay to the guest's
/// departure. `lands`: delay to the record of its arrival. All in ms.
#[derive(Clone, Debug)]
pub(crate) struct PlannedDeparture {
    before: u64,
    kind: MigrationType,
    leaves: u64,
    lands: u64,
}

/// Moves under way and their victims.
#[derive(Debug)]
pub(crate) struct Arrivals {
    rng: Rng,
    /// Instances that were on their way to a host when it died, and that host.
    pub lost: Vec<(ServerIx, HostIx)>,
}

impl Arrivals {
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed ^ 0x5eed_0300),
            lost: Vec::new(),
        }
    }
}

pub(crate) fn draw(mut rng: Rng) -> Vec<PlannedDeparture> {
    let count = 1 + rng.below(2);
    let mut one = || {
        let kind = match rng.between(0, 9) {
            0..=5 => MigrationType::LiveMigration,
            6 => MigrationType::Migration,
            _ => MigrationType::Resize,
        };
        let leaves = rng.between(300, 4_000);
        let lands = if kind == MigrationType::LiveMigration {
            rng.between(100, 6_000)
        } else {
            rng.between(1_000, 60_000)
        };
        // In most seeds the host dies during the move.
        let between = leaves + rng.between(0, lands);
        let any = rng.between(0, 9_000);
        let before = if rng.percent(70) { between.min(9_000) } else { any };
        PlannedDeparture {
            before,
            kind,
            leaves,
            lands,
        }
    };
    (0..count).map(|_| one()).collect()
}

impl World {
    pub(crate) fn plan_arrivals(&mut self) {
        for departure in self.weather.faults.arriving.clone() {
            let at = self.first_failure.saturating_sub(departure.before);
            self.at(at, Event::Departs(departure));
        }
    }

    fn works(&self, (host, life): At) -> bool {
        self.machines[host].beats() && self.machines[host].life == life
    }

    /// Picks a running instance without another move.
    fn any_running(&self, not_on: HostIx, first: usize) -> Option<ServerIx> {
        let count = self.nova.servers.len();
        (0..count).map(|step| (first + step) % count).find(|server| {
            let row = &self.nova.servers[*server];
            row.exists
                && row.launched
                && row.host != not_on
                && row.vm_state == VmState::Active
                && row.task_state.is_none()
                && row.locked.is_none()
                && self.machines[row.host].runs(*server)
                && self.machines[row.host].beats()
        })
    }

    pub(crate) fn departs(&mut self, departure: PlannedDeparture) {
        let PlannedDeparture {
            kind, leaves, lands, ..
        } = departure;
        let dest: HostIx = 0;
        let first = self.arrivals.rng.below(self.nova.servers.len());
        let planned = !self.weather.faults.arriving.is_empty();
        let Some(server) = self.any_running(dest, first).filter(|_| planned) else {
            return;
        };
        if !self.nova.is_up(dest, self.now) || self.nova.services[dest].disabled {
            return;
        }
        let live = kind == MigrationType::LiveMigration;
        let source = self.nova.servers[server].host;
        let record = self.nova.next_migration();
        self.nova.servers[server].task_state = Some(if live { "migrating" } else { "resize_migrating" });
        self.nova.migrations.push(MigrationRow {
            id: record,
            server,
            kind,
            status: if live { "running" } else { "migrating" },
            source,
            dest: Some(dest),
            created: self.now,
        });
        note!(
            self,
            "vm-{server} starts to move from host {source} to host {dest} by record {record}, live: {live}"
        );
        self.sends(record, server, (source, dest), (leaves, lands));
    }

    /// Starts a move; the guest leaves its source after `leaves`.
    pub(crate) fn sends(
        &mut self,
        record: u64,
        server: ServerIx,
        (source, dest): (HostIx, HostIx),
        (leaves, lands): (u64, u64),
    ) {
        let moving = PlannedMove {
            record,
            server,
            lands,
            source: (source, self.machines[source].life),
            dest: (dest, self.machines[dest].life),
        };
        self.after(leaves, Event::Moves(moving, Stage::Leaves));
    }

    /// Returns the migration record if it is still open.
    fn record_of(&self, moving: &PlannedMove) -> Option<usize> {
        let open = |row: &MigrationRow| row.id == moving.record && crate::nova::unfinished(row.status);
        let exists = self.nova.servers[moving.server].exists;
        self.nova.migrations.iter().position(open).filter(|_| exists)
    }

    pub(crate) fn moves(&mut self, moving: PlannedMove, stage: Stage) {
        match stage {
            Stage::Reverts => self.reverts(&moving),
            Stage::Confirmed => self.confirms(&moving),
            Stage::Leaves | Stage::Lands | Stage::Unanswered | Stage::Starts | Stage::IsBack => {
                let Some(at) = self.record_of(&moving) else { return };
                match stage {
                    Stage::Leaves => self.leaves(&moving, at),
                    Stage::Lands => self.lands(&moving, at),
                    Stage::Unanswered => self.is_unanswered(&moving, at),
                    Stage::Starts => self.starts(&moving, at),
                    _ => self.is_back(&moving, at),
                }
            }
        }
    }

    fn leaves(&mut self, moving: &PlannedMove, at: usize) {
        let (live, server) = (self.is_live(at), moving.server);
        // If the source has died, its own recovery handles the instance.
        if !self.works(moving.source) {
            return;
        }
        if live && !self.works(moving.dest) || !self.machines[moving.source.0].runs(server) {
            // Its memory cannot be copied: the guest stays.
            self.nova.migrations[at].status = "error";
            self.nova.servers[server].task_state = None;
            return;
        }
        self.machines[moving.source.0].guests.remove(&server);
        if live {
            self.machines[moving.dest.0].guests.insert(server, true);
        }
        self.guests_changed = true;
        note!(self, "vm-{server} has left host {}", moving.source.0);
        self.after(moving.lands, Event::Moves(*moving, Stage::Lands));
    }

    fn is_live(&self, at: usize) -> bool {
        self.nova.migrations[at].kind == MigrationType::LiveMigration
    }

    /// Ends the move. A live migration needs the destination's confirmation; for a resize, the source alone
    /// decides.
    fn lands(&mut self, moving: &PlannedMove, at: usize) {
        let (server, dest) = (moving.server, moving.dest.0);
        if !self.works(moving.source) {
            return;
        }
        let arrives = self.works(moving.dest);
        if self.is_live(at) {
            if !arrives {
                self.after(UNANSWERED_TIMEOUT, Event::Moves(*moving, Stage::Unanswered));
                return;
            }
            self.nova.servers[server].host = dest;
            self.nova.servers[server].task_state = None;
            self.nova.migrations[at].status = "completed";
            note!(self, "vm-{server} is live-migrated to host {dest}");
            return;
        }
        self.nova.servers[server].host = dest;
        self.nova.servers[server].task_state = Some("resize_migrated");
        self.nova.migrations[at].status = "post-migrating";
        note!(
            self,
            "vm-{server} is recorded at host {dest} by its source: dead {}",
            !arrives
        );
        if arrives {
            let wait = self.arrivals.rng.between(300, 5_000);
            self.after(wait, Event::Moves(*moving, Stage::Starts));
        } else {
            self.is_lost(Mishap::ArrivesAtDead, server, dest);
        }
    }

    /// Marks the instance as never started at its destination.
    fn is_lost(&mut self, how: Mishap, server: ServerIx, host: HostIx) {
        self.mishap(how);
        self.mishap(Mishap::LostOnItsWay);
        self.arrivals.lost.push((server, host));
    }

    /// Closes the record; Nova then shows the instance at its source and keeps its task state.
    fn is_unanswered(&mut self, moving: &PlannedMove, at: usize) {
        let (server, dest) = (moving.server, moving.dest.0);
        if !self.works(moving.source) {
            return;
        }
        self.nova.migrations[at].status = "completed";
        if self.machines[dest].runs(server) {
            // The isolated host still runs its guest; a check at the destination finds it there.
            note!(self, "vm-{server} runs on host {dest}, which is isolated");
        } else {
            note!(self, "vm-{server} ran on host {dest}, and now runs nowhere");
        }
        self.is_lost(Mishap::HasRunAtDead, server, dest);
    }

    fn starts(&mut self, moving: &PlannedMove, at: usize) {
        let (server, dest) = (moving.server, moving.dest.0);
        if !self.works(moving.dest) || self.nova.servers[server].host != dest {
            // Its cast is in the queue of a dead host.
            self.is_lost(Mishap::ArrivesAtDead, server, dest);
            return;
        }
        self.machines[dest].guests.insert(server, true);
        self.guests_changed = true;
        self.nova.servers[server].task_state = None;
        self.nova.servers[server].vm_state = VmState::Resized;
        self.nova.migrations[at].status = "finished";
        let wait = self.arrivals.rng.between(1_000, 20_000);
        self.after(wait, Event::Moves(*moving, Stage::Confirmed));
    }

    /// Confirms the resize for the owner.
    fn confirms(&mut self, moving: &PlannedMove) {
        let row = &mut self.nova.servers[moving.server];
        let resized = row.exists && row.vm_state == VmState::Resized && row.host == moving.dest.0;
        let mut records = self.nova.migrations.iter_mut();
        let record = records.find(|row| row.id == moving.record && row.status == "finished");
        if let Some(record) = record.filter(|_| resized) {
            record.status = "confirmed";
            row.vm_state = VmState::Active;
        }
    }

    /// Makes one instance look resized earlier from the host that is about to be drained or to die.
    pub(crate) fn plan_reverts(&mut self) {
        if !self.weather.faults.reverts {
            return;
        }
        let rng = &mut self.arrivals.rng;
        let drains = rng.percent(60);
        let home = if drains { 1 + rng.below(HOSTS - 1) } else { 0 };
        let at = rng.between(0, 9_000);
        let (first, off) = (rng.below(self.nova.servers.len()), rng.between(0, 8_000));
        let Some(server) = self.any_running(home, first) else {
            return;
        };
        let dest = self.nova.servers[server].host;
        let record = self.nova.next_migration();
        self.nova.servers[server].vm_state = VmState::Resized;
        self.nova.migrations.push(MigrationRow {
            id: record,
            server,
            kind: MigrationType::Resize,
            status: "finished",
            source: home,
            dest: Some(dest),
            created: 0,
        });
        let moving = PlannedMove {
            record,
            server,
            source: (home, 0),
            dest: (dest, 0),
            lands: 0,
        };
        let when = if drains {
            let drained = 1_000 + at * 3;
            self.at(drained, Event::DrainOfFault { host: home });
            (drained + off).saturating_sub(4_000)
        } else {
            self.first_failure.saturating_sub(at)
        };
        self.at(when, Event::Moves(moving, Stage::Reverts));
    }

    fn reverts(&mut self, moving: &PlannedMove) {
        let (server, home, dest) = (moving.server, moving.source.0, moving.dest.0);
        let row = &self.nova.servers[server];
        let taken = row.exists
            && row.vm_state == VmState::Resized
            && row.host == dest
            && row.task_state.is_none()
            && row.locked.is_none();
        if !taken || !self.weather.faults.reverts || !self.works(moving.dest) {
            return;
        }
        let wait = self.arrivals.rng.between(500, 20_000);
        let mut records = self.nova.migrations.iter_mut();
        if let Some(record) = records.find(|row| row.id == moving.record && row.status == "finished") {
            record.status = "reverting";
        }
        self.nova.servers[server].task_state = Some("resize_reverting");
        self.machines[dest].guests.remove(&server);
        self.guests_changed = true;
        note!(
            self,
            "the owner of vm-{server} reverts its resize, from host {dest} to host {home}"
        );
        self.mishap(Mishap::Reverts);
        self.after(wait, Event::Moves(*moving, Stage::IsBack));
    }

    fn is_back(&mut self, moving: &PlannedMove, at: usize) {
        let (server, home) = (moving.server, moving.source.0);
        if !self.works(moving.source) {
            // Its cast is in the queue of a dead host.
            self.is_lost(Mishap::RevertsToDead, server, home);
            return;
        }
        self.machines[home].guests.insert(server, true);
        self.guests_changed = true;
        let row = &mut self.nova.servers[server];
        row.host = home;
        row.task_state = None;
        row.vm_state = VmState::Active;
        self.nova.migrations[at].status = "reverted";
        note!(self, "vm-{server} is back on host {home}");
    }

    /// Checks that each instance that was moving to a dead host runs somewhere or is reported to an operator
    /// after the host's recovery.
    pub(crate) fn check_arrivals(&mut self) {
        for (server, dead) in self.arrivals.lost.clone() {
            let row = &self.nova.servers[server];
            let (host, task) = (row.host, row.task_state);
            let runs = (0..HOSTS).any(|host| self.machines[host].runs(server));
            let should_run = matches!(row.vm_state, VmState::Active | VmState::Resized);
            // A returned host runs it again.
            let is_back = host == dead && self.machines[host].beats();
            if !row.exists || !should_run || runs || is_back || self.is_named(server) {
                continue;
            }
            // A start on the host or an exclusion by a hook does not count as a recovery.
            let recovered = self.journal.recs.iter().enumerate().any(|(rec, row)| {
                row.kind == RecoveryKind::Host
                    && row.event == "STOPPED"
                    && row.host == dead
                    && row.life == Life::Closed
                    && row.status == NotificationStatus::Finished
                    && !self.was_skipped(rec)
            });
            if recovered {
                return self.violate(format!(
                    "vm-{server} was on its way to host {dead} and runs nowhere; Nova shows it on host {host} with task {task:?}, and \
                     nobody is told (R28)"
                ));
            }
        }
    }

    /// True if a recovery reports the instance to an operator.
    pub(crate) fn is_named(&self, server: ServerIx) -> bool {
        let name = format!("vm-{server}");
        let says = |text: &str| {
            let mut at = text.match_indices(&name);
            at.any(|(at, _)| !text[at + name.len()..].starts_with(|next: char| next.is_ascii_digit()))
        };
        self.is_left_to_operator(server)
            || self
                .journal
                .recs
                .iter()
                .any(|row| row.message.as_deref().is_some_and(says))
    }
}
