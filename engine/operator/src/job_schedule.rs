//! Schedule of a job: `daily 03:00`, `weekly sun 04:00`, `every 6h`. Times of day are in this machine's time zone.

use std::fmt;
use std::time::Duration;

use chrono::{
    DateTime, Datelike as _, Days, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    Utc, Weekday,
};
use tachi_domain::Timestamp;

use crate::when::span;

/// Minimum interval: engines check four times as often.
const MIN_INTERVAL: Duration = Duration::from_mins(1);

/// Maximum interval.
const MAX_INTERVAL: Duration = Duration::from_hours(24 * 366);

/// The times of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSchedule {
    /// At this interval, counted from the time before.
    Every(Duration),
    /// Each day, or each week on a day.
    At(Option<Weekday>, NaiveTime),
}

impl JobSchedule {
    /// Parses a schedule.
    ///
    /// # Errors
    ///
    /// The text is not a schedule; the message is for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let time = |text: &str| {
            // An hour of one digit is accepted as well.
            NaiveTime::parse_from_str(text, "%H:%M")
                .map_err(|_| format!("{text:?} is not a time of day such as 03:00"))
        };
        match fields[..] {
            ["daily", at] => Ok(Self::At(None, time(at)?)),
            ["weekly", day, at] => {
                let day = day.parse();
                let day: Weekday = day.map_err(|_| format!("{:?} is not a day such as sun", fields[1]))?;
                Ok(Self::At(Some(day), time(at)?))
            }
            ["every", lasts] => {
                let lasts = span(lasts)?;
                if (MIN_INTERVAL..=MAX_INTERVAL).contains(&lasts) {
                    Ok(Self::Every(lasts))
                } else {
                    Err(format!("{text:?} is out of range: every 1m to every 366d"))
                }
            }
            _ => Err(format!("{text:?} is not a schedule")),
        }
    }

    /// Returns the last time at or before `now`; `None` for an interval.
    pub fn before<Z: TimeZone>(self, now: Timestamp, zone: &Z) -> Option<Timestamp> {
        let today = day_of(now, zone)?;
        let days = (0..=8).filter_map(|back| {
            today
                .checked_add_days(Days::new(1))?
                .checked_sub_days(Days::new(back))
        });
        let mut times = days.filter_map(|day| self.on(day, zone));
        times.find(|at| *at <= now)
    }

    /// Returns the first time after `now`; `None` for an interval.
    pub fn after<Z: TimeZone>(self, now: Timestamp, zone: &Z) -> Option<Timestamp> {
        let today = day_of(now, zone)?;
        let days = (0..=9).filter_map(|on| {
            today
                .checked_sub_days(Days::new(1))?
                .checked_add_days(Days::new(on))
        });
        let mut times = days.filter_map(|day| self.on(day, zone));
        times.find(|at| *at > now)
    }

    /// Returns the time on that day, if the schedule has one.
    fn on<Z: TimeZone>(self, day: NaiveDate, zone: &Z) -> Option<Timestamp> {
        let Self::At(weekday, time) = self else {
            return None;
        };
        if weekday.is_some_and(|weekday| weekday != day.weekday()) {
            return None;
        }
        moment(day.and_time(time), zone)
    }
}

/// Returns the moment at which the clocks of `zone` show this time.
pub fn moment<Z: TimeZone>(there: NaiveDateTime, zone: &Z) -> Option<Timestamp> {
    let at = match zone.from_local_datetime(&there) {
        LocalResult::Single(at) => at,
        // In autumn an hour occurs twice: the first one counts.
        LocalResult::Ambiguous(first, _) => first,
        // In spring an hour is skipped: the time an hour later is the moment that it would have been.
        LocalResult::None => zone
            .from_local_datetime(&(there + TimeDelta::hours(1)))
            .earliest()?,
    };
    Some(Timestamp::from_micros(at.timestamp_micros()))
}

fn day_of<Z: TimeZone>(now: Timestamp, zone: &Z) -> Option<NaiveDate> {
    let now = DateTime::<Utc>::from_timestamp_micros(now.micros())?;
    Some(now.with_timezone(zone).date_naive())
}

impl fmt::Display for JobSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(lasts) => {
                let minutes = lasts.as_secs() / 60;
                match (lasts.as_secs() % 60, minutes % 60) {
                    (0, 0) => write!(f, "every {}h", minutes / 60),
                    (0, _) => write!(f, "every {minutes}m"),
                    _ => write!(f, "every {}s", lasts.as_secs()),
                }
            }
            Self::At(None, time) => write!(f, "daily {}", time.format("%H:%M")),
            Self::At(Some(day), time) => {
                let day = day.to_string().to_ascii_lowercase();
                write!(f, "weekly {day} {}", time.format("%H:%M"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tachi_testkit::{TestTimeZone, utc};

    use super::*;

    #[test]
    fn it_is_read_and_written_as_people_do() {
        for text in [
            "daily 03:00",
            "weekly sun 04:00",
            "weekly mon 23:59",
            "every 6h",
            "every 90m",
            "every 90s",
        ] {
            assert_eq!(JobSchedule::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(
            JobSchedule::parse(" weekly  Sunday 4:00 ").unwrap().to_string(),
            "weekly sun 04:00"
        );
        assert_eq!(JobSchedule::parse("every 1d").unwrap().to_string(), "every 24h");
        for text in [
            "",
            "daily",
            "daily 24:00",
            "daily 3",
            "daily 03:00 04:00",
            "weekly 04:00",
            "weekly so 04:00",
            "every",
            "every 6",
            "every 59s",
            "every 400d",
            "every 0m",
            "0 3 * * *",
            "@daily",
            "daily 03:00\0",
            "DAILY 03:00",
        ] {
            assert!(JobSchedule::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn times_are_those_of_the_wall_there_also_when_an_hour_is_missing_or_twice() {
        let daily = JobSchedule::parse("daily 02:30").unwrap();
        for (now, before, after) in [
            ("03-27T12:00", "03-27T01:30", "03-28T01:30"),
            // On the 29th 02:30 does not exist: 03:30 is the moment.
            ("03-28T12:00", "03-28T01:30", "03-29T01:30"),
            ("03-29T12:00", "03-29T01:30", "03-30T00:30"),
            // On 25 October it exists twice: only the first counts.
            ("10-24T12:00", "10-24T00:30", "10-25T00:30"),
            ("10-25T00:30", "10-25T00:30", "10-26T01:30"),
            ("10-25T01:30", "10-25T00:30", "10-26T01:30"),
        ] {
            assert_eq!(daily.before(utc(now), &TestTimeZone), Some(utc(before)), "{now}");
            assert_eq!(daily.after(utc(now), &TestTimeZone), Some(utc(after)), "{now}");
        }
        // 22 November is a Sunday.
        let weekly = JobSchedule::parse("weekly sun 00:15").unwrap();
        for (now, before, after) in [
            ("11-21T23:14", "11-14T23:15", "11-21T23:15"),
            ("11-21T23:15", "11-21T23:15", "11-28T23:15"),
        ] {
            assert_eq!(weekly.before(utc(now), &TestTimeZone), Some(utc(before)), "{now}");
            assert_eq!(weekly.after(utc(now), &TestTimeZone), Some(utc(after)), "{now}");
        }
        assert_eq!(
            JobSchedule::parse("every 6h")
                .unwrap()
                .before(utc("11-21T23:14"), &TestTimeZone),
            None
        );
    }
}
