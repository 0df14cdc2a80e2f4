//! Parsing of the times that Pacemaker prints.

use chrono::{DateTime, NaiveDateTime, Utc};

use crate::Error;

/// A time by one of the cluster's clocks.
pub type Time = DateTime<Utc>;

/// Longest text that can be a time.
const MAX_LENGTH: usize = 64;

/// Parses a time as Pacemaker and people write it: RFC 3339, `2026-11-20 07:06:43Z`, with a fraction (since 2.1.6),
/// with an offset, seconds since the epoch, and `Fri Nov 20 07:06:44 2026`. The last one has no zone and is taken as
/// UTC (the tools are started with `TZ=UTC`).
///
/// # Errors
///
/// [`Error::Time`] for anything else.
pub fn parse_time(text: &str) -> Result<Time, Error> {
    let trimmed = text.trim();
    known(trimmed).ok_or_else(|| Error::Time {
        text: trimmed.chars().take(MAX_LENGTH).collect(),
    })
}

fn known(text: &str) -> Option<Time> {
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return DateTime::from_timestamp(text.parse().ok()?, 0);
    }
    // `%#z` accepts +00, +00:00 and +0000, but not Z.
    let zoned = text
        .strip_suffix(['Z', 'z'])
        .map_or_else(|| text.to_owned(), |rest| format!("{}+00:00", rest.trim_end()));
    for format in [
        "%Y-%m-%d %H:%M:%S%.f%#z",
        "%Y-%m-%d %H:%M:%S%.f %#z",
        "%Y-%m-%dT%H:%M:%S%.f%#z",
    ] {
        if let Ok(time) = DateTime::parse_from_str(&zoned, format) {
            return Some(time.to_utc());
        }
    }
    for format in [
        "%a %b %e %H:%M:%S %Y",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M:%S%.f",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(text, format) {
            return Some(time.and_utc());
        }
    }
    None
}

/// Returns whole seconds, the precision of Pacemaker's own times.
pub(crate) fn second(time: Time) -> i64 {
    time.timestamp()
}

/// Formats a time for reasons that people read.
pub(crate) fn show(time: Time) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW22.
    #[test]
    fn times_of_every_version() {
        for (name, text, expected) in [
            ("2.1.5", "2026-11-20 07:06:43Z", Some("2026-11-20T07:06:43+00:00")),
            (
                "with an offset",
                "2026-11-20 08:06:43 +01:00",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "offset without a blank",
                "2026-11-20 08:06:43+0100",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "since 2.1.6",
                "2026-11-20 07:06:43.123456Z",
                Some("2026-11-20T07:06:43.123456+00:00"),
            ),
            (
                "since 2.1.6, with an offset",
                "2026-11-20 07:06:43.123456 +00:00",
                Some("2026-11-20T07:06:43.123456+00:00"),
            ),
            (
                "RFC 3339",
                "2026-11-20T07:06:43Z",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "RFC 3339 with an offset",
                "2026-11-20T08:06:43+01:00",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "without a zone",
                "2026-11-20T07:06:43",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "without a zone and with a blank",
                "2026-11-20 07:06:43",
                Some("2026-11-20T07:06:43+00:00"),
            ),
            (
                "last_update",
                "Fri Nov 20 07:06:44 2026",
                Some("2026-11-20T07:06:44+00:00"),
            ),
            (
                "last_update in the month's first days",
                "Tue Nov  3 07:06:44 2026",
                Some("2026-11-03T07:06:44+00:00"),
            ),
            ("epoch", "1795158416", Some("2026-11-20T07:06:56+00:00")),
            ("empty", "", None),
            ("a word", "yesterday", None),
            ("minus", "-5", None),
            ("an hour that does not exist", "2026-11-20 27:06:43Z", None),
            ("more digits than a number has", "99999999999999999999999", None),
            ("a far too large number", "9223372036854775807", None),
            ("not ASCII", "２０２６-11-20 07:06:43Z", None),
        ] {
            let read = parse_time(text).ok().map(|time| time.to_rfc3339());
            assert_eq!(read.as_deref(), expected, "{name}");
        }
    }
}
