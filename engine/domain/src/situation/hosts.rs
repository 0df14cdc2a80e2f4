//! Assessment of hosts: would their instances be recovered?

use std::collections::BTreeSet;

use serde::Serialize;

use super::freezes::DirectFreeze;
use super::{
    AssessContext, Counts, Finding, FindingCode, Findings, Host, InstanceSituation, Protection,
    ProtectionState, Segment, Severity, fencing, host_faults, monitors,
};
use crate::entity::host::MaintenanceReason;
use crate::freeze::typed;
use crate::recovery::Life;
use crate::wait::WaitsFor;

/// The assessed state of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostSituation {
    pub name: String,
    pub segment: Option<String>,
    /// True if the host is kept empty for the instances of another.
    pub reserved: bool,
    /// The fate of its instances if the host failed now.
    pub protection: Protection,
    pub reasons: BTreeSet<FindingCode>,
    /// True if Nova shows the host up; `None` if that is not known.
    pub up: Option<bool>,
    /// The number of its instances by protection; `None` until the instances have been listed.
    pub counts: Option<Counts>,
}

/// An assessed host, before its instances are counted.
pub(super) struct AssessedHost<'a> {
    pub(super) name: &'a str,
    segment: Option<&'a str>,
    reserved: bool,
    pub(super) protection_state: ProtectionState,
    up: Option<bool>,
    /// True if the host can take instances of another host, or be lost.
    pub(super) works: bool,
}

impl AssessedHost<'_> {
    pub(super) fn summary(self, instances: Option<&[InstanceSituation]>) -> HostSituation {
        let own = |all: &[InstanceSituation]| Counts::of(of_host(all, self.name));
        HostSituation {
            name: self.name.to_owned(),
            segment: self.segment.map(str::to_owned),
            reserved: self.reserved,
            protection: self.protection_state.protection,
            reasons: self.protection_state.reasons,
            up: self.up,
            counts: instances.map(own),
        }
    }
}

/// Returns the instances of one host. `all` is sorted by host.
pub(super) fn of_host<'a>(all: &'a [InstanceSituation], host: &str) -> &'a [InstanceSituation] {
    let from = all.partition_point(|instance| &*instance.host < host);
    let to = all.partition_point(|instance| &*instance.host <= host);
    all.get(from..to).unwrap_or_default()
}

/// Assesses a registered host.
pub(super) fn registered<'a>(
    host: &'a Host,
    segment: &'a Segment,
    ctx: &AssessContext<'_>,
    found: &mut Findings,
) -> AssessedHost<'a> {
    let mut protection_state = ProtectionState::good();
    let name = host.name.as_str();
    let up = ctx.is_up(name);
    let open = matches!(host.recovery, Some((_, Life::Open)));
    if open {
        under_recovery(name, ctx, &mut protection_state, found);
    } else {
        if let Some(reason) = host.maintenance {
            on_maintenance((segment, name), reason, ctx, &mut protection_state, found);
        }
        if would_be_recovered(host) {
            at_nova(host, ctx, &mut protection_state, found);
            fencing::assess_host(name, ctx, &mut protection_state, found);
            // The monitors of a host that is down send no heartbeats for that reason.
            if up != Some(false) {
                monitors::assess_host(name, ctx, &mut protection_state, found);
            }
            would_hold(name, ctx, &mut protection_state, found);
            if is_muted(name, ctx) {
                protection_state.worsen(Protection::Degraded, FindingCode::ReporterDoubted);
            }
        }
    }
    // A host that is down has lost all networks, and is reported as down.
    if up != Some(false) {
        host_faults::assess(host, ctx, &mut protection_state, found);
    }
    DirectFreeze::hold(&mut protection_state, ctx.ice.hosts.contains(name));
    AssessedHost {
        name,
        segment: Some(&segment.name),
        reserved: host.reserved,
        protection_state,
        up,
        works: works(host, ctx),
    }
}

/// True if the reports of the host's own monitors, such as the death of an instance, are stored and start nothing.
fn is_muted(name: &str, ctx: &AssessContext<'_>) -> bool {
    let mut muted = ctx.facts.muted_reporters.iter().filter(|one| one.is_muted);
    muted.any(|one| one.reporter.host.as_deref() == Some(name))
}

/// True if a failure of the host would be recovered, also if one of its processes has put it in maintenance.
fn would_be_recovered(host: &Host) -> bool {
    match host.maintenance {
        None | Some(MaintenanceReason::Process) => true,
        Some(MaintenanceReason::Operator | MaintenanceReason::Recovery) => false,
    }
}

/// True if the host is running, as far as is known. A report alone does not change that: Nova showing the host up outweighs it.
pub(super) fn works(host: &Host, ctx: &AssessContext<'_>) -> bool {
    let up = ctx.is_up(&host.name);
    match host.recovery {
        Some((_, Life::Open)) => up == Some(true),
        Some((_, Life::Watching | Life::Closed)) | None => host.maintenance.is_none() && up != Some(false),
    }
}

fn under_recovery(
    name: &str,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let recovery = ctx.open_host_recovery(name);
    let progress = recovery
        .filter(|need| need.instances > 0)
        .map_or_else(String::new, |need| {
            format!(": {}/{} instances back", need.back, need.instances)
        });
    let waits = recovery
        .and_then(|recovery| recovery.wait.as_ref())
        .is_some_and(|wait| wait.what.needs_person());
    let (protection, text) = if ctx.is_up(name) == Some(true) {
        // A report about a host that is up in Nova is checked first.
        let text = if waits {
            "it is reported down, but is up in Nova; its recovery waits for an operator"
        } else {
            "it is reported down, but is up in Nova: the report is being checked"
        };
        (Protection::Unknown, text.to_owned())
    } else {
        let text = if waits {
            "its recovery waits for an operator"
        } else {
            "it is being recovered"
        };
        // A refusal that no repetition cures is shown at once, not when the instance is given up.
        let problem = recovery
            .filter(|one| {
                one.wait
                    .as_ref()
                    .is_some_and(|wait| wait.what == WaitsFor::Nothing)
            })
            .and_then(|recovery| recovery.message.as_deref())
            .map_or_else(String::new, |message| format!("; {message}"));
        (Protection::Down, format!("{text}{progress}{problem}"))
    };
    protection_state.worsen(protection, FindingCode::HostUnderRecovery);
    found.note(
        Finding::new(FindingCode::HostUnderRecovery, text)
            .about(name, ctx.instances_on(name))
            .fix(format!("tachi recovery show {name}")),
    );
}

fn on_maintenance(
    (segment, name): (&Segment, &str),
    reason: MaintenanceReason,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let back = || format!("tachi host return {name}");
    let (code, text, fix) = match reason {
        // Only an operator clears maintenance that an operator has set: recoveries and host returns leave it alone.
        MaintenanceReason::Operator => (
            FindingCode::HostOnMaintenance,
            "in maintenance, set by an operator",
            format!(
                "openstack segment host update --on_maintenance False {} {name}",
                typed(&segment.name)
            ),
        ),
        MaintenanceReason::Recovery => (
            FindingCode::HostNotBack,
            "in maintenance: recovered, not yet returned to service",
            back(),
        ),
        MaintenanceReason::Process => (
            FindingCode::ProcessDown,
            "disabled and in maintenance: one of its processes has failed",
            back(),
        ),
    };
    let protection = match reason {
        MaintenanceReason::Operator | MaintenanceReason::Recovery => lost_or_down(name, ctx),
        // A failure of the host itself is still reported and recovered.
        MaintenanceReason::Process => Protection::Degraded,
    };
    protection_state.worsen(protection, code);
    let down = host_faults::ProcessFault::of(name, ctx).filter(|_| reason == MaintenanceReason::Process);
    let text = match &down {
        Some(down) => format!("{text}: {}", down.names()),
        None => text.to_owned(),
    };
    let finding = Finding::new(code, text)
        .about(name, ctx.instances_on(name))
        .since(down.and_then(|down| down.since))
        .fix(fix);
    if protection == Protection::Down && ctx.should_run_on(name) {
        found.alarm(finding);
    } else {
        found.note(finding);
    }
}

/// Reports that it is not known if the guards would put recoveries on hold. If Nova's services are not known either, that is the
/// finding. An engine that never checks the guards beforehand is an older one, and changes nothing.
pub(super) fn guards(ctx: &AssessContext<'_>, all: &mut ProtectionState, found: &mut Findings) {
    let Some(known) = ctx.facts.holds.as_ref().filter(|known| !known.is_fresh(ctx.now)) else {
        return;
    };
    all.worsen(Protection::Unknown, FindingCode::FactsOld);
    if ctx.fresh {
        let text =
            "no engine has checked the guards recently, so it is unknown if a recovery would be put on hold";
        found.note(Finding::new(FindingCode::FactsOld, text).since(known.as_of));
    }
}

/// Reports the guards that would put the recovery on hold if the host failed now, until they are checked again.
fn would_hold(
    name: &str,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let Some(why) = ctx.holds.get(name) else {
        return;
    };
    protection_state.worsen(Protection::Degraded, FindingCode::RecoveryWouldHold);
    found.note(
        Finding::new(
            FindingCode::RecoveryWouldHold,
            format!("a failure now would put the recovery on hold: {}", why.join("; ")),
        )
        .about(name, ctx.instances_on(name)),
    );
}

/// Returns the protection of instances that are not recovered if their host fails: down if Nova is known to show the host down.
fn lost_or_down(name: &str, ctx: &AssessContext<'_>) -> Protection {
    if ctx.is_up(name) == Some(false) {
        Protection::Down
    } else {
        Protection::Unprotected
    }
}

/// Judges the compute service of a host that should be running.
fn at_nova(
    host: &Host,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let name = host.name.as_str();
    let instances = ctx.instances_on(name);
    let Some(compute) = ctx.computes.get(name) else {
        if ctx.facts.computes.is_some() {
            let text = "registered, and unknown to Nova";
            found.note(
                Finding::new(FindingCode::HostUnknownToNova, text)
                    .about(name, instances)
                    .fix("openstack compute service list"),
            );
            protection_state.worsen(Protection::Unprotected, FindingCode::HostUnknownToNova);
        }
        return;
    };
    if compute.cell_down {
        let text = if compute.ambiguous {
            "Nova has two compute services of its name, so its state is unknown"
        } else {
            "its cell does not answer, so its state is unknown"
        };
        found.note(
            Finding::new(FindingCode::HostCellDown, text)
                .about(name, instances)
                .since(compute.since),
        );
        protection_state.worsen(Protection::Unknown, FindingCode::HostCellDown);
    } else if !compute.up {
        // No recovery begins while the heartbeats continue, so a report would end without a result.
        let (text, fix) = if compute.forced_down {
            (
                "forced down in Nova by an operator, and its heartbeats continue",
                format!("openstack compute service set --up {name} nova-compute"),
            )
        } else {
            (
                "down in Nova, and no recovery of it is open",
                format!("tachi host report-down {name} --reason TEXT"),
            )
        };
        found.note(
            Finding::new(FindingCode::HostDown, text)
                .about(name, instances)
                .since(compute.since)
                .fix(fix),
        );
        protection_state.worsen(Protection::Down, FindingCode::HostDown);
    } else if host.maintenance.is_none() && ctx.takes_nothing(host) && !ctx.is_frozen_by_drain(host) {
        let (text, fix) = match (compute.drained, ctx.open_drain(name)) {
            (true, Some(drain)) => (
                "disabled in Nova by its drain, so it takes no instances",
                format!("tachi recovery show {drain}"),
            ),
            (true, None) => (
                "disabled in Nova by a drain, so it takes no instances",
                format!("tachi host undrain {name} --reason TEXT"),
            ),
            (false, _) => (
                "disabled in Nova, so it takes no instances",
                format!("openstack compute service set --enable {name} nova-compute"),
            ),
        };
        found.note(
            Finding::new(FindingCode::HostDisabled, text)
                .about(name, instances)
                .since(compute.since)
                .fix(fix),
        );
    }
}

/// Assesses the hosts in Nova that are not registered.
pub(super) fn unregistered_hosts<'a>(ctx: &AssessContext<'a>, found: &mut Findings) -> Vec<AssessedHost<'a>> {
    let hosts = ctx.facts.segments.iter().flat_map(|segment| &segment.hosts);
    let registered: BTreeSet<&str> = hosts.map(|host| host.name.as_str()).collect();
    let mut unregistered_hosts = Vec::new();
    for name in ctx
        .computes
        .keys()
        .copied()
        .filter(|name| !registered.contains(name))
    {
        let instances = ctx.instances_on(name);
        let listed = ctx
            .facts
            .instances
            .as_ref()
            .is_some_and(|known| known.value.complete);
        // A new host that is empty, or will never run instances, harms nothing yet.
        let grade = if listed && instances == 0 {
            Severity::Warn
        } else {
            Severity::Err
        };
        let protection = lost_or_down(name, ctx);
        let is_down = protection == Protection::Down;
        let text = if is_down {
            "down in Nova, and in no segment, so not recovered"
        } else {
            "in no segment, so not recovered"
        };
        let finding = Finding::new(FindingCode::HostNotInSegment, text)
            .graded(grade)
            .about(name, instances)
            .fix("tachi setup import --apply");
        if is_down && ctx.should_run_on(name) {
            found.alarm(finding);
        } else {
            found.note(finding);
        }
        let mut protection_state = ProtectionState::good();
        protection_state.worsen(protection, FindingCode::HostNotInSegment);
        unregistered_hosts.push(AssessedHost {
            name,
            segment: None,
            reserved: false,
            protection_state,
            up: ctx.is_up(name),
            works: false,
        });
    }
    unregistered_hosts
}
