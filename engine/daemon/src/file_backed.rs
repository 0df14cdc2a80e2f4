//! Files that are read again when they change.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Interval of the checks.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// An object that is read from files.
pub trait FileBacked: Send + Sized + 'static {
    /// Name of the files, for people.
    const NAME: &'static str;

    /// Discards the fingerprint of the files: something that they refer to may have changed though they have not.
    fn invalidate(&mut self);

    /// Reads the files again if they have changed.
    fn recheck(&mut self);
}

/// Checks every second, and reads at once on SIGHUP, until it is stopped.
pub async fn watch<W: FileBacked>(mut files: W, stop: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, files = W::NAME, "failed to listen for SIGHUP; changes of the files are ignored");
            return;
        }
    };
    let mut every = tokio::time::interval(POLL_INTERVAL);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Every branch only waits, so dropped branches lose nothing.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
            _ = hangup.recv() => files.invalidate(),
        }
        // A check takes microseconds on a healthy disk; a hanging one must not block requests.
        let looked = tokio::task::spawn_blocking(move || {
            files.recheck();
            files
        });
        match looked.await {
            Ok(same) => files = same,
            Err(error) => {
                tracing::error!(%error, files = W::NAME, "file watcher failed; changes of the files are ignored");
                return;
            }
        }
    }
}
