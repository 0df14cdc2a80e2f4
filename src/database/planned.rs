//! Plans for running hosts, on a controller: their current state is read from Nova.

use std::collections::BTreeMap;
use std::sync::Arc;

use tachi_cli::out;
use tachi_cli::process_owner;
use tachi_domain::recovery::RecoveryKind;
use tachi_engine::ports::Freezes as _;
use tachi_engine::ports::operator::HostView;
use tachi_openstack::Nova;
use tachi_operator::audited::AuditedOperator;
use tachi_operator::plans::{
    self, AwayInstance, HostService, PlanRequest, Planner, list_away_now, service_now,
};
use tachi_operator::{AwayView, Failure, FailurePreview, GivebackView, PlannedView, report_host};

use super::Database;
use crate::wiring;

/// A host, and its data.
struct HostSnapshot {
    nova: Arc<Nova>,
    view: HostView,
    service: Option<HostService>,
    /// The reason why nothing can be planned now.
    blocker: Option<String>,
}

async fn snapshot(database: &Database, requested: &str, kind: RecoveryKind) -> Result<HostSnapshot, Failure> {
    let Database { settings, base, .. } = database;
    let view = report_host::named(base.store.operator_journal(), requested).await;
    let view = view.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))?;
    let region = database.snapshot().await?;
    let freezes = base.store.freezes().freezes().await;
    let freezes = freezes.map_err(|error| Failure::new("listing freezes", error))?;
    let nova = wiring::nova(settings, &base.clock).await?;
    let host = &view.host.name;
    let service = service_now(nova.as_ref(), host).await?;
    let blocker = plans::preconditions(kind, &view, &freezes, &region, service.as_ref());
    Ok(HostSnapshot {
        nova,
        view,
        service,
        blocker,
    })
}

/// Previews the drain of a host.
pub(super) async fn drain_outlook(database: &Database, host: &str) -> Result<FailurePreview, Failure> {
    let target = snapshot(database, host, RecoveryKind::Drain).await?;
    let host = target.view.host.name;
    let consequences = target.service.as_ref();
    let consequences = consequences.map(|service| plans::drain_consequences(&host, service));
    Ok(FailurePreview {
        host,
        against: target.blocker,
        consequences: consequences.unwrap_or_default(),
    })
}

/// Previews which instances would move back to a host.
pub(super) async fn giveback_outlook(
    database: &Database,
    host: &str,
    with_locked: bool,
) -> Result<GivebackView, Failure> {
    let target = snapshot(database, host, RecoveryKind::Giveback).await?;
    let host = target.view.host.name;
    let all = list_away(database, &target.nova, (&host, with_locked)).await?;
    Ok(GivebackView {
        against: target.blocker,
        seen_at: None,
        instances: all.iter().map(AwayView::from).collect(),
        host,
    })
}

/// Writes the plan, unless the same was just written or something blocks it.
pub(super) async fn plan(
    database: &Database,
    host: &str,
    wish: &PlanRequest,
) -> Result<PlannedView, Failure> {
    let Database { settings, base, .. } = database;
    let operator_journal = base.store.operator_journal();
    let view = report_host::named(operator_journal, host).await?;
    let audit = wiring::audit(settings, &base.clock, &format!("tachi host {}", wish.kind))?;
    let planner = Planner {
        operator_journal,
        plans: base.store.plans(),
        operator: AuditedOperator {
            audit: audit.as_ref(),
            by: process_owner::who(None)?,
            request: None,
        },
    };
    let already = planner.already(&view, wish, base.clock.wall()).await;
    if let Some(already) = already.map_err(|error| database.wrong(error))? {
        return Ok(already.view);
    }
    let target = snapshot(database, host, wish.kind).await?;
    if let Some(why) = &target.blocker {
        return Err(plans::refused(why).into());
    }
    let mut instances = BTreeMap::new();
    if wish.kind == RecoveryKind::Giveback {
        let host = &target.view.host.name;
        let all = list_away(database, &target.nova, (host, wish.with_locked)).await?;
        instances = plans::instances_to_return(&all);
        if instances.is_empty() {
            return Err(plans::refused(&format!(
                "no instance that was moved away from {host} can move back"
            ))
            .into());
        }
    }
    let begun = planner
        .plan(&target.view, wish, instances)
        .await
        .map_err(|unsaid| {
            Failure::unsaid(
                "storing the plan (it may be stored: see `tachi recovery list`)",
                unsaid,
            )
        })?;
    if let Some(why) = begun.unaudited {
        out::note(format!("tachi: {why}"));
    }
    wiring::socket_notifier(settings)?.notify();
    Ok(begun.view)
}

async fn list_away(
    database: &Database,
    nova: &Nova,
    (host, with_locked): (&str, bool),
) -> Result<Vec<AwayInstance>, Failure> {
    let store = &database.base.store;
    let wrong = |error| database.wrong(error);
    list_away_now(
        store.plans(),
        store.operator_journal(),
        nova,
        (host, with_locked),
        wrong,
    )
    .await
}
