//! What came of a host at a time that has passed: what was reported, what became of each report and why, what was at work, what was
//! frozen. Nothing is made up: what is not kept is said to be unknown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
use tachi_domain::{NotificationId, RecoveryId, Timestamp};
use tachi_engine::ports::freezes::REMEMBERED;
use tachi_engine::ports::past::{MOST, Past, PastFreeze, PastRecovery, PastRefusals, PastReport, Span};
use tachi_engine::ports::refusals::KEPT;
use tachi_engine::ports::roll::EngineLine;
use utoipa::ToSchema;

use crate::recovery::RecoveryView;
use crate::said::WordView;
use crate::schema;
use crate::story::StepView;
use crate::when::{Time, time};

/// Nobody asks for more at once: it is a question about an incident.
pub const LONGEST: Duration = Duration::from_hours(24);

/// How an answer begins that there is nothing: an API that does not know the question answers 404 as well.
pub const NOTHING: &str = "Nothing is kept of a host";

/// What is kept of a host and a time that has passed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Past)]
pub struct PastView {
    /// The host's name.
    pub host: String,
    /// The first moment.
    pub from: Time,
    /// The last.
    pub to: Time,
    /// What was reported then, in the order it came.
    pub reports: Vec<PastReportView>,
    /// What was reported then and not accepted, by the first of each kind.
    #[serde(default)]
    pub refused: Vec<PastRefusalView>,
    /// The recoveries that were open then, or that one of the reports has begun.
    pub recoveries: Vec<PastRecoveryView>,
    /// What was frozen then and concerned it.
    pub freezes: Vec<PastFreezeView>,
    /// The engines that are on the roll now and were begun before that time was over.
    pub engines: Vec<PastEngineView>,
    /// Why the host is on maintenance now.
    #[schema(required, schema_with = schema::why)]
    pub maintenance: Option<MaintenanceReason>,
    /// What cannot be told, because it is not kept.
    pub unknown: Vec<String>,
}

/// A report, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastReport)]
pub struct PastReportView {
    /// Its notification.
    #[schema(value_type = String, format = "uuid")]
    pub notification: NotificationId,
    /// When it was accepted, to the second.
    pub accepted_at: Time,
    /// When its reporter says that it noticed.
    pub noticed_at: Time,
    /// What failed.
    #[schema(schema_with = schema::notification_kind)]
    pub kind: NotificationType,
    /// What it says.
    #[schema(value_type = Object)]
    pub payload: BTreeMap<String, String>,
    /// Who has said so; null if that is not kept.
    #[schema(required)]
    pub reporter: Option<String>,
    /// The notification's status now.
    pub status: String,
    /// What came of it, and why: one sentence for people.
    pub came_of_it: String,
    /// The recovery that it began; null if it began none, or that was purged.
    #[schema(required, value_type = Option<String>)]
    pub recovery: Option<RecoveryId>,
}

/// Reports that were not accepted and are alike. They are counted by ten minutes, so some may be just outside the time asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastRefusal)]
pub struct PastRefusalView {
    /// What failed.
    #[schema(schema_with = schema::notification_kind)]
    pub kind: NotificationType,
    /// Who has said so; null for too many to be kept apart.
    #[schema(required)]
    pub reporter: Option<String>,
    /// Why it was refused: `duplicate`, `on_maintenance`, `not_yours`, `too_many`, `unknown_host`, `malformed`, `failed`.
    pub reason: String,
    /// The same as a sentence for people.
    pub why: String,
    /// How many.
    pub times: u64,
    /// The first.
    pub first_at: Time,
    /// The last.
    pub last_at: Time,
}

/// A recovery, and its story of that time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastRecovery)]
pub struct PastRecoveryView {
    /// As it is now.
    #[serde(flatten)]
    pub summary: RecoveryView,
    /// The last line of its story before that time.
    #[schema(required)]
    pub before: Option<StepView>,
    /// Its story of that time, oldest first; the first 100 lines.
    pub steps: Vec<StepView>,
    /// There is more of it.
    pub more_steps: bool,
    /// The last word said about it, if it was said then.
    #[schema(required)]
    pub word: Option<WordView>,
}

/// A freeze that was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastFreeze)]
pub struct PastFreezeView {
    /// What was frozen.
    pub what: String,
    /// Since when.
    pub since: Time,
    /// Until when at most, as it was said.
    pub until: Time,
    /// Who said it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When it ended, if somebody has written that; at `until` otherwise.
    #[schema(required)]
    pub ended_at: Option<Time>,
    /// Who ended it.
    #[schema(required)]
    pub ended_by: Option<String>,
}

/// An engine of the roll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PastEngine)]
pub struct PastEngineView {
    /// Its name.
    pub name: String,
    /// When it began.
    pub started_at: Time,
    /// It has signed after that time had begun. When it was silent in between is not kept.
    pub signed_since: bool,
}

impl PastView {
    /// What is told of it.
    pub fn of(past: &Past, span: Span) -> Self {
        let engines = past.engines.iter();
        let engines = engines.filter(|line| line.signature.started_at <= span.to);
        let engines: Vec<_> = engines.map(|line| engine(line, span)).collect();
        Self {
            host: past.host.clone(),
            from: Time(span.from),
            to: Time(span.to),
            unknown: unknown(past, span, &engines),
            reports: past.reports.iter().map(|one| report(one, past)).collect(),
            refused: past
                .refused
                .iter()
                .flat_map(|all| &all.told)
                .map(refusal)
                .collect(),
            recoveries: past.recoveries.iter().map(|one| recovery(one, span)).collect(),
            freezes: past.freezes.iter().map(freeze).collect(),
            engines,
            maintenance: past.maintenance.map(|(why, _)| why),
        }
    }
}

fn engine(line: &EngineLine, span: Span) -> PastEngineView {
    PastEngineView {
        name: line.signature.name.clone(),
        started_at: Time(line.signature.started_at),
        signed_since: line.seen_at >= span.from,
    }
}

fn report(one: &PastReport, past: &Past) -> PastReportView {
    let told = &one.notification;
    let of = |recovery: &&PastRecovery| Some(recovery.summary.id) == one.recovery;
    let recovery = past.recoveries.iter().find(of);
    PastReportView {
        notification: told.id,
        accepted_at: Time(one.accepted_at),
        noticed_at: Time(told.generated_time),
        kind: told.kind,
        payload: told.payload.clone(),
        reporter: told.reporter.as_deref().map(ToString::to_string),
        status: told.status.to_string(),
        came_of_it: came_of(one, recovery),
        recovery: one.recovery,
    }
}

fn refusal(one: &PastRefusals) -> PastRefusalView {
    PastRefusalView {
        kind: one.kind,
        reporter: Some(one.reporter.clone()).filter(|name| !name.is_empty()),
        reason: one.reason.to_string(),
        why: one.reason.words().to_owned(),
        times: one.times,
        first_at: Time(one.first_at),
        last_at: Time(one.last_at),
    }
}

/// What came of a report, as it is now.
fn came_of(one: &PastReport, recovery: Option<&PastRecovery>) -> String {
    let told = &one.notification;
    let why = told.message.as_deref();
    let said = |word: &str| why.map_or_else(|| word.to_owned(), |why| format!("{word}: {why}"));
    let reporter = told.reporter.as_deref();
    if reporter.is_some_and(|who| who.set_aside) {
        return said("kept, and nothing was begun");
    }
    let held = recovery.and_then(|one| one.summary.wait.as_ref());
    let held = held.filter(|wait| wait.what.is_held());
    let mut text = match told.status {
        NotificationStatus::New => "accepted; no engine has begun with it yet".to_owned(),
        NotificationStatus::Running | NotificationStatus::Error => match held {
            Some(wait) => said(&format!("accepted; held since {}", time(wait.since))),
            None => said("accepted; it is being worked on"),
        },
        NotificationStatus::Ignored => said("accepted, then ignored"),
        NotificationStatus::Failed => said("accepted; it failed"),
        NotificationStatus::Finished => said("accepted; it finished"),
    };
    if let Some(unheard) = reporter.and_then(|who| who.unheard.as_ref()) {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            " (its word that the host is {unheard} did not count: it may not say so)"
        );
    }
    text
}

fn recovery(one: &PastRecovery, span: Span) -> PastRecoveryView {
    let word = one.word.as_ref().filter(|(_, _, at)| span.has(*at));
    PastRecoveryView {
        summary: RecoveryView::from(&one.summary),
        before: one.before.as_ref().map(StepView::from),
        steps: one.steps.iter().map(StepView::from).collect(),
        more_steps: one.more_steps,
        word: word.map(|(word, by, at)| WordView {
            word: word.clone(),
            by: by.clone(),
            at: Time(*at),
        }),
    }
}

fn freeze(one: &PastFreeze) -> PastFreezeView {
    let ended = one.ended.as_ref();
    PastFreezeView {
        what: one.freeze.what(),
        since: Time(one.since),
        until: Time(one.freeze.until),
        by: one.freeze.by.clone(),
        reason: one.freeze.reason.clone(),
        ended_at: ended.map(|(at, _)| Time(*at)),
        ended_by: ended.map(|(_, by)| by.clone()),
    }
}

/// What an answer cannot tell.
fn unknown(past: &Past, span: Span, engines: &[PastEngineView]) -> Vec<String> {
    let mut all = refusals_unknown(past, span);
    if past.oldest.is_none_or(|oldest| oldest > span.to) {
        let kept = past.oldest.map_or_else(
            || "no report of any host is kept".to_owned(),
            |oldest| {
                format!(
                    "the oldest report of any host that is kept is of {}",
                    time(oldest)
                )
            },
        );
        all.push(format!(
            "what was reported then: {kept}; older ones were purged, or there were none"
        ));
    }
    let host = &past.host;
    let audit = format!("`tachi audit show --host {host}` on each machine of the API and of an engine");
    all.push(match past.maintenance {
        Some((_, changed)) => format!(
            "since when it is on maintenance; its row was changed last {}: {audit} has each change and who made it",
            changed.map_or_else(|| "at a time that is not kept".to_owned(), |at| format!("at {}", time(at)))
        ),
        None if past.registered => {
            format!("whether it was on maintenance then; now it is not: {audit} has each change and who made it")
        }
        None => format!(
            "when it was taken out of its segment, if it ever was in one; it is not registered: {audit} has that"
        ),
    });
    if past.read_at.micros_since(span.from) > i64::try_from(REMEMBERED.as_micros()).unwrap_or(i64::MAX) {
        all.push("freezes that ended more than 30 days ago".to_owned());
    }
    let wrote = past.recoveries.iter().any(|one| !one.steps.is_empty());
    all.push(match (engines.is_empty(), wrote) {
        (true, true) => "which engines were on the roll then; one of them was at work, as the story shows".to_owned(),
        (true, false) => {
            "whether an engine was at work then: none that is on the roll now was begun before, and who ends or has been silent for \
             a day is on it no more"
                .to_owned()
        }
        (false, _) => "whether an engine was silent for a while then: the roll keeps only when each signed last".to_owned(),
    });
    if past.more {
        all.push(format!(
            "everything of that time: only the first {MOST} reports, refusals, recoveries and freezes are told; ask for less with --within"
        ));
    }
    all
}

/// What of refused reports cannot be told.
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
            "reports that were not accepted: since when they are counted is not known; {log}"
        )),
    }
    let kept = i64::try_from(KEPT.as_micros()).unwrap_or(i64::MAX);
    if past.read_at.micros_since(span.from) > kept {
        all.push(format!(
            "reports that were not accepted more than 30 days ago: {log}"
        ));
    }
    if refused.of_others > 0 {
        all.push(format!(
            "which hosts {} refused reports of that time were about: there were too many to be kept apart; {log}",
            refused.of_others
        ));
    }
    all
}

/// The span of so long before and after a moment, that ends now at the latest.
pub fn around(at: Timestamp, within: Duration, now: Timestamp) -> Span {
    let micros = i64::try_from(within.as_micros()).unwrap_or(i64::MAX);
    let plus = |micros: i64| at.micros().saturating_add(micros);
    // As it is asked for over HTTP.
    let whole = |micros: i64| Timestamp::from_micros(micros - micros.rem_euclid(1_000));
    Span {
        from: whole(plus(-micros)),
        to: whole(plus(micros).min(now.micros())),
    }
}

#[cfg(test)]
mod tests;
