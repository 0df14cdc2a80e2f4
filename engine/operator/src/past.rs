//! History of a host for a time span in the past: the reports, the result of each with its reason, the running engines and the freezes.
//! Facts that are not stored are listed as unknown, never guessed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::recovery::DISMISSED_STATUS;
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::engine_registry::EngineRow;
use tachi_engine::ports::freezes::ENDED_FREEZE_RETENTION;
use tachi_engine::ports::past::{MAX_ITEMS, Past, PastFreeze, PastRecovery, PastReport, Span};
use tachi_engine::ports::refusals::{RETENTION, RefusalCount};
use utoipa::ToSchema;

use crate::history::StepView;
use crate::recovery::RecoveryView;
use crate::schema;
use crate::step_text::RecoveryActionView;
use crate::when::{Time, time};

/// The longest time span of one query: it is meant for incidents.
pub const MAX_SPAN: Duration = Duration::from_hours(24);

/// The stored history of a host for a time span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Past)]
pub struct PastView {
    /// The host's name.
    pub host: String,
    /// The start of the time span.
    pub from: Time,
    /// The end of the time span.
    pub to: Time,
    /// The reports of that time, in the order in which they came.
    pub reports: Vec<PastReportView>,
    /// The reports of that time that were not accepted, grouped by kind, reporter and reason, in the order of `first_at`.
    #[serde(default)]
    pub refused: Vec<PastRefusalView>,
    /// The recoveries that were open then, or that one of the reports started.
    pub recoveries: Vec<PastRecoveryView>,
    /// The freezes of that time that applied to the host.
    pub freezes: Vec<PastFreezeView>,
    /// The engines that are in the registry now and started before the end of the time span.
    pub engines: Vec<PastEngineView>,
    /// The reason why the host is in maintenance now; null if it is not.
    #[schema(required, schema_with = schema::why)]
    pub maintenance: Option<MaintenanceReason>,
    /// The facts that are unknown because they are not stored, for people.
    pub unknown: Vec<String>,
}

/// A report and its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastReport)]
pub struct PastReportView {
    /// The id of the report's notification.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// When the report was accepted, to the second.
    pub accepted_at: Time,
    /// When the reporter noticed the failure, by its own account.
    pub noticed_at: Time,
    /// The kind of failure.
    #[schema(schema_with = schema::notification_kind)]
    pub kind: NotificationType,
    /// The payload of the notification.
    #[schema(value_type = Object)]
    pub payload: BTreeMap<String, String>,
    /// The reporter, for people; null if it is not stored.
    #[schema(required)]
    pub reporter: Option<String>,
    /// The status of the notification now.
    pub status: String,
    /// The result and its reason, one sentence for people.
    pub came_of_it: String,
    /// The id of the recovery that the report started; null if it started none, or if that was purged.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
}

/// Reports that were not accepted, grouped by kind, reporter and reason. They are counted per ten minutes, so a few may lie just outside
/// the time span.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastRefusal)]
pub struct PastRefusalView {
    /// The kind of failure that was reported.
    #[schema(schema_with = schema::notification_kind)]
    pub kind: NotificationType,
    /// The reporter, for people; null if there were too many reporters to count each.
    #[schema(required)]
    pub reporter: Option<String>,
    /// The reason for the refusal: `duplicate`, `on_maintenance`, `not_yours`, `too_many`, `unknown_host`, `malformed` or `failed`.
    pub reason: String,
    /// The same reason as a sentence for people.
    pub why: String,
    /// The number of these reports.
    pub times: u64,
    /// When the first of them came.
    pub first_at: Time,
    /// When the last of them came.
    pub last_at: Time,
}

/// A recovery, and its steps within the time span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastRecovery)]
pub struct PastRecoveryView {
    /// The recovery as it is now.
    #[serde(flatten)]
    pub summary: RecoveryView,
    /// The last step before the time span; null if there is none.
    #[schema(required)]
    pub before: Option<StepView>,
    /// The first 100 steps within the time span, oldest first.
    pub steps: Vec<StepView>,
    /// True if there are more steps than `steps` lists.
    pub more_steps: bool,
    /// The last action of an operator on the recovery; null if it was not within the time span.
    #[schema(required)]
    pub word: Option<RecoveryActionView>,
}

/// A freeze that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastFreeze)]
pub struct PastFreezeView {
    /// The frozen object, for people, such as `host compute-001`.
    pub what: String,
    /// When the freeze began.
    pub since: Time,
    /// When the freeze was to expire.
    pub until: Time,
    /// The operator who requested it.
    pub by: String,
    /// The reason, for people.
    pub reason: String,
    /// When the freeze ended; null if no end was recorded, so that it ended, or will end, at `until`.
    #[schema(required)]
    pub ended_at: Option<Time>,
    /// The operator who ended it, or the reason for which it ended by itself; null if no end was recorded.
    #[schema(required)]
    pub ended_by: Option<String>,
}

/// An engine in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastEngine)]
pub struct PastEngineView {
    /// The engine's name.
    pub name: String,
    /// When the engine started.
    pub started_at: Time,
    /// True if the engine has sent a heartbeat since the start of the time span. Gaps before its last heartbeat are not stored.
    pub signed_since: bool,
}

impl PastView {
    /// Builds the view of a host's history.
    pub fn of(past: &Past, span: Span) -> Self {
        let engines = past.engines.iter();
        let engines = engines.filter(|line| line.heartbeat.started_at <= span.to);
        let engines: Vec<_> = engines.map(|line| engine(line, span)).collect();
        Self {
            host: past.host.clone(),
            from: Time(span.from),
            to: Time(span.to),
            unknown: unknown(past, span, &engines),
            reports: past
                .reports
                .iter()
                .map(|past_report| report(past_report, past))
                .collect(),
            refused: past
                .refused
                .iter()
                .flat_map(|all| &all.refusals)
                .map(refusal)
                .collect(),
            recoveries: past.recoveries.iter().map(|one| recovery(one, span)).collect(),
            freezes: past.freezes.iter().map(freeze).collect(),
            engines,
            maintenance: past.maintenance.map(|(why, _)| why),
        }
    }
}

fn engine(line: &EngineRow, span: Span) -> PastEngineView {
    PastEngineView {
        name: line.heartbeat.name.clone(),
        started_at: Time(line.heartbeat.started_at),
        signed_since: line.seen_at >= span.from,
    }
}

fn report(report: &PastReport, past: &Past) -> PastReportView {
    let notification = &report.notification;
    let of = |recovery: &&PastRecovery| Some(recovery.summary.id) == report.recovery;
    let recovery = past.recoveries.iter().find(of);
    PastReportView {
        notification: notification.id,
        accepted_at: Time(report.accepted_at),
        noticed_at: Time(notification.generated_time),
        kind: notification.kind,
        payload: notification.payload.clone(),
        reporter: notification.reporter.as_deref().map(ToString::to_string),
        status: notification.status.to_string(),
        came_of_it: result_of(report, recovery),
        recovery: report.recovery,
    }
}

fn refusal(refusals: &RefusalCount) -> PastRefusalView {
    PastRefusalView {
        kind: refusals.kind,
        reporter: Some(refusals.reporter.clone()).filter(|name| !name.is_empty()),
        reason: refusals.reason.to_string(),
        why: refusals.reason.words().to_owned(),
        times: refusals.times,
        first_at: Time(refusals.first_at),
        last_at: Time(refusals.last_at),
    }
}

/// Returns the result of a report, as it is now.
fn result_of(report: &PastReport, recovery: Option<&PastRecovery>) -> String {
    let notification = &report.notification;
    let why = notification.message.as_deref();
    let render = |status: &str| why.map_or_else(|| status.to_owned(), |why| format!("{status}: {why}"));
    let reporter = notification.reporter.as_deref();
    if reporter.is_some_and(|who| who.muted) {
        return render("stored, without starting a recovery");
    }
    let open_wait = recovery.and_then(|recovery_end| recovery_end.summary.wait.as_ref());
    let open_wait = open_wait.filter(|wait| wait.what.is_on_hold());
    let mut text = match notification.status {
        NotificationStatus::New => "accepted; no engine has started on it yet".to_owned(),
        NotificationStatus::Running | NotificationStatus::Error => match open_wait {
            Some(wait) => render(&format!("accepted; on hold since {}", time(wait.since))),
            None => render("accepted; in progress"),
        },
        NotificationStatus::Ignored => render("accepted, then ignored"),
        NotificationStatus::Failed | NotificationStatus::Finished
            if recovery.is_some_and(|recovery_end| recovery_end.summary.status == DISMISSED_STATUS) =>
        {
            render("accepted, then dismissed")
        }
        NotificationStatus::Failed => render("accepted; it failed"),
        NotificationStatus::Finished => render("accepted; it finished"),
    };
    if let Some(discarded) = reporter.and_then(|who| who.discarded_status.as_ref()) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            " (its claim that the host is {discarded} was discarded: this reporter may not make it)"
        );
    }
    text
}

fn recovery(recovery: &PastRecovery, span: Span) -> PastRecoveryView {
    let action = recovery.word.as_ref().filter(|(_, _, at)| span.has(*at));
    PastRecoveryView {
        summary: RecoveryView::from(&recovery.summary),
        before: recovery.before.as_ref().map(StepView::from),
        steps: recovery.steps.iter().map(StepView::from).collect(),
        more_steps: recovery.more_steps,
        word: action.map(|(action, by, at)| RecoveryActionView {
            word: action.clone(),
            by: by.clone(),
            at: Time(*at),
        }),
    }
}

fn freeze(freeze: &PastFreeze) -> PastFreezeView {
    let ended = freeze.ended.as_ref();
    PastFreezeView {
        what: freeze.freeze.what(),
        since: Time(freeze.since),
        until: Time(freeze.freeze.until),
        by: freeze.freeze.by.clone(),
        reason: freeze.freeze.reason.clone(),
        ended_at: ended.map(|(at, _)| Time(*at)),
        ended_by: ended.map(|(_, by)| by.clone()),
    }
}

/// Returns the facts that the answer cannot give.
fn unknown(past: &Past, span: Span, engines: &[PastEngineView]) -> Vec<String> {
    let mut all = refusals_unknown(past, span);
    if past.oldest.is_none_or(|oldest| oldest > span.to) {
        let retention = past.oldest.map_or_else(
            || "no report of any host is stored".to_owned(),
            |oldest| format!("the oldest stored report of any host is of {}", time(oldest)),
        );
        all.push(format!(
            "the reports of that time: {retention}; older ones were purged, or there were none"
        ));
    }
    let host = &past.host;
    let audit = format!("`tachi audit show --host {host}` on each machine of the API and of an engine");
    all.push(match past.maintenance {
        Some((_, changed)) => format!(
            "when its maintenance started; its row was changed last {}: {audit} has each change and who made it",
            changed.map_or_else(|| "at an unknown time".to_owned(), |at| format!("at {}", time(at)))
        ),
        None if past.registered => {
            format!("if it was in maintenance then; now it is not: {audit} has each change and who made it")
        }
        None => format!(
            "when it was removed from its segment, if it ever was in one; it is not registered: {audit} has that"
        ),
    });
    if past.read_at.micros_since(span.from)
        > i64::try_from(ENDED_FREEZE_RETENTION.as_micros()).unwrap_or(i64::MAX)
    {
        all.push("freezes that ended more than 30 days ago".to_owned());
    }
    let wrote = past.recoveries.iter().any(|recovery| !recovery.steps.is_empty());
    all.push(match (engines.is_empty(), wrote) {
        (true, true) => "which engines were registered then; one of them was running, as the timeline shows".to_owned(),
        (true, false) => {
            "if an engine was running then: every engine that is registered now started later, and one that stops or is silent for a day \
             is removed"
                .to_owned()
        }
        (false, _) => "if an engine was silent then: the registry has only the last heartbeat of each".to_owned(),
    });
    if past.more {
        all.push(format!(
            "the rest of that time: only the first {MAX_ITEMS} reports, refusals, recoveries and freezes are shown; shorten it with \
             --within"
        ));
    }
    all
}

/// Returns the facts about refused reports that the answer cannot give.
fn refusals_unknown(past: &Past, span: Span) -> Vec<String> {
    let log = "the access log of each API has them";
    let Some(refused) = &past.refused else {
        return vec![format!(
            "reports that were not accepted: the database's user may not read them (`tachi db grants`); {log}"
        )];
    };
    let mut all = vec![format!(
        "reports without a valid token, or whose host could not be read: they are not counted; {log} (400, 401, 403)"
    )];
    match refused.counted_since {
        Some(since) if since <= span.from => {}
        Some(since) => all.push(format!(
            "reports that were not accepted before {}: they are counted since then; {log}",
            time(since)
        )),
        None => all.push(format!(
            "reports that were not accepted: it is unknown since when they are counted; {log}"
        )),
    }
    let retention = i64::try_from(RETENTION.as_micros()).unwrap_or(i64::MAX);
    if past.read_at.micros_since(span.from) > retention {
        all.push(format!(
            "reports that were not accepted more than 30 days ago: {log}"
        ));
    }
    if refused.of_others > 0 {
        all.push(format!(
            "the hosts of {} refused reports of that time: there were too many to store each; {log}",
            refused.of_others
        ));
    }
    all
}

/// Returns the time span from `within` before `at` to `within` after it, but not beyond `now`.
pub fn around(at: Timestamp, within: Duration, now: Timestamp) -> Span {
    let micros = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
    let plus = |micros: i64| at.micros().saturating_add(micros);
    // Whole milliseconds, as the HTTP API takes them.
    let whole = |micros: i64| Timestamp::from_micros(micros - micros.rem_euclid(1_000));
    Span {
        from: whole(plus(-micros)),
        to: whole(plus(micros).min(now.micros())),
    }
}

#[cfg(test)]
mod tests;
