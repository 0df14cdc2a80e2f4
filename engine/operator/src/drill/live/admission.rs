//! Preconditions of a live drill.

use std::collections::BTreeSet;

use tachi_domain::forecast::Room;
use tachi_domain::nova::Service;
use tachi_domain::policy::FencingMode;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::Severity;
use tachi_domain::{HostId, RecoveryId};
use tachi_engine::ports::OperatorJournal;
use tachi_engine::ports::freezes::FreezeLine;
use tachi_engine::ports::operator::{HostView, RecoveryFilter, RecoverySummary};

use super::{LiveController, is_ours_to_open};
use crate::drill::{DrillPorts, Shadow};
use crate::failure::Failure;
use crate::plain::plain;
use crate::report_host::{self, freezes_host};

/// Number of the host's last closed recoveries of each kind that are checked.
const CHECKED_RECOVERIES: u64 = 20;

/// A host that may be drilled.
pub struct AdmittedHost {
    pub id: HostId,
    pub name: String,
    pub segment: String,
    /// The host's service before the drill.
    pub service: Service,
    /// Number of host failures that its segment tolerates.
    pub headroom: u64,
}

/// Facts about the host at the time of the check.
struct HostSnapshot<'a> {
    mode: FencingMode,
    view: &'a HostView,
    shadow: &'a Shadow,
    frozen: &'a [FreezeLine],
    open: &'a [RecoverySummary],
    headroom: Option<u64>,
    room: Option<Room>,
    service: Option<&'a Service>,
    /// The names of the instances on it.
    servers: &'a [String],
}

/// Returns the recoveries of a host, newest first.
pub(super) async fn recoveries(
    operator_journal: &dyn OperatorJournal,
    host: &AdmittedHost,
) -> Result<Vec<RecoverySummary>, Failure> {
    let rows = operator_journal
        .recoveries_of_host(host.id, &host.name, CHECKED_RECOVERIES)
        .await;
    rows.map_err(|error| Failure::new("reading the host's recoveries", error))
}

/// Checks all preconditions. `shadow` is the drill that was just made of the host.
///
/// # Errors
///
/// Something blocks the drill, or is not known.
pub async fn validate(
    ports: &DrillPorts,
    controller: &dyn LiveController,
    shadow: &Shadow,
) -> Result<AdmittedHost, Failure> {
    let nova = &ports.engine.compute;
    let view = report_host::named(ports.operator_journal.as_ref(), &shadow.host).await;
    let view = view.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))?;
    let name = view.host.name.clone();
    let (frozen, open) = stopping(ports).await?;
    let forecast = controller.forecast(&name).await?;
    let its = forecast
        .segments
        .iter()
        .find(|segment| segment.segment == view.host.segment.name);
    let service = nova.service(&name).await;
    let service = service.map_err(|error| Failure::new("reading the host's service", error))?;
    let servers = nova.servers_on(&name).await;
    let servers = servers.map_err(|error| Failure::new("listing the instances of the host", error))?;
    let names: Vec<String> = servers.into_iter().map(|server| server.name).collect();
    let looked = HostSnapshot {
        mode: ports.policy.fencing,
        view: &view,
        shadow,
        frozen: &frozen,
        open: &open,
        headroom: its.and_then(|one| one.headroom),
        room: forecast.lost.as_ref().map(|lost| lost.room),
        service: service.as_ref(),
        servers: &names,
    };
    let (why, headroom) = (blockers(&looked), looked.headroom);
    let (Some(service), Some(headroom), true) = (service, headroom, why.is_empty()) else {
        return Err(Failure::from_text(format!(
            "nothing was done, {} cannot be drilled live now:\n  {}",
            plain(&name),
            why.iter().map(|one| plain(one)).collect::<Vec<_>>().join("\n  ")
        )));
    };
    Ok(AdmittedHost {
        id: view.host.id,
        segment: view.host.segment.name,
        name,
        service,
        headroom,
    })
}

/// Returns everything that blocks the drill.
fn blockers(looked: &HostSnapshot<'_>) -> Vec<String> {
    let host = &looked.view.host;
    let name = &host.name;
    let mut why = Vec::new();
    if looked.mode != FencingMode::Engine {
        why.push("[fencing] mode is not `engine`, so Tachi cannot power a host off".to_owned());
    }
    if looked.shadow.grade() > Severity::Info {
        why.push(format!(
            "the shadow drill found a problem: {}",
            looked.shadow.sentence()
        ));
    }
    if !host.segment.enabled {
        why.push(format!("segment {} is disabled", host.segment.name));
    }
    why.extend(stops(looked.view, looked.frozen, looked.open));
    match (looked.headroom, looked.room) {
        (None, _) | (_, None) => {
            why.push("it is unknown if there is room without it: `tachi forecast`".to_owned());
        }
        (Some(0), _) => why.push(format!(
            "segment {} tolerates no host failure: `tachi forecast`",
            host.segment.name
        )),
        (Some(_), Some(Room::Enough)) => {}
        (Some(_), Some(_)) => {
            why.push("there is no room for its instances: `tachi forecast`".to_owned());
        }
    }
    match looked.service {
        None => why.push("Nova has no nova-compute on it".to_owned()),
        Some(service) if !service.up || service.forced_down => why.push("Nova shows it down".to_owned()),
        Some(service) if !is_ours_to_open(service) => {
            let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
            why.push(format!(
                "its service is disabled ({reason}), and not by Tachi: enable it once that reason is gone"
            ));
        }
        Some(_) => {}
    }
    match looked.servers {
        [] => {}
        [one] => why.push(format!(
            "instance {one} is on it: `tachi host drain {name} --for 1h --reason drill`, and `tachi thaw host {name}`"
        )),
        [one, rest @ ..] => why.push(format!(
            "instance {one} and {} more are on it: `tachi host drain {name} --for 1h --reason drill`, and `tachi thaw host {name}`",
            rest.len()
        )),
    }
    why
}

/// Returns blockers that may appear at any time.
fn stops(view: &HostView, frozen: &[FreezeLine], open: &[RecoverySummary]) -> Vec<String> {
    let host = &view.host;
    let mut why = Vec::new();
    if host.on_maintenance {
        why.push(format!(
            "it is in maintenance, so its instances would not be recovered: `tachi host return {}`",
            host.name
        ));
    }
    why.extend(
        frozen
            .iter()
            .filter(|line| freezes_host(line, view))
            .map(|line| format!("{}: `{}` ends that", line.freeze.sentence(), line.freeze.thaw())),
    );
    why.extend(
        open.iter()
            .filter(|one| one.life == Life::Open && one.segment.is_none_or(|id| id == host.segment.id))
            .map(|one| format!("recovery {} of {} is running", one.id, one.host)),
    );
    if let Some((id, Life::Watching)) = view.recovery {
        why.push(format!("its recovery {id} still waits for its return"));
    }
    why
}

/// Checks that no blocker has appeared since the drill was admitted.
pub(super) async fn still(ports: &DrillPorts, host: &AdmittedHost) -> Result<(), Failure> {
    let view = report_host::named(ports.operator_journal.as_ref(), &host.id.to_string()).await;
    let view = view.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))?;
    let (frozen, open) = stopping(ports).await?;
    let why = stops(&view, &frozen, &open);
    if why.is_empty() {
        return Ok(());
    }
    Err(Failure::from_text(why.join("; ")))
}

/// Checks that a host that was not switched off is still the drill's: no recovery has started since the drill did (`before` has the older
/// ones), and no operator has put the host in maintenance or frozen it.
pub(super) async fn nobody_has_it(
    ports: &DrillPorts,
    host: &AdmittedHost,
    before: &BTreeSet<RecoveryId>,
) -> Result<(), Failure> {
    let view = report_host::named(ports.operator_journal.as_ref(), &host.id.to_string()).await;
    let view = view.map_err(|unsaid| Failure::unsaid("reading the database", unsaid))?;
    let (frozen, _) = stopping(ports).await?;
    let its = recoveries(ports.operator_journal.as_ref(), host).await?;
    // The restart of a canary does not affect the service.
    let its = its
        .into_iter()
        .filter(|one| one.kind != RecoveryKind::Vm && !before.contains(&one.id));
    let mut why: Vec<String> = its
        .map(|one| {
            format!(
                "its recovery {} has started since: `tachi recovery show {}`",
                one.id, one.id
            )
        })
        .collect();
    why.extend(stops(&view, &frozen, &[]));
    if why.is_empty() {
        return Ok(());
    }
    Err(Failure::from_text(why.join("; ")))
}

/// Returns the freezes, and the open recoveries.
async fn stopping(ports: &DrillPorts) -> Result<(Vec<FreezeLine>, Vec<RecoverySummary>), Failure> {
    let wrong = |error| Failure::new("reading the database", error);
    let open = RecoveryFilter {
        closed: false,
        ..RecoveryFilter::default()
    };
    Ok((
        ports.freezes.freezes().await.map_err(wrong)?,
        ports
            .operator_journal
            .find_recoveries(&open)
            .await
            .map_err(wrong)?,
    ))
}

#[cfg(test)]
mod tests;
