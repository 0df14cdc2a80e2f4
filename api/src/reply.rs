//! Successful answers: JSON objects with one root key.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::ApiError;
use crate::extract::Answer;

struct Envelope<'a, T> {
    key: &'static str,
    value: &'a T,
}

impl<T: Serialize> Serialize for Envelope<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.key, self.value)?;
        map.end()
    }
}

/// 200 with `value` under `key`.
pub(crate) fn ok<T: Serialize>(key: &'static str, value: &T) -> Answer {
    with_status(StatusCode::OK, key, value)
}

/// `status` with `value` under `key`.
pub(crate) fn with_status<T: Serialize>(status: StatusCode, key: &'static str, value: &T) -> Answer {
    let body = serde_json::to_vec(&Envelope { key, value }).map_err(|source| ApiError::Internal {
        source: Box::new(source),
    })?;
    Ok((status, [(CONTENT_TYPE, "application/json")], body).into_response())
}

/// 204 without a body.
pub(crate) fn nothing() -> Response {
    (StatusCode::NO_CONTENT, Body::empty()).into_response()
}
