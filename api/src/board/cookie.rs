//! The cookie: the token itself, so that every replica knows whoever has it, and none keeps a session.

use http::header::{COOKIE, ORIGIN};
use http::{HeaderMap, HeaderValue, Uri};

const NAME: &str = "tachi-board";

/// The longest token that fits: browsers keep 4096 bytes of a cookie with its name and attributes.
const LONGEST: usize = 3900;

/// The token that came with the request.
pub(super) fn token(headers: &HeaderMap) -> Option<HeaderValue> {
    let lines = headers.get_all(COOKIE).into_iter();
    let pairs = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'));
    let found = pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| {
            // Behind an emptied cookie there may be another one.
            (name == NAME && is_token(value)).then_some(value)
        })?;
    let mut value = HeaderValue::from_str(found).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Whether it can stand in a cookie and in a header as it is. All of Keystone's can.
pub(super) fn is_token(text: &str) -> bool {
    let fits = (1..=LONGEST).contains(&text.len());
    fits && text
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\'))
}

/// Gives the browser this token, or takes away what it has.
///
/// There is no `Path`: browsers then take the folder of the request, as they see it. That is `/board`, and stays right behind a
/// proxy that puts something before it.
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

/// Whether the browser has the page from its own machine without TLS. `Origin` is what the browser sees; `Host` may be what a
/// proxy makes of it.
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
