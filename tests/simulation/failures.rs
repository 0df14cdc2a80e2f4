//! Failures of hosts and instances.

use tachi_domain::nova::{Actor, MigrationType, PowerState, VmState};

use crate::mishap::Mishap;
use crate::mutate::mutated;
use crate::nova::{HostIx, MigrationRow, ServerIx, ServerRow};
use crate::weather::Failure;
use crate::world::{Event, World, note};

/// Poll interval of a held host's boot guard, in ms.
const BOOT_GUARD_INTERVAL: u64 = 10_000;

impl World {
    pub(crate) fn populate(&mut self, servers: usize) {
        for server in 0..servers + 2 {
            // Two more instances run on another host.
            let host = usize::from(server >= servers);
            let (vm_state, power_state, runs) = match self.rng.between(0, 11) {
                0 | 1 => (VmState::Stopped, PowerState::Shutdown, false),
                2 => (VmState::Paused, PowerState::Other, true),
                3 => (VmState::Suspended, PowerState::Other, false),
                4 => (VmState::Error, PowerState::Running, true),
                5 => (VmState::Rescued, PowerState::Running, true),
                _ => (VmState::Active, PowerState::Running, true),
            };
            let launched = !self.rng.percent(4);
            self.machines[host].guests.insert(server, runs && launched);
            self.was.push((vm_state.clone(), power_state));
            let owners = self.rng.percent(10);
            self.nova.servers.push(ServerRow {
                exists: true,
                host,
                vm_state,
                task_state: None,
                power_state,
                locked: owners.then(|| "mine".into()),
                locked_at: 0,
                launched,
                updated: None,
                excluded: false,
                actions: vec![("create", Actor::Person)],
            });
        }
    }

    pub(crate) fn plan_failures(&mut self) {
        if self.weather.foreign {
            self.nova.services[0].disabled = true;
            self.nova.services[0].reason = Some("disk is being replaced".into());
        }
        self.machines[0].bmc = self.weather.bmc;
        let fails = self.rng.between(1_000, 12_000);
        self.first_failure = fails;
        self.at(fails, Event::Fail { host: 0 });
        let mut reported = fails + self.rng.between(500, 30_000);
        if let Some(late) = self.weather.more.late_report {
            self.mishap(Mishap::ReportLate);
            reported = fails + late;
        }
        self.at(reported, Event::Notify { host: 0 });
        if let Some(after) = self.weather.second_failure {
            let host = self.rng.between(1, 4);
            let host = usize::try_from(host).unwrap();
            self.mishap(Mishap::SecondHost);
            self.at(fails + after, Event::Fail { host });
            let delay = self.rng.between(500, 30_000);
            self.at(fails + after + delay, Event::Notify { host });
        }
        if self.weather.more.third_failure {
            self.mishap(Mishap::ThirdHost);
            let host = usize::try_from(self.rng.between(2, 3)).unwrap();
            let with = fails + self.rng.between(0, 2_000);
            self.at(with, Event::Fail { host });
            let delay = self.rng.between(500, 30_000);
            self.at(with + delay, Event::Notify { host });
        }
        if let Some(after) = self.weather.comes_back {
            self.at(fails + after, Event::Boot { host: 0 });
        }
        for (from, millis) in self.weather.pauses.clone() {
            let engine = self.rng.below(self.weather.engines);
            self.at(from, Event::Pause { engine, millis });
        }
        for (from, millis) in self.weather.suspensions.clone() {
            let engine = usize::try_from(from).unwrap() % self.weather.engines;
            self.at(from, Event::Suspend { engine, millis });
        }
        if self.weather.deletes {
            let server = self.rng.below(self.weather.servers);
            let at = self.rng.between(5_000, 90_000);
            self.at(at, Event::Delete { server });
        }
    }

    pub(crate) fn fail(&mut self, host: HostIx) {
        let kind = if host == 0 {
            self.weather.failure
        } else if self.rng.percent(50) {
            Failure::Plug
        } else {
            Failure::Isolated
        };
        // External confirmation requires that the host is off.
        let external = self.weather.mode == tachi_domain::policy::FencingMode::External;
        let kind = if external { Failure::Plug } else { kind };
        note!(self, "host {host} fails: {kind:?}");
        if kind == Failure::FalseAlarm {
            self.mishap(Mishap::FalseAlarm);
            return;
        }
        self.failed.insert(host);
        self.ever_failed.insert(host);
        self.note_drains_end(host);
        self.leave_tasks(host);
        self.report_ledger.dies(host, self.now);
        match kind {
            Failure::Plug => self.power_off(host, "its plug is pulled"),
            Failure::Hang => {
                self.machines[host].compute = false;
                for runs in self.machines[host].guests.values_mut() {
                    *runs = false;
                }
            }
            Failure::Isolated => self.machines[host].network = false,
            Failure::FalseAlarm => {}
        }
        // An unfinished live migration: the guest runs at either end, and Nova still shows the source. Nova
        // schedules nothing on a disabled host.
        if host == 0 && self.weather.live_migration && !self.nova.services[4].disabled {
            let is_moved = self.rng.percent(50);
            // Not an instance that a drain has moved or is moving away.
            let leaving = |server: ServerIx| {
                let mut all = self.nova.migrations.iter();
                all.any(|row| {
                    row.server == server
                        && row.kind == MigrationType::LiveMigration
                        && row.status == "running"
                })
            };
            let running: Vec<ServerIx> = (0..self.weather.servers)
                .filter(|server| {
                    let guest = &self.nova.servers[*server];
                    guest.vm_state == VmState::Active
                        && guest.launched
                        && guest.host == host
                        && !leaving(*server)
                })
                .collect();
            if let Some(server) = running.first().copied() {
                let id = self.nova.next_migration();
                self.nova.migrations.push(MigrationRow {
                    id,
                    server,
                    kind: MigrationType::LiveMigration,
                    status: "running",
                    source: 0,
                    dest: Some(4),
                    created: self.now,
                });
                if is_moved && self.machines[4].powered {
                    self.machines[0].guests.remove(&server);
                    self.machines[4].guests.insert(server, true);
                }
                note!(
                    self,
                    "vm-{server} is being live-migrated to host 4, runs there: {is_moved}"
                );
                self.mishap(Mishap::LiveMigration);
            }
        }
        self.guests_changed = true;
    }

    pub(crate) fn power_off(&mut self, host: HostIx, how: &str) {
        note!(self, "host {host} loses power {how}");
        if self.cleared.contains(&host) && how.starts_with("by its") {
            self.violate(format!(
                "host {host} is powered off after its forced_down was cleared (R5)"
            ));
        }
        self.machines[host].power_off();
        self.guests_changed = true;
    }

    pub(crate) fn boot(&mut self, host: HostIx) {
        if self.machines[host].powered {
            return;
        }
        note!(self, "host {host} is powered on from outside");
        if self.chaos() {
            self.mishap(Mishap::HostBack);
        }
        let machine = &mut self.machines[host];
        machine.powered = true;
        machine.on_since = self.now;
        machine.network = true;
        machine.life += 1;
        let life = machine.life;
        self.booted.insert(host);
        // With a boot guard the boot may be immediate: nova-compute waits for the guard.
        let delay = match self.weather.resume_guests {
            // Shorter than a real boot, so that it falls into the evacuation.
            true if self.rng.percent(50) => self.rng.between(200, 4_000),
            true => self.rng.between(5_000, 90_000),
            false => self.rng.between(45_000, 90_000),
        };
        self.after(delay, Event::ComputeStart { host, life });
    }

    /// Starts nova-compute: it destroys evacuated guests and may resume those that Nova shows as running.
    pub(crate) fn compute_start(&mut self, host: HostIx, life: u32) {
        self.held_at_boot.remove(&(host, life));
        if !self.machines[host].powered || self.machines[host].life != life {
            return;
        }
        if self.boot_guard_holds(host) {
            self.held_at_boot.insert((host, life));
            return self.after(BOOT_GUARD_INTERVAL, Event::ComputeStart { host, life });
        }
        note!(self, "nova-compute of host {host} starts");
        self.machines[host].compute = true;
        self.report_ledger.lives(host);
        self.failed.remove(&host);
        for row in &mut self.nova.migrations {
            let ours = row.kind == MigrationType::Evacuation && row.source == host;
            if ours && matches!(row.status, "accepted" | "pre-migrating" | "done") {
                self.machines[host].guests.remove(&row.server);
                row.status = "completed";
            }
        }
        // Its tasks were interrupted by the crash and do not continue.
        for row in &mut self.nova.servers {
            if row.host == host && row.task_state.is_some_and(|task| task != "rebuilding") {
                row.task_state = None;
            }
        }
        if self.weather.resume_guests {
            let mine: Vec<ServerIx> = self.machines[host].guests.keys().copied().collect();
            for server in mine {
                let row = &self.nova.servers[server];
                if row.exists && row.host == host && row.vm_state == VmState::Active {
                    self.machines[host].guests.insert(server, true);
                }
            }
        }
        self.plan_power_sync(host, life);
        self.registers(host);
        self.run_queue(host);
        self.guests_changed = true;
        // With a deaf broker Nova receives no heartbeat.
        if self.weather.faults.deaf_confirmation.is_some() && self.weather.storms.is_deaf_to(host, self.now) {
            return;
        }
        self.report_ledger
            .note_heartbeat(host, self.nova.services[host].updated, self.now);
        self.nova.services[host].updated = self.now;
    }

    /// True if the boot guard must hold nova-compute before it starts guests (R25). Nothing else prevents that
    /// when a host is powered on during its evacuation. A queue that waits for an operator (R12) does not hold
    /// the boot: its calls run.
    fn boot_guard_holds(&mut self, host: HostIx) -> bool {
        if !self.weather.resume_guests || mutated("boot-guard") {
            return false;
        }
        let holds = self.journal.holds_boot(host, self.now);
        if holds && self.chaos() {
            self.mishap(Mishap::HeldAtBoot);
        }
        holds
    }

    pub(crate) fn delete(&mut self, server: ServerIx) {
        let row = &mut self.nova.servers[server];
        if row.exists && row.locked.is_none() {
            row.exists = false;
            for machine in &mut self.machines {
                machine.guests.remove(&server);
            }
            self.mishap(Mishap::InstanceDeleted);
            note!(self, "vm-{server} is deleted by its owner");
        }
    }
}
