//! Drains: an operator drains a running host by live migrations. The host, an engine, or either end of a
//! migration may die meanwhile. The general checks hold: no instance runs twice, and the instances left on a
//! dead host are recovered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_contract::Target;
use tachi_domain::ServerId;
use tachi_domain::nova::{MigrationType, VmState};
use tachi_domain::planned::PlannedOrder;
use tachi_domain::recovery::{FreezeOrder, Life, Observation, RecoveryKind, ServerReading, is_drained};

use crate::journal::{Journal, Rec, RecIx};
use crate::mishap::Mishap;
use crate::nova::{HostIx, MigrationRow, Nova, Refusal, ServerIx, host_name, server_id, unfinished};
use crate::rng::Rng;
use crate::world::{Event, HOSTS, World, note};

/// A live migration under way: its record, and both hosts with their boot numbers.
#[derive(Debug)]
pub(crate) struct LiveMove {
    pub record: u64,
    pub source: (HostIx, u32),
    pub dest: (HostIx, u32),
    pub fails: bool,
}

/// Percent of seeds with drains.
const PERCENT: u64 = 20;

/// Percent of seeds in which a drain starts on a host that Nova's scheduler has just chosen.
const PERCENT_OF_ARRIVALS: u64 = 10;

/// Draws such a drain with a separate generator, so that other draws do not change.
pub(crate) fn draw(seed: u64) -> Option<Rng> {
    let mut rng = Rng::new(seed ^ 0x5eed_0079);
    rng.percent(PERCENT_OF_ARRIVALS).then_some(rng)
}

/// Returns the options of a plan; the time makes them unique.
fn order(kind: RecoveryKind, at: u64, instances: BTreeMap<ServerId, String>) -> BTreeMap<String, String> {
    let order = PlannedOrder {
        by: "alice".into(),
        reason: "firmware".into(),
        lasts: Duration::from_mins(at % 3),
        at_once: 1 + u32::try_from(at % 3).unwrap(),
        limit: Duration::from_secs(20 + at % 60),
        with_locked: at.is_multiple_of(2),
        instances,
    };
    order.payload(kind)
}

impl Journal {
    /// Returns the instances of a host with open recoveries of their own: those recoveries may start them
    /// again.
    pub(crate) fn instances_recovered(&self, rec: RecIx, order: &FreezeOrder) -> Vec<ServerId> {
        let host = self.recs[rec].host;
        let open = |row: &&Rec| row.kind == RecoveryKind::Vm && row.life == Life::Open;
        let rows = self.recs.iter().filter(open);
        let servers = rows.filter_map(|row| Some((row.host, server_id(row.server?))));
        let on_host = servers.filter(|(reported, server)| *reported == host || order.left.contains(server));
        let servers: BTreeSet<ServerId> = on_host.map(|(_, server)| server).collect();
        servers.into_iter().collect()
    }

    /// Opens a drain or giveback. Refused if the host is planned for, being recovered, or taken out of reserve
    /// by a recovery.
    pub(crate) fn plan(&mut self, kind: RecoveryKind, host: HostIx, now: u64) -> Option<RecIx> {
        let busy = |row: &Rec| {
            let theirs = row.kind == RecoveryKind::Host || row.kind.is_planned();
            row.host == host && row.life != Life::Closed && theirs
        };
        let is_reserved = kind == RecoveryKind::Drain && self.reserve.is_reserved(host);
        if is_reserved || self.recs.iter().any(busy) {
            return None;
        }
        self.open(kind, host, None, "", (now, now))
    }
}

impl World {
    /// Draws the drains with a separate generator, so that seeds without drains do not change.
    pub(crate) fn plan_drains(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ 0x5eed_0058);
        if !rng.percent(PERCENT) {
            return;
        }
        // Mostly the host that fails first.
        let host = if rng.percent(70) { 0 } else { rng.below(HOSTS) };
        self.plan_drain(host, &mut rng);
        // Instances that leave one drained host may move to another.
        for _ in 0..rng.below(3) {
            let host = rng.below(HOSTS);
            self.plan_drain(host, &mut rng);
        }
    }

    fn plan_drain(&mut self, host: HostIx, rng: &mut Rng) {
        let at = rng.between(1, 40_000);
        self.at(at, Event::Drain { host });
        if rng.percent(70) {
            self.at(at + rng.between(10_000, 120_000), Event::Giveback { host });
        }
    }

    /// Drains a chosen destination before or after it starts the build.
    pub(crate) fn destination_may_be_drained(&mut self, host: HostIx) {
        if let Some(mut rng) = self.drainer.take_if(|rng| rng.percent(50)) {
            self.after(rng.between(0, 2_500), Event::Drain { host });
        }
    }

    /// True if a drain has disabled the host, so that Nova schedules no instance there.
    pub(crate) fn is_drained(&self, host: HostIx) -> bool {
        let reason = self.nova.services[host].reason.as_deref();
        reason.is_some_and(is_drained)
    }

    pub(crate) fn drain(&mut self, host: HostIx) {
        if self.plan(RecoveryKind::Drain, host, BTreeMap::new()) {
            self.mishap(Mishap::Drained);
        }
    }

    fn plan(&mut self, kind: RecoveryKind, host: HostIx, instances: BTreeMap<ServerId, String>) -> bool {
        let Some(rec) = self.journal.plan(kind, host, self.now) else {
            return false;
        };
        self.journal.plans.insert(rec, order(kind, self.now, instances));
        note!(self, "an operator plans a {kind} of host {host}: recovery {rec}");
        self.wake();
        true
    }

    /// Ends the maintenance of a host: thaws it, enables it, and gives back instances that are still where the
    /// drain moved them.
    pub(crate) fn give_back(&mut self, host: HostIx) {
        let busy = |row: &crate::journal::Rec| {
            row.host == host
                && row.life != Life::Closed
                && (row.kind == RecoveryKind::Host || row.kind.is_planned())
        };
        if self.journal.recs.iter().any(busy) || !self.nova.is_up(host, self.now) {
            return;
        }
        if self.is_drained(host) {
            let service = &mut self.nova.services[host];
            service.disabled = false;
            service.reason = None;
            service.updated = self.now;
        }
        self.journal.freezes.thaw(Target::Host(host), self.now);
        let mut last: BTreeMap<ServerIx, &MigrationRow> = BTreeMap::new();
        for row in &self.nova.migrations {
            if matches!(row.status, "completed" | "done") {
                last.insert(row.server, row);
            }
        }
        let moved_away = last.into_iter().filter(|(server, row)| {
            let shown = &self.nova.servers[*server];
            row.source == host && shown.host != host && shown.exists
        });
        let instances: BTreeMap<ServerId, String> = moved_away
            .filter_map(|(server, row)| Some((server_id(server), host_name(row.dest?))))
            .collect();
        if !instances.is_empty() && self.plan(RecoveryKind::Giveback, host, instances) {
            self.mishap(Mishap::GivenBack);
        }
    }

    /// Checks that a host frozen by its drain has no running instance and no arriving one. Reverts that a
    /// lagging replica could not show yet to the drain's last list are excused.
    pub(crate) fn check_drained(&mut self, rec: RecIx) {
        let host = self.journal.recs[rec].host;
        let comes = |row: &MigrationRow| {
            // A reverted resize returns to its source.
            let reverts = row.status == "reverting";
            let to = if reverts { Some(row.source) } else { row.dest };
            to == Some(host) && unfinished(row.status)
        };
        let shown = self.past.reached_at_list(rec);
        let is_known = |server: ServerIx| {
            shown.is_none_or(|nova| {
                let mut rows = nova.migrations.iter();
                let was_there = nova.servers.get(server).is_some_and(|row| row.host == host);
                was_there || rows.any(|row| row.server == server && comes(row))
            })
        };
        let left = (0..self.nova.servers.len()).find(|server| {
            let row = &self.nova.servers[*server];
            row.exists && row.host == host && row.vm_state == VmState::Active && is_known(*server)
        });
        // An owner may revert a resize at the same moment: then the drain's message must name it.
        let message = self.journal.recs[rec].message.as_deref().unwrap_or_default();
        let is_named = |server: ServerIx| message.contains(&server_id(server).to_string());
        let coming = self.nova.migrations.iter().find(|row| {
            comes(row) && is_known(row.server) && !(row.status == "reverting" && is_named(row.server))
        });
        let coming = coming.map(|row| (row.server, row.id));
        self.mishap(Mishap::DrainFreezes);
        if let Some(server) = left {
            self.violate(format!(
                "host {host} is frozen by its drain although vm-{server} runs there"
            ));
        }
        if let Some((server, id)) = coming {
            self.violate(format!(
                "host {host} is frozen by its drain although migration {id} moves vm-{server} there"
            ));
        }
    }

    pub(crate) fn followed(&mut self, id: ServerId) -> Observation {
        let server = crate::calls::index_of(id);
        let rows = self.nova.migrations.iter().filter(|row| row.server == server);
        Observation::Followed {
            server: id,
            result: Ok(ServerReading {
                migrations: rows.map(Nova::show_migration).collect(),
                server: self.nova.show(server),
                percent: None,
            }),
        }
    }

    pub(crate) fn live_migrate(&mut self, server: ServerIx, target: Option<&str>) -> Result<(), Refusal> {
        let row = &self.nova.servers[server];
        if !row.exists {
            return Err(404);
        }
        let source = row.host;
        if row.vm_state != VmState::Active || row.task_state.is_some() {
            return Err(409);
        }
        if !self.nova.is_up(source, self.now) {
            return Err(400);
        }
        let fits = |host: &HostIx| {
            *host != source
                && target.is_none_or(|target| host_name(*host) == target)
                && self.nova.is_up(*host, self.now)
                && !self.nova.services[*host].disabled
        };
        let hosts: Vec<HostIx> = (0..HOSTS).filter(fits).collect();
        if hosts.is_empty() {
            return Err(400);
        }
        let dest = hosts[self.rng.below(hosts.len())];
        let record = self.nova.next_migration();
        self.nova.servers[server].task_state = Some("migrating");
        self.nova.migrations.push(MigrationRow {
            id: record,
            server,
            kind: MigrationType::LiveMigration,
            status: "running",
            source,
            dest: Some(dest),
            created: self.now,
        });
        if let Some(leaves) = self.drain_death(source, dest) {
            self.sends(record, server, (source, dest), leaves);
            return Ok(());
        }
        let fails = self.chaos() && self.rng.percent(10);
        let hangs = self.chaos() && self.rng.percent(10);
        if !hangs {
            let takes = self.rng.between(500, 30_000);
            let end = Event::LiveEnds(LiveMove {
                record,
                source: (source, self.machines[source].life),
                dest: (dest, self.machines[dest].life),
                fails,
            });
            self.after(takes, end);
        }
        Ok(())
    }

    /// Schedules the death of the destination of a drain's migration. Returns the guest's delays: to its
    /// departure, and from then to its arrival, in ms.
    fn drain_death(&mut self, source: HostIx, dest: HostIx) -> Option<(u64, u64)> {
        let of_drain = self.is_being_drained(source);
        let mut rng = self.weather.faults.drain_death.take_if(|_| of_drain)?;
        let (leaves, lands) = (rng.between(300, 6_000), rng.between(100, 6_000));
        let dies = rng.between(200, leaves + lands);
        self.after(dies, Event::Fail { host: dest });
        self.after(dies + rng.between(500, 20_000), Event::Notify { host: dest });
        Some((leaves, lands))
    }

    fn is_being_drained(&self, host: HostIx) -> bool {
        let drains =
            |row: &Rec| row.kind == RecoveryKind::Drain && row.host == host && row.life == Life::Open;
        self.journal.recs.iter().any(drains)
    }

    /// Kills a host that a drain is moving an instance to.
    pub(crate) fn note_drains_end(&mut self, host: HostIx) {
        let mut rows = self.nova.migrations.iter();
        let comes = rows.any(|row| {
            let live = row.kind == MigrationType::LiveMigration && row.status == "running";
            live && row.dest == Some(host) && self.is_being_drained(row.source)
        });
        if comes {
            self.mishap(Mishap::DrainDestinationDies);
        }
    }

    pub(crate) fn plan_drain_death(&mut self) {
        let Some(rng) = &mut self.weather.faults.drain_death else {
            return;
        };
        let host = rng.below(2);
        let at = if host == 0 {
            rng.between(1, 3_000)
        } else {
            rng.between(1, 40_000)
        };
        self.at(at, Event::DrainOfFault { host });
    }

    /// Plans a drain as part of a fault, unless a test has since removed the faults.
    pub(crate) fn drain_of_fault(&mut self, host: HostIx) {
        let faults = &self.weather.faults;
        if faults.reverts || faults.drain_death.is_some() {
            self.drain(host);
        }
    }

    pub(crate) fn live_ends(&mut self, live: &LiveMove) {
        let LiveMove {
            record,
            source,
            dest,
            fails,
        } = *live;
        let Some(at) = self
            .nova
            .migrations
            .iter()
            .position(|row| row.id == record && row.status == "running")
        else {
            return;
        };
        let server = self.nova.migrations[at].server;
        let works =
            |(host, life): (HostIx, u32)| self.machines[host].beats() && self.machines[host].life == life;
        // The source records the end of the migration. If the source has died, the record stays open.
        if !works(source) || !self.nova.servers[server].exists {
            return;
        }
        let runs = self.machines[source.0].guests.get(&server).copied();
        // A stopped guest, as after a boot of its host, cannot be live-migrated.
        if fails || !works(dest) || runs != Some(true) {
            self.nova.migrations[at].status = "error";
            self.nova.servers[server].task_state = None;
            return;
        }
        self.machines[source.0].guests.remove(&server);
        self.machines[dest.0].guests.insert(server, true);
        self.nova.servers[server].host = dest.0;
        self.nova.servers[server].task_state = None;
        self.nova.migrations[at].status = "completed";
        self.guests_changed = true;
        note!(self, "vm-{server} is live-migrated to host {}", dest.0);
    }

    pub(crate) fn abort_migration(&mut self, server: ServerIx, record: u64) -> Result<(), Refusal> {
        let source = self.nova.servers[server].host;
        let beats = self.machines[source].beats();
        let row = self.nova.migrations.iter_mut();
        let mut row = row.filter(|row| row.id == record && row.server == server);
        let Some(row) = row.next() else {
            return Err(404);
        };
        // The guest has left and cannot be stopped at its source.
        if row.status != "running" || !beats || !self.machines[source].runs(server) {
            return Err(400);
        }
        row.status = "cancelled";
        self.nova.servers[server].task_state = None;
        Ok(())
    }
}
