//! The checks before every routed handler: microversion and media type. This module also adds the headers that report the
//! microversion of an answer.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, VARY};
use http::{HeaderValue, Method};

use crate::access_log;
use crate::error::ApiError;
use crate::media;
use crate::microversion::{self, InvalidMicroversion};
use crate::policy::Rule;

/// The middleware of one route. It passes `rule` on to [`AuthorisedRequest`](crate::extract::AuthorisedRequest).
pub(crate) async fn pass(rule: Option<Rule>, mut request: Request, next: Next) -> Response {
    access_log::note_caller(request.extensions());
    // axum would serve HEAD with the GET handler, but the API has no HEAD routes.
    if request.method() == Method::HEAD {
        return ApiError::no_resource().into_response();
    }
    let version = match microversion::requested(request.headers()) {
        Ok(version) => version,
        Err(InvalidMicroversion::Malformed(requested)) => {
            return ApiError::bad_request(format!(
                "API Version String {requested} is of invalid format. Must be of format MajorNum.MinorNum."
            ))
            .into_response();
        }
        Err(InvalidMicroversion::OutOfRange(requested)) => {
            let error = ApiError::VersionNotSupported {
                requested: requested.clone(),
            };
            return with_version_headers(error.into_response(), &requested);
        }
    };
    if !media::is_supported(request.headers()) {
        return with_version_headers(
            ApiError::UnsupportedMediaType.into_response(),
            &version.to_string(),
        );
    }
    let answer_type = media::of_answer(request.headers());
    request.extensions_mut().insert(version);
    request.extensions_mut().insert(rule);
    let mut response = next.run(request).await;
    // Event streams and reports are not JSON.
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_other = content_type.is_some_and(|content_type| content_type.starts_with(b"text/"));
    if response.status().is_success() && !is_other {
        response.headers_mut().insert(CONTENT_TYPE, answer_type);
    }
    with_version_headers(response, &version.to_string())
}

fn with_version_headers(mut response: Response, version: &str) -> Response {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("instance-ha {version}")) {
        headers.insert(microversion::HEADER, value);
    }
    headers.append(VARY, HeaderValue::from_static("OpenStack-API-Version"));
    response
}
