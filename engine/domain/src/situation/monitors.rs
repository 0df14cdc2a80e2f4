//! Assessment of monitors: does a running monitor watch each host?
//!
//! Heartbeats are optional: Masakari's own monitors send none. Until the first heartbeat, an assessment reports nothing about
//! monitors, neither good nor bad. From the first heartbeat of a host monitor on, it is unknown who watches a host that no
//! heartbeat names.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    AssessContext, Finding, FindingCode, Findings, MAX_FACT_AGE, Monitor, Protection, ProtectionState,
    Severity,
};
use crate::id::ServerId;
use crate::monitor::{Guests, HeartbeatUse, MonitorKind, Notice, Resume};
use crate::timestamp::Timestamp;

/// The state of a monitor, by its heartbeats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonitorSituation {
    /// The host that the monitor runs on.
    pub host: String,
    /// The kind of failures it watches for.
    pub kind: MonitorKind,
    /// The severity of the monitor's state.
    pub grade: Severity,
    /// The time of the last heartbeat.
    pub signed_at: Timestamp,
    pub version: String,
    /// The parts that do not work, for people; empty if no fault is known.
    pub trouble: String,
    /// The number of hosts it watches.
    pub watches: u64,
    /// The monitor's finding about the guests of its host: do they start by themselves?
    pub guests: Option<Guests>,
    /// The maximum time from a host's power loss until the monitor has reported it.
    pub notice: Option<Notice>,
    /// The weight of its heartbeats against a claim that its host is off.
    pub heartbeat_use: HeartbeatUse,
}

impl Monitor {
    /// True if the last heartbeat is recent. A heartbeat from the future does not count: some clock is wrong.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        u128::from(now.micros_since(self.signed_at).unsigned_abs()) <= MAX_FACT_AGE.as_micros()
    }

    fn situation(&self, now: Timestamp) -> MonitorSituation {
        let (grade, trouble) = if !self.is_alive(now) {
            (Severity::Err, "no heartbeat".to_owned())
        } else if self.heartbeat.troubles.is_empty() {
            (Severity::Ok, String::new())
        } else {
            (Severity::Warn, troubles(&self.heartbeat.troubles))
        };
        MonitorSituation {
            host: self.heartbeat.host.clone(),
            kind: self.heartbeat.kind,
            grade,
            signed_at: self.signed_at,
            version: self.heartbeat.version.clone(),
            trouble,
            watches: self.heartbeat.watches.len() as u64,
            guests: self.heartbeat.guests.clone(),
            notice: self.heartbeat.notice.clone(),
            heartbeat_use: self.heartbeat.heartbeat_use,
        }
    }
}

/// Returns the systemd unit of the monitor.
const fn unit(kind: MonitorKind) -> &'static str {
    match kind {
        MonitorKind::Host => "masakari-host-monitor",
        MonitorKind::Process => "masakari-process-monitor",
        MonitorKind::Instance => "masakari-instance-monitor",
        MonitorKind::Introspective => "masakari-introspective-instance-monitor",
    }
}

fn troubles(troubles: &BTreeMap<String, String>) -> String {
    let parts: Vec<String> = troubles
        .iter()
        .map(|(part, why)| format!("{part}: {why}"))
        .collect();
    parts.join("; ")
}

/// Returns the state of all monitors, most severe first.
pub(super) fn situations(ctx: &AssessContext<'_>) -> Vec<MonitorSituation> {
    let mut all: Vec<MonitorSituation> = ctx
        .facts
        .monitors
        .iter()
        .map(|monitor| monitor.situation(ctx.now))
        .collect();
    all.sort_by(|one, other| {
        let key = |monitor: &MonitorSituation| {
            (
                std::cmp::Reverse(monitor.grade),
                monitor.host.clone(),
                monitor.kind,
            )
        };
        key(one).cmp(&key(other))
    });
    all
}

/// True if a host monitor has ever sent a heartbeat.
pub(super) fn are_known(ctx: &AssessContext<'_>) -> bool {
    ctx.facts
        .monitors
        .iter()
        .any(|monitor| monitor.heartbeat.kind == MonitorKind::Host)
}

/// The monitors on other hosts that watch a host. One on the host itself does not count: it fails together with the host.
#[derive(Clone, Copy, Default)]
struct Watch {
    now: bool,
    /// The last heartbeat of a monitor that can no longer judge the host.
    before: Option<Timestamp>,
}

/// The watching monitors, by watched host.
pub(super) struct Watchers<'a>(BTreeMap<&'a str, Watch>);

pub(super) fn watchers(facts: &super::Facts, now: Timestamp) -> Watchers<'_> {
    let mut by_host: BTreeMap<&str, Watch> = BTreeMap::new();
    let hosts = facts
        .monitors
        .iter()
        .filter(|monitor| monitor.heartbeat.kind == MonitorKind::Host);
    for monitor in hosts {
        let alive = monitor.heartbeat.watching && monitor.is_alive(now);
        for name in monitor
            .heartbeat
            .watches
            .iter()
            .filter(|name| **name != monitor.heartbeat.host)
        {
            let watch = by_host.entry(name).or_default();
            watch.now |= alive;
            if !alive {
                watch.before = watch.before.max(Some(monitor.signed_at));
            }
        }
    }
    Watchers(by_host)
}

/// Returns the instances whose guests have shut themselves down, with their host and the time of the heartbeat that shows it.
pub(super) fn shutdowns(facts: &super::Facts) -> BTreeMap<(&str, ServerId), Timestamp> {
    let monitors = facts.monitors.iter();
    let of = |monitor: &'_ Monitor| monitor.heartbeat.kind == MonitorKind::Instance;
    monitors
        .filter(|monitor| of(monitor))
        .flat_map(|monitor| {
            let host = monitor.heartbeat.host.as_str();
            let all = monitor.heartbeat.shut_down.iter();
            all.map(move |id| ((host, *id), monitor.signed_at))
        })
        .collect()
}

/// Judges a running host by its watchers, and by the state of its own monitors.
pub(super) fn assess_host(
    name: &str,
    ctx: &AssessContext<'_>,
    protection_state: &mut ProtectionState,
    found: &mut Findings,
) {
    let instances = ctx.instances_on(name);
    guests(name, ctx, protection_state, found);
    if are_known(ctx) {
        let watch = ctx.watchers.0.get(name).copied().unwrap_or_default();
        match watch {
            Watch { now: true, .. } => {}
            Watch { before: Some(at), .. } => {
                let text = "no running host monitor watches it, so its failure would not be reported";
                let fix = format!("systemctl status {}", unit(MonitorKind::Host));
                found.note(
                    Finding::new(FindingCode::HostNotWatched, text)
                        .about(name, instances)
                        .since(at)
                        .fix(fix),
                );
                protection_state.worsen(Protection::Unprotected, FindingCode::HostNotWatched);
            }
            Watch { before: None, .. } => {
                let text = "no host monitor that sends heartbeats has ever watched it";
                found.note(Finding::new(FindingCode::MonitorUnknown, text).about(name, instances));
                protection_state.worsen(Protection::Unknown, FindingCode::MonitorUnknown);
            }
        }
    }
    for monitor in ctx
        .facts
        .monitors
        .iter()
        .filter(|monitor| monitor.heartbeat.host == name)
    {
        let kind = monitor.heartbeat.kind;
        if !monitor.is_alive(ctx.now) {
            let text = format!("its {kind} monitor sends no heartbeat");
            let fix = format!("systemctl status {}", unit(kind));
            found.note(
                Finding::new(FindingCode::MonitorSilent, text)
                    .about(name, instances)
                    .since(monitor.signed_at)
                    .fix(fix),
            );
        } else if !monitor.heartbeat.troubles.is_empty() {
            let text = format!(
                "its {kind} monitor has a problem: {}",
                troubles(&monitor.heartbeat.troubles)
            );
            found.note(Finding::new(FindingCode::MonitorPart, text).about(name, instances));
        } else {
            continue;
        }
        // The failure of a host is reported by the monitors of other hosts.
        if kind != MonitorKind::Host {
            let code = if monitor.is_alive(ctx.now) {
                FindingCode::MonitorPart
            } else {
                FindingCode::MonitorSilent
            };
            protection_state.worsen(Protection::Degraded, code);
        }
    }
}

/// Reports guests that start at boot: they would run beside the moved instances. The latest heartbeat with this data counts.
fn guests(name: &str, ctx: &AssessContext<'_>, protection_state: &mut ProtectionState, found: &mut Findings) {
    let own = ctx
        .facts
        .monitors
        .iter()
        .filter(|monitor| monitor.heartbeat.host == name);
    let settings = own.filter_map(|monitor| Some((monitor.signed_at, monitor.heartbeat.guests.as_ref()?)));
    let Some((_, guests)) = settings.max_by_key(|(at, _)| *at) else {
        return;
    };
    match guests.resume {
        Resume::Yes => {
            let text = format!(
                "its guests start by themselves when it boots: resume_guests_state_on_host_boot is true ({})",
                guests.by
            );
            found.note(
                Finding::new(FindingCode::GuestsResume, text)
                    .about(name, ctx.instances_on(name))
                    .fix("set resume_guests_state_on_host_boot = false in its nova.conf, and restart its nova-compute"),
            );
            protection_state.worsen(Protection::Degraded, FindingCode::GuestsResume);
        }
        Resume::No | Resume::Unknown => {}
    }
}

#[cfg(test)]
pub(super) mod tests;
