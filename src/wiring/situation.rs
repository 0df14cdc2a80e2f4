//! The region's situation from the database and the configuration, for its metrics.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::policy::Policy;
use tachi_domain::situation::{self, assess};
use tachi_engine::ports::{Clock, FactStore as _, JournalError};
use tachi_engine::situation::{CloudSnapshot, ConfiguredFacts, Tables};
use tachi_engine::watcher::RoundObserver;
use tachi_engine::watcher::kind::COMMAND_TESTS;
use tachi_fence::self_test::FencingState;
use tachi_operator::situation_gauges::SituationGauges;
use tachi_store::Store;
use tokio::sync::watch;

use super::Base;
use crate::settings::{Fencing, Settings};

/// Returns the configuration of fencing and of instances on a local disk, by these settings.
pub(crate) fn configured(fencing: &Fencing, policy: &Policy, hosts: &[&str]) -> ConfiguredFacts {
    let mode = policy.fencing;
    let has_devices = fencing.place().is_some();
    let mut configured = ConfiguredFacts {
        fencing: situation::Fencing {
            stopped: policy.fencing_stopped,
            has_devices,
            ..situation::Fencing::without_devices(mode)
        },
        local_disk: policy.local_disk.clone(),
    };
    if !mode.queries_devices() || !has_devices {
        return configured;
    }
    match fencing.topology() {
        Ok(topology) => {
            let bare = hosts
                .iter()
                .filter(|host| topology.resolve(host).levels().is_empty());
            configured.fencing.without = bare.map(|host| (*host).to_owned()).collect();
        }
        Err(error) => configured.fencing.trouble = Some(error.chain()),
    }
    configured
}

/// Reads the data from the database.
pub(super) async fn tables(store: &Store, now: Timestamp) -> Result<Tables, JournalError> {
    let (operator_journal, engine_registry, machines) = (
        store.operator_journal(),
        store.engine_registry(),
        store.machines(),
    );
    let (freezes, monitors, facts) = (store.freezes(), store.monitors(), store.facts());
    Tables::read(
        operator_journal,
        engine_registry,
        machines,
        freezes,
        monitors,
        facts,
        now,
    )
    .await
}

/// Assesses the region for its metrics after each round of the engine that watches.
pub(crate) struct SituationMetrics {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    fencing: Fencing,
    policy: watch::Receiver<Policy>,
    /// The device tests, which also know whether this engine watches.
    devices: FencingState,
    gauges: SituationGauges,
}

impl SituationMetrics {
    pub(crate) fn new(
        settings: &Settings,
        base: &Base,
        policy: watch::Receiver<Policy>,
        devices: FencingState,
    ) -> Self {
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            fencing: settings.fencing.clone(),
            policy,
            devices,
            gauges: SituationGauges::new(base.clock.clone()),
        }
    }
}

#[async_trait]
impl RoundObserver for SituationMetrics {
    async fn observe(&self, mut watched: CloudSnapshot) {
        self.devices.watches(true);
        match self.store.facts().facts(Some(COMMAND_TESTS)).await {
            Ok(tested) => watched.add_command_tests(&tested),
            Err(error) => tracing::debug!(%error, "failed to read the tests that operators have run"),
        }
        let tables = match tables(&self.store, self.clock.wall()).await {
            Ok(tables) => tables,
            Err(error) => {
                tracing::debug!(%error, "failed to update the metrics of the region");
                return self.gauges.unread();
            }
        };
        let policy = self.policy.borrow().clone();
        self.gauges.read(&watched, &tables.freezes);
        let configured = configured(&self.fencing, &policy, &tables.hosts());
        let now = self.clock.wall();
        // For a thousand hosts this takes tenths of a second.
        let judged = tokio::task::spawn_blocking(move || assess(&tables.facts(watched, configured), now));
        match judged.await {
            Ok(situation) => self.gauges.judged(&situation),
            Err(error) => tracing::warn!(%error, "failed to update the metrics of the region"),
        }
    }

    async fn other_engine_polls(&self) {
        self.devices.watches(false);
        self.gauges.elsewhere();
    }

    async fn store_failed(&self) {
        self.gauges.unread();
    }
}
