//! Application credentials of a user.

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::KeystoneError;
use super::store::AppCredential;
use super::tokens::caller;
use crate::model::tenants::plain_id;
use crate::web::SandboxState;

pub(super) fn router() -> Router<SandboxState> {
    Router::new()
        .route(
            "/identity/v3/users/{user}/application_credentials",
            get(list).post(create),
        )
        .route(
            "/identity/v3/users/{user}/application_credentials/{id}",
            get(show).delete(delete),
        )
}

fn view(credential: &AppCredential) -> Value {
    let roles: Value = credential
        .roles
        .iter()
        .map(|name| json!({"name": name}))
        .collect();
    json!({
        "id": credential.id, "name": credential.name, "user_id": credential.user_id,
        "project_id": credential.project_id, "roles": roles, "description": null, "expires_at": null,
        "unrestricted": false, "system": null, "links": {},
    })
}

/// Returns the requested access rules; null if there are none.
fn access_rules(requested: &Value) -> Result<Value, KeystoneError> {
    let rules = match requested.get("access_rules") {
        None | Some(Value::Null) => return Ok(Value::Null),
        Some(Value::Array(rules)) => rules,
        Some(_) => return Err(KeystoneError::bad_request("access_rules is not a list")),
    };
    let complete = |rule: &Value| {
        ["service", "method", "path"]
            .iter()
            .all(|key| rule[key].is_string())
    };
    if !rules.iter().all(complete) {
        return Err(KeystoneError::bad_request(
            "an access rule has service, method and path",
        ));
    }
    Ok(Value::Array(rules.clone()))
}

/// An administrator may see and delete them.
fn owner_or_admin(
    app: &SandboxState,
    headers: &HeaderMap,
    user: &str,
) -> Result<super::Token, KeystoneError> {
    let token = caller(app, headers)?;
    if token.user_id == user || token.has_role("admin") {
        Ok(token)
    } else {
        Err(KeystoneError::forbidden("identity:application_credentials"))
    }
}

/// Only the user itself may create them.
fn owner(app: &SandboxState, headers: &HeaderMap, user: &str) -> Result<super::Token, KeystoneError> {
    let token = caller(app, headers)?;
    if token.user_id == user {
        Ok(token)
    } else {
        Err(KeystoneError::forbidden("identity:application_credentials"))
    }
}

async fn list(
    State(app): State<SandboxState>,
    Path(user): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    owner_or_admin(&app, &headers, &user)?;
    let store = app.keystone.lock();
    let rows: Value = store
        .app_credentials
        .iter()
        .filter(|row| row.user_id == user)
        .map(view)
        .collect();
    Ok(Json(json!({"application_credentials": rows, "links": {}})))
}

async fn show(
    State(app): State<SandboxState>,
    Path((user, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    owner_or_admin(&app, &headers, &user)?;
    let store = app.keystone.lock();
    let found = store
        .app_credentials
        .iter()
        .find(|row| row.id == id && row.user_id == user);
    let found = found.ok_or_else(|| KeystoneError::not_found("application credential", &id))?;
    Ok(Json(json!({"application_credential": view(found)})))
}

async fn create(
    State(app): State<SandboxState>,
    Path(user): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, KeystoneError> {
    let token = owner(&app, &headers, &user)?;
    let requested = body
        .get("application_credential")
        .ok_or_else(|| KeystoneError::bad_request("application_credential"))?;
    let text = |key: &str| requested.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text("name").ok_or_else(|| KeystoneError::bad_request("name is a required property"))?;
    let project_id = token
        .project_id()
        .ok_or_else(KeystoneError::unauthorized)?
        .to_owned();
    let secret = text("secret").unwrap_or_else(plain_id);
    // Only roles of the token may be requested.
    let requested_roles = requested.get("roles").and_then(Value::as_array);
    let roles = match requested_roles {
        None => token.roles.clone(),
        Some(requested) => {
            let names = requested
                .iter()
                .map(|role| role["name"].as_str().unwrap_or_default().to_owned());
            names.collect::<Vec<_>>()
        }
    };
    if !roles.iter().all(|role| token.has_role(role)) {
        return Err(KeystoneError::bad_request(
            "a role of the application credential is not assigned to its user",
        ));
    }
    let mut store = app.keystone.lock();
    if store
        .app_credentials
        .iter()
        .any(|row| row.user_id == user && row.name == name)
    {
        return Err(KeystoneError::conflict("application_credential", &name));
    }
    let credential = AppCredential {
        id: plain_id(),
        name,
        secret: secret.clone(),
        user_id: user,
        project_id,
        roles,
        access_rules: access_rules(requested)?,
    };
    let mut shown = view(&credential);
    if !credential.access_rules.is_null() {
        shown["access_rules"] = credential.access_rules.clone();
    }
    // The only answer with the secret.
    shown["secret"] = json!(secret);
    store.app_credentials.push(credential);
    Ok((
        StatusCode::CREATED,
        Json(json!({"application_credential": shown})),
    )
        .into_response())
}

async fn delete(
    State(app): State<SandboxState>,
    Path((user, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, KeystoneError> {
    owner_or_admin(&app, &headers, &user)?;
    let mut store = app.keystone.lock();
    let before = store.app_credentials.len();
    store
        .app_credentials
        .retain(|row| row.id != id || row.user_id != user);
    if store.app_credentials.len() == before {
        return Err(KeystoneError::not_found("application credential", &id));
    }
    // The tokens of a deleted credential are revoked.
    store
        .tokens
        .retain(|_, token| token.app_credential.as_ref() != Some(&id));
    Ok(StatusCode::NO_CONTENT)
}
