//! Helpers for the model's tests: a small region, and operations on it.

use std::time::Duration;

use uuid::Uuid;

use crate::model::boot::NewServer;
use crate::model::server::VmState;
use crate::model::{Caller, HostIx, ServerIx, State};
use crate::region_time::RegionTime;
use crate::settings::{Fleet, RegionSettings};

pub(crate) fn settings(hosts: usize) -> RegionSettings {
    RegionSettings {
        fleet: Fleet {
            hosts,
            ..Fleet::default()
        },
        ..RegionSettings::default()
    }
}

pub(crate) fn region(hosts: usize) -> State {
    State::new(settings(hosts))
}

pub(crate) fn admin() -> Caller {
    Caller {
        user_id: "admin-user".into(),
        project_id: "admin-project".into(),
        admin: true,
    }
}

pub(crate) fn owner() -> Caller {
    Caller {
        user_id: "demo-user".into(),
        project_id: "demo-project".into(),
        admin: false,
    }
}

impl State {
    pub(crate) fn pass(&mut self, millis: u64) {
        let to = self.world.now.after(Duration::from_millis(millis));
        self.advance(to);
    }

    pub(crate) fn h(&self, number: usize) -> HostIx {
        self.world
            .hosts
            .find(&format!("compute-{number:03}"))
            .expect("a host of the fleet")
    }

    pub(crate) fn put(&mut self, host: usize, vm_state: VmState) -> Uuid {
        let ix = self.h(host);
        let new = NewServer {
            name: "vm".into(),
            image: None,
            flavor: 0,
            metadata: std::collections::BTreeMap::new(),
            zone: None,
            host: None,
        };
        self.boot_now(ix, "demo-project", "demo-user", vm_state, new)
    }

    pub(crate) fn index(&self, id: Uuid) -> ServerIx {
        self.world.servers.index(id).expect("the server is there")
    }

    /// Returns host, state and task as the API shows them.
    pub(crate) fn shown(&self, id: Uuid) -> (String, &'static str, &'static str) {
        let server = self.world.servers.by_id(id).expect("the server is there");
        (
            server
                .host
                .map_or_else(String::new, |ix| self.world.hosts[ix].name.to_string()),
            server.vm_state.as_str(),
            server
                .task_state
                .map_or("-", crate::model::server::TaskState::as_str),
        )
    }

    /// Returns the statuses of the server's migrations, oldest first.
    pub(crate) fn records(&self, id: Uuid) -> Vec<&'static str> {
        self.world
            .migrations
            .of_server(id)
            .map(|row| row.status.as_str())
            .collect()
    }

    /// Cuts a host's power, and waits until Nova shows it down.
    pub(crate) fn kill(&mut self, host: usize) {
        let ix = self.h(host);
        self.world.power_off(ix);
        self.pass(13_000);
    }

    pub(crate) fn at(&self) -> RegionTime {
        self.world.now
    }
}
