//! Two wake-up ports combined into one.

use async_trait::async_trait;
use tachi_engine::ports::{Poke, Wake};

/// A pair that pokes both, or is woken by either.
#[derive(Clone, Debug)]
pub struct Both<A, B>(pub A, pub B);

impl<A: Poke, B: Poke> Poke for Both<A, B> {
    fn poke(&self) {
        self.0.poke();
        self.1.poke();
    }

    fn is_connected(&self) -> Option<bool> {
        match (self.0.is_connected(), self.1.is_connected()) {
            (Some(one), Some(other)) => Some(one && other),
            (one, other) => one.or(other),
        }
    }
}

#[async_trait]
impl<A: Wake, B: Wake> Wake for Both<A, B> {
    async fn woken(&self) {
        // Both branches are cancel-safe by the port's contract, so the dropped one keeps its poke.
        tokio::select! {
            () = self.0.woken() => {}
            () = self.1.woken() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{Both, LocalWake};

    use super::*;

    #[tokio::test]
    async fn either_side_wakes_and_both_are_poked() {
        let (one, other) = (LocalWake::default(), LocalWake::default());
        let both = Both(one.clone(), other.clone());
        one.poke();
        both.woken().await;
        other.poke();
        both.woken().await;
        both.poke();
        one.woken().await;
        other.woken().await;
    }

    #[tokio::test]
    async fn a_poke_of_the_side_that_lost_is_kept() {
        let (one, other) = (LocalWake::default(), LocalWake::default());
        let both = Both(one, other);
        both.poke();
        both.woken().await;
        both.woken().await;
    }
}
