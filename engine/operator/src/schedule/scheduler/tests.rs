use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use async_trait::async_trait;
use chrono::Utc;
use tachi_engine::ports::JobEnd;
use tachi_testkit::utc;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;
use crate::JobSchedule;

/// A clock that goes with the runtime's, which is paused.
struct Wall {
    begun: tokio::time::Instant,
    at: AtomicI64,
}

impl Wall {
    fn at(text: &str) -> Arc<Self> {
        Arc::new(Self {
            begun: tokio::time::Instant::now(),
            at: AtomicI64::new(utc(text).micros()),
        })
    }
}

impl Clock for Wall {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(self.at.load(Ordering::Relaxed)).plus(self.begun.elapsed())
    }

    fn boot(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// The table, as the store keeps it.
struct Table {
    clock: Arc<Wall>,
    rows: Mutex<Vec<JobLine>>,
    /// So many beginnings are written, and their answers lost.
    lost: AtomicU32,
}

impl Table {
    fn of(clock: &Arc<Wall>) -> Arc<Self> {
        Arc::new(Self {
            clock: clock.clone(),
            rows: Mutex::default(),
            lost: AtomicU32::new(0),
        })
    }

    fn line(&self) -> JobLine {
        self.rows.lock().unwrap()[0].clone()
    }
}

#[async_trait]
impl Jobs for Table {
    async fn jobs(&self) -> Result<Vec<JobLine>, JournalError> {
        Ok(self.rows.lock().unwrap().clone())
    }

    async fn begin_job(
        &self,
        name: &str,
        last_run: u64,
        due: Option<Timestamp>,
        by: &str,
    ) -> Result<bool, JournalError> {
        {
            let mut rows = self.rows.lock().unwrap();
            let at = rows.iter().position(|row| row.name == name);
            if at.map_or(0, |at| rows[at].run) != last_run {
                return Ok(false);
            }
            let line = JobLine {
                name: name.to_owned(),
                run: last_run + 1,
                due: due.or_else(|| at.and_then(|at| rows[at].due)),
                begun_at: self.clock.wall(),
                by: by.to_owned(),
                end: None,
                good_at: None,
            };
            match at {
                Some(at) => rows[at] = line,
                None => rows.push(line),
            }
        }
        if self.lost.load(Ordering::Relaxed) > 0 {
            self.lost.fetch_sub(1, Ordering::Relaxed);
            return Err(JournalError::new("beginning", "the answer is lost"));
        }
        Ok(true)
    }

    async fn end_job(
        &self,
        name: &str,
        run: u64,
        grade: Severity,
        details: &str,
    ) -> Result<bool, JournalError> {
        let mut rows = self.rows.lock().unwrap();
        let found = rows
            .iter_mut()
            .find(|row| row.name == name && row.run == run && row.end.is_none());
        let Some(row) = found else { return Ok(false) };
        row.end = Some(JobEnd {
            at: self.clock.wall(),
            grade,
            details: details.to_owned(),
        });
        Ok(true)
    }
}

/// Takes its time, and counts.
#[derive(Default)]
struct CountingJob {
    takes: Duration,
    begun: AtomicU32,
}

#[async_trait]
impl JobRunner for CountingJob {
    async fn run(&self, _: Job, _: u64) -> JobOutcome {
        self.begun.fetch_add(1, Ordering::Relaxed);
        sleep(self.takes).await;
        JobOutcome {
            grade: Severity::Ok,
            details: "all is well".into(),
        }
    }
}

struct Harness {
    clock: Arc<Wall>,
    table: Arc<Table>,
    work: Arc<CountingJob>,
    stop: CancellationToken,
}

impl Harness {
    fn at(text: &str, takes: Duration) -> Self {
        let clock = Wall::at(text);
        Self {
            table: Table::of(&clock),
            clock,
            work: Arc::new(CountingJob {
                takes,
                ..CountingJob::default()
            }),
            stop: CancellationToken::new(),
        }
    }

    fn engine(&self, name: &str, when: &str) -> JoinHandle<()> {
        let schedule = Schedule {
            jobs: vec![(Job::Doctor, JobSchedule::parse(when).unwrap())],
            purge_age_in_days: 30,
        };
        let (table, work, clock) = (self.table.clone(), self.work.clone(), self.clock.clone());
        let keeper = Scheduler::new(table, work, clock, schedule, Utc, name.to_owned());
        tokio::spawn(keeper.run(self.stop.clone()))
    }

    fn begun(&self) -> u32 {
        self.work.begun.load(Ordering::Relaxed)
    }
}

const HOUR: Duration = Duration::from_hours(1);

#[tokio::test(start_paused = true)]
async fn of_two_engines_one_does_it_each_day() {
    let harness = Harness::at("11-10T12:00", Duration::from_secs(40));
    let _engines = [
        harness.engine("a", "daily 03:00"),
        harness.engine("b", "daily 03:00"),
    ];
    sleep(14 * HOUR).await;
    assert_eq!(harness.begun(), 0, "it is not three yet");
    sleep(2 * HOUR).await;
    assert_eq!(harness.begun(), 1);
    let line = harness.table.line();
    assert_eq!(line.due, Some(utc("11-11T03:00")));
    assert_eq!(line.end.unwrap().details, "all is well");
    sleep(72 * HOUR).await;
    assert_eq!(harness.begun(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_was_missed_is_done_once_and_late() {
    let harness = Harness::at("11-10T12:00", Duration::ZERO);
    let one = harness.engine("a", "daily 03:00");
    sleep(16 * HOUR).await;
    assert_eq!(harness.begun(), 1);
    one.abort();
    sleep(30 * HOUR).await;
    let _two = harness.engine("b", "daily 03:00");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(harness.begun(), 2, "for the night when nobody was there");
    assert_eq!(harness.table.line().due, Some(utc("11-12T03:00")));
    sleep(HOUR).await;
    assert_eq!(harness.begun(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_neither_loses_nor_doubles_it() {
    let harness = Harness::at("11-10T12:00", Duration::from_secs(40));
    harness.table.lost.store(1, Ordering::Relaxed);
    let _engines = [harness.engine("a", "every 6h"), harness.engine("b", "every 6h")];
    sleep(Duration::from_mins(2)).await;
    assert_eq!(harness.begun(), 1, "who has begun it does it, and nobody else");
    assert_eq!(harness.table.line().run, 1);
    assert!(harness.table.line().end.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_does_it_once() {
    let harness = Harness::at("11-10T12:00", Duration::ZERO);
    let _engine = harness.engine("a", "daily 03:00");
    sleep(Duration::from_secs(1)).await;
    harness
        .clock
        .at
        .store(utc("12-10T12:00").micros(), Ordering::Relaxed);
    sleep(HOUR).await;
    assert_eq!(harness.begun(), 1, "once for a month");
    harness
        .clock
        .at
        .store(utc("11-10T13:00").micros(), Ordering::Relaxed);
    sleep(10 * HOUR).await;
    assert_eq!(
        harness.begun(),
        1,
        "nothing is due again because the clock was put back"
    );
    sleep(10 * HOUR).await;
    assert_eq!(harness.begun(), 2, "and it does not wait for a month");
}

#[tokio::test(start_paused = true)]
async fn who_dies_at_it_leaves_it_to_the_next_time() {
    let harness = Harness::at("11-10T12:00", HOUR);
    let one = harness.engine("a", "daily 12:01");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(harness.begun(), 1);
    one.abort();
    let _two = harness.engine("b", "daily 12:01");
    sleep(23 * HOUR).await;
    assert_eq!(
        harness.begun(),
        1,
        "what has killed one engine is not given to the next at once"
    );
    assert_eq!(harness.table.line().end, None);
    sleep(2 * HOUR).await;
    assert_eq!(harness.begun(), 2);
    let end = harness.table.line().end.unwrap();
    assert_eq!(end.details, "stopped: not finished after 30 min");
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_stopped_says_that_it_did_not_finish() {
    let harness = Harness::at("11-10T12:00", HOUR);
    let engine = harness.engine("a", "every 6h");
    sleep(Duration::from_secs(1)).await;
    harness.stop.cancel();
    engine.await.unwrap();
    assert_eq!(
        harness.table.line().end.unwrap().details,
        "not finished: its engine was stopped"
    );
}
