//! `GET /operator/v1/events`: a stream that reports changes of the situation for as long as the client stays connected.

use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use http::HeaderValue;

use crate::error::ApiError;
use crate::event_streams::{EventListener, StopSignal};
use crate::extract::{Answer, AuthorisedRequest, RequestExtensions};
use crate::state::ApiState;

/// Interval of comments in an idle stream. They show the client that the server is still there.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

pub(crate) async fn listen(
    State(app): State<ApiState>,
    RequestExtensions(extensions): RequestExtensions,
    AuthorisedRequest { caller, .. }: AuthorisedRequest,
) -> Answer {
    let reserve = app.streams.reserve().ok_or_else(|| ApiError::Unavailable {
        service: "Another event stream",
        source: "the limit of event streams is reached".into(),
    })?;
    let StopSignal(stop) = extensions.get::<StopSignal>().cloned().unwrap_or_default();
    let listening = EventListener::new(app, reserve, stop, caller.identity.expires_at);
    let events = Sse::new(listening.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE_INTERVAL));
    let mut response: Response = events.into_response();
    // Prevents nginx from buffering the stream.
    let unbuffered = HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", unbuffered);
    Ok(response)
}
