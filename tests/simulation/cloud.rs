//! What becomes of calls, evacuations and machines.

use tachi_domain::Elapsed;
use tachi_domain::Timestamp;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::nova::{Migration, MigrationType, PowerState, Server, VmState};
use tachi_domain::power::{Power, PowerReading};
use tachi_domain::recovery::{Command, Inventory, Lists, Observation, ServiceUpdate};

use crate::machines::Bmc;
use crate::nova::{HostIx, MigrationRow, Refusal, ServerIx, ServerRow, unfinished};
use crate::weather::Failure;
use crate::world::{Event, HOSTS, Job, Owner, World, note};

/// D of every call.
pub(crate) const DEADLINE: u64 = 20_000;
/// Q: how much longer a proxy may hold it.
pub(crate) const HOLD: u64 = 60_000;

pub(crate) fn fault(status: Option<u16>, maybe_done: bool) -> Fault {
    let class = match status {
        Some(400 | 403 | 404) => FaultClass::Permanent,
        Some(409) => FaultClass::Conflict,
        _ => FaultClass::Transient,
    };
    Fault {
        class,
        status,
        maybe_done,
        text: format!("nova said {status:?}"),
    }
}

fn index_of(server: tachi_domain::ServerId) -> ServerIx {
    usize::try_from(server.0.as_u128() - 0x5e7).unwrap()
}

impl World {
    pub(crate) fn populate(&mut self, servers: usize) {
        for server in 0..servers + 2 {
            // Two more live on another host.
            let host = if server < servers { 0 } else { 1 };
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
                launched,
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
        self.at(fails, Event::Fail { host: 0 });
        let reported = fails + self.rng.between(500, 30_000);
        self.at(reported, Event::Notify { host: 0 });
        if let Some(after) = self.weather.second_failure {
            let host = self.rng.between(1, 4);
            let host = usize::try_from(host).unwrap();
            self.at(fails + after, Event::Fail { host });
            let delay = self.rng.between(500, 30_000);
            self.at(fails + after + delay, Event::Notify { host });
        }
        if let Some(after) = self.weather.comes_back {
            self.at(fails + after, Event::Boot { host: 0 });
        }
        for (from, millis) in self.weather.pauses.clone() {
            let engine = self.rng.below(self.weather.engines);
            self.at(from, Event::Pause { engine, millis });
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
        // Somebody else's word is only given for a host that is off.
        let external = self.weather.mode == tachi_domain::policy::FencingMode::External;
        let kind = if external { Failure::Plug } else { kind };
        note!(self, "host {host} fails: {kind:?}");
        if kind == Failure::FalseAlarm {
            return;
        }
        self.failed.insert(host);
        self.ever_failed.insert(host);
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
        // An unfinished live migration: the guest runs at one end or the other, and Nova still says here.
        if host == 0 && self.weather.live_migration {
            let away = self.rng.percent(50);
            let running: Vec<ServerIx> = (0..self.weather.servers)
                .filter(|server| {
                    self.nova.servers[*server].vm_state == VmState::Active
                        && self.nova.servers[*server].launched
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
                if away && self.machines[4].powered {
                    self.machines[0].guests.remove(&server);
                    self.machines[4].guests.insert(server, true);
                }
                note!(
                    self,
                    "vm-{server} is being live-migrated to host 4, runs there: {away}"
                );
            }
        }
        self.guests_changed = true;
    }

    pub(crate) fn power_off(&mut self, host: HostIx, how: &str) {
        note!(self, "host {host} goes off {how}");
        if self.cleared.contains(&host) && how.starts_with("by its") {
            self.violate(format!(
                "host {host} is powered off after its forced_down was cleared (R5)"
            ));
        }
        self.machines[host].power_off();
        self.guests_changed = true;
    }

    pub(crate) fn notify(&mut self, host: HostIx) {
        if let Some(rec) = self.journal.open(host) {
            note!(self, "host {host} is reported: recovery {rec}");
        }
    }

    pub(crate) fn boot(&mut self, host: HostIx) {
        if self.machines[host].powered {
            return;
        }
        note!(self, "somebody switches host {host} on");
        let machine = &mut self.machines[host];
        machine.powered = true;
        machine.network = true;
        machine.life += 1;
        let life = machine.life;
        self.booted.insert(host);
        let delay = self.rng.between(45_000, 90_000);
        self.after(delay, Event::ComputeStart { host, life });
    }

    /// nova-compute destroys what was evacuated, and then may start what Nova believes to run.
    pub(crate) fn compute_start(&mut self, host: HostIx, life: u32) {
        if !self.machines[host].powered || self.machines[host].life != life {
            return;
        }
        // The boot guard (R25) holds it while a call may still take effect: nothing else can, if somebody switches a host on in
        // the middle of its evacuation.
        if self.weather.resume_guests && self.now < self.evacuating_until {
            let until = self.evacuating_until;
            return self.at(until, Event::ComputeStart { host, life });
        }
        note!(self, "nova-compute of host {host} starts");
        self.machines[host].compute = true;
        self.failed.remove(&host);
        for row in &mut self.nova.migrations {
            let ours = row.kind == MigrationType::Evacuation && row.source == host;
            if ours && matches!(row.status, "accepted" | "pre-migrating" | "done") {
                self.machines[host].guests.remove(&row.server);
                row.status = "completed";
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
        self.nova.services[host].updated = self.now;
        self.guests_changed = true;
    }

    pub(crate) fn delete(&mut self, server: ServerIx) {
        let row = &mut self.nova.servers[server];
        if row.exists && row.locked.is_none() {
            row.exists = false;
            for machine in &mut self.machines {
                machine.guests.remove(&server);
            }
            note!(self, "vm-{server} is deleted by its owner");
        }
    }

    /// How a call travels. Everything that can go wrong, does so only while there is chaos.
    pub(crate) fn travel(&mut self, owner: Owner, command: Command, started: Elapsed) {
        let latency = self.rng.between(5, 60);
        let chaos = self.chaos();
        let write = command.is_write();
        let lost = chaos && self.rng.percent(self.weather.lost);
        let unavailable = chaos && self.rng.percent(self.weather.unavailable);
        let timeout = self.now + DEADLINE;
        if lost {
            match self.rng.between(0, 3) {
                // Nothing arrived.
                0 => {}
                // It arrived, and the answer was lost.
                1 if write => self.at(
                    self.now + latency,
                    Event::Effect {
                        owner,
                        command: command.clone(),
                        started,
                        answer: None,
                    },
                ),
                // A proxy held it.
                2 | 3 if write => {
                    self.stats.late_effects += 1;
                    let at = self.now + self.rng.between(1_000, DEADLINE + HOLD - 100);
                    self.at(
                        at,
                        Event::Effect {
                            owner,
                            command: command.clone(),
                            started,
                            answer: None,
                        },
                    );
                }
                _ => {}
            }
            let observation = Box::new(failed(&command, started, fault(None, true)));
            self.at(timeout, Event::Answer { owner, observation });
        } else if unavailable {
            let maybe = self.rng.percent(50);
            if write && maybe && self.rng.percent(50) {
                self.at(
                    self.now + latency,
                    Event::Effect {
                        owner,
                        command: command.clone(),
                        started,
                        answer: None,
                    },
                );
            }
            let status = if maybe { 503 } else { 429 };
            let observation = Box::new(failed(&command, started, fault(Some(status), maybe)));
            self.after(latency * 2, Event::Answer { owner, observation });
        } else {
            self.after(
                latency,
                Event::Effect {
                    owner,
                    command,
                    started,
                    answer: Some(latency),
                },
            );
        }
    }

    /// A call takes effect, or a question is answered, at this moment.
    pub(crate) fn effect(&mut self, owner: Owner, command: &Command, started: Elapsed, answer: Option<u64>) {
        let host = self.journal.recs[owner.rec].host;
        let observation = match command {
            Command::CountHosts => Observation::Storm(self.journal.storm()),
            Command::ReadService => Observation::Service(Ok(Some(self.nova.show_service(host, self.now)))),
            Command::ReadPower => Observation::Power {
                started,
                result: self.read_power(host),
            },
            Command::PowerOff { .. } => Observation::PowerOff(self.order_off(host)),
            Command::UpdateService { update, .. } => {
                let result = self.nova.update_service(host, update, self.now);
                note!(self, "effect: {update:?} of host {host}: {result:?}");
                if result.is_ok() && *update == ServiceUpdate::ClearForcedDown {
                    self.cleared.insert(host);
                }
                let shown = self.nova.show_service(host, self.now);
                Observation::ServiceUpdated(result.map(|()| shown).map_err(refused))
            }
            Command::TakeInventory => {
                let migrations = self.nova.migrations_touching(host);
                let delay = self.rng.between(5, 400);
                return self.after(delay, Event::InventoryServers { owner, migrations });
            }
            Command::ReadLists { since } => {
                let servers = self.nova.servers_on(host);
                let delay = self.rng.between(5, 400);
                return self.after(
                    delay,
                    Event::ListsEvacuations {
                        owner,
                        started,
                        since: *since,
                        servers,
                    },
                );
            }
            Command::ReadConductors => Observation::Conductors(Ok(!self.conductors_down())),
            Command::ReadServer(server) => Observation::Server {
                server: *server,
                result: Ok(self.nova.show(index_of(*server))),
            },
            other => self.server_effect(other),
        };
        if let Some(after) = answer {
            if !command.is_write() && self.chaos() && self.rng.percent(2) {
                let observation = Box::new(observation.clone());
                self.after(after + 40, Event::Answer { owner, observation });
            }
            self.after(
                after,
                Event::Answer {
                    owner,
                    observation: Box::new(observation),
                },
            );
        }
    }

    fn server_effect(&mut self, command: &Command) -> Observation {
        let (id, call) = command.server_call().unwrap();
        let server = index_of(id);
        let result = match command {
            Command::Lock { reason, .. } => self.nova.lock(server, Some(reason)),
            Command::Unlock(_) => self.nova.lock(server, None),
            Command::Prepare(_) => self.nova.mark_error(server),
            Command::Evacuate(_) => self.evacuate(server),
            Command::Restore { to, .. } => self.nova.restore(server, to).map(|state| {
                if let Some(state) = state {
                    let host = self.nova.servers[server].host;
                    let life = self.machines[host].life;
                    let delay = self.rng.between(500, 4_000);
                    self.after(
                        delay,
                        Event::Reached {
                            server,
                            host,
                            life,
                            state,
                        },
                    );
                }
            }),
            other => unreachable!("{other:?} is not about a server"),
        };
        note!(self, "effect: {} vm-{server}: {result:?}", command.name());
        Observation::ServerCall {
            server: id,
            call,
            result: result.map_err(refused),
        }
    }

    pub(crate) fn reached(&mut self, server: ServerIx, host: HostIx, life: u32, state: VmState) {
        if !self.machines[host].powered
            || self.machines[host].life != life
            || !self.nova.servers[server].exists
        {
            return;
        }
        let runs = state == VmState::Paused;
        self.machines[host].guests.insert(server, runs);
        let row = &mut self.nova.servers[server];
        row.vm_state = state;
        row.task_state = None;
        row.power_state = if runs {
            PowerState::Other
        } else {
            PowerState::Shutdown
        };
        self.guests_changed = true;
    }

    fn read_power(&mut self, host: HostIx) -> Result<PowerReading, Fault> {
        let machine = &mut self.machines[host];
        let truth = if machine.powered { Power::On } else { Power::Off };
        let power = match machine.bmc {
            Bmc::Truth | Bmc::Deaf => truth,
            Bmc::OffOnce => {
                machine.bmc = Bmc::Truth;
                Power::Off
            }
            Bmc::Unknown => Power::Unknown,
            Bmc::Dead => return Err(fault(Some(503), false)),
        };
        Ok(PowerReading {
            power,
            raw: format!("{power:?}"),
            device: format!("bmc-{host}"),
            at: Timestamp::from_micros(0),
        })
    }

    fn order_off(&mut self, host: HostIx) -> Result<(), Fault> {
        note!(
            self,
            "host {host} is told to power off ({:?})",
            self.machines[host].bmc
        );
        match self.machines[host].bmc {
            Bmc::Truth | Bmc::OffOnce | Bmc::Unknown => {
                if self.rng.percent(30) && self.chaos() {
                    // Its "off" flickers once more while it goes down.
                    self.machines[host].bmc = Bmc::OffOnce;
                }
                let delay = self.rng.between(500, 9_000);
                self.after(delay, Event::PowerOff { host });
                Ok(())
            }
            Bmc::Deaf => Ok(()),
            Bmc::Dead => Err(fault(Some(503), false)),
        }
    }

    fn evacuate(&mut self, server: ServerIx) -> Result<(), Refusal> {
        let skew = self.rng.between(0, 4_000);
        self.nova.evacuate(server, self.now, skew)?;
        self.stats.evacuations += 1;
        if self
            .jobs
            .iter()
            .any(|job| job.server == server && self.may_come_to_life(job))
        {
            self.violate(format!("two evacuations of vm-{server} are in flight"));
        }
        let before = self.jobs.iter().filter(|job| job.server == server).count();
        self.stats.asked_again += u64::from(before > 0);
        let lost = self.chaos() && self.rng.percent(self.weather.cast_lost);
        self.stats.lost_casts += u64::from(lost);
        self.jobs.push(Job {
            server,
            record: None,
            dest: None,
            was_stopped: self.nova.servers[server].vm_state == VmState::Stopped,
            over: lost,
        });
        if !lost {
            let delay = self.rng.between(20, 3_000);
            self.after(
                delay,
                Event::Conductor {
                    job: self.jobs.len() - 1,
                },
            );
        }
        Ok(())
    }

    /// Whether an evacuation may still make its instance run somewhere.
    fn may_come_to_life(&self, job: &Job) -> bool {
        !job.over
            && job
                .dest
                .is_none_or(|(host, life)| self.machines[host].powered && self.machines[host].life == life)
    }

    fn conductors_down(&self) -> bool {
        self.weather
            .conductor_down
            .is_some_and(|(from, to)| self.now >= from && self.now < to)
    }

    pub(crate) fn conductor(&mut self, job: usize) {
        if self.conductors_down() {
            let delay = self.rng.between(1_000, 3_000);
            return self.after(delay, Event::Conductor { job });
        }
        let server = self.jobs[job].server;
        let source = self.nova.servers[server].host;
        let Some(row) = self
            .nova
            .migrations
            .iter_mut()
            .find(|row| row.server == server && row.status == "accepted")
        else {
            self.jobs[job].over = true;
            return;
        };
        self.jobs[job].record = Some(row.id);
        let id = row.id;
        let candidates: Vec<HostIx> = (0..HOSTS)
            .filter(|host| {
                *host != source && self.nova.is_up(*host, self.now) && !self.nova.services[*host].disabled
            })
            .collect();
        let fails = self.chaos() && self.rng.percent(self.weather.rebuild_fails) && self.rng.percent(30);
        if candidates.is_empty() || fails {
            self.set_status(id, "error");
            self.nova.servers[server].vm_state = VmState::Error;
            self.nova.servers[server].task_state = None;
            self.jobs[job].over = true;
            return;
        }
        let dest = candidates[self.rng.below(candidates.len())];
        let life = self.machines[dest].life;
        let delay = self.rng.between(50, 1_500);
        self.after(delay, Event::Claim { job, dest, life });
    }

    fn set_status(&mut self, id: u64, status: &'static str) {
        if let Some(row) = self
            .nova
            .migrations
            .iter_mut()
            .find(|row| row.id == id && unfinished(row.status))
        {
            row.status = status;
        }
    }

    fn record_fails(&mut self, job: usize, error: bool) {
        let server = self.jobs[job].server;
        if let Some(id) = self.jobs[job].record {
            self.set_status(id, "failed");
        }
        if error {
            self.nova.servers[server].vm_state = VmState::Error;
        }
        self.nova.servers[server].task_state = None;
        self.jobs[job].over = true;
    }

    pub(crate) fn claim_job(&mut self, job: usize, dest: HostIx, life: u32) {
        let machine = &self.machines[dest];
        if !machine.powered || machine.life != life || !machine.compute || !machine.network {
            // The cast lies in the queue of a dead host, which is emptied before its nova-compute starts (R12).
            self.stats.lost_casts += 1;
            self.jobs[job].over = true;
            return;
        }
        self.jobs[job].dest = Some((dest, life));
        if self.chaos() && self.rng.percent(self.weather.rebuild_fails) && self.rng.percent(50) {
            return self.record_fails(job, false);
        }
        let id = self.jobs[job].record.unwrap();
        if let Some(row) = self.nova.migrations.iter_mut().find(|row| row.id == id) {
            row.status = "pre-migrating";
            row.dest = Some(dest);
        }
        let delay = self.weather.rebuild_millis;
        self.after(delay, Event::Spawn { job });
    }

    /// The destination's process goes on whether or not anybody hears of it.
    fn dest_of(&mut self, job: usize) -> Option<HostIx> {
        let (dest, life) = self.jobs[job].dest?;
        let machine = &self.machines[dest];
        let alive = machine.powered && machine.life == life && machine.compute && !self.jobs[job].over;
        if !alive {
            self.stats.dead_destinations += 1;
            self.jobs[job].over = true;
        }
        alive.then_some(dest)
    }

    pub(crate) fn spawn(&mut self, job: usize) {
        let Some(dest) = self.dest_of(job) else { return };
        let server = self.jobs[job].server;
        if !self.nova.servers[server].exists {
            self.jobs[job].over = true;
            return;
        }
        let reachable = self.machines[dest].network;
        if reachable && self.chaos() && self.rng.percent(self.weather.rebuild_fails) {
            return self.record_fails(job, true);
        }
        note!(self, "vm-{server} runs on host {dest}");
        self.machines[dest]
            .guests
            .insert(server, !self.jobs[job].was_stopped);
        self.guests_changed = true;
        let delay = self.rng.between(100, 2_000);
        self.after(delay, Event::Switch { job });
    }

    pub(crate) fn switch(&mut self, job: usize) {
        let Some(dest) = self.dest_of(job) else { return };
        if !self.machines[dest].network {
            // Nobody will ever hear of it.
            return;
        }
        let (server, stopped) = (self.jobs[job].server, self.jobs[job].was_stopped);
        let row = &mut self.nova.servers[server];
        row.host = dest;
        row.task_state = None;
        row.vm_state = if stopped {
            VmState::Stopped
        } else {
            VmState::Active
        };
        row.power_state = if stopped {
            PowerState::Shutdown
        } else {
            PowerState::Running
        };
        let delay = self.rng.between(10, 800);
        self.after(delay, Event::Finish { job });
    }

    pub(crate) fn finish_job(&mut self, job: usize) {
        if self.dest_of(job).is_some_and(|dest| self.machines[dest].network) {
            let id = self.jobs[job].record.unwrap();
            self.set_status(id, "done");
            self.jobs[job].over = true;
        }
    }

    pub(crate) fn inventory_servers(&mut self, owner: Owner, migrations: Vec<Migration>) {
        let servers = self.nova.servers_on(self.journal.recs[owner.rec].host);
        let delay = self.rng.between(5, 400);
        self.after(
            delay,
            Event::InventoryService {
                owner,
                migrations,
                servers,
            },
        );
    }

    pub(crate) fn inventory_service(
        &mut self,
        owner: Owner,
        migrations: Vec<Migration>,
        servers: Vec<Server>,
    ) {
        let service = Some(
            self.nova
                .show_service(self.journal.recs[owner.rec].host, self.now),
        );
        // A cell that is down shows neither.
        let hidden = self.chaos() && self.rng.percent(self.weather.unavailable / 2);
        let inventory = if hidden {
            Inventory {
                migrations: Vec::new(),
                servers: Vec::new(),
                service: None,
            }
        } else {
            Inventory {
                migrations,
                servers,
                service,
            }
        };
        let observation = Box::new(Observation::Inventory(Ok(inventory)));
        self.after(5, Event::Answer { owner, observation });
    }

    pub(crate) fn lists_evacuations(
        &mut self,
        owner: Owner,
        started: Elapsed,
        since: Option<Timestamp>,
        servers: Vec<Server>,
    ) {
        let evacuations = self
            .nova
            .evacuations_from(self.journal.recs[owner.rec].host, since);
        let slow = self.chaos() && self.rng.percent(5);
        let delay = if slow {
            self.rng.between(1_000, 15_000)
        } else {
            self.rng.between(5, 400)
        };
        self.after(
            delay,
            Event::ListsProven {
                owner,
                started,
                servers,
                evacuations,
            },
        );
    }

    pub(crate) fn lists_proven(
        &mut self,
        owner: Owner,
        started: Elapsed,
        servers: Vec<Server>,
        evacuations: Vec<Migration>,
    ) {
        let proven_off = self.journal.proven_off();
        let lists = Lists {
            started,
            servers,
            evacuations,
            proven_off,
        };
        let observation = Box::new(Observation::Lists(Ok(lists)));
        self.after(5, Event::Answer { owner, observation });
    }
}

fn refused(status: Refusal) -> Fault {
    fault(Some(status), false)
}

/// What an owner hears when its call came to nothing, as far as it can tell.
fn failed(command: &Command, started: Elapsed, fault: Fault) -> Observation {
    if let Some((server, call)) = command.server_call() {
        return Observation::ServerCall {
            server,
            call,
            result: Err(fault),
        };
    }
    match command {
        Command::ReadService => Observation::Service(Err(fault)),
        Command::ReadPower => Observation::Power {
            started,
            result: Err(fault),
        },
        Command::PowerOff { .. } => Observation::PowerOff(Err(fault)),
        Command::UpdateService { .. } => Observation::ServiceUpdated(Err(fault)),
        Command::TakeInventory => Observation::Inventory(Err(fault)),
        Command::ReadLists { .. } => Observation::Lists(Err(fault)),
        Command::ReadConductors => Observation::Conductors(Err(fault)),
        Command::ReadServer(server) => Observation::Server {
            server: *server,
            result: Err(fault),
        },
        other => Observation::NotSent(other.clone()),
    }
}
