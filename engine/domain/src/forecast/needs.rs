//! Requirements of an instance on its host, from its flavor as Nova shows it.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Requirement;
use crate::nova::{InstanceTraits, Server};
use crate::resources::Resources;

/// The prefix of extra specs by which a flavor requires metadata of aggregates.
const SCOPE: &str = "aggregate_instance_extra_specs:";

/// Extra specs of flavors that do not affect the choice of a host.
const IGNORED_EXTRA_SPECS: [&str; 9] = [
    "quota:",
    "hw_rng:",
    "hw_video:",
    "os:",
    "hw:boot_menu",
    "hw:watchdog_action",
    "hw:vif_multiqueue_enabled",
    "hw:cpu_max_",
    "hw:hide_hypervisor_id",
];

/// Prefixes of extra-spec values that are not plain text.
const VALUE_OPERATORS: [&str; 6] = ["<", ">", "=", "!", "s=", "s!"];

/// The requirements of instances, stored once for all equal ones: there are many instances and few flavors.
#[derive(Debug, Default)]
pub struct SharedNeeds(HashSet<Arc<Needs>>);

impl SharedNeeds {
    /// Returns the stored copy that all instances share.
    pub fn share(&mut self, needs: Arc<Needs>) -> Arc<Needs> {
        if let Some(same) = self.0.get(&needs) {
            return Arc::clone(same);
        }
        self.0.insert(Arc::clone(&needs));
        needs
    }

    /// Drops the requirements that no instance has any more.
    pub fn tidy(&mut self) {
        self.0.retain(|needs| Arc::strong_count(needs) > 1);
    }
}

/// The requirements of an instance on its host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Flat")]
pub struct Needs {
    pub project: String,
    /// The amounts.
    #[serde(flatten)]
    pub resources: Resources,
    /// The other requirements.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub wishes: BTreeSet<Requirement>,
    /// A requirement that the forecast does not model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_reckoned: Option<String>,
}

/// The same fields for reading: serde gathers all fields of a flattened struct before it reads any, which takes several times as
/// long. A large region has 50,000 of them.
#[derive(Deserialize)]
struct Flat {
    project: String,
    vcpus: u64,
    memory_mb: u64,
    disk_gb: u64,
    #[serde(default)]
    wishes: BTreeSet<Requirement>,
    #[serde(default)]
    not_reckoned: Option<String>,
}

impl From<Flat> for Needs {
    fn from(flat: Flat) -> Self {
        Self {
            project: flat.project,
            resources: Resources {
                vcpus: flat.vcpus,
                memory_mb: flat.memory_mb,
                disk_gb: flat.disk_gb,
            },
            wishes: flat.wishes,
            not_reckoned: flat.not_reckoned,
        }
    }
}

impl Needs {
    /// Returns the requirements of a server; `None` if Nova does not show its flavor.
    pub fn of(server: &Server) -> Option<Self> {
        Some(Self::from_flavor(server.needs?, &server.about))
    }

    fn from_flavor(resources: Resources, about: &InstanceTraits) -> Self {
        let mut needs = Self {
            project: about.project.clone(),
            resources,
            wishes: BTreeSet::new(),
            not_reckoned: None,
        };
        let image = about.image_properties.iter();
        let image = image.filter(|(key, _)| key.starts_with("trait:"));
        for (key, value) in about.flavor_properties.iter().chain(image) {
            match wish(key, value) {
                Some(wish) => {
                    needs.wishes.insert(wish);
                }
                None if IGNORED_EXTRA_SPECS
                    .iter()
                    .any(|harmless| key.starts_with(harmless)) => {}
                None if key == "hw:cpu_policy" && value == "shared" => {}
                None => needs.not_reckoned = Some(format!("{key}={value}")),
            }
        }
        needs
    }
}

fn wish(key: &str, value: &str) -> Option<Requirement> {
    if let Some(name) = key.strip_prefix("trait:") {
        return match value {
            "required" => Some(Requirement::Trait(name.to_owned())),
            "forbidden" => Some(Requirement::NoTrait(name.to_owned())),
            _ => None,
        };
    }
    let name = match key.strip_prefix(SCOPE) {
        Some(name) => name,
        None if !key.contains(':') => key,
        None => return None,
    };
    let is_plain = !VALUE_OPERATORS.iter().any(|operator| value.starts_with(operator));
    is_plain.then(|| Requirement::Metadata(name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_that_is_not_modelled_is_reported() {
        let parse = |key: &str, value: &str| {
            let mut about = InstanceTraits::default();
            about.flavor_properties.insert(key.into(), value.into());
            let needs = Needs::from_flavor(Resources::default(), &about);
            (needs.wishes.into_iter().next(), needs.not_reckoned.is_some())
        };
        let metadata = || Some(Requirement::Metadata("ssd".into(), "true".into()));
        for (key, value, expected) in [
            (
                "trait:X",
                "required",
                (Some(Requirement::Trait("X".into())), false),
            ),
            (
                "trait:X",
                "forbidden",
                (Some(Requirement::NoTrait("X".into())), false),
            ),
            ("trait:X", "perhaps", (None, true)),
            ("trait1:X", "required", (None, true)),
            ("ssd", "true", (metadata(), false)),
            ("aggregate_instance_extra_specs:ssd", "true", (metadata(), false)),
            ("ssd", "<or> true <or> false", (None, true)),
            ("quota:disk_total_iops_sec", "100", (None, false)),
            ("hw:cpu_policy", "shared", (None, false)),
            ("hw:cpu_policy", "dedicated", (None, true)),
            ("hw:numa_nodes", "2", (None, true)),
            ("resources:CUSTOM_X", "1", (None, true)),
            ("pci_passthrough:alias", "gpu:1", (None, true)),
        ] {
            assert_eq!(parse(key, value), expected, "{key}={value}");
        }
    }
}
