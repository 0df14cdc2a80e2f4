//! Sanitizes text from other programs and services for one log line.
//!
//! The adapters that talk to the outside (`tachi-openstack`, `tachi-fence`, `tachi-hooks`, `tachi-instance-ha`) must
//! not let it inject lines into our log, fill it, or leak a secret there. None of them may depend on another, and the
//! monitor must not link the engine's OpenStack code. So the shared code is here, and depends on no crate of ours.

#![warn(missing_docs, clippy::missing_errors_doc)]

/// Maximum length of remote text, in characters.
const MAX_TEXT_CHARS: usize = 400;

/// Returns one line without control characters, cut at 400 characters, with each of `secrets` masked.
pub fn one_line(text: &str, secrets: &[&str]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        clean = clean.replace(secret, "***");
    }
    short(&clean, MAX_TEXT_CHARS)
}

/// Returns one line without control characters, cut at `limit` characters.
pub fn short(text: &str, limit: usize) -> String {
    let clean: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let joined = clean.split_whitespace().collect::<Vec<_>>().join(" ");
    if joined.chars().count() <= limit {
        return joined;
    }
    joined.chars().take(limit).chain("...".chars()).collect()
}

/// Extracts the message from a service's error body: from one of the usual shapes, or the body itself.
pub fn message_of(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(body) else {
        return text.into_owned();
    };
    let message = |value: &serde_json::Value| {
        value
            .get("message")
            .and_then(|m| m.as_str())
            .filter(|m| !m.is_empty())
            .map(ToOwned::to_owned)
    };
    if let Some(found) = message(&value) {
        return found;
    }
    let inner = value.as_object().and_then(|map| map.values().find_map(message));
    let listed = value
        .get("errors")
        .and_then(|errors| errors.get(0))
        .and_then(|error| error.get("detail").or_else(|| error.get("title")))
        .and_then(|detail| detail.as_str())
        .map(ToOwned::to_owned);
    inner.or(listed).unwrap_or_else(|| text.into_owned())
}

/// Renders an error and its sources, without repeating a source that its parent already quotes.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        below = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_every_usual_shape() {
        let cases = [
            (
                r#"{"conflictingRequest": {"code": 409, "message": "Cannot evacuate"}}"#,
                "Cannot evacuate",
            ),
            (
                r#"{"error": {"code": 401, "title": "Unauthorized", "message": "No."}}"#,
                "No.",
            ),
            (r#"{"message": "plain"}"#, "plain"),
            (
                r#"{"errors": [{"status": 406, "title": "Not Acceptable", "detail": "2.999"}]}"#,
                "2.999",
            ),
            ("<html>Bad gateway</html>", "<html>Bad gateway</html>"),
            ("", ""),
            ("[1]", "[1]"),
        ];
        for (body, expected) in cases {
            assert_eq!(message_of(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_line_is_short_clean_and_without_secrets() {
        assert_eq!(one_line("a\r\nFAKE log\tline \u{7}", &[]), "a FAKE log line");
        assert_eq!(
            one_line("token hunter2 was refused", &["", "hunter2"]),
            "token *** was refused"
        );
        let long = one_line(&"é".repeat(5000), &[]);
        assert_eq!(long.chars().count(), MAX_TEXT_CHARS + 3);
    }
}
