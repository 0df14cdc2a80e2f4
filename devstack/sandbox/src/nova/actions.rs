//! `POST /servers/{id}/action`.

use axum::Json;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::body::{boolean, invalid, only, server_id, text};
use super::context::Context;
use crate::model::Refusal;
use crate::model::actions::GuestAction;
use crate::model::evacuate::EvacuateRequest;

/// Executes the action that the body names.
pub(super) async fn act(
    context: Context,
    Path(id): Path<String>,
    Json(body): Json<Value>,
) -> Result<Response, Answer> {
    let id = server_id(&id)?;
    let body = body
        .as_object()
        .ok_or_else(|| Answer::bad_request("Malformed request body"))?;
    let (1, Some((name, argument))) = (body.len(), body.iter().next()) else {
        return Err(Answer::bad_request(
            "There is no such action: exactly one must be given",
        ));
    };
    let (caller, region) = (&context.caller, &context.app.region);
    let simple = |action: GuestAction| region.change(|state| state.act(caller, id, action));
    match name.as_str() {
        "os-start" => simple(GuestAction::Start)?,
        "os-stop" => simple(GuestAction::Stop)?,
        "pause" => simple(GuestAction::Pause)?,
        "unpause" => simple(GuestAction::Unpause)?,
        "suspend" => simple(GuestAction::Suspend)?,
        "resume" => simple(GuestAction::Resume)?,
        "reboot" => simple(reboot(argument)?)?,
        "lock" => {
            let reason = lock_reason(&context, argument)?;
            region.change(|state| state.lock(caller, id, reason))?;
        }
        "unlock" => region.change(|state| state.unlock(caller, id))?,
        "os-resetState" => {
            let error = reset_to_error(argument)?;
            region.change(|state| state.reset_state(caller, id, error))?;
        }
        "evacuate" => return evacuate(&context, id, argument),
        "os-migrateLive" => {
            let host = argument.get("host").and_then(Value::as_str);
            region.change(|state| state.live_migrate(caller, id, host))?;
        }
        "migrate" => region.change(|state| state.migrate(caller, id))?,
        "confirmResize" => region.change(|state| state.confirm_resize(caller, id))?,
        "forceDelete" => {
            region.change(|state| state.delete_server(caller, id))?;
        }
        other => {
            let message = format!("There is no such action: {other}");
            return Err(Answer::bad_request(message));
        }
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

fn reboot(argument: &Value) -> Result<GuestAction, Answer> {
    let kind = argument.get("type").and_then(Value::as_str).unwrap_or_default();
    match kind.to_ascii_uppercase().as_str() {
        "SOFT" => Ok(GuestAction::SoftReboot),
        "HARD" => Ok(GuestAction::HardReboot),
        _ => Err(invalid("reboot", "'type' must be SOFT or HARD")),
    }
}

fn lock_reason(context: &Context, argument: &Value) -> Result<Option<String>, Answer> {
    let Some(options) = argument.as_object() else {
        return if argument.is_null() {
            Ok(None)
        } else {
            Err(invalid("lock", "is not of type 'object', 'null'"))
        };
    };
    // Before 2.73 the value is ignored.
    if !context.version.at_least(73) {
        return Ok(None);
    }
    only(options, &["locked_reason"])?;
    let reason = text(options, "locked_reason")?;
    if reason.is_some_and(|reason| reason.is_empty() || reason.len() > 255) {
        return Err(invalid("locked_reason", "is too short or too long"));
    }
    Ok(reason.map(str::to_owned))
}

fn reset_to_error(argument: &Value) -> Result<bool, Answer> {
    match argument.get("state").and_then(Value::as_str) {
        Some("error") => Ok(true),
        Some("active") => Ok(false),
        _ => Err(invalid("state", "is not one of ['active', 'error']")),
    }
}

fn evacuate(context: &Context, id: uuid::Uuid, argument: &Value) -> Result<Response, Answer> {
    let version = context.version;
    let options: &Map<String, Value> = argument
        .as_object()
        .ok_or_else(|| invalid("evacuate", "is not of type 'object'"))?;
    let known: &[&str] = if !version.at_least(14) {
        &["host", "onSharedStorage", "adminPass"]
    } else if version.at_least(29) && !version.at_least(68) {
        &["host", "adminPass", "force"]
    } else {
        &["host", "adminPass"]
    };
    only(options, known)?;
    let shared = boolean(options, "onSharedStorage")?;
    if !version.at_least(14) && shared.is_none() {
        return Err(invalid("evacuate", "'onSharedStorage' is a required property"));
    }
    let request = EvacuateRequest {
        host: text(options, "host")?.map(str::to_owned),
        // Before 2.29 a requested host is used without the scheduler.
        force: if version.at_least(29) {
            boolean(options, "force")?.unwrap_or(false)
        } else {
            options.contains_key("host")
        },
        leave_stopped: version.at_least(95),
    };
    let accepted: Result<(), Refusal> = context
        .app
        .region
        .change(|state| state.evacuate(&context.caller, id, &request));
    accepted?;
    // 200, although the action has only started: as in Nova.
    if version.at_least(14) {
        return Ok(StatusCode::OK.into_response());
    }
    let password = text(options, "adminPass")?.map(str::to_owned);
    Ok(Json(json!({"adminPass": password.unwrap_or_else(|| id.simple().to_string())})).into_response())
}
