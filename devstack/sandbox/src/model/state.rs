//! The state as a whole: how it begins and how time passes in it.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::model::agenda::{Agenda, Event};
use crate::model::aggregate::Aggregates;
use crate::model::catalog::{self, Flavor, Image};
use crate::model::conductor::{Controller, Order};
use crate::model::fault::MoveFaults;
use crate::model::host::{Heartbeat, Host, Hosts, NewHost};
use crate::model::migration::Migrations;
use crate::model::scheduler::ServerGroup;
use crate::model::server::{Server, Servers};
use crate::model::tenants::Tenants;
use crate::model::{HostIx, ServerNo};
use crate::moment::Moment;
use crate::settings::RegionSettings;

/// Everything there is in the region.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) settings: RegionSettings,
    pub(crate) now: Moment,
    pub(crate) rng: StdRng,
    pub(crate) hosts: Hosts,
    pub(crate) servers: Servers,
    pub(crate) migrations: Migrations,
    pub(crate) aggregates: Aggregates,
    pub(crate) flavors: Vec<Flavor>,
    pub(crate) images: Vec<Image>,
    pub(crate) server_groups: Vec<ServerGroup>,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) conductor_backlog: VecDeque<Order>,
    pub(crate) conductor_free_at: Moment,
    pub(crate) faults: MoveFaults,
    pub(crate) ledger: Ledger,
    pub(crate) agenda: Agenda,
    pub(crate) tenants: Tenants,
}

impl State {
    pub(crate) fn new(settings: RegionSettings) -> Self {
        let mut state = Self {
            now: Moment::START,
            rng: StdRng::seed_from_u64(settings.seed),
            hosts: Hosts::default(),
            servers: Servers::default(),
            migrations: Migrations::default(),
            aggregates: Aggregates::default(),
            flavors: catalog::flavors(),
            images: Vec::new(),
            server_groups: Vec::new(),
            controllers: Vec::new(),
            conductor_backlog: VecDeque::new(),
            conductor_free_at: Moment::START,
            faults: MoveFaults::default(),
            ledger: Ledger::default(),
            agenda: Agenda::default(),
            tenants: Tenants::default(),
            settings,
        };
        let image = state.new_uuid();
        state.images.push(Image {
            id: image,
            name: "cirros".into(),
        });
        state.tenants = Tenants::new(|| state.rng.random());
        for (name, binary) in [
            ("control-1", "nova-conductor"),
            ("control-2", "nova-conductor"),
            ("control-1", "nova-scheduler"),
        ] {
            let (id, number) = (state.new_uuid(), state.next_service_number());
            let heartbeat = Heartbeat::from(Moment::START);
            state.controllers.push(Controller {
                binary,
                name: name.into(),
                number,
                id,
                up: true,
                heartbeat,
            });
        }
        for _ in 0..state.settings.fleet.hosts {
            state.add_host();
        }
        state
    }

    fn next_service_number(&self) -> u32 {
        u32::try_from(self.controllers.len() + self.hosts.len() + 1).unwrap_or(u32::MAX)
    }

    /// Adds a hypervisor to the fleet.
    pub(crate) fn add_host(&mut self) -> HostIx {
        let position = self.hosts.len();
        let rack = position / self.settings.fleet.hosts_per_rack.max(1) + 1;
        let host = NewHost {
            name: format!("compute-{:03}", position + 1),
            number: self.next_service_number(),
            rack: format!("rack-{rack}"),
            service_id: self.new_uuid(),
            hypervisor_id: self.new_uuid(),
            system_id: self.new_uuid().simple().to_string().chars().take(6).collect(),
            vcpus: self.settings.fleet.vcpus,
            ram_mb: self.settings.fleet.ram_mb,
            // Spread over one interval: a fleet that beats in step would hide what depends on a heartbeat's age.
            first_beat: self.now.after(self.draw(self.settings.report_interval)),
        };
        self.hosts.push(Host::new(host))
    }

    /// Lets time pass; what is due happens at its own moment, in order.
    pub(crate) fn advance(&mut self, to: Moment) {
        while let Some((at, event)) = self.agenda.pop_due(to) {
            self.now = self.now.max(at);
            self.happen(event);
        }
        self.now = self.now.max(to);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::AgentStart { host, life } => {
                if self.hosts[host].life == life {
                    self.start_agent(host);
                }
            }
            Event::PowerSync { host, life } => self.sync_power(host, life),
            Event::Deliver { host, life, cast } => self.deliver(host, life, cast),
            Event::Conduct { order } => self.conduct(order),
            Event::Build { server } => self.build(server),
            Event::RebuildSpawn { rebuild } => self.rebuild_spawn(rebuild),
            Event::RebuildFinish { rebuild } => self.rebuild_finish(&rebuild),
            Event::LiveSwitch { live } => self.live_switch(live),
            Event::LiveFinish { live } => self.live_finish(&live),
            // MAAS orders "cycle, or on if off": a machine that runs is switched off first.
            Event::Power { host, on: true } => {
                self.power_off(host);
                self.power_on(host);
            }
            Event::Power { host, on: false } => self.power_off(host),
        }
    }

    /// Changes a server's row, as Nova does: with `updated_at`.
    pub(crate) fn edit(&mut self, no: ServerNo, change: impl FnOnce(&mut Server)) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(no) {
            change(server);
            server.updated = now;
        }
    }

    /// A random id that the seed decides.
    pub(crate) fn new_uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(self.rng.random()).into_uuid()
    }

    /// A duration from zero up to `most`, drawn from the seed.
    pub(crate) fn draw(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.rng.random::<f64>())
    }
}
