//! Version documents, which clients use for discovery.

use axum::extract::{Request, State};
use http::{Extensions, HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::extract::{Answer, AuthorisedRequest, Ids, RequestExtensions};
use crate::microversion::Microversion;
use crate::reply;
use crate::state::ApiState;

/// The only major version.
const ID: &str = "v1.0";

/// Lists the versions at `/`, without authentication.
pub(crate) async fn list(State(app): State<ApiState>, request: Request) -> Answer {
    let base = app.links.base(request.headers(), request.extensions());
    let version = json!({
        "id": ID,
        "status": "CURRENT",
        "version": Microversion::MAX.to_string(),
        "min_version": Microversion::MIN.to_string(),
        "updated": "2016-07-01T11:33:21Z",
        "links": [link_to_v1(&base)],
    });
    reply::ok("versions", &[version])
}

/// Answers any unknown path with 300 and the path below `/v1`, without authentication.
pub(crate) async fn choices(State(app): State<ApiState>, request: Request) -> Answer {
    let base = app.links.base(request.headers(), request.extensions());
    let path = request.uri().path();
    let choice = json!({
        "id": ID,
        "status": "CURRENT",
        "links": [{"rel": "self", "href": format!("{base}/v1{path}")}],
        "media-types": media_types(),
    });
    reply::with_status(StatusCode::MULTIPLE_CHOICES, "choices", &[choice])
}

/// Returns the version document at `/v1` and `/v1/` (D1).
pub(crate) async fn show(
    State(app): State<ApiState>,
    headers: HeaderMap,
    extensions: RequestExtensions,
    _: AuthorisedRequest,
) -> Answer {
    version(&app, &headers, &extensions.0)
}

/// Returns the version document at `/v1/versions/v1.0`.
pub(crate) async fn show_by_id(
    State(app): State<ApiState>,
    Ids(id): Ids<String>,
    headers: HeaderMap,
    extensions: RequestExtensions,
    _: AuthorisedRequest,
) -> Answer {
    if id != ID {
        return Err(ApiError::no_resource());
    }
    version(&app, &headers, &extensions.0)
}

fn version(app: &ApiState, headers: &HeaderMap, extensions: &Extensions) -> Answer {
    let base = app.links.base(headers, extensions);
    let version = json!({
        "id": ID,
        "status": "CURRENT",
        "version": Microversion::MAX.to_string(),
        "min_version": Microversion::MIN.to_string(),
        "updated": "2016-07-01T11:33:21Z",
        "links": [
            link_to_v1(&base),
            {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        ],
        "media-types": media_types(),
    });
    reply::ok("version", &version)
}

fn link_to_v1(base: &str) -> Value {
    json!({"rel": "self", "href": format!("{base}/v1/")})
}

fn media_types() -> Value {
    json!([{"base": "application/json", "type": "application/vnd.openstack.masakari+json;version=1"}])
}
