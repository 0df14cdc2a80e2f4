//! Calls: their transport and their effect on arrival.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::Elapsed;
use tachi_domain::Timestamp;
use tachi_domain::fault::{Fault, FaultClass};
use tachi_domain::level::Target;
use tachi_domain::machine_id::{KnownMachine, MachineId};
use tachi_domain::nova::{Actor, Migration, PowerState, Server, VmState};
use tachi_domain::power::{Power, PowerReading};
use tachi_domain::recovery::{
    Command, Evacuations, InCell, Inventory, Lists, Messaging, Observation, ServerIds, ServiceUpdate,
    UnknownEvacuations,
};

use crate::devices;
use crate::machines::Bmc;
use crate::mishap::Mishap;
use crate::more_weather::ReturnMoment;
use crate::mutate::mutated;
use crate::nova::{HostIx, Refusal, ServerIx, host_name};
use crate::reserve::{self, target_of};
use crate::world::{Event, HOSTS, Owner, World, note};

/// Timeout of a call (D).
pub(crate) const DEADLINE: u64 = 20_000;
/// Maximum time that a proxy may delay a call beyond its timeout (Q).
pub(crate) const HOLD: u64 = 60_000;

/// A list of a host between the reads that it consists of.
#[derive(Debug)]
pub(crate) struct InventoryRead {
    migrations: Vec<Migration>,
    unknown: Option<UnknownEvacuations>,
}

pub(crate) fn fault(status: Option<u16>, maybe_done: bool) -> Fault {
    let class = match status {
        Some(400 | 403 | 404) => FaultClass::Permanent,
        Some(401) => FaultClass::Fatal,
        Some(409) => FaultClass::Conflict,
        _ => FaultClass::Transient,
    };
    Fault {
        class,
        status,
        maybe_done,
        text: format!("nova answered {status:?}"),
    }
}

pub(crate) fn index_of(server: tachi_domain::ServerId) -> ServerIx {
    usize::try_from(server.0.as_u128() - 0x5e7).unwrap()
}

impl World {
    /// Sends a call. Faults occur only during the chaos phase.
    pub(crate) fn travel(&mut self, owner: Owner, command: Command, started: Elapsed) {
        if let Command::RunHook(call) = &command {
            return self.run_hook(owner, call);
        }
        let latency = self.rng.between(5, 60);
        let chaos = self.chaos();
        let write = command.is_write();
        let lost = chaos && self.rng.percent(self.weather.lost);
        let unavailable = chaos && self.rng.percent(self.weather.unavailable);
        let timeout = self.now + DEADLINE;
        let down = self
            .weather
            .more
            .nova_down
            .is_some_and(|(from, to)| self.now >= from && self.now < to);
        if down && touches_nova(&command) {
            self.mishap(Mishap::NovaDown);
            let observation = Box::new(failed(&command, started, fault(Some(503), false)));
            self.after(latency * 2, Event::Answer { owner, observation });
        } else if lost {
            match self.rng.between(0, 3) {
                // The call arrived, and the answer was lost.
                1 if write => {
                    self.mishap(Mishap::TimeoutAtOnce);
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
                // A proxy delayed the call.
                2 | 3 if write => {
                    self.stats.late_effects += 1;
                    self.mishap(Mishap::TimeoutLater);
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
                // The call never arrived.
                _ => self.mishap(Mishap::TimeoutNothing),
            }
            let observation = Box::new(failed(&command, started, fault(None, true)));
            self.at(timeout, Event::Answer { owner, observation });
        } else if unavailable {
            let status = self.draw_status(&command);
            let maybe = status >= 500;
            let done = write && maybe && self.rng.percent(50);
            self.mishap(match status {
                400 => Mishap::Refused400,
                404 => Mishap::ForeignNotFound,
                401 => Mishap::Refused401,
                409 => Mishap::Refused409,
                429 => Mishap::Refused429,
                _ if done => Mishap::Failed5xxDone,
                _ => Mishap::Failed5xx,
            });
            if done {
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

    /// Draws Nova's status for a call without effect. Only some calls can receive 400 or 409.
    fn draw_status(&mut self, command: &Command) -> u16 {
        let may_conflict = matches!(
            command,
            Command::Evacuate(_)
                | Command::Restore { .. }
                | Command::Stop(_)
                | Command::Start(_)
                | Command::Migrate(_)
                | Command::ConfirmMigration(_)
                | Command::LiveMigrate { .. }
        );
        if matches!(command, Command::Evacuate(_)) && self.rng.percent(self.weather.not_found) {
            return 404;
        }
        match self.rng.between(0, 11) {
            0 | 1 if may_conflict => 409,
            2 | 9 if matches!(command, Command::Evacuate(_)) => 400,
            3 => 401,
            4 => 500,
            5 => 502,
            6 | 7 => 503,
            8 => 504,
            _ => 429,
        }
    }

    /// Applies a call, or answers a query, now.
    pub(crate) fn effect(&mut self, owner: Owner, command: &Command, started: Elapsed, answer: Option<u64>) {
        let observation = if command.is_write() {
            self.takes_effect(owner, command, started, answer)
        } else {
            self.query(owner, |world| world.takes_effect(owner, command, started, answer))
        };
        let (Some(after), Some(observation)) = (answer, observation) else {
            return;
        };
        // Observations of the service record and the region are matched to their query, and a query has one
        // answer. Observations with their own query time may arrive twice.
        let dated = !matches!(
            command,
            Command::ReadService | Command::ScanHosts | Command::FollowMove(_)
        );
        if !command.is_write() && self.chaos() && self.rng.percent(2) && dated {
            self.mishap(Mishap::AnswerTwice);
            let observation = Box::new(observation.clone());
            self.after(after + 40, Event::Answer { owner, observation });
        }
        let observation = Box::new(observation);
        self.after(after, Event::Answer { owner, observation });
    }

    /// Returns the answer, or `None` if it needs further queries.
    fn takes_effect(
        &mut self,
        owner: Owner,
        command: &Command,
        started: Elapsed,
        answer: Option<u64>,
    ) -> Option<Observation> {
        let host = self.journal.recs[owner.rec].host;
        Some(match command {
            Command::ScanHosts if self.database_down() => Observation::NotSent(command.clone()),
            Command::ScanHosts => Observation::Region(self.scan_region()),
            Command::ReadService => Observation::Service(Ok(self.nova.show_service(host, self.now))),
            Command::ReadLevels => Observation::Levels(devices::levels(host, self.weather.more.outlets)),
            Command::ReadPower(target) => Observation::Power {
                target: target.clone(),
                started,
                waited: Duration::ZERO,
                result: self.read_power(host, target),
            },
            Command::PowerOff { target, .. } => Observation::PowerOff {
                target: target.clone(),
                result: self.order_off(host, target),
            },
            Command::PowerOn { target, .. } => Observation::PowerOn {
                target: target.clone(),
                result: self.order_on(host, target),
            },
            Command::UpdateService { id, update } => {
                let result = self.nova.update_service(host, *id, update, self.now);
                note!(self, "effect: {update:?} of host {host}: {result:?}");
                if result.is_ok() && *update == ServiceUpdate::ClearForcedDown {
                    self.cleared.insert(host);
                    if !self.machines[host].beats() && self.machines[host].life == 0 && !self.weather.foreign
                    {
                        self.violate(format!(
                            "forced_down of host {host} is cleared, and the host is not back (R22)"
                        ));
                    }
                }
                if self.nova.services[host].forced_down {
                    self.stops_before_poll(owner.engine);
                    self.worst_moment(ReturnMoment::ForcedDown);
                }
                let shown = self.nova.show_service(host, self.now);
                let shown = result.and_then(|()| shown.ok_or(404));
                Observation::ServiceUpdated(shown.map_err(refused))
            }
            Command::TakeInventory { unknown, .. } => {
                self.past.begin_list(owner.rec, self.now);
                let read = InventoryRead {
                    migrations: self.nova.migrations_touching(host),
                    unknown: unknown.clone(),
                };
                let delay = self.rng.between(5, 400);
                self.after(delay, Event::InventoryServers { owner, read });
                return None;
            }
            Command::ReadLists { since } => {
                let servers = self.nova.servers_on(host);
                let delay = self.rng.between(5, 400);
                let next = Event::ListsEvacuations {
                    owner,
                    started,
                    since: *since,
                    servers,
                };
                self.after(delay, next);
                return None;
            }
            Command::ReadEvacuations { since } => Observation::Evacuations(Ok(Evacuations {
                started,
                records: self.nova.evacuations_from(host, *since),
            })),
            Command::ReadServerIds => Observation::ServerIds(Ok(ServerIds {
                started,
                ids: self
                    .nova
                    .servers_on(host)
                    .iter()
                    .map(|server| server.id)
                    .collect(),
            })),
            Command::Reserve(call) => self.reserve_effect(host, call),
            Command::ReadConductors => Observation::Conductors(Ok(self.messaging())),
            Command::ReadServer(server) => Observation::Server {
                server: *server,
                result: Ok(self.nova.show(index_of(*server))),
            },
            Command::ReadActions(server) => Observation::Actions {
                server: *server,
                result: Ok(self.nova.actions(index_of(*server))),
            },
            Command::FollowMove(server) => self.followed(*server),
            other => self.server_effect(other, answer.is_some()),
        })
    }

    fn server_effect(&mut self, command: &Command, in_time: bool) -> Observation {
        let (id, call) = command.server_call().unwrap();
        let server = index_of(id);
        let result = match command {
            Command::Lock { reason, .. } => self.nova.lock(server, Some(reason)),
            Command::Unlock(_) => {
                self.check_unlock(server, in_time);
                self.nova.lock(server, None)
            }
            Command::Prepare(_) => self.nova.mark_error(server),
            Command::Evacuate(_) => {
                self.worst_moment(ReturnMoment::Evacuate);
                self.evacuate(server, target_of(command))
            }
            Command::Stop(_) => self.cast(server, false),
            Command::Start(_) => {
                self.check_start(server);
                self.cast(server, true)
            }
            Command::Migrate(_) => self.cold_migrate(server),
            Command::ConfirmMigration(_) => self.confirm_migration(server),
            Command::Activate { .. } => Err(409),
            Command::LiveMigrate { target, .. } => self.live_migrate(server, target.as_deref()),
            Command::AbortMigration { migration, .. } => self.abort_migration(server, migration.0),
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
        if result == Err(404) {
            self.mishap(Mishap::Refused404);
        }
        Observation::ServerCall {
            server: id,
            call,
            result: result.map_err(refused),
        }
    }

    /// Casts a VM recovery's stop or start to the host, as Nova does, whether or not the host is up.
    fn cast(&mut self, server: ServerIx, runs: bool) -> Result<(), Refusal> {
        let row = &mut self.nova.servers[server];
        if !row.exists {
            return Err(404);
        }
        let fits = if runs {
            row.vm_state == VmState::Stopped
        } else {
            matches!(row.vm_state, VmState::Active | VmState::Error)
        };
        if !fits || row.task_state.is_some() {
            return Err(409);
        }
        row.task_state = Some(if runs { "powering-on" } else { "powering-off" });
        row.actions
            .push((if runs { "start" } else { "stop" }, Actor::Ours));
        let host = row.host;
        let life = self.machines[host].life;
        if !self.machines[host].beats() && runs {
            // The host has died since its last heartbeat: the call waits in its queue (R12).
            self.queued.push((host, server));
        }
        let delay = self.rng.between(300, 6_000);
        self.after(
            delay,
            Event::ReportLedger {
                server,
                host,
                life,
                runs,
            },
        );
        Ok(())
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

    /// Returns the machine that a device names: its own host, another host, or none.
    fn named(&self, host: HostIx, target: &Target) -> Option<MachineId> {
        let names = host == 0 && self.weather.bmc == Bmc::Named && !devices::is_outlet(target);
        let foreign = self.machines[host].bmc == Bmc::Named;
        names.then(|| devices::machine(if foreign { HOSTS } else { host }))
    }

    /// Checks the machine's identity, as the engine does before it trusts or commands a device.
    fn compare(&mut self, host: HostIx, target: &Target) -> Result<(), Fault> {
        let answers = self.named(host, target);
        let known = KnownMachine {
            expected: answers.is_some().then(|| devices::machine(host)),
            ..KnownMachine::default()
        };
        let Err(doubt) = known.judge(answers.as_ref()) else {
            return Ok(());
        };
        self.mishaps.happened(Mishap::PowerNamed);
        if mutated("machine") {
            return Ok(());
        }
        let (host, device) = (host_name(host), target.to_string());
        Err(Fault {
            class: FaultClass::Conflict,
            status: None,
            maybe_done: false,
            text: known.sentence(&doubt, &host, &device, answers.as_ref()),
        })
    }

    fn read_power(&mut self, host: HostIx, target: &Target) -> Result<PowerReading, Fault> {
        self.compare(host, target)?;
        let named = self.named(host, target);
        let machine = &mut self.machines[host];
        let truth = if machine.powered { Power::On } else { Power::Off };
        let power = match machine.bmc {
            _ if devices::is_outlet(target) => {
                self.mishaps.happened(Mishap::LevelFails);
                truth
            }
            Bmc::Truth | Bmc::NoEffect => truth,
            Bmc::WrongMachine => {
                self.mishaps.happened(Mishap::PowerForeign);
                Power::Off
            }
            Bmc::Named => Power::Off,
            Bmc::EverOff => {
                self.mishaps.happened(Mishap::PowerEverOff);
                Power::Off
            }
            Bmc::OffOnce => {
                machine.bmc = Bmc::Truth;
                if machine.powered {
                    self.mishaps.happened(Mishap::PowerFlickers);
                }
                Power::Off
            }
            Bmc::Unknown => {
                self.mishaps.happened(Mishap::PowerUnknown);
                Power::Unknown
            }
            Bmc::Dead => {
                self.mishaps.happened(Mishap::PowerDead);
                return Err(fault(Some(503), false));
            }
        };
        Ok(PowerReading {
            power,
            raw: format!("{power:?}"),
            device: target.endpoint.clone(),
            at: Timestamp::from_micros(0),
            machine: named,
        })
    }

    fn order_off(&mut self, host: HostIx, target: &Target) -> Result<(), Fault> {
        note!(
            self,
            "host {host} receives a power-off from {target} ({:?})",
            self.machines[host].bmc
        );
        if devices::is_outlet(target) {
            let delay = self.rng.between(500, 9_000);
            self.after(delay, Event::PowerOff { host });
            return Ok(());
        }
        self.compare(host, target)?;
        match self.machines[host].bmc {
            Bmc::WrongMachine | Bmc::Named => Ok(()),
            Bmc::Truth | Bmc::OffOnce | Bmc::Unknown | Bmc::EverOff => {
                if self.rng.percent(30) && self.chaos() {
                    // The controller still reports a false "off" once while the host goes down.
                    self.machines[host].bmc = Bmc::OffOnce;
                }
                let delay = self.rng.between(500, 9_000);
                self.after(delay, Event::PowerOff { host });
                Ok(())
            }
            Bmc::NoEffect => {
                self.mishap(Mishap::PowerNoEffect);
                Ok(())
            }
            Bmc::Dead => {
                self.mishap(Mishap::PowerDead);
                Err(fault(Some(503), false))
            }
        }
    }

    fn order_on(&mut self, host: HostIx, target: &Target) -> Result<(), Fault> {
        note!(self, "host {host} receives a power-on from {target}");
        self.compare(host, target)?;
        self.stats.power_ons += 1;
        match self.machines[host].bmc {
            Bmc::Dead if !devices::is_outlet(target) => Err(fault(Some(503), false)),
            Bmc::NoEffect | Bmc::WrongMachine | Bmc::Named if !devices::is_outlet(target) => Ok(()),
            Bmc::Truth
            | Bmc::OffOnce
            | Bmc::Unknown
            | Bmc::Dead
            | Bmc::NoEffect
            | Bmc::WrongMachine
            | Bmc::Named
            | Bmc::EverOff => {
                let delay = self.rng.between(500, 9_000);
                self.after(delay, Event::Boot { host });
                Ok(())
            }
        }
    }

    fn messaging(&self) -> Messaging {
        let services: Vec<_> = (0..HOSTS)
            .filter_map(|host| self.nova.show_service(host, self.now))
            .collect();
        Messaging::of(!self.conductors_down(), &services)
    }

    pub(crate) fn inventory_servers(&mut self, owner: Owner, read: InventoryRead) {
        let host = self.journal.recs[owner.rec].host;
        let servers = self.query(owner, |world| world.nova.servers_on(host));
        let delay = self.rng.between(5, 400);
        self.after(delay, Event::InventoryService { owner, read, servers });
    }

    pub(crate) fn inventory_service(&mut self, owner: Owner, read: InventoryRead, servers: Vec<Server>) {
        let InventoryRead { migrations, unknown } = read;
        let host = self.journal.recs[owner.rec].host;
        let service = self.query(owner, |world| world.nova.show_service(host, world.now));
        // A cell that is down hides servers and migrations.
        let hidden = self.chaos() && self.rng.percent(self.weather.unavailable / 2);
        // The cell is down for every list query, and possibly for the direct query.
        let blips = self.chaos() && self.rng.percent(self.weather.cell_blips);
        let servers = if blips {
            self.mishap(Mishap::CellBlips);
            Vec::new()
        } else {
            servers
        };
        let in_cell = if servers.is_empty() {
            self.query(owner, |world| world.in_cell(host))
        } else {
            InCell::NotQueried
        };
        let inventory = if hidden {
            self.mishap(Mishap::CellHidden);
            Inventory {
                migrations: Vec::new(),
                servers: Vec::new(),
                evacuated: Vec::new(),
                in_cell: InCell::NotQueried,
                service: None,
                written_off: BTreeMap::new(),
                may_run: BTreeMap::new(),
                local_disks: BTreeSet::new(),
            }
        } else {
            let unknown = unknown.map(|of| of.servers(&host_name(host), &migrations, &servers));
            let unknown = unknown.filter(|servers| !servers.is_empty());
            let evacuated = unknown.map_or_else(Vec::new, |servers| {
                let read = |world: &mut Self| {
                    let shown = servers
                        .iter()
                        .filter_map(|server| world.nova.show(index_of(*server)));
                    shown.collect()
                };
                self.query(owner, read)
            });
            Inventory {
                migrations,
                servers,
                evacuated,
                in_cell,
                service,
                written_off: self.journal.written_off(self.journal.recs[owner.rec].host),
                may_run: self.journal.may_run(),
                local_disks: self.local_disks_of(host),
            }
        };
        let observation = Box::new(Observation::Inventory(Ok(inventory)));
        self.after(5, Event::Answer { owner, observation });
    }

    fn in_cell(&mut self, host: HostIx) -> InCell {
        let blips = self.weather.cell_blips;
        if blips > 0 && self.chaos() && self.rng.percent(blips) {
            self.mishap(Mishap::CellQuery);
            return InCell::Failed(fault(Some(500), false));
        }
        InCell::Has(self.nova.servers_on(host).len())
    }

    pub(crate) fn lists_evacuations(
        &mut self,
        owner: Owner,
        started: Elapsed,
        since: Option<Timestamp>,
        servers: Vec<Server>,
    ) {
        let host = self.journal.recs[owner.rec].host;
        let evacuations = self.query(owner, |world| world.nova.evacuations_from(host, since));
        let slow = self.chaos() && self.rng.percent(5);
        let delay = if slow {
            self.mishap(Mishap::ListsSlow);
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
        if self.database_down() {
            let observation = Box::new(Observation::Lists(Err(fault(None, false))));
            return self.after(5, Event::Answer { owner, observation });
        }
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

fn touches_nova(command: &Command) -> bool {
    !matches!(
        command,
        Command::ScanHosts
            | Command::ReadLevels
            | Command::ReadPower(_)
            | Command::PowerOff { .. }
            | Command::PowerOn { .. }
    )
}

fn refused(status: Refusal) -> Fault {
    fault(Some(status), false)
}

/// Returns the owner's observation of a failed call.
fn failed(command: &Command, started: Elapsed, fault: Fault) -> Observation {
    if let Some((server, call)) = command.server_call() {
        return Observation::ServerCall {
            server,
            call,
            result: Err(fault),
        };
    }
    match command {
        Command::Reserve(call) => reserve::failed(call, fault),
        Command::ReadService => Observation::Service(Err(fault)),
        Command::ReadPower(target) => Observation::Power {
            target: target.clone(),
            started,
            waited: Duration::ZERO,
            result: Err(fault),
        },
        Command::PowerOff { target, .. } => Observation::PowerOff {
            target: target.clone(),
            result: Err(fault),
        },
        Command::PowerOn { target, .. } => Observation::PowerOn {
            target: target.clone(),
            result: Err(fault),
        },
        Command::UpdateService { .. } => Observation::ServiceUpdated(Err(fault)),
        Command::TakeInventory { .. } => Observation::Inventory(Err(fault)),
        Command::ReadLists { .. } => Observation::Lists(Err(fault)),
        Command::ReadEvacuations { .. } => Observation::Evacuations(Err(fault)),
        Command::ReadServerIds => Observation::ServerIds(Err(fault)),
        Command::ReadConductors => Observation::Conductors(Err(fault)),
        Command::ReadServer(server) => Observation::Server {
            server: *server,
            result: Err(fault),
        },
        Command::ReadActions(server) => Observation::Actions {
            server: *server,
            result: Err(fault),
        },
        Command::FollowMove(server) => Observation::Followed {
            server: *server,
            result: Err(fault),
        },
        other => Observation::NotSent(other.clone()),
    }
}
