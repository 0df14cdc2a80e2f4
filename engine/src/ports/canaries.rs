//! Canaries: servers that a live drill builds for itself. These calls are no part of [`NovaCalls`](super::NovaCalls), so no recovery can
//! create or delete a server.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::ServerId;
use tachi_domain::nova::Server;

use super::CallError;

/// The networks of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Networks {
    /// No network.
    None,
    /// Nova selects the project's network.
    Auto,
    /// This network, by its id.
    Of(String),
}

/// A server to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryOrder {
    /// The name.
    pub name: String,
    /// The service host on which the server is to be created.
    pub host: String,
    /// The image, by its id.
    pub image: String,
    /// The flavor, by its id.
    pub flavor: String,
    /// The networks.
    pub networks: Networks,
    /// The metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Calls of a live drill to Nova and Placement.
#[async_trait]
pub trait Canaries: Send + Sync {
    /// Requests a server in the session's project. If the response is lost, the caller does not learn the id; [`Self::own_servers`] lists
    /// the server.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::evacuate`](super::ServerCalls::evacuate).
    async fn build_canary(&self, order: &CanaryOrder) -> Result<ServerId, CallError>;

    /// Deletes a server. Succeeds if it does not exist.
    ///
    /// # Errors
    ///
    /// The same errors as [`ServerCalls::unlock`](super::ServerCalls::unlock).
    async fn delete_canary(&self, id: ServerId) -> Result<(), CallError>;

    /// Lists the servers of the session's project.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::servers_on`](super::Compute::servers_on).
    async fn own_servers(&self) -> Result<Vec<Server>, CallError>;

    /// Returns the ids of a host's consumers in Placement: servers, and migrations that hold allocations there. `None` if they cannot be
    /// determined.
    ///
    /// # Errors
    ///
    /// The same errors as [`Compute::servers_on`](super::Compute::servers_on).
    async fn consumers_on(&self, host: &str) -> Result<Option<BTreeSet<String>>, CallError>;
}
