//! The board's pages. The server renders each from answers of `/operator/v1`, and the browser inserts it. Commands and the board
//! therefore share one wording.
//!
//! A page contains no times relative to now: the browser writes those. An unchanged page is then not sent again.

mod buttons;
mod events;
mod fragments;
mod hosts;
mod now;
mod timeline;

use std::borrow::Borrow;

use askama::Template;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use serde::de::DeserializeOwned;
use tachi_domain::count;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::forecast::Room;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::recovery::{Life, ResolutionKind};
use tachi_domain::situation::{FindingCode, Need, Severity};
use tachi_operator::{
    ExplanationView, FindingView, ForecastView, FreezeView, InstanceView, JobView, LandingView,
    ListedInstanceView, NeedView, OutcomeView, RecoveryHistoryView, RecoveryView, RoomView,
    SegmentForecastView, SituationView, VmoveView,
};

use super::actions::RightsView;
use super::assets::tag_of;
use super::{BoardState, FIRST_REQUEST_PATH, cookie, forward};
use crate::error::ApiError;
use buttons::{freeze, of_recovery, thaw};
use events::Events;
use fragments::{
    Fragment, ago, clock, commands, escaped, lasted, link, many, mark, move_state, n_plus, nova, or_nothing,
    room, span, state, state_with, tested, until, visible, ways, why, with_code,
};
use hosts::Hosts;
use now::NowPage;
use timeline::Timeline;

/// Maximum number of a segment's hosts, or of instances, that a page lists.
const MAX_LISTED: usize = 100;
/// Numbers of hosts lost together, in the table of segments.
const LOST_HOST_COUNTS: [u64; 4] = [1, 2, 3, 4];
/// Numbers of recoveries in History: shown at first, added each time, and at most.
const INITIAL_LIMIT: u32 = 50;
const LIMIT_STEP: u32 = 200;
const MAX_LIMIT: u32 = 1_000;

/// Returns a page by its name and its subject, if it has one, both as in the URL.
pub(super) async fn show(state: &BoardState, page: &str, request: Request) -> Response {
    let (page, name) = page.split_once('/').unwrap_or((page, ""));
    if name.contains('/') {
        return ApiError::no_resource().into_response();
    }
    let width = request
        .uri()
        .query()
        .and_then(|query| query.strip_prefix("width="));
    let width = width.and_then(|width| width.parse().ok()).unwrap_or(u16::MAX);
    let (parts, _) = request.into_parts();
    let client = PageRequest {
        state,
        token: cookie::token(&parts.headers),
        extensions: parts.extensions,
    };
    match made(&client, page, name, width).await {
        Ok(html) => {
            let head = client.head().await;
            answer(visible(&format!("{head}{html}")), &parts.headers)
        }
        Err(response) => response,
    }
}

/// Returns the page, or 304 if the browser has it already.
fn answer(html: String, headers: &HeaderMap) -> Response {
    let tag = tag_of(html.as_bytes());
    let is_known = tag.is_some() && headers.get(IF_NONE_MATCH) == tag.as_ref();
    let mut response = if is_known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    };
    if let Some(tag) = tag {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// A caller of `/operator/v1`, with the credentials of the browser's request.
struct PageRequest<'a> {
    state: &'a BoardState,
    token: Option<HeaderValue>,
    extensions: Extensions,
}

impl PageRequest<'_> {
    fn request(&self) -> Request {
        let mut request = Request::new(Body::empty());
        *request.extensions_mut() = self.extensions.clone();
        request
    }

    /// Returns the value below `path`. An error is the response of the API, unchanged.
    async fn of<T: DeserializeOwned>(&self, path: &str) -> Result<T, Response> {
        let path = format!("{}/{path}", super::OPERATOR);
        read(
            self.state
                .operators(self.request(), &path, self.token.as_ref())
                .await,
        )
        .await
    }

    /// Returns the caller's permissions and name.
    async fn rights(&self) -> Option<RightsView> {
        let response = forward(
            &self.state.rights,
            self.request(),
            FIRST_REQUEST_PATH,
            self.token.as_ref(),
        )
        .await;
        read(response).await.ok()
    }

    /// True if the caller may use the board's actions.
    async fn may(&self) -> bool {
        self.rights().await.is_some_and(|rights| rights.act)
    }

    /// Renders the frame around every page: the region's state and the user. Returns an empty text if they are unknown.
    async fn head(&self) -> String {
        let (Ok(snapshot), Some(rights)) =
            (self.state.app.region.cached_snapshot().await, self.rights().await)
        else {
            return String::new();
        };
        let waits = snapshot.on_hold().count() + snapshot.waiting().count();
        let role = if rights.act { "operator" } else { "read only" };
        format!(
            "<p id=\"state\" hidden data-grade=\"{}\" data-waits=\"{waits}\" data-who=\"{}\" data-roles=\"{}\"></p>",
            snapshot.situation.grade,
            escaped(&user_line(snapshot.place.region.as_deref(), &rights.user, role)),
            escaped(&rights.roles.join(", "))
        )
    }

    /// Returns the active freezes if the caller may end them and a finding reports one.
    async fn freezes<'a>(
        &self,
        may: bool,
        mut findings: impl Iterator<Item = &'a FindingView>,
    ) -> Result<Vec<FreezeView>, Response> {
        if may && findings.any(|finding| finding.code == FindingCode::Frozen) {
            self.of("freezes").await
        } else {
            Ok(Vec::new())
        }
    }
}

/// Joins the region, the user and the role, as far as they are known.
fn user_line(region: Option<&str>, user: &str, role: &str) -> String {
    let all = [region.unwrap_or_default(), user, role];
    let known: Vec<&str> = all.into_iter().filter(|text| !text.is_empty()).collect();
    known.join(" · ")
}

/// Returns the value below the answer's only key.
async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Response> {
    if !response.status().is_success() {
        return Err(response);
    }
    let wrong =
        |source: Box<dyn std::error::Error + Send + Sync>| ApiError::Internal { source }.into_response();
    let bytes = to_bytes(response.into_body(), usize::MAX).await;
    let bytes = bytes.map_err(|error| wrong(error.into()))?;
    let rooted: std::collections::BTreeMap<String, T> =
        serde_json::from_slice(&bytes).map_err(|error| wrong(error.into()))?;
    let value = rooted.into_values().next();
    value.ok_or_else(|| wrong("an answer without a key".into()))
}

async fn made(client: &PageRequest<'_>, page: &str, name: &str, width: u16) -> Result<String, Response> {
    match page {
        "now" => {
            let (snapshot, may): (SituationView, _) = (client.of("situation").await?, client.may().await);
            let freezes = client.freezes(may, snapshot.findings.iter()).await?;
            rendered(&NowPage::of(&snapshot, &freezes, may))
        }
        "hosts" => rendered(&Hosts::of(&client.of("situation").await?)),
        "instances" => {
            let all: Vec<VmoveView> = client.of("instances").await?;
            let down: Vec<ListedInstanceView> = client.of("hosted-instances?down=true").await?;
            rendered(&Instances::of(all, down))
        }
        // The name is forwarded as encoded in the URL, so it cannot reach any other path.
        "host" => explained(client, &format!("hosts/{name}/explanation")).await,
        "instance" => explained(client, &format!("instances/{name}/explanation")).await,
        "history" => history(client, name).await,
        "recovery" => {
            let path = format!("recoveries/{name}");
            let (story, may): (RecoveryHistoryView, _) = (client.of(&path).await?, client.may().await);
            let timeline = Timeline::of(&story, width);
            let timeline = match timeline {
                Some(timeline) => Some(rendered(&timeline)?),
                None => None,
            };
            let (events, timeline) = (Events::of(&story.steps), timeline.map(Fragment));
            let story = &story;
            rendered(&Recovery {
                story,
                events,
                timeline,
                may,
            })
        }
        "forecast" => {
            let view: ForecastView = client.of(&format!("forecast?lose={name}")).await?;
            rendered(&Forecast { view: &view })
        }
        "schedule" => {
            let jobs: Vec<JobView> = client.of("schedule").await?;
            rendered(&Schedule { jobs })
        }
        _ => Err(ApiError::no_resource().into_response()),
    }
}

#[expect(clippy::result_large_err, reason = "an error here is a complete response")]
fn rendered(page: &impl Template) -> Result<String, Response> {
    page.render().map_err(|source| {
        ApiError::Internal {
            source: Box::new(source),
        }
        .into_response()
    })
}

#[derive(Template)]
#[template(path = "instances.html")]
struct Instances {
    /// Instances that are being moved or need an operator.
    moving: Vec<VmoveView>,
    /// Other instances that are down or may be, such as those of a recovery on hold.
    down: Vec<ListedInstanceView>,
    /// Number of such instances that the page does not list.
    more: usize,
}

impl Instances {
    fn of(all: Vec<VmoveView>, mut down: Vec<ListedInstanceView>) -> Self {
        let is_done =
            |vmove: &VmoveView| !vmove.needs_person && ["moved", "left"].contains(&vmove.state.as_str());
        let moving: Vec<VmoveView> = all.into_iter().filter(|one| !is_done(one)).collect();
        down.retain(|one| moving.iter().all(|vmove| vmove.instance != one.hosted.id));
        let more = down.len().saturating_sub(MAX_LISTED);
        down.truncate(MAX_LISTED);
        Self { moving, down, more }
    }
}

/// Returns the reason why an instance is down.
fn down_reason(listed: &ListedInstanceView) -> String {
    let own = listed.why.clone().unwrap_or_else(|| why(&listed.hosted));
    if own.is_empty() {
        "as its host".to_owned()
    } else {
        own
    }
}

#[derive(Template)]
#[template(path = "explain.html")]
struct ExplanationPage<'a> {
    /// All matches of the name; for an instance also the recoveries that moved it.
    explanations: Vec<(ExplanationView, Option<Vec<RecoveryView>>)>,
    freezes: &'a [FreezeView],
    may: bool,
}

async fn explained(client: &PageRequest<'_>, path: &str) -> Result<String, Response> {
    let (found, may): (Vec<ExplanationView>, _) = (client.of(path).await?, client.may().await);
    let findings = found
        .iter()
        .flat_map(|one| &one.needs)
        .flat_map(|need| &need.findings);
    let freezes = client.freezes(may, findings).await?;
    let mut explained = Vec::new();
    for one in found {
        let past = match &one.id {
            Some(id) => Some(
                client
                    .of(&format!("recoveries?all=true&limit=50&instance={id}"))
                    .await?,
            ),
            None => None,
        };
        explained.push((one, past));
    }
    let freezes = &freezes;
    rendered(&ExplanationPage {
        explanations: explained,
        freezes,
        may,
    })
}

fn holds(explanation: &ExplanationView, need: &NeedView) -> Fragment {
    let grade = explanation.told_of(need).map(|(grade, _)| grade);
    match (grade, need.holds) {
        (Some(Severity::Info), _) if need.need == Need::Meant => mark("info", "excluded"),
        (Some(Severity::Info), _) => mark("info", "not assessed"),
        (_, None) => mark("unknown", "unknown"),
        (_, Some(true)) => mark("ok", "pass"),
        // Findings are sorted by severity, the worst first.
        (_, Some(false)) => {
            let worst = need
                .findings
                .first()
                .map_or(Severity::Err, |finding| finding.grade);
            mark(worst.as_str(), "fails")
        }
    }
}

/// Summarizes all checks in one line; `None` if one of them needs attention.
fn checks(explanation: &ExplanationView) -> Option<String> {
    let grade = |need: &NeedView| explanation.told_of(need).map(|(grade, _)| grade);
    let good = explanation
        .needs
        .iter()
        .filter(|need| grade(need) == Some(Severity::Ok))
        .count();
    let open = explanation
        .needs
        .iter()
        .filter(|need| need.need != Need::Meant && grade(need) == Some(Severity::Info));
    let open = open.count();
    let is_all = !explanation.needs.is_empty() && good + open == explanation.needs.len();
    let not_assessed = if open > 0 {
        format!("; {open} not assessed")
    } else {
        String::new()
    };
    is_all.then(|| format!("All {} pass{not_assessed}", many(good as u64, "check")))
}

fn fits_on(room: &RoomView) -> Option<String> {
    Some(format!("{} of {}", room.hosts?, many(room.of?, "host")))
}

/// Renders the freeze button. A host in no segment has none, because nothing on it is fenced or moved.
fn may_freeze(explanation: &ExplanationView) -> Fragment {
    match (&explanation.id, &explanation.segment) {
        (Some(id), _) => freeze(FreezeScope::Instance, id, &explanation.name),
        (None, Some(_)) => freeze(FreezeScope::Host, &explanation.name, &explanation.name),
        (None, None) => Fragment::nothing(),
    }
}

#[derive(Template)]
#[template(path = "history.html")]
struct History {
    recoveries: Vec<RecoveryView>,
    /// The limit of the next longer list, if there may be more recoveries.
    next: Option<u32>,
}

async fn history(client: &PageRequest<'_>, shown: &str) -> Result<String, Response> {
    let limit = shown.parse().unwrap_or(INITIAL_LIMIT).clamp(1, MAX_LIMIT);
    let path = format!("recoveries?all=true&downtime=true&limit={limit}");
    let recoveries: Vec<RecoveryView> = client.of(&path).await?;
    let is_all = u32::try_from(recoveries.len()).is_ok_and(|len| len < limit);
    let next = (!is_all && limit < MAX_LIMIT).then(|| (limit + LIMIT_STEP).min(MAX_LIMIT));
    rendered(&History { recoveries, next })
}

/// Renders links that download the report of a recovery.
fn reports(id: impl std::fmt::Display) -> Fragment {
    let link = |format: &str| {
        format!(
            "<a href=\"api/recoveries/{id}/report?format={format}\" download=\"recovery-{id}.{format}\">{format}</a>"
        )
    };
    Fragment(format!(
        "<span class=\"whole\">{} {}</span>",
        link("html"),
        link("md")
    ))
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct Recovery<'a> {
    story: &'a RecoveryHistoryView,
    events: Events<'a>,
    timeline: Option<Fragment>,
    may: bool,
}

/// Renders the command that shows the same recovery.
fn shown(story: &RecoveryHistoryView) -> Fragment {
    commands([&format!("tachi recovery show {}", story.summary.recovery)])
}

fn done(story: &RecoveryHistoryView) -> &'static str {
    if story.summary.kind.is_planned() {
        "moved"
    } else {
        "back"
    }
}

fn failed(story: &RecoveryHistoryView) -> Fragment {
    mark("err", &format!("{} failed", story.summary.moves.failed))
}

/// Returns the number of requests to Nova: each failure, and the one that is in progress or succeeded.
fn tries(instance: &InstanceView) -> String {
    let is_requested = matches!(
        instance.status,
        Some(VmoveStatus::Ongoing | VmoveStatus::Succeeded)
    ) && instance.asked_at.is_some();
    match instance.failures.unwrap_or_default() + u64::from(is_requested) {
        0 => String::new(),
        all => all.to_string(),
    }
}

const fn is_acknowledged(instance: &InstanceView) -> bool {
    instance.seen_to.is_some()
}

/// Renders the state of the recovery and its result.
fn result(story: &RecoveryHistoryView) -> Fragment {
    let ignored = ResolutionKind::Ignore.as_str();
    let is_dismissed = |instance: &InstanceView| {
        let last = story
            .instance_words
            .iter()
            .rev()
            .find(|resolution| resolution.instance == instance.id);
        instance.status != Some(VmoveStatus::Succeeded)
            && (is_acknowledged(instance) || last.is_some_and(|resolution| resolution.word == ignored))
    };
    state_with(&story.summary, story.instances.iter().any(is_dismissed))
}

fn name_of<'a>(story: &'a RecoveryHistoryView, id: &'a str) -> &'a str {
    story
        .instances
        .iter()
        .find(|instance| instance.id == id)
        .map_or(id, |one| &one.name)
}

#[derive(Template)]
#[template(path = "forecast.html")]
struct Forecast<'a> {
    view: &'a ForecastView,
}

fn fits(landing: &LandingView) -> Fragment {
    match (landing.fits, &landing.not_reckoned) {
        (None, wants) => mark("unknown", &format!("requires {}", or_nothing(wants))),
        (Some(0), _) => mark("err", &format!("none of {}", many(landing.of, "host"))),
        (Some(fits), _) => Fragment(format!("{fits} of {}", many(landing.of, "host"))),
    }
}

/// Renders the capacity forecast for each number of hosts lost at once.
fn losses(segment: &SegmentForecastView) -> Vec<(u64, Fragment)> {
    let is_held = |hosts: u64| {
        let by_guards = segment.held_from.is_some_and(|from| hosts >= from);
        by_guards || segment.room_headroom > segment.headroom && Some(hosts) > segment.headroom
    };
    let lost = |hosts: u64| match (segment.headroom, &segment.worst) {
        _ if hosts > segment.hosts.len() as u64 => Fragment::nothing(),
        (Some(_), _) if is_held(hosts) => mark("warn", "on hold"),
        (Some(tolerated), _) if hosts <= tolerated => room(&Room::Enough),
        (Some(_), Some(worst)) if hosts == 1 => room(&worst.room),
        (Some(_), _) if segment.exact => room(&Room::Tight),
        (None | Some(_), _) => room(&Room::Unknown),
    };
    LOST_HOST_COUNTS.map(|hosts| (hosts, lost(hosts))).into()
}

/// Returns the hosts without certain capacity for their instances, the worst first.
fn short(segment: &SegmentForecastView) -> Vec<&OutcomeView> {
    let severity = |room: Room| match room {
        Room::Short => 0,
        Room::Unknown => 1,
        Room::Tight => 2,
        Room::Enough => 3,
    };
    let mut short: Vec<_> = segment
        .hosts
        .iter()
        .filter(|host| host.room != Room::Enough)
        .collect();
    short.sort_by_key(|host| severity(host.room));
    short
}

fn with_room(segment: &SegmentForecastView) -> Fragment {
    let good = segment
        .hosts
        .iter()
        .filter(|host| host.room == Room::Enough)
        .count() as u64;
    if good == 0 {
        return mark("unknown", "the segment cannot lose any host");
    }
    let rest = if good == segment.hosts.len() as u64 {
        format!("each of {}", many(good, "host"))
    } else {
        many(good, "other host")
    };
    Fragment(format!("{} for the instances of {rest}", room(&Room::Enough)))
}

fn unread(view: &ForecastView) -> String {
    count(view.unread, "host has", "hosts have")
}

/// Renders the number of items that the page omits.
fn more(all: impl Borrow<usize>, command: &str) -> Fragment {
    match all.borrow().saturating_sub(MAX_LISTED) {
        0 => Fragment::nothing(),
        more => Fragment(format!(
            "<p class=\"soft\">and {more} more: {command} -f json</p>"
        )),
    }
}

#[derive(Template)]
#[template(path = "schedule.html")]
struct Schedule {
    jobs: Vec<JobView>,
}

fn took(one: &JobView) -> Fragment {
    let Some(seconds) = one.took_seconds else {
        return Fragment::nothing();
    };
    let shown = match std::time::Duration::try_from_secs_f64(seconds) {
        Ok(lasted) if seconds >= 1.0 => span((lasted + std::time::Duration::from_millis(500)).as_secs()),
        Ok(_) | Err(_) => "under 1 s".to_owned(),
    };
    Fragment(format!("<span class=\"whole\">{shown}</span>"))
}

#[cfg(test)]
mod tests;
