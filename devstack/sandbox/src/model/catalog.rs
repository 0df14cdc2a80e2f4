//! Flavors and images.

use uuid::Uuid;

/// A flavor.
#[derive(Debug, Clone)]
pub(crate) struct Flavor {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) vcpus: u32,
    pub(crate) ram_mb: u64,
    pub(crate) disk_gb: u64,
}

/// An image.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

/// The usual flavors.
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
    })
    .collect()
}
