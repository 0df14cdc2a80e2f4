//! Limits on the size of requests. A head that is too long, or an announced body that is too long, is refused before any other
//! processing. A body that exceeds the limit on the way is refused while it is read.

use axum::body::Body;
use axum::extract::Request;
use futures_util::StreamExt;
use http::header::CONTENT_LENGTH;

use crate::error::ApiError;
use crate::state::ApiState;

/// The message for a body that is not JSON.
pub(crate) const MALFORMED: &str = "Malformed request body";

/// Refuses a request with a part of the head that is too long, or with too long an announced body.
pub(crate) fn check(app: &ApiState, request: &Request) -> Result<(), ApiError> {
    let longest = app.max_line_bytes;
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if target > longest {
        return Err(ApiError::TargetTooLong { limit: longest });
    }
    let mut lines = request.headers().iter();
    if let Some((name, _)) = lines.find(|(name, value)| name.as_str().len() + value.len() > longest) {
        return Err(ApiError::HeaderTooLong {
            name: name.clone(),
            limit: longest,
        });
    }
    let limit = app.max_body_bytes;
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match announced {
        Some(length) if usize::try_from(length).map_or(true, |length| length > limit) => {
            Err(ApiError::TooLarge { limit })
        }
        Some(_) | None => Ok(()),
    }
}

/// Reads the whole body of a request.
pub(crate) async fn read_body(app: &ApiState, body: Body) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(app.body_timeout, collect(body, app.max_body_bytes))
        .await
        .unwrap_or(Err(ApiError::BodyTimeout))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut collected = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        // The connection broke, so the client will probably not receive this.
        let chunk = chunk.map_err(|_| ApiError::bad_request(MALFORMED))?;
        if collected.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge { limit });
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected)
}
