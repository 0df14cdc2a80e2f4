//! Files that are read again when they change.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often they are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What is made from files.
pub(super) trait Watched: Send + Sized + 'static {
    /// For people.
    const NAME: &'static str;

    /// Forgets how the files looked: what they refer to may have changed though they have not.
    fn forget(&mut self);

    /// Reads the files again if they have changed.
    fn look_again(&mut self);
}

/// Looks every second, and reads at once on SIGHUP, until told to stop.
pub(super) async fn watch<W: Watched>(mut files: W, stop: CancellationToken) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::error!(%error, "{} is not watched: listening for SIGHUP", W::NAME);
            return;
        }
    };
    let mut every = tokio::time::interval(LOOK);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // Every branch only waits, so nothing is lost with those that are dropped.
        tokio::select! {
            () = stop.cancelled() => return,
            _ = every.tick() => {}
            _ = hangup.recv() => files.forget(),
        }
        // A look takes microseconds on a healthy disk; a hanging one must not hold up requests.
        let looked = tokio::task::spawn_blocking(move || {
            files.look_again();
            files
        });
        match looked.await {
            Ok(same) => files = same,
            Err(error) => {
                tracing::error!(%error, "{} is watched no more", W::NAME);
                return;
            }
        }
    }
}
