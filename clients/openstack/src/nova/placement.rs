//! Free capacity of a host, by Placement's accounting.
//!
//! Placement names its providers after Nova's nodes, which usually have the service host's name. Where they do not,
//! Nova's list of hypervisors maps nodes to hosts, by the id that both use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use osauth::ApiVersion;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tachi_domain::forecast::{Capacity, Provider};
use tachi_domain::reserved::Resources;
use tachi_engine::ports::{CallError, ProviderLine};

use super::{Nova, hypervisor};
use crate::fault::ErrorScope;
use crate::keystone::plugin::Service;
use crate::session::Call;

/// The first version with the current form of usages by provider; every Placement since 2017 supports it.
const VERSION: ApiVersion = ApiVersion(1, 9);

/// Shared and dedicated processors count together.
const PROCESSORS: [&str; 2] = ["VCPU", "PCPU"];

#[derive(Deserialize)]
struct Providers {
    resource_providers: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    uuid: String,
    name: String,
    #[serde(default)]
    generation: u64,
}

#[derive(Deserialize)]
struct Inventories {
    #[serde(default)]
    resource_provider_generation: u64,
    inventories: HashMap<String, Inventory>,
}

#[derive(Deserialize)]
struct Inventory {
    total: u64,
    #[serde(default)]
    reserved: u64,
    #[serde(default = "one")]
    allocation_ratio: f64,
    #[serde(default)]
    min_unit: u64,
    #[serde(default)]
    max_unit: Option<u64>,
    #[serde(default)]
    step_size: u64,
}

const fn one() -> f64 {
    1.0
}

#[derive(Deserialize)]
struct Usages {
    #[serde(default)]
    resource_provider_generation: u64,
    usages: HashMap<String, u64>,
}

pub(super) async fn room_on(nova: &Nova, host: &str) -> Result<Option<Resources>, CallError> {
    let Some(provider) = provider_of(nova, host).await? else {
        return Ok(None);
    };
    let Inventories { inventories, .. } =
        get(nova, &["resource_providers", &provider, "inventories"], &[]).await?;
    let Usages { usages, .. } = get(nova, &["resource_providers", &provider, "usages"], &[]).await?;
    Ok(Some(room(&inventories, &usages)))
}

#[derive(Deserialize)]
struct Traits {
    #[serde(default)]
    resource_provider_generation: u64,
    traits: BTreeSet<String>,
}

/// Lists the providers. Placement returns all of them at once. Providers below another one, such as those of a NUMA
/// node, are omitted: no forecast uses them.
pub(super) async fn providers(nova: &Nova) -> Result<Vec<ProviderLine>, CallError> {
    let Providers { resource_providers } = get(nova, &["resource_providers"], &[]).await?;
    let lines = resource_providers.into_iter().map(|line| ProviderLine {
        id: line.uuid,
        generation: line.generation,
    });
    Ok(lines.collect())
}

pub(super) async fn provider(nova: &Nova, id: &str) -> Result<Option<(u64, Provider)>, CallError> {
    match read(nova, id).await {
        // The provider has been deleted since it was listed.
        Err(error) if error.fault.status == Some(404) => Ok(None),
        other => other,
    }
}

async fn read(nova: &Nova, id: &str) -> Result<Option<(u64, Provider)>, CallError> {
    let has: Inventories = get(nova, &["resource_providers", id, "inventories"], &[]).await?;
    let used: Usages = get(nova, &["resource_providers", id, "usages"], &[]).await?;
    let traits: Traits = get(nova, &["resource_providers", id, "traits"], &[]).await?;
    let generation = has.resource_provider_generation;
    if used.resource_provider_generation != generation || traits.resource_provider_generation != generation {
        return Ok(None);
    }
    let capacity = |(class, one): (String, Inventory)| {
        let capacity = Capacity {
            total: one.total,
            reserved: one.reserved,
            // An invalid ratio counts as no capacity.
            ratio_millis: format!("{:.0}", (one.allocation_ratio * 1_000.0).floor())
                .parse()
                .unwrap_or(0),
            min_unit: one.min_unit,
            max_unit: one.max_unit.unwrap_or(one.total),
            step_size: one.step_size,
            used: used.usages.get(&class).copied().unwrap_or(0),
        };
        (class, capacity)
    };
    let provider = Provider {
        has: has.inventories.into_iter().map(capacity).collect(),
        traits: Arc::new(traits.traits),
    };
    Ok(Some((generation, provider)))
}

async fn provider_of(nova: &Nova, host: &str) -> Result<Option<String>, CallError> {
    let query = [("name", host.to_owned())];
    let Providers { resource_providers } = get(nova, &["resource_providers"], &query).await?;
    let named = resource_providers.into_iter().find(|one| one.name == host);
    match named {
        Some(provider) => Ok(Some(provider.uuid)),
        None => node_of(nova, host).await,
    }
}

/// Returns the id of the host's node; `None` unless it has exactly one.
async fn node_of(nova: &Nova, host: &str) -> Result<Option<String>, CallError> {
    let mut nodes = hypervisor::all(nova, host).await?;
    Ok(nodes.pop().filter(|_| nodes.is_empty()))
}

#[derive(Deserialize)]
struct Allocations {
    allocations: HashMap<String, serde_json::Value>,
}

/// Returns the consumers of the host's resources: running servers, servers being built, and servers that migrate to the
/// host. The scheduler writes allocations before it calls the host, so they appear earlier than in Nova's list of
/// servers. `None` if the host does not have exactly one provider.
pub(super) async fn consumers_on(nova: &Nova, host: &str) -> Result<Option<BTreeSet<String>>, CallError> {
    let Some(provider) = provider_of(nova, host).await? else {
        return Ok(None);
    };
    let Allocations { allocations } =
        get(nova, &["resource_providers", &provider, "allocations"], &[]).await?;
    Ok(Some(allocations.into_keys().collect()))
}

async fn get<T: DeserializeOwned>(
    nova: &Nova,
    path: &[&str],
    query: &[(&'static str, String)],
) -> Result<T, CallError> {
    let answer = nova
        .session
        .call(&Call {
            version: Some(VERSION),
            ..Call::read(Service::Placement, path, query, ErrorScope::Service)
        })
        .await?;
    answer.json()
}

fn room(inventories: &HashMap<String, Inventory>, usages: &HashMap<String, u64>) -> Resources {
    let left = |class: &str| {
        let inventory = inventories.get(class)?;
        let all = scaled(
            inventory.total.saturating_sub(inventory.reserved),
            inventory.allocation_ratio,
        );
        Some(all.saturating_sub(usages.get(class).copied().unwrap_or(0)))
    };
    let sum = |classes: &[&str]| {
        classes
            .iter()
            .filter_map(|class| left(class))
            .fold(0_u64, u64::saturating_add)
    };
    Resources {
        vcpus: sum(&PROCESSORS),
        memory_mb: sum(&["MEMORY_MB"]),
        // A host without its own disk uses storage that it shares with other hosts.
        disk_gb: left("DISK_GB").unwrap_or(u64::MAX),
    }
}

/// Applies a ratio as Placement does, rounding down. Ratios have at most a few decimals.
fn scaled(amount: u64, ratio: f64) -> u64 {
    let thousandths = (ratio * 1_000.0).round();
    // A ratio that is not a number or far too large is ignored.
    let Ok(thousandths) = format!("{thousandths:.0}").parse::<u64>() else {
        return amount;
    };
    amount.saturating_mul(thousandths) / 1_000
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_free_capacity_is_computed_as_placement_does_it() {
        let cases = [
            (
                "plain",
                json!({"VCPU": {"total": 8}, "MEMORY_MB": {"total": 8192, "reserved": 512}, "DISK_GB": {"total": 100}}),
                json!({"VCPU": 2, "MEMORY_MB": 1024, "DISK_GB": 10}),
                (6, 6656, 90),
            ),
            (
                "overcommitted, and dedicated processors",
                json!({"VCPU": {"total": 8, "allocation_ratio": 16.0}, "PCPU": {"total": 4},
                       "MEMORY_MB": {"total": 1000, "allocation_ratio": 1.5}, "DISK_GB": {"total": 10}}),
                json!({"VCPU": 100, "PCPU": 1, "MEMORY_MB": 0, "DISK_GB": 0}),
                (31, 1500, 10),
            ),
            (
                "more in use than there is",
                json!({"VCPU": {"total": 1}, "MEMORY_MB": {"total": 1, "reserved": 5}, "DISK_GB": {"total": 1}}),
                json!({"VCPU": 9, "MEMORY_MB": 9, "DISK_GB": 9}),
                (0, 0, 0),
            ),
            (
                "shared storage",
                json!({"VCPU": {"total": 1}, "MEMORY_MB": {"total": 1}}),
                json!({}),
                (1, 1, u64::MAX),
            ),
            ("nothing at all", json!({}), json!({}), (0, 0, u64::MAX)),
        ];
        for (name, inventories, usages, (vcpus, memory_mb, disk_gb)) in cases {
            let inventories = serde_json::from_value(inventories).unwrap();
            let usages = serde_json::from_value(usages).unwrap();
            let expected = Resources {
                vcpus,
                memory_mb,
                disk_gb,
            };
            assert_eq!(room(&inventories, &usages), expected, "{name}");
        }
        assert_eq!(scaled(7, f64::NAN), 7);
        assert_eq!(scaled(10, 1.234), 12);
    }
}
