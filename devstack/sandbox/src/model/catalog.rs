//! Flavors and images.

use std::collections::BTreeMap;

use uuid::Uuid;

#[derive(Debug, Clone)]
pub(crate) struct Flavor {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) vcpus: u32,
    pub(crate) ram_mb: u64,
    pub(crate) disk_gb: u64,
    pub(crate) extra_specs: BTreeMap<String, String>,
}

impl Flavor {
    /// Returns the traits with this value: `required` or `forbidden`.
    pub(crate) fn traits<'a>(&'a self, requirement: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self
            .extra_specs
            .iter()
            .filter(move |(_, value)| *value == requirement);
        named.filter_map(|(key, _)| key.strip_prefix("trait:"))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// Returns the usual flavors of a devstack.
pub(crate) fn flavors() -> Vec<Flavor> {
    [
        ("1", "m1.tiny", 1, 512, 1),
        ("2", "m1.small", 1, 2048, 20),
        ("3", "m1.medium", 2, 4096, 40),
        ("4", "m1.large", 4, 8192, 80),
    ]
    .into_iter()
    .map(|(id, name, vcpus, ram_mb, disk_gb)| Flavor {
        id: id.into(),
        name: name.into(),
        vcpus,
        ram_mb,
        disk_gb,
        extra_specs: BTreeMap::new(),
    })
    .collect()
}
