//! Faults of a running host that monitors report in their heartbeats: lost networks, and processes that could not be restarted.
//!
//! A fault ends when the monitor no longer reports it. A lost network stays when its monitor has fallen silent, as an old report: the
//! host's instances may have lost their disks.

use std::collections::BTreeSet;

use super::{
    AssessContext, Finding, FindingCode, Findings, Host, Monitor, Protection, ProtectionState, Severity,
};
use crate::entity::host::MaintenanceReason;
use crate::monitor::MonitorKind;
use crate::timestamp::Timestamp;

/// The network of the instances. A host without it may still be drained.
const TENANT: &str = "tenant";

/// Number of names in a text; the rest is only counted.
const MAX_LISTED_NAMES: usize = 3;

pub(super) fn assess(
    host: &Host,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    // An operator who has taken the host out of service may be working on its networks.
    if host.maintenance != Some(MaintenanceReason::Operator) {
        planes(&host.name, ctx, protection_state, found);
    }
    processes(host, ctx, found);
}

/// The networks that a host has lost, by the monitors that report it.
#[derive(Default)]
struct PlaneLoss<'a> {
    planes: BTreeSet<&'a str>,
    since: Option<Timestamp>,
    reporters: BTreeSet<&'a str>,
}

impl<'a> PlaneLoss<'a> {
    fn of(name: &str, monitors: impl Iterator<Item = &'a Monitor>) -> Option<Self> {
        let mut loss = Self::default();
        for monitor in monitors {
            for (plane, since) in monitor
                .heartbeat
                .planes
                .iter()
                .filter_map(|lost| lost.get(name))
                .flatten()
            {
                loss.planes.insert(plane);
                loss.since = Some(loss.since.map_or(*since, |before| before.min(*since)));
                loss.reporters.insert(&monitor.heartbeat.host);
            }
        }
        (!loss.planes.is_empty()).then_some(loss)
    }

    fn is_tenant_only(&self) -> bool {
        self.planes.iter().all(|plane| *plane == TENANT)
    }

    fn networks(&self) -> String {
        let names: Vec<&str> = self.planes.iter().copied().collect();
        let noun = if names.len() == 1 { "network" } else { "networks" };
        format!("{} {noun}", names.join(" and "))
    }

    fn reporters(&self) -> String {
        let named: Vec<&str> = self.reporters.iter().copied().take(MAX_LISTED_NAMES).collect();
        match self.reporters.len().saturating_sub(MAX_LISTED_NAMES) {
            0 => named.join(", "),
            more => format!("{} and {more} more", named.join(", ")),
        }
    }

    fn fix(&self, host: &str) -> String {
        if self.is_tenant_only() {
            format!("tachi host drain {host} --for 4h --reason TEXT")
        } else {
            format!(
                "repair its storage network, or cut its power, so that its instances are recovered: tachi fence off {host} --reason TEXT"
            )
        }
    }
}

/// Reports the networks that a running host has lost. Nothing is recovered: the host is not dead.
fn planes(name: &str, ctx: &AssessContext<'_>, protection_state: &mut ProtectionState, found: &mut Findings) {
    let judges = || {
        let monitors = ctx.facts.monitors.iter();
        monitors.filter(|monitor| {
            monitor.heartbeat.kind == MonitorKind::Host && monitor.heartbeat.planes.is_some()
        })
    };
    let alive = || judges().filter(|monitor| monitor.is_alive(ctx.now));
    let (loss, is_current) = match PlaneLoss::of(name, alive()) {
        Some(loss) => (loss, true),
        // A monitor that judges the host now takes precedence over a silent one.
        None if alive()
            .any(|monitor| monitor.heartbeat.watching && monitor.heartbeat.watches.contains(name)) =>
        {
            return;
        }
        None => match PlaneLoss::of(name, judges()) {
            Some(loss) => (loss, false),
            None => return,
        },
    };
    let (networks, reporters) = (loss.networks(), loss.reporters());
    let (grade, text) = if is_current {
        let text = format!(
            "running, and cut off from its {networks}, as the host monitor of {reporters} reports; its instances are not recovered"
        );
        (Severity::Err, text)
    } else {
        let text = format!(
            "was cut off from its {networks} at the last heartbeat of the host monitor of {reporters}"
        );
        (Severity::Unknown, text)
    };
    let protection = if is_current && loss.is_tenant_only() {
        Protection::Degraded
    } else {
        // Its instances may have lost their disks.
        Protection::Unknown
    };
    protection_state.worsen(protection, FindingCode::PlaneLost);
    found.note(
        Finding::new(FindingCode::PlaneLost, text)
            .graded(grade)
            .about(name, ctx.covered_on(name))
            .since(loss.since)
            .fix(if is_current {
                loss.fix(name)
            } else {
                format!("restart the host monitor of {reporters}, which then checks it again")
            }),
    );
}

/// Reports the processes that the process monitor could not restart, on a host that is not in maintenance because of them: the engine
/// takes none of them for essential, or has not handled the report yet, or the host is in maintenance for another reason.
fn processes(host: &Host, ctx: &AssessContext<'_>, found: &mut Findings) {
    if host.maintenance == Some(MaintenanceReason::Process) {
        return;
    }
    let Some(down) = ProcessFault::of(&host.name, ctx) else {
        return;
    };
    let text = match host.maintenance {
        None => format!("in service, and {} could not be restarted", down.names()),
        Some(_) => format!("in maintenance, and {} could not be restarted", down.names()),
    };
    found.note(
        Finding::new(FindingCode::ProcessDown, text)
            .graded(Severity::Info)
            .about(&*host.name, ctx.instances_on(&host.name))
            .since(down.since)
            .fix("start it on the host (journalctl -u UNIT), or remove it from process_list.yaml there"),
    );
}

/// The processes of a host that its process monitor could not restart.
pub(super) struct ProcessFault<'a> {
    names: BTreeSet<&'a str>,
    pub(super) since: Option<Timestamp>,
}

impl<'a> ProcessFault<'a> {
    pub(super) fn of(host: &str, ctx: &AssessContext<'a>) -> Option<Self> {
        let own = ctx.facts.monitors.iter();
        let own = own.filter(|monitor| monitor.heartbeat.host == host && monitor.is_alive(ctx.now));
        let down = || own.clone().flat_map(|monitor| &monitor.heartbeat.processes_down);
        let names: BTreeSet<&str> = down().map(|(name, _)| name.as_str()).collect();
        (!names.is_empty()).then(|| Self {
            names,
            since: down().map(|(_, since)| *since).min(),
        })
    }

    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.names.iter().copied().collect();
        names.join(", ")
    }
}

#[cfg(test)]
pub(super) mod tests;
