//! Plans for running hosts, on a controller: their current state is read from Nova.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tachi_cli::out;
use tachi_cli::process_owner;
use tachi_domain::ServerId;
use tachi_domain::nova::{Server, VmState};
use tachi_domain::recovery::{RecoveryKind, is_marked};
use tachi_engine::ports::operator::{HostView, MoveFilter};
use tachi_engine::ports::plans::MovedAway;
use tachi_engine::ports::{Compute, Freezes as _, OperatorJournal as _, Plans as _};
use tachi_openstack::Nova;
use tachi_operator::plans::{self, AwayInstance, HostService, PlanRequest, Planner};
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
    let service = nova.service(host).await;
    let service = service.map_err(|error| Failure::new("reading the host's service", error))?;
    let servers = nova.server_ids_on(host).await;
    let servers = servers.map_err(|error| Failure::new("listing the instances of the host", error))?;
    let service = service.map(|service| HostService {
        up: service.up && !service.forced_down,
        enabled: service.enabled,
        undrains: service.enabled || service.disabled_reason.as_deref().is_some_and(is_marked),
        why: Some(
            service
                .disabled_reason
                .unwrap_or_else(|| "no reason given".to_owned()),
        ),
        instances: servers.len(),
        when: String::new(),
    });
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
    let all = judge_all(database, target.nova.as_ref(), &host, with_locked).await?;
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
        audit: audit.as_ref(),
        by: process_owner::who(None)?,
        request: None,
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
        let all = judge_all(database, target.nova.as_ref(), host, wish.with_locked).await?;
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

async fn judge_all(
    database: &Database,
    nova: &impl Compute,
    host: &str,
    with_locked: bool,
) -> Result<Vec<AwayInstance>, Failure> {
    let wrong = |error| database.wrong(error);
    let store = &database.base.store;
    let moved_away = store.plans().moved_away(host).await.map_err(wrong)?;
    let needy = store
        .operator_journal()
        .moves(MoveFilter::NeedsPerson)
        .await
        .map_err(wrong)?;
    let needy: BTreeSet<ServerId> = needy.into_iter().map(|line| line.server).collect();
    let mut all = Vec::with_capacity(moved_away.len());
    for moved in moved_away {
        let server = nova.server(moved.server).await;
        let server = server.map_err(|error| Failure::new("reading an instance", error))?;
        // An instance that was deleted or is back on its host needs no move.
        let Some(server) = server.filter(|server| server.host.as_deref() != Some(host)) else {
            continue;
        };
        let stays = if needy.contains(&moved.server) {
            Some(format!("waits for an operator: `tachi show {}`", moved.server))
        } else {
            stays(&server, &moved, with_locked)
        };
        all.push(AwayInstance {
            name: server.name,
            moved,
            stays,
        });
    }
    Ok(all)
}

/// Returns why the instance stays where it is, by what Nova shows now. The engine checks again before its request.
fn stays(server: &Server, moved: &MovedAway, with_locked: bool) -> Option<String> {
    if server.host.as_deref() != Some(moved.dest.as_str()) {
        return Some("has been moved since".to_owned());
    }
    if let Some(task) = &server.task_state {
        return Some(format!("has a task under way ({task})"));
    }
    if server.locked && !with_locked {
        return Some("is locked (--with-locked moves it too)".to_owned());
    }
    if !matches!(server.vm_state, VmState::Active | VmState::Paused) {
        return Some(format!("is {}", server.vm_state));
    }
    None
}
