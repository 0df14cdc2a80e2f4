//! The spool, on a thread that may block.

use std::sync::{Arc, Mutex, PoisonError};

use tachi_spool::Spool;

/// The spool, shared between clones.
#[derive(Clone)]
pub(crate) struct Store(Arc<Mutex<Spool>>);

impl Store {
    pub(crate) fn new(spool: Spool) -> Self {
        Self(Arc::new(Mutex::new(spool)))
    }

    /// True if there is no other handle.
    #[cfg(test)]
    pub(super) fn is_alone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Runs a closure with it on a thread that may block. Once started it completes, even if the caller is dropped.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Spool) -> T + Send + 'static,
    ) -> T {
        let spool = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut spool.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match done.await {
            Ok(value) => value,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is being shut down, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}
