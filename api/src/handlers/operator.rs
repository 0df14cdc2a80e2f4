//! `/operator/v1`: read routes for operators. All data comes from the database; Nova is not queried.

use std::time::Duration;

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use tachi_domain::RecoveryId;
use tachi_domain::situation::{Explanation, HostOrInstance};
use tachi_engine::ports::JournalError;
use tachi_engine::ports::operator::{MoveFilter, RecoveryFilter};
use tachi_engine::ports::past::Span;
use tachi_operator::report::RecoveryReport;
use tachi_operator::{
    ExplanationView, FindingView, ForecastError, ForecastView, HostView, ListedInstanceView, PastView,
    RecoveryHistoryView, RecoveryView, RegionSnapshot, STATES, SituationView, VmoveLine, VmoveView, past,
    state,
};

use crate::error::{ApiError, marker_not_found};
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::query::Params;
use crate::reply;
use crate::state::ApiState;

/// Default time span of a host's history, in seconds.
const DEFAULT_SPAN_SECONDS: i64 = 1_200;

/// The formats of a recovery's report. The first is the default.
pub(crate) const REPORT_FORMATS: &[&str] = &["md", "html"];

/// Returns 503 for a database error, because the database may recover.
pub(crate) fn database_unavailable(error: JournalError) -> ApiError {
    ApiError::Unavailable {
        service: "The database",
        source: Box::new(error),
    }
}

/// Returns the assessment of the whole region.
pub(crate) async fn situation(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    reply::ok("situation", &SituationView::from(snapshot.as_ref()))
}

/// Lists findings, most severe first.
pub(crate) async fn findings(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let all: Vec<_> = snapshot
        .situation
        .findings
        .iter()
        .map(|finding| FindingView::of(&snapshot, finding))
        .collect();
    reply::ok("findings", &all)
}

/// Lists all hosts with their assessment.
pub(crate) async fn hosts(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    reply::ok("hosts", &HostView::all(&snapshot))
}

/// Returns the capacity forecast for the loss of hosts.
pub(crate) async fn forecast(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let lose = params.last("lose").unwrap_or_default();
    let lose: Vec<&str> = lose
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let view = ForecastView::of(&snapshot, params.last("segment"), &lose).map_err(|why| match why {
        ForecastError::Unknown(text) => ApiError::unknown_name(text),
        ForecastError::OfSeveral(text) => ApiError::bad_request(text),
    })?;
    reply::ok("forecast", &view)
}

/// Returns the scheduled jobs of the engines.
pub(crate) async fn schedule(State(app): State<ApiState>, _: AuthorisedRequest) -> Answer {
    reply::ok(
        "schedule",
        &app.region.schedule().await.map_err(database_unavailable)?,
    )
}

/// Explains the protection state of a host.
pub(crate) async fn of_host(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    explained(&snapshot, &name, |one| {
        matches!(one.subject, HostOrInstance::Host(_))
    })
    .ok_or_else(|| no_host(&name))?
}

/// Returns the history of a host in a past time span.
pub(crate) async fn past(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    params: Params,
    _: AuthorisedRequest,
) -> Answer {
    let to = params.time("to")?.unwrap_or_else(|| app.clock.wall());
    let from = params
        .time("from")?
        .unwrap_or_else(|| to.minus_seconds(DEFAULT_SPAN_SECONDS));
    let span = Span { from, to };
    let lasts =
        u64::try_from(to.micros_since(from)).map_err(|_| ApiError::bad_request("`to` is before `from`"))?;
    if Duration::from_micros(lasts) > past::MAX_SPAN {
        return Err(ApiError::bad_request("`from` and `to` are more than a day apart"));
    }
    let found = app
        .operator_journal
        .past(&name, span)
        .await
        .map_err(database_unavailable)?;
    let missing = || ApiError::no_records(&name);
    reply::ok("past", &PastView::of(&found.ok_or_else(missing)?, span))
}

/// Explains the protection state of an instance, or of each instance with this name.
pub(crate) async fn of_instance(
    State(app): State<ApiState>,
    Ids(name): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let found = explained(&snapshot, &name, |one| {
        matches!(one.subject, HostOrInstance::Instance(_))
    });
    found.ok_or_else(|| {
        let listed = match snapshot.situation.instances {
            Some(_) => "",
            None => " No engine has listed Nova's instances yet.",
        };
        ApiError::unknown_name(format!("No instance has the id or name {name}.{listed}"))
    })?
}

fn explained(
    snapshot: &RegionSnapshot,
    name: &str,
    is_selected: fn(&Explanation<'_>) -> bool,
) -> Option<Answer> {
    let found = snapshot.situation.explain(name);
    let found = found.iter().filter(|one| is_selected(one));
    let views: Vec<_> = found.map(|one| ExplanationView::of(snapshot, one)).collect();
    (!views.is_empty()).then(|| reply::ok("explanations", &views))
}

/// Lists the instances on all hosts or one.
pub(crate) async fn hosted_instances(
    State(app): State<ApiState>,
    params: Params,
    _: AuthorisedRequest,
) -> Answer {
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    let (host, down) = (params.last("host"), params.boolean("down")?.unwrap_or_default());
    if let Some(host) = host
        && snapshot.situation.hosts.iter().all(|one| one.name != host)
    {
        return Err(no_host(host));
    }
    let listed = ListedInstanceView::list(&snapshot, app.operator_journal.as_ref(), host, down).await;
    reply::ok("instances", &listed.map_err(database_unavailable)?)
}

fn no_host(name: &str) -> ApiError {
    ApiError::unknown_name(format!(
        "No host has the name {name}: it is in no segment, and not among the hosts read from Nova."
    ))
}

/// Lists the instances that are being recovered or need an operator.
pub(crate) async fn instances(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let filter = if params.boolean("needs_person")?.unwrap_or_default() {
        MoveFilter::NeedsPerson
    } else {
        MoveFilter::Unsettled
    };
    let mut lines = app
        .operator_journal
        .moves(filter)
        .await
        .map_err(database_unavailable)?;
    if filter == MoveFilter::NeedsPerson && !lines.is_empty() {
        let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
        lines.retain(|line| snapshot.still_waits(line));
        let lines = lines.into_iter().map(VmoveLine::from);
        let views: Vec<_> = lines.map(|line| VmoveView::of(&snapshot, &line)).collect();
        return reply::ok("instances", &views);
    }
    let lines = lines.into_iter().map(VmoveLine::from);
    let views: Vec<_> = lines.map(|line| VmoveView::from(&line)).collect();
    reply::ok("instances", &views)
}

/// Returns a page of recoveries, newest first.
pub(crate) async fn recoveries(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let limit = params.limit("limit", app.max_limit)?;
    let state = params.last("state").map(|value| {
        state(value).ok_or_else(|| {
            ApiError::bad_request(format!(
                "Invalid value for state: {value:?} is not one of {}",
                STATES.join(", ")
            ))
        })
    });
    let filter = RecoveryFilter {
        closed: params.boolean("all")?.unwrap_or_default(),
        state: state.transpose()?,
        id: params.last("id").map(str::to_ascii_lowercase),
        host: params.text("host"),
        segment: params.text("segment"),
        instance: params.text("instance"),
        since: params.time("since")?,
        before: marker(&app, &params).await?,
        limit: Some(limit),
    };
    let rows = if filter.id.as_deref().is_none_or(is_id_prefix) {
        app.operator_journal
            .find_recoveries(&filter)
            .await
            .map_err(database_unavailable)?
    } else {
        Vec::new()
    };
    let mut views: Vec<_> = rows.iter().map(RecoveryView::from).collect();
    if params.boolean("downtime")?.unwrap_or_default() || filter.instance.is_some() {
        let notifications: Vec<_> = rows.iter().map(|row| row.notification).collect();
        let moved = app
            .operator_journal
            .moved(&notifications)
            .await
            .map_err(database_unavailable)?;
        let shown = views.into_iter().zip(&rows);
        views = shown
            .map(|(view, row)| view.with(row, &moved, filter.instance.as_deref()))
            .collect();
    }
    reply::ok("recoveries", &views)
}

/// True if `text` can be the beginning of an id. Other characters match no id, and `%` is a wildcard in the database.
fn is_id_prefix(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_hexdigit() || c == '-')
}

/// Returns the recovery after which the page starts. An unknown marker is an error: an empty page would look like the end.
async fn marker(app: &ApiState, params: &Params) -> Result<Option<RecoveryId>, ApiError> {
    let Some(text) = params.last("marker") else {
        return Ok(None);
    };
    let id: RecoveryId = text.parse().map_err(|_| marker_not_found(text))?;
    let one = RecoveryFilter {
        closed: true,
        id: Some(id.to_string()),
        limit: Some(1),
        ..RecoveryFilter::default()
    };
    let found = app
        .operator_journal
        .find_recoveries(&one)
        .await
        .map_err(database_unavailable)?;
    if found.is_empty() {
        return Err(marker_not_found(text));
    }
    Ok(Some(id))
}

/// Returns everything known about a recovery.
pub(crate) async fn recovery(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    _: AuthorisedRequest,
) -> Answer {
    let (_, history) = history(&app, &id).await?;
    reply::ok("recovery", &history)
}

async fn history(app: &ApiState, id: &str) -> Result<(RecoveryId, RecoveryHistoryView), ApiError> {
    let missing = || ApiError::unknown_name(format!("No recovery has the id {id}."));
    let id: RecoveryId = id.parse().map_err(|_| missing())?;
    let history = app
        .operator_journal
        .history(id)
        .await
        .map_err(database_unavailable)?
        .ok_or_else(missing)?;
    let history = RecoveryHistoryView::from(&history);
    if !history.ended_unlisted() {
        return Ok((id, history));
    }
    let snapshot = app.region.snapshot().await.map_err(database_unavailable)?;
    Ok((id, history.with_still_down(&snapshot)))
}

/// Returns the report of a recovery as a file: browsers download it, and do not render it in the API's origin.
pub(crate) async fn report(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    params: Params,
    _: AuthorisedRequest,
) -> Answer {
    let format = params.last("format").unwrap_or("md");
    let kind = match format {
        "md" => "text/markdown; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        other => {
            return Err(ApiError::bad_request(format!(
                "Invalid value for format: {other:?} is not one of {}",
                REPORT_FORMATS.join(", ")
            )));
        }
    };
    let (id, history) = history(&app, &id).await?;
    let report = RecoveryReport::of(&history);
    let text = if format == "html" {
        report.html()
    } else {
        report.markdown()
    };
    let text = text.map_err(|source| ApiError::Internal {
        source: Box::new(source),
    })?;
    let named = format!("attachment; filename=\"recovery-{id}.{format}\"");
    let headers = [
        (CONTENT_TYPE, kind),
        (CONTENT_DISPOSITION, named.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, format!("{}\n", text.trim_end())).into_response())
}
