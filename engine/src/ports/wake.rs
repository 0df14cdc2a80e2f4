//! Wake-ups: they make things quick, nothing depends on their arrival.

use async_trait::async_trait;

/// The sending side.
pub trait Poke: Send + Sync {
    /// Tells every engine that can be reached that there may be work. Never blocks, never fails.
    fn poke(&self);
}

/// The receiving side.
#[async_trait]
pub trait Wake: Send + Sync {
    /// Resolves after a poke. Pokes that came since the last call count; several count as one.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses no poke.
    async fn woken(&self);
}
