//! The API and the engine of a region, which the program starts.

use async_trait::async_trait;
use tachi_engine::ports::OperatorJournal;
use tachi_operator::Failure;

use crate::region::Region;

/// Starts the API and the engine of a region.
#[async_trait]
pub trait Controller {
    /// Starts them with the configuration of the region; the API is listening when this returns.
    async fn start(&self, region: &Region) -> Result<Box<dyn RunningController>, Failure>;
}

/// A running API and engine.
#[async_trait]
pub trait RunningController: Send + Sync {
    /// Returns the journal, as an operator reads it and writes into it.
    fn operator_journal(&self) -> &dyn OperatorJournal;

    /// Stops both.
    async fn stop(self: Box<Self>);
}
