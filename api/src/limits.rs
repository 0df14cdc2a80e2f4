//! The limit on the size of a body. What announces too much is refused at once; what turns out to be too much is refused
//! by whoever reads it.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use http::header::CONTENT_LENGTH;

use crate::app::App;
use crate::error::ApiError;

/// What is said of a body that is no JSON.
pub(crate) const MALFORMED: &str = "Malformed request body";

/// The layer: looks at `Content-Length`.
pub(crate) async fn announced_size(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let limit = app.max_body_bytes;
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(ApiError::TooLarge { limit });
    }
    Ok(next.run(request).await)
}

/// The whole of a request's body.
pub(crate) async fn read_body(app: &App, body: Body) -> Result<Vec<u8>, ApiError> {
    tokio::time::timeout(app.body_timeout, collect(body, app.max_body_bytes))
        .await
        .unwrap_or(Err(ApiError::BodyTimeout))
}

async fn collect(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut collected = Vec::new();
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        // The connection broke, so hardly anybody will read this.
        let chunk = chunk.map_err(|_| ApiError::bad_request(MALFORMED))?;
        if collected.len() + chunk.len() > limit {
            return Err(ApiError::TooLarge { limit });
        }
        collected.extend_from_slice(&chunk);
    }
    Ok(collected)
}
