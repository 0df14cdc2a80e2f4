//! The instances whose reported failure no recovery has repaired.

use tachi_domain::Timestamp;
use tachi_domain::nova::is_started_since;

use super::Watcher;

impl Watcher {
    /// Reads the instances whose failure no recovery has repaired. Such a failure explains a stop that Nova has
    /// recorded by itself, and the instance counts as down until it is known to run. Nova may show a crashed guest as
    /// active for minutes, so that alone proves nothing: Nova must have shown it stopped since, or an operator must
    /// have started it. Each round reads the actions of one such instance.
    pub(super) async fn read_failed(&mut self, now: Timestamp) {
        match self.sources.failed.failed_instances().await {
            Ok(failed) => self.roster.note_failed(failed),
            Err(error) => {
                tracing::debug!(%error, "failed to read the instances whose recovery has failed");
                return;
            }
        }
        match self.sources.failed.host_boots().await {
            Ok(boots) => self.roster.note_boots(boots, now),
            Err(error) => tracing::debug!(%error, "failed to read the boots of hosts"),
        }
        let mut gone = self.roster.deleted(now);
        gone.extend(&self.roster.running_again);
        if let Some((server, failed_at)) = self.roster.next_failed()
            && let Ok(Some(actions)) = self.sources.inventory.orders(server).await
            && is_started_since(&actions, failed_at)
        {
            gone.insert(server, failed_at);
        }
        if gone.is_empty() {
            return;
        }
        match self.sources.failed.forget_instances(&gone).await {
            Ok(()) => self.roster.running_again.clear(),
            // Nova may not show again that an instance was stopped and runs, so that is kept for the next round.
            Err(error) => {
                tracing::debug!(%error, "failed to remove instances that were deleted or run again");
            }
        }
    }
}
