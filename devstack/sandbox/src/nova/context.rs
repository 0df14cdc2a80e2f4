//! The caller of Nova, and the microversion.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use super::answer::Answer;
use super::version::Microversion;
use crate::model::{Caller, Refusal};
use crate::web::SandboxState;

/// An authenticated request.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) app: SandboxState,
    pub(super) caller: Caller,
    pub(super) version: Microversion,
}

impl Context {
    /// Refuses every caller except admins.
    pub(super) fn admin(&self, rule: &str) -> Result<(), Refusal> {
        self.caller.require_admin(rule)
    }
}

impl FromRequestParts<SandboxState> for Context {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &SandboxState) -> Result<Self, Self::Rejection> {
        let version = Microversion::of(&parts.headers).map_err(IntoResponse::into_response)?;
        let now = app.region.clock().real_wall();
        let token = parts
            .headers
            .get("x-auth-token")
            .and_then(|value| value.to_str().ok())
            .and_then(|id| app.keystone.token(id, now))
            .ok_or_else(|| unauthorized(app))?;
        let Some(project_id) = token.project_id() else {
            // Nova's rules require a project, so a system-scoped token is refused.
            let message = "Policy doesn't allow os_compute_api to be performed.".to_owned();
            return Err(Answer {
                status: StatusCode::FORBIDDEN,
                message,
            }
            .into_response());
        };
        let caller = Caller {
            user_id: token.user_id.clone(),
            project_id: project_id.to_owned(),
            admin: token.has_role("admin"),
        };
        Ok(Self {
            app: app.clone(),
            caller,
            version,
        })
    }
}

fn unauthorized(app: &SandboxState) -> Response {
    let message = "The request you have made requires authentication.";
    let body = json!({"error": {"code": 401, "title": "Unauthorized", "message": message}});
    let mut response = (StatusCode::UNAUTHORIZED, axum::Json(body)).into_response();
    let challenge = format!("Keystone uri=\"{}/identity\"", app.base);
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}
