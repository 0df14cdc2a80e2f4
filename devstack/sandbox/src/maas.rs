//! MAAS's API on the model: machines, power queries and power commands, with OAuth.

mod machines;
mod oauth;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::{FromRequestParts, Query};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::request::Parts;
use http::{StatusCode, header};
use serde_json::json;

use crate::model::tenants::plain_id;
use crate::web::SandboxState;

/// Marks requests under `/PDU`, which switch the outlets of the machines; faults of BMCs do not apply to them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outlets;

/// The routes under `/MAAS`, and the same under `/PDU/MAAS`.
pub(crate) fn router() -> Router<SandboxState> {
    let outlets = routes().layer(Extension(Outlets));
    routes().nest("/PDU", outlets)
}

fn routes() -> Router<SandboxState> {
    Router::new()
        .route("/MAAS/api/2.0/version", get(version))
        .route("/MAAS/api/2.0/users", get(users))
        .route("/MAAS/api/2.0/machines", get(machines::list))
        .route(
            "/MAAS/api/2.0/machines/{system_id}",
            get(machines::read).post(machines::command),
        )
}

/// MAAS's state: its key, and the used nonces.
#[derive(Debug)]
pub(crate) struct MaasServer {
    consumer: String,
    token: String,
    secret: String,
    /// Nonces with their timestamps.
    used_nonces: Mutex<HashMap<String, i64>>,
}

impl MaasServer {
    pub(crate) fn new() -> Self {
        let part = || plain_id().chars().take(18).collect();
        Self {
            consumer: part(),
            token: part(),
            secret: plain_id(),
            used_nonces: Mutex::new(HashMap::new()),
        }
    }

    /// `consumer:token:secret`, as MAAS prints it.
    pub(crate) fn api_key(&self) -> String {
        format!("{}:{}:{}", self.consumer, self.token, self.secret)
    }

    /// True if this nonce is new. Old nonces are dropped, because their timestamps are refused anyway.
    fn is_fresh(&self, nonce: &str, timestamp: i64, now: i64) -> bool {
        let mut used_nonces = self.used_nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if used_nonces.len() > 4096 {
            used_nonces.retain(|_, at| (now - *at).abs() <= 2 * oauth::WINDOW_SECONDS);
        }
        used_nonces.insert(nonce.to_owned(), timestamp).is_none()
    }
}

/// An error in MAAS's format: plain text.
pub(super) type MaasError = (StatusCode, String);

/// A request with a valid signature.
#[derive(Debug)]
pub(super) struct SignedRequest;

impl FromRequestParts<SandboxState> for SignedRequest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &SandboxState) -> Result<Self, Self::Rejection> {
        let given = parts
            .headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let now = app.region.clock().real_wall().timestamp();
        match oauth::check(given, &app.maas, now) {
            Ok(()) => Ok(Self),
            Err(why) => {
                let challenge = [(header::WWW_AUTHENTICATE, "OAuth realm=\"OAuth\"")];
                Err((
                    StatusCode::UNAUTHORIZED,
                    challenge,
                    format!("Authorization Error: {why}"),
                )
                    .into_response())
            }
        }
    }
}

async fn version(_signed: SignedRequest) -> Response {
    Json(json!({"version": "3.5.0", "subversion": "sandbox", "capabilities": ["networks-management"]}))
        .into_response()
}

async fn users(
    _signed: SignedRequest,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Result<Response, MaasError> {
    match op(&pairs) {
        Some("whoami") => Ok(Json(json!({
            "username": "sandbox", "email": "sandbox@localhost", "is_superuser": true,
            "resource_uri": "/MAAS/api/2.0/users/sandbox/",
        }))
        .into_response()),
        other => Err(unknown_op("GET", other)),
    }
}

/// The operation of a request.
pub(super) fn op(pairs: &[(String, String)]) -> Option<&str> {
    pairs
        .iter()
        .find(|(key, _)| key == "op")
        .map(|(_, value)| value.as_str())
}

pub(super) fn unknown_op(method: &str, op: Option<&str>) -> MaasError {
    (
        StatusCode::BAD_REQUEST,
        format!(
            "Unrecognised signature: method={method} op={}",
            op.unwrap_or("None")
        ),
    )
}
