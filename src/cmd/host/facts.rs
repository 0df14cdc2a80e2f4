//! What is known of a host that is to work again.

use tachi_domain::ServerId;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::nova::{Migration, MigrationStatus, MigrationType, Server, Service};
use tachi_engine::ports::operator::{HostView, RecoverySummary};

/// What is known of a host. What Nova was asked for may be an error.
pub(super) struct Facts {
    pub(super) view: HostView,
    /// The recovery of it that is open.
    pub(super) open: Option<RecoverySummary>,
    /// An engine waits for its nova-compute.
    pub(super) watched: bool,
    pub(super) engine_runs: bool,
    /// The instances of its last recovery.
    pub(super) vmoves: Vec<Vmove>,
    /// What is frozen of it, in a sentence, and how that ends.
    pub(super) frozen: Option<String>,
    /// Instances of it, or that may run on it, that wait for an operator.
    pub(super) waiting: Vec<String>,
    pub(super) service: Result<Option<Service>, String>,
    pub(super) migrations: Result<Vec<Migration>, String>,
    pub(super) servers: Result<Vec<Server>, String>,
}

impl Facts {
    /// The evacuations from the host that are in one of these states.
    pub(super) fn evacuations(&self, states: &[MigrationStatus]) -> Vec<&Migration> {
        let of = self.migrations.as_deref().unwrap_or_default().iter();
        of.filter(|record| {
            record.kind == MigrationType::Evacuation
                && record.source.as_deref() == Some(self.view.host.name.as_str())
                && states.contains(&record.status)
        })
        .collect()
    }

    /// Nova was asked for the host's instances, and this is none of them.
    pub(super) fn is_elsewhere(&self, server: ServerId) -> bool {
        self.servers
            .as_ref()
            .is_ok_and(|here| here.iter().all(|one| one.id != server))
    }

    /// The last recovery of the host has moved the instance of this migration after that had begun, and it is on the host no more.
    pub(super) fn was_overtaken(&self, record: &Migration) -> bool {
        let id = record.server.to_string();
        let moved = |one: &Vmove| {
            one.instance_uuid == id
                && one.status == Some(VmoveStatus::Succeeded)
                && record
                    .created_at
                    .zip(one.start_time)
                    .is_some_and(|(begun, asked)| begun < asked)
        };
        self.vmoves.iter().any(moved) && self.is_elsewhere(record.server)
    }

    /// Nova's record of the host, if it is known.
    pub(super) fn service(&self) -> Option<&Service> {
        self.service.as_ref().ok()?.as_ref()
    }
}
