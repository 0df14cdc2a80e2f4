//! What is found, in lines.

use tachi_domain::Timestamp;
use tachi_domain::situation::{Aspect, Grade};
use tachi_operator::{CountsView, FindingView, SituationView};

use super::super::when::ago;
use super::seen::instances;

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

/// How many instances would be recovered, and how many not; `recovering` of those that are down are brought back by a recovery.
pub(in crate::cmd) fn counted(counts: Option<CountsView>, recovering: u64) -> String {
    let Some(counts) = counts else {
        return "how many instances are protected is not known".into();
    };
    let all = counts.meant();
    let mut parts = Vec::new();
    if counts.down > 0 {
        let down = instances(usize::try_from(counts.down).unwrap_or(usize::MAX));
        parts.push(match recovering {
            0 => format!("{down} down"),
            all if all >= counts.down => format!("{down} down, being brought back by a recovery"),
            some => format!("{down} down, {some} of them being brought back by a recovery"),
        });
    }
    for (count, what) in [
        (counts.unprotected, "unprotected"),
        (counts.unknown, "unknown"),
        (counts.degraded, "degraded"),
        (counts.protected, "protected"),
    ] {
        if count > 0 {
            parts.push(format!("{count} of {all} {what}"));
        }
    }
    if counts.not_meant > 0 {
        parts.push(format!("{} left by policy", counts.not_meant));
    }
    if parts.is_empty() {
        "no instances".into()
    } else {
        parts.join("; ")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_brought_back_is_told_so() {
        let counts = |down| CountsView {
            protected: 20,
            degraded: 0,
            unknown: 0,
            unprotected: 0,
            down,
            not_meant: 0,
        };
        for (down, recovering, expected) in [
            (0, 0, "20 of 20 protected"),
            (4, 0, "4 instances down; 20 of 24 protected"),
            (
                4,
                4,
                "4 instances down, being brought back by a recovery; 20 of 24 protected",
            ),
            (
                6,
                4,
                "6 instances down, 4 of them being brought back by a recovery; 20 of 26 protected",
            ),
        ] {
            assert_eq!(counted(Some(counts(down)), recovering), expected);
        }
    }
}
