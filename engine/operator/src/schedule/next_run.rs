//! Due times of jobs: a function of the job's row, the time and its schedule.

use std::time::Duration;

use chrono::TimeZone;
use tachi_domain::Timestamp;
use tachi_engine::ports::JobLine;

use crate::JobSchedule;

/// Maximum duration of a run, after which it is stopped.
pub const MAX_RUN: Duration = Duration::from_mins(30);

/// Maximum duration of the drill of one host.
pub const MAX_DRILL: Duration = Duration::from_mins(2);

/// Maximum difference between the clocks of engines. A row from further ahead was written by a clock that was set back since.
const MAX_CLOCK_SKEW: Duration = Duration::from_hours(1);

/// True if the job is running.
pub fn is_under_way(line: &JobLine, now: Timestamp) -> bool {
    let longest = if line.name.starts_with("drill ") {
        MAX_DRILL
    } else {
        MAX_RUN
    };
    line.end.is_none()
        && line.begun_at <= now.plus(MAX_CLOCK_SKEW)
        && now < line.begun_at.plus(longest + longest)
}

/// Returns the due time of the next run: the last one that has passed without a run, else the next one. Several missed times are
/// made up for by one run. `started` is when this engine started: a job that never ran has missed nothing before that.
pub fn begins_at<Z: TimeZone>(
    when: JobSchedule,
    line: Option<&JobLine>,
    started: Timestamp,
    now: Timestamp,
    zone: &Z,
) -> Timestamp {
    let due = line
        .and_then(|line| line.due)
        .filter(|due| *due <= now.plus(MAX_CLOCK_SKEW));
    match (when, due) {
        (JobSchedule::Every(_), None) => now,
        (JobSchedule::Every(period), Some(due)) => {
            let period = i64::try_from(period.as_micros()).unwrap_or(i64::MAX).max(1);
            let passed = now.micros_since(due) / period;
            Timestamp::from_micros(due.micros().saturating_add(passed.max(1).saturating_mul(period)))
        }
        (JobSchedule::At(..), due) => {
            let missed = when.before(now, zone).filter(|at| *at > due.unwrap_or(started));
            missed
                .or_else(|| when.after(now, zone))
                .unwrap_or(now.plus(MAX_RUN))
        }
    }
}

#[cfg(test)]
mod tests {
    use tachi_domain::situation::Severity;
    use tachi_engine::ports::JobEnd;

    use super::*;
    use tachi_testkit::{TestTimeZone, utc};

    fn line(due: Option<&str>, begun: &str, ended: bool) -> JobLine {
        JobLine {
            name: "doctor".into(),
            run: 3,
            due: due.map(utc),
            begun_at: utc(begun),
            by: "ctl-1".into(),
            end: ended.then(|| JobEnd {
                at: utc(begun),
                grade: Severity::Ok,
                details: String::new(),
            }),
            good_at: None,
        }
    }

    #[test]
    fn it_begins_once_for_each_time_and_once_for_all_that_were_missed() {
        let daily = JobSchedule::parse("daily 03:00").unwrap();
        let at = |line: Option<&JobLine>, now: &str| {
            begins_at(daily, line, utc("11-10T12:00"), utc(now), &TestTimeZone)
        };
        // The job never ran: it is due at the first time after the engine's start.
        assert_eq!(at(None, "11-10T12:00"), utc("11-11T02:00"));
        assert_eq!(at(None, "11-11T02:00"), utc("11-11T02:00"));
        assert_eq!(
            at(None, "11-13T07:00"),
            utc("11-13T02:00"),
            "late, for the last of them"
        );
        let begun = line(Some("11-13T02:00"), "11-13T07:00", true);
        assert_eq!(at(Some(&begun), "11-13T07:01"), utc("11-14T02:00"));
        assert_eq!(at(Some(&begun), "11-14T02:00"), utc("11-14T02:00"));
        // A run by hand does not affect the schedule.
        let by_hand = line(None, "11-13T01:59", true);
        assert_eq!(at(Some(&by_hand), "11-13T02:00"), utc("11-13T02:00"));
        // The clock goes back by an hour, or was a year ahead.
        assert_eq!(
            at(Some(&begun), "11-13T01:30"),
            utc("11-13T02:00"),
            "another engine's clock is behind"
        );
        let ahead = line(Some("12-30T02:00"), "12-30T02:00", true);
        assert_eq!(at(Some(&ahead), "11-13T07:00"), utc("11-13T02:00"));
    }

    #[test]
    fn what_is_done_again_and_again_keeps_its_step() {
        let every = JobSchedule::parse("every 6h").unwrap();
        let at = |due: Option<&str>, now: &str| {
            let line = due.map(|due| line(Some(due), due, true));
            begins_at(every, line.as_ref(), utc("11-10T12:00"), utc(now), &TestTimeZone)
        };
        assert_eq!(at(None, "11-10T12:00"), utc("11-10T12:00"), "at once");
        assert_eq!(at(Some("11-10T12:00"), "11-10T12:00"), utc("11-10T18:00"));
        assert_eq!(at(Some("11-10T12:00"), "11-10T18:07"), utc("11-10T18:00"));
        assert_eq!(
            at(Some("11-10T12:00"), "11-12T01:00"),
            utc("11-12T00:00"),
            "once for all seven"
        );
        assert_eq!(at(Some("11-10T12:00"), "11-10T11:30"), utc("11-10T18:00"));
        assert_eq!(
            at(Some("12-10T12:00"), "11-10T11:30"),
            utc("11-10T11:30"),
            "the clock was ahead"
        );
    }

    #[test]
    fn who_has_died_at_it_does_not_stop_it_for_good() {
        let runs = line(None, "11-10T12:00", false);
        assert!(is_under_way(&runs, utc("11-10T12:59")));
        assert!(!is_under_way(&runs, utc("11-10T13:00")));
        assert!(!is_under_way(
            &line(None, "11-10T12:00", true),
            utc("11-10T12:01")
        ));
        assert!(
            !is_under_way(&runs, utc("11-09T12:00")),
            "begun by a clock that was ahead"
        );
        let drill = JobLine {
            name: "drill compute-001".into(),
            ..runs
        };
        assert!(is_under_way(&drill, utc("11-10T12:03")));
        assert!(
            !is_under_way(&drill, utc("11-10T12:04")),
            "it is soon asked again"
        );
    }
}
