//! List of the jobs: the last run of each, its result, and the next run. The command and the API share this code.

use std::time::Duration;

use chrono::Local;
use tachi_domain::Timestamp;
use tachi_domain::situation::{DeviceTest, Severity};
use tachi_engine::ports::{FactStore, JobLine, Jobs, JournalError};
use tachi_engine::watcher::kind;

use super::{Schedule, begins_at, is_under_way};
use crate::when::duration_text;
use crate::{Job, JobSchedule, JobView, Time};

/// Lists all jobs of `schedule`, and the tests of fence devices, which run at the interval `every`.
///
/// # Errors
///
/// The database failed, or contains something unexpected.
pub async fn listed(
    (jobs, facts): (&dyn Jobs, &dyn FactStore),
    schedule: &Schedule,
    every: Option<Duration>,
    now: Timestamp,
) -> Result<Vec<JobView>, JournalError> {
    let lines = jobs.jobs().await?;
    let facts = facts.facts(Some(kind::TESTS)).await?;
    let tests: Vec<DeviceTest> = match facts.first() {
        Some(fact) => serde_json::from_str(&fact.value)
            .map_err(|error| JournalError::new("reading the tests of devices", error))?,
        None => Vec::new(),
    };
    let mut rows: Vec<JobView> = of_devices(&tests, every, now).into_iter().collect();
    rows.extend(of_jobs(schedule, &lines, now));
    Ok(rows)
}

/// Summarises the tests of fence devices, which engines make continuously.
fn of_devices(tests: &[DeviceTest], every: Option<Duration>, now: Timestamp) -> Option<JobView> {
    let last = tests.iter().map(|test| test.as_of).max()?;
    // The devices are tested round-robin: the next is the one whose test is oldest.
    let first = tests.iter().map(|test| test.as_of).min()?;
    let good = tests.iter().filter(|test| test.fault.is_none()).count();
    Some(JobView {
        job: "devices".to_owned(),
        when: every
            .map(|every| format!("every {}", duration_text(every)))
            .unwrap_or_default(),
        last_at: Some(Time(last)),
        took_seconds: None,
        grade: Some(if good == tests.len() {
            Severity::Ok
        } else {
            Severity::Err
        }),
        result: format!("{good}/{} good", tests.len()),
        // A test that is late, because another device hangs, is next.
        next_at: every.map(|every| Time(first.plus(every).max(now))),
    })
}

fn of_jobs(schedule: &Schedule, lines: &[JobLine], now: Timestamp) -> Vec<JobView> {
    let of = |name: &str, when: Option<JobSchedule>| {
        let line = lines.iter().find(|line| line.name == name);
        if when.is_none() && line.is_none() {
            return None;
        }
        let end = line.and_then(|line| line.end.as_ref());
        let took = line
            .zip(end)
            .map(|(line, end)| end.at.micros_since(line.begun_at));
        Some(JobView {
            job: name.to_owned(),
            when: when.map(|when| when.to_string()).unwrap_or_default(),
            last_at: line.map(|line| Time(line.begun_at)),
            took_seconds: took.map(|took| Duration::from_micros(took.max(0).unsigned_abs()).as_secs_f64()),
            grade: end.map(|end| end.grade),
            result: match (line, end) {
                (None, _) => "not yet".to_owned(),
                (_, Some(end)) => end.details.clone(),
                (Some(line), None) if is_under_way(line, now) => format!("under way: {}", line.by),
                (Some(line), None) => format!("not finished: {} has stopped", line.by),
            },
            next_at: when.map(|when| Time(begins_at(when, line, now, now, &Local))),
        })
    };
    let jobs = Job::ALL
        .into_iter()
        .filter_map(|job| of(job.as_str(), schedule.when(job)));
    let drills = lines
        .iter()
        .filter(|line| line.name.starts_with("drill ") || line.name.starts_with("live drill "));
    jobs.chain(drills.filter_map(|line| of(&line.name, None)))
        .collect()
}

#[cfg(test)]
mod tests {
    use tachi_engine::ports::JobEnd;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_700_000_000 + seconds) * 1_000_000)
    }

    fn line(end: Option<(i64, Severity, &str)>) -> JobLine {
        JobLine {
            name: "doctor".into(),
            run: 1,
            due: Some(at(0)),
            begun_at: at(0),
            by: "ctl-1:7:a".into(),
            end: end.map(|(seconds, grade, details)| JobEnd {
                at: at(seconds),
                grade,
                details: details.into(),
            }),
            good_at: None,
        }
    }

    #[test]
    fn each_job_tells_how_it_went_and_when_it_goes_again() {
        let schedule = Schedule {
            jobs: vec![
                (Job::Doctor, JobSchedule::parse("every 6h").unwrap()),
                (Job::Purge, JobSchedule::parse("daily 03:30").unwrap()),
            ],
            purge_age_in_days: 30,
        };
        let rows = of_jobs(&schedule, &[line(Some((6, Severity::Err, "2 errors")))], at(60));
        assert_eq!(
            rows[0],
            JobView {
                job: "doctor".into(),
                when: "every 6h".into(),
                last_at: Some(Time(at(0))),
                took_seconds: Some(6.0),
                grade: Some(Severity::Err),
                result: "2 errors".into(),
                next_at: Some(Time(at(6 * 3_600))),
            }
        );
        assert_eq!((rows[1].result.as_str(), rows[1].last_at), ("not yet", None));
        assert!(rows[1].next_at.is_some_and(|next| next > Time(at(60))));
        let result = |now| of_jobs(&schedule, &[line(None)], now)[0].result.clone();
        assert_eq!(result(at(60)), "under way: ctl-1:7:a");
        assert_eq!(result(at(7_200)), "not finished: ctl-1:7:a has stopped");
        let by_hand = of_jobs(&Schedule::default(), &[line(None)], at(60));
        assert_eq!(
            (by_hand.len(), by_hand[0].next_at),
            (1, None),
            "what was done by hand is shown too"
        );
        assert!(of_jobs(&Schedule::default(), &[], at(60)).is_empty());
    }

    #[test]
    fn one_device_that_fails_is_seen() {
        let mut test = DeviceTest {
            host: "compute-001".into(),
            level: 1,
            device: "bmc".into(),
            target: "bmc".into(),
            as_of: at(0),
            counts_for: 60,
            power: None,
            fault: None,
            failures: 0,
        };
        let good = test.clone();
        test.fault = Some("it hangs".into());
        test.as_of = at(5);
        let row = of_devices(
            &[good.clone(), test.clone()],
            Some(Duration::from_mins(5)),
            at(20),
        )
        .unwrap();
        assert_eq!(
            (row.result.as_str(), row.grade),
            ("1/2 good", Some(Severity::Err))
        );
        assert_eq!(
            (row.last_at, row.next_at),
            (Some(Time(at(5))), Some(Time(at(300))))
        );
        let late = of_devices(&[good, test], Some(Duration::from_mins(5)), at(400)).unwrap();
        assert_eq!(
            late.next_at,
            Some(Time(at(400))),
            "what is late is next, and not in the past"
        );
        assert_eq!(of_devices(&[], None, at(20)), None);
    }
}
