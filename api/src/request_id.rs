//! Request ids: Tachi's own for every request, and the caller's global id if it sent one.

use http::{HeaderMap, HeaderName};
use uuid::Uuid;

/// The header with a request id, in requests and in answers.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Returns a new id.
pub(crate) fn fresh() -> String {
    format!("req-{}", Uuid::new_v4().hyphenated())
}

/// Returns the caller's global request id; `None` if it is missing or malformed.
pub(crate) fn global(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(HEADER)?.to_str().ok()?;
    let uuid = text.strip_prefix("req-")?;
    is_canonical(uuid).then_some(text)
}

/// True if `text` is a UUID in lower-case hyphenated form.
pub(crate) fn is_canonical(text: &str) -> bool {
    Uuid::parse_str(text).is_ok_and(|id| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn global_request_ids() {
        let cases = [
            ("req-6128798e-1111-4222-8333-0123456789ab", true),
            ("req-6128798E-1111-4222-8333-0123456789AB", false),
            ("6128798e-1111-4222-8333-0123456789ab", false),
            ("req-6128798e111142228333-0123456789ab", false),
            ("req-6128798e-1111-4222-8333-0123456789ab\t", false),
            ("", false),
        ];
        for (text, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_static(text));
            assert_eq!(global(&headers).is_some(), expected, "{text:?}");
        }
    }
}
