//! nova-conductor: handles evacuations and chooses their destinations.

use std::time::Duration;

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::cast::{Cast, CastKind};
use crate::model::fault::MoveFault;
use crate::model::migration::MigrationStatus;
use crate::model::server::{Fault, VmState};
use crate::model::{HostIx, ServerIx, State, World};
use crate::region_time::RegionTime;

/// A control-plane service, of which only the heartbeat is simulated.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) binary: &'static str,
    pub(crate) name: String,
    pub(crate) number: u32,
    pub(crate) id: Uuid,
    pub(crate) up: bool,
    pub(crate) heartbeat: crate::model::host::Heartbeat,
}

/// An evacuation on its way through conductor and destination.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Order {
    pub(crate) server: ServerIx,
    pub(crate) requested: Option<HostIx>,
    /// True if the evacuation goes to `requested` without the scheduler.
    pub(crate) force: bool,
    /// True if the instance is left stopped (microversion 2.95 and later).
    pub(crate) leave_stopped: bool,
    /// The migration record that the conductor selected for it.
    pub(crate) migration: Option<u64>,
}

impl State {
    /// Sends the API's message to the conductor.
    pub(crate) fn order_evacuation(&mut self, server_id: Uuid, order: Order) {
        if self.world.faults.at_conductor(server_id, MoveFault::LostCast) {
            return;
        }
        if !self.conductor_alive() {
            self.conductor_backlog.push_back(order);
            return;
        }
        self.plan_order(order);
    }

    fn plan_order(&mut self, order: Order) {
        let gap = self
            .world
            .settings
            .conductor_rate
            .filter(|rate| rate.is_finite() && *rate > 0.0)
            .map_or(Duration::ZERO, |rate| Duration::from_secs(1).div_f64(rate));
        let at = self
            .world
            .now
            .after(self.world.settings.conductor_delay)
            .max(self.conductor_free_at);
        self.conductor_free_at = at.after(gap);
        self.world.agenda.plan(at, Event::Conduct { order });
    }

    pub(crate) fn conductor_alive(&self) -> bool {
        self.controllers
            .iter()
            .any(|row| row.binary == "nova-conductor" && row.up)
    }

    /// Stops or starts a controller; a returning conductor handles the queued messages.
    pub(crate) fn set_controller(&mut self, name: &str, up: bool) -> bool {
        let (now, interval) = (self.world.now, self.world.settings.report_interval);
        let mut found = false;
        for row in self.controllers.iter_mut().filter(|row| row.name == name) {
            row.up = up;
            row.heartbeat.set(up, now, interval);
            found = true;
        }
        if self.conductor_alive() {
            let waiting: Vec<Order> = self.conductor_backlog.drain(..).collect();
            for order in waiting {
                self.plan_order(order);
            }
        }
        found
    }

    pub(crate) fn run_order(&mut self, mut order: Order) {
        if !self.conductor_alive() {
            self.conductor_backlog.push_back(order);
            return;
        }
        let Some(server) = self.world.servers.get(order.server) else {
            return;
        };
        let (server_id, source) = (server.id, server.host);
        // Nova selects the first record that is `accepted`, whatever its origin and purpose.
        order.migration = self
            .world
            .migrations
            .of_server(server_id)
            .find(|row| row.status == MigrationStatus::Accepted)
            .map(|row| row.id);
        let with_fault = self.world.faults.at_conductor(server_id, MoveFault::NoValidHost);
        let dest = match order.requested {
            _ if with_fault => None,
            Some(ix) if order.force => Some(ix),
            Some(ix) => Some(ix).filter(|ix| Some(*ix) != source && self.accepts(*ix, order.server)),
            None => self.schedule(order.server, source),
        };
        let Some(dest) = dest else {
            if let Some(id) = order.migration {
                self.world
                    .migrations
                    .set_status(id, MigrationStatus::Error, self.world.now);
            }
            self.world.fail_server(
                order.server,
                "No valid host was found. There are not enough hosts available.",
            );
            return;
        };
        self.allocate(dest, order.server);
        self.world.cast(
            dest,
            Cast {
                server: order.server,
                server_id,
                kind: CastKind::Rebuild(order),
            },
        );
    }
}

impl World {
    /// Sets a server to `error`, with a fault.
    pub(crate) fn fail_server(&mut self, index: ServerIx, message: &str) {
        let at: RegionTime = self.now;
        let message = message.to_owned();
        self.servers.edit(index, self.now, |server| {
            server.vm_state = VmState::Error;
            server.task_state = None;
            server.fault = Some(Fault { message, at });
        });
    }
}
