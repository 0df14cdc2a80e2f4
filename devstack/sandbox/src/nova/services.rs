//! `os-services`.

use axum::Json;
use axum::extract::{Path, Query};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::body::{boolean, invalid, only, text};
use super::context::Context;
use super::page::Page;
use crate::model::service::{ServiceChange, ServiceStatus};
use crate::model::{HostIx, State};
use crate::region_time::RegionTime;

#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a column of Nova's, or a fault of its own"
)]
struct Row<'a> {
    id: Uuid,
    number: u32,
    binary: &'a str,
    host: &'a str,
    zone: &'a str,
    up: bool,
    updated: RegionTime,
    disabled: bool,
    reason: Option<&'a str>,
    forced_down: bool,
    cell_down: bool,
}

fn compute(state: &State, ix: HostIx) -> Row<'_> {
    let host = &state.world.hosts[ix];
    Row {
        id: host.service_id,
        number: host.number,
        binary: "nova-compute",
        host: &host.name,
        zone: state.aggregates.zone_of(ix),
        up: state.service_up(ix),
        updated: state.service_updated(ix),
        disabled: host.disabled,
        reason: host.disabled_reason.as_deref(),
        forced_down: host.forced_down,
        cell_down: host.cell_down,
    }
}

fn controllers(state: &State) -> impl Iterator<Item = Row<'_>> {
    state.controllers.iter().map(|row| {
        let last = row
            .heartbeat
            .last(state.world.now, state.world.settings.report_interval);
        Row {
            id: row.id,
            number: row.number,
            binary: row.binary,
            host: &row.name,
            zone: "internal",
            up: state.is_heartbeat_fresh(last),
            updated: last,
            disabled: false,
            reason: None,
            forced_down: false,
            cell_down: false,
        }
    })
}

fn view(context: &Context, row: &Row<'_>) -> Value {
    if row.cell_down {
        return json!({"binary": row.binary, "host": row.host, "status": "UNKNOWN"});
    }
    let id = if context.version.at_least(53) {
        json!(row.id)
    } else {
        json!(row.number)
    };
    let mut shown = json!({
        "id": id,
        "binary": row.binary,
        "host": row.host,
        "zone": row.zone,
        "status": if row.disabled { "disabled" } else { "enabled" },
        "state": if row.up { "up" } else { "down" },
        "updated_at": context.app.region.clock().stamp(row.updated),
        "disabled_reason": row.reason,
    });
    if context.version.at_least(11) {
        shown["forced_down"] = json!(row.forced_down);
    }
    shown
}

/// `GET /os-services`.
pub(super) async fn list(
    context: Context,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Json<Value>, Answer> {
    context.admin("os_compute_api:os-services:list")?;
    let page = Page::new(pairs);
    if context.version.at_least(75)
        && let Some(name) = page.names().find(|name| !["host", "binary"].contains(name))
    {
        return Err(Answer::bad_request(format!(
            "Additional properties are not allowed ('{name}' was unexpected)"
        )));
    }
    let (host, binary) = (
        page.get("host").unwrap_or_default(),
        page.get("binary").unwrap_or_default(),
    );
    context.app.region.read(|state| {
        let mut rows: Vec<Row<'_>> = controllers(state)
            .filter(|row| host.is_empty() || row.host == host)
            .collect();
        if host.is_empty() {
            rows.extend(state.world.hosts.indexes().map(|ix| compute(state, ix)));
        } else {
            rows.extend(state.world.hosts.find(host).map(|ix| compute(state, ix)));
        }
        let shown: Value = rows
            .iter()
            .filter(|row| binary.is_empty() || row.binary == binary)
            // Before 2.69 services in an unreachable cell are omitted.
            .filter(|row| !row.cell_down || context.version.at_least(69))
            .map(|row| view(&context, row))
            .collect();
        Ok(Json(json!({"services": shown})))
    })
}

/// `PUT /os-services/{id}`, or the older `PUT /os-services/{action}`.
pub(super) async fn update(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let body = body
        .as_object()
        .ok_or_else(|| invalid("body", "is not of type 'object'"))?;
    if context.version.at_least(53) {
        by_id(&context, &id, body)
    } else {
        by_action(&context, &id, body)
    }
}

fn reason(body: &Map<String, Value>) -> Result<Option<String>, Answer> {
    let reason = text(body, "disabled_reason")?;
    if reason.is_some_and(|reason| reason.is_empty() || reason.chars().count() > 255) {
        return Err(invalid("disabled_reason", "is too short or too long"));
    }
    Ok(reason.map(str::to_owned))
}

fn by_id(context: &Context, id: &str, body: &Map<String, Value>) -> Result<Json<Value>, Answer> {
    only(body, &["status", "disabled_reason", "forced_down"])?;
    let status = match text(body, "status")? {
        None => None,
        Some("enabled") => Some(ServiceStatus::Enabled),
        Some("disabled") => Some(ServiceStatus::Disabled),
        Some(_) => return Err(invalid("status", "is not one of ['enabled', 'disabled']")),
    };
    let change = ServiceChange {
        status,
        disabled_reason: reason(body)?,
        forced_down: boolean(body, "forced_down")?,
    };
    let id: Uuid = id
        .parse()
        .map_err(|_| Answer::bad_request(format!("Invalid uuid {id}")))?;
    context.admin("os_compute_api:os-services:update")?;
    context.app.region.change(|state| {
        if let Some(row) = state.controllers.iter().find(|row| row.id == id) {
            return Err(not_compute(row.binary));
        }
        let ix = state
            .world
            .hosts
            .by_service(id)
            .ok_or_else(|| Answer::not_found(format!("Service {id} could not be found.")))?;
        state.update_service(ix, &change)?;
        Ok(Json(json!({"service": view(context, &compute(state, ix))})))
    })
}

fn not_compute(binary: &str) -> Answer {
    Answer::bad_request(format!(
        "Updating a {binary} service is not supported. Only nova-compute services can be updated."
    ))
}

fn by_action(context: &Context, action: &str, body: &Map<String, Value>) -> Result<Json<Value>, Answer> {
    only(body, &["host", "binary", "disabled_reason", "forced_down"])?;
    context.admin("os_compute_api:os-services:update")?;
    let host = text(body, "host")?.ok_or_else(|| invalid("host", "is a required property"))?;
    let binary = text(body, "binary")?.ok_or_else(|| invalid("binary", "is a required property"))?;
    if binary != "nova-compute" {
        return Err(not_compute(binary));
    }
    let disabled = |disabled_reason| ServiceChange {
        status: Some(ServiceStatus::Disabled),
        disabled_reason,
        forced_down: None,
    };
    let change = match action {
        "enable" => ServiceChange {
            status: Some(ServiceStatus::Enabled),
            ..ServiceChange::default()
        },
        "disable" => disabled(None),
        "disable-log-reason" => {
            let reason = reason(body)?.ok_or_else(|| Answer::bad_request("Missing disabled reason field"))?;
            disabled(Some(reason))
        }
        "force-down" if context.version.at_least(11) => {
            let down = boolean(body, "forced_down")?
                .ok_or_else(|| Answer::bad_request("Missing forced_down field"))?;
            ServiceChange {
                forced_down: Some(down),
                ..ServiceChange::default()
            }
        }
        _ => return Err(Answer::not_found("Unknown action")),
    };
    context.app.region.change(|state| {
        let ix = state
            .world
            .hosts
            .find(host)
            .ok_or_else(|| Answer::not_found(format!("Compute host {host} could not be found.")))?;
        state.update_service(ix, &change)?;
        let row = &state.world.hosts[ix];
        let mut shown = json!({"host": host, "binary": binary});
        if action == "force-down" {
            shown["forced_down"] = json!(row.forced_down);
        } else {
            shown["status"] = json!(if row.disabled { "disabled" } else { "enabled" });
        }
        if let Some(reason) = &row.disabled_reason {
            shown["disabled_reason"] = json!(reason);
        }
        Ok(Json(json!({"service": shown})))
    })
}
