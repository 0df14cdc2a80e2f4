//! The task that executes due events between calls.

use tokio_util::sync::CancellationToken;

use super::Region;

impl Region {
    /// Runs until `stop` is cancelled.
    pub(crate) async fn drive(self, stop: CancellationToken) {
        loop {
            let next = self
                .read(|state| state.world.agenda.next_at())
                .map(|at| self.inner.clock.instant(at));
            let due = async {
                match next {
                    Some(instant) => tokio::time::sleep_until(instant).await,
                    None => std::future::pending().await,
                }
            };
            // All three branches may be dropped: sleeping and waiting have no side effects, and a wake-up that
            // is missed leaves its permit behind.
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.inner.wakeup.notified() => {}
                () = due => {}
            }
        }
    }
}
