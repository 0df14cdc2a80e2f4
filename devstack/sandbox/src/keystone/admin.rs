//! Changes by an administrator: roles, users, grants.

use std::collections::HashMap;

use axum::Json;
use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{patch, post, put};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::KeystoneError;
use super::store::{Role, User};
use super::tokens::caller;
use crate::model::tenants::plain_id;
use crate::web::SandboxState;

pub(super) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/identity/v3/roles", post(create_role))
        .route("/identity/v3/users", post(create_user))
        .route("/identity/v3/users/{id}", patch(update_user))
        .route(
            "/identity/v3/projects/{project}/users/{user}/roles/{role}",
            put(grant).head(has_grant),
        )
}

fn administrator(app: &SandboxState, headers: &HeaderMap, rule: &str) -> Result<(), KeystoneError> {
    if caller(app, headers)?.has_role("admin") {
        return Ok(());
    }
    Err(KeystoneError::forbidden(rule))
}

fn text(body: &Value, pointer: &str) -> Option<String> {
    body.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
}

fn required(body: &Value, pointer: &str) -> Result<String, KeystoneError> {
    let missing = || KeystoneError::bad_request(&format!("{pointer} is a required property"));
    text(body, pointer)
        .filter(|text| !text.is_empty())
        .ok_or_else(missing)
}

async fn create_role(
    State(app): State<SandboxState>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, KeystoneError> {
    administrator(&app, &headers, "identity:create_role")?;
    let name = required(&body, "/role/name")?;
    let mut store = app.keystone.lock();
    if store
        .roles
        .iter()
        .any(|role| role.name.eq_ignore_ascii_case(&name))
    {
        return Err(KeystoneError::conflict("role", &name));
    }
    let role = Role { id: plain_id(), name };
    let shown = json!({"role": {"id": role.id, "name": role.name, "domain_id": null}});
    store.roles.push(role);
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

async fn create_user(
    State(app): State<SandboxState>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, KeystoneError> {
    administrator(&app, &headers, "identity:create_user")?;
    let name = required(&body, "/user/name")?;
    let mut store = app.keystone.lock();
    if store
        .users
        .iter()
        .any(|user| user.name.eq_ignore_ascii_case(&name))
    {
        return Err(KeystoneError::conflict("user", &name));
    }
    let user = User {
        id: plain_id(),
        name,
        password: text(&body, "/user/password").unwrap_or_default(),
        default_project: text(&body, "/user/default_project_id").unwrap_or_default(),
        roles: HashMap::new(),
        description: text(&body, "/user/description").unwrap_or_default(),
    };
    let shown = json!({"user": super::lists::user_view(&user)});
    store.users.push(user);
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

/// Changes a user. A new password revokes the user's tokens, but not its application credentials.
async fn update_user(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Json<Value>, KeystoneError> {
    administrator(&app, &headers, "identity:update_user")?;
    let mut store = app.keystone.lock();
    let user = store.users.iter_mut().find(|user| user.id == id);
    let user = user.ok_or_else(|| KeystoneError::not_found("user", &id))?;
    let password = text(&body, "/user/password");
    if let Some(password) = &password {
        user.password.clone_from(password);
    }
    if let Some(description) = text(&body, "/user/description") {
        user.description = description;
    }
    let shown = super::lists::user_view(user);
    if password.is_some() {
        store.tokens.retain(|_, token| token.user_id != id);
    }
    Ok(Json(json!({"user": shown})))
}

async fn grant(
    State(app): State<SandboxState>,
    Path((project, user, role)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, KeystoneError> {
    administrator(&app, &headers, "identity:create_grant")?;
    let mut store = app.keystone.lock();
    store
        .project(&project)
        .ok_or_else(|| KeystoneError::not_found("project", &project))?;
    let name = store
        .roles
        .iter()
        .find(|known| known.id == role)
        .map(|role| role.name.clone());
    let name = name.ok_or_else(|| KeystoneError::not_found("role", &role))?;
    let found = store.users.iter_mut().find(|known| known.id == user);
    let found = found.ok_or_else(|| KeystoneError::not_found("user", &user))?;
    let roles = found.roles.entry(project).or_default();
    if !roles.contains(&name) {
        roles.push(name);
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn has_grant(
    State(app): State<SandboxState>,
    Path((project, user, role)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, KeystoneError> {
    administrator(&app, &headers, "identity:check_grant")?;
    let store = app.keystone.lock();
    let name = store
        .roles
        .iter()
        .find(|known| known.id == role)
        .map(|role| &role.name);
    let own_roles = store.user(&user).and_then(|user| user.roles.get(&project));
    match (name, own_roles) {
        (Some(name), Some(own_roles)) if own_roles.contains(name) => Ok(StatusCode::NO_CONTENT),
        _ => Err(KeystoneError::not_found("role assignment", &role)),
    }
}
