//! The API's checks and changes for an evacuation.

use uuid::Uuid;

use crate::model::conductor::Order;
use crate::model::migration::{Migration, MigrationKind, MigrationStatus};
use crate::model::server::{TaskState, VmState};
use crate::model::{Caller, Refusal, State};

/// A requested evacuation.
#[derive(Debug, Clone, Default)]
pub(crate) struct EvacuateRequest {
    pub(crate) host: Option<String>,
    pub(crate) force: bool,
    pub(crate) leave_stopped: bool,
}

impl State {
    /// Accepts an evacuation, in Nova's order of checks. Neither lock nor task state is checked: a second evacuation
    /// of an instance that is being evacuated is accepted too.
    pub(crate) fn evacuate(
        &mut self,
        caller: &Caller,
        id: Uuid,
        request: &EvacuateRequest,
    ) -> Result<(), Refusal> {
        let index = self.find_server(caller, id)?;
        caller.require_admin("os_compute_api:os-evacuate")?;
        if request.force && request.host.is_none() {
            return Err(Refusal::bad_request("Can't force to a non-provided destination"));
        }
        let requested = match &request.host {
            Some(name) => Some(
                self.world
                    .hosts
                    .find(name)
                    .ok_or_else(|| Refusal::not_found(format!("Compute host {name} not found.")))?,
            ),
            None => None,
        };
        let Some(server) = self.world.servers.get(index) else {
            return Err(no_such_server(id));
        };
        // Without a target and without a host, Nova compares `None` with `None`.
        if server.host == requested {
            return Err(Refusal::bad_request("The target host can't be the same one."));
        }
        if !matches!(
            server.vm_state,
            VmState::Active | VmState::Stopped | VmState::Error
        ) {
            return Err(wrong_state("evacuate", id, "vm_state", server.vm_state.as_str()));
        }
        if server.launched.is_none() {
            return Err(Refusal::conflict(format!(
                "Cannot 'evacuate' instance {id} while it is in launched_at None"
            )));
        }
        let Some(source) = server.host else {
            return Err(Refusal::conflict(format!("Instance {id} is not ready")));
        };
        if self.service_up(source) {
            let name = &self.world.hosts[source].name;
            return Err(Refusal::bad_request(format!(
                "Compute service of {name} is still in use."
            )));
        }
        let (project_id, flavor) = (server.project_id.clone(), server.flavor);
        let migration = Migration {
            id: self.world.migrations.next_id(),
            uuid: self.world.rng.uuid(),
            server: index,
            server_id: id,
            kind: MigrationKind::Evacuation,
            status: MigrationStatus::Accepted,
            source_compute: self.world.hosts[source].name.to_string(),
            source_node: self.world.hosts[source].node.clone(),
            dest_compute: request.host.clone(),
            dest_node: None,
            dest_host: None,
            created: self.world.now,
            updated: None,
            user_id: caller.user_id.clone(),
            project_id,
            flavor,
        };
        self.world.migrations.insert(migration);
        self.world.servers.edit(index, self.world.now, |server| {
            server.task_state = Some(TaskState::Rebuilding);
        });
        self.log_action(index, caller, "evacuate");
        let order = Order {
            server: index,
            requested,
            force: request.force,
            leave_stopped: request.leave_stopped,
            migration: None,
        };
        self.order_evacuation(id, order);
        Ok(())
    }
}

pub(crate) fn no_such_server(id: Uuid) -> Refusal {
    Refusal::not_found(format!("Instance {id} could not be found."))
}

pub(crate) fn wrong_state(action: &str, id: Uuid, attribute: &str, value: &str) -> Refusal {
    Refusal::conflict(format!(
        "Cannot '{action}' instance {id} while it is in {attribute} {value}"
    ))
}
