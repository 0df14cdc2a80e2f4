//! Hosts: whether what runs on them would be recovered.

use std::collections::BTreeSet;

use serde::Serialize;

use super::freezes::Frozen;
use super::{
    Code, Counts, Finding, Findings, Grade, Host, InstanceSituation, Look, Protection, Segment, Standing,
    fencing, monitors,
};
use crate::entity::host::MaintenanceReason;
use crate::recovery::Life;

/// A host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostSituation {
    /// Its name.
    pub name: String,
    /// Its segment, if it has one.
    pub segment: Option<String>,
    /// Kept empty for the instances of another.
    pub reserved: bool,
    /// What would become of its instances if it died now.
    pub protection: Protection,
    /// Why.
    pub reasons: BTreeSet<Code>,
    /// Whether Nova hears it; `None` if that is not known.
    pub up: Option<bool>,
    /// Its instances; `None` while nobody has listed them.
    pub counts: Option<Counts>,
}

/// A host, before its instances are counted.
pub(super) struct Assessed<'a> {
    pub(super) name: &'a str,
    segment: Option<&'a str>,
    reserved: bool,
    pub(super) standing: Standing,
    up: Option<bool>,
    /// Whether it can take instances of another host, or be lost.
    pub(super) works: bool,
}

impl Assessed<'_> {
    pub(super) fn summary(self, instances: Option<&[InstanceSituation]>) -> HostSituation {
        let own = |all: &[InstanceSituation]| Counts::of(of_host(all, self.name));
        HostSituation {
            name: self.name.to_owned(),
            segment: self.segment.map(str::to_owned),
            reserved: self.reserved,
            protection: self.standing.protection,
            reasons: self.standing.reasons,
            up: self.up,
            counts: instances.map(own),
        }
    }
}

/// Those of one host: instances are sorted by host.
pub(super) fn of_host<'a>(all: &'a [InstanceSituation], host: &str) -> &'a [InstanceSituation] {
    let from = all.partition_point(|one| &*one.host < host);
    let to = all.partition_point(|one| &*one.host <= host);
    all.get(from..to).unwrap_or_default()
}

/// One that is registered.
pub(super) fn registered<'a>(
    host: &'a Host,
    segment: &'a Segment,
    look: &Look<'_>,
    found: &mut Findings,
) -> Assessed<'a> {
    let mut standing = Standing::good();
    let name = host.name.as_str();
    let up = look.is_up(name);
    let open = matches!(host.recovery, Some((_, Life::Open)));
    if open {
        under_recovery(name, look, &mut standing, found);
    } else if let Some(reason) = host.maintenance {
        on_maintenance((segment, name), reason, look, &mut standing, found);
    } else {
        at_nova(host, look, &mut standing, found);
        fencing::assess_host(name, look, &mut standing, found);
        // The monitors of a host that is down are silent for that.
        if up != Some(false) {
            monitors::assess_host(name, look, &mut standing, found);
        }
        would_hold(name, look, &mut standing, found);
    }
    Frozen::hold(&mut standing, look.ice.hosts.contains(name));
    Assessed {
        name,
        segment: Some(&segment.name),
        reserved: host.reserved,
        standing,
        up,
        works: works(host, look),
    }
}

/// Whether it is at work, as far as is known. A mere report does not take it away: Nova's word that it is up outweighs it.
pub(super) fn works(host: &Host, look: &Look<'_>) -> bool {
    let up = look.is_up(&host.name);
    match host.recovery {
        Some((_, Life::Open)) => up == Some(true),
        Some((_, Life::Watching | Life::Closed)) | None => host.maintenance.is_none() && up != Some(false),
    }
}

fn under_recovery(name: &str, look: &Look<'_>, standing: &mut Standing, found: &mut Findings) {
    let recovery = look
        .facts
        .recoveries
        .iter()
        .find(|one| one.host == name && one.life == Life::Open);
    let progress = recovery
        .filter(|one| one.instances > 0)
        .map_or_else(String::new, |one| {
            format!(": {}/{} instances back", one.back, one.instances)
        });
    let waits = recovery
        .and_then(|one| one.wait.as_ref())
        .is_some_and(|wait| wait.what.needs_person());
    let (protection, text) = if look.is_up(name) == Some(true) {
        // What is reported of a host that Nova hears is examined first.
        (
            Protection::Unknown,
            "it is reported down, but is up in Nova: the report is being checked".to_owned(),
        )
    } else {
        let text = if waits {
            "its recovery waits for an operator"
        } else {
            "it is being recovered"
        };
        (Protection::Down, format!("{text}{progress}"))
    };
    standing.worsen(protection, Code::HostUnderRecovery);
    found.note(
        Finding::new(Code::HostUnderRecovery, text)
            .about(name, look.instances_on(name))
            .fix(format!("tachi recovery show {name}")),
    );
}

fn on_maintenance(
    (segment, name): (&Segment, &str),
    reason: MaintenanceReason,
    look: &Look<'_>,
    standing: &mut Standing,
    found: &mut Findings,
) {
    let back = || format!("tachi host return {name}");
    let (code, text, fix) = match reason {
        // Who has put it there takes it off: a recovery and its return leave it alone.
        MaintenanceReason::Operator => (
            Code::HostOnMaintenance,
            "on maintenance: an operator has put it there",
            format!(
                "openstack segment host update --on_maintenance False {} {name}",
                segment.name
            ),
        ),
        MaintenanceReason::Recovery => (
            Code::HostNotBack,
            "on maintenance: it was recovered and is not back at work",
            back(),
        ),
        MaintenanceReason::Process => (
            Code::ProcessDown,
            "disabled and on maintenance: one of its processes has failed",
            back(),
        ),
    };
    let protection = match reason {
        MaintenanceReason::Operator | MaintenanceReason::Recovery => lost_or_down(name, look),
        // Its own failure is still reported and recovered (R19).
        MaintenanceReason::Process => Protection::Degraded,
    };
    standing.worsen(protection, code);
    found.note(
        Finding::new(code, text)
            .about(name, look.instances_on(name))
            .fix(fix),
    );
}

/// What the guards would say if it failed now.
fn would_hold(name: &str, look: &Look<'_>, standing: &mut Standing, found: &mut Findings) {
    let Some(why) = look.holds.get(name) else {
        return;
    };
    standing.worsen(Protection::Degraded, Code::RecoveryWouldHold);
    found.note(
        Finding::new(
            Code::RecoveryWouldHold,
            format!("if it failed now: {}", why.join("; ")),
        )
        .about(name, look.instances_on(name)),
    );
}

/// Of instances on a host whose loss nobody would make good: they are down if Nova does not hear the host, as far as anybody knows.
fn lost_or_down(name: &str, look: &Look<'_>) -> Protection {
    if look.is_up(name) == Some(false) {
        Protection::Down
    } else {
        Protection::Unprotected
    }
}

/// What Nova says of a host that should be at work.
fn at_nova(host: &Host, look: &Look<'_>, standing: &mut Standing, found: &mut Findings) {
    let name = host.name.as_str();
    let instances = look.instances_on(name);
    let Some(compute) = look.computes.get(name) else {
        if look.facts.computes.is_some() {
            let text = "registered, and unknown to Nova";
            found.note(
                Finding::new(Code::HostUnknownToNova, text)
                    .about(name, instances)
                    .fix("openstack compute service list"),
            );
            standing.worsen(Protection::Unprotected, Code::HostUnknownToNova);
        }
        return;
    };
    if compute.cell_down {
        let text = "its cell is away, so nothing is known of it";
        found.note(
            Finding::new(Code::HostCellDown, text)
                .about(name, instances)
                .since(compute.since),
        );
        standing.worsen(Protection::Unknown, Code::HostCellDown);
    } else if !compute.up {
        let text = "down at Nova, and no recovery of it is open";
        found.note(
            Finding::new(Code::HostDown, text)
                .about(name, instances)
                .since(compute.since)
                .fix(format!("tachi host report-down {name} --reason TEXT")),
        );
        standing.worsen(Protection::Down, Code::HostDown);
    } else if !compute.enabled && !host.reserved {
        let text = "disabled at Nova, so it takes no instances";
        found.note(
            Finding::new(Code::HostDisabled, text)
                .about(name, instances)
                .since(compute.since)
                .fix(if look.ice.hosts.contains(name) {
                    // Drained, most likely: its freeze has to end too.
                    format!("tachi host return {name}")
                } else {
                    format!("openstack compute service set --enable {name} nova-compute")
                }),
        );
    }
}

/// Hosts of Nova's that nobody has registered.
pub(super) fn strangers<'a>(look: &Look<'a>, found: &mut Findings) -> Vec<Assessed<'a>> {
    let hosts = look.facts.segments.iter().flat_map(|segment| &segment.hosts);
    let registered: BTreeSet<&str> = hosts.map(|host| host.name.as_str()).collect();
    let mut strangers = Vec::new();
    for name in look
        .computes
        .keys()
        .copied()
        .filter(|name| !registered.contains(name))
    {
        let instances = look.instances_on(name);
        let listed = look
            .facts
            .instances
            .as_ref()
            .is_some_and(|known| known.value.complete);
        // A new one that is empty, or never meant for instances, hurts nobody yet.
        let grade = if listed && instances == 0 {
            Grade::Warn
        } else {
            Grade::Err
        };
        let text = "in no segment, so not recovered";
        found.note(
            Finding::new(Code::HostNotInSegment, text)
                .graded(grade)
                .about(name, instances)
                .fix("tachi setup import"),
        );
        let mut standing = Standing::good();
        standing.worsen(Protection::Unprotected, Code::HostNotInSegment);
        strangers.push(Assessed {
            name,
            segment: None,
            reserved: false,
            standing,
            up: look.is_up(name),
            works: false,
        });
    }
    strangers
}
