//! The destination's half of an evacuation.

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::cast::RebuildOrder;
use crate::model::conductor::Order;
use crate::model::fault::MoveFault;
use crate::model::host::GuestPower;
use crate::model::migration::MigrationStatus;
use crate::model::server::{TaskState, VmState};
use crate::model::{HostIx, ServerIx, World};
use crate::region_time::RegionTime;

/// A rebuild in progress on its destination.
#[derive(Debug, Clone)]
pub(crate) struct Rebuild {
    server: ServerIx,
    server_id: Uuid,
    dest: HostIx,
    incarnation: u64,
    began: RegionTime,
    migration: Option<u64>,
    stop_after: bool,
    fails: bool,
    finish_delay: std::time::Duration,
}

impl World {
    /// Handles an order that has reached its destination.
    pub(crate) fn rebuild_instance(&mut self, dest: HostIx, server_id: Uuid, order: Order) {
        let limit = self.settings.rebuild_concurrency.unwrap_or(usize::MAX);
        let host = &mut self.hosts[dest];
        if host.rebuilding >= limit {
            host.waiting.push_back(RebuildOrder { server_id, order });
            return;
        }
        if self.servers.get(order.server).is_some() {
            self.hosts[dest].rebuilding += 1;
            self.claim(dest, server_id, order);
        }
    }

    fn claim(&mut self, dest: HostIx, server_id: Uuid, order: Order) {
        let index = order.server;
        let Some(server) = self.servers.get(index) else {
            return;
        };
        let (vm_state, task_state) = (server.vm_state, server.task_state);
        let host = &self.hosts[dest];
        let (name, node, ip, incarnation) = (
            host.name.to_string(),
            host.node.clone(),
            host.ip.clone(),
            host.incarnation,
        );
        if let Some(id) = order.migration {
            self.migrations.set_dest(id, &name, &node, &ip, self.now);
            self.migrations
                .set_status(id, MigrationStatus::PreMigrating, self.now);
        }
        let fault = self.faults.at_dest(server_id, &name);
        if fault == Some(MoveFault::LateFailure) {
            self.end_failed(dest, index, order.migration);
            // A late claim failure rolls back: the instance keeps its earlier state.
            self.servers
                .edit(index, self.now, |server| server.task_state = None);
            return;
        }
        if self.hosts[dest]
            .concurrent_rebuilds
            .join(index, order.migration, self.now)
        {
            return;
        }
        // Nova saves here with "expected rebuilding", and refuses a guest that the hypervisor knows already.
        let unexpected = task_state != Some(TaskState::Rebuilding);
        if unexpected || self.hosts[dest].guests.contains_key(&index) {
            self.end_failed(dest, index, order.migration);
            let reason = if unexpected {
                "Unexpected task state"
            } else {
                "Instance already exists"
            };
            self.fail_server(index, reason);
            return;
        }
        self.servers.edit(index, self.now, |server| {
            server.task_state = Some(TaskState::RebuildSpawning);
        });
        match fault {
            Some(MoveFault::Hang) => return,
            Some(MoveFault::DestinationDies { millis }) => {
                let at = self.now.after(std::time::Duration::from_millis(millis));
                self.agenda.plan(
                    at,
                    Event::Power {
                        host: dest,
                        on: false,
                    },
                );
            }
            _ => {}
        }
        let spread = self.rng.up_to(self.settings.rebuild_spread);
        let total =
            self.settings.rebuild_time + spread + fault.map_or(std::time::Duration::ZERO, MoveFault::extra);
        self.hosts[dest].concurrent_rebuilds.begin(index, self.now);
        // The guest starts shortly before Nova records its host: late failures happen in that gap.
        let finish_delay = total / 10;
        let rebuild = Box::new(Rebuild {
            server: index,
            server_id,
            dest,
            incarnation,
            began: self.now,
            migration: order.migration,
            stop_after: (order.leave_stopped && vm_state != VmState::Error) || vm_state == VmState::Stopped,
            fails: fault == Some(MoveFault::Error),
            finish_delay,
        });
        self.agenda.plan(
            self.now.after(total.saturating_sub(finish_delay)),
            Event::RebuildSpawn { rebuild },
        );
    }

    pub(crate) fn rebuild_spawn(&mut self, rebuild: Box<Rebuild>) {
        if !self.hosts[rebuild.dest].works_since(rebuild.incarnation) {
            return;
        }
        let (index, dest) = (rebuild.server, rebuild.dest);
        let Some(server) = self.servers.get(index) else {
            self.end_concurrent_rebuilds(dest, index, rebuild.began);
            self.free_slot(dest);
            return;
        };
        let expected = server.task_state == Some(TaskState::RebuildSpawning);
        if rebuild.fails {
            self.end_failed(dest, index, rebuild.migration);
            self.fail_server(
                index,
                "Build of instance aborted: the rebuild failed on its destination",
            );
            self.end_concurrent_rebuilds(dest, index, rebuild.began);
            return;
        }
        self.hosts
            .set_guest(dest, index, rebuild.server_id, GuestPower::Running, self.now);
        if !expected {
            // The task state was changed meanwhile: Nova gives up, and the started guest runs on.
            self.end_failed(dest, index, rebuild.migration);
            self.fail_server(index, "Unexpected task state");
            self.end_concurrent_rebuilds(dest, index, rebuild.began);
            return;
        }
        let now = self.now;
        let stop_after = rebuild.stop_after;
        self.servers.edit(index, self.now, |server| {
            server.vm_state = VmState::Active;
            server.power_state = GuestPower::Running.power_state();
            server.task_state = stop_after.then_some(TaskState::PoweringOff);
            server.launched = Some(now);
            server.fault = None;
        });
        self.agenda
            .plan(now.after(rebuild.finish_delay), Event::RebuildFinish { rebuild });
    }

    pub(crate) fn rebuild_finish(&mut self, rebuild: &Rebuild) {
        if !self.hosts[rebuild.dest].works_since(rebuild.incarnation) {
            return;
        }
        let (index, dest) = (rebuild.server, rebuild.dest);
        let Some(server) = self.servers.get(index) else {
            self.hosts.destroy_guest(dest, index, self.now);
            self.end_concurrent_rebuilds(dest, index, rebuild.began);
            self.free_slot(dest);
            return;
        };
        if let Some(source) = server.host {
            self.hosts[source].servers.remove(&index);
        }
        if rebuild.stop_after {
            self.stop_instance(dest, index, rebuild.server_id);
        }
        self.hosts[dest].servers.insert(index);
        self.servers
            .edit(index, self.now, |server| server.host = Some(dest));
        if let Some(id) = rebuild.migration {
            self.migrations.set_status(id, MigrationStatus::Done, self.now);
        }
        self.end_concurrent_rebuilds(dest, index, rebuild.began);
        self.free_slot(dest);
    }

    /// Fails the record, and releases the destination's allocation and slot.
    fn end_failed(&mut self, dest: HostIx, index: ServerIx, migration: Option<u64>) {
        if let Some(id) = migration {
            self.migrations.set_status(id, MigrationStatus::Failed, self.now);
        }
        if !self.hosts[dest].guests.contains_key(&index) {
            self.hosts[dest].release(index);
        }
        self.free_slot(dest);
    }

    pub(crate) fn free_slot(&mut self, dest: HostIx) {
        let host = &mut self.hosts[dest];
        host.rebuilding = host.rebuilding.saturating_sub(1);
        if let Some(next) = host.waiting.pop_front() {
            self.rebuild_instance(dest, next.server_id, next.order);
        }
    }
}
