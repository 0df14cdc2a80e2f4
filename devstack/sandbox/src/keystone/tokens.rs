//! The token routes and the token's body.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::KeystoneError;
use super::catalog;
use super::store::{Scope, Store, Token};
use crate::web::SandboxState;

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}

/// The caller's own token.
pub(super) fn caller(app: &SandboxState, headers: &HeaderMap) -> Result<Token, KeystoneError> {
    let id = header(headers, "x-auth-token").ok_or_else(KeystoneError::unauthorized)?;
    app.keystone
        .token(id, app.region.clock().real_wall())
        .ok_or_else(KeystoneError::unauthorized)
}

fn body(store: &Store, token: &Token, with_catalog: bool) -> Value {
    let domain = json!({"id": "default", "name": "Default"});
    let name = store.user(&token.user_id).map(|user| user.name.as_str());
    let mut body = json!({
        "methods": [token.method],
        "user": {"id": token.user_id, "name": name, "domain": domain, "password_expires_at": null},
        "audit_ids": [token.audit_id],
        "issued_at": time(token.issued),
        "expires_at": time(token.expires),
    });
    match &token.scope {
        Scope::Project(id) => {
            let name = store.project(id).map(|project| project.name.as_str());
            body["project"] = json!({"id": id, "name": name, "domain": domain});
            body["is_domain"] = json!(false);
        }
        Scope::System => body["system"] = json!({"all": true}),
        Scope::None => {}
    }
    if token.scope != Scope::None {
        let roles = store.roles.iter().filter(|role| token.roles.contains(&role.name));
        body["roles"] = roles
            .map(|role| json!({"id": role.id, "name": role.name}))
            .collect();
        if with_catalog {
            body["catalog"] = catalog::view(store, token);
        }
    }
    if let Some(id) = &token.app_credential {
        let credential = store
            .app_credentials
            .iter()
            .find(|credential| credential.id == *id);
        let name = credential.map(|credential| credential.name.as_str());
        body["application_credential"] = json!({"id": id, "name": name, "restricted": true});
        let rules = credential.map_or(&Value::Null, |credential| &credential.access_rules);
        if !rules.is_null() {
            body["application_credential"]["access_rules"] = rules.clone();
        }
    }
    json!({"token": body})
}

fn with_subject(status: StatusCode, token: &Token, body: Value) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Ok(value) = HeaderValue::from_str(&token.id) {
        response.headers_mut().insert("x-subject-token", value);
    }
    response
        .headers_mut()
        .insert("vary", HeaderValue::from_static("X-Auth-Token"));
    response
}

/// `POST /v3/auth/tokens`.
pub(super) async fn issue(
    State(app): State<SandboxState>,
    Query(query): Query<Vec<(String, String)>>,
    Json(request): Json<Value>,
) -> Result<Response, KeystoneError> {
    let token = app
        .keystone
        .authenticate(&request, app.region.clock().real_wall())?;
    let with_catalog = !query.iter().any(|(key, _)| key == "nocatalog");
    let body = body(&app.keystone.lock(), &token, with_catalog);
    Ok(with_subject(StatusCode::CREATED, &token, body))
}

/// `GET` and `HEAD /v3/auth/tokens`.
pub(super) async fn validate(
    State(app): State<SandboxState>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, KeystoneError> {
    let caller = caller(&app, &headers)?;
    let subject = header(&headers, "x-subject-token").unwrap_or_default();
    if subject != caller.id && !caller.has_role("admin") && !caller.has_role("service") {
        return Err(KeystoneError::forbidden("identity:validate_token"));
    }
    let now = app.region.clock().real_wall();
    let is_set = |key: &str| query.iter().any(|(name, value)| name == key && value != "0");
    let found = if is_set("allow_expired") {
        app.keystone.token_even_ended(subject, now)
    } else {
        app.keystone.token(subject, now)
    };
    let not_found_error = || KeystoneError::not_found("token", "Failed to validate token");
    let token = found.ok_or_else(not_found_error)?;
    let with_catalog = !query.iter().any(|(key, _)| key == "nocatalog");
    let body = body(&app.keystone.lock(), &token, with_catalog);
    // A client that does not support access rules does not see tokens with some.
    let has_rules = body
        .pointer("/token/application_credential/access_rules")
        .is_some();
    if has_rules && header(&headers, "openstack-identity-access-rules").is_none() {
        return Err(not_found_error());
    }
    Ok(with_subject(StatusCode::OK, &token, body))
}

/// `DELETE /v3/auth/tokens`.
pub(super) async fn revoke(
    State(app): State<SandboxState>,
    headers: HeaderMap,
) -> Result<StatusCode, KeystoneError> {
    let caller = caller(&app, &headers)?;
    let subject = header(&headers, "x-subject-token").unwrap_or_default();
    if subject != caller.id && !caller.has_role("admin") {
        return Err(KeystoneError::forbidden("identity:revoke_token"));
    }
    match app.keystone.lock().tokens.remove(subject) {
        Some(_) => Ok(StatusCode::NO_CONTENT),
        None => Err(KeystoneError::not_found("token", "Failed to validate token")),
    }
}

/// `GET /v3/auth/catalog`.
pub(super) async fn catalog(
    State(app): State<SandboxState>,
    headers: HeaderMap,
) -> Result<Json<Value>, KeystoneError> {
    let token = caller(&app, &headers)?;
    let catalog = catalog::view(&app.keystone.lock(), &token);
    Ok(Json(
        json!({"catalog": catalog, "links": {"self": format!("{}/identity/v3/auth/catalog", app.base)}}),
    ))
}
