//! The part of Neutron that clients request for a server without networks: empty lists.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::web::SandboxState;

const COLLECTIONS: [&str; 7] = [
    "networks",
    "ports",
    "subnets",
    "security-groups",
    "floatingips",
    "extensions",
    "routers",
];

pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/network", get(versions))
        .route("/network/v2.0/{collection}", get(list))
}

async fn versions(State(app): State<SandboxState>) -> Json<Value> {
    let links = json!([{"rel": "self", "href": format!("{}/network/v2.0/", app.base)}]);
    Json(json!({"versions": [{"id": "v2.0", "status": "CURRENT", "links": links}]}))
}

async fn list(Path(collection): Path<String>) -> Response {
    if !COLLECTIONS.contains(&collection.as_str()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mut body = Map::new();
    body.insert(collection.replace('-', "_"), json!([]));
    Json(Value::Object(body)).into_response()
}
