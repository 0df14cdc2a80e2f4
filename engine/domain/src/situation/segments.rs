//! Assessment of segments: is there capacity for the instances of a failed host?

use serde::Serialize;

use super::freezes::DirectFreeze;
use super::guard_limit::guard_limit;
use super::hosts::{AssessedHost, of_host, works};
use super::{
    AssessContext, Counts, Finding, FindingCode, Findings, Host, InstanceSituation, Protection,
    ProtectionState, Segment, Severity, number,
};
use crate::entity::host::MaintenanceReason;
use crate::entity::segment::RecoveryMethod;
use crate::forecast::Headroom;
use crate::freeze::typed;

/// The assessed state of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentSituation {
    pub name: String,
    /// The recovery method of its instances.
    pub method: RecoveryMethod,
    /// False if none of its hosts or instances is recovered.
    pub enabled: bool,
    /// The number of its hosts that are running.
    pub working: usize,
    pub hosts: usize,
    /// The number of its instances by protection; `None` until the instances have been listed.
    pub counts: Option<Counts>,
    /// The number of hosts that may be lost together: the smaller of the room and of what the guards let fail; `None` if not known.
    pub headroom: Option<Headroom>,
    /// The same by the room alone.
    pub room: Option<Headroom>,
    /// The number of hosts that the guards let fail together; `None` if no number is too large for them, or no engine has asked them.
    pub guard_limit: Option<u64>,
    /// The hosts that are being recovered.
    pub under_recovery: Vec<String>,
}

/// Assesses what applies to all hosts of the segment.
pub(super) fn assess(segment: &Segment, ctx: &AssessContext<'_>, found: &mut Findings) -> ProtectionState {
    let mut protection_state = ProtectionState::good();
    let name = segment.name.as_str();
    DirectFreeze::hold(&mut protection_state, ctx.ice.segments.contains(name));
    let instances = segment
        .hosts
        .iter()
        .map(|host| ctx.instances_on(&host.name))
        .sum();
    let subject = format!("segment {name}");
    if !segment.enabled {
        let hosts = number(segment.hosts.len(), "host", "hosts");
        let text = format!("disabled, so failures of its {hosts} are not handled");
        found.note(
            Finding::new(FindingCode::SegmentDisabled, text)
                .about(subject, instances)
                .fix(format!(
                    "openstack segment update --is_enabled True {}",
                    typed(name)
                )),
        );
        protection_state.worsen(Protection::Unprotected, FindingCode::SegmentDisabled);
        return protection_state;
    }
    let ready = segment.hosts.iter().filter(|host| works(host, ctx));
    let (reserved, working): (Vec<_>, Vec<_>) = ready.partition(|host| host.reserved);
    let registered = segment.hosts.iter().filter(|host| host.reserved).count();
    let none_ready = || match registered {
        0 => "it has no reserved host".to_owned(),
        1 => "its only reserved host is not ready".to_owned(),
        count => format!("none of its {count} reserved hosts is ready"),
    };
    match segment.method {
        RecoveryMethod::ReservedHost if reserved.is_empty() => {
            let text = format!("its method is reserved_host, and {}", none_ready());
            found.note(
                Finding::new(FindingCode::NoReservedHost, text)
                    .about(subject, instances)
                    .fix(reserve_command(segment, ctx)),
            );
            protection_state.worsen(Protection::Unprotected, FindingCode::NoReservedHost);
        }
        RecoveryMethod::AutoPriority | RecoveryMethod::RhPriority if reserved.is_empty() => {
            let text = format!("{}, so only Nova's own choice of a host is left", none_ready());
            found.note(
                Finding::new(FindingCode::NoReservedHost, text)
                    .graded(Severity::Warn)
                    .about(subject, instances)
                    .fix(reserve_command(segment, ctx)),
            );
            protection_state.worsen(Protection::Degraded, FindingCode::NoReservedHost);
        }
        RecoveryMethod::Auto if working.len() < 2 && !segment.hosts.is_empty() => {
            let text = match working.len() {
                0 => "none of its hosts is in service, so its instances may have nowhere to go",
                _ => "only one of its hosts is in service, so its instances may have nowhere to go",
            };
            found.note(Finding::new(FindingCode::FewHosts, text).about(subject, instances));
            protection_state.worsen(Protection::Degraded, FindingCode::FewHosts);
        }
        RecoveryMethod::Auto
        | RecoveryMethod::ReservedHost
        | RecoveryMethod::AutoPriority
        | RecoveryMethod::RhPriority => {}
    }
    protection_state
}

/// Returns the command that gives the segment a reserved host: one that is only in maintenance, or else an empty one. Without either, Nova
/// has to choose the hosts.
fn reserve_command(segment: &Segment, ctx: &AssessContext<'_>) -> String {
    let name = typed(&segment.name);
    let up =
        |host: &&Host| ctx.is_up(&host.name) == Some(true) && ctx.open_host_recovery(&host.name).is_none();
    let mut resting = segment.hosts.iter().filter(|host| host.reserved).filter(up);
    let resting = resting.find_map(|host| Some((host, host.maintenance?)));
    match resting {
        Some((host, MaintenanceReason::Operator)) => {
            return format!(
                "openstack segment host update --on_maintenance False {name} {}",
                host.name
            );
        }
        Some((host, MaintenanceReason::Recovery | MaintenanceReason::Process)) => {
            return format!("tachi host return {}", host.name);
        }
        None => {}
    }
    let listed = ctx.facts.instances.as_ref();
    let is_listed = listed.is_some_and(|known| known.value.complete && known.is_fresh(ctx.now));
    let is_free =
        |host: &&Host| is_listed && !host.reserved && works(host, ctx) && ctx.instances_on(&host.name) == 0;
    let mut free: Vec<&Host> = segment.hosts.iter().filter(is_free).filter(up).collect();
    // One that Nova leaves alone already was kept in reserve before.
    free.sort_by_key(|host| ctx.computes.get(host.name.as_str()).is_none_or(|one| one.enabled));
    free.first().map_or_else(
        || format!("openstack segment update --recovery_method auto {name}"),
        |host| {
            format!(
                "openstack segment host update {name} {} --reserved True",
                host.name
            )
        },
    )
}

pub(super) fn summary(
    segment: &Segment,
    ctx: &AssessContext<'_>,
    hosts: &[AssessedHost<'_>],
    instances: Option<&[InstanceSituation]>,
    room: Option<Headroom>,
) -> SegmentSituation {
    let own = |all: &[InstanceSituation]| Counts::of(hosts.iter().flat_map(|host| of_host(all, host.name)));
    let open = |name: &&str| ctx.open_host_recovery(name).is_some();
    let guard_limit = guard_limit(ctx.facts, segment);
    SegmentSituation {
        name: segment.name.clone(),
        method: segment.method,
        enabled: segment.enabled,
        working: hosts.iter().filter(|host| host.works).count(),
        hosts: hosts.len(),
        counts: instances.map(own),
        headroom: room.map(|room| room.within(guard_limit)),
        room,
        guard_limit,
        under_recovery: hosts
            .iter()
            .map(|host| host.name)
            .filter(open)
            .map(str::to_owned)
            .collect(),
    }
}

#[cfg(test)]
mod tests;
