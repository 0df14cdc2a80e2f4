//! Machines, their nova-compute services, and Nova's rows that these write.

use crate::model::agenda::{Agenda, Event};
use crate::model::fault::MoveFaults;
use crate::model::host::Hosts;
use crate::model::migration::Migrations;
use crate::model::rng::RegionRng;
use crate::model::server::Servers;
use crate::region_time::RegionTime;
use crate::settings::RegionSettings;

/// The state that machines and their nova-compute services change. It is independent of API, conductor and scheduler: messages
/// arrive ([`World::cast`]), and time passes.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) settings: RegionSettings,
    pub(crate) now: RegionTime,
    pub(crate) rng: RegionRng,
    pub(crate) hosts: Hosts,
    pub(crate) servers: Servers,
    pub(crate) migrations: Migrations,
    pub(crate) faults: MoveFaults,
    pub(crate) agenda: Agenda,
}

impl World {
    pub(crate) fn new(settings: RegionSettings) -> Self {
        Self {
            now: RegionTime::START,
            rng: RegionRng::of(settings.seed),
            hosts: Hosts::default(),
            servers: Servers::default(),
            migrations: Migrations::default(),
            faults: MoveFaults::default(),
            agenda: Agenda::default(),
            settings,
        }
    }

    /// Handles an event of a machine; returns any other event.
    pub(crate) fn apply(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::AgentStart { host, incarnation } => {
                if self.hosts[host].incarnation == incarnation {
                    self.start_agent(host);
                }
            }
            Event::PowerSync { host, incarnation } => self.sync_power(host, incarnation),
            Event::Deliver {
                host,
                incarnation,
                cast,
            } => self.deliver(host, incarnation, cast),
            Event::RebuildSpawn { rebuild } => self.rebuild_spawn(rebuild),
            Event::RebuildFinish { rebuild } => self.rebuild_finish(&rebuild),
            Event::LiveSwitch { live } => self.live_switch(live),
            Event::LiveFinish { live } => self.live_finish(&live),
            Event::ColdArrive { cold } => self.cold_arrive(&cold),
            // MAAS orders "cycle, or on if off": a machine that runs is switched off first.
            Event::Power { host, on: true } => {
                self.power_off(host);
                self.power_on(host);
            }
            Event::Power { host, on: false } => self.power_off(host),
            Event::Conduct { .. } | Event::Build { .. } => return Some(event),
        }
        None
    }
}
