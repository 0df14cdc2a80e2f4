//! Dates and times in requests and answers.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike};
use tachi_domain::Timestamp;
use utoipa::openapi::schema::{ObjectBuilder, Schema};
use utoipa::openapi::{RefOr, Type};
use utoipa::{PartialSchema, ToSchema};

/// A time formatted as `YYYY-MM-DDTHH:MM:SS.ffffff`, in UTC, without a zone.
pub(crate) struct Iso(pub(crate) Timestamp);

impl std::fmt::Display for Iso {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_with(f, self.0, 'T', true)
    }
}

impl PartialSchema for Iso {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$"))
            .description(Some("A time in UTC, without a zone."))
            .examples(["2026-11-20T06:15:08.000000"])
            .into()
    }
}

impl ToSchema for Iso {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

impl serde::Serialize for Iso {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A time formatted as `YYYY-MM-DD HH:MM:SS`, with a fraction only if it has one. Progress details use this form.
pub(crate) struct SpacedTime(pub(crate) Timestamp);

impl std::fmt::Display for SpacedTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write_with(f, self.0, ' ', false)
    }
}

fn write_with(
    f: &mut std::fmt::Formatter<'_>,
    time: Timestamp,
    between: char,
    always_fraction: bool,
) -> std::fmt::Result {
    // Only a time hundreds of thousands of years away has no calendar date. It is shown as the epoch.
    let at = DateTime::from_timestamp_micros(time.micros()).unwrap_or_default();
    write!(
        f,
        "{:04}-{:02}-{:02}{between}{:02}:{:02}:{:02}",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )?;
    let fraction = at.timestamp_subsec_micros();
    if always_fraction || fraction != 0 {
        write!(f, ".{fraction:06}")?;
    }
    Ok(())
}

/// The forms that [`parse`] accepts, for error messages and documentation.
pub(crate) const ACCEPTED_FORMS: &str = "ISO 8601. Without an offset it is UTC. `T` may be a blank. The basic form, any \
    fraction, a time without seconds and a date without a time are also accepted.";

/// Parses ISO 8601 as leniently as existing clients need: with or without a fraction, `T` or a blank, basic or extended form,
/// truncated after minutes, hours, day, month or year. Without an offset the time is UTC. Fractions finer than a
/// microsecond are truncated.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let mut rest = Cursor(text);
    let date = date(&mut rest)?;
    let (time, offset_minutes) = if rest.0.is_empty() {
        (NaiveTime::MIN, 0)
    } else {
        if !(rest.eat('T') || rest.eat(' ')) {
            return None;
        }
        (time(&mut rest)?, offset(&mut rest)?)
    };
    if !rest.0.is_empty() {
        return None;
    }
    let utc = date
        .and_time(time)
        .checked_sub_signed(chrono::Duration::minutes(offset_minutes))?;
    // Every reader of Tachi's times supports years with four digits only.
    (1..=9999)
        .contains(&utc.year())
        .then(|| Timestamp::from_micros(utc.and_utc().timestamp_micros()))
}

fn date(rest: &mut Cursor<'_>) -> Option<NaiveDate> {
    let year = i32::try_from(rest.digits(4, 4)?).ok().filter(|year| *year > 0)?;
    let (month, day) = if rest.eat('-') {
        let month = rest.digits(1, 2)?;
        let day = if rest.eat('-') {
            rest.digits(1, 2)?
        } else if rest.0.is_empty() {
            1
        } else {
            rest.digits(2, 2)?
        };
        (month, day)
    } else if rest.0.is_empty() {
        (1, 1)
    } else {
        let month = rest.digits(2, 2)?;
        // YYYYMM is ambiguous with YYMMDD, so a month without a day needs its hyphen.
        let day = if rest.eat('-') {
            rest.digits(1, 2)?
        } else {
            rest.digits(2, 2)?
        };
        (month, day)
    };
    NaiveDate::from_ymd_opt(year, month, day)
}

fn time(rest: &mut Cursor<'_>) -> Option<NaiveTime> {
    let hour = rest.digits(2, 2)?;
    let (mut minute, mut second, mut micros) = (0, 0, 0);
    if rest.eat(':') || rest.at_digit() {
        minute = rest.digits(2, 2)?;
        if rest.eat(':') || rest.at_digit() {
            second = rest.digits(1, 2)?;
            if rest.eat('.') || rest.eat(',') {
                micros = rest.fraction()?;
            }
        }
    }
    NaiveTime::from_hms_micro_opt(hour, minute, second, micros)
}

/// Parses an offset, in minutes east of UTC.
fn offset(rest: &mut Cursor<'_>) -> Option<i64> {
    if rest.eat('Z') || rest.0.is_empty() {
        return Some(0);
    }
    let sign = if rest.eat('+') {
        1
    } else if rest.eat('-') {
        -1
    } else {
        return None;
    };
    let hours = rest.digits(2, 2)?;
    let colon = rest.eat(':');
    let minutes = if colon || rest.at_digit() {
        rest.digits(2, 2)?
    } else {
        0
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 60 + minutes))
}

/// The rest of the text.
struct Cursor<'a>(&'a str);

impl Cursor<'_> {
    fn eat(&mut self, expected: char) -> bool {
        match self.0.strip_prefix(expected) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }

    fn at_digit(&self) -> bool {
        self.0.starts_with(|c: char| c.is_ascii_digit())
    }

    /// Parses as many digits as there are, between `least` and `most`.
    fn digits(&mut self, least: usize, most: usize) -> Option<u32> {
        let length = self.0.bytes().take(most).take_while(u8::is_ascii_digit).count();
        if length < least {
            return None;
        }
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        digits.parse().ok()
    }

    /// Parses a fraction with any number of digits, in microseconds.
    fn fraction(&mut self) -> Option<u32> {
        let length = self.0.bytes().take_while(u8::is_ascii_digit).count();
        if length == 0 {
            return None;
        }
        let (digits, rest) = self.0.split_at(length);
        self.0 = rest;
        let micros = digits.get(..6).unwrap_or(digits);
        format!("{micros:0<6}").parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient_iso_8601() {
        let cases = [
            ("blank", "2017-04-21 17:29:55", Some("2017-04-21T17:29:55.000000")),
            ("T", "2017-04-21T17:29:55", Some("2017-04-21T17:29:55.000000")),
            (
                "fraction",
                "2017-04-21T17:29:55.123456",
                Some("2017-04-21T17:29:55.123456"),
            ),
            (
                "short fraction",
                "2017-04-21T17:29:55.5",
                Some("2017-04-21T17:29:55.500000"),
            ),
            (
                "long fraction is cut",
                "2017-04-21T17:29:55.1234569",
                Some("2017-04-21T17:29:55.123456"),
            ),
            (
                "comma",
                "2017-04-21T17:29:55,25",
                Some("2017-04-21T17:29:55.250000"),
            ),
            ("Z", "2017-04-21T17:29:55Z", Some("2017-04-21T17:29:55.000000")),
            (
                "east",
                "2017-04-21T17:29:55+02:00",
                Some("2017-04-21T15:29:55.000000"),
            ),
            (
                "west over midnight",
                "2017-04-21T23:29:55-0130",
                Some("2017-04-22T00:59:55.000000"),
            ),
            (
                "hours of offset only",
                "2017-04-21T17:29:55+02",
                Some("2017-04-21T15:29:55.000000"),
            ),
            (
                "basic form",
                "20261120T061508Z",
                Some("2026-11-20T06:15:08.000000"),
            ),
            (
                "minutes only",
                "2017-04-21T17:29",
                Some("2017-04-21T17:29:00.000000"),
            ),
            ("date only", "2017-04-21", Some("2017-04-21T00:00:00.000000")),
            ("month only", "2017-04", Some("2017-04-01T00:00:00.000000")),
            ("week date", "2017-W16-5", None),
            ("RFC 2822", "Fri, 21 Apr 2017 17:29:55 +0000", None),
            ("empty", "", None),
            ("trailing newline", "2017-04-21\n", None),
            ("no such day", "2017-02-30", None),
            ("hour 24", "2017-04-21T24:00:00", None),
            ("second 60", "2017-04-21T17:29:60", None),
            ("minute of offset 60", "2017-04-21T17:29:55+01:60", None),
            ("year 0", "0000-01-01", None),
            (
                "before year 1 after the offset",
                "0001-01-01T00:00:00+01:00",
                None,
            ),
            ("plus became a blank", "2017-04-21T17:29:55 02:00", None),
            ("no digits after the point", "2017-04-21T17:29:55.", None),
            ("other digits", "２０１７-04-21", None),
        ];
        for (name, text, expected) in cases {
            let got = parse(text).map(|time| Iso(time).to_string());
            assert_eq!(got.as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn progress_times_omit_a_zero_fraction() {
        let whole = parse("2019-03-07 13:54:28").unwrap();
        let part = parse("2019-03-07 13:54:28.000031").unwrap();
        assert_eq!(SpacedTime(whole).to_string(), "2019-03-07 13:54:28");
        assert_eq!(SpacedTime(part).to_string(), "2019-03-07 13:54:28.000031");
        let ancient = Timestamp::from_micros(-1);
        assert_eq!(Iso(ancient).to_string(), "1969-12-31T23:59:59.999999");
    }
}
