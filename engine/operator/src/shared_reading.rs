//! A reading that concurrent callers share: of the whole region, or of the schedule.

use std::future::Future;
use std::time::Duration;

use tachi_engine::ports::JournalError;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Time that a reading is cached for streams, heartbeats of monitors and the later parts of one answer.
const CACHE_LIFETIME: Duration = Duration::from_secs(1);

/// A reading and its result, even a failure.
struct Reading<T> {
    began: Instant,
    ended: Instant,
    result: Result<T, JournalError>,
}

/// The last reading. At most one runs at a time, however many callers there are.
pub struct SharedReading<T>(Mutex<Option<Reading<T>>>);

impl<T: Clone> Default for SharedReading<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> SharedReading<T> {
    /// Returns the result of a reading that began after the call, so that a caller sees its own last action. Callers that wait for a
    /// running reading share the next one. A failure counts for all callers that waited for it: if the database is down, no caller waits
    /// twice.
    pub async fn fresh(
        &self,
        read: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let called = Instant::now();
        let counts = |one: &Reading<T>| one.began > called || (one.result.is_err() && one.ended > called);
        self.unless(counts, true, read).await
    }

    /// Returns the last result, or that of `read` if it is older than [`CACHE_LIFETIME`]. Concurrent callers get the same result.
    pub async fn lately(
        &self,
        read: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        self.unless(|one| one.ended.elapsed() < CACHE_LIFETIME, false, read)
            .await
    }

    async fn unless(
        &self,
        counts: impl Fn(&Reading<T>) -> bool,
        rests: bool,
        read: impl Future<Output = Result<T, JournalError>>,
    ) -> Result<T, JournalError> {
        let mut last = self.0.lock().await;
        if let Some(one) = last.as_ref().filter(|one| counts(one)) {
            return one.result.clone();
        }
        if let Some(one) = last.as_ref().filter(|one| rests && one.result.is_ok()) {
            // Readings take at most half of the time, however many requests come.
            let pause = (one.ended - one.began).min(CACHE_LIFETIME);
            tokio::time::sleep_until(one.ended + pause).await;
        }
        let began = Instant::now();
        let result = read.await;
        *last = Some(Reading {
            began,
            ended: Instant::now(),
            result: result.clone(),
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A caller that has just frozen a host must see the freeze, although a reading has just been made, or is running.
    #[tokio::test(start_paused = true)]
    async fn an_answer_rests_on_a_reading_that_began_after_the_call() {
        let (last, row) = (SharedReading::<u32>::default(), AtomicU32::new(1));
        let read = || async {
            let value = row.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(value)
        };
        assert_eq!(last.fresh(read()).await.expect("an answer"), 1);
        row.store(2, Ordering::Relaxed);
        assert_eq!(
            last.fresh(read()).await.expect("an answer"),
            2,
            "a cached one is older"
        );
        assert_eq!(last.lately(read()).await.expect("an answer"), 2);
        let act_and_read = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            row.store(3, Ordering::Relaxed);
            let reads = (0..20).map(|_| last.fresh(read()));
            futures_util::future::join_all(reads).await
        };
        tokio::time::advance(CACHE_LIFETIME).await;
        let begun = Instant::now();
        let (earlier, later) = tokio::join!(last.fresh(read()), act_and_read);
        assert_eq!(earlier.expect("an answer"), 2);
        for answer in later {
            assert_eq!(answer.expect("an answer"), 3, "one that ran began before");
        }
        assert_eq!(
            begun.elapsed(),
            Duration::from_millis(300),
            "they share a reading, after a pause as long as the one before"
        );
    }

    /// A reading takes long while the database is down. Twenty concurrent callers wait for that one reading.
    #[tokio::test(start_paused = true)]
    async fn everybody_is_told_of_one_failure() {
        let (last, readings) = (SharedReading::<u32>::default(), AtomicU32::new(0));
        let ask = || {
            last.fresh(async {
                readings.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(10)).await;
                Err(JournalError::new("reading", "the database is away"))
            })
        };
        let begun = Instant::now();
        let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(10));
        assert_eq!(readings.load(Ordering::Relaxed), 1);
        for answer in answers {
            let error = answer.expect_err("the database is away");
            assert_eq!(error.source.to_string(), "the database is away");
        }
        // Later it is tried again.
        tokio::time::advance(CACHE_LIFETIME).await;
        assert_eq!(last.lately(async { Ok(7) }).await.expect("an answer"), 7);
        assert_eq!(last.lately(async { Ok(8) }).await.expect("kept"), 7);
    }
}
