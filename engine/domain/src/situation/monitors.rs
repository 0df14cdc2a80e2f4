//! Monitors: whether somebody alive watches each host.
//!
//! Nobody has to sign: Masakari's own monitors do not. As long as none has ever signed, nothing is said of them, neither good
//! nor bad. From the first signature of a host monitor on, a host that no signature names is one of which it is not known who
//! watches it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Code, FRESH, Finding, Findings, Grade, Look, Monitor, Protection, Standing};
use crate::monitor::{Guests, HeartbeatUse, MonitorKind, Notice, Resume};
use crate::timestamp::Timestamp;

/// A monitor, as its signatures tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MonitorSituation {
    /// The host that it runs on.
    pub host: String,
    /// What it watches.
    pub kind: MonitorKind,
    /// How it is.
    pub grade: Grade,
    /// When it signed last.
    pub signed_at: Timestamp,
    /// Its version.
    pub version: String,
    /// What does not work, in words; empty if nothing is known to be wrong.
    pub trouble: String,
    /// How many hosts it watches.
    pub watches: u64,
    /// What it has found of the guests of its host.
    pub guests: Option<Guests>,
    /// How soon it would report a host.
    pub notice: Option<Notice>,
    /// Whether its heartbeats can contradict a claim that its host is off.
    pub heartbeat_use: HeartbeatUse,
}

impl Monitor {
    /// Whether it has signed lately. A signature from the future says nothing: a clock is wrong.
    fn is_alive(&self, now: Timestamp) -> bool {
        u128::from(now.micros_since(self.signed_at).unsigned_abs()) <= FRESH.as_micros()
    }

    fn situation(&self, now: Timestamp) -> MonitorSituation {
        let (grade, trouble) = if !self.is_alive(now) {
            (Grade::Err, "it has not signed for a while".to_owned())
        } else if self.said.troubles.is_empty() {
            (Grade::Ok, String::new())
        } else {
            (Grade::Warn, troubles(&self.said.troubles))
        };
        MonitorSituation {
            host: self.said.host.clone(),
            kind: self.said.kind,
            grade,
            signed_at: self.signed_at,
            version: self.said.version.clone(),
            trouble,
            watches: self.said.watches.len() as u64,
            guests: self.said.guests.clone(),
            notice: self.said.notice.clone(),
            heartbeat_use: self.said.heartbeat_use,
        }
    }
}

/// The service that runs it.
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

/// All of them, worst first.
pub(super) fn situations(look: &Look<'_>) -> Vec<MonitorSituation> {
    let mut all: Vec<MonitorSituation> = look
        .facts
        .monitors
        .iter()
        .map(|one| one.situation(look.now))
        .collect();
    all.sort_by(|one, other| {
        let key = |one: &MonitorSituation| (std::cmp::Reverse(one.grade), one.host.clone(), one.kind);
        key(one).cmp(&key(other))
    });
    all
}

/// Whether a host monitor has ever signed.
pub(super) fn are_known(look: &Look<'_>) -> bool {
    look.facts
        .monitors
        .iter()
        .any(|one| one.said.kind == MonitorKind::Host)
}

/// Who names a host among those it watches, apart from that host itself: who dies with it reports nothing.
#[derive(Clone, Copy, Default)]
struct Watch {
    now: bool,
    /// When one that cannot judge it any more signed last.
    before: Option<Timestamp>,
}

/// Those who watch, by whom they watch.
pub(super) struct Watchers<'a>(BTreeMap<&'a str, Watch>);

pub(super) fn watchers(facts: &super::Facts, now: Timestamp) -> Watchers<'_> {
    let mut by_host: BTreeMap<&str, Watch> = BTreeMap::new();
    let hosts = facts
        .monitors
        .iter()
        .filter(|one| one.said.kind == MonitorKind::Host);
    for one in hosts {
        let alive = one.said.watching && one.is_alive(now);
        for name in one.said.watches.iter().filter(|name| **name != one.said.host) {
            let watch = by_host.entry(name).or_default();
            watch.now |= alive;
            if !alive {
                watch.before = watch.before.max(Some(one.signed_at));
            }
        }
    }
    Watchers(by_host)
}

/// A host that is at work: who watches it, and how its own monitors are.
pub(super) fn assess_host(name: &str, look: &Look<'_>, standing: &mut Standing, found: &mut Findings) {
    let instances = look.instances_on(name);
    guests(name, look, standing, found);
    if are_known(look) {
        let watch = look.watchers.0.get(name).copied().unwrap_or_default();
        match watch {
            Watch { now: true, .. } => {}
            Watch { before: Some(at), .. } => {
                let text = "no host monitor at work watches it, so its death would not be reported";
                let fix = format!("systemctl status {}", unit(MonitorKind::Host));
                found.note(
                    Finding::new(Code::HostNotWatched, text)
                        .about(name, instances)
                        .since(at)
                        .fix(fix),
                );
                standing.worsen(Protection::Unprotected, Code::HostNotWatched);
            }
            Watch { before: None, .. } => {
                let text = "no host monitor that signs has ever watched it";
                found.note(Finding::new(Code::MonitorUnknown, text).about(name, instances));
                standing.worsen(Protection::Unknown, Code::MonitorUnknown);
            }
        }
    }
    for one in look.facts.monitors.iter().filter(|one| one.said.host == name) {
        let kind = one.said.kind;
        if !one.is_alive(look.now) {
            let text = format!("its {kind} monitor has not signed for a while");
            let fix = format!("systemctl status {}", unit(kind));
            found.note(
                Finding::new(Code::MonitorSilent, text)
                    .about(name, instances)
                    .since(one.signed_at)
                    .fix(fix),
            );
        } else if !one.said.troubles.is_empty() {
            let text = format!("its {kind} monitor has trouble: {}", troubles(&one.said.troubles));
            found.note(Finding::new(Code::MonitorPart, text).about(name, instances));
        } else {
            continue;
        }
        // A host's death is reported by the monitors of others.
        if kind != MonitorKind::Host {
            let code = if one.is_alive(look.now) {
                Code::MonitorPart
            } else {
                Code::MonitorSilent
            };
            standing.worsen(Protection::Degraded, code);
        }
    }
}

/// Guests that come back by themselves run beside those that were moved: the one who has looked last says whether they do.
fn guests(name: &str, look: &Look<'_>, standing: &mut Standing, found: &mut Findings) {
    let own = look.facts.monitors.iter().filter(|one| one.said.host == name);
    let told = own.filter_map(|one| Some((one.signed_at, one.said.guests.as_ref()?)));
    let Some((_, guests)) = told.max_by_key(|(at, _)| *at) else {
        return;
    };
    match guests.resume {
        Resume::Yes => {
            let text = format!(
                "its guests start by themselves when it does: resume_guests_state_on_host_boot is true ({})",
                guests.by
            );
            found.note(
                Finding::new(Code::GuestsResume, text)
                    .about(name, look.instances_on(name))
                    .fix("set resume_guests_state_on_host_boot = false in its nova.conf, and restart its nova-compute"),
            );
            standing.worsen(Protection::Degraded, Code::GuestsResume);
        }
        Resume::No | Resume::Unknown => {}
    }
}

#[cfg(test)]
pub(super) mod tests;
