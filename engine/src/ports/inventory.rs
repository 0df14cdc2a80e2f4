//! Nova's servers, page by page.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::nova::{Server, ServerAction};
use tachi_domain::{ServerId, Timestamp};

use super::CallError;

/// A page of servers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerPage {
    /// The servers on it, without those of cells that are down.
    pub servers: Vec<Server>,
    /// The servers on it in cells that are down: nothing but their existence is known.
    pub unknown: Vec<ServerId>,
    /// The time of each server's last change, by Nova's clock, where Nova shows it.
    pub updated: BTreeMap<ServerId, Timestamp>,
    /// The server after which the next page starts; `None` if this is the last.
    pub next: Option<ServerId>,
}

/// A list of the servers of all projects, read page by page, so that not all of them are in memory at once.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// Returns one page: the first, or the one after a server. Lists all servers, or only those that have changed since a
    /// time by Nova's clock, including deleted ones.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed; status 400 if the server to start after is gone.
    async fn servers(
        &self,
        after: Option<ServerId>,
        changed_since: Option<Timestamp>,
    ) -> Result<ServerPage, CallError>;

    /// Returns the actions requested of a server, the latest first; `None` if the server is gone.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed, or denied access.
    async fn orders(&self, server: ServerId) -> Result<Option<Vec<ServerAction>>, CallError>;
}
