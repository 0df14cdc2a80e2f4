//! As much of Placement as discovery and a list of providers need.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde_json::{Value, json};

use crate::web::App;

pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/placement", get(versions))
        .route("/placement/resource_providers", get(providers))
}

async fn versions() -> Json<Value> {
    let links = json!([{"rel": "self", "href": ""}]);
    Json(json!({"versions": [
        {"id": "v1.0", "min_version": "1.0", "max_version": "1.39", "status": "CURRENT", "links": links},
    ]}))
}

async fn providers(State(app): State<App>) -> Json<Value> {
    app.region.read(|state| {
        let rows: Value = state
            .hosts
            .iter()
            .map(|(_, host)| json!({"uuid": host.hypervisor_id, "name": host.node, "generation": 1, "links": []}))
            .collect();
        Json(json!({"resource_providers": rows}))
    })
}
