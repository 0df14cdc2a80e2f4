//! The instances whose reported failure no recovery has repaired.

use tachi_domain::Timestamp;

use super::Watcher;

impl Watcher {
    /// Reads the instances whose failure no recovery has repaired: that failure explains a stop that Nova has recorded by itself.
    pub(super) async fn read_failed(&mut self, now: Timestamp) {
        match self.sources.failed.failed_instances().await {
            Ok(failed) => self.roster.note_failed(failed),
            Err(error) => {
                tracing::debug!(%error, "failed to read the instances whose recovery has failed");
                return;
            }
        }
        let gone = self.roster.deleted(now);
        if !gone.is_empty()
            && let Err(error) = self.sources.failed.forget_instances(&gone).await
        {
            tracing::debug!(%error, "failed to remove deleted instances whose recovery had failed");
        }
    }
}
