//! The part of Glance that clients need to look up an image by its name.

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

use crate::model::catalog::Image;
use crate::region_time::RegionTime;
use crate::web::SandboxState;

pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/image", get(versions))
        .route("/image/v2/images", get(list))
        .route("/image/v2/images/{id}", get(show))
}

async fn versions(State(app): State<SandboxState>) -> Response {
    let links = json!([{"rel": "self", "href": format!("{}/image/v2/", app.base)}]);
    let body = json!({"versions": [{"id": "v2.16", "status": "CURRENT", "links": links}]});
    (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response()
}

fn view(app: &SandboxState, image: &Image) -> Value {
    let created = app.region.clock().iso(RegionTime::START);
    json!({
        "id": image.id, "name": image.name, "status": "active", "visibility": "public", "protected": false,
        "container_format": "bare", "disk_format": "qcow2", "min_disk": 0, "min_ram": 0, "size": 1_048_576,
        "checksum": null, "os_hidden": false, "tags": [], "owner": null, "created_at": created,
        "updated_at": created, "self": format!("/v2/images/{}", image.id), "file": format!("/v2/images/{}/file", image.id),
        "schema": "/v2/schemas/image",
    })
}

async fn list(State(app): State<SandboxState>, Query(pairs): Query<Vec<(String, String)>>) -> Json<Value> {
    let accepts = |image: &Image| {
        pairs.iter().all(|(key, value)| match key.as_str() {
            "name" => image.name == *value,
            // `id=in:one,two`
            "id" => value
                .trim_start_matches("in:")
                .split(',')
                .any(|id| id == image.id.to_string()),
            _ => true,
        })
    };
    let rows: Value = app.region.read(|state| {
        state
            .images
            .iter()
            .filter(|image| accepts(image))
            .map(|image| view(&app, image))
            .collect()
    });
    Json(json!({"images": rows, "first": "/v2/images", "schema": "/v2/schemas/images"}))
}

async fn show(State(app): State<SandboxState>, Path(id): Path<String>) -> Response {
    let found = app.region.read(|state| {
        state
            .images
            .iter()
            .find(|image| image.id.to_string() == id)
            .map(|image| view(&app, image))
    });
    match found {
        Some(image) => Json(image).into_response(),
        None => (StatusCode::NOT_FOUND, format!("No image found with ID {id}")).into_response(),
    }
}
