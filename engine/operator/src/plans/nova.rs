//! The data of a plan as Nova shows it now, for a controller. Over the API it is what an engine last read.

use std::collections::BTreeSet;

use tachi_domain::ServerId;
use tachi_domain::nova::{Server, VmState};
use tachi_domain::recovery::is_marked;
use tachi_engine::ports::operator::MoveFilter;
use tachi_engine::ports::plans::MovedAway;
use tachi_engine::ports::{JournalError, NovaCalls, OperatorJournal, Plans};

use super::{AwayInstance, HostService};
use crate::failure::Failure;

/// Reads the host's service; `None` if Nova has no such service.
///
/// # Errors
///
/// Nova failed.
pub async fn service_now(nova: &dyn NovaCalls, host: &str) -> Result<Option<HostService>, Failure> {
    let service = nova.service(host).await;
    let service = service.map_err(|error| Failure::new("reading the host's service", error))?;
    let servers = nova.server_ids_on(host).await;
    let servers = servers.map_err(|error| Failure::new("listing the instances of the host", error))?;
    Ok(service.map(|service| HostService {
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
    }))
}

/// Lists the instances that were moved away from the host, and which of them can go back. `wrong` describes a failure of the database.
///
/// # Errors
///
/// Nova or the database failed.
pub async fn list_away_now(
    plans: &dyn Plans,
    operator_journal: &dyn OperatorJournal,
    nova: &dyn NovaCalls,
    (host, with_locked): (&str, bool),
    wrong: impl Fn(JournalError) -> Failure,
) -> Result<Vec<AwayInstance>, Failure> {
    let moved_away = plans.moved_away(host).await.map_err(&wrong)?;
    let needy = operator_journal
        .moves(MoveFilter::NeedsPerson)
        .await
        .map_err(&wrong)?;
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
