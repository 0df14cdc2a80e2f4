//! Situation of the region, for commands and for the API, from the database and the configuration.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_api::RegionService;
use tachi_domain::policy::Policy;
use tachi_engine::ports::{Clock, FactStore as _, JournalError};
use tachi_engine::situation::CloudSnapshot;
use tachi_operator::schedule::{self, Schedule};
use tachi_operator::{Fencing, Forecasts, JobView, RegionSnapshot, SnapshotSource};
use tachi_store::Store;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::Base;
use super::situation::{configured, tables};
use crate::settings::{self, Settings};

/// Time that a reading is cached for streams, heartbeats of monitors and the later parts of one answer.
const CACHE_LIFETIME: Duration = Duration::from_secs(1);

/// A reading and its result, even a failure.
struct Reading<T> {
    began: Instant,
    ended: Instant,
    result: Result<T, JournalError>,
}

/// The last reading. At most one runs at a time, however many callers there are.
struct Last<T>(Mutex<Option<Reading<T>>>);

impl<T: Clone> Last<T> {
    fn new() -> Self {
        Self(Mutex::default())
    }

    /// Returns the result of a reading that began after the call, so that a caller sees its own last action. Callers that wait for a
    /// running reading share the next one. A failure counts for all callers that waited for it: if the database is down, no caller waits
    /// twice.
    async fn fresh(&self, read: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
        let called = Instant::now();
        let counts = |one: &Reading<T>| one.began > called || (one.result.is_err() && one.ended > called);
        self.unless(counts, true, read).await
    }

    /// Returns the last result, or that of `read` if it is older than [`CACHE_LIFETIME`]. Concurrent callers get the same result.
    async fn lately(&self, read: impl Future<Output = Result<T, JournalError>>) -> Result<T, JournalError> {
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

pub(crate) struct RegionDatabase {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    fencing: settings::Fencing,
    place: SnapshotSource,
    policy: watch::Receiver<Policy>,
    last: Last<Arc<RegionSnapshot>>,
    schedule: Schedule,
    jobs: Last<Vec<JobView>>,
    forecasts: Arc<Forecasts>,
}

impl RegionDatabase {
    /// Creates the service with the rules in force.
    pub(crate) fn new(settings: &Settings, base: &Base, policy: watch::Receiver<Policy>) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            fencing: settings.fencing.clone(),
            place: SnapshotSource {
                region: settings
                    .nova
                    .as_ref()
                    .and_then(|nova| nova.keystone.region.name().map(str::to_owned)),
                database: settings.database.to_string(),
            },
            policy,
            last: Last::new(),
            schedule: settings.schedule.clone(),
            jobs: Last::new(),
            forecasts: Arc::default(),
        }
    }

    /// Reads the data, and returns the function that assesses it; for a thousand hosts that takes tenths of a second.
    async fn read(&self) -> Result<impl FnOnce() -> RegionSnapshot + Send + use<>, JournalError> {
        let policy = self.policy.borrow().clone();
        let tables = tables(&self.store, self.clock.wall()).await?;
        let stored = self.store.facts().facts(None).await?;
        let configured = configured(&self.fencing, &policy, &tables.hosts());
        let fencing = fencing_of(&self.fencing, &policy);
        let (now, place) = (self.clock.wall(), self.place.clone());
        let forecasts = Arc::clone(&self.forecasts);
        Ok(move || {
            let watched = CloudSnapshot::from_stored(&stored);
            drop(stored);
            RegionSnapshot::judged(now, fencing, place, tables, watched, configured, &forecasts)
        })
    }

    /// Returns the whole situation, for a command: it serves no other caller, and a second thread would allocate its memory in small
    /// pieces.
    pub(crate) async fn local_snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        let read = async { self.read().await.map(|judge| Arc::new(judge())) };
        self.last.lately(read).await
    }

    /// Returns the situation; the assessment runs on another thread, so that it does not delay other requests.
    async fn judged(&self) -> Result<RegionSnapshot, JournalError> {
        tokio::task::spawn_blocking(self.read().await?)
            .await
            .map_err(|error| JournalError::new("assessing the region", error))
    }
}

#[async_trait]
impl RegionService for RegionDatabase {
    async fn snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        self.last.fresh(async { self.judged().await.map(Arc::new) }).await
    }

    async fn cached_snapshot(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        self.last
            .lately(async { self.judged().await.map(Arc::new) })
            .await
    }

    async fn schedule(&self) -> Result<Vec<JobView>, JournalError> {
        let (every, now) = (
            self.fencing.self_test.map(|pauses| pauses.watching),
            self.clock.wall(),
        );
        let read = schedule::listed(
            (self.store.jobs(), self.store.facts()),
            &self.schedule,
            every,
            now,
        );
        self.jobs.fresh(read).await
    }
}

/// Returns the fencing configuration of these rules.
pub(crate) fn fencing_of(fencing: &settings::Fencing, policy: &Policy) -> Fencing {
    Fencing {
        mode: policy.fencing,
        device: fencing.place(),
        bare_normal: policy.bare_normal,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A caller that has just frozen a host must see the freeze, although a reading has just been made, or is running.
    #[tokio::test(start_paused = true)]
    async fn an_answer_rests_on_a_reading_that_began_after_the_call() {
        let (last, row) = (Last::<u32>::new(), AtomicU32::new(1));
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
        let (last, readings) = (Last::<u32>::new(), AtomicU32::new(0));
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
