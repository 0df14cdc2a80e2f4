//! The request for a token.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use reqwest::header::HeaderMap;
use reqwest::{Client, Response, Url};
use serde::Deserialize;

use crate::catalog::Catalog;
use crate::credentials::Credentials;
use crate::failure::{Cause, Failure};
use crate::http::read_body;
use crate::token::Token;

/// Largest answer to read, in bytes. A large cloud's catalogue is 100 KB.
const BODY_LIMIT: usize = 4 << 20;

/// Largest error answer to read, in bytes.
const ERROR_BODY_LIMIT: usize = 64 << 10;

#[derive(Deserialize)]
struct Reply {
    token: ReplyToken,
}

#[derive(Deserialize)]
struct ReplyToken {
    expires_at: String,
    #[serde(default)]
    issued_at: Option<String>,
    #[serde(default)]
    catalog: Catalog,
    #[serde(default)]
    user: Option<ReplyUser>,
}

#[derive(Deserialize)]
struct ReplyUser {
    id: String,
}

/// Requests a token.
pub(crate) async fn fetch(
    client: &Client,
    base: &Url,
    credentials: &Credentials,
    received_at: Duration,
    generation: u64,
    request_id: Option<String>,
) -> Result<Token, Failure> {
    let mut url = base.clone();
    url.set_path(&format!("{}/auth/tokens", base.path()));
    let mut request = client.post(url).json(&credentials.body());
    if let Some(id) = request_id {
        request = request.header("x-openstack-request-id", id);
    }
    let response = request.send().await.map_err(Failure::unanswered)?;
    let status = response.status();
    if !status.is_success() {
        return Err(refused(response, credentials).await);
    }
    let malformed = |why: String| Failure::new(Cause::Malformed(status), tachi_text::one_line(&why, &[]));
    let Some(mut value) = response.headers().get("x-subject-token").cloned() else {
        return Err(malformed("no X-Subject-Token".to_owned()));
    };
    value.set_sensitive(true);
    let date = date_of(response.headers());
    let skew_seconds = skew(response.headers());
    let content = read_body(response, BODY_LIMIT)
        .await
        .map_err(|error| malformed(tachi_text::chain(&error)))?;
    let reply: Reply = serde_json::from_slice(&content).map_err(|error| malformed(error.to_string()))?;
    let lifetime = lifetime(&reply.token, date.unwrap_or_else(now))
        .ok_or_else(|| malformed("no readable expires_at".to_owned()))?;
    tracing::debug!(life_seconds = lifetime.as_secs(), generation, "got a token");
    Ok(Token {
        value,
        generation,
        user: reply.token.user.map(|user| user.id),
        catalog: reply.token.catalog,
        skew_seconds,
        received_at,
        lifetime,
    })
}

/// Returns the lifetime of a token: by Keystone's clock if the answer states when it was issued, else counted from
/// the request.
fn lifetime(token: &ReplyToken, requested_at: DateTime<Utc>) -> Option<Duration> {
    let end = parse(&token.expires_at)?;
    let begin = token.issued_at.as_deref().and_then(parse).unwrap_or(requested_at);
    Some((end - begin).to_std().unwrap_or_default())
}

fn parse(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(zoned.to_utc());
    }
    let naive = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(naive.and_utc())
}

fn date_of(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    let date = headers.get("date")?.to_str().ok()?;
    Some(DateTime::parse_from_rfc2822(date).ok()?.to_utc())
}

/// Reads the local clock, for comparison with a server's.
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// Returns a server's clock minus the local one, in seconds, by the `Date` of an answer that arrived just now.
pub fn skew(headers: &HeaderMap) -> Option<i64> {
    Some(date_of(headers)?.timestamp() - now().timestamp())
}

async fn refused(response: Response, credentials: &Credentials) -> Failure {
    let status = response.status();
    let request_id = response
        .headers()
        .get("x-openstack-request-id")
        .and_then(|id| id.to_str().ok())
        .map(|id| tachi_text::one_line(id, &[]));
    let body = read_body(response, ERROR_BODY_LIMIT).await.unwrap_or_default();
    let detail = tachi_text::one_line(&tachi_text::message_of(&body), &[credentials.secret()]);
    Failure {
        request_id,
        ..Failure::new(Cause::Refused(status), detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tokens_life_is_counted_by_keystones_clock() {
        let requested_at = parse("2024-01-01T00:30:00").unwrap();
        let cases = [
            (Some("2024-01-01T00:00:00.000000Z"), Some(3600)),
            (None, Some(1800)),
            (Some("rubbish"), Some(1800)),
            (Some("2025-01-01T00:00:00Z"), Some(0)),
        ];
        for (issued, expected) in cases {
            let token = ReplyToken {
                expires_at: "2024-01-01T01:00:00.000000Z".into(),
                issued_at: issued.map(ToOwned::to_owned),
                catalog: Catalog::default(),
                user: None,
            };
            let expected = expected.map(Duration::from_secs);
            assert_eq!(lifetime(&token, requested_at), expected, "{issued:?}");
        }
    }
}
