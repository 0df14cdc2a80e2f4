//! New servers: by the API, with a build that takes time, or in bulk and running at once.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::model::agenda::Event;
use crate::model::host::GuestPower;
use crate::model::server::{Server, TaskState, VmState};
use crate::model::{Caller, HostIx, Refusal, ServerIx, State};

/// A server to create.
#[derive(Debug, Clone)]
pub(crate) struct NewServer {
    pub(crate) name: String,
    pub(crate) image: Option<Uuid>,
    pub(crate) flavor: usize,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) zone: Option<String>,
    pub(crate) host: Option<HostIx>,
}

impl State {
    /// Accepts a server for building.
    pub(crate) fn create_server(&mut self, caller: &Caller, new: NewServer) -> Result<Uuid, Refusal> {
        if let Some(zone) = &new.zone
            && !self
                .world
                .hosts
                .indexes()
                .any(|ix| self.aggregates.zone_of(ix) == zone)
        {
            return Err(Refusal::bad_request(
                "The requested availability zone is not available",
            ));
        }
        let index = self.insert_server(&caller.project_id, &caller.user_id, new);
        self.log_action(index, caller, "create");
        let at = self.world.now.after(self.world.settings.build_time);
        self.world.agenda.plan(at, Event::Build { server: index });
        self.world
            .servers
            .get(index)
            .map(|server| server.id)
            .ok_or_else(|| Refusal::not_found("Instance vanished"))
    }

    fn insert_server(&mut self, project_id: &str, user_id: &str, new: NewServer) -> ServerIx {
        let (index, id) = (self.world.servers.next_ix(), self.world.rng.uuid());
        self.world.servers.insert(Server {
            index,
            id,
            name: new.name,
            project_id: project_id.to_owned(),
            user_id: user_id.to_owned(),
            image: new.image,
            flavor: new.flavor,
            metadata: new.metadata,
            pinned_zone: new.zone,
            requested_host: new.host,
            host: None,
            vm_state: VmState::Building,
            task_state: Some(TaskState::Scheduling),
            power_state: 0,
            lock: None,
            created: self.world.now,
            updated: self.world.now,
            launched: None,
            fault: None,
            actions: Vec::new(),
        });
        index
    }

    /// Schedules and spawns a server.
    pub(crate) fn build(&mut self, index: ServerIx) {
        let Some(server) = self.world.servers.get(index) else {
            return;
        };
        let id = server.id;
        let dest = match server.requested_host {
            Some(ix) => Some(ix).filter(|ix| self.accepts(*ix, index)),
            None => self.schedule(index, None),
        };
        match dest {
            Some(ix) => self.finish(ix, index, id, VmState::Active),
            None => self.world.fail_server(
                index,
                "No valid host was found. There are not enough hosts available.",
            ),
        }
    }

    /// Creates a server at once, without scheduler and build.
    pub(crate) fn boot_now(
        &mut self,
        ix: HostIx,
        project_id: &str,
        user_id: &str,
        vm_state: VmState,
        new: NewServer,
    ) -> Uuid {
        let index = self.insert_server(project_id, user_id, new);
        let id = self
            .world
            .servers
            .get(index)
            .map_or_else(Uuid::nil, |server| server.id);
        self.finish(ix, index, id, vm_state);
        let actions_before = match vm_state {
            VmState::Stopped => Some("stop"),
            VmState::Paused => Some("pause"),
            VmState::Suspended => Some("suspend"),
            VmState::Rescued => Some("rescue"),
            VmState::Shelved => Some("shelve"),
            VmState::Building | VmState::Active | VmState::Resized | VmState::Error => None,
        };
        for action in ["create"].into_iter().chain(actions_before) {
            self.world.log_action(index, Some((user_id, project_id)), action);
        }
        id
    }

    fn finish(&mut self, ix: HostIx, index: ServerIx, id: Uuid, vm_state: VmState) {
        self.allocate(ix, index);
        self.world.hosts[ix].servers.insert(index);
        let power = guest_power(vm_state);
        self.world.hosts.set_guest(ix, index, id, power, self.world.now);
        let now = self.world.now;
        self.world.servers.edit(index, self.world.now, |server| {
            server.host = Some(ix);
            server.vm_state = vm_state;
            server.task_state = None;
            server.power_state = power.power_state();
            server.launched = Some(now);
        });
    }
}

/// Returns a guest's power state for a correct record of Nova.
pub(crate) fn guest_power(vm_state: VmState) -> GuestPower {
    match vm_state {
        VmState::Active | VmState::Rescued | VmState::Error | VmState::Resized | VmState::Building => {
            GuestPower::Running
        }
        VmState::Paused => GuestPower::Paused,
        VmState::Suspended => GuestPower::Suspended,
        VmState::Stopped | VmState::Shelved => GuestPower::Shutoff,
    }
}
