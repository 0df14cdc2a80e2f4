//! Parser and writer of times in the formats of Keystone and Nova.

use chrono::{DateTime, NaiveDateTime};
use tachi_domain::Timestamp;

/// Parses ISO 8601. Nova's times have no zone or a `Z`; both mean UTC.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
        return Some(Timestamp::from_micros(zoned.timestamp_micros()));
    }
    let naive = NaiveDateTime::parse_from_str(text.trim_end_matches('Z'), "%Y-%m-%dT%H:%M:%S%.f").ok()?;
    Some(Timestamp::from_micros(naive.and_utc().timestamp_micros()))
}

/// Formats a time in whole seconds, in the form that Nova reads.
pub(crate) fn iso(at: Timestamp) -> String {
    DateTime::from_timestamp_micros(at.micros())
        .unwrap_or_default()
        .format("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Parses the `Date` header.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(Timestamp::from_micros(date.timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_spellings_of_one_instant_are_the_same() {
        let expected = Some(Timestamp::from_micros(1_700_000_000_000_000));
        for text in [
            "2023-11-14T22:13:20",
            "2023-11-14T22:13:20Z",
            "2023-11-14T22:13:20.000000",
            "2023-11-14T22:13:20.000000Z",
            "2023-11-15T00:13:20+02:00",
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
        assert_eq!(parse_http_date("Tue, 14 Nov 2023 22:13:20 GMT"), expected);
        assert_eq!(
            parse("2023-11-14T22:13:20.25"),
            Some(Timestamp::from_micros(1_700_000_000_250_000))
        );
    }

    #[test]
    fn nonsense_is_no_time() {
        for text in ["", "now", "2023-11-14", "2023-13-14T22:13:20", "1700000000"] {
            assert_eq!(parse(text), None, "{text}");
            assert_eq!(parse_http_date(text), None, "{text}");
        }
    }
}
