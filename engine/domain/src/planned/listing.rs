//! What is on the host, before the moves and after them.

use super::{Planned, PlannedStage};
use crate::count;
use crate::fault::Fault;
use crate::nova::{Server, VmState};
use crate::recovery::{Command, InCell, Inventory, Now, Record, StepKind, Task};

/// What was put on the host while it was being disabled is moved too; so often it is looked again at most.
const MOST_LISTS: u32 = 5;

/// Whether it uses nothing of the host while it is off.
pub(super) fn is_idle(server: &Server) -> bool {
    matches!(
        server.vm_state,
        VmState::Stopped | VmState::Shelved | VmState::ShelvedOffloaded | VmState::Deleted
    )
}

impl Planned {
    pub(super) fn learn_inventory(&mut self, result: Result<Inventory, Fault>, now: Now) {
        self.list.answered();
        self.list.not_before = now.elapsed.plus(self.policy.tick);
        match result {
            Ok(inventory) => {
                let is_whole = inventory.service.is_some()
                    && match inventory.in_cell {
                        InCell::NotAsked => true,
                        InCell::Has(count) => count == 0,
                        InCell::Failed(_) => false,
                    };
                if is_whole {
                    self.listed = Some(inventory);
                } else {
                    self.trouble(format!("Nova's cell of {} does not answer", self.host), now);
                }
            }
            Err(fault) => self.trouble(format!("listing the instances of {}: {fault}", self.host), now),
        }
    }

    pub(super) fn act_listing(&mut self, now: Now, record: &mut Record, commands: &mut Vec<Command>) {
        if self.aborted.is_some() {
            return self.end_aborted(record);
        }
        if let Some(service) = self.look_at_service(now, commands) {
            self.lives(&service, now, record);
        }
        let Some(inventory) = self.listed.take() else {
            if self.list.send(now.elapsed) {
                commands.push(Command::TakeInventory { shown: false });
            }
            return;
        };
        let mut new: Vec<&Server> = inventory
            .servers
            .iter()
            .filter(|server| !self.moves.contains_key(&server.id))
            .collect();
        new.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
        self.lists += 1;
        record.head = true;
        if (new.is_empty() && self.lists > 1) || self.lists > MOST_LISTS {
            return self.end_drain(&inventory.servers, record);
        }
        let host = self.host.clone();
        for server in &new {
            self.take_in(server.id, &server.name, &host, record);
        }
        let text = format!("{} on {host}", count(new.len(), "instance is", "instances are"));
        record.step(Task::Prepare, StepKind::Outcome, 1.0, text);
        self.enter(PlannedStage::Moving, record);
    }
}
