//! Facts about a host that is to return to service.

use tachi_domain::ServerId;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::nova::{Migration, MigrationStatus, Server, Service};
use tachi_engine::ports::FreezeLine;
use tachi_engine::ports::operator::{HostView, RecoverySummary};

/// Facts about a host. Data from Nova may be an error.
pub struct ReturnFacts {
    pub view: HostView,
    /// The host's open recovery.
    pub open: Option<RecoverySummary>,
    /// True if an engine waits for the host's nova-compute.
    pub watched: bool,
    pub engine_runs: bool,
    /// The instances of the host's last recovery.
    pub vmoves: Vec<Vmove>,
    /// The instances of its last recoveries: a retry has only those that the recovery before it gave up.
    pub moved: Vec<Vmove>,
    /// The freezes that cover the host.
    pub freezes: Vec<FreezeLine>,
    /// Instances of the host, or that may run on it, that wait for an operator.
    pub waiting: Vec<String>,
    pub service: Result<Option<Service>, String>,
    pub migrations: Result<Vec<Migration>, String>,
    pub servers: Result<Vec<Server>, String>,
}

impl ReturnFacts {
    /// Returns the evacuations from the host that are in one of these states.
    pub fn evacuations(&self, states: &[MigrationStatus]) -> Vec<&Migration> {
        let of = self.migrations.as_deref().unwrap_or_default().iter();
        of.filter(|record| record.is_evacuation_from(&self.view.host.name) && states.contains(&record.status))
            .collect()
    }

    /// True if Nova listed the host's instances and this one is not among them.
    pub fn is_elsewhere(&self, server: ServerId) -> bool {
        self.servers
            .as_ref()
            .is_ok_and(|listed| listed.iter().all(|instance| instance.id != server))
    }

    /// True if one of the host's last recoveries has moved the migration's instance since the migration started, and it is not on the host.
    pub fn was_overtaken(&self, record: &Migration) -> bool {
        let id = record.server.to_string();
        let moved = |vmove: &Vmove| {
            vmove.instance_uuid == id
                && vmove.status == Some(VmoveStatus::Succeeded)
                && record
                    .created_at
                    .zip(vmove.start_time)
                    .is_some_and(|(begun, requested_at)| begun < requested_at)
        };
        self.moved.iter().any(moved) && self.is_elsewhere(record.server)
    }

    /// Returns Nova's record of the host, if it is known.
    pub fn service(&self) -> Option<&Service> {
        self.service.as_ref().ok()?.as_ref()
    }
}
