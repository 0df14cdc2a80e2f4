//! A test environment for the monitors of instances: a daemon, a spool, and a monitor between them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tachi_spool::{Limits, Spool};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::delivery::Store;
use crate::fake_libvirt::Fake;
use crate::health::Health;
use crate::monitor::Monitor;
use crate::reporter::SpoolWriter;

/// The daemon and the monitor's files.
pub(crate) struct Harness {
    pub(crate) fake: Fake,
    pub(crate) folder: tempfile::TempDir,
    store: Store,
}

/// A running monitor.
pub(crate) struct RunningMonitor {
    pub(crate) health: Health,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Harness {
    pub(crate) fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let fake = Fake::new(folder.path());
        fake.start();
        let limits = Limits::default();
        let (spool, _) = Spool::open(&folder.path().join("spool"), limits).unwrap();
        Self {
            fake,
            folder,
            store: Store::new(spool),
        }
    }

    pub(crate) fn start(&self, monitor: Box<dyn Monitor>) -> RunningMonitor {
        let (health, stop) = (Health::default(), CancellationToken::new());
        let fresh = Arc::new(Notify::new());
        let (keeper, reporter) = SpoolWriter::new(self.store.clone(), fresh, health.clone(), Clock::new());
        tokio::spawn(keeper.run());
        let watching = monitor.run(reporter, health.clone(), stop.clone());
        let task = tokio::spawn(async move { watching.await.unwrap() });
        RunningMonitor { health, stop, task }
    }

    /// Returns the bodies of undelivered reports.
    pub(crate) async fn bodies(&self) -> Vec<String> {
        let bodies = |spool: &mut Spool| spool.iter().map(|record| record.body.clone()).collect();
        self.store.with(bodies).await
    }

    /// Returns the reported instances, in order.
    pub(crate) async fn reports(&self) -> Vec<String> {
        let bodies = self.bodies().await;
        let uuid = |body: &String| {
            let body: Value = serde_json::from_str(body).unwrap();
            let payload = &body["notification"]["payload"];
            payload["instance_uuid"].as_str().unwrap().to_owned()
        };
        bodies.iter().map(uuid).collect()
    }

    /// Waits for this many undelivered reports.
    pub(crate) async fn wait_for_reports(&self, count: usize) {
        until(async || self.bodies().await.len() >= count).await;
        assert_eq!(self.bodies().await.len(), count, "{:?}", self.bodies().await);
    }

    /// Delivers everything.
    pub(crate) async fn deliver(&self) {
        let all = |spool: &mut Spool| {
            let seqs: Vec<u64> = spool.iter().map(|record| record.seq).collect();
            spool.gone(&seqs).unwrap();
        };
        self.store.with(all).await;
    }
}

impl RunningMonitor {
    pub(crate) async fn wait_for_health(&self, part: &str, good: bool) {
        let is = async || self.health.condition().parts.contains_key(part) != good;
        until(is).await;
    }

    /// Stops the monitor like SIGTERM.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Stops the monitor like SIGKILL.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) fn runs(&self) -> bool {
        !self.task.is_finished()
    }
}

/// Waits for a condition; fails the test on a timeout.
pub(crate) async fn until<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let limit = Duration::from_secs(20);
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(limit, wait)
        .await
        .expect("the condition did not come");
}
