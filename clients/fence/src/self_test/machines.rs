//! Machines in a round of self-tests: it compares the machines behind the devices, stores new ones, and raises an alarm if a device reads
//! off for a host that is up in Nova.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tachi_domain::Timestamp;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::Service;
use tachi_domain::power::Power;
use tachi_engine::ports::device_report::{Alarm, Report};
use tachi_engine::ports::machines::NewMachine;
use tachi_engine::ports::{CloudLists, Machines};
use tachi_engine::{CloudCache, MachineCheckedFencer};
use tokio::time::Instant;

/// Interval between two polls of Nova by a command.
const POLL_INTERVAL: Duration = Duration::from_secs(3);

/// Limit of machines that are stored in one transaction.
const MAX_BATCH: usize = 200;

/// The compute services of Nova, by host.
pub type Services = BTreeMap<String, Option<Service>>;

/// Source of Nova's heartbeats.
#[async_trait]
pub trait HostLiveness: Send + Sync {
    /// Returns every compute service, as Nova shows it after this call; `None` if Nova does not answer.
    async fn poll_services(&self) -> Option<Services>;
}

/// An engine polls Nova all the time.
#[async_trait]
impl HostLiveness for CloudCache {
    async fn poll_services(&self) -> Option<Services> {
        self.polled().await;
        let view = self.view();
        view.problem.is_none().then_some(view.services)
    }
}

/// A command polls Nova itself.
pub struct DirectQueries(pub Arc<dyn CloudLists>);

#[async_trait]
impl HostLiveness for DirectQueries {
    async fn poll_services(&self) -> Option<Services> {
        tokio::time::sleep(POLL_INTERVAL).await;
        match self.0.services().await {
            Ok(services) => Some(services.computes),
            Err(error) => {
                tracing::warn!(%error, "failed to read the heartbeats of hosts from Nova");
                None
            }
        }
    }
}

/// Compares the machine of each report with the known one, and puts errors into the report. An unknown machine is stored if
/// the device reads on and Nova sees a heartbeat of the host. `busy` hosts are under recovery: no machine of theirs is stored, and an
/// off reading is expected.
pub async fn examine(
    reports: &mut [Report],
    identified: &MachineCheckedFencer,
    machines: &dyn Machines,
    ears: &dyn HostLiveness,
    (within, busy): (Duration, &BTreeSet<String>),
) {
    let (mut new, mut off) = (Vec::new(), Vec::new());
    let reading = |report: &Report| report.power.filter(|_| report.target.is_some());
    let mut judged = {
        let readable = reports.iter().filter(|report| reading(report).is_some());
        let devices: Vec<_> = readable
            .filter_map(|report| {
                let device = report.target.as_ref()?.to_string();
                Some((report.host.as_str(), device, report.machine.as_ref()))
            })
            .collect();
        identified.check_all(&devices).await.into_iter()
    };
    for (index, report) in reports.iter_mut().enumerate() {
        let Some(power) = reading(report) else { continue };
        let Some(judged) = judged.next() else { break };
        match judged {
            Err(error) => {
                let foreign = error.fault.class == FaultClass::Conflict;
                report.alarm = foreign.then_some(Alarm::ForeignMachine);
                report.fault = Some(error.fault.text);
            }
            Ok(_) if busy.contains(&report.host) => {}
            Ok(_) if power == Power::Off => off.push(index),
            Ok(entry) if power == Power::On && entry.known.expected.is_none() && report.machine.is_some() => {
                new.push(index);
            }
            Ok(_) => {}
        }
    }
    let host = |index: &usize| reports.get(*index).map(|report| report.host.clone());
    let hosts: BTreeSet<String> = new.iter().chain(&off).filter_map(host).collect();
    let up = hosts_up(ears, &hosts, within).await;
    for index in off {
        let Some(report) = reports.get_mut(index).filter(|report| up.contains(&report.host)) else {
            continue;
        };
        report.alarm = Some(Alarm::OffWhileUp);
        report.fault = Some(format!(
            "it reads the host off ({:?}) while the host is up in Nova: it switches another machine, or its reading is wrong. Compare its \
             address, its plug and its cabling with the host's",
            report.raw
        ));
    }
    let new_machine = |index: usize| {
        let report = reports.get(index).filter(|report| up.contains(&report.host))?;
        Some(NewMachine {
            host: report.host.clone(),
            device: report.target.as_ref()?.to_string(),
            machine: report.machine.clone()?,
        })
    };
    let new: Vec<NewMachine> = new.into_iter().filter_map(new_machine).collect();
    for some in new.chunks(MAX_BATCH) {
        match machines.register(some).await {
            Ok(machines) => tracing::info!(machines, "stored which machines fence devices switch"),
            Err(error) => tracing::warn!(%error, "failed to store which machines fence devices switch"),
        }
    }
}

/// Returns the hosts whose heartbeat advances in Nova from now on. It does not wait for hosts that Nova shows down.
async fn hosts_up(ears: &dyn HostLiveness, hosts: &BTreeSet<String>, within: Duration) -> BTreeSet<String> {
    let mut up = BTreeSet::new();
    if hosts.is_empty() {
        return up;
    }
    let Some(first) = ears.poll_services().await else {
        return up;
    };
    let before: BTreeMap<String, Option<Timestamp>> = first
        .into_iter()
        .filter_map(|(host, service)| Some((host, service?.last_heartbeat)))
        .collect();
    let until = Instant::now() + within;
    while Instant::now() < until {
        let Some(services) = ears.poll_services().await else {
            break;
        };
        let mut waits = false;
        for (host, service) in services {
            let (Some(service), Some(before)) = (service, before.get(&host)) else {
                continue;
            };
            if !hosts.contains(&host) || up.contains(&host) {
                continue;
            }
            if service.last_heartbeat > *before {
                up.insert(host);
            } else {
                waits |= service.up;
            }
        }
        if !waits {
            break;
        }
    }
    up
}

#[cfg(test)]
mod tests;
