//! Handlers of `/segments`.

use axum::extract::State;
use http::StatusCode;
use tachi_domain::SegmentId;
use tachi_domain::entity::Segment;
use tachi_domain::entity::segment::{NewSegment, SegmentChange, SegmentFilter};
use tachi_domain::event::{Change, EventSnapshot, ShownSegment, Subject};

use super::identifiers;
use crate::error::{ApiError, ErrorScope, Verb, no_segment};
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::query::Params;
use crate::reply;
use crate::request_events::RequestEvents;
use crate::state::ApiState;
use crate::types::segment::SegmentView;

/// Lists the segments (S1).
pub(crate) async fn list(State(app): State<ApiState>, params: Params, _: AuthorisedRequest) -> Answer {
    let paging = params.paging(Segment::SORT_KEYS, "uuid", app.max_limit)?;
    let filter = SegmentFilter {
        recovery_method: params.text("recovery_method"),
        service_type: params.text("service_type"),
        enabled: params.boolean("enabled")?,
        row: None,
    };
    let segments = app.registry.list_segments(&paging.of(filter)).await;
    let segments = segments.map_err(|error| ErrorScope::Nothing.refused(error))?;
    let views: Vec<_> = segments.iter().map(SegmentView::from).collect();
    reply::ok("segments", &views)
}

/// Creates a segment (S2).
pub(crate) async fn create(State(app): State<ApiState>, request: AuthorisedRequest<NewSegment>) -> Answer {
    let created = app.registry.create_segment(&request.body).await;
    if let Some(events) = &request.events {
        let subject = |known| Subject::Segment(Change::Create, known);
        let done = |now: &Segment| subject(EventSnapshot::Entity(now.clone()));
        events.emit_outcome(&app, &created, done, || {
            subject(EventSnapshot::New(request.body.clone()))
        });
    }
    let created = created.map_err(|error| ErrorScope::Nothing.refused(error))?;
    reply::with_status(StatusCode::CREATED, "segment", &SegmentView::from(&created))
}

/// Returns a segment (S3).
pub(crate) async fn show(State(app): State<ApiState>, Ids(id): Ids<String>, _: AuthorisedRequest) -> Answer {
    reply::ok("segment", &SegmentView::from(&find(&app, &id).await?))
}

/// Updates a segment (S4).
pub(crate) async fn update(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    request: AuthorisedRequest<SegmentChange>,
) -> Answer {
    let segment = resolve(&app, &id).await?;
    let change = effective_change(&app, segment, request.body).await?;
    let before = before(&app, segment, request.events.as_ref()).await;
    let updated = app.registry.update_segment(segment, &change).await;
    if let (Some(events), Some(before)) = (&request.events, before) {
        let subject = |known| Subject::Segment(Change::Update, known);
        let done = |now: &Segment| subject(EventSnapshot::Entity(now.clone()));
        events.emit_outcome(&app, &updated, done, || subject(before.with(&change)));
    }
    let updated = updated.map_err(|error| ErrorScope::ChangedSegment(&id, Verb::Update).refused(error))?;
    reply::ok("segment", &SegmentView::from(&updated))
}

/// Reduces a change to `enabled` if all its other fields repeat the current values, as dashboards send them. A change that only
/// sets `enabled` is accepted at any time.
async fn effective_change(
    app: &ApiState,
    id: SegmentId,
    change: SegmentChange,
) -> Result<SegmentChange, ApiError> {
    if change.enabled.is_none() || change.only_enables() {
        return Ok(change);
    }
    let found = app.registry.get_segment(id).await;
    let found = found.map_err(|error| ErrorScope::Nothing.refused(error))?;
    let beyond = found.map(|segment| change.beyond(&segment));
    Ok(beyond.filter(SegmentChange::only_enables).unwrap_or(change))
}

/// Deletes a segment (S5).
pub(crate) async fn delete(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    request: AuthorisedRequest,
) -> Answer {
    let segment = resolve(&app, &id).await?;
    let before = before(&app, segment, request.events.as_ref()).await;
    let deleted = app.registry.delete_segment(segment).await;
    if let (Some(events), Some(before)) = (&request.events, before) {
        let subject = || Subject::Segment(Change::Delete, before.clone());
        events.emit_outcome(&app, &deleted, |()| subject(), subject);
    }
    deleted.map_err(|error| ErrorScope::ChangedSegment(&id, Verb::Delete).refused(error))?;
    Ok(reply::nothing())
}

/// Returns the segment before a change, if an event will report it. If the segment cannot be read, the event gets its id only:
/// the change itself will report the error.
async fn before(app: &ApiState, id: SegmentId, events: Option<&RequestEvents>) -> Option<ShownSegment> {
    events?;
    let found = app.registry.get_segment(id).await.ok().flatten();
    Some(found.map_or(EventSnapshot::Id(id), EventSnapshot::Entity))
}

/// Returns the segment that a path identifies.
pub(super) async fn find(app: &ApiState, id: &str) -> Result<Segment, ApiError> {
    let segment = resolve(app, id).await?;
    let found = app.registry.get_segment(segment).await;
    let found = found.map_err(|error| ErrorScope::Segment(id).refused(error))?;
    found.ok_or_else(|| no_segment(id))
}

/// Returns the id of the segment that a path identifies.
pub(super) async fn resolve(app: &ApiState, id: &str) -> Result<SegmentId, ApiError> {
    identifiers::segment(app, id).await?.ok_or_else(|| no_segment(id))
}
