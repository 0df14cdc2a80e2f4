//! Times in Python's formats.

use chrono::DateTime;
use tachi_domain::Timestamp;

/// Formats the time of a payload: whole seconds.
pub(crate) fn in_payload(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%SZ")
}

/// Formats the time of a message.
pub(crate) fn of_message(at: Timestamp) -> String {
    format(at, "%Y-%m-%d %H:%M:%S%.6f")
}

/// Formats the time of a message's context.
pub(crate) fn of_context(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%S%.6f")
}

/// Formats a time. A time outside the calendar's range becomes 1970.
fn format(at: Timestamp, pattern: &str) -> String {
    DateTime::from_timestamp_micros(at.micros())
        .unwrap_or_default()
        .format(pattern)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms() {
        let at = Timestamp::from_micros(1_795_177_815_250_000);
        assert_eq!(in_payload(at), "2026-11-20T12:30:15Z");
        assert_eq!(of_message(at), "2026-11-20 12:30:15.250000");
        assert_eq!(of_context(at), "2026-11-20T12:30:15.250000");
    }

    #[test]
    fn a_time_out_of_range_does_not_panic() {
        for micros in [i64::MIN, i64::MAX, -1, 0] {
            assert!(in_payload(Timestamp::from_micros(micros)).ends_with('Z'));
        }
    }
}
