//! The facts about a host that is to return to service, from the database and from Nova.

use tachi_domain::Timestamp;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_engine::ports::operator::{MoveFilter, MoveLine, RecoverySummary};
use tachi_engine::ports::{
    Compute as _, EngineRegistry as _, FreezeLine, Freezes as _, OperatorJournal as _,
};
use tachi_openstack::Nova;
use tachi_operator::actions::ActionError;
use tachi_operator::return_to_service::ReturnFacts;
use tachi_operator::{is_alive, report_host};
use tachi_store::Store;

/// Number of the host's last closed recoveries of each kind that are checked for instances that still need an operator.
const CHECKED_RECOVERIES: u64 = 5;

/// Reads the facts.
pub(crate) async fn read(
    store: &Store,
    nova: &Nova,
    now: Timestamp,
    requested: &str,
) -> Result<ReturnFacts, ActionError> {
    let view = report_host::named(store.operator_journal(), requested).await?;
    let name = view.host.name.clone();
    let recoveries = store
        .operator_journal()
        .recoveries_of_host(view.host.id, &name, CHECKED_RECOVERIES)
        .await?;
    let mut of_each = Vec::new();
    for row in recoveries.iter().filter(|row| row.moves.total() > 0) {
        of_each.extend(
            store
                .operator_journal()
                .history(row.id)
                .await?
                .map(|history| history.vmoves),
        );
    }
    let vmoves = of_each.first().cloned().unwrap_or_default();
    let engines = store.engine_registry().engines().await?;
    let host = &view.host;
    let holds = |line: &FreezeLine| match line.freeze.scope {
        FreezeScope::Region => true,
        FreezeScope::Segment => line.target == host.segment.id.to_string(),
        FreezeScope::Host => line.target == host.id.to_string(),
        FreezeScope::Instance => false,
    };
    let mut freezes = store.freezes().freezes().await?;
    freezes.retain(holds);
    let moves = store.operator_journal().moves(MoveFilter::NeedsPerson).await?;
    let is_of_it = |line: &&MoveLine| line.host == name || line.may_run.contains(&name);
    let waiting = moves.iter().filter(is_of_it);
    let waiting = waiting.map(|line| format!("{} ({})", line.name, line.server));
    let waiting = waiting.collect();
    let text = |error: tachi_engine::ports::CallError| error.to_string();
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
