//! Pages of the view: a host, its explanation, a recovery, a finding.

use tachi_domain::Timestamp;
use tachi_domain::count;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::Life;
use tachi_operator::{FindingView, InstanceView, RecoveryHistoryView};

use super::super::recovery::history;
use super::super::status::findings::{mark, times};
use super::super::status::part::Selection;
use super::super::{explain, status};
use super::feed::{FeedAnswer, More, Subject};
use super::region::Finding;
use crate::out::{View, plain};

/// A line of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    Bar(Bar),
}

/// An instance of a recovery, on the recovery's time axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) state: String,
    /// Start and end of its move, in thousandths of the whole; `None` if it has not started.
    pub(super) way: Option<(u32, u32)>,
    /// The duration of the move, and its destination.
    pub(super) end: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

impl Page {
    /// Builds the page; `None` for an answer without a page.
    pub(super) fn of(answer: FeedAnswer) -> Option<Self> {
        let now = answer.now;
        let (title, lines) = match (answer.subject, answer.more) {
            (Subject::Host(name), More::Host(one)) => {
                let part = Selection::Host(name.clone());
                let situation = part.of(answer.situation);
                let lines = match &one {
                    Some(_) => status::host::lines(&part, &situation, one.as_ref()),
                    None => vec!["this host no longer exists".to_owned()],
                };
                (format!("host {name}"), texts(&lines))
            }
            (Subject::Why(name), More::Why(all)) => {
                let mut lines: Vec<String> = all.iter().flat_map(|one| explain::lines(one, now)).collect();
                if lines.is_empty() {
                    lines.push("there is no data about it any more".to_owned());
                }
                (format!("why: {name}"), texts(&lines))
            }
            (Subject::Recovery(id), More::Recovery(Some(one))) => (
                format!("recovery {id} of {}", one.summary.host),
                recovery(&one, now),
            ),
            (Subject::Recovery(id), _) => (
                format!("recovery {id}"),
                vec![Line::Text("this recovery no longer exists".to_owned())],
            ),
            (Subject::Finding(key), _) => {
                let found = answer
                    .situation
                    .findings
                    .iter()
                    .find(|finding| Finding::key_of(finding) == key);
                let lines = found.map_or_else(
                    || vec!["this finding is resolved".to_owned()],
                    |one| finding(one, now),
                );
                (format!("finding {key}"), texts(&lines))
            }
            (Subject::Region | Subject::Host(_) | Subject::Why(_), _) => return None,
        };
        Some(Self {
            title: plain(&title),
            lines,
        })
    }
}

/// Renders a finding in full: its subjects, the command to type, and the page that describes it.
fn finding(finding: &FindingView, now: Timestamp) -> Vec<String> {
    let mut lines = vec![
        format!("{} {}{}", mark(finding.grade), finding.code, times(finding, now)),
        String::new(),
        finding.text.clone(),
    ];
    if finding.instances > 0 {
        lines.push(count(finding.instances, "instance", "instances"));
    }
    if !finding.subjects.is_empty() {
        lines.push(String::new());
        lines.extend(finding.subjects.iter().map(|name| format!("  {name}")));
    }
    if let Some(fix) = finding.typed() {
        lines.extend([String::new(), format!("-> {fix}")]);
    }
    lines.extend([String::new(), format!("see {}", finding.page)]);
    lines
}

fn texts(lines: &[String]) -> Vec<Line> {
    lines.iter().map(|line| Line::Text(plain(line))).collect()
}

fn recovery(one: &RecoveryHistoryView, now: Timestamp) -> Vec<Line> {
    let view = View::bare(now);
    let mut lines = texts(&history::heading(one, &view));
    let opened = one.summary.opened_at.0;
    let over = one.instances.iter().filter_map(|moved| moved.over_at);
    let last = over.map(|at| at.0).max();
    let until = match (one.summary.life, last) {
        (Life::Open, _) | (_, None) => now,
        (Life::Watching | Life::Closed, Some(last)) => last,
    };
    if !one.instances.is_empty() {
        lines.push(Line::Text(String::new()));
        lines.extend(
            one.instances
                .iter()
                .map(|moved| Line::Bar(bar(moved, opened, until))),
        );
    }
    lines.push(Line::Text(String::new()));
    lines.extend(texts(&history::lines(one, &view)));
    lines
}

fn bar(instance: &InstanceView, opened: Timestamp, until: Timestamp) -> Bar {
    let whole = until.micros_since(opened).max(1);
    let part = |at: Timestamp| {
        let part = at.micros_since(opened).clamp(0, whole).saturating_mul(1_000) / whole;
        u32::try_from(part).unwrap_or(1_000)
    };
    let requested = instance.asked_at.map(|at| at.0);
    let over = instance.over_at.map(|at| at.0);
    let took = requested.map(|requested| over.unwrap_or(until).micros_since(requested).max(0) / 100_000);
    let took = took.map_or_else(String::new, |tenths| format!("{}.{} s", tenths / 10, tenths % 10));
    let to = instance
        .to
        .as_deref()
        .map_or(String::new(), |to| format!(" -> {to}"));
    let sign = match instance.status {
        Some(VmoveStatus::Succeeded) => "●",
        Some(VmoveStatus::Failed) => "✗",
        Some(VmoveStatus::Ongoing) => "…",
        Some(VmoveStatus::Pending | VmoveStatus::Ignored) | None => "·",
    };
    let label = instance
        .status
        .map_or_else(|| "?".to_owned(), |status| status.to_string());
    Bar {
        name: plain(&instance.name),
        state: format!("{sign} {label}"),
        way: requested.map(|at| (part(at), part(over.unwrap_or(until)))),
        end: plain(&format!("{took}{to}")),
    }
}
