//! The Consul driver: up to three networks, each with a Consul cluster of its own, and a matrix that says which of them
//! must have lost a host before it is told as stopped.
//!
//! What differs from the Python monitor: a member that left in order (`leaving`, `left`) has not failed; a host that an
//! agent does not list is unknown there, and its place in the vector stays; an agent that does not answer makes its network
//! unknown and no other; a vector with an unknown place says nothing.

mod matrix;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tachi_instance_ha::{ClusterStatus, HostEvent, HostStatus, Notification};
use tokio_util::sync::CancellationToken;

use self::matrix::Matrix;
use super::samples::{Change, Hosts, State};
use crate::check::Finding;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::monitor::Monitor;
use crate::reporter::Reporter;
use crate::settings::Settings;

/// An agent on this machine or in this network answers at once, or not at all.
const ANSWER: Duration = Duration::from_secs(5);
/// A list of members is some hundred bytes each.
const LONGEST: usize = 16 << 20;

/// How a member is in one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    Down,
    /// Not asked, not listed, or left in order.
    Unknown,
}

/// One entry of `/v1/agent/members`.
#[derive(Debug, Deserialize)]
struct Member {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Status")]
    status: i64,
}

fn link(status: i64) -> Link {
    match status {
        1 => Link::Up,
        // Failed. 2 and 3 are leaving and left: someone wanted that.
        4 => Link::Down,
        _ => Link::Unknown,
    }
}

/// The monitor.
pub(crate) struct Driver {
    agents: Vec<(String, String)>,
    matrix: Matrix,
    http: reqwest::Client,
    interval: Duration,
    hosts: Hosts,
    hostname: String,
    clock: Clock,
}

impl Driver {
    /// As configured.
    pub(crate) fn new(settings: &Settings, clock: &Clock) -> Result<Self, Failure> {
        let consul = &settings.consul;
        let matrix = Matrix::load(consul.matrix.as_deref())?;
        let address = |network: &str| match network {
            "manage" => consul.manage.as_deref(),
            "tenant" => consul.tenant.as_deref(),
            "storage" => consul.storage.as_deref(),
            _ => None,
        };
        let mut agents = Vec::new();
        for network in matrix.sequence() {
            let Some(address) = address(network) else {
                return Err(Failure::usage(format!(
                    "the matrix names the network {network}, and there is no [consul] agent_{network}"
                )));
            };
            let address = if address
                .rsplit_once(':')
                .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
            {
                address.to_owned()
            } else {
                format!("{address}:8500")
            };
            agents.push((network.clone(), format!("http://{address}/v1/agent/members")));
        }
        let http = reqwest::Client::builder()
            .timeout(ANSWER)
            .no_proxy()
            .build()
            .map_err(|error| Failure::new("setting up the client of Consul", error))?;
        Ok(Self {
            agents,
            matrix,
            http,
            interval: settings.host.interval,
            hosts: Hosts::new(settings.host.samples),
            hostname: settings.hostname.clone(),
            clock: clock.clone(),
        })
    }

    async fn members(&self, url: &str) -> Result<BTreeMap<String, Link>, Failure> {
        let asking = |error| Failure::new(format!("asking {url}"), error);
        let mut answer = self
            .http
            .get(url)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(asking)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(asking)? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(Failure::told(format!("{url} answers without end")));
            }
        }
        let members: Vec<Member> = serde_json::from_slice(&body)
            .map_err(|error| Failure::new(format!("reading the answer of {url}"), error))?;
        Ok(members
            .into_iter()
            .map(|member| (member.name, link(member.status)))
            .collect())
    }

    /// How every host is, over all networks.
    async fn look(&self, health: &Health) -> BTreeMap<String, State> {
        let mut networks = Vec::new();
        let mut trouble = Vec::new();
        for (network, url) in &self.agents {
            match self.members(url).await {
                Ok(members) => networks.push(members),
                Err(failure) => {
                    trouble.push(format!("{network}: {}", failure.chain()));
                    networks.push(BTreeMap::new());
                }
            }
        }
        if trouble.is_empty() {
            health.good("consul");
        } else {
            health.bad("consul", trouble.join("; "));
        }
        let mut names: Vec<&String> = networks.iter().flat_map(BTreeMap::keys).collect();
        names.sort_unstable();
        names.dedup();
        let place = |name: &String, network: &BTreeMap<String, Link>| {
            network.get(name).copied().unwrap_or(Link::Unknown)
        };
        names
            .into_iter()
            .filter(|name| **name != self.hostname)
            .map(|name| {
                let vector: Vec<Link> = networks.iter().map(|network| place(name, network)).collect();
                (name.clone(), self.matrix.state(&vector))
            })
            .collect()
    }

    fn report(&self, host: &str, change: Change) -> Notification {
        let (event, cluster) = match change {
            Change::Started => (HostEvent::Started, ClusterStatus::Online),
            Change::Stopped => (HostEvent::Stopped, ClusterStatus::Offline),
        };
        Notification::host(
            host,
            event,
            Some(cluster),
            HostStatus::Normal,
            self.clock.generated(),
        )
    }
}

#[async_trait]
impl Monitor for Driver {
    async fn run(
        mut self: Box<Self>,
        reporter: Reporter,
        health: Health,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        tracing::warn!(
            "Consul knows who answers, not who is off: a host that is told as stopped is not proven to be off"
        );
        loop {
            let states = tokio::select! {
                states = self.look(&health) => states,
                () = stop.cancelled() => return Ok(()),
            };
            for (host, change) in self.hosts.see(&states) {
                let report = self.report(&host, change);
                match reporter.report_instead(&report, "it changed again").await {
                    Ok(_) => self.hosts.told(&host, change),
                    // Not told: seen as a change again at the next look.
                    Err(error) => tracing::error!(%error, %host, "a report is not kept"),
                }
            }
            if super::samples::rest(self.interval, &health, &stop).await {
                return Ok(());
            }
        }
    }
}

/// How long a failure may take to be noticed.
pub(crate) fn worst(settings: &Settings) -> Finding {
    let looks = u32::try_from(settings.host.samples).unwrap_or(u32::MAX);
    let each = settings.host.interval + ANSWER * 3;
    Finding::noticed(
        "host",
        "a host that Consul has marked as failed",
        each.saturating_mul(looks),
    )
}

#[cfg(test)]
mod tests;
