//! Logging in and out: the user's credentials go to Keystone, and the returned token into the cookie. The server stores nothing.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;

use super::{BoardState, FIRST_REQUEST_PATH, check_page, cookie};
use crate::auth::AuthBackend;
use crate::error::{ApiError, Bug};
use crate::limits::{self, read_body};
use crate::ports::LoginWith;

#[derive(Deserialize)]
#[serde(tag = "with", rename_all = "snake_case", deny_unknown_fields)]
enum Form {
    Password {
        user: String,
        user_domain: String,
        password: String,
        project: String,
        project_domain: String,
    },
    ApplicationCredential {
        id: String,
        secret: String,
    },
    Token {
        token: String,
    },
}

/// Sets the cookie if Keystone accepts the credentials and the policy lets the user read the board.
pub(super) async fn log_in(State(state): State<BoardState>, request: Request) -> Result<Response, ApiError> {
    limits::check(&state.app, &request)?;
    let (parts, body) = request.into_parts();
    // Login CSRF: a page that logs a victim's browser in would show the victim another user's region.
    check_page(&parts.headers)?;
    let Some(login) = &state.login else {
        return Err(ApiError::no_resource());
    };
    let bytes = read_body(&state.app, body).await?;
    let form: Form =
        serde_json::from_slice(&bytes).map_err(|_| ApiError::bad_request("The login request is invalid."))?;
    let Ok(_permit) = state.logins.try_acquire() else {
        return Err(ApiError::too_many(std::time::Duration::ZERO));
    };
    let with = match form {
        Form::Token { token } => Err(token),
        Form::Password {
            user,
            user_domain,
            password,
            project,
            project_domain,
        } => Ok(LoginWith::Password {
            user,
            user_domain,
            password,
            project,
            project_domain,
        }),
        Form::ApplicationCredential { id, secret } => Ok(LoginWith::ApplicationCredential { id, secret }),
    };
    let token = match with {
        Err(token) => Some(token.trim().to_owned()),
        Ok(with) => {
            let answer = login.log_in(with).await;
            answer.map_err(|error| ApiError::from(std::sync::Arc::new(error)))?
        }
    };
    let token = token
        .filter(|token| cookie::is_token(token))
        .ok_or_else(|| refused(&state))?;
    let mut value = HeaderValue::from_str(&token).map_err(|_| refused(&state))?;
    value.set_sensitive(true);
    let mut probe = Request::new(Body::empty());
    *probe.method_mut() = Method::GET;
    *probe.extensions_mut() = parts.extensions;
    let answer = state.operators(probe, FIRST_REQUEST_PATH, Some(&value)).await;
    if !answer.status().is_success() {
        return Ok(answer);
    }
    with_cookie(Some(&token), &parts.headers)
}

/// Deletes the cookie. The token remains valid until it expires: its owner may be using it elsewhere.
pub(super) async fn log_out(request: Request) -> Result<Response, ApiError> {
    check_page(request.headers())?;
    with_cookie(None, request.headers())
}

fn with_cookie(token: Option<&str>, request: &HeaderMap) -> Result<Response, ApiError> {
    let line = cookie::set(token, request).ok_or(Bug("an invalid token"))?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, line)]).into_response())
}

fn refused(state: &BoardState) -> ApiError {
    match &state.app.gatekeeper {
        AuthBackend::Keystone(keystone) => ApiError::Unauthenticated {
            challenge: keystone.challenge.clone(),
        },
        AuthBackend::Noauth2 => ApiError::no_resource(),
    }
}
