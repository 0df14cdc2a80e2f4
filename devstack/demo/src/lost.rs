//! Losses of the demo: the hosts that fail, their racks, and the instances on them.

use std::collections::BTreeMap;

use tachi_cli::arguments::{DemoFault, SceneArgs};
use tachi_operator::Failure;
use tachi_sandbox::ServerSnapshot;
use uuid::Uuid;

use crate::region::Region;

/// One instance on a host that is to fail.
pub(super) struct CoveredInstance {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) from: String,
    pub(super) tagged: bool,
}

/// Returns the hosts that fail, chosen by the seed.
pub(super) fn failing(args: SceneArgs, region: &Region, hosts: &[String]) -> Vec<String> {
    let count = u64::try_from(hosts.len()).unwrap_or(1).max(1);
    let index = usize::try_from((args.seed.wrapping_mul(7).wrapping_add(1)) % count).unwrap_or_default();
    let Some(first) = hosts.get(index) else {
        return Vec::new();
    };
    if args.fault != Some(DemoFault::RackLoss) {
        return vec![first.clone()];
    }
    let all = region.sandbox.region().hosts();
    let rack = all
        .iter()
        .find(|host| host.name == *first)
        .map(|host| host.rack.clone());
    all.into_iter()
        .filter(|host| Some(&host.rack) == rack.as_ref())
        .map(|host| host.name)
        .collect()
}

/// Creates an aggregate in Nova for each rack, with the key that the guards read.
pub(super) fn name_racks(region: &Region) -> Result<(), Failure> {
    let wrong = |error| Failure::new("naming the racks", error);
    let mut racks: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for host in region.sandbox.region().hosts() {
        racks.entry(host.rack).or_default().push(host.name);
    }
    for (rack, hosts) in racks {
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let region = region.sandbox.region();
        let id = region
            .operator()
            .create_aggregate(&format!("rack {rack}"), &hosts)
            .map_err(wrong)?;
        region
            .operator()
            .set_aggregate_metadata(id, "failure_domain", &domain_name(&rack))
            .map_err(wrong)?;
    }
    Ok(())
}

pub(super) fn domain_name(rack: &str) -> String {
    format!("rack:{rack}")
}

pub(super) fn rack_of(region: &Region, host: &str) -> String {
    let hosts = region.sandbox.region().hosts();
    let found = hosts.into_iter().find(|one| one.name == host);
    found.map(|one| one.rack).unwrap_or_default()
}

pub(super) fn covered(region: &Region, failing: &[String]) -> Vec<CoveredInstance> {
    let mut covered: Vec<CoveredInstance> = region
        .sandbox
        .region()
        .snapshot()
        .into_iter()
        .filter_map(|server| {
            let from = server.host.clone().filter(|host| failing.contains(host))?;
            let tagged = is_tagged(&server);
            Some(CoveredInstance {
                id: server.id,
                name: server.name,
                from,
                tagged,
            })
        })
        .collect();
    covered.sort_by(|a, b| (&a.from, &a.name).cmp(&(&b.from, &b.name)));
    covered
}

pub(super) fn is_tagged(server: &ServerSnapshot) -> bool {
    server
        .metadata
        .get("HA_Enabled")
        .is_some_and(|value| value == "True")
}
