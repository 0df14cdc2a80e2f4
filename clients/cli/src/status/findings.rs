//! Findings, as lines.

use tachi_domain::Timestamp;
use tachi_domain::situation::{Aspect, FindingCode, Severity};
use tachi_domain::wait::WaitsFor;
use tachi_operator::consequence::{self, SuggestedCommand};
use tachi_operator::waits::explained;
use tachi_operator::when::ago;
use tachi_operator::{FindingView, SituationView, WaitingRecoveryView, counted};

use super::common::instances;

/// Limit of the subjects of a finding that are named.
pub(super) const NAMED: usize = 5;

/// Limit of the instances that are listed one by one.
const MAX_LISTED: usize = 10;

/// Returns the grade in a line, then each finding with the command to type.
pub(super) fn lines(situation: &SituationView) -> Vec<String> {
    let label = situation.grade.as_str().to_ascii_uppercase();
    let counted = counted(situation.instances, situation.being_recovered());
    let mut lines = vec![format!("{label}  {counted} ({})", looked(situation))];
    lines.extend(each(situation));
    lines.extend(not_assessed(situation));
    lines
}

/// Describes the age of the Nova data.
pub(super) fn looked(situation: &SituationView) -> String {
    situation.looked_at.map_or_else(
        || "no engine has read Nova yet".to_owned(),
        |at| format!("Nova read {}", ago(at.0, situation.at.0)),
    )
}

/// Returns the aspects for which no data is collected.
pub(super) fn not_assessed(situation: &SituationView) -> Option<String> {
    let aspects: Vec<&str> = situation
        .not_assessed
        .iter()
        .copied()
        .map(Aspect::as_str)
        .collect();
    (!aspects.is_empty()).then(|| format!("  not assessed: {}", aspects.join(", ")))
}

/// Returns each finding with the command to type.
pub(super) fn each(situation: &SituationView) -> Vec<String> {
    let on_hold = |host: &String| {
        situation
            .needs_person
            .recoveries
            .iter()
            .any(|recovery| recovery.host == *host)
    };
    let mut lines = Vec::new();
    for finding in &situation.findings {
        // The line about the recovery on hold shows this already.
        if finding.code == FindingCode::HostUnderRecovery && finding.subjects.iter().all(on_hold) {
            continue;
        }
        lines.push(line(finding, situation.at.0));
        let ways = ways(situation, finding);
        let fix = finding.typed().map(|fix| format!("-> {fix}"));
        let fixes = if ways.is_empty() {
            fix.into_iter().collect()
        } else {
            ways
        };
        lines.extend(fixes.into_iter().map(|fixes| format!("      {fixes}")));
    }
    lines
}

/// Returns the choices of an operator who has to decide: each command, and its meaning.
fn ways(situation: &SituationView, finding: &FindingView) -> Vec<String> {
    let is_subject = |name: &String| finding.subjects.contains(name);
    let needs = &situation.needs_person;
    if [FindingCode::MoveNeedsPerson, FindingCode::MoveFailed].contains(&finding.code) {
        let own: Vec<_> = needs
            .instances
            .iter()
            .filter(|instance| is_subject(&instance.name))
            .collect();
        let mut lines = Vec::new();
        for one in own.iter().take(MAX_LISTED) {
            if own.len() > 1 {
                lines.push(format!("{} of {}", one.name, one.host));
            }
            lines.extend(one.commands.iter().map(|way| format!("-> {}", explained(way))));
        }
        if own.len() > MAX_LISTED {
            let more = instances(own.len() - MAX_LISTED);
            lines.push(format!("and {more} more: tachi instance list --waiting"));
        }
        return lines;
    }
    let on_hold = needs.recoveries.iter();
    let own = on_hold.filter(|one| finding.code == FindingCode::RecoveryHeld && is_subject(&one.host));
    decision(situation, &own.collect::<Vec<_>>())
}

/// Returns what an operator needs to decide on recoveries on hold: the reason of each cause, the evidence of each host, the commands and
/// what they do.
fn decision(situation: &SituationView, own: &[&WaitingRecoveryView]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut before = None;
    for one in own.iter().take(MAX_LISTED).filter(|one| one.is_about_host()) {
        if before != one.cause() {
            lines.push(format!("why: {}", situation.reason(one)));
            before = one.cause();
        }
        lines.push(format!("{}: {}", one.host, one.summary(situation.at.0)));
    }
    // That command approves every recovery on hold: it is offered only if all of them are on hold for the same guards.
    let all = &situation.needs_person.recoveries;
    let first = own.first().and_then(|one| one.cause());
    let is_approval = first.is_some_and(|(what, _)| what == WaitsFor::Approval);
    if all.len() > 1 && is_approval && all.iter().all(|one| one.cause() == first) {
        lines.push(format!(
            "-> tachi recovery approve --all-held    # {}",
            consequence::APPROVE
        ));
    }
    for (number, one) in own.iter().enumerate() {
        if one.is_about_host() && !one.evidence.levels.is_empty() {
            lines.push(format!("-> {}", power_test(&one.host)));
        }
        for way in SuggestedCommand::all(&one.commands) {
            let line = if number == 0 {
                way.line()
            } else {
                way.command.to_owned()
            };
            lines.push(format!("-> {line}"));
        }
    }
    lines
}

/// Returns the command that reads a host's power again: the last reading may be from before the failure.
fn power_test(host: &str) -> String {
    format!("tachi fence test {host}    # reads its power now, on a controller")
}

/// Returns the grade's symbol at the head of a line.
pub(crate) const fn mark(grade: Severity) -> &'static str {
    match grade {
        Severity::Err => "✗",
        Severity::Warn => "!",
        Severity::Unknown => "?",
        Severity::Ok | Severity::Info => "·",
    }
}

/// Returns the age of a finding and the time that is left, for the end of a line.
pub(crate) fn times(finding: &FindingView, now: Timestamp) -> String {
    finding
        .times(now)
        .map_or_else(String::new, |times| format!(" ({times})"))
}

/// Renders a finding as a line.
pub(crate) fn line(finding: &FindingView, now: Timestamp) -> String {
    let mut subjects: Vec<&str> = finding.subjects.iter().take(NAMED).map(String::as_str).collect();
    let more = format!("{} more", finding.subjects.len().saturating_sub(NAMED));
    if finding.subjects.len() > NAMED {
        subjects.push(&more);
    }
    let subjects = match subjects.as_slice() {
        [] => String::new(),
        subjects => format!("{}: ", subjects.join(", ")),
    };
    let instances = match finding.instances {
        0 => String::new(),
        count => format!("{count} inst  "),
    };
    format!(
        "  {} {}  {instances}{subjects}{}{}",
        mark(finding.grade),
        finding.code,
        finding.text,
        times(finding, now)
    )
}
