//! Notifications to systemd: ready, reloading, stopping, and alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tachi_engine::Liveness;
use tokio::time::Instant;

/// A loop that must make progress, and the limit of one round.
struct WatchedLoop {
    liveness: Liveness,
    within: Duration,
    last_count: u64,
    moved: Instant,
}

/// The service manager. Without one nothing is sent.
#[derive(Default)]
pub(super) struct Manager {
    watched: Vec<WatchedLoop>,
}

impl Manager {
    /// Watches a loop.
    pub(super) fn watch(&mut self, liveness: Liveness, within: Duration) {
        self.watched.push(WatchedLoop {
            last_count: liveness.count(),
            liveness,
            within,
            moved: Instant::now(),
        });
    }

    /// Returns the interval of calls to [`Manager::alive`]; `None` if there is no watchdog.
    pub(super) fn interval() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(1)))
    }

    pub(super) fn ready(status: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(super) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "failed to read the monotonic clock"),
        }
    }

    pub(super) fn stopping() {
        notify(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: waiting for calls in progress"),
        ]);
    }

    /// Notifies the watchdog if every loop makes progress. A process with a stuck loop is restarted by the service manager.
    pub(super) fn alive(&mut self) {
        if self.all_turn(Instant::now()) {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("process has a stuck loop; not feeding systemd's watchdog");
        }
    }

    fn all_turn(&mut self, now: Instant) -> bool {
        let mut all = true;
        for watched in &mut self.watched {
            let count = watched.liveness.count();
            if count != watched.last_count {
                (watched.last_count, watched.moved) = (count, now);
            }
            all &= now.duration_since(watched.moved) <= watched.within;
        }
        all
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "failed to notify systemd");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loop_that_does_not_turn_is_enough() {
        let mut manager = Manager::default();
        let (quick, slow) = (Liveness::default(), Liveness::default());
        manager.watch(quick.clone(), Duration::from_secs(10));
        manager.watch(slow.clone(), Duration::from_secs(60));
        let began = Instant::now();
        let cases = [
            ("both turn", 10, true, true, true),
            ("the slow one may take its time", 20, true, false, true),
            ("still", 70, true, false, true),
            ("too long", 71, true, false, false),
            ("it has woken up", 80, true, true, true),
            ("the quick one may not", 91, false, true, false),
        ];
        for (name, at, quick_turns, slow_turns, expected) in cases {
            if quick_turns {
                quick.beat();
            }
            if slow_turns {
                slow.beat();
            }
            assert_eq!(
                manager.all_turn(began + Duration::from_secs(at)),
                expected,
                "{name}"
            );
        }
    }
}
