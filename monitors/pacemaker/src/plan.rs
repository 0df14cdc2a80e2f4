//! Planning of reports from verdicts and earlier reports: each change once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::publisher::same_event;
use crate::{Brake, Judgement, Proof, Time, Verdict};

/// The reported state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReportedState {
    /// Off, with proof.
    Fenced,
    /// Gone, without proof.
    Lost,
    /// Back.
    Started,
}

/// The last report about a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReport {
    /// The reported state.
    #[serde(rename = "said")]
    pub reported: ReportedState,
    /// The key of the event, which is the same for every bridge that reports it.
    pub key: String,
    /// The time by the reporting bridge's clock: the report's `generated_time`, so that the report can be repeated
    /// identically.
    pub at: Time,
    /// True if the node was seen up since.
    #[serde(default)]
    pub returned: bool,
    /// True if the report is known to have left this process.
    #[serde(default)]
    pub handed_over: bool,
    /// The evidence in the report, so that it can be repeated identically.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// The last reports, by the cluster's names. Must be stored on disk, beside the [`crate::History`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// The last report about each node.
    #[serde(default)]
    pub nodes: BTreeMap<String, LastReport>,
}

/// Delays of reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Time that a node must be up before it is reported as started.
    pub started_after: Duration,
    /// Time that a node must be lost before that is reported; `None` disables it.
    pub lost_after: Option<Duration>,
    /// Time that a node that left in order, without an operator's mark, must be gone before it is reported as lost;
    /// `None` disables it.
    pub left_after: Option<Duration>,
    /// The storm brake.
    pub brake: Brake,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            started_after: Duration::from_secs(10),
            lost_after: Some(Duration::from_secs(60)),
            left_after: Some(Duration::from_secs(300)),
            brake: Brake::default(),
        }
    }
}

/// The report to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Stopped, offline, normal: confirmed off.
    Fenced(Proof),
    /// Stopped, offline, unknown.
    Lost,
    /// Started, online, normal.
    Started,
}

impl Report {
    /// Returns the state for the ledger.
    pub fn state(&self) -> ReportedState {
        match self {
            Self::Fenced(_) => ReportedState::Fenced,
            Self::Lost => ReportedState::Lost,
            Self::Started => ReportedState::Started,
        }
    }
}

/// One report to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The cluster's name of the node.
    pub node: String,
    /// The content of the notification.
    pub report: Report,
    /// The key of the event, which is the same for every bridge that reports it.
    pub key: String,
}

/// The result of `plan`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct PlanResult {
    /// The reports to send now.
    pub changes: Vec<Change>,
    /// The reports that the storm brake holds back.
    pub delayed: Vec<Change>,
}

/// Durations of the verdicts and of a storm. In memory only: restarts with the process.
#[derive(Debug, Clone, Default)]
pub struct Streaks {
    nodes: BTreeMap<String, (Verdict, Duration)>,
    storm: Option<Duration>,
}

impl Streaks {
    fn note(&mut self, judged: &BTreeMap<String, Judgement>, now: Duration) {
        self.nodes.retain(|name, _| judged.contains_key(name));
        for (name, judgement) in judged {
            let streak = self.nodes.entry(name.clone()).or_insert((judgement.verdict, now));
            // A cluster that tries to reconnect shows a lost node as starting for a while: the loss continues.
            let reconnecting = streak.0 == Verdict::Lost && judgement.verdict == Verdict::Keep;
            if streak.0 != judgement.verdict && !reconnecting {
                *streak = (judgement.verdict, now);
            }
        }
    }

    fn lasts(&self, name: &str, now: Duration) -> Duration {
        self.nodes
            .get(name)
            .map_or(Duration::ZERO, |(_, since)| now.saturating_sub(*since))
    }

    /// Returns the time since the brake started to delay reports.
    pub fn storm(&self, now: Duration) -> Option<Duration> {
        self.storm.map(|since| now.saturating_sub(since))
    }
}

/// The moment of a plan, on two clocks.
#[derive(Debug, Clone, Copy)]
pub struct PlanTime {
    /// The wall clock, for people, and for comparison with the ledger of an earlier process.
    pub wall: Time,
    /// The monotonic clock, for durations.
    pub steady: Duration,
}

impl Ledger {
    /// Records that a node is back, so that its next failure is a new one. Must be called with every set of verdicts.
    pub fn observe(&mut self, judged: &BTreeMap<String, Judgement>) {
        for (name, last_report) in &mut self.nodes {
            if judged
                .get(name)
                .is_some_and(|judgement| judgement.verdict == Verdict::Up)
            {
                last_report.returned = true;
            }
        }
    }

    /// Records a report by this bridge or another.
    pub fn record_report(&mut self, change: &Change, at: Time, handed_over: bool) {
        let proof = match &change.report {
            Report::Fenced(proof) => Some(proof.clone()),
            Report::Lost | Report::Started => None,
        };
        let last_report = LastReport {
            reported: change.report.state(),
            key: change.key.clone(),
            at,
            returned: false,
            handed_over,
            proof,
        };
        self.nodes.insert(change.node.clone(), last_report);
    }

    /// Records that another bridge has reported a later event than any known here: this one has missed something.
    pub fn catch_up(&mut self, node: &str, key: &str, at: Time) {
        let state = match key.split(':').next() {
            Some("started") => ReportedState::Started,
            Some("lost") => ReportedState::Lost,
            _ => ReportedState::Fenced,
        };
        let last_report = LastReport {
            reported: state,
            key: key.to_owned(),
            at,
            returned: false,
            handed_over: true,
            proof: None,
        };
        self.nodes.insert(node.to_owned(), last_report);
    }

    /// Forgets nodes that no longer exist.
    pub fn retain(&mut self, mut keep: impl FnMut(&str) -> bool) {
        self.nodes.retain(|name, _| keep(name));
    }
}

/// Plans the reports about the nodes in `judged`: only hosts, and never the bridge's own.
pub fn plan(
    ledger: &Ledger,
    judged: &BTreeMap<String, Judgement>,
    streaks: &mut Streaks,
    pace: &Pace,
    now: PlanTime,
) -> PlanResult {
    streaks.note(judged, now.steady);
    let mut changes = Vec::new();
    for (node, judgement) in judged {
        let lasts = streaks.lasts(node, now.steady);
        if let Some((report, key)) = due(ledger.nodes.get(node), judgement, lasts, pace) {
            changes.push(Change {
                node: node.clone(),
                report,
                key,
            });
        }
    }
    brake(ledger, judged.len(), changes, streaks, pace, now)
}

fn due(
    last: Option<&LastReport>,
    judgement: &Judgement,
    lasts: Duration,
    pace: &Pace,
) -> Option<(Report, String)> {
    let is_reported =
        |state: ReportedState| last.is_some_and(|last| last.reported == state && !last.returned);
    match judgement.verdict {
        Verdict::Fenced => {
            let proof = judgement.proof.clone()?;
            let key = format!("fenced:{}", proof.completed.timestamp());
            let same = last.is_some_and(|last| same_event(&last.key, &key));
            (!same && !is_reported(ReportedState::Fenced)).then_some((Report::Fenced(proof), key))
        }
        Verdict::Planned if !judgement.left => None,
        Verdict::Lost | Verdict::Planned => {
            let after = if judgement.left {
                pace.left_after
            } else {
                pace.lost_after
            };
            let known = is_reported(ReportedState::Lost) || is_reported(ReportedState::Fenced);
            let long = after.is_some_and(|after| lasts >= after);
            // All bridges use the same key for every loss between two fencings: there is no cluster-side time for it.
            let key = format!("lost:{}", last.map_or("first", |last| last.key.as_str()));
            (long && !known).then_some((Report::Lost, key))
        }
        Verdict::Up => {
            let last = last.filter(|last| last.reported != ReportedState::Started)?;
            (lasts >= pace.started_after).then(|| (Report::Started, format!("started:{}", last.key)))
        }
        Verdict::Keep | Verdict::Blind => None,
    }
}

/// Holds back reports of lost hosts while too many hosts are gone.
fn brake(
    ledger: &Ledger,
    hosts: usize,
    changes: Vec<Change>,
    streaks: &mut Streaks,
    pace: &Pace,
    now: PlanTime,
) -> PlanResult {
    let gone = |state: ReportedState| matches!(state, ReportedState::Fenced | ReportedState::Lost);
    let is_recent = |last: &LastReport| {
        let age = (now.wall - last.at).to_std().unwrap_or(Duration::ZERO);
        gone(last.reported) && age <= pace.brake.window
    };
    let last = ledger
        .nodes
        .iter()
        .filter(|(node, last)| is_recent(last) && !changes.iter().any(|change| change.node == **node));
    let fresh = changes
        .iter()
        .filter(|change| gone(change.report.state()))
        .count();
    if fresh == 0 || !pace.brake.holds(last.count() + fresh, hosts) {
        if fresh == 0 || streaks.storm.is_none() {
            streaks.storm = None;
            return PlanResult {
                changes,
                delayed: Vec::new(),
            };
        }
        // The storm has passed its peak, but the held reports are still valid.
        if !pace.brake.holds(fresh, hosts) {
            streaks.storm = None;
            return PlanResult {
                changes,
                delayed: Vec::new(),
            };
        }
    }
    let since = *streaks.storm.get_or_insert(now.steady);
    let released = now.steady.saturating_sub(since) >= pace.brake.hold;
    let (changes, delayed) = changes.into_iter().partition(|change| match change.report {
        Report::Started => true,
        Report::Fenced(_) => released,
        Report::Lost => false,
    });
    PlanResult { changes, delayed }
}

#[cfg(test)]
mod tests;
