//! Two concurrent orders for one server at one destination.
//!
//! Nova accepts an evacuation of a server that is being evacuated, so a destination may find both orders in its queue.
//! Both read the server while its task is `rebuilding` and pass that check. The second one meets the task state that the
//! first has set only when it saves `rebuild_block_device_mapping`, and the failure's handler then writes that task
//! state together with `error`. Nova 34 was observed to do so after the first had ended: the record, which both use,
//! goes from `done` to `failed`.

use std::collections::HashMap;

use crate::model::migration::MigrationStatus;
use crate::model::server::{Fault, TaskState, VmState};
use crate::model::{HostIx, ServerIx, World};
use crate::region_time::RegionTime;

/// The running rebuilds of a destination, each with the later orders for the same server.
#[derive(Debug, Default)]
pub(crate) struct ConcurrentRebuilds {
    started_rebuilds: HashMap<ServerIx, StartedRebuild>,
}

#[derive(Debug)]
struct StartedRebuild {
    at: RegionTime,
    /// The migration records of the later orders; `None` for an order without one.
    behind: Vec<Option<u64>>,
}

impl ConcurrentRebuilds {
    /// Records a started rebuild. Later orders for the same server fail when this one ends.
    pub(crate) fn begin(&mut self, index: ServerIx, at: RegionTime) {
        self.started_rebuilds
            .entry(index)
            .or_insert_with(|| StartedRebuild {
                at,
                behind: Vec::new(),
            })
            .at = at;
    }

    /// Adds a later order to a running rebuild of the same server. Returns true if there is one.
    pub(crate) fn join(&mut self, index: ServerIx, migration: Option<u64>, now: RegionTime) -> bool {
        let Some(started_rebuilds) = self
            .started_rebuilds
            .get_mut(&index)
            .filter(|started_rebuilds| started_rebuilds.at == now)
        else {
            return false;
        };
        started_rebuilds.behind.push(migration);
        true
    }

    /// Ends the rebuild that started at `at`, and returns the later orders.
    fn end(&mut self, index: ServerIx, at: RegionTime) -> Vec<Option<u64>> {
        if self
            .started_rebuilds
            .get(&index)
            .is_none_or(|started_rebuilds| started_rebuilds.at != at)
        {
            return Vec::new();
        }
        self.started_rebuilds
            .remove(&index)
            .map_or_else(Vec::new, |started_rebuilds| started_rebuilds.behind)
    }

    /// Clears the rebuilds of a nova-compute that has stopped.
    pub(crate) fn clear(&mut self) {
        self.started_rebuilds.clear();
    }
}

impl World {
    /// Fails the later orders of a rebuild that has ended, with or without success.
    pub(crate) fn end_concurrent_rebuilds(&mut self, dest: HostIx, index: ServerIx, began: RegionTime) {
        for migration in self.hosts[dest].concurrent_rebuilds.end(index, began) {
            if let Some(id) = migration {
                self.migrations.set_status(id, MigrationStatus::Failed, self.now);
            }
            let at = self.now;
            self.servers.edit(index, self.now, |server| {
                server.vm_state = VmState::Error;
                server.task_state = Some(TaskState::RebuildBlockDeviceMapping);
                server.fault = Some(Fault {
                    message: "Unexpected task state".into(),
                    at,
                });
            });
            self.free_slot(dest);
        }
    }
}
