//! What hosts have, as Placement and Nova tell it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::forecast::{Group, Provider};
use tachi_domain::reserved::Aggregate;

use super::CallError;

/// A resource provider, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLine {
    /// Placement's id of it, and Nova's of the node.
    pub id: String,
    /// Moves on with each change of what it has, of what is taken of it, and of its traits.
    pub generation: u64,
}

/// Reads what a forecast is made from, a little at a time.
#[async_trait]
pub trait Rooms: Send + Sync {
    /// Every provider, in one request.
    ///
    /// # Errors
    ///
    /// Placement or Keystone failed, or does not let us ask.
    async fn providers(&self) -> Result<Vec<ProviderLine>, CallError>;

    /// The service host of each node, by the node's id; a host with several nodes is left out.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed.
    async fn nodes(&self) -> Result<BTreeMap<String, String>, CallError>;

    /// One provider, in three requests, with the generation at which all of it was so; `None` if it is gone, or changed meanwhile.
    ///
    /// # Errors
    ///
    /// As for [`Rooms::providers`].
    async fn provider(&self, id: &str) -> Result<Option<(u64, Provider)>, CallError>;

    /// Nova's aggregates.
    ///
    /// # Errors
    ///
    /// As for [`Rooms::nodes`].
    async fn all_aggregates(&self) -> Result<Vec<Aggregate>, CallError>;

    /// The server groups of all projects whose policy binds.
    ///
    /// # Errors
    ///
    /// As for [`Rooms::nodes`].
    async fn groups(&self) -> Result<Vec<Group>, CallError>;
}
