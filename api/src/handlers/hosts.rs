//! Handlers of `/segments/{segment}/hosts`.

use axum::extract::State;
use http::StatusCode;
use tachi_domain::entity::Host;
use tachi_domain::entity::host::{HostAttributes, HostFilter, NewHost};
use tachi_domain::event::{Change, EventSnapshot, ShownHost, Subject};
use tachi_domain::{HostId, SegmentId};
use uuid::Uuid;

use super::{identifiers, segments};
use crate::error::{ApiError, ErrorScope, Verb, no_host_in};
use crate::extract::{Answer, AuthorisedRequest, Ids};
use crate::query::Params;
use crate::reply;
use crate::request_events::RequestEvents;
use crate::state::ApiState;
use crate::types::host::HostView;

type SegmentAndHost = (String, String);

/// Lists the hosts of a segment (H1).
pub(crate) async fn list(
    State(app): State<ApiState>,
    Ids(segment): Ids<String>,
    params: Params,
    _: AuthorisedRequest,
) -> Answer {
    let paging = params.paging(Host::SORT_KEYS, "uuid", app.max_limit)?;
    let id = segments::resolve(&app, &segment).await?;
    let filter = HostFilter {
        attributes: HostAttributes {
            kind: params.text("type"),
            name: params.text("name"),
            control_attributes: params.text("control_attributes"),
            on_maintenance: params.boolean("on_maintenance")?,
            reserved: params.boolean("reserved")?,
        },
        row: None,
    };
    let hosts = app.registry.list_hosts(id, &paging.of(filter)).await;
    let hosts = hosts.map_err(|error| ErrorScope::Segment(&segment).refused(error))?;
    let views: Vec<_> = hosts.iter().map(HostView::from).collect();
    reply::ok("hosts", &views)
}

/// Adds a host to a segment (H2).
pub(crate) async fn create(
    State(app): State<ApiState>,
    Ids(segment): Ids<String>,
    request: AuthorisedRequest<NewHost>,
) -> Answer {
    let owner = segments::find(&app, &segment).await?;
    let new = request.body;
    must_be_a_compute_host(&app, &new.name).await?;
    let created = app.registry.create_host(owner.id, &new).await;
    if let Some(events) = &request.events {
        let subject = |known| Subject::Host(Change::Create, known);
        let done = |now: &Host| subject(EventSnapshot::Entity(now.clone()));
        events.emit_outcome(&app, &created, done, || subject(EventSnapshot::New((new, owner))));
    }
    let created = created.map_err(|error| ErrorScope::Segment(&segment).refused(error))?;
    reply::with_status(StatusCode::CREATED, "host", &HostView::from(&created))
}

/// Returns a host (H3).
pub(crate) async fn show(
    State(app): State<ApiState>,
    Ids((segment, host)): Ids<SegmentAndHost>,
    _: AuthorisedRequest,
) -> Answer {
    if identifiers::row(&host).is_none() && Uuid::parse_str(&host).is_err() {
        return Err(ApiError::not_found(format!("No host with id {host}.")));
    }
    let (segment_id, id) = ids(&app, &segment, &host).await?;
    let found = app.registry.get_host(segment_id, id).await;
    let found = found.map_err(|error| ErrorScope::Segment(&segment).refused(error))?;
    let found = found.ok_or_else(|| no_host_in(&host, &segment))?;
    reply::ok("host", &HostView::from(&found))
}

/// Updates a host (H4).
pub(crate) async fn update(
    State(app): State<ApiState>,
    Ids((segment, host)): Ids<SegmentAndHost>,
    request: AuthorisedRequest<HostAttributes>,
) -> Answer {
    let (segment_id, id) = ids(&app, &segment, &host).await?;
    let change = effective_change(&app, segment_id, id, request.body).await?;
    let about = ErrorScope::ChangedHost {
        segment: &segment,
        host: &host,
        verb: Verb::Update,
    };
    if let Some(name) = &change.name {
        // A change that Tachi itself refuses needs no check in Nova, and neither does an unchanged name. A host can thus be
        // put into maintenance while Nova is unavailable.
        let before = app.registry.changeable_host(segment_id, id, &change).await;
        let before = before.map_err(|error| about.refused(error))?;
        if before.name != *name {
            must_be_a_compute_host(&app, name).await?;
        }
    }
    let before = before(&app, segment_id, id, request.events.as_ref()).await;
    let updated = app.registry.update_host(segment_id, id, &change).await;
    if let (Some(events), Some(before)) = (&request.events, before) {
        let subject = |known| Subject::Host(Change::Update, known);
        let done = |now: &Host| subject(EventSnapshot::Entity(now.clone()));
        events.emit_outcome(&app, &updated, done, || subject(before.with(&change)));
    }
    let updated = updated.map_err(|error| about.refused(error))?;
    reply::ok("host", &HostView::from(&updated))
}

/// Reduces a change to maintenance if all its other fields repeat the current values, as dashboards send them. A change that
/// only sets maintenance is accepted at any time.
async fn effective_change(
    app: &ApiState,
    segment: SegmentId,
    id: HostId,
    change: HostAttributes,
) -> Result<HostAttributes, ApiError> {
    if change.on_maintenance != Some(true) || change.only_sets_maintenance() {
        return Ok(change);
    }
    let found = app.registry.get_host(segment, id).await;
    let found = found.map_err(|error| ErrorScope::Nothing.refused(error))?;
    let beyond = found.map(|host| change.beyond(&host));
    Ok(beyond
        .filter(HostAttributes::only_sets_maintenance)
        .unwrap_or(change))
}

/// Deletes a host (H5).
pub(crate) async fn delete(
    State(app): State<ApiState>,
    Ids((segment, host)): Ids<SegmentAndHost>,
    request: AuthorisedRequest,
) -> Answer {
    let (segment_id, id) = ids(&app, &segment, &host).await?;
    let about = ErrorScope::ChangedHost {
        segment: &segment,
        host: &host,
        verb: Verb::Delete,
    };
    let before = before(&app, segment_id, id, request.events.as_ref()).await;
    let deleted = app.registry.delete_host(segment_id, id).await;
    if let (Some(events), Some(before)) = (&request.events, before) {
        let subject = || Subject::Host(Change::Delete, before.clone());
        events.emit_outcome(&app, &deleted, |()| subject(), subject);
    }
    deleted.map_err(|error| about.refused(error))?;
    Ok(reply::nothing())
}

/// Returns the host before a change, if an event will report it. If the host cannot be read, the event gets its id only: the
/// change itself will report the error.
async fn before(
    app: &ApiState,
    segment: SegmentId,
    id: HostId,
    events: Option<&RequestEvents>,
) -> Option<ShownHost> {
    events?;
    let found = app.registry.get_host(segment, id).await.ok().flatten();
    Some(found.map_or(EventSnapshot::Id(id), EventSnapshot::Entity))
}

async fn ids(app: &ApiState, segment: &str, host: &str) -> Result<(SegmentId, HostId), ApiError> {
    let missing = || no_host_in(host, segment);
    let segment = identifiers::segment(app, segment).await?.ok_or_else(missing)?;
    let host = identifiers::host(app, segment, host).await?.ok_or_else(missing)?;
    Ok((segment, host))
}

async fn must_be_a_compute_host(app: &ApiState, name: &str) -> Result<(), ApiError> {
    if app.compute_hosts.exists(name).await? {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "Compute service with name {name} could not be found."
    )))
}
