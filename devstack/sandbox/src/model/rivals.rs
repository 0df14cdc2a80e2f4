//! Two orders for one server that a destination takes up together.
//!
//! Nova takes an evacuation of a server that is being evacuated, so a destination may find both orders in its queue.
//! Both read the server while its task is `rebuilding` and pass that check. The one behind meets the task state the
//! first has left only when it saves `rebuild_block_device_mapping`, and the failure's handler then writes that task
//! state together with `error`. Nova 34 was seen to do so after the first had ended: the record, which both work on,
//! goes from `done` to `failed`.

use std::collections::HashMap;

use crate::model::migration::MigrationStatus;
use crate::model::server::{Fault, TaskState, VmState};
use crate::model::{HostIx, ServerNo, World};
use crate::region_time::RegionTime;

/// Running rebuilds of a destination, with the messages behind them.
#[derive(Debug, Default)]
pub(crate) struct Rivals {
    begun: HashMap<ServerNo, Begun>,
}

#[derive(Debug)]
struct Begun {
    at: RegionTime,
    /// The records of the orders behind; an order need not have one.
    behind: Vec<Option<u64>>,
}

impl Rivals {
    /// Records a started rebuild. Messages behind an earlier one of the same server fail when this one ends.
    pub(crate) fn begin(&mut self, no: ServerNo, at: RegionTime) {
        self.begun
            .entry(no)
            .or_insert_with(|| Begun {
                at,
                behind: Vec::new(),
            })
            .at = at;
    }

    /// Adds a message behind a running rebuild of the same server; true if there is one.
    pub(crate) fn join(&mut self, no: ServerNo, migration: Option<u64>, now: RegionTime) -> bool {
        let Some(begun) = self.begun.get_mut(&no).filter(|begun| begun.at == now) else {
            return false;
        };
        begun.behind.push(migration);
        true
    }

    /// The rebuild that began at `at` has ended; the orders behind it.
    fn end(&mut self, no: ServerNo, at: RegionTime) -> Vec<Option<u64>> {
        if self.begun.get(&no).is_none_or(|begun| begun.at != at) {
            return Vec::new();
        }
        self.begun.remove(&no).map_or_else(Vec::new, |begun| begun.behind)
    }

    /// Clears the rebuilds of a nova-compute that has stopped.
    pub(crate) fn clear(&mut self) {
        self.begun.clear();
    }
}

impl World {
    /// Fails the orders behind a rebuild that has ended, well or not.
    pub(crate) fn end_rivals(&mut self, dest: HostIx, no: ServerNo, began: RegionTime) {
        for migration in self.hosts[dest].rivals.end(no, began) {
            if let Some(id) = migration {
                self.migrations.set_status(id, MigrationStatus::Failed, self.now);
            }
            let at = self.now;
            self.servers.edit(no, self.now, |server| {
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
