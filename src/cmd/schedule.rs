//! `tachi schedule`: what engines do by the clock.

use std::time::Duration;

use chrono::Local;
use serde_json::json;
use tachi_domain::Timestamp;
use tachi_domain::situation::{DeviceTest, Grade};
use tachi_engine::ports::{FactStore as _, JobLine, Jobs as _};
use tachi_engine::watcher::kind;
use tachi_operator::Time;
use tachi_operator::when::lasting;

use super::status::code;
use super::who::who;
use super::{Failure, command_settings};
use crate::cli::{ScheduleCommand, ScheduleListArgs, ScheduleRunArgs};
use crate::out::{self, Cell, Column, Sheet, answer, waiting};
use crate::schedule::{
    Job, LONGEST, Outcome, Schedule, When, Work as _, Worker, begins_at, by_hand, is_under_way,
};
use crate::settings::Settings;
use crate::wiring::{self, Base};

/// Carries out one of them.
pub(crate) async fn run(command: ScheduleCommand) -> Result<u8, Failure> {
    match command {
        ScheduleCommand::List(args) => list(args).await,
        ScheduleCommand::Run(args) => now(args).await,
    }
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    job: String,
    /// As it is configured; empty for what is only done by hand.
    when: String,
    last: Option<Timestamp>,
    took: Option<Duration>,
    grade: Option<Grade>,
    result: String,
    next: Option<Timestamp>,
}

async fn list(args: ScheduleListArgs) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let lines = base.store.jobs().jobs().await;
    let lines = lines.map_err(|error| Failure::new("reading the jobs", error))?;
    let now = base.clock.wall();
    let mut rows: Vec<Row> = devices(&settings, &base).await?.into_iter().collect();
    rows.extend(of_jobs(&settings.schedule, &lines, now));
    let none =
        "nothing is done by the clock: write [schedule] doctor = daily 03:00 into the engines' configuration";
    answer::list(&args.shape, now, &sheet(&rows), none)?;
    Ok(crate::DONE)
}

/// The tests of fence devices, which engines do all the time.
async fn devices(settings: &Settings, base: &Base) -> Result<Option<Row>, Failure> {
    let facts = base.store.facts().facts(Some(kind::TESTS)).await;
    let facts = facts.map_err(|error| Failure::new("reading the tests of devices", error))?;
    let Some(fact) = facts.first() else {
        return Ok(None);
    };
    let tests: Vec<DeviceTest> = serde_json::from_str(&fact.value)
        .map_err(|error| Failure::new("reading the tests of devices", error))?;
    Ok(of_devices(&tests, settings.fencing.self_test))
}

fn of_devices(tests: &[DeviceTest], every: Option<Duration>) -> Option<Row> {
    let last = tests.iter().map(|one| one.as_of).max()?;
    let good = tests.iter().filter(|one| one.fault.is_none()).count();
    Some(Row {
        job: "devices".to_owned(),
        when: every
            .map(|every| format!("every {}", lasting(every)))
            .unwrap_or_default(),
        last: Some(last),
        took: None,
        grade: Some(if good == tests.len() {
            Grade::Ok
        } else {
            Grade::Err
        }),
        result: format!("{good}/{} good", tests.len()),
        next: every.map(|every| last.plus(every)),
    })
}

fn of_jobs(schedule: &Schedule, lines: &[JobLine], now: Timestamp) -> Vec<Row> {
    let of = |name: &str, when: Option<When>| {
        let line = lines.iter().find(|line| line.name == name);
        if when.is_none() && line.is_none() {
            return None;
        }
        let end = line.and_then(|line| line.end.as_ref());
        let took = line
            .zip(end)
            .map(|(line, end)| end.at.micros_since(line.begun_at));
        Some(Row {
            job: name.to_owned(),
            when: when.map(|when| when.to_string()).unwrap_or_default(),
            last: line.map(|line| line.begun_at),
            took: took.map(|took| Duration::from_micros(took.max(0).unsigned_abs())),
            grade: end.map(|end| end.grade),
            result: match (line, end) {
                (None, _) => "not yet".to_owned(),
                (_, Some(end)) => end.details.clone(),
                (Some(line), None) if is_under_way(line, now) => format!("under way: {}", line.by),
                (Some(line), None) => format!("not finished: {} has gone", line.by),
            },
            next: when.map(|when| begins_at(when, line, now, now, &Local)),
        })
    };
    let jobs = Job::ALL
        .into_iter()
        .filter_map(|job| of(job.as_str(), schedule.when(job)));
    let drills = lines.iter().filter(|line| line.name.starts_with("drill "));
    jobs.chain(drills.filter_map(|line| of(&line.name, None)))
        .collect()
}

fn sheet(rows: &[Row]) -> Sheet<7> {
    let columns = [
        Column::new("job"),
        Column::new("when"),
        Column::of("last", "last_at"),
        Column::of("took", "took_seconds"),
        Column::new("grade"),
        Column::new("result"),
        Column::of("next", "next_at"),
    ];
    Sheet::new(columns, rows, |row| {
        let time = |at: Option<Timestamp>| at.map_or_else(|| Cell::text("-"), Cell::Time);
        let took = row.took.map(|took| took.as_secs_f64());
        let cells = [
            Cell::text(&row.job),
            Cell::text(&row.when),
            time(row.last),
            Cell::text(took.map_or_else(|| "-".to_owned(), |took| format!("{took:.1} s"))),
            Cell::text(row.grade.map_or("-", Grade::as_str)),
            Cell::prose(&row.result),
            time(row.next),
        ];
        let object = json!({
            "job": row.job, "when": row.when, "last_at": row.last.map(Time), "took_seconds": took, "grade": row.grade,
            "result": row.result, "next_at": row.next.map(Time),
        });
        (cells, object)
    })
}

/// Does it now.
async fn now(args: ScheduleRunArgs) -> Result<u8, Failure> {
    let job = Job::from(args.job);
    let by = who(None)?;
    let settings = command_settings(&args.config)?;
    let base = wiring::existing(&settings).await?;
    let run = by_hand::begin(&base, job.as_str(), &by).await?;
    let worker = Worker(args.config);
    let what = format!("the job {job}");
    let work = waiting(&what, tokio::time::timeout(LONGEST, worker.run(job, run)));
    let outcome = match by_hand::unless_stopped(work, by_hand::ctrl_c()).await {
        Ok(done) => done.unwrap_or_else(|_| Outcome {
            grade: Grade::Err,
            details: format!("given up: not over after {} min", LONGEST.as_secs() / 60),
        }),
        Err(stopped) => stopped.into(),
    };
    by_hand::end(&base, job.as_str(), run, &outcome).await?;
    out::line(format!(
        "{job}: {}: {}",
        outcome.grade,
        out::plain(&outcome.details)
    ));
    Ok(code(outcome.grade))
}

#[cfg(test)]
mod tests {
    use tachi_engine::ports::JobEnd;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros((1_700_000_000 + seconds) * 1_000_000)
    }

    fn line(end: Option<(i64, Grade, &str)>) -> JobLine {
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
                (Job::Doctor, When::parse("every 6h").unwrap()),
                (Job::Purge, When::parse("daily 03:30").unwrap()),
            ],
            purge_age_in_days: 30,
        };
        let rows = of_jobs(&schedule, &[line(Some((6, Grade::Err, "2 errors")))], at(60));
        assert_eq!(
            rows[0],
            Row {
                job: "doctor".into(),
                when: "every 6h".into(),
                last: Some(at(0)),
                took: Some(Duration::from_secs(6)),
                grade: Some(Grade::Err),
                result: "2 errors".into(),
                next: Some(at(6 * 3_600)),
            }
        );
        assert_eq!((rows[1].result.as_str(), rows[1].last), ("not yet", None));
        assert!(rows[1].next.is_some_and(|next| next > at(60)));
        let result = |now| of_jobs(&schedule, &[line(None)], now)[0].result.clone();
        assert_eq!(result(at(60)), "under way: ctl-1:7:a");
        assert_eq!(result(at(7_200)), "not finished: ctl-1:7:a has gone");
        let by_hand = of_jobs(&Schedule::default(), &[line(None)], at(60));
        assert_eq!(
            (by_hand.len(), by_hand[0].next),
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
            fault: None,
            failures: 0,
        };
        let good = test.clone();
        test.fault = Some("it hangs".into());
        test.as_of = at(5);
        let row = of_devices(&[good, test], Some(Duration::from_mins(5))).unwrap();
        assert_eq!((row.result.as_str(), row.grade), ("1/2 good", Some(Grade::Err)));
        assert_eq!((row.last, row.next), (Some(at(5)), Some(at(305))));
        assert_eq!(of_devices(&[], None), None);
    }
}
