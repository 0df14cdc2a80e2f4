//! Wake-ups shorten the reaction time. Nothing depends on their arrival.

use std::sync::Arc;

use async_trait::async_trait;

/// The sending side.
pub trait Notifier: Send + Sync {
    /// Notifies every reachable engine that there may be work. Never blocks, never fails.
    fn notify(&self);

    /// True if engines on other machines can be reached now; `None` if no connection could fail.
    fn is_connected(&self) -> Option<bool> {
        None
    }
}

/// The receiving side.
#[async_trait]
pub trait Wakeups: Send + Sync {
    /// Waits for a wake-up. Wake-ups since the last call count, several of them as one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no wake-up.
    async fn woken(&self);
}

impl<T: Notifier + ?Sized> Notifier for Arc<T> {
    fn notify(&self) {
        T::notify(self);
    }

    fn is_connected(&self) -> Option<bool> {
        T::is_connected(self)
    }
}

#[async_trait]
impl<T: Wakeups + ?Sized> Wakeups for Arc<T> {
    async fn woken(&self) {
        T::woken(self).await;
    }
}
