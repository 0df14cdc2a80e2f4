//! The list of the instances on the host, before the moves and after them.

use std::time::Duration;

use super::arrivals::{describe, on_their_way};
use super::moves::PlannedMove;
use super::named::named;
use super::{MoveStage, NovaReading, PlannedStage, PlannedState};
use crate::count;
use crate::fault::Fault;
use crate::nova::{Server, VmState};
use crate::question::MAX_READ_LAG;
use crate::recovery::{Command, DecisionTime, InCell, Inventory, Record, StepKind, Task};

/// The limit for lists with new instances: those placed on the host while it was being disabled are moved too.
const MAX_LISTS: u32 = 5;

/// The time the host's nova-compute may take to start an instance that the scheduler placed before the host was disabled.
/// Until then, neither the host's instances nor the migration records show it. A list may also come from a lagging copy of
/// Nova's database: one list shows a move as done, and the next shows its instance where it was before. So two lists must
/// show nothing.
const MAX_START_DELAY: Duration = Duration::from_secs(5);

/// The interval between checks for the arrival of instances.
pub(super) const ARRIVAL_CHECK_INTERVAL: Duration = Duration::from_secs(3);

fn is_off(server: &Server) -> bool {
    matches!(
        server.vm_state,
        VmState::Stopped | VmState::Shelved | VmState::ShelvedOffloaded | VmState::Deleted
    )
}

/// True if the instance is off and uses nothing of the host. An instance that is being started does not count.
pub(super) fn is_idle(server: &Server) -> bool {
    is_off(server) && server.task_state.is_none()
}

/// True if an instance was left because it did not run, and its own recovery has started it since.
fn is_started_again(state: &PlannedState, server: &Server) -> bool {
    let was_left = |instance: &PlannedMove| instance.stage == MoveStage::Left && instance.requested.is_none();
    let its = state.moves.get(&server.id);
    !is_off(server) && state.recovered.contains(&server.id) && its.is_some_and(was_left)
}

impl PlannedState {
    pub(super) fn apply_inventory(&mut self, result: Result<Inventory, Fault>, now: DecisionTime) {
        let Some(at) = self.list.answered() else { return };
        self.list.not_before = now.elapsed.plus(self.policy.tick);
        match result {
            Ok(inventory) => {
                let is_whole = inventory.service.is_some()
                    && match inventory.in_cell {
                        InCell::NotQueried => true,
                        InCell::Has(count) => count == 0,
                        InCell::Failed(_) => false,
                    };
                if is_whole {
                    self.listed = Some(NovaReading { at, what: inventory });
                } else {
                    self.blocker(format!("Nova's cell of {} does not answer", self.host), now);
                }
            }
            Err(fault) => self.blocker(format!("listing the instances of {}: {fault}", self.host), now),
        }
    }

    pub(super) fn act_listing(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.aborted.is_some() {
            return self.end_aborted(record);
        }
        if let Some(service) = self.poll_service(now, commands) {
            self.lives(&service, now, record);
        }
        let closed = *self.closed.get_or_insert(now.elapsed);
        let Some(NovaReading { at, what: inventory }) = self.listed.take() else {
            if self.list.send(now.elapsed) {
                commands.push(Command::TakeInventory {
                    shown: false,
                    unknown: None,
                });
            }
            return;
        };
        let host = self.host.clone();
        let coming = on_their_way(&inventory, &host, now);
        let may_arrive = now.elapsed.since(closed) < self.order.limit;
        let awaited = |server: &Server| may_arrive && coming.iter().any(|row| row.server == server.id);
        let is_new = |server: &Server| !self.moves.contains_key(&server.id) || is_started_again(self, server);
        let mut new: Vec<&Server> = inventory
            .servers
            .iter()
            .filter(|server| is_new(server) && !awaited(server))
            .collect();
        if !new.is_empty() && self.lists < MAX_LISTS {
            self.quiet = None;
            new.sort_by(|one, other| (&one.name, one.id).cmp(&(&other.name, other.id)));
            for server in &new {
                // An instance that was left because it did not run is treated as new.
                self.recovered.remove(&server.id);
                self.moves.remove(&server.id);
                self.add_move(server.id, &server.name, &host, record);
            }
            self.lists += 1;
            let text = format!("{} on {host}", count(new.len(), "instance is", "instances are"));
            record.step(Task::Prepare, StepKind::Outcome, 1.0, text);
            return self.enter(PlannedStage::Moving, record);
        }
        let changing: Vec<&Server> = inventory
            .servers
            .iter()
            .filter(|server| is_off(server) && !is_idle(server))
            .collect();
        if may_arrive && !(coming.is_empty() && changing.is_empty()) {
            self.quiet = None;
            let text = if coming.is_empty() {
                format!(
                    "waits for what is stopped on {host} and being changed: {}",
                    named(&changing, |server| server.name.clone())
                )
            } else {
                format!("waits for what Nova is bringing to {host}: {}", describe(&coming))
            };
            self.blocker(text, now);
            self.list.not_before = now.elapsed.plus(ARRIVAL_CHECK_INTERVAL);
            return;
        }
        let quiet = *self.quiet.get_or_insert(at);
        if at.since(quiet) < MAX_START_DELAY {
            self.list.not_before = quiet.plus(MAX_START_DELAY);
        } else if at.since(closed) < MAX_READ_LAG
            && inventory.service.as_ref().is_some_and(|service| service.enabled)
        {
            // A copy of Nova's database that lags behind may not show yet that this drain has disabled it.
            self.list.not_before = closed.plus(MAX_READ_LAG);
        } else {
            self.end_drain(&inventory, &coming, record);
        }
    }
}
