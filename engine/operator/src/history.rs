//! Full history of one recovery.

mod single_instance;
mod still_down;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tachi_domain::entity::Vmove;
use tachi_domain::entity::notification::NotificationType;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::host_recovery::{ExcludedStart, ReservationEnd, ReservationStep, StartEnd};
use tachi_domain::recovery::{DISMISSED_STATUS, Life, RecoveryKind, StepKind, Task};
use tachi_domain::{RecoveryId, Reporter, Timestamp};
use tachi_engine::ports::operator::{HistoryMove, MoveCounts, RecoveryHistory, RecoverySummary, StepLine};
use utoipa::ToSchema;

use crate::downtime::{DowntimeView, rounded};
use crate::plain::without_repeats;
use crate::proof::ProofView;
use crate::recovery::{MovesView, RecoveryView};
use crate::schema;
use crate::step_text::{InstanceActionView, RecoveryActionView, words};
use crate::waits::{self, WaitView};
use crate::when::Time;

/// Returns the words that follow the number of instances left, by policy or by an operator's action.
pub(crate) const fn left_there(count: u64) -> &'static str {
    if count == 1 {
        "left where it was"
    } else {
        "left where they were"
    }
}

/// Renders the progress of the instances, such as `12/40 instances back, 3 in flight`; `None` if there are none.
pub fn progress(counts: impl Into<MovesView>) -> Option<String> {
    let counts: MovesView = counts.into();
    if counts.total == 0 {
        return None;
    }
    let mut text = format!("{}/{} instances back", counts.succeeded, counts.total);
    for (count, phrase) in [
        (counts.ongoing, "in flight"),
        (counts.pending, "to come"),
        (counts.ignored, left_there(counts.ignored)),
        (
            counts.failed,
            if counts.failed == 1 {
                "needs an operator"
            } else {
                "need an operator"
            },
        ),
    ] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {count} {phrase}");
        }
    }
    Some(text)
}

/// Renders the progress of any kind of recovery. The instances of a planned one were never down, so they are "moved" and not "back".
pub fn progress_of(kind: RecoveryKind, counts: impl Into<MovesView>) -> Option<String> {
    let counts: MovesView = counts.into();
    if !kind.is_planned() {
        return progress(counts);
    }
    if counts.total == 0 {
        return None;
    }
    let mut text = format!("{}/{} instances moved", counts.succeeded, counts.total);
    for (count, phrase) in [
        (counts.ongoing, "under way"),
        (counts.pending, "to come"),
        (counts.ignored + counts.failed, "not moved"),
    ] {
        if count > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {count} {phrase}");
        }
    }
    Some(text)
}

/// Parses the head of the stored state. Other versions may store it in another form; only displays depend on it.
fn head(history: &RecoveryHistory) -> Value {
    let state = history.state.as_deref();
    state
        .and_then(|state| serde_json::from_str(state).ok())
        .unwrap_or(Value::Null)
}

/// Returns the stage of a recovery, in whichever form it is stored.
pub fn stage(head: &Value) -> Option<String> {
    let stage = head.get("stage")?;
    let name = stage.as_str().or_else(|| {
        let tagged = stage.get("at").and_then(Value::as_str);
        tagged.or_else(|| stage.as_object()?.keys().next().map(String::as_str))
    });
    name.map(str::to_owned)
}

/// Describes the number of instances still to be moved, and the number in progress.
fn to_be_moved(counts: MoveCounts) -> String {
    match (counts.pending + counts.ongoing, counts.ongoing) {
        (0, _) => "its last steps: every instance is moved or stays".to_owned(),
        (1, 0) => "1 instance to be moved".to_owned(),
        (1, _) => "1 instance to be moved, which is in progress".to_owned(),
        (all, some) => format!("{all} instances to be moved, {some} of them under way"),
    }
}

/// Describes the next event that the recovery needs to continue.
fn waits_for(history: &RecoveryHistory) -> String {
    let summary = &history.summary;
    let head = head(history);
    if let (Life::Closed, Some(later)) = (summary.life, history.later) {
        return format!("nothing: it is closed, and `tachi recovery show {later}` is a later attempt");
    }
    match summary.life {
        Life::Closed if summary.status == "failed" && summary.kind.is_planned() => {
            return format!(
                "nothing: it is closed; `tachi host {} {} ...` starts another",
                summary.kind, summary.host
            );
        }
        Life::Closed if summary.status == DISMISSED_STATUS && summary.kind == RecoveryKind::Host => {
            return format!(
                "nothing: it is closed; if {host} is down after all, power it off and `tachi recovery retry {host}`",
                host = summary.host
            );
        }
        Life::Closed if summary.status == "failed" => {
            return format!(
                "nothing: it is closed; `tachi recovery retry {}` tries again",
                summary.id
            );
        }
        Life::Closed => return "nothing: it is closed".into(),
        Life::Watching
            if !summary
                .life
                .awaits_return(summary.wait.as_ref().map(|wait| wait.what)) =>
        {
            let wait = summary.wait.as_ref().map(|wait| WaitView::from(wait).about());
            return wait.unwrap_or_default();
        }
        Life::Watching => {
            return format!(
                "the host's nova-compute to be back: `tachi host return {}` shows the steps",
                summary.host
            );
        }
        Life::Open => {}
    }
    if summary.owner.is_none() {
        return "an engine to claim it".into();
    }
    if let Some(wait) = summary.wait.as_ref().filter(|wait| wait.what.is_on_hold()) {
        let mut commands = waits::to_end_recovery(summary);
        let confirmable = commands.iter().any(|way| way.contains(" confirm-off "));
        if summary.kind == RecoveryKind::Host && stage(&head).as_deref() == Some("fencing") && !confirmable {
            let host = &summary.host;
            commands.push(format!("tachi recovery confirm-off {host} --reason ..."));
        }
        return format!(
            "an operator, because {}: `{}`",
            WaitView::from(wait).about(),
            commands.join("`, or `")
        );
    }
    match (summary.kind, stage(&head).as_deref()) {
        (RecoveryKind::Host, Some("begin")) => "the guards".into(),
        (RecoveryKind::Host, Some("fencing")) => "a proof that the host is off".into(),
        (RecoveryKind::Host, Some("disabling")) => "Nova to show the host disabled and forced down".into(),
        (RecoveryKind::Host, Some("listing")) => "Nova's lists of instances and migrations".into(),
        (RecoveryKind::Host | RecoveryKind::Drain | RecoveryKind::Giveback, Some("moving")) => {
            to_be_moved(summary.moves)
        }
        (_, Some(stage)) => format!("operations in progress: {}", stage.replace('_', " ")),
        (_, None) => "operations in progress".into(),
    }
}

/// A stored move and its parsed state.
struct StoredMove<'a> {
    one: &'a HistoryMove,
    state: Value,
}

/// Returns the stored moves by the ids of their vmoves.
fn stored_moves(history: &RecoveryHistory) -> BTreeMap<&str, StoredMove<'_>> {
    let read = |one| StoredMove {
        one,
        state: serde_json::from_str(&one.state).unwrap_or(Value::Null),
    };
    let moves = history.moves.iter();
    moves.map(|one| (one.vmove.as_str(), read(one))).collect()
}

/// Returns the downtime of an instance that is back, counted from the first report through all attempts.
pub(crate) fn down(summary: &RecoverySummary, vmove: &Vmove) -> Option<Duration> {
    if vmove.status != Some(VmoveStatus::Succeeded) || summary.kind.is_planned() {
        return None;
    }
    Some(since_report(summary, vmove.end_time?))
}

fn since_report(summary: &RecoverySummary, at: Timestamp) -> Duration {
    let lasted = at.micros_since(summary.first_reported_at);
    Duration::from_micros(u64::try_from(lasted).unwrap_or_default())
}

/// Returns when an excluded instance was started after its host's return; its move ended as ignored long before.
fn started_at(history: &RecoveryHistory, vmove: &Vmove, stored: &StoredMove<'_>) -> Option<Timestamp> {
    let start = stored.state.get("start").cloned().unwrap_or(Value::Null);
    let start: ExcludedStart = serde_json::from_value(start).ok()?;
    if start.end != Some(StartEnd::Started) {
        return None;
    }
    let end = |step: &&StepLine| {
        step.task == Task::StartInstance.name()
            && step.kind == StepKind::Outcome.as_str()
            && step.server.as_deref() == Some(vmove.instance_uuid.as_str())
    };
    Some(history.steps.iter().rfind(end)?.at)
}

/// The part of a stored reservation that displays need; other versions may store the rest in another form.
#[derive(Deserialize)]
struct StoredReservation {
    name: String,
    step: ReservationStep,
    consumed: bool,
}

/// Returns the names of the reserved hosts that the recovery has used up, while the segment has no other one in reserve.
fn used_reserve(history: &RecoveryHistory) -> Vec<String> {
    if history.has_reserve {
        return Vec::new();
    }
    let hosts = head(history).pointer("/reserve/hosts").cloned();
    let hosts: Vec<StoredReservation> = hosts
        .and_then(|hosts| serde_json::from_value(hosts).ok())
        .unwrap_or_default();
    let is_used = |reservation: &StoredReservation| {
        reservation.consumed && reservation.step != ReservationStep::Done(ReservationEnd::GivenBack)
    };
    hosts
        .into_iter()
        .filter(is_used)
        .map(|reservation| reservation.name)
        .collect()
}

fn instance(history: &RecoveryHistory, vmove: &Vmove, stored: Option<&StoredMove<'_>>) -> InstanceView {
    let state = |key: &str| stored.and_then(|stored| stored.state.get(key));
    // An instance that an operator has dealt with waits for nothing.
    let wait = stored.filter(|stored| stored.one.seen_to.is_none());
    let wait = wait.and_then(|stored| stored.one.wait.as_ref());
    let of_row = InstanceView::of(&history.summary, vmove);
    let started = stored.and_then(|stored| started_at(history, vmove, stored));
    let moved_by = stored.and_then(|stored| stored.one.moved_by);
    // What a later recovery has moved waits for nothing in this one.
    let wait = wait.filter(|_| moved_by.is_none());
    let of_start = || Some(rounded(since_report(&history.summary, started?).as_secs_f64()));
    InstanceView {
        down_seconds: of_row.down_seconds.or_else(of_start),
        over_at: started.map(Time).or(of_row.over_at),
        proof: state("proof").and_then(Value::as_u64),
        ha_enabled: state("tagged").and_then(Value::as_bool),
        failures: state("failures").and_then(Value::as_u64),
        waits: wait.map(WaitView::from),
        commands: wait.map_or_else(Vec::new, |wait| {
            waits::of_move(wait, &vmove.instance_uuid, history.summary.id)
        }),
        seen_to: stored.and_then(|stored| stored.one.seen_to.clone()),
        moved_by,
        ..of_row
    }
}

impl InstanceView {
    /// Builds the view from the vmove's row alone.
    pub(crate) fn of(summary: &RecoverySummary, vmove: &Vmove) -> Self {
        Self {
            id: vmove.instance_uuid.clone(),
            name: vmove.instance_name.clone(),
            status: vmove.status,
            from: vmove.source_host.clone(),
            to: vmove.dest_host.clone(),
            message: vmove.message.clone(),
            asked_at: vmove.start_time.map(Time),
            over_at: vmove.end_time.map(Time),
            down_seconds: down(summary, vmove).map(|lasted| rounded(lasted.as_secs_f64())),
            ..Self::default()
        }
    }
}

/// The full history of a recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryStory)]
pub struct RecoveryHistoryView {
    /// The recovery as lists show it.
    #[serde(flatten)]
    pub summary: RecoveryView,
    /// The number of times that an engine has claimed the recovery.
    pub claim: u64,
    /// The downtime of the recovery's instances.
    pub downtime: DowntimeView,
    /// The time that engines have spent on the recovery, in seconds.
    pub elapsed_seconds: u64,
    /// The next event that the recovery needs to continue, for people.
    pub waits_for: String,
    /// The notification that caused the recovery; null if it was purged.
    #[schema(required)]
    pub reported: Option<ReportedView>,
    /// The reporters of the failure, each once.
    #[schema(value_type = Vec<Object>)]
    pub reporters: Vec<Reporter>,
    /// The last action of an operator on the recovery; null if there was none.
    #[schema(required)]
    pub word: Option<RecoveryActionView>,
    /// Every action on the recovery that an engine has read, oldest first, and the last one even if none has read it yet.
    #[serde(default)]
    #[schema(required)]
    pub words: Vec<RecoveryActionView>,
    /// The actions on single instances, oldest first.
    #[serde(default)]
    #[schema(required)]
    pub instance_words: Vec<InstanceActionView>,
    /// The head of the stored state; its form depends on the version that wrote it. Null if it cannot be parsed.
    #[schema(value_type = Option<Object>, required)]
    pub state: Value,
    /// The observations, decisions and calls, oldest first.
    pub steps: Vec<StepView>,
    /// The proofs that the host was off, oldest first.
    pub proofs: Vec<ProofView>,
    /// The recovery's instances, in the order in which they are moved.
    pub instances: Vec<InstanceView>,
    /// The newest later recovery of the same host or instance, if this one has failed; null if there is none.
    #[serde(default)]
    #[schema(required, value_type = Option<String>)]
    pub later: Option<RecoveryId>,
    /// The reserved hosts that the recovery has used up. Empty once the segment has a reserved host again.
    #[serde(default)]
    #[schema(required)]
    pub reserve_used: Vec<String>,
    /// The instances that are down on the host, if the recovery failed before it had listed them; null for any other recovery, or if
    /// unknown.
    #[serde(default)]
    #[schema(required)]
    pub still_down: Option<Vec<String>>,
}

/// The content of a recovery's notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryReported)]
pub struct ReportedView {
    /// The kind of failure.
    #[schema(schema_with = schema::notification_kind)]
    pub kind: NotificationType,
    /// When the reporter noticed the failure, by its own account.
    pub generated_at: Time,
    /// The payload of the notification.
    #[schema(value_type = Object)]
    pub payload: BTreeMap<String, String>,
}

/// A line of the step journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RecoveryStep)]
pub struct StepView {
    /// When the line was written.
    pub at: Time,
    /// The number of the claim under which it was written.
    pub claim: u64,
    /// Masakari's name of the task.
    pub task: String,
    /// `intent`, `outcome` or `note`.
    pub kind: String,
    /// The instance's id in Nova; null if the line is not about one instance.
    #[schema(required)]
    pub instance: Option<String>,
    /// One line of text, for people.
    pub text: String,
}

impl From<&StepLine> for StepView {
    fn from(line: &StepLine) -> Self {
        Self {
            at: Time(line.at),
            claim: line.epoch,
            task: line.task.clone(),
            kind: line.kind.clone(),
            instance: line.server.clone(),
            text: without_repeats(&line.text),
        }
    }
}

/// An instance of a recovery, and its move.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InstanceMoved)]
pub struct InstanceView {
    /// The instance's id in Nova.
    pub id: String,
    /// The instance's name.
    pub name: String,
    /// The status of the move; null if unknown.
    #[schema(required, schema_with = schema::move_status)]
    pub status: Option<VmoveStatus>,
    /// The host that the instance was on; null if unknown.
    #[schema(required)]
    pub from: Option<String>,
    /// The host that the instance is on now; null if unknown.
    #[schema(required)]
    pub to: Option<String>,
    /// A message for people; null if there is none.
    #[schema(required)]
    pub message: Option<String>,
    /// The number of the proof on which the move was requested; null if there is none.
    #[schema(required)]
    pub proof: Option<u64>,
    /// When its evacuation was requested from Nova; null if it was not.
    #[schema(required)]
    pub asked_at: Option<Time>,
    /// When the move finished, with or without success; for an excluded instance that was started after its host's return, when it
    /// ran again. Null if it has not.
    #[schema(required)]
    pub over_at: Option<Time>,
    /// True if the instance is marked for high availability; null if unknown.
    #[serde(default)]
    #[schema(required)]
    pub ha_enabled: Option<bool>,
    /// The downtime in seconds, counted from the first report through all attempts; null if the instance is not back.
    #[serde(default)]
    #[schema(required)]
    pub down_seconds: Option<f64>,
    /// The number of attempts that Nova failed; null if unknown.
    #[serde(default)]
    #[schema(required)]
    pub failures: Option<u64>,
    /// The wait that the instance is in; null if it is in none, or an operator has dealt with it.
    #[serde(default)]
    #[schema(required)]
    pub waits: Option<WaitView>,
    /// The commands that end that wait, for an operator to type.
    #[serde(default)]
    #[schema(required)]
    pub commands: Vec<String>,
    /// The operator who dealt with the instance after the recovery had given up on it; null if none has.
    #[serde(default)]
    #[schema(required)]
    pub seen_to: Option<String>,
    /// The newest later recovery that has moved the instance; null if there is none.
    #[serde(default)]
    #[schema(required, value_type = Option<String>)]
    pub moved_by: Option<RecoveryId>,
}

impl From<&RecoveryHistory> for RecoveryHistoryView {
    fn from(history: &RecoveryHistory) -> Self {
        let stored = stored_moves(history);
        let marked = |vmove: &Vmove| {
            stored
                .get(vmove.id.to_string().as_str())?
                .state
                .get("tagged")?
                .as_bool()
        };
        let lasted: Vec<_> = history
            .vmoves
            .iter()
            .filter_map(|one| {
                let start = || started_at(history, one, stored.get(one.id.to_string().as_str())?);
                let of_start = || Some(since_report(&history.summary, start()?));
                let lasted = down(&history.summary, one).or_else(of_start)?;
                Some((marked(one) == Some(true), lasted))
            })
            .chain(single_instance::down(history))
            .collect();
        Self {
            summary: RecoveryView::from(&history.summary),
            claim: history.epoch,
            downtime: DowntimeView::of(&lasted),
            elapsed_seconds: history.elapsed.millis() / 1_000,
            waits_for: waits_for(history),
            reported: history.notification.as_ref().map(|notification| ReportedView {
                kind: notification.kind,
                generated_at: Time(notification.generated_time),
                payload: notification.payload.clone(),
            }),
            reporters: history.reporters.clone(),
            word: history.word.as_ref().map(|(action, by, at)| RecoveryActionView {
                word: action.clone(),
                by: by.clone(),
                at: Time(*at),
            }),
            words: words(&history.steps, history.word.as_ref()),
            instance_words: InstanceActionView::all(&history.move_words, &history.steps),
            state: head(history),
            steps: history.steps.iter().map(StepView::from).collect(),
            proofs: (1..)
                .zip(&history.proofs)
                .map(|(number, line)| ProofView::of(number, line))
                .collect(),
            instances: history
                .vmoves
                .iter()
                .map(|vmove| instance(history, vmove, stored.get(vmove.id.to_string().as_str())))
                .chain(single_instance::view(history))
                .collect(),
            later: history.later,
            reserve_used: used_reserve(history),
            still_down: None,
        }
    }
}

/// Replaces control characters: text that others wrote must not look like separate lines, nor move the cursor.
pub fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
