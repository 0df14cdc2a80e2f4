//! The whole state: its start, and the passage of time.

use std::collections::VecDeque;

use crate::model::HostIx;
use crate::model::agenda::Event;
use crate::model::aggregate::Aggregates;
use crate::model::catalog::{self, Flavor, Image};
use crate::model::conductor::{Controller, Order};
use crate::model::host::{Heartbeat, Host, NewHost};
use crate::model::scheduler::ServerGroup;
use crate::model::tenants::Tenants;
use crate::model::world::World;
use crate::region_time::RegionTime;
use crate::settings::RegionSettings;

/// The state of the region: the machines, and Nova's API, conductor and scheduler above them.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) aggregates: Aggregates,
    pub(crate) flavors: Vec<Flavor>,
    pub(crate) images: Vec<Image>,
    pub(crate) server_groups: Vec<ServerGroup>,
    pub(crate) controllers: Vec<Controller>,
    pub(crate) conductor_backlog: VecDeque<Order>,
    pub(crate) conductor_free_at: RegionTime,
    pub(crate) tenants: Tenants,
}

impl State {
    pub(crate) fn new(settings: RegionSettings) -> Self {
        let mut state = Self {
            world: World::new(settings),
            aggregates: Aggregates::default(),
            flavors: catalog::flavors(),
            images: Vec::new(),
            server_groups: Vec::new(),
            controllers: Vec::new(),
            conductor_backlog: VecDeque::new(),
            conductor_free_at: RegionTime::START,
            tenants: Tenants::default(),
        };
        let image = state.world.rng.uuid();
        state.images.push(Image {
            id: image,
            name: "cirros".into(),
        });
        state.tenants = Tenants::new(|| state.world.rng.bytes());
        for (name, binary) in [
            ("control-1", "nova-conductor"),
            ("control-2", "nova-conductor"),
            ("control-1", "nova-scheduler"),
        ] {
            let (id, number) = (state.world.rng.uuid(), state.next_service_number());
            let heartbeat = Heartbeat::from(RegionTime::START);
            state.controllers.push(Controller {
                binary,
                name: name.into(),
                number,
                id,
                up: true,
                heartbeat,
            });
        }
        for _ in 0..state.world.settings.fleet.hosts {
            state.add_host();
        }
        state
    }

    fn next_service_number(&self) -> u32 {
        u32::try_from(self.controllers.len() + self.world.hosts.len() + 1).unwrap_or(u32::MAX)
    }

    /// Adds a hypervisor to the fleet.
    pub(crate) fn add_host(&mut self) -> HostIx {
        let position = self.world.hosts.len();
        let rack = position / self.world.settings.fleet.hosts_per_rack.max(1) + 1;
        let host = NewHost {
            name: format!("compute-{:03}", position + 1),
            number: self.next_service_number(),
            rack: format!("rack-{rack}"),
            service_id: self.world.rng.uuid(),
            hypervisor_id: self.world.rng.uuid(),
            system_id: self
                .world
                .rng
                .uuid()
                .simple()
                .to_string()
                .chars()
                .take(6)
                .collect(),
            vcpus: self.world.settings.fleet.vcpus,
            ram_mb: self.world.settings.fleet.ram_mb,
            // Spread over one interval: simultaneous heartbeats would hide defects that depend on a heartbeat's age.
            first_heartbeat: self
                .world
                .now
                .after(self.world.rng.up_to(self.world.settings.report_interval)),
        };
        self.world.hosts.push(Host::new(host))
    }

    /// Advances the time, and handles due events in order, each at its own time.
    pub(crate) fn advance(&mut self, to: RegionTime) {
        while let Some((at, event)) = self.world.agenda.pop_due(to) {
            self.world.now = self.world.now.max(at);
            match self.world.apply(event) {
                Some(Event::Conduct { order }) => self.run_order(order),
                Some(Event::Build { server }) => self.build(server),
                _ => {}
            }
        }
        self.world.now = self.world.now.max(to);
    }
}
