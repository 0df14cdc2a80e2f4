//! Machines: list, query, switch.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

use super::{MaasError, Outlets, SignedRequest, op, unknown_op};
use crate::model::HostIx;
use crate::model::host::Host;
use crate::model::maas::{PowerCommand, QueryAnswer};
use crate::web::SandboxState;
use crate::web::middleware::{broken, silence};

type Pairs = Query<Vec<(String, String)>>;

fn view(host: &Host) -> Value {
    let machine = &host.machine;
    let bytes = machine.system_id.bytes();
    let number = bytes.fold(0_u64, |sum, byte| {
        sum.wrapping_mul(41).wrapping_add(u64::from(byte))
    });
    let board = if machine.exchanged { "6578" } else { "6f78" };
    json!({
        "system_id": machine.system_id,
        "hostname": &*host.name,
        "fqdn": host.node,
        "power_type": machine.power_type,
        "power_state": machine.cached_power,
        "status": 6,
        "status_name": "Deployed",
        "hardware_uuid": format!("736e6462-{board}-4000-8000-{:012x}", number & 0xffff_ffff_ffff),
        "locked": false,
        "owner": "sandbox",
        "zone": {"id": 1, "name": "default"},
        "pool": {"id": 0, "name": host.rack},
        "resource_uri": format!("/MAAS/api/2.0/machines/{}/", machine.system_id),
    })
}

fn power_parameters(host: &Host) -> Value {
    json!({"power_address": host.ip, "power_user": "maas", "power_pass": "", "power_driver": "LAN_2_0"})
}

/// `GET machines/`, by short host name.
pub(super) async fn list(
    _signed: SignedRequest,
    State(app): State<SandboxState>,
    Query(pairs): Pairs,
) -> Result<Response, MaasError> {
    let values_of = |name: &str| -> Vec<&str> {
        pairs
            .iter()
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .collect()
    };
    let (names, ids) = (values_of("hostname"), values_of("id"));
    let accepts = |host: &Host| {
        (names.is_empty() || names.contains(&&*host.name))
            && (ids.is_empty() || ids.contains(&host.machine.system_id.as_str()))
    };
    app.region.read(|state| {
        let rows = state
            .world
            .hosts
            .iter()
            .map(|(_, host)| host)
            .filter(|host| accepts(host));
        match op(&pairs) {
            None => Ok(Json(rows.map(view).collect::<Value>()).into_response()),
            Some("power_parameters") => {
                let rows = rows.map(|host| (host.machine.system_id.clone(), power_parameters(host)));
                Ok(Json(Value::Object(rows.collect::<Map<String, Value>>())).into_response())
            }
            other => Err(unknown_op("GET", other)),
        }
    })
}

fn find(app: &SandboxState, system_id: &str) -> Result<HostIx, MaasError> {
    app.region
        .read(|state| state.world.hosts.by_machine(system_id))
        .ok_or_else(|| {
            (
                StatusCode::NOT_FOUND,
                "No Machine matches the given query.".to_owned(),
            )
        })
}

/// `GET machines/{id}/`.
pub(super) async fn read(
    _signed: SignedRequest,
    outlets: Option<Extension<Outlets>>,
    State(app): State<SandboxState>,
    Path(system_id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Response, MaasError> {
    let ix = find(&app, &system_id)?;
    match op(&pairs) {
        None => Ok(Json(app.region.read(|state| view(&state.world.hosts[ix]))).into_response()),
        Some("power_parameters") => {
            Ok(Json(app.region.read(|state| power_parameters(&state.world.hosts[ix]))).into_response())
        }
        Some("query_power_state") if outlets.is_some() => {
            let state_text = app.region.read(|state| state.world.hosts[ix].outlet_state());
            Ok(Json(json!({"state": state_text})).into_response())
        }
        Some("query_power_state") => {
            let delay = app
                .region
                .read(|state| state.world.hosts[ix].machine.query_delay_millis);
            tokio::time::sleep(Duration::from_millis(delay)).await;
            match app.region.change(|state| state.world.hosts[ix].query_power()) {
                QueryAnswer::State(state_text) => Ok(Json(json!({"state": state_text})).into_response()),
                QueryAnswer::Status(status) => Ok(failure(status)),
                QueryAnswer::Silence => Ok(silence(&app).await),
            }
        }
        other => Err(unknown_op("GET", other)),
    }
}

/// `POST machines/{id}/`.
pub(super) async fn command(
    _signed: SignedRequest,
    outlets: Option<Extension<Outlets>>,
    State(app): State<SandboxState>,
    Path(system_id): Path<String>,
    Query(pairs): Pairs,
) -> Result<Response, MaasError> {
    let ix = find(&app, &system_id)?;
    let on = match op(&pairs) {
        Some("power_off") => false,
        Some("power_on") => true,
        Some("abort") => {
            return Ok(Json(app.region.read(|state| view(&state.world.hosts[ix]))).into_response());
        }
        other => return Err(unknown_op("POST", other)),
    };
    let outcome = app.region.change(|state| match outlets {
        Some(_) => state.world.command_outlet(ix, on),
        None => state.world.command_power(ix, on),
    });
    match outcome {
        PowerCommand::Works | PowerCommand::Ignored => {
            Ok(Json(app.region.read(|state| view(&state.world.hosts[ix]))).into_response())
        }
        PowerCommand::Null => Ok(Json(Value::Null).into_response()),
        PowerCommand::Fails { status } => Ok(failure(status)),
        PowerCommand::ObeysThenBreaks => Ok(broken()),
    }
}

fn failure(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, "Unable to reach the power controller of this machine.").into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, http::HeaderValue::from_static("10"));
    }
    response
}
