//! Notifications to systemd: ready, reloading, stopping, and alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

/// A loop that must make progress, and the limit of one round.
struct WatchedLoop {
    /// Returns the number of its rounds.
    count: Box<dyn Fn() -> u64 + Send + Sync>,
    within: Duration,
    last_count: u64,
    moved: Instant,
}

/// The service manager. Without one nothing is sent.
#[derive(Default)]
pub(crate) struct ServiceManager {
    watched: Vec<WatchedLoop>,
}

impl ServiceManager {
    /// Watches a loop.
    pub(crate) fn watch(&mut self, count: impl Fn() -> u64 + Send + Sync + 'static, within: Duration) {
        self.watched.push(WatchedLoop {
            last_count: count(),
            count: Box::new(count),
            within,
            moved: Instant::now(),
        });
    }

    /// Returns the interval of calls to [`ServiceManager::alive`]; `None` if there is no watchdog.
    pub(crate) fn interval() -> Option<Duration> {
        sd_notify::watchdog_enabled().map(|limit| (limit / 2).max(Duration::from_millis(1)))
    }

    pub(crate) fn ready(status: &str) {
        notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    pub(crate) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(error) => tracing::debug!(%error, "failed to read the monotonic clock"),
        }
    }

    pub(crate) fn stopping() {
        notify(&[
            NotifyState::Stopping,
            NotifyState::Status("stopping: waiting for calls in progress"),
        ]);
    }

    /// Notifies the watchdog if every loop makes progress. A process with a stuck loop is restarted by the service manager.
    pub(crate) fn alive(&mut self) {
        if self.all_turn(Instant::now()) {
            notify(&[NotifyState::Watchdog]);
        } else {
            tracing::error!("process has a stuck loop; not feeding systemd's watchdog");
        }
    }

    fn all_turn(&mut self, now: Instant) -> bool {
        let mut all = true;
        for watched in &mut self.watched {
            let count = (watched.count)();
            if count != watched.last_count {
                (watched.last_count, watched.moved) = (count, now);
            }
            all &= now.duration_since(watched.moved) <= watched.within;
        }
        all
    }
}

/// Sends notifications to the service manager.
pub fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "failed to notify systemd");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn one_loop_that_does_not_turn_is_enough() {
        let mut manager = ServiceManager::default();
        let (quick, slow) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let count = |rounds: &Arc<AtomicU64>| {
            let rounds = Arc::clone(rounds);
            move || rounds.load(Ordering::Relaxed)
        };
        manager.watch(count(&quick), Duration::from_secs(10));
        manager.watch(count(&slow), Duration::from_secs(60));
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
                quick.fetch_add(1, Ordering::Relaxed);
            }
            if slow_turns {
                slow.fetch_add(1, Ordering::Relaxed);
            }
            assert_eq!(
                manager.all_turn(began + Duration::from_secs(at)),
                expected,
                "{name}"
            );
        }
    }
}
