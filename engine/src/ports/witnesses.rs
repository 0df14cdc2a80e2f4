//! The inputs of guards apart from Nova and the database.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use tachi_domain::guard::Witness;

/// The failure domains and witnesses that the operator has configured for an engine.
#[async_trait]
pub trait Witnesses: Send + Sync {
    /// Returns the configured failure domains with their hosts. Patterns are matched against `hosts`, the existing names.
    fn domains(&self, hosts: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>>;

    /// Tries to reach every witness, within a few seconds.
    async fn witnesses(&self) -> Vec<Witness>;
}

/// The witnesses of an engine without configured ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoWitnesses;

#[async_trait]
impl Witnesses for NoWitnesses {
    fn domains(&self, _: &BTreeSet<String>) -> BTreeMap<String, BTreeSet<String>> {
        BTreeMap::new()
    }

    async fn witnesses(&self) -> Vec<Witness> {
        Vec::new()
    }
}
