//! Host selection, as by nova-scheduler with its usual filters, and with the common filters for aggregates' metadata:
//! `ComputeFilter`, `ServerGroupAntiAffinityFilter`, `ServerGroupAffinityFilter`, `AggregateInstanceExtraSpecsFilter`,
//! `AggregateMultiTenancyIsolation`, and Placement's for capacity, traits and isolated aggregates.

use std::collections::BTreeSet;

use uuid::Uuid;

use crate::model::catalog::Flavor;
use crate::model::inventory::Amounts;
use crate::model::server::Server;
use crate::model::{HostIx, ServerIx, State};

const SCOPE: &str = "aggregate_instance_extra_specs:";
const TENANT: &str = "filter_tenant_id";

/// The policy of a server group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "groups are made by tests of the model; no request makes one"
    )
)]
pub(crate) enum GroupPolicy {
    /// All on one host.
    Affinity,
    /// Up to this number on one host.
    AntiAffinity { per_host: usize },
    /// A soft policy.
    Soft,
}

/// A server group.
#[derive(Debug, Clone)]
pub(crate) struct ServerGroup {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) policy: GroupPolicy,
    pub(crate) members: BTreeSet<ServerIx>,
}

impl State {
    /// Returns the least loaded host that accepts the server; the seed breaks ties.
    pub(crate) fn schedule(&mut self, index: ServerIx, exclude: Option<HostIx>) -> Option<HostIx> {
        let mut best: Vec<HostIx> = Vec::new();
        let mut most_free = 0;
        for (ix, host) in self.world.hosts.iter() {
            if Some(ix) == exclude || !self.accepts(ix, index) {
                continue;
            }
            let free = host.ram_mb.saturating_sub(host.inventory.used().ram_mb);
            if best.is_empty() || free > most_free {
                best.clear();
                most_free = free;
            }
            if free == most_free {
                best.push(ix);
            }
        }
        match best.len() {
            0 => None,
            count => {
                let choice = self.world.rng.below(count);
                best.get(choice).copied()
            }
        }
    }

    /// True if the scheduler would place the server on this host.
    pub(crate) fn accepts(&self, ix: HostIx, index: ServerIx) -> bool {
        let Some((server, flavor)) = self.with_flavor(index) else {
            return false;
        };
        let host = &self.world.hosts[ix];
        !host.disabled
            && self.service_up(ix)
            && host.has_room(amounts(server, flavor))
            && server
                .pinned_zone
                .as_deref()
                .is_none_or(|zone| self.aggregates.zone_of(ix) == zone)
            && flavor
                .traits("required")
                .all(|name| host.inventory.traits.contains(name))
            && !flavor
                .traits("forbidden")
                .any(|name| host.inventory.traits.contains(name))
            && aggregates_allow(self, ix, server, flavor)
            && groups_allow(self, ix, index)
    }

    fn with_flavor(&self, index: ServerIx) -> Option<(&Server, &Flavor)> {
        let server = self.world.servers.get(index)?;
        Some((server, self.flavors.get(server.flavor)?))
    }

    /// Records Placement's allocation of the server on a host.
    pub(crate) fn allocate(&mut self, ix: HostIx, index: ServerIx) {
        if let Some(amounts) = self
            .with_flavor(index)
            .map(|(server, flavor)| amounts(server, flavor))
        {
            self.world.hosts[ix].inventory.allocate(index, amounts);
        }
    }
}

fn aggregates_allow(state: &State, ix: HostIx, server: &Server, flavor: &Flavor) -> bool {
    let own = || state.aggregates.iter().filter(|row| row.hosts.contains(&ix));
    // The flavor's requirements on aggregates.
    let mut requested = flavor.extra_specs.iter().filter_map(|(key, value)| {
        let unscoped = !key.contains(':');
        key.strip_prefix(SCOPE)
            .or(unscoped.then_some(key.as_str()))
            .map(|key| (key, value))
    });
    let granted = requested.all(|(key, value)| own().any(|row| row.metadata.get(key) == Some(value)));
    // The flavors and projects to which aggregates are restricted.
    let is_open = own().flat_map(|row| &row.metadata).all(|(key, value)| {
        if let Some(name) = key.strip_prefix("trait:") {
            value != "required" || flavor.traits("required").any(|own| own == name)
        } else {
            true
        }
    });
    let mut tenants = own()
        .flat_map(|row| &row.metadata)
        .filter(|(key, _)| key.starts_with(TENANT))
        .peekable();
    let ours = |(_, value): (&String, &String)| value.split(',').any(|id| id.trim() == server.project_id);
    granted && is_open && (tenants.peek().is_none() || tenants.any(ours))
}

/// True if the server groups permit the host. An instance in a move counts at its destination, by its allocation.
fn groups_allow(state: &State, ix: HostIx, index: ServerIx) -> bool {
    let mut groups = state
        .server_groups
        .iter()
        .filter(|row| row.members.contains(&index));
    groups.all(|row| {
        let others = || row.members.iter().filter(|member| **member != index);
        match row.policy {
            GroupPolicy::Soft => true,
            GroupPolicy::AntiAffinity { per_host } => {
                others()
                    .filter(|member| state.world.hosts[ix].inventory.holds(**member))
                    .count()
                    < per_host
            }
            GroupPolicy::Affinity => {
                let places: BTreeSet<HostIx> = others()
                    .filter_map(|member| state.world.servers.get(*member)?.host)
                    .collect();
                places.is_empty() || places.contains(&ix)
            }
        }
    })
}

/// Returns the required resources. A volume uses no disk of the host.
fn amounts(server: &Server, flavor: &Flavor) -> Amounts {
    Amounts {
        vcpus: flavor.vcpus,
        ram_mb: flavor.ram_mb,
        disk_gb: if server.image.is_some() { flavor.disk_gb } else { 0 },
    }
}

#[cfg(test)]
mod tests;
