//! A time zone with summer time, which does not depend on the machine.

#![allow(clippy::unwrap_used, reason = "a test with a wrong date has failed")]

use chrono::{DateTime, FixedOffset, LocalResult, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use tachi_domain::Timestamp;

/// The time zone of Berlin in 2026: UTC+1, and UTC+2 from 29 March to 25 October, 01:00 UTC.
#[derive(Clone, Copy, Debug)]
pub struct TestTimeZone;

fn offset(hours: i32) -> FixedOffset {
    FixedOffset::east_opt(hours * 3_600).unwrap()
}

impl TimeZone for TestTimeZone {
    type Offset = FixedOffset;

    fn from_offset(_: &FixedOffset) -> Self {
        Self
    }

    fn offset_from_local_date(&self, _: &NaiveDate) -> MappedLocalTime<FixedOffset> {
        unreachable!("days have no offset")
    }

    fn offset_from_local_datetime(&self, there: &NaiveDateTime) -> MappedLocalTime<FixedOffset> {
        let fits = |hours| {
            let offset = offset(hours);
            (self.offset_from_utc_datetime(&(*there - offset)) == offset).then_some(offset)
        };
        match (fits(2), fits(1)) {
            (Some(summer), Some(winter)) => LocalResult::Ambiguous(summer, winter),
            (Some(one), None) | (None, Some(one)) => LocalResult::Single(one),
            (None, None) => LocalResult::None,
        }
    }

    fn offset_from_utc_date(&self, _: &NaiveDate) -> FixedOffset {
        unreachable!("days have no offset")
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> FixedOffset {
        let at = |month, day| {
            NaiveDate::from_ymd_opt(2026, month, day)
                .unwrap()
                .and_hms_opt(1, 0, 0)
                .unwrap()
        };
        offset(if (at(3, 29)..at(10, 25)).contains(utc) {
            2
        } else {
            1
        })
    }
}

/// Returns the moment of `text`, such as `11-10T12:00`, in UTC of 2026.
///
/// # Panics
///
/// The text is no time.
#[must_use]
pub fn utc(text: &str) -> Timestamp {
    let at = format!("2026-{text}:00Z").parse::<DateTime<Utc>>().unwrap();
    Timestamp::from_micros(at.timestamp_micros())
}
