//! Minor routes that the command line requests.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};

use super::answer::Answer;
use super::body::server_id;
use super::context::Context;
use crate::model::scheduler::GroupPolicy;

pub(super) async fn instance_actions(
    context: Context,
    Path(id): Path<String>,
) -> Result<Json<Value>, Answer> {
    let id = server_id(&id)?;
    let clock = context.app.region.clock();
    context.app.region.read(|state| {
        let index = state.find_server(&context.caller, id)?;
        let entries = state.world.servers.get(index).map(|server| server.actions.as_slice()).unwrap_or_default();
        let rows: Value = entries
            .iter()
            .rev()
            .map(|entry| {
                json!({
                    "action": entry.action, "instance_uuid": id, "request_id": entry.request_id,
                    "user_id": entry.user_id, "project_id": entry.project_id, "start_time": clock.stamp(entry.at),
                    "updated_at": clock.stamp(entry.at), "message": null,
                })
            })
            .collect();
        Ok(Json(json!({"instanceActions": rows})))
    })
}

/// Returns `body` if the caller may see the server.
fn of_server(context: &Context, id: &str, body: Value) -> Result<Json<Value>, Answer> {
    let id = server_id(id)?;
    context
        .app
        .region
        .read(|state| state.find_server(&context.caller, id))?;
    Ok(Json(body))
}

pub(super) async fn interfaces(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    of_server(&context, &id, json!({"interfaceAttachments": []}))
}

pub(super) async fn volume_attachments(
    context: Context,
    Path(id): Path<String>,
) -> Result<Json<Value>, Answer> {
    of_server(&context, &id, json!({"volumeAttachments": []}))
}

pub(super) async fn security_groups(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    of_server(&context, &id, json!({"security_groups": []}))
}

pub(super) async fn limits(_context: Context) -> Json<Value> {
    Json(json!({"limits": {"rate": [], "absolute": {
        "maxTotalInstances": -1, "maxTotalCores": -1, "maxTotalRAMSize": -1, "maxServerMeta": 128,
        "totalInstancesUsed": 0, "totalCoresUsed": 0, "totalRAMUsed": 0,
    }}}))
}

pub(super) async fn extensions(_context: Context) -> Json<Value> {
    Json(json!({"extensions": []}))
}

pub(super) async fn keypairs(_context: Context) -> Json<Value> {
    Json(json!({"keypairs": []}))
}

/// Lists server groups of all projects. Before 2.64 a policy is a list without rules.
pub(super) async fn server_groups(context: Context) -> Json<Value> {
    let new = context.version.at_least(64);
    context.app.region.read(|state| {
        let rows: Value = state
            .server_groups
            .iter()
            .map(|group| {
                let members = group
                    .members
                    .iter()
                    .filter_map(|index| state.world.servers.get(*index));
                let members: Vec<_> = members.map(|server| server.id).collect();
                let (policy, rules) = match group.policy {
                    GroupPolicy::Affinity => ("affinity", json!({})),
                    GroupPolicy::AntiAffinity { per_host } => {
                        ("anti-affinity", json!({"max_server_per_host": per_host}))
                    }
                    GroupPolicy::Soft => ("soft-anti-affinity", json!({})),
                };
                let mut shown = json!({"id": group.id, "name": group.name, "members": members});
                if new {
                    (shown["policy"], shown["rules"]) = (json!(policy), rules);
                } else {
                    (shown["policies"], shown["metadata"]) = (json!([policy]), json!({}));
                }
                shown
            })
            .collect();
        Json(json!({"server_groups": rows}))
    })
}
