//! Signatures of monitors on their way to the database.
//!
//! A thousand hosts sign three hundred times a second. What comes within a second is written at once, and of one monitor
//! only the last. Each heartbeat is dated when it is received (R15): one that cannot be written soon is dropped, as the next one
//! comes within ten seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tachi_domain::monitor::{MonitorKind, Signature};
use tachi_engine::ports::{Monitors, ReceivedHeartbeat};
use tokio::time::Instant;

/// What comes within this time is written together.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// So many monitors can wait to be written: more than sign in the largest region.
const MOST: usize = 20_000;

/// A host that was in no segment is not looked for again before.
const STRANGE_FOR: Duration = Duration::from_secs(60);

/// Why a signature is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Its host was in no segment, a moment ago.
    Stranger,
    /// Too many wait; try again after this.
    TooMany(Duration),
}

/// Clones are the same.
#[derive(Clone)]
pub(crate) struct Signs {
    monitors: Arc<dyn Monitors>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    waiting: HashMap<(String, MonitorKind), ReceivedHeartbeat>,
    strangers: HashMap<String, Instant>,
    /// Somebody writes, or is about to.
    busy: bool,
}

impl Signs {
    pub(crate) fn new(monitors: Arc<dyn Monitors>) -> Self {
        let state = Arc::default();
        Self { monitors, state }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one, to be written soon.
    pub(crate) fn take(&self, signature: Signature) -> Result<(), Refused> {
        let mut state = self.state();
        if let Some(at) = state.strangers.get(&signature.host) {
            if at.elapsed() < STRANGE_FOR {
                return Err(Refused::Stranger);
            }
            state.strangers.remove(&signature.host);
        }
        let key = (signature.host.clone(), signature.kind);
        if state.waiting.len() >= MOST && !state.waiting.contains_key(&key) {
            return Err(Refused::TooMany(GATHERED_FOR * 10));
        }
        let received = ReceivedHeartbeat {
            signature,
            received: Instant::now(),
        };
        state.waiting.insert(key, received);
        if !std::mem::replace(&mut state.busy, true) {
            let writer = self.clone();
            tokio::spawn(async move { writer.write().await });
        }
        Ok(())
    }

    /// Writes until nothing waits.
    async fn write(&self) {
        let _busy = Busy(self);
        let mut failed = false;
        loop {
            tokio::time::sleep(GATHERED_FOR).await;
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
            match self.monitors.sign_monitors(&batch).await {
                Ok(strangers) => {
                    failed = false;
                    let mut state = self.state();
                    state.strangers.retain(|_, at| at.elapsed() < STRANGE_FOR);
                    let now = Instant::now();
                    state
                        .strangers
                        .extend(strangers.into_iter().take(MOST).map(|name| (name, now)));
                }
                Err(error) => {
                    if !failed {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "failed to write heartbeats of monitors: each is tried again for a few seconds"
                        );
                    }
                    failed = true;
                    let mut state = self.state();
                    for one in batch {
                        // What came meanwhile is younger.
                        let key = (one.signature.host.clone(), one.signature.kind);
                        state.waiting.entry(key).or_insert(one);
                    }
                }
            }
        }
    }
}

/// Gives the writer's place back should it panic; else nothing would be written any more.
struct Busy<'a>(&'a Signs);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state().busy = false;
        }
    }
}
