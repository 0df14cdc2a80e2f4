//! What is found, in lines.

use tachi_domain::Timestamp;
use tachi_domain::situation::{Aspect, Grade};
use tachi_operator::{FindingView, SituationView, counted};

use super::super::when::ago;

/// How many of what a finding is about are named.
pub(super) const NAMED: usize = 5;

/// The grade in a line, then each finding with what to type.
pub(super) fn lines(situation: &SituationView) -> Vec<String> {
    let now = situation.at.0;
    let seen = situation.looked_at.map_or_else(
        || "no engine has looked at Nova yet".to_owned(),
        |at| format!("Nova seen {}", ago(at.0, now)),
    );
    let word = situation.grade.as_str().to_ascii_uppercase();
    let counted = counted(situation.instances, situation.being_recovered());
    let mut lines = vec![format!("{word}  {counted} ({seen})")];
    for finding in &situation.findings {
        lines.push(line(finding, now));
        lines.extend(finding.fix.iter().map(|fix| format!("      -> {fix}")));
    }
    let aspects: Vec<&str> = situation
        .not_assessed
        .iter()
        .copied()
        .map(Aspect::as_str)
        .collect();
    if !aspects.is_empty() {
        lines.push(format!("  not assessed: {}", aspects.join(", ")));
    }
    lines
}

/// The grade at the head of a line.
pub(in crate::cmd) const fn mark(grade: Grade) -> &'static str {
    match grade {
        Grade::Err => "✗",
        Grade::Warn => "!",
        Grade::Unknown => "?",
        Grade::Ok | Grade::Info => "·",
    }
}

/// How long it has been so, at the end of a line.
pub(in crate::cmd) fn since(finding: &FindingView, now: Timestamp) -> String {
    finding
        .since
        .map_or_else(String::new, |since| format!(" ({})", ago(since.0, now)))
}

/// One of them.
pub(in crate::cmd) fn line(finding: &FindingView, now: Timestamp) -> String {
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
        since(finding, now)
    )
}
