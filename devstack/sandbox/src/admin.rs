//! The sandbox's admin interface: inject faults, read the ledger.

mod faults;
mod hosts;
mod reports;
mod servers;

use axum::Json;
use axum::Router;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::request::Parts;
use serde_json::{Value, json};

use crate::SandboxError;
use crate::web::SandboxState;

/// The routes under `/admin`.
pub(crate) fn router() -> Router<SandboxState> {
    Router::new()
        .route("/admin/hosts", get(hosts::list))
        .route("/admin/hosts/{name}", get(hosts::show))
        .route("/admin/hosts/{name}/power", post(hosts::power))
        .route("/admin/hosts/{name}/link", post(hosts::link))
        .route("/admin/hosts/{name}/agent", post(hosts::agent))
        .route("/admin/hosts/{name}/queue", axum::routing::delete(hosts::purge))
        .route("/admin/hosts/{name}/bmc", post(hosts::bmc))
        .route("/admin/racks/{name}/power", post(hosts::rack))
        .route("/admin/controllers/{name}", post(hosts::controller))
        .route("/admin/servers", get(servers::list).post(servers::boot))
        .route("/admin/servers/{id}", get(servers::show))
        .route("/admin/servers/{id}/state", post(servers::set_state))
        .route("/admin/servers/{id}/half-move", post(servers::half_move))
        .route("/admin/servers/{id}/crash", post(servers::crash))
        .route("/admin/ledger", get(reports::ledger))
        .route("/admin/ledger/lost", post(reports::lost))
        .route(
            "/admin/requests",
            get(reports::requests).delete(reports::clear_requests),
        )
        .route(
            "/admin/faults",
            get(faults::list).post(faults::add).delete(faults::clear),
        )
        .route("/admin/settings", post(faults::settings))
        .route("/admin/tokens", axum::routing::delete(faults::revoke_tokens))
        .route("/admin/endpoints", post(faults::register))
}

/// An authorized request: with the sandbox's key, or an admin's token.
#[derive(Debug)]
pub(super) struct Operator(pub(super) SandboxState);

impl FromRequestParts<SandboxState> for Operator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &SandboxState) -> Result<Self, Self::Rejection> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let by_key = header("x-sandbox-key") == Some(&*app.admin_key);
        let now = app.region.clock().real_wall();
        let by_token = || {
            let token = header("x-auth-token").and_then(|id| app.keystone.token(id, now));
            token.is_some_and(|token| token.has_role("admin"))
        };
        if by_key || by_token() {
            return Ok(Self(app.clone()));
        }
        let body = json!({"error": "the sandbox's key belongs into the header X-Sandbox-Key"});
        Err((StatusCode::UNAUTHORIZED, Json(body)).into_response())
    }
}

impl IntoResponse for SandboxError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoSuchHost { .. }
            | Self::NoSuchRack { .. }
            | Self::NoSuchServer { .. }
            | Self::NoSuchThing { .. } => StatusCode::NOT_FOUND,
            Self::NoRoom | Self::Refused { .. } => StatusCode::CONFLICT,
            Self::Listen { .. } | Self::Serve { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, Json(json!({"error": self.to_string()}))).into_response()
    }
}

/// The result of a change without an answer body.
pub(super) type Done = Result<Json<Value>, SandboxError>;

pub(super) fn done() -> Json<Value> {
    Json(json!({"ok": true}))
}
