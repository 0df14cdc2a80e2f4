//! Wake-ups within one process.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_engine::ports::{Notifier, Wakeups};
use tokio::sync::Notify;

/// Both ends of a wake-up for one engine, shared between clones.
#[derive(Clone, Debug, Default)]
pub struct InProcess(Arc<Notify>);

impl Notifier for InProcess {
    fn notify(&self) {
        // Stores one permit if there is no waiter.
        self.0.notify_one();
    }
}

#[async_trait]
impl Wakeups for InProcess {
    async fn woken(&self) {
        self.0.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// True if `woken` returns at once.
    async fn is_woken(wake: &InProcess) -> bool {
        tokio::select! {
            biased;
            () = wake.woken() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn wake_ups_before_the_call_count_as_one() {
        let wake = InProcess::default();
        assert!(!is_woken(&wake).await, "no wake-up was sent");
        wake.notify();
        wake.notify();
        assert!(is_woken(&wake).await, "a wake-up was sent before the call");
        assert!(!is_woken(&wake).await, "two wake-ups count as one");
    }

    #[tokio::test]
    async fn a_waiter_is_woken_from_another_task() {
        let wake = InProcess::default();
        let waiter = wake.clone();
        let waiting = async move { waiter.woken().await };
        let ((), ()) = tokio::join!(waiting, async { wake.notify() });
    }

    #[tokio::test]
    async fn a_dropped_call_loses_no_wake_up() {
        let wake = InProcess::default();
        assert!(!is_woken(&wake).await, "dropped while waiting");
        wake.notify();
        assert!(is_woken(&wake).await, "the next call gets the wake-up");
    }
}
