//! Situation of the region, for commands and for the API, from the database and the configuration.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_api::RegionService;
use tachi_domain::policy::Policy;
use tachi_engine::ports::{Clock, FactStore as _, JournalError};
use tachi_engine::situation::CloudSnapshot;
use tachi_operator::schedule::{self, Schedule};
use tachi_operator::shared_reading::SharedReading;
use tachi_operator::{Fencing, Forecasts, JobView, RegionSnapshot, SnapshotSource};
use tachi_store::Store;
use tokio::sync::watch;

use super::Base;
use super::situation::{configured, tables};
use crate::settings::{self, Settings};

pub(crate) struct RegionDatabase {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    fencing: settings::Fencing,
    place: SnapshotSource,
    policy: watch::Receiver<Policy>,
    last: SharedReading<Arc<RegionSnapshot>>,
    schedule: Schedule,
    jobs: SharedReading<Vec<JobView>>,
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
            last: SharedReading::default(),
            schedule: settings.schedule.clone(),
            jobs: SharedReading::default(),
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
