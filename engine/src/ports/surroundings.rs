//! What guards look at beside Nova and the database.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::guard::Witness;

/// The neighbourhood of an engine, as its operator has described it.
#[async_trait]
pub trait Surroundings: Send + Sync {
    /// Hosts by failure domain, as a file says; `hosts` are the names there are, for patterns to choose from.
    fn domains(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>>;

    /// Tries to reach every witness. Takes a few seconds at most, whatever they do.
    async fn witnesses(&self) -> Vec<Witness>;
}

/// Nobody has described any.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSurroundings;

#[async_trait]
impl Surroundings for NoSurroundings {
    fn domains(&self, _: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        BTreeMap::new()
    }

    async fn witnesses(&self) -> Vec<Witness> {
        Vec::new()
    }
}
