//! Report of one recovery, for readers who were not there. It is made from the recovery's history alone, so the same history always gives
//! the same report.

mod actions;
pub(crate) mod escape;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use askama::Template;
use serde::Serialize;
use serde_json::Value;
use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::recovery::{DISMISSED_STATUS, Life, RecoveryKind, Task};
use tachi_domain::{Timestamp, WaitsFor};

use crate::downtime::{Figures, rounded};
use crate::history::{InstanceView, RecoveryHistoryView, left_there};
use crate::proof::{ProofView, shown};
use crate::when::Time;
use actions::operator_actions;

/// A report: the recovery's history with a summary.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecoveryReport<'a> {
    /// The object that failed or was drained, and when that was reported.
    pub title: String,
    /// The result in one sentence.
    pub sentence: String,
    /// The milestones, in their order.
    pub moments: Vec<Milestone>,
    /// The instances that are not as they were before, with the commands to type.
    pub left: Vec<Left<'a>>,
    /// The actions of operators.
    pub said: Vec<ReportedAction<'a>>,
    /// The version of the program that made the report.
    pub tachi: &'static str,
    pub recovery: &'a RecoveryHistoryView,
}

/// A milestone of the recovery.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Milestone {
    /// The milestone in a few words.
    pub what: &'static str,
    /// The time; null if it was not reached.
    pub at: Option<Time>,
    /// The time in seconds since the first report; negative before it.
    pub after: Option<f64>,
    /// The agent: reporters, a device, or an instance's name.
    pub by: String,
}

/// An instance that is not as it was before.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Left<'a> {
    pub name: &'a str,
    /// The instance's id in Nova.
    pub id: &'a str,
    /// The state of the instance, for people.
    pub how: String,
    /// A message from the recovery.
    pub message: Option<&'a str>,
    /// The commands for an operator to type.
    pub commands: &'a [String],
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReportedAction<'a> {
    /// The operator, with the reason in parentheses if one was given.
    pub by: &'a str,
    /// The action as it is stored, with the instance if it is about one.
    pub word: String,
    /// The action as the commands name it, with the instance if it is about one.
    pub action: String,
    /// The time of the action, if it is known.
    pub at: Option<Time>,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct Page<'a> {
    report: &'a RecoveryReport<'a>,
    recovery: &'a RecoveryHistoryView,
}

#[derive(Template)]
#[template(path = "recovery.md")]
struct Markdown<'a> {
    report: &'a RecoveryReport<'a>,
    recovery: &'a RecoveryHistoryView,
}

impl<'a> RecoveryReport<'a> {
    /// Makes the report of a recovery.
    pub fn of(history: &'a RecoveryHistoryView) -> Self {
        Self {
            title: title(history),
            sentence: sentence(history),
            moments: moments(history),
            left: left_to_do(history),
            said: operator_actions(history),
            tachi: env!("CARGO_PKG_VERSION"),
            recovery: history,
        }
    }

    /// Renders a self-contained page without scripts, pictures or requests.
    ///
    /// # Errors
    ///
    /// Never in practice; the template engine's signature.
    pub fn html(&self) -> Result<String, askama::Error> {
        Page {
            report: self,
            recovery: self.recovery,
        }
        .render()
    }

    /// Renders the report as Markdown.
    ///
    /// # Errors
    ///
    /// Never in practice; the template engine's signature.
    pub fn markdown(&self) -> Result<String, askama::Error> {
        Markdown {
            report: self,
            recovery: self.recovery,
        }
        .render()
    }

    /// True if the recovery itself needs an operator.
    fn waits_for_person(&self) -> bool {
        let waits = &self.recovery.summary.waits;
        waits.as_ref().is_some_and(|wait| wait.needs_person)
    }

    /// Returns the command that returns the host to service; `None` if it needs none.
    fn host_return(&self) -> Option<String> {
        let summary = &self.recovery.summary;
        let is_away = summary.kind == RecoveryKind::Host && awaits_return(summary);
        is_away.then(|| format!("tachi host return {}", summary.host))
    }

    /// Returns the message of a recovery that has failed without an instance that shows it.
    fn failure(&self) -> Option<&str> {
        let summary = &self.recovery.summary;
        if self.recovery.later.is_some() {
            return None;
        }
        let is_closed = summary.life == Life::Closed && !summary.kind.is_planned();
        let is_shown = self
            .recovery
            .instances
            .iter()
            .any(|instance| match instance.status {
                Some(VmoveStatus::Succeeded | VmoveStatus::Ignored) => false,
                Some(VmoveStatus::Failed | VmoveStatus::Ongoing | VmoveStatus::Pending) | None => true,
            });
        if !is_closed || is_shown || summary.status != NotificationStatus::Failed.as_str() {
            return None;
        }
        Some(summary.message.as_deref().unwrap_or("the reason is unknown"))
    }

    /// Returns the commands after such a failure.
    fn after_failure(&self) -> Vec<String> {
        let payload = self.recovery.reported.as_ref().map(|reported| &reported.payload);
        let instance = payload.and_then(|payload| payload.get("instance_uuid"));
        // The right command depends on the state that the instance has now; on a host that is being recovered there is none (R12).
        let show = instance.map(|id| format!("tachi show {id}"));
        let retry = format!("tachi recovery retry {}", self.recovery.summary.recovery);
        show.into_iter().chain([retry]).collect()
    }

    /// Returns the later attempt that shows what this one has left to do.
    fn later(&self) -> Option<String> {
        let later = self.recovery.later?;
        Some(format!("tachi recovery report {later}"))
    }

    /// Describes the reserved hosts that the recovery has used up, with the commands that make the failed host the new reserve.
    fn reserve_used(&self) -> Option<(String, Vec<String>)> {
        let used = &self.recovery.reserve_used;
        let summary = &self.recovery.summary;
        let host = &summary.host;
        let (was, it) = match used.len() {
            0 => return None,
            1 => ("reserved host was", "it is an ordinary host"),
            _ => ("reserved hosts were", "they are ordinary hosts"),
        };
        let text = format!(
            "the segment has no reserved host: its {was} used up, and {it} now ({}); once {host} is back and empty, make it the new reserve",
            used.join(", ")
        );
        let segment = summary
            .segment
            .map_or_else(|| "SEGMENT".to_owned(), |id| id.to_string());
        let commands = [
            format!("openstack compute service set --disable {host} nova-compute"),
            format!("openstack segment host update {segment} {host} --reserved True --on_maintenance False"),
        ];
        Some((text, commands.into()))
    }

    /// Returns the option of `tachi instance list` that lists the instances which the recovery has not brought back.
    fn list_option(&self) -> &'static str {
        match self.recovery.summary.kind {
            RecoveryKind::Vm => "--down",
            RecoveryKind::Host | RecoveryKind::Process | RecoveryKind::Drain | RecoveryKind::Giveback => {
                "--waiting"
            }
        }
    }

    /// True if no operator has anything left to do.
    fn nothing_is_left(&self) -> bool {
        self.left.is_empty()
            && !self.is_open()
            && !self.waits_for_person()
            && self.host_return().is_none()
            && self.failure().is_none()
            && self.recovery.still_down_text().is_none()
            && self.later().is_none()
            && self.recovery.reserve_used.is_empty()
    }

    /// Returns the figures of each group with its name. Instances that are still down do not count in them.
    fn downtime(&self) -> [(&'static str, Figures); 3] {
        let [marked, rest] = self.recovery.downtime.parts();
        [marked, rest, ("all", self.recovery.downtime.all)]
    }

    fn is_open(&self) -> bool {
        self.recovery.summary.life == Life::Open
    }

    fn state_version(&self) -> String {
        shown(self.recovery.state.get("version"))
    }

    /// Returns the policy that was in force when the recovery started, as far as it is stored, one line per value.
    fn configuration(&self) -> Vec<(String, String)> {
        let mut lines = Vec::new();
        if let Some(policy) = self.recovery.state.get("policy") {
            flatten("", policy, &mut lines);
        }
        lines
    }
}

/// Collects each value of an object with the path to it.
fn flatten(path: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    match value {
        Value::Object(fields) if fields.len() == 2 && fields.contains_key("nanos") => {
            let number = |key: &str| fields.get(key).and_then(Value::as_f64).unwrap_or_default();
            let seconds = number("secs") + number("nanos") / 1e9;
            lines.push((path.to_owned(), format!("{seconds} s")));
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&below(key), value, lines);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            lines.push((path.to_owned(), shown(Some(value))));
        }
    }
}

fn title(history: &RecoveryHistoryView) -> String {
    let summary = &history.summary;
    let what = match summary.kind {
        RecoveryKind::Host => format!("Host {}", summary.host),
        RecoveryKind::Vm => match &history.instances[..] {
            [one] => format!("Instance {} on {}", one.name, summary.host),
            [..] => format!("An instance on {}", summary.host),
        },
        RecoveryKind::Process => format!("A process on {}", summary.host),
        RecoveryKind::Drain => format!("The drain of {}", summary.host),
        RecoveryKind::Giveback => format!("The giveback to {}", summary.host),
    };
    format!(
        "{what}, reported {}",
        crate::when::time(summary.first_reported_at.unwrap_or(summary.opened_at).0)
            .replace('T', " ")
            .replace('Z', " UTC")
    )
}

fn sentence(history: &RecoveryHistoryView) -> String {
    let summary = &history.summary;
    let mut moves = summary.moves;
    // An excluded instance that was started after its host's return is back. An older API counts it as left.
    let left = history
        .instances
        .iter()
        .filter(|instance| is_left(instance))
        .count();
    let started = moves
        .ignored
        .saturating_sub(u64::try_from(left).unwrap_or(u64::MAX));
    (moves.succeeded, moves.ignored) = (moves.succeeded + started, moves.ignored - started);
    let mut text = match (moves.total, summary.kind, moves.succeeded == moves.total) {
        (_, RecoveryKind::Drain | RecoveryKind::Giveback, _) => {
            let message = summary.message.as_deref();
            return format!("{}.", message.unwrap_or("The outcome is unknown"));
        }
        (0, _, _) if summary.status == DISMISSED_STATUS => {
            let why = summary.message.as_deref();
            format!("Dismissed: {}.", why.unwrap_or("nothing was done"))
        }
        // The message follows it in the report.
        (0, RecoveryKind::Host, _) => "No instance was moved.".to_owned(),
        (0, _, _) => format!(
            "{}.",
            summary.message.as_deref().unwrap_or("The outcome is unknown")
        ),
        (1, _, true) => "Its instance is back".to_owned(),
        (total, _, true) => format!("All {total} instances are back"),
        (total, _, false) => format!("{} of {total} instances are back", moves.succeeded),
    };
    if moves.total > 0 {
        if let Some(last) = history.downtime.all.last {
            // Writing to a string cannot fail.
            let _ = write!(text, ", the last {last:.1} s after the first report");
        }
        let waiting = history
            .instances
            .iter()
            .filter(|instance| needs_person(instance))
            .count();
        let seen_to = history
            .instances
            .iter()
            .filter(|instance| instance.seen_to.is_some())
            .count();
        for (count, phrase) in [
            (waiting, "waiting for an operator"),
            (seen_to, "acknowledged by an operator"),
            (
                usize::try_from(moves.ignored).unwrap_or_default(),
                left_there(moves.ignored),
            ),
        ] {
            if count > 0 {
                let _ = write!(text, "; {count} {phrase}");
            }
        }
        text.push('.');
    }
    match summary.life {
        Life::Open => text.push_str(" It is still open."),
        Life::Watching if awaits_return(summary) => text.push_str(" Its host is not back yet."),
        Life::Watching => text.push_str(" Its host is back, and its excluded instances are started."),
        Life::Closed => {}
    }
    text
}

/// True if the instance was excluded, and was started after its host's return.
fn is_started(instance: &InstanceView) -> bool {
    instance.status == Some(VmoveStatus::Ignored) && instance.down_seconds.is_some()
}

/// True if the instance was excluded, and is not known to run again.
fn is_left(one: &InstanceView) -> bool {
    one.status == Some(VmoveStatus::Ignored) && !is_started(one) && one.moved_by.is_none()
}

fn needs_person(instance: &InstanceView) -> bool {
    if instance.moved_by.is_some() {
        return false;
    }
    let waits = instance.waits.as_ref().is_some_and(|wait| wait.needs_person);
    // Older versions stored no wait.
    waits
        || (instance.status == Some(VmoveStatus::Failed)
            && instance.waits.is_none()
            && instance.seen_to.is_none())
}

fn moments(history: &RecoveryHistoryView) -> Vec<Milestone> {
    let summary = &history.summary;
    let opened = summary.opened_at.0;
    let first = summary.first_reported_at.map_or(opened, |first| first.0);
    let milestone = |what, at: Option<Time>, by: String| Milestone {
        what,
        at,
        after: at.map(|at| seconds_since(at.0, first)),
        by,
    };
    let reporters: Vec<String> = history.reporters.iter().map(ToString::to_string).collect();
    let is_repeated = first < opened;
    let mut all = vec![
        milestone(
            if is_repeated {
                "reported again, for this attempt"
            } else {
                "noticed, by the report"
            },
            history.reported.as_ref().map(|reported| reported.generated_at),
            reporters.join("; "),
        ),
        milestone("recovery opened", Some(summary.opened_at), String::new()),
    ];
    if is_repeated {
        all.insert(
            0,
            milestone(
                "first reported, in an earlier attempt",
                summary.first_reported_at,
                String::new(),
            ),
        );
    }
    if summary.kind != RecoveryKind::Host {
        return all;
    }
    let proof = history.proofs.first();
    let from = proof.map_or_else(String::new, |proof| {
        format!("{}, read by {}", proof.from, proof.by)
    });
    all.push(milestone("confirmed off", proof.map(|proof| proof.at), from));
    let disabled = history
        .steps
        .iter()
        .find(|step| step.task == Task::DisableService.name() && step.kind == "outcome");
    all.push(milestone(
        "disabled and forced down in Nova",
        disabled.map(|step| step.at),
        String::new(),
    ));
    let back = history
        .instances
        .iter()
        .filter(|instance| instance.status == Some(VmoveStatus::Succeeded) || is_started(instance));
    let mut back: Vec<_> = back
        .filter_map(|instance| Some((instance.over_at?, instance.name.clone())))
        .collect();
    back.sort();
    for (what, one) in [
        ("first instance back", back.first()),
        ("last instance back", back.last()),
    ] {
        let name = one.map_or_else(String::new, |(_, name)| name.clone());
        all.push(milestone(what, one.map(|(at, _)| *at), name));
    }
    all
}

fn seconds_since(at: Timestamp, opened: Timestamp) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a time in milliseconds, as views tell it"
    )]
    let millis = (at.micros_since(opened) / 1_000) as f64;
    // A clock that is behind by less than is shown gives a zero without a sign.
    rounded(millis / 1_000.0) + 0.0
}

/// Returns the instances that are not as they were before. Once there is a later attempt, that has their commands.
fn left_to_do(history: &RecoveryHistoryView) -> Vec<Left<'_>> {
    let kind = history.summary.kind;
    let left = |instance| left(kind, instance);
    let mut all: Vec<Left<'_>> = history.instances.iter().filter_map(left).collect();
    if history.later.is_some() {
        for one in &mut all {
            one.commands = &[];
        }
    }
    all
}

/// Returns the entry of an instance that is not as it was before, whatever the reason.
fn left(kind: RecoveryKind, instance: &InstanceView) -> Option<Left<'_>> {
    let how = match instance.status {
        _ if instance.seen_to.is_some() => {
            format!(
                "acknowledged by {}",
                instance.seen_to.as_deref().unwrap_or_default()
            )
        }
        Some(VmoveStatus::Succeeded) if instance.message.is_none() => return None,
        Some(VmoveStatus::Succeeded) => "back, with a message".to_owned(),
        Some(VmoveStatus::Ignored) if !is_left(instance) => return None,
        Some(VmoveStatus::Failed) if instance.moved_by.is_some() => return None,
        Some(VmoveStatus::Ignored) => "left where it was".to_owned(),
        Some(VmoveStatus::Failed) => "not back".to_owned(),
        Some(VmoveStatus::Ongoing) if kind == RecoveryKind::Vm => "not back yet".to_owned(),
        Some(VmoveStatus::Ongoing) => "being moved".to_owned(),
        Some(VmoveStatus::Pending) => "to be moved".to_owned(),
        None => "in a state that is unknown to this version".to_owned(),
    };
    let wait = instance
        .waits
        .as_ref()
        .filter(|wait| wait.what != WaitsFor::Nothing);
    Some(Left {
        name: &instance.name,
        id: &instance.id,
        how: wait.map_or(how.clone(), |wait| format!("{how}: {}", wait.about())),
        message: instance.message.as_deref(),
        commands: &instance.commands,
    })
}

impl Milestone {
    fn after(&self) -> String {
        let signed = |after: f64| {
            // A report can be some milliseconds younger than its notification: that is no negative time.
            let after = if after.abs() < 0.05 { 0.0 } else { after };
            format!("{after:+.1} s")
        };
        self.after.map_or_else(String::new, signed)
    }

    fn at(&self) -> String {
        self.at.map_or_else(|| "no".to_owned(), |at| at.to_string())
    }
}

fn readings(proof: &ProofView) -> Vec<String> {
    crate::proof::readings(&proof.evidence)
}

#[expect(clippy::ref_option, reason = "so does the template give fields")]
fn number(seconds: &Option<f64>) -> String {
    seconds.map_or_else(String::new, |seconds| format!("{seconds:.1}"))
}

fn total(down: &Figures) -> String {
    format!("{:.1}", down.instance_seconds)
}

#[expect(clippy::ref_option, reason = "so does the template give fields")]
fn text<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(String::new, ToString::to_string)
}

/// True if the recovery's host is not back yet.
fn awaits_return(summary: &crate::recovery::RecoveryView) -> bool {
    summary
        .life
        .awaits_return(summary.waits.as_ref().map(|wait| wait.what))
}
