//! Server metadata.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::{invalid, server_id, strings};
use super::context::Context;

type Metadata = BTreeMap<String, String>;

fn change(context: &Context, id: &str, act: impl FnOnce(&mut Metadata)) -> Result<Metadata, Answer> {
    let id = server_id(id)?;
    context.app.region.change(|state| {
        let index = state.find_server(&context.caller, id)?;
        let locked = state
            .world
            .servers
            .get(index)
            .is_some_and(|server| server.lock.is_some());
        if locked && !context.caller.admin {
            return Err(crate::model::Refusal::conflict(format!("Instance {id} is locked")).into());
        }
        state
            .world
            .servers
            .edit(index, state.world.now, |server| act(&mut server.metadata));
        Ok(state
            .world
            .servers
            .get(index)
            .map(|server| server.metadata.clone())
            .unwrap_or_default())
    })
}

fn read(context: &Context, id: &str) -> Result<Metadata, Answer> {
    let id = server_id(id)?;
    context.app.region.read(|state| {
        let index = state.find_server(&context.caller, id)?;
        Ok(state
            .world
            .servers
            .get(index)
            .map(|server| server.metadata.clone())
            .unwrap_or_default())
    })
}

fn given(body: &Value) -> Result<Metadata, Answer> {
    strings(
        body.get("metadata")
            .ok_or_else(|| invalid("metadata", "is a required property"))?,
    )
}

pub(super) async fn list(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    Ok(Json(json!({"metadata": read(&context, &id)?})))
}

/// `POST`: adds and overwrites.
pub(super) async fn merge(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let new = given(&body)?;
    let all = change(&context, &id, |metadata| metadata.extend(new))?;
    Ok(Json(json!({"metadata": all})))
}

/// `PUT`: replaces everything.
pub(super) async fn replace(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let new = given(&body)?;
    let all = change(&context, &id, |metadata| *metadata = new)?;
    Ok(Json(json!({"metadata": all})))
}

pub(super) async fn show(
    context: Context,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>, Answer> {
    let value = read(&context, &id)?
        .remove(&key)
        .ok_or_else(|| Answer::not_found("Metadata item was not found"))?;
    Ok(Json(json!({"meta": {key: value}})))
}

pub(super) async fn set(
    context: Context,
    Path((id, key)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let mut new = strings(
        body.get("meta")
            .ok_or_else(|| invalid("meta", "is a required property"))?,
    )?;
    let value = new
        .remove(&key)
        .ok_or_else(|| invalid("meta", "Request body and URI mismatch"))?;
    change(&context, &id, |metadata| {
        metadata.insert(key.clone(), value.clone());
    })?;
    Ok(Json(json!({"meta": {key: value}})))
}

pub(super) async fn delete(
    context: Context,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Answer> {
    if !read(&context, &id)?.contains_key(&key) {
        return Err(Answer::not_found("Metadata item was not found"));
    }
    change(&context, &id, |metadata| {
        metadata.remove(&key);
    })?;
    Ok(StatusCode::NO_CONTENT)
}
