//! Times and durations, as people write and read them. All times are UTC.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tachi_domain::Timestamp;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// A time that serializes as [`time`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time(self.0))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&time(self.0))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let at = DateTime::parse_from_rfc3339(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(Timestamp::from_micros(at.timestamp_micros())))
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("A time in UTC, to the millisecond."))
            .examples(["2026-11-20T06:15:08.000Z"])
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Instant".into()
    }
}

/// Formats a time as RFC 3339 in UTC, to the millisecond.
pub fn time(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_micros(at.micros()).map_or_else(
        || "?".into(),
        |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// Returns the time since `at` in words, ending in "ago". Clocks may differ, so a time in the future counts as now.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    format!("{} ago", age(at, now))
}

/// Returns the time since `at` in words.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.micros().saturating_sub(at.micros()).max(0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns a duration in words.
pub fn duration_text(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds % 3_600 / 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) if hours >= 48 && hours % 24 == 0 => format!("{} days", hours / 24),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// Parses a duration: `45m`, `2h`, `1h30m`, `1d`.
///
/// # Errors
///
/// The text is not a duration, or zero; for people.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration: write 45m, 2h, 1h30m or 1d");
    let (mut all, mut digits) = (0_u64, String::new());
    for character in text.trim().chars() {
        if character.is_ascii_digit() {
            digits.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            _ => return Err(wrong()),
        };
        let number: u64 = std::mem::take(&mut digits).parse().map_err(|_| wrong())?;
        let seconds = number.checked_mul(unit);
        all = seconds.and_then(|more| all.checked_add(more)).ok_or_else(wrong)?;
    }
    if !digits.is_empty() || all == 0 {
        return Err(wrong());
    }
    Ok(Duration::from_secs(all))
}

/// Parses a time: either an age before `now` (`90s`, `30m`, `12h`, `7d`), or a time in a form that OpenStack clients use.
///
/// # Errors
///
/// The text is not a time; for people.
pub fn since(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let wrong = || format!("--since {text:?}: write 30m, 12h or 7d, or a time such as 2026-11-20T08:00:00");
    let text = text.trim();
    for (unit, seconds) in [("s", 1_i64), ("m", 60), ("h", 3_600), ("d", 86_400)] {
        if let Some(Ok(number)) = text.strip_suffix(unit).map(str::parse::<u32>) {
            let before = i64::from(number).saturating_mul(seconds);
            return Ok(now.minus_seconds(before));
        }
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_micros(at.timestamp_micros()));
    }
    for form in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, form) {
            return Ok(Timestamp::from_micros(at.and_utc().timestamp_micros()));
        }
    }
    let midnight = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .and_then(|day| day.and_hms_opt(0, 0, 0));
    midnight
        .map(|at| Timestamp::from_micros(at.and_utc().timestamp_micros()))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed_and_rendered() {
        for (text, expected) in [
            ("45m", Some("45 min")),
            (" 2h ", Some("2 h")),
            ("1h30m", Some("1 h 30 min")),
            ("1d", Some("24 h")),
            ("30s", Some("30 s")),
            ("0h", None),
            ("2", None),
            ("h", None),
            ("-2h", None),
            ("2 h", None),
            ("99999999999999999999h", None),
            ("9999999999999999999d", None),
            ("", None),
            ("2h\u{1b}", None),
        ] {
            let read = span(text);
            assert_eq!(
                read.as_ref().ok().map(|time| duration_text(*time)).as_deref(),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        for (text, expected) in [
            ("90s", Some("2023-11-14T22:11:50.000Z")),
            ("30m", Some("2023-11-14T21:43:20.000Z")),
            (" 12h ", Some("2023-11-14T10:13:20.000Z")),
            ("7d", Some("2023-11-07T22:13:20.000Z")),
            ("2023-11-14T10:00:00", Some("2023-11-14T10:00:00.000Z")),
            ("2023-11-14 10:00:00.5", Some("2023-11-14T10:00:00.500Z")),
            ("2023-11-14T10:00:00+02:00", Some("2023-11-14T08:00:00.000Z")),
            ("2023-11-14", Some("2023-11-14T00:00:00.000Z")),
            ("", None),
            ("d", None),
            ("-3d", None),
            ("99999999999d", None),
            ("yesterday", None),
            ("2023-02-30", None),
        ] {
            let read = since(text, now).ok().map(time);
            assert_eq!(read.as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn ages_are_rendered_in_words() {
        let now = Timestamp::from_micros(1_700_000_000_000_000);
        for (seconds, expected) in [
            (-5, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(ago(now.minus_seconds(seconds), now), expected);
        }
    }
}
