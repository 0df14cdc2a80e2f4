//! The states of one entry: up; failed and restarted, in rounds; given up and reported once; back.
//!
//! Every entry has its own task, so that a slow restart delays no other.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::list::{Command, Entry, Steps};
use super::probe::{CommandRunner, Outlet, Probe, State};

/// Poll interval of a process that was just started.
const START_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The intervals and limits of a watch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Poll interval without notifications of changes, and the time for a started process to appear.
    pub(super) interval: Duration,
    /// Time for a process to come back by itself: an upgrade restarts it, or systemd does.
    pub(super) confirm: Duration,
    /// Number of restarts after the first.
    pub(super) retries: u32,
    /// Pause after the first failed restart; each further pause is twice as long.
    pub(super) pause: Duration,
    /// The longest pause.
    pub(super) pause_max: Duration,
    /// True if nothing is started or restarted.
    pub(super) watch_only: bool,
}

/// The watch over one entry.
pub(super) struct Watch {
    pub(super) entry: Entry,
    pub(super) probe: Box<dyn Probe>,
    pub(super) runner: Arc<dyn CommandRunner>,
    pub(super) outlet: Arc<dyn Outlet>,
    pub(super) pace: Pace,
    /// True if it was reported, perhaps by an earlier process.
    pub(super) given_up: bool,
}

/// The result of a round of restarts.
#[derive(Debug, PartialEq, Eq)]
enum RestartResult {
    /// The process is running.
    Up,
    /// The process is not running.
    Failed,
}

impl Watch {
    /// Starts a process that is not running, as an agent does at its own start.
    pub(super) async fn start(&mut self) {
        if self.pace.watch_only || self.entry.start.main == Command::Nothing {
            return;
        }
        if matches!(self.probe.state().await, State::Down(_)) {
            tracing::info!(process = %self.entry.name, "process is not running; starting it");
            if let Err(why) = self.steps(self.entry.start.clone()).await {
                tracing::warn!(process = %self.entry.name, %why, "failed to start process");
            }
            self.appears().await;
        }
    }

    /// Watches forever. May be dropped at any time.
    pub(super) async fn run(mut self) {
        let mut logged = None;
        loop {
            match self.probe.state().await {
                State::Up => {
                    logged = None;
                    self.is_up().await;
                    self.wait().await;
                }
                State::Changing => self.wait().await,
                State::Unknown(why) => {
                    if logged.as_ref() != Some(&why) {
                        tracing::error!(process = %self.entry.name, %why, "failed to watch process");
                        logged = Some(why);
                    }
                    sleep(self.pace.interval).await;
                }
                State::Down(_) if self.given_up => {
                    // An earlier process of the monitor may have reported it.
                    up(self.entry.short(), false);
                    self.wait().await;
                }
                State::Down(why) => {
                    // The process may already be on its way back.
                    let _ = timeout(self.pace.confirm, self.probe.changed()).await;
                    if let State::Down(_) = self.probe.state().await {
                        self.is_down(&why).await;
                    }
                }
            }
        }
    }

    async fn wait(&mut self) {
        // An additional check is harmless.
        let _ = timeout(self.pace.interval, self.probe.changed()).await;
    }

    async fn is_up(&mut self) {
        if std::mem::take(&mut self.given_up) {
            tracing::info!(process = %self.entry.name, "process is running again");
            self.outlet.back(self.entry.short()).await;
        }
        up(self.entry.short(), true);
    }

    async fn is_down(&mut self, why: &str) {
        up(self.entry.short(), false);
        tracing::warn!(process = %self.entry.name, %why, "process exited");
        let ended = if self.pace.watch_only {
            RestartResult::Failed
        } else {
            self.restart().await
        };
        if ended == RestartResult::Up {
            tracing::info!(process = %self.entry.name, "process is running again");
            return;
        }
        // The process counts as given up only once the report is stored, and not at all if it comes back meanwhile.
        loop {
            match self.outlet.gone(self.entry.short()).await {
                Ok(()) => {
                    tracing::error!(process = %self.entry.name, "process could not be restarted; reported");
                    self.given_up = true;
                    return;
                }
                Err(why) => {
                    tracing::error!(process = %self.entry.name, %why, "process could not be restarted; failed to store the report");
                    self.wait().await;
                    if self.probe.state().await == State::Up {
                        return;
                    }
                }
            }
        }
    }

    async fn restart(&mut self) -> RestartResult {
        if self.entry.restart.main == Command::Nothing {
            return RestartResult::Failed;
        }
        for round in 0..=self.pace.retries {
            metrics::counter!("tachi_monitor_process_restarts_total", "process" => self.entry.short().to_owned())
                .increment(1);
            let went = self.steps(self.entry.restart.clone()).await;
            if went.is_ok() && self.appears().await {
                return RestartResult::Up;
            }
            let why = went
                .err()
                .unwrap_or_else(|| "the process did not appear".to_owned());
            tracing::warn!(process = %self.entry.name, %why, round = round + 1, "failed to restart process");
            if round < self.pace.retries {
                let doubled = 2_u32.saturating_pow(round.min(16));
                sleep(
                    self.pace
                        .pause
                        .saturating_mul(doubled)
                        .min(self.pace.pause_max.max(self.pace.pause)),
                )
                .await;
            }
            // Another program may have started it.
            if self.probe.state().await == State::Up {
                return RestartResult::Up;
            }
        }
        RestartResult::Failed
    }

    /// Runs all of `steps`, up to the first that fails.
    fn steps(&self, steps: Steps) -> impl Future<Output = Result<(), String>> + Send + 'static {
        let (runner, as_root) = (Arc::clone(&self.runner), self.entry.run_as_root);
        async move {
            for command in [&steps.before, &steps.main, &steps.after] {
                runner.run(command, as_root).await?;
            }
            Ok(())
        }
    }

    /// True if the process is running soon after it was started.
    async fn appears(&mut self) -> bool {
        let deadline = Instant::now() + self.pace.interval;
        loop {
            match self.probe.state().await {
                State::Up => return true,
                _ if Instant::now() >= deadline => return false,
                State::Down(_) | State::Changing | State::Unknown(_) => {
                    let _ = timeout(START_POLL_INTERVAL, self.probe.changed()).await;
                }
            }
        }
    }
}

fn up(process: &str, up: bool) {
    metrics::gauge!("tachi_monitor_process_up", "process" => process.to_owned()).set(if up {
        1.0
    } else {
        0.0
    });
}

#[cfg(test)]
mod tests;
