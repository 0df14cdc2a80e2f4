//! Nova's servers, page by page.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tachi_domain::nova::{Server, ServerAction};
use tachi_domain::{ServerId, Timestamp};

use super::CallError;

/// A page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerPage {
    /// The servers on it, without those of cells that are down.
    pub servers: Vec<Server>,
    /// When each was changed last, by Nova's clock, where Nova shows it.
    pub updated: BTreeMap<ServerId, Timestamp>,
    /// After which server the next one begins; `None` if this is the last.
    pub next: Option<ServerId>,
}

/// Lists servers of all projects without holding all of them at once, and without asking for more than one page.
#[async_trait]
pub trait Inventory: Send + Sync {
    /// One page: the first, or the one after a server; of all, or of those that have changed since a time by Nova's clock,
    /// deleted ones with them.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed; status 400 if the server to begin after is gone.
    async fn servers(
        &self,
        after: Option<ServerId>,
        changed_since: Option<Timestamp>,
    ) -> Result<ServerPage, CallError>;

    /// What was asked of a server, the latest first; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// Nova or Keystone failed, or we are not let in.
    async fn orders(&self, server: ServerId) -> Result<Option<Vec<ServerAction>>, CallError>;
}
