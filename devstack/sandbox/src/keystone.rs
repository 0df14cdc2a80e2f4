//! Keystone v3: tokens by password and application credential, validation, revocation, catalog.

mod admin;
mod auth;
mod catalog;
mod credentials;
mod lists;
mod store;
mod tokens;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use serde_json::{Value, json};

pub(crate) use store::{Keystone, REGION, Token};

use crate::web::SandboxState;

/// The routes under `/identity`.
pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/identity", get(versions))
        .route("/identity/v3", get(version))
        .route(
            "/identity/v3/auth/tokens",
            get(tokens::validate)
                .post(tokens::issue)
                .head(tokens::validate)
                .delete(tokens::revoke),
        )
        .route("/identity/v3/auth/catalog", get(tokens::catalog))
        .route("/identity/v3/auth/projects", get(lists::own_projects))
        .merge(lists::router())
        .merge(credentials::router())
        .merge(admin::router())
}

/// A refusal of Keystone, in its own format.
#[derive(Debug)]
pub(crate) struct KeystoneError {
    status: StatusCode,
    message: String,
}

impl KeystoneError {
    fn unauthorized() -> Self {
        Self {
            status: StatusCode::UNAUTHORIZED,
            message: "The request you have made requires authentication.".into(),
        }
    }

    fn forbidden(rule: &str) -> Self {
        Self {
            status: StatusCode::FORBIDDEN,
            message: format!("You are not authorized to perform the requested action: {rule}."),
        }
    }

    fn not_found(what: &str, id: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            message: format!("Could not find {what}: {id}."),
        }
    }

    fn conflict(what: &str, name: &str) -> Self {
        Self {
            status: StatusCode::CONFLICT,
            message: format!(
                "Conflict occurred attempting to store {what} - Duplicate entry found with name {name}."
            ),
        }
    }

    fn bad_request(message: &str) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            message: message.to_owned(),
        }
    }
}

impl IntoResponse for KeystoneError {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or_default();
        let body = json!({"error": {"code": self.status.as_u16(), "title": title, "message": self.message}});
        (self.status, Json(body)).into_response()
    }
}

fn document(app: &SandboxState) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/identity/v3/", app.base)}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn versions(State(app): State<SandboxState>) -> Response {
    (
        StatusCode::MULTIPLE_CHOICES,
        Json(json!({"versions": {"values": [document(&app)]}})),
    )
        .into_response()
}

async fn version(State(app): State<SandboxState>) -> Json<Value> {
    Json(json!({"version": document(&app)}))
}
