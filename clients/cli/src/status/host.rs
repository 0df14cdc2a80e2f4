//! Tree of a host, or of a segment with its hosts.

use tachi_domain::count;
use tachi_domain::situation::{Aspect, FindingCode, Protection, Severity};
use tachi_operator::when::ago;
use tachi_operator::{
    ExplanationView, Failure, Flags, HostView, HostedView, RegisteredView, SituationView, flags,
};

use super::findings::{self, mark};
use super::part::Selection;
use super::tree::{n_plus, note, waits};
use crate::source::Source;

/// Renders a part of the region.
pub(crate) fn lines(
    part: &Selection,
    situation: &SituationView,
    explained: Option<&ExplanationView>,
) -> Vec<String> {
    let mut lines: Vec<String> = waits(situation).into_iter().collect();
    match (part, explained) {
        (Selection::Host(_), Some(one)) => lines.extend(of_host(situation, one)),
        (Selection::Host(_) | Selection::Segment(_), _) => lines.extend(of_segment(situation)),
    }
    lines.extend(findings::lines(situation));
    lines
}

/// Renders a host's devices, monitors and instances, below why it is protected or not.
pub(crate) async fn parts(source: &dyn Source, one: &ExplanationView) -> Result<Vec<String>, Failure> {
    let part = Selection::Host(one.name.clone());
    let situation = part.of(source.situation().await?);
    Ok(of_host(&situation, one).into_iter().skip(1).collect())
}

fn registered<'a>(situation: &'a SituationView, name: &str) -> Option<&'a RegisteredView> {
    let mut all = situation.segments.iter().flat_map(|segment| &segment.hosts);
    all.find(|one| one.name == name)
}

const fn up_text(up: Option<bool>) -> &'static str {
    match up {
        Some(true) => "● up",
        Some(false) => "✗ down",
        None => "? unknown",
    }
}

/// Returns the symbol before a protection state.
const fn protection_mark(protection: Protection) -> &'static str {
    match protection {
        Protection::Protected => "●",
        Protection::Degraded => "!",
        Protection::Unknown => "?",
        Protection::Unprotected | Protection::Down => "✗",
        Protection::NotMeant => "·",
    }
}

/// Draws entries below a head as branches, each with its own lines.
fn branches(entries: &[Vec<String>], indent: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        let is_last = place + 1 == entries.len();
        for (number, line) in entry.iter().enumerate() {
            let branch = match (number, is_last) {
                (0, false) => "├─ ",
                (0, true) => "└─ ",
                (_, false) => "│  ",
                (_, true) => "   ",
            };
            lines.push(format!("{indent}{branch}{line}"));
        }
    }
    lines
}

fn of_segment(situation: &SituationView) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in &situation.segments {
        let disabled = if segment.enabled { "" } else { ", DISABLED" };
        lines.push(format!(
            "segment {} ({}{disabled}): {} of {} in service{}",
            segment.name,
            segment.recovery_method,
            segment.working,
            count(segment.hosts.len(), "host", "hosts"),
            n_plus(situation, segment)
        ));
    }
    let longest = situation.hosts.iter().map(|host| host.name.chars().count()).max();
    let width = longest.unwrap_or_default();
    let flags = Flags::of(situation);
    let entries: Vec<Vec<String>> = situation
        .hosts
        .iter()
        .map(|host| {
            let count = host.instances.map_or_else(
                || "?".to_owned(),
                |counts| (counts.included() + counts.not_meant).to_string(),
            );
            let state = host.protection.as_str();
            let registered = registered(situation, &host.name);
            let note = registered.and_then(|one| note(situation, one));
            let note = note.map_or(String::new(), |note| format!("; {note}"));
            vec![format!(
                "{:width$}  {}  nova {:<11}  {count:>4} inst  {} {state}{note}",
                host.name,
                flags.host(host, registered),
                up_text(host.up),
                protection_mark(host.protection),
            )]
        })
        .collect();
    lines.extend(branches(&entries, "  "));
    lines
}

fn of_host(situation: &SituationView, one: &ExplanationView) -> Vec<String> {
    let now = situation.at.0;
    let flags = situation.hosts.first().map_or_else(
        || flags([false; 5]),
        |host| Flags::of(situation).host(host, registered(situation, &host.name)),
    );
    let place = one
        .segment
        .as_ref()
        .map_or_else(|| "in no segment".to_owned(), |name| format!("in segment {name}"));
    let label = one.protection.label().to_ascii_uppercase();
    let mut lines = vec![format!("host {} ({place}): {label}  {flags}", one.name)];
    let mut entries = Vec::new();
    let age = situation
        .looked_at
        .map_or_else(String::new, |at| format!(" ({})", ago(at.0, now)));
    entries.push(vec![format!("{:<10} {}{age}", "nova", up_text(one.up))]);
    for level in &one.levels {
        let name = format!("level {}", level.level);
        let tested = ago(level.tested_at.0, now);
        let mut entry = vec![match (&level.fault, level.good) {
            (Some(_), _) => format!("{name:<10} ✗ {} ({tested})", level.device),
            (None, true) => format!(
                "{name:<10} ● {} reads {} ({tested})",
                level.device,
                level.reading()
            ),
            (None, false) => format!("{name:<10} ? {}: its test is too old ({tested})", level.device),
        }];
        entry.extend(level.fault.iter().map(|fault| format!("info: {fault}")));
        entries.push(entry);
    }
    if one.levels.is_empty() {
        entries.push(vec![format!("{:<10} ? no device was tested yet", "fencing")]);
    }
    entries.push(vec![format!("{:<10} {}", "watched", watched(situation))]);
    for monitor in &situation.monitors {
        let (kind, at) = (monitor.kind.as_str(), ago(monitor.signed_at.0, now));
        let sign = monitor_sign(monitor.grade, one.up);
        let mut entry = vec![format!("{:<10} {sign} {kind} ({at})", "monitor")];
        entry.extend((!monitor.trouble.is_empty()).then(|| format!("info: {}", monitor.trouble)));
        entries.push(entry);
    }
    if let Some(note) = registered(situation, &one.name).and_then(|view| note(situation, view)) {
        entries.push(vec![format!("{:<10} {note}", "state")]);
    }
    let running = one.hosted.as_deref();
    let count = running.map_or_else(
        || "? no engine has read them yet".to_owned(),
        |all| all.len().to_string(),
    );
    let mut entry = vec![format!("{:<10} {count}", "instances")];
    entry.extend(branches(&running.map(running_lines(now)).unwrap_or_default(), ""));
    entries.push(entry);
    lines.extend(branches(&entries, "  "));
    lines
}

/// Returns the symbol of a monitor. The heartbeats of a host that Nova shows down are from before its failure.
const fn monitor_sign(grade: Severity, up: Option<bool>) -> &'static str {
    match (grade, up) {
        (Severity::Ok, Some(false)) => mark(Severity::Unknown),
        (Severity::Ok, Some(true) | None) => "●",
        (Severity::Info | Severity::Warn | Severity::Err | Severity::Unknown, _) => mark(grade),
    }
}

fn is_out(host: &HostView) -> bool {
    let out_codes = [
        FindingCode::HostDown,
        FindingCode::HostOnMaintenance,
        FindingCode::HostNotBack,
        FindingCode::HostUnderRecovery,
    ];
    host.reasons.iter().any(|code| out_codes.contains(code))
}

/// Describes whether a running monitor would report the host's failure.
fn watched(situation: &SituationView) -> &'static str {
    let is_found = |code| situation.findings.iter().any(|finding| finding.code == code);
    if situation.not_assessed.contains(&Aspect::Monitors) {
        "· not assessed: no host monitor has ever sent a heartbeat"
    } else if is_found(FindingCode::HostNotWatched) {
        "✗ by no running host monitor"
    } else if is_found(FindingCode::MonitorUnknown) {
        "? by no host monitor that sends heartbeats"
    } else if situation.hosts.iter().any(is_out) {
        "· n/a: the host is not in service"
    } else {
        "● by a host monitor of another host"
    }
}

fn running_lines(now: tachi_domain::Timestamp) -> impl Fn(&[HostedView]) -> Vec<Vec<String>> {
    move |all| {
        let longest = all.iter().map(|one| one.name.chars().count()).max();
        let width = longest.unwrap_or_default();
        all.iter().map(|one| running_line(one, width, now)).collect()
    }
}

fn running_line(instance: &HostedView, width: usize, now: tachi_domain::Timestamp) -> Vec<String> {
    let flags = flags([
        instance.waits.is_some(),
        instance.reasons.contains(&FindingCode::Frozen),
        instance.reasons.contains(&FindingCode::InstanceMoving),
        instance.waits.is_some(),
        instance.protection == Protection::NotMeant,
    ]);
    let short = instance.id.get(..8).unwrap_or(&instance.id);
    let mut lines = vec![format!(
        "{:width$}  {short}  {flags}  {} {}",
        instance.name,
        protection_mark(instance.protection),
        instance.protection.as_str()
    )];
    if let Some(wait) = &instance.waits {
        lines.push(format!("info: {} -> tachi show {short}", wait.sentence(now)));
    } else if let Some(left) = &instance.left {
        lines.push(format!("info: {left}"));
    } else {
        let own = instance.reasons.iter();
        lines.extend(own.map(|code| format!("info: {code}: {}", code.meaning())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R36.
    #[test]
    fn the_monitors_of_a_host_that_is_down_are_unknown() {
        for (grade, up, expected) in [
            (Severity::Ok, Some(true), "●"),
            (Severity::Ok, None, "●"),
            (Severity::Ok, Some(false), mark(Severity::Unknown)),
            (Severity::Err, Some(false), mark(Severity::Err)),
        ] {
            assert_eq!(monitor_sign(grade, up), expected, "{grade:?}, {up:?}");
        }
    }
}
