//! Facts about a host that is to return to service.

use tachi_domain::entity::Vmove;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::nova::{Migration, MigrationStatus, Server, Service};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{ServerId, Timestamp};
use tachi_engine::ports::operator::{HostView, MoveFilter, MoveLine, RecoverySummary};
use tachi_engine::ports::{CallError, EngineRegistry, FreezeLine, Freezes, NovaCalls, OperatorJournal};

use crate::actions::ActionError;
use crate::report_host::{self, freezes_host};
use crate::snapshot::is_alive;

/// Number of the host's last closed recoveries of each kind that are checked for instances that still need an operator.
const CHECKED_RECOVERIES: u64 = 5;

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

/// The ports from which the facts are read.
pub struct ReturnPorts<'a> {
    pub operator_journal: &'a dyn OperatorJournal,
    pub engine_registry: &'a dyn EngineRegistry,
    pub freezes: &'a dyn Freezes,
    pub nova: &'a dyn NovaCalls,
}

impl ReturnPorts<'_> {
    /// Reads the facts about the host of this name or id.
    ///
    /// # Errors
    ///
    /// There is no such host, or the database failed.
    pub async fn read(&self, requested: &str, now: Timestamp) -> Result<ReturnFacts, ActionError> {
        let (operator_journal, nova) = (self.operator_journal, self.nova);
        let view = report_host::named(operator_journal, requested).await?;
        let name = view.host.name.clone();
        let recoveries = operator_journal
            .recoveries_of_host(view.host.id, &name, CHECKED_RECOVERIES)
            .await?;
        let mut of_each = Vec::new();
        for row in recoveries.iter().filter(|row| row.moves.total() > 0) {
            of_each.extend(
                operator_journal
                    .history(row.id)
                    .await?
                    .map(|history| history.vmoves),
            );
        }
        let vmoves = of_each.first().cloned().unwrap_or_default();
        let engines = self.engine_registry.engines().await?;
        let mut freezes = self.freezes.freezes().await?;
        freezes.retain(|line| freezes_host(line, &view));
        let moves = operator_journal.moves(MoveFilter::NeedsPerson).await?;
        let is_of_it = |line: &&MoveLine| line.host == name || line.may_run.contains(&name);
        let waiting = moves.iter().filter(is_of_it);
        let waiting = waiting.map(|line| format!("{} ({})", line.name, line.server));
        let waiting = waiting.collect();
        let text = |error: CallError| error.to_string();
        Ok(ReturnFacts {
            engine_runs: engines.iter().any(|line| is_alive(line, now)),
            service: nova.service(&name).await.map_err(text),
            migrations: nova.migrations_touching(&name).await.map_err(text),
            servers: nova.servers_on(&name).await.map_err(text),
            vmoves,
            moved: of_each.into_iter().flatten().collect(),
            freezes,
            waiting,
            open: weightiest(&recoveries).cloned(),
            watched: recoveries
                .iter()
                .any(|row| row.life.awaits_return(row.wait.as_ref().map(|wait| wait.what))),
            view,
        })
    }
}

/// Returns the open recovery that decides about the host: its own, else a drain or giveback, else one of an instance or process.
fn weightiest(recoveries: &[RecoverySummary]) -> Option<&RecoverySummary> {
    let rank = |row: &&RecoverySummary| match row.kind {
        RecoveryKind::Host => 0,
        RecoveryKind::Drain | RecoveryKind::Giveback => 1,
        RecoveryKind::Vm | RecoveryKind::Process => 2,
    };
    let open = recoveries.iter().filter(|row| row.life == Life::Open);
    open.min_by_key(rank)
}
