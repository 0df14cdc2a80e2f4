//! A dry run: makes the queries of a host recovery without its actions. It only reads lists from Nova, and switches no
//! power.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tachi_domain::count;
use tachi_domain::guard::{Guard, GuardPhase, HostFacts, Ruling, rule};
use tachi_domain::host_recovery::in_order;
use tachi_domain::policy::Policy;
use tachi_domain::{HostId, RecoveryId, ServerId};
use tokio::sync::watch;
use uuid::Uuid;

use crate::engine::Ports;
use crate::lists::Services;
use crate::ports::Witnesses;
use crate::region_scan::RegionScan;

/// A query and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// A description of the query.
    pub what: String,
    pub took: Duration,
    /// The result, for people.
    pub outcome: Result<String, String>,
}

impl Answer {
    /// Runs the query and measures its duration.
    pub async fn of<T, E: Display>(
        what: impl Into<String>,
        asking: impl Future<Output = Result<T, E>>,
        describe: impl FnOnce(&T) -> Result<String, String>,
    ) -> (Self, Option<T>) {
        let started_at = Instant::now();
        let answer = asking.await;
        let took = started_at.elapsed();
        let result = match &answer {
            Ok(answer) => describe(answer),
            Err(error) => Err(error.to_string()),
        };
        let what = what.into();
        (
            Self {
                what,
                took,
                outcome: result,
            },
            answer.ok(),
        )
    }
}

/// The result of a dry run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DryRun {
    /// The answers, in the order of the queries.
    pub answers: Vec<Answer>,
    /// The ruling of the guards; `None` if unknown.
    pub ruling: Option<Ruling>,
    /// The instances that would be evacuated, by id and name, in their order.
    pub order: Vec<(ServerId, String)>,
    /// The names of excluded instances, with the reason.
    pub left: Vec<(String, String)>,
}

/// Runs all queries for the host of this id and name. `host` counts as down in Nova.
pub async fn dry_run_host(
    ports: &Ports,
    witness_source: Arc<dyn Witnesses>,
    policy: &Policy,
    (host, name): (HostId, &str),
) -> DryRun {
    let mut all = DryRun::default();
    let compute = &ports.compute;
    let ready = Answer::of("keystone, nova", compute.make_ready(), |()| {
        Ok("authenticated".to_owned())
    });
    all.answers.push(ready.await.0);
    let service = Answer::of("service", compute.service(name), |found| match found {
        None => Err("Nova has no nova-compute of this name".to_owned()),
        Some(one) => {
            let (up, enabled) = (one.up, one.enabled);
            let choose = |is: bool, yes: &'static str, no: &'static str| if is { yes } else { no };
            Ok(format!(
                "{}, {}",
                choose(up, "up", "down"),
                choose(enabled, "enabled", "disabled")
            ))
        }
    });
    all.answers.push(service.await.0);
    let (_, rules) = watch::channel(policy.clone());
    let region_scan = RegionScan::new(ports.clone(), Arc::new(Services::new(ports.clone())), rules);
    region_scan.set_witnesses(witness_source);
    let scan = async { region_scan.scan().await.map_err(|fault| fault.text) };
    let (answer, region) = Answer::of("region", scan, |region| match &region.nova {
        Ok(nova) => Ok(format!(
            "{}, {}",
            count(region.hosts.len(), "host", "hosts"),
            count(nova.services.len(), "service", "services")
        )),
        Err(why) => Err(why.clone()),
    })
    .await;
    all.answers.push(answer);
    all.ruling = region.map(|region| {
        let own = HostFacts {
            silent: true,
            evidence: false,
            cliff_for: Duration::ZERO,
        };
        let facts = region.facts(host, name, RecoveryId(Uuid::new_v4()), own, policy);
        // Without a report, no second reporter can corroborate one.
        rule(
            &facts,
            policy,
            GuardPhase::Order,
            &BTreeSet::from([Guard::Corroboration]),
        )
    });
    let (answer, servers) = Answer::of("instances", compute.servers_on(name), |servers| {
        Ok(format!("{} on it", servers.len()))
    })
    .await;
    all.answers.push(answer);
    let servers = servers.unwrap_or_default();
    let mut included = Vec::new();
    for server in &servers {
        match policy.leaves(server) {
            None => included.push(server),
            Some(why) => all.left.push((server.name.clone(), why)),
        }
    }
    in_order(policy, &mut included);
    all.order = included
        .iter()
        .map(|server| (server.id, server.name.clone()))
        .collect();
    let cell = Answer::of("cell", compute.count_in_cell(name), |known| {
        Ok(match *known {
            None => "the cell shows no count".to_owned(),
            Some(all) => format!("counts {}", count(all, "instance", "instances")),
        })
    });
    all.answers.push(cell.await.0);
    let migrations = Answer::of("migrations", compute.migrations_touching(name), |all| {
        Ok(format!("{} in Nova's records", all.len()))
    });
    all.answers.push(migrations.await.0);
    all
}
