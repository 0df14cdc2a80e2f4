//! Two wake-up ports combined into one.

use async_trait::async_trait;
use tachi_engine::ports::{Notifier, Wakeups};

/// A pair of ports: a sender that notifies both, or a receiver that either one wakes.
#[derive(Clone, Debug)]
pub struct Fanout<A, B>(pub A, pub B);

impl<A: Notifier, B: Notifier> Notifier for Fanout<A, B> {
    fn notify(&self) {
        self.0.notify();
        self.1.notify();
    }

    fn is_connected(&self) -> Option<bool> {
        match (self.0.is_connected(), self.1.is_connected()) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        }
    }
}

#[async_trait]
impl<A: Wakeups, B: Wakeups> Wakeups for Fanout<A, B> {
    async fn woken(&self) {
        // Both branches are cancel-safe by the port's contract, so the dropped one keeps its wake-up.
        tokio::select! {
            () = self.0.woken() => {}
            () = self.1.woken() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Fanout, InProcess};

    use super::*;

    #[tokio::test]
    async fn either_side_wakes_and_both_are_notified() {
        let (one, other) = (InProcess::default(), InProcess::default());
        let both = Fanout(one.clone(), other.clone());
        one.notify();
        both.woken().await;
        other.notify();
        both.woken().await;
        both.notify();
        one.woken().await;
        other.woken().await;
    }

    #[tokio::test]
    async fn a_wake_up_of_the_dropped_branch_is_kept() {
        let (one, other) = (InProcess::default(), InProcess::default());
        let both = Fanout(one, other);
        both.notify();
        both.woken().await;
        both.woken().await;
    }
}
