//! A process: its tasks, and their shutdown.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service_manager::ServiceManager;
use crate::signals::Signals;

/// The tasks of a process and the signal to stop.
#[derive(Default)]
pub struct Daemon {
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Tasks that serve the others, and are stopped after these have ended.
    last: TaskTracker,
    over: CancellationToken,
    manager: ServiceManager,
    status: Vec<String>,
    signals: Option<Signals>,
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shutdown {
    /// All tasks have ended.
    Finished,
    /// A second signal has ended the wait for the tasks.
    SecondSignal,
}

impl Daemon {
    /// Starts to catch signals: a client of its listeners may send one before the process waits for it.
    pub fn catching_signals() -> io::Result<Self> {
        Ok(Self {
            signals: Some(Signals::catch()?),
            ..Self::default()
        })
    }

    /// Watches a loop that has made `count` rounds, each of which takes at most `within`. The service manager restarts a process with a stuck
    /// loop.
    pub fn watch(&mut self, count: impl Fn() -> u64 + Send + Sync + 'static, within: Duration) {
        self.manager.watch(count, within);
    }

    /// Adds a part to the status that the service manager shows.
    pub fn status(&mut self, text: impl Into<String>) {
        self.status.push(text.into());
    }

    /// Runs a task until it is stopped.
    pub fn task<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(run(self.stop.clone()));
    }

    /// Runs a task that sends the last messages of the others: it is stopped when all of them have ended.
    pub fn last<F>(&self, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.last.spawn(run(self.over.clone()));
    }

    /// Waits until all tasks have ended, the last ones after the others.
    async fn all_ended(&self) {
        self.tasks.wait().await;
        self.over.cancel();
        self.last.close();
        self.last.wait().await;
    }

    /// Waits for SIGTERM or SIGINT, or for a task that cancels its token, and then until all tasks have ended. A second signal ends the
    /// waiting. SIGHUP calls `reload`.
    ///
    /// # Errors
    ///
    /// Signals cannot be caught.
    pub async fn run(mut self, mut reload: impl FnMut()) -> io::Result<Shutdown> {
        let mut signals = self.signals.take().map_or_else(Signals::catch, Ok)?;
        let mut watchdog = ServiceManager::interval().map(|every| {
            let mut watchdog = interval(every);
            watchdog.set_missed_tick_behavior(MissedTickBehavior::Delay);
            watchdog
        });
        let status = self.status.join(", ");
        ServiceManager::ready(&status);
        loop {
            // Every branch only waits, so dropped branches lose nothing.
            tokio::select! {
                stops = signals.next() => {
                    if stops {
                        break;
                    }
                    ServiceManager::reloading();
                    reload();
                    ServiceManager::ready(&status);
                }
                () = self.stop.cancelled() => break,
                () = async {
                    match &mut watchdog {
                        Some(watchdog) => { watchdog.tick().await; }
                        None => pending().await,
                    }
                } => self.manager.alive(),
            }
        }
        tracing::info!("process is stopping; requests and calls in progress may finish");
        ServiceManager::stopping();
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.all_ended() => Ok(Shutdown::Finished),
            () = signals.stop() => Ok(Shutdown::SecondSignal),
        }
    }

    /// Stops everything and waits up to `limit` for the end.
    pub async fn end(self, limit: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(limit, self.all_ended()).await.is_err() {
            tracing::warn!("tasks of the process did not stop in time");
        }
    }
}
