//! The checks that guards make beside Nova and the database.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::guard::Witness;

/// The failure domains and witnesses that the operator has configured for an engine.
#[async_trait]
pub trait Witnesses: Send + Sync {
    /// Returns hosts by failure domain, as configured in a file. `hosts` are the existing names, which patterns match.
    fn domains(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>>;

    /// Tries to reach every witness. Takes a few seconds at most, whatever they do.
    async fn witnesses(&self) -> Vec<Witness>;
}

/// Surroundings of an engine for which none are configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSurroundings;

#[async_trait]
impl Witnesses for NoSurroundings {
    fn domains(&self, _: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        BTreeMap::new()
    }

    async fn witnesses(&self) -> Vec<Witness> {
        Vec::new()
    }
}
