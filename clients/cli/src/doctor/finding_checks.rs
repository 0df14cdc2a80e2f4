//! The checks of findings: one for each code.

use tachi_domain::monitor::{HeartbeatUse, MonitorKind, Resume};
use tachi_domain::situation::{Aspect, FindingCode, Severity};
use tachi_operator::{FindingView, MonitorView, SituationView};

use super::checks::{Check, MAX_NAMED_SUBJECTS, check, named};

/// Returns the codes of the checks. An instance that is being moved is never a finding of its own, only a reason of the
/// instance.
pub(super) fn codes() -> impl Iterator<Item = FindingCode> {
    let all = FindingCode::ALL.iter().copied();
    all.filter(|code| *code != FindingCode::InstanceMoving)
}

/// Checks a code. No finding means good only if the underlying data exists and is current.
pub(super) fn found(code: FindingCode, situation: &SituationView) -> Check {
    let all: Vec<_> = situation
        .findings
        .iter()
        .filter(|finding| finding.code == code)
        .collect();
    if let Some(most_severe) = all.iter().max_by_key(|one| one.grade) {
        return finding(most_severe, &all);
    }
    let makes_old = [
        FindingCode::FactsOld,
        FindingCode::InstancesNotListed,
        FindingCode::NoEngine,
    ];
    let is_old = situation.looked_at.is_none()
        || situation
            .findings
            .iter()
            .any(|finding| makes_old.contains(&finding.code));
    let unseen = if is_old {
        Some("the data of the region is stale, or no engine has read the region yet".to_owned())
    } else {
        unseen(code, situation)
    };
    match unseen {
        Some(why) => check(name_of(code), Severity::Unknown, why),
        None => check(name_of(code), Severity::Ok, ""),
    }
}

/// Returns why a code cannot be assessed, although the rest of the region is known.
fn unseen(code: FindingCode, situation: &SituationView) -> Option<String> {
    let lacks = |aspect| situation.not_assessed.contains(&aspect);
    let is = |codes: &[FindingCode]| codes.contains(&code);
    if is(&[FindingCode::HostNotWatched, FindingCode::MonitorUnknown]) && lacks(Aspect::Monitors) {
        Some("no host monitor has ever sent a heartbeat: those of Masakari do not".to_owned())
    } else if is(&[FindingCode::MonitorSilent, FindingCode::MonitorPart]) && situation.monitors.is_empty() {
        Some("no monitor has ever sent a heartbeat: those of Masakari do not".to_owned())
    } else if is(&[
        FindingCode::NoRoom,
        FindingCode::RoomTight,
        FindingCode::RoomUnknown,
    ]) && lacks(Aspect::Room)
    {
        Some("the capacity of hosts is not known: `tachi forecast` shows why".to_owned())
    } else if is(&[FindingCode::GuestsResume]) {
        guests(situation)
    } else if is(&[FindingCode::LocalDisk]) {
        let reads = |monitor: &&MonitorView| {
            let is_bound = matches!(
                monitor.heartbeat_use,
                HeartbeatUse::Counts | HeartbeatUse::NoBootId
            );
            monitor.kind == MonitorKind::Instance && is_bound
        };
        let read = situation.monitors.iter().any(|monitor| reads(&monitor));
        (!read)
            .then(|| "no instance monitor that is bound to its host has reported its local disks".to_owned())
    } else {
        None
    }
}

/// Lists the registered hosts where no running monitor has reported what happens to their guests.
fn guests(situation: &SituationView) -> Option<String> {
    let hosts = situation.segments.iter().flat_map(|segment| &segment.hosts);
    let mut unknown = Vec::new();
    let mut why = "no running monitor there reports its nova.conf";
    for host in hosts {
        let own = situation
            .monitors
            .iter()
            .filter(|monitor| monitor.host == host.name);
        let own = own.filter(|one| one.grade != Severity::Err);
        let settings: Vec<_> = own.filter_map(|one| one.guests.as_ref()).collect();
        if settings.iter().any(|guests| guests.resume == Resume::No) {
            continue;
        }
        unknown.push(host.name.as_str());
        if let Some(guests) = settings.first() {
            why = &guests.by;
        }
    }
    (!unknown.is_empty()).then(|| format!("{}: {why}", named(&unknown)))
}

pub(super) fn name_of(code: FindingCode) -> String {
    code.as_str().to_ascii_lowercase().replace('_', "-")
}

fn finding(most_severe: &FindingView, all: &[&FindingView]) -> Check {
    let subjects: Vec<&str> = all
        .iter()
        .flat_map(|one| &one.subjects)
        .map(String::as_str)
        .collect();
    let details = if subjects.is_empty() {
        most_severe.text.clone()
    } else {
        format!("{}: {}", named(&subjects), most_severe.text)
    };
    // Findings of one code may differ in their commands: each line is one.
    let mut fixes: Vec<String> = Vec::new();
    for fix in all.iter().filter_map(|one| one.typed()) {
        if !fixes.contains(&fix) {
            fixes.push(fix);
        }
    }
    let more = fixes.len().saturating_sub(MAX_NAMED_SUBJECTS);
    fixes.truncate(MAX_NAMED_SUBJECTS);
    if more > 0 {
        fixes.push(format!("tachi status    # {more} more commands"));
    }
    Check {
        fix: (!fixes.is_empty()).then(|| fixes.join("\n")),
        page: Some(most_severe.page.clone()),
        ..check(name_of(most_severe.code), most_severe.grade, details)
    }
}
