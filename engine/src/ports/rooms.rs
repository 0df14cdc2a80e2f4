//! The capacity of hosts, as Placement and Nova report it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::forecast::{Group, Provider};
use tachi_domain::reserved::Aggregate;

use super::CallError;

/// A resource provider, as the list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderLine {
    /// The id in Placement, which is Nova's id of the node.
    pub id: String,
    /// A number that changes with each change of its inventory, its allocations and its traits.
    pub generation: u64,
}

/// Reads the input of a forecast, in small requests.
#[async_trait]
pub trait Rooms: Send + Sync {
    /// Returns every provider, in one request.
    ///
    /// # Errors
    ///
    /// Placement or Keystone failed, or denied access.
    async fn providers(&self) -> Result<Vec<ProviderLine>, CallError>;

    /// Returns the service host of each node, by the node's id; a host with several nodes is omitted.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed.
    async fn nodes(&self) -> Result<BTreeMap<String, String>, CallError>;

    /// Returns one provider, in three requests, with the generation at which all answers were valid; `None` if it is gone,
    /// or changed meanwhile.
    ///
    /// # Errors
    ///
    /// The same errors as [`Rooms::providers`].
    async fn provider(&self, id: &str) -> Result<Option<(u64, Provider)>, CallError>;

    /// Returns Nova's aggregates.
    ///
    /// # Errors
    ///
    /// The same errors as [`Rooms::nodes`].
    async fn all_aggregates(&self) -> Result<Vec<Aggregate>, CallError>;

    /// Returns the server groups of all projects whose policy is a hard rule.
    ///
    /// # Errors
    ///
    /// The same errors as [`Rooms::nodes`].
    async fn groups(&self) -> Result<Vec<Group>, CallError>;
}
