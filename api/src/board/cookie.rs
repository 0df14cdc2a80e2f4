//! The cookie holds the token itself, so that every replica can identify the user and none keeps a session.

use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

const NAME: &str = "tachi-board";

/// Maximum length of a token, in bytes: browsers keep 4096 bytes of a cookie with its name and attributes.
const MAX_TOKEN_BYTES: usize = 3900;

/// Returns the token in the request's cookie.
pub(super) fn token(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let found = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| {
            // An emptied cookie may be followed by a valid one.
            (name == NAME && is_token(value)).then_some(value)
        })?;
    let mut value = HeaderValue::from_str(found).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// True if the token can be sent in a cookie and in a header unchanged. All of Keystone's can.
pub(super) fn is_token(text: &str) -> bool {
    let fits = (1..=MAX_TOKEN_BYTES).contains(&text.len());
    fits && text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

/// Returns the `Set-Cookie` value that stores this token in the browser, or deletes the cookie.
///
/// The value has no `Path`, so browsers use the folder of the request as they see it. That is `/board`, and remains right
/// behind a proxy that adds a prefix.
pub(super) fn set(token: Option<&str>, request: &HeaderMap) -> Option<HeaderValue> {
    let (value, ends) = match token {
        Some(token) => (token, ""),
        None => ("", "; Max-Age=0"),
    };
    let secure = if is_plain_loopback(request) {
        ""
    } else {
        "; Secure"
    };
    let line = format!("{NAME}={value}; HttpOnly; SameSite=Strict{secure}{ends}");
    let mut header = HeaderValue::from_str(&line).ok()?;
    header.set_sensitive(true);
    Some(header)
}

/// True if the browser loaded the page from its own machine without TLS. `Origin` is the address in the browser; a proxy may
/// have changed `Host`.
fn is_plain_loopback(request: &HeaderMap) -> bool {
    let origin = request.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let Some(uri) = origin.and_then(|origin| origin.parse::<Uri>().ok()) else {
        return false;
    };
    let host = uri.host().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    uri.scheme_str() == Some("http") && is_loopback
}
