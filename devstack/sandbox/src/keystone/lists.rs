//! Lists of projects, users, roles and services, as the command line requests them.

use std::collections::BTreeSet;

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use http::HeaderMap;
use serde_json::{Value, json};

use super::KeystoneError;
use super::store::{Endpoint, Project, Role, Store, User};
use super::tokens::caller;
use crate::web::SandboxState;

type Filters = Query<Vec<(String, String)>>;

pub(super) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/identity/v3/projects", get(projects))
        .route("/identity/v3/projects/{id}", get(project))
        .route("/identity/v3/users", get(users))
        .route("/identity/v3/users/{id}", get(user))
        .route("/identity/v3/users/{id}/projects", get(user_projects))
        .route("/identity/v3/roles", get(roles))
        .route("/identity/v3/domains", get(domains))
        .route("/identity/v3/domains/{id}", get(domain))
        .route("/identity/v3/regions", get(regions))
        .route("/identity/v3/services", get(services))
        .route("/identity/v3/services/{id}", get(service))
        .route("/identity/v3/endpoints", get(endpoints))
}

fn project_view(project: &Project) -> Value {
    json!({
        "id": project.id, "name": project.name, "domain_id": "default", "parent_id": "default", "enabled": true,
        "is_domain": false, "description": "", "options": {}, "tags": [], "links": {},
    })
}

pub(super) fn user_view(user: &User) -> Value {
    json!({
        "id": user.id, "name": user.name, "domain_id": "default", "enabled": true, "options": {},
        "default_project_id": user.default_project, "password_expires_at": null, "links": {},
        "description": user.description,
    })
}

fn role_view(role: &Role) -> Value {
    json!({"id": role.id, "name": role.name, "domain_id": null, "description": null, "options": {}, "links": {}})
}

fn accepts(filters: &Filters, key: &str, value: &str) -> bool {
    filters
        .0
        .iter()
        .filter(|(name, _)| name == key)
        .all(|(_, expected)| expected == value)
}

fn list(
    app: &SandboxState,
    headers: &HeaderMap,
    key: &str,
    rows: impl FnOnce(&Store) -> Value,
) -> Result<Json<Value>, KeystoneError> {
    if !caller(app, headers)?.has_role("admin") {
        return Err(KeystoneError::forbidden(&format!("identity:list_{key}")));
    }
    let rows = rows(&app.keystone.lock());
    Ok(Json(
        json!({key: rows, "links": {"self": format!("{}/identity/v3/{key}", app.base), "next": null, "previous": null}}),
    ))
}

async fn projects(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "projects", |store| {
        store
            .projects
            .iter()
            .filter(|row| accepts(&filters, "name", &row.name))
            .map(project_view)
            .collect()
    })
}

async fn project(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    let token = caller(&app, &headers)?;
    if !token.has_role("admin") && token.project_id() != Some(&id) {
        return Err(KeystoneError::forbidden("identity:get_project"));
    }
    let store = app.keystone.lock();
    let project = store
        .project(&id)
        .ok_or_else(|| KeystoneError::not_found("project", &id))?;
    Ok(Json(json!({"project": project_view(project)})))
}

async fn users(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "users", |store| {
        store
            .users
            .iter()
            .filter(|row| accepts(&filters, "name", &row.name))
            .map(user_view)
            .collect()
    })
}

async fn user(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    let token = caller(&app, &headers)?;
    if !token.has_role("admin") && token.user_id != id {
        return Err(KeystoneError::forbidden("identity:get_user"));
    }
    let store = app.keystone.lock();
    let user = store
        .user(&id)
        .ok_or_else(|| KeystoneError::not_found("user", &id))?;
    Ok(Json(json!({"user": user_view(user)})))
}

fn projects_of(app: &SandboxState, user_id: &str) -> Json<Value> {
    let store = app.keystone.lock();
    let roles = store.user(user_id).map(|user| &user.roles);
    let member = |row: &&Project| roles.is_some_and(|roles| roles.contains_key(&row.id));
    let rows: Value = store.projects.iter().filter(member).map(project_view).collect();
    Json(json!({"projects": rows, "links": {"next": null, "previous": null}}))
}

async fn user_projects(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    let token = caller(&app, &headers)?;
    if !token.has_role("admin") && token.user_id != id {
        return Err(KeystoneError::forbidden("identity:list_user_projects"));
    }
    Ok(projects_of(&app, &id))
}

/// `GET /v3/auth/projects`.
pub(super) async fn own_projects(
    State(app): State<SandboxState>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    let token = caller(&app, &headers)?;
    Ok(projects_of(&app, &token.user_id))
}

async fn roles(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "roles", |store| {
        store
            .roles
            .iter()
            .filter(|row| accepts(&filters, "name", &row.name))
            .map(role_view)
            .collect()
    })
}

fn default_domain() -> Value {
    json!({"id": "default", "name": "Default", "enabled": true, "description": "", "options": {}, "tags": [], "links": {}})
}

async fn domains(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "domains", |_| {
        if accepts(&filters, "name", "Default") {
            json!([default_domain()])
        } else {
            json!([])
        }
    })
}

async fn domain(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    caller(&app, &headers)?;
    if id == "default" {
        Ok(Json(json!({"domain": default_domain()})))
    } else {
        Err(KeystoneError::not_found("domain", &id))
    }
}

async fn regions(State(app): State<SandboxState>, headers: HeaderMap) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "regions", |store| {
        let names: BTreeSet<&str> = store.endpoints.iter().map(|row| row.region.as_str()).collect();
        let view = |name: &str| json!({"id": name, "description": "", "parent_region_id": null, "links": {}});
        names.into_iter().map(view).collect()
    })
}

fn service_view(row: &Endpoint) -> Value {
    json!({"id": row.service_id, "name": row.name, "type": row.kind, "enabled": true, "links": {}})
}

async fn services(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "services", |store| {
        let rows = store.endpoints.iter();
        rows.filter(|row| accepts(&filters, "type", &row.kind) && accepts(&filters, "name", &row.name))
            .map(service_view)
            .collect()
    })
}

async fn service(
    State(app): State<SandboxState>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    if !caller(&app, &headers)?.has_role("admin") {
        return Err(KeystoneError::forbidden("identity:get_service"));
    }
    let store = app.keystone.lock();
    let row = store.endpoints.iter().find(|row| row.service_id == id);
    let row = row.ok_or_else(|| KeystoneError::not_found("service", &id))?;
    Ok(Json(json!({"service": service_view(row)})))
}

async fn endpoints(
    State(app): State<SandboxState>,
    filters: Filters,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    list(&app, &headers, "endpoints", |store| {
        let rows = store
            .endpoints
            .iter()
            .filter(|row| accepts(&filters, "service_id", &row.service_id));
        rows.flat_map(|row| {
            ["public", "internal", "admin"].map(|interface| {
                json!({
                    "id": format!("{}{interface}", row.service_id), "interface": interface, "region": row.region,
                    "region_id": row.region, "service_id": row.service_id, "url": row.url, "enabled": true, "links": {},
                })
            })
        })
        .collect()
    })
}
