//! Times, as people write and read them. All are UTC.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tachi_domain::Timestamp;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// A time as [`time`] writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

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

/// As we write it.
pub fn time(at: Timestamp) -> String {
    DateTime::<Utc>::from_timestamp_micros(at.micros()).map_or_else(
        || "?".into(),
        |at| at.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

/// How long ago `at` was, in words; clocks may differ, so that nothing is ever ahead.
pub fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.micros().saturating_sub(at.micros()).max(0) / 1_000_000;
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// Reads a time: so long before `now` (`90s`, `30m`, `12h`, `7d`), or as clients of OpenStack write it.
///
/// # Errors
///
/// It is none; for people.
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
    fn ages_are_told_in_words() {
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
