//! Heartbeats of monitors, and their storage in the database.
//!
//! A thousand hosts send three hundred heartbeats per second. Heartbeats within one second are written together, and only the last
//! of each monitor. Each is dated when it is received. One that cannot be written soon is dropped, because the next arrives
//! within ten seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::monitor::{MonitorHeartbeat, MonitorKind};
use tachi_engine::ports::{Monitors, ReceivedHeartbeat};
use tokio::time::Instant;

/// Interval of writes. Heartbeats within it are written together.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of monitors with an unwritten heartbeat; more than the largest region has.
const MAX_PENDING: usize = 20_000;

/// Time before a host that was in no segment is looked up again.
const UNKNOWN_HOST_TTL: Duration = Duration::from_secs(60);

/// A reason why a heartbeat is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RejectedHeartbeat {
    /// The host was in no segment at the last lookup, and the monitor watched no host of a segment.
    UnknownHost,
    /// Too many heartbeats wait; the client may retry after this time.
    TooMany(Duration),
}

/// The queue of heartbeats. Clones share it.
#[derive(Clone)]
pub(crate) struct HeartbeatWriter {
    monitors: Arc<dyn Monitors>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<(String, MonitorKind), ReceivedHeartbeat>,
    unknown: HashMap<(String, MonitorKind), Instant>,
    /// True if a writer task is running.
    busy: bool,
}

impl HeartbeatWriter {
    pub(crate) fn new(monitors: Arc<dyn Monitors>) -> Self {
        let state = Arc::default();
        Self { monitors, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No operation under the lock can leave the state inconsistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a heartbeat and schedules a write.
    pub(crate) fn take(&self, heartbeat: MonitorHeartbeat) -> Result<(), RejectedHeartbeat> {
        let mut state = self.state();
        let key = (heartbeat.host.clone(), heartbeat.kind);
        if let Some(at) = state.unknown.get(&key) {
            if at.elapsed() < UNKNOWN_HOST_TTL {
                return Err(RejectedHeartbeat::UnknownHost);
            }
            state.unknown.remove(&key);
        }
        if state.waiting.len() >= MAX_PENDING && !state.waiting.contains_key(&key) {
            return Err(RejectedHeartbeat::TooMany(WRITE_INTERVAL * 10));
        }
        let received = ReceivedHeartbeat {
            heartbeat,
            received: Instant::now(),
        };
        state.waiting.insert(key, received);
        if !std::mem::replace(&mut state.busy, true) {
            let writer = self.clone();
            tokio::spawn(async move { writer.write().await });
        }
        Ok(())
    }

    /// Writes until no heartbeat waits.
    async fn write(&self) {
        let _busy = BusyReset(self);
        let mut failed = false;
        loop {
            tokio::time::sleep(WRITE_INTERVAL).await;
            let batch: Vec<ReceivedHeartbeat> = {
                let mut state = self.state();
                let batch = state.waiting.drain().map(|(_, received)| received);
                let batch = batch.filter(ReceivedHeartbeat::is_current).collect();
                state.busy = !Vec::is_empty(&batch);
                if !state.busy {
                    return;
                }
                batch
            };
            match self.monitors.store_heartbeats(&batch).await {
                Ok(unknown) => {
                    failed = false;
                    let mut state = self.state();
                    state.unknown.retain(|_, at| at.elapsed() < UNKNOWN_HOST_TTL);
                    let now = Instant::now();
                    let unknown = unknown.into_iter().take(MAX_PENDING);
                    state.unknown.extend(unknown.map(|monitor| (monitor, now)));
                }
                Err(error) => {
                    if !failed {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "failed to write monitor heartbeats; retrying for a few seconds"
                        );
                    }
                    failed = true;
                    let mut state = self.state();
                    for one in batch {
                        // A heartbeat that arrived meanwhile is newer.
                        let key = (one.heartbeat.host.clone(), one.heartbeat.kind);
                        state.waiting.entry(key).or_insert(one);
                    }
                }
            }
        }
    }
}

/// Resets `busy` if the writer panics. Otherwise no writer would be started again.
struct BusyReset<'a>(&'a HeartbeatWriter);

impl Drop for BusyReset<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().busy = false;
        }
    }
}
