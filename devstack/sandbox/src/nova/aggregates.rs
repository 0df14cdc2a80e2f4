//! `os-aggregates`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::{invalid, object, text};
use super::context::Context;
use crate::model::State;
use crate::model::aggregate::{Aggregate, no_such_aggregate};

fn view(context: &Context, state: &State, row: &Aggregate) -> Value {
    let clock = context.app.region.clock();
    let hosts: Value = row
        .hosts
        .iter()
        .map(|ix| json!(&*state.world.hosts[*ix].name))
        .collect();
    let mut shown = json!({
        "id": row.id,
        "name": row.name,
        "availability_zone": row.zone(),
        "hosts": hosts,
        "metadata": row.metadata,
        "created_at": clock.stamp(row.created),
        "updated_at": row.updated.map(|at| clock.stamp(at)),
        "deleted": false,
        "deleted_at": null,
    });
    if context.version.at_least(41) {
        shown["uuid"] = json!(row.uuid);
    }
    shown
}

fn one(context: &Context, state: &State, id: u64) -> Result<Json<Value>, Answer> {
    let row = state.aggregates.get(id).ok_or_else(|| no_such_aggregate(id))?;
    Ok(Json(json!({"aggregate": view(context, state, row)})))
}

fn number(id: &str) -> Result<u64, Answer> {
    id.parse()
        .map_err(|_| Answer::bad_request(format!("Invalid input received: '{id}' is not an integer")))
}

pub(super) async fn list(context: Context) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-aggregates:index")?;
    context.app.region.read(|state| {
        let rows: Value = state
            .aggregates
            .iter()
            .map(|row| view(&context, state, row))
            .collect();
        Ok(Json(json!({"aggregates": rows})))
    })
}

pub(super) async fn show(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-aggregates:show")?;
    let id = number(&id)?;
    context.app.region.read(|state| one(&context, state, id))
}

pub(super) async fn create(context: Context, Json(body): Json<Value>) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-aggregates:create")?;
    let requested = object(&body, "aggregate")?;
    let name = text(requested, "name")?.ok_or_else(|| invalid("name", "is a required property"))?;
    let zone = requested.get("availability_zone").and_then(Value::as_str);
    context.app.region.change(|state| {
        let id = state.create_aggregate(name, zone)?;
        one(&context, state, id)
    })
}

pub(super) async fn delete(context: Context, Path(id): Path<String>) -> Result<StatusCode, Answer> {
    context.admin("os_compute_api:os-aggregates:delete")?;
    let id = number(&id)?;
    context.app.region.change(|state| state.delete_aggregate(id))?;
    Ok(StatusCode::OK)
}

/// `POST /os-aggregates/{id}/action`.
pub(super) async fn act(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-aggregates:action")?;
    let id = number(&id)?;
    context.app.region.change(|state| {
        if body.get("add_host").is_some() {
            state.add_aggregate_host(id, host(&body, "add_host")?)?;
        } else if body.get("remove_host").is_some() {
            state.remove_aggregate_host(id, host(&body, "remove_host")?)?;
        } else {
            let metadata = object(&body, "set_metadata")?
                .get("metadata")
                .and_then(Value::as_object);
            let metadata = metadata.ok_or_else(|| invalid("metadata", "is a required property"))?;
            let changes: BTreeMap<String, Option<String>> = metadata
                .iter()
                .map(|(key, value)| (key.clone(), value.as_str().map(str::to_owned)))
                .collect();
            state.set_aggregate_metadata(id, changes)?;
        }
        one(&context, state, id)
    })
}

fn host<'a>(body: &'a Value, action: &str) -> Result<&'a str, Answer> {
    text(object(body, action)?, "host")?.ok_or_else(|| invalid("host", "is a required property"))
}
