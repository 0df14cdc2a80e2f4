//! One server: create, show, rename, delete.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::body::{invalid, object, server_id, strings, text};
use super::context::Context;
use super::server_view::ViewContext;
use crate::model::State;
use crate::model::boot::NewServer;

/// `GET /servers/{id}`.
pub(super) async fn show(context: Context, Path(id): Path<String>) -> Result<Json<Value>, Answer> {
    let id = server_id(&id)?;
    let view = ViewContext::new(&context, true);
    context.app.region.read(|state| {
        let index = state.find_server(&context.caller, id)?;
        let shown = state
            .world
            .servers
            .get(index)
            .map(|server| view.detailed(state, server));
        Ok(Json(json!({"server": shown})))
    })
}

/// `DELETE /servers/{id}`.
pub(super) async fn delete(context: Context, Path(id): Path<String>) -> Result<StatusCode, Answer> {
    let id = server_id(&id)?;
    context
        .app
        .region
        .change(|state| state.delete_server(&context.caller, id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /servers/{id}`: changes the name.
pub(super) async fn update(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Json<Value>, Answer> {
    let id = server_id(&id)?;
    let name = text(object(&body, "server")?, "name")?.map(str::to_owned);
    let view = ViewContext::new(&context, true);
    context.app.region.change(|state| {
        let index = state.find_server(&context.caller, id)?;
        if let Some(name) = name {
            state
                .world
                .servers
                .edit(index, state.world.now, |server| server.name = name);
        }
        let shown = state
            .world
            .servers
            .get(index)
            .map(|server| view.detailed(state, server));
        Ok(Json(json!({"server": shown})))
    })
}

/// `POST /servers`.
pub(super) async fn create(context: Context, Json(body): Json<Value>) -> Result<Response, Answer> {
    let requested = object(&body, "server")?;
    let name = text(requested, "name")?
        .filter(|name| !name.is_empty())
        .ok_or_else(|| invalid("name", "is required"))?;
    if context.version.at_least(37) && !requested.contains_key("networks") {
        return Err(invalid("server", "'networks' is a required property"));
    }
    let metadata = requested
        .get("metadata")
        .map(strings)
        .transpose()?
        .unwrap_or_default();
    let count = count(requested)?;
    let made = context.app.region.change(|state| {
        let (flavor, image) = (flavor(state, requested)?, image(state, requested)?);
        let zone = text(requested, "availability_zone")?;
        let (zone, zone_host) = split_zone(zone);
        let host = match zone_host.or(text(requested, "host")?) {
            None => None,
            Some(host) => {
                context.admin("os_compute_api:servers:create:forced_host")?;
                let unknown = || Answer::bad_request(format!("Compute host {host} could not be found."));
                Some(state.world.hosts.find(host).ok_or_else(unknown)?)
            }
        };
        let mut ids = Vec::with_capacity(count);
        for number in 1..=count {
            let name = if count == 1 {
                name.to_owned()
            } else {
                format!("{name}-{number}")
            };
            let new = NewServer {
                name,
                image,
                flavor,
                metadata: metadata.clone(),
                zone: zone.map(str::to_owned),
                host,
            };
            ids.push(state.create_server(&context.caller, new)?);
        }
        Ok::<Vec<Uuid>, Answer>(ids)
    })?;
    let first = made.first().copied().unwrap_or_default();
    let href = format!("{}/compute/v2.1/servers/{first}", context.app.base);
    let body = json!({"server": {
        "id": first,
        "links": [{"rel": "self", "href": href}],
        "OS-DCF:diskConfig": "MANUAL",
        "security_groups": [{"name": "default"}],
        "adminPass": Uuid::new_v4().simple().to_string(),
    }});
    Ok((StatusCode::ACCEPTED, [("location", href)], Json(body)).into_response())
}

/// Splits `zone:host`, which pins the host and omits the zone.
fn split_zone(zone: Option<&str>) -> (Option<&str>, Option<&str>) {
    match zone.and_then(|zone| zone.split_once(':')) {
        Some((zone, host)) => (Some(zone), Some(host).filter(|host| !host.is_empty())),
        None => (zone, None),
    }
}

fn count(requested: &Map<String, Value>) -> Result<usize, Answer> {
    let number = |key: &str| match requested.get(key) {
        None => Ok(None),
        Some(Value::Number(number)) => Ok(number.as_u64()),
        Some(Value::String(text)) => text
            .parse()
            .map(Some)
            .map_err(|_| invalid(key, "is not an integer")),
        Some(_) => Err(invalid(key, "is not an integer")),
    };
    let (least, most) = (number("min_count")?, number("max_count")?);
    let count = most.or(least).unwrap_or(1);
    usize::try_from(count)
        .ok()
        .filter(|count| (1..=10_000).contains(count))
        .ok_or_else(|| invalid("min_count", "is out of range"))
}

fn flavor(state: &State, requested: &Map<String, Value>) -> Result<usize, Answer> {
    let given = match requested.get("flavorRef") {
        Some(Value::String(text)) => text.rsplit('/').next().unwrap_or_default().to_owned(),
        Some(Value::Number(number)) => number.to_string(),
        _ => return Err(invalid("server", "'flavorRef' is a required property")),
    };
    let found = state.flavors.iter().position(|flavor| flavor.id == given);
    found.ok_or_else(|| Answer::bad_request(format!("Flavor {given} could not be found.")))
}

fn image(state: &State, requested: &Map<String, Value>) -> Result<Option<Uuid>, Answer> {
    let given = text(requested, "imageRef")?.unwrap_or_default();
    if given.is_empty() {
        return match requested.get("block_device_mapping_v2").and_then(Value::as_array) {
            Some(devices) if !devices.is_empty() => Ok(None),
            _ => Err(Answer::bad_request("Invalid imageRef provided.")),
        };
    }
    let id = given.rsplit('/').next().unwrap_or_default();
    let found = state
        .images
        .iter()
        .find(|image| image.id.to_string() == id)
        .map(|image| image.id);
    found
        .map(Some)
        .ok_or_else(|| Answer::bad_request(format!("Image {given} could not be found.")))
}
