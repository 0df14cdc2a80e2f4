use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::entity::notification::NotificationType::{ComputeHost, Vm};
use tachi_engine::ports::JournalError;
use tachi_testkit::ManualClock;

use super::*;

#[derive(Default)]
struct Log {
    rows: Mutex<BTreeMap<(Timestamp, u32), Refusals>>,
    writes: Mutex<u32>,
    refused: Mutex<u32>,
    deleted_before: Mutex<Vec<Timestamp>>,
    unavailable: AtomicBool,
}

impl Log {
    fn rows(&self) -> Vec<Refusals> {
        self.rows.lock().unwrap().values().cloned().collect()
    }
}

#[async_trait]
impl RefusalLog for Log {
    async fn write_refusals(&self, rows: &[Refusals]) -> Result<(), JournalError> {
        if self.unavailable.load(Ordering::SeqCst) {
            *self.refused.lock().unwrap() += 1;
            return Err(JournalError::new("writing", "away"));
        }
        *self.writes.lock().unwrap() += 1;
        let mut all = self.rows.lock().unwrap();
        all.extend(rows.iter().cloned().map(|row| ((row.slot, row.number), row)));
        Ok(())
    }

    async fn forget_refusals(&self, before: Timestamp) -> Result<(), JournalError> {
        self.deleted_before.lock().unwrap().push(before);
        Ok(())
    }
}

struct CounterBench {
    log: Arc<Log>,
    clock: Arc<ManualClock>,
    counter: RefusalCounter,
}

impl CounterBench {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp::from_micros(1_795_155_000_000_000)));
        let log = Arc::<Log>::default();
        let counter = RefusalCounter::new(log.clone(), clock.clone());
        Self { log, clock, counter }
    }

    fn refuse(&self, host: &str, user: &str, reason: RefusalReason) {
        let kind = if host.starts_with("vm") { Vm } else { ComputeHost };
        let new = NewNotification {
            kind,
            hostname: host.into(),
            generated_time: Timestamp::from_micros(0),
            payload: BTreeMap::new(),
            evidence: None,
            reporter: None,
        };
        let reporter = Reporter {
            user_id: user.into(),
            ..Reporter::default()
        };
        self.counter.count(&new, &reporter, reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_costs_one_write_per_second_and_one_row() {
    let bench = CounterBench::new();
    for _ in 0..10_000 {
        bench.refuse("a", "m", RefusalReason::Duplicate);
    }
    assert!(bench.log.rows().is_empty(), "a refusal writes nothing");
    tokio::time::sleep(WRITE_INTERVAL * 3).await;
    let rows = bench.log.rows();
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((rows[0].count.times, rows[0].host.as_str()), (10_000, "a"));
    assert_eq!(*bench.log.writes.lock().unwrap(), 1);
    // Another refusal updates the same row.
    bench.refuse("a", "m", RefusalReason::Duplicate);
    tokio::time::sleep(WRITE_INTERVAL * 3).await;
    let rows = bench.log.rows();
    assert_eq!((rows.len(), rows[0].count.times), (1, 10_001));
    assert_eq!(
        bench.log.deleted_before.lock().unwrap().len(),
        1,
        "once for ten minutes"
    );
}

#[tokio::test(start_paused = true)]
async fn unwritten_counts_are_kept_and_counted_once() {
    let bench = CounterBench::new();
    bench.log.unavailable.store(true, Ordering::SeqCst);
    bench.refuse("a", "m", RefusalReason::OnMaintenance);
    tokio::time::sleep(WRITE_INTERVAL * 5).await;
    bench.refuse("a", "m", RefusalReason::OnMaintenance);
    assert!(bench.counter.flush().await.is_err());
    bench.clock.set_wall_on(601);
    bench.refuse("b", "m", RefusalReason::UnknownHost);
    bench.log.unavailable.store(false, Ordering::SeqCst);
    bench.counter.flush().await.unwrap();
    let rows = bench.log.rows();
    let counts: Vec<_> = rows
        .iter()
        .map(|row| (row.host.as_str(), row.count.times))
        .collect();
    assert_eq!(counts, [("a", 2), ("b", 1)]);
    assert!(rows[0].slot < rows[1].slot);
    tokio::time::sleep(WRITE_INTERVAL * 5).await;
    assert_eq!(*bench.log.writes.lock().unwrap(), 1, "nothing was left to write");
}

#[tokio::test(start_paused = true)]
async fn a_failing_database_is_retried_rarely_and_gets_all_counts_later() {
    let bench = CounterBench::new();
    bench.log.unavailable.store(true, Ordering::SeqCst);
    for number in 0..200 {
        bench.refuse(&format!("x{number}"), "m", RefusalReason::UnknownHost);
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let attempts = *bench.log.refused.lock().unwrap();
    assert!((6..=16).contains(&attempts), "{attempts}");
    bench.log.unavailable.store(false, Ordering::SeqCst);
    tokio::time::sleep(MAX_RETRY_INTERVAL + WRITE_INTERVAL).await;
    assert_eq!(bench.log.rows().len(), 200);
    bench.refuse("a", "m", RefusalReason::Duplicate);
    tokio::time::sleep(WRITE_INTERVAL * 2).await;
    assert_eq!(bench.log.rows().len(), 201, "once a second again");
}

#[tokio::test(start_paused = true)]
async fn invented_names_add_no_rows_and_displace_no_others() {
    let bench = CounterBench::new();
    for number in 0..10_000 {
        bench.refuse(&format!("x{number}"), "flood", RefusalReason::UnknownHost);
    }
    bench.refuse("real", "monitor", RefusalReason::Duplicate);
    for number in 0..10_000 {
        bench.refuse("y", &format!("u{number}"), RefusalReason::TooMany);
    }
    bench.refuse("\u{0}\n", "monitor", RefusalReason::Duplicate);
    bench.refuse(&"\u{1F4A3}".repeat(300), "monitor", RefusalReason::Duplicate);
    bench.counter.flush().await.unwrap();
    let rows = bench.log.rows();
    assert!(rows.len() <= MAX_ROWS + 10, "{}", rows.len());
    assert_eq!(rows.iter().map(|row| row.count.times).sum::<u64>(), 20_003);
    assert!(rows.iter().any(|row| row.host == "real"));
    let numbers: BTreeSet<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers.len(), rows.len(), "each has a number of its own");
    for row in &rows {
        assert!(
            row.host.chars().count() <= MAX_NAME_CHARS
                && row.count.reporter.chars().count() <= MAX_NAME_CHARS
        );
        assert!(!row.host.contains(char::is_control));
    }
    let rest = rows
        .iter()
        .filter(|row| row.host.is_empty())
        .map(|row| row.count.times);
    assert!(rest.sum::<u64>() > 9_000);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_put_back_finds_its_ten_minutes_again() {
    let bench = CounterBench::new();
    bench.refuse("a", "m", RefusalReason::Duplicate);
    bench.clock.set_wall_on(600);
    bench.refuse("a", "m", RefusalReason::Duplicate);
    bench.clock.set_wall_on(-600);
    bench.refuse("a", "m", RefusalReason::Duplicate);
    bench.counter.flush().await.unwrap();
    let times: Vec<u64> = bench.log.rows().iter().map(|row| row.count.times).collect();
    assert_eq!(times, [2, 1]);
}
