//! The Consul driver: up to three networks, each with its own Consul cluster, and a matrix of the networks that must
//! have lost a host before it is reported as stopped.
//!
//! Differences from the Python monitor: a member that left in order (`leaving`, `left`) has not failed; a host that an
//! agent does not list is unknown there, and its place in the vector remains. An agent that does not answer, lists no
//! member, or sees most others gone makes only its own network unknown. A vector with unknown places is decided only if
//! all their values give the same result. A host that the management network reaches is named in the heartbeat, with the
//! networks that it has lost, and reported as stopped only if the API does not accept that or Nova shows it down.

mod agent;
mod matrix;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use tachi_instance_ha::{ClusterStatus, HostEvent, HostStatus, Notification};
use tokio::time::Instant;

use self::agent::{Agents, Link};
use self::matrix::Matrix;
use super::samples::{Change, HostSampler, Sampler, State, stopped_status};
use crate::check::Finding;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::health::Health;
use crate::heartbeat::DetectionTime;
use crate::planes::LostPlanes;
use crate::settings::Settings;

/// The network whose loss makes a host look dead. A host that it reaches runs, whatever else it has lost.
const MANAGEMENT: &str = "manage";

/// A network that a host has lost.
struct PlaneLoss {
    since: Instant,
    /// The number of polls that showed it.
    polls: usize,
}

/// The driver that reads the networks through Consul.
pub(crate) struct Driver {
    agents: Vec<(String, String)>,
    matrix: Matrix,
    http: Agents,
    stopped: HostStatus,
    hostname: String,
    clock: Clock,
    /// The lost networks of hosts that the management network reaches, by host and network.
    lost: BTreeMap<(String, String), PlaneLoss>,
    /// The number of polls that confirm a loss.
    samples: usize,
}

impl Driver {
    /// Creates the driver from the configuration.
    pub(crate) fn new(settings: &Settings, clock: &Clock) -> Result<Self, Failure> {
        let consul = &settings.consul;
        let matrix = Matrix::load(consul.matrix.as_deref())?;
        let http = Agents::new(&agent::Access::of(|name| std::env::var(name).ok()))?;
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
                    "the matrix names the network {network}, but [consul] agent_{network} is not set"
                )));
            };
            let url = http
                .url(address)
                .map_err(|why| Failure::usage(format!("[consul] agent_{network}: {address}: {why}")))?;
            agents.push((network.clone(), url));
        }
        Ok(Self {
            agents,
            matrix,
            http,
            stopped: stopped_status(settings),
            hostname: settings.hostname.clone(),
            clock: clock.clone(),
            lost: BTreeMap::new(),
            samples: settings.host.samples.max(1),
        })
    }

    /// Follows the lost networks of a host. True if the management network reaches it, so that it runs.
    fn follow_planes(&mut self, host: &str, vector: &[Link]) -> bool {
        let planes = || self.agents.iter().map(|(network, _)| network).zip(vector);
        let management = planes().find(|(network, _)| *network == MANAGEMENT);
        let management = management.map_or(Link::Unknown, |(_, link)| *link);
        for (network, link) in planes().filter(|(network, _)| *network != MANAGEMENT) {
            let key = (host.to_owned(), network.clone());
            match (management, link) {
                // A host that every network has lost is reported as stopped.
                (Link::Down, _) | (_, Link::Up) => _ = self.lost.remove(&key),
                (Link::Up, Link::Down) => {
                    let since = Instant::now();
                    self.lost
                        .entry(key)
                        .or_insert(PlaneLoss { since, polls: 0 })
                        .polls += 1;
                }
                (Link::Up | Link::Unknown, Link::Unknown) | (Link::Unknown, Link::Down) => {}
            }
        }
        management == Link::Up
    }

    /// Returns the losses that enough polls have shown.
    fn lost_planes(&self) -> LostPlanes {
        let mut lost = LostPlanes::new();
        let confirmed = self.lost.iter().filter(|(_, loss)| loss.polls >= self.samples);
        for ((host, network), loss) in confirmed {
            lost.entry(host.clone())
                .or_default()
                .insert(network.clone(), loss.since);
        }
        lost
    }

    /// Creates the monitor.
    pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Result<Sampler<Self>, Failure> {
        Sampler::new(Self::new(settings, clock)?, settings)
    }
}

#[async_trait]
impl HostSampler for Driver {
    /// Returns every host's state over all networks.
    async fn sample(&mut self, health: &Health) -> Option<BTreeMap<String, State>> {
        let mut networks = Vec::new();
        let mut problem = Vec::new();
        let answers = join_all(self.agents.iter().map(|(_, url)| self.http.members(url))).await;
        for ((network, _), answer) in self.agents.iter().zip(answers) {
            match answer {
                Ok(members) => networks.push(members),
                Err(failure) => {
                    problem.push(format!("{network}: {}", failure.chain()));
                    networks.push(BTreeMap::new());
                }
            }
        }
        if problem.is_empty() {
            health.good("consul");
        } else {
            health.bad("consul", problem.join("; "));
        }
        let names: BTreeSet<&String> = networks
            .iter()
            .flat_map(BTreeMap::keys)
            .filter(|name| **name != self.hostname)
            .collect();
        if problem.is_empty() {
            // A host that no network lists any more has left.
            self.lost.retain(|(host, _), _| names.contains(host));
        }
        let place = |name: &String, network: &BTreeMap<String, Link>| {
            network.get(name).copied().unwrap_or(Link::Unknown)
        };
        let mut states = BTreeMap::new();
        for name in names {
            let vector: Vec<Link> = networks.iter().map(|network| place(name, network)).collect();
            let runs = self.follow_planes(name, &vector);
            let mut state = self.matrix.state(&vector);
            if state == State::Down && runs {
                state = match health.planes(|planes| planes.heartbeat_suffices(name)) {
                    // The heartbeat names it instead.
                    Some(true) => State::Other,
                    Some(false) => State::Down,
                    None => State::Unknown,
                };
            }
            states.insert(name.clone(), state);
        }
        let lost = self.lost_planes();
        health.planes(|planes| planes.observe(lost));
        Some(states)
    }

    fn report(&self, host: &str, change: Change) -> Option<Notification> {
        let (event, cluster, status) = match change {
            Change::Started => (HostEvent::Started, ClusterStatus::Online, HostStatus::Normal),
            Change::Stopped => (HostEvent::Stopped, ClusterStatus::Offline, self.stopped),
        };
        let at = self.clock.generated();
        Some(Notification::host(host, event, Some(cluster), status, at))
    }

    fn lists_all(&self) -> bool {
        false
    }

    fn warning(&self) -> &'static str {
        "Consul shows which hosts answer, not which are off: a host reported as stopped is not confirmed off"
    }
}

/// Returns a note if the matrix is configured and missing: the built-in one is used.
pub(crate) fn missing_matrix(settings: &Settings) -> Option<Finding> {
    let path = settings.consul.matrix.as_ref()?;
    let text = format!(
        "[consul] matrix_config_file: {} does not exist; the built-in matrix is used",
        path.display()
    );
    (!path.exists()).then(|| Finding::note("host", text))
}

/// Returns the longest time until a failure is noticed.
pub(crate) fn max_latency(settings: &Settings) -> Finding {
    Finding::reported_within(
        "host",
        "a host that Consul has marked as failed",
        within(settings),
    )
}

/// Returns the longest time until a failure is noticed, as a value.
pub(crate) fn report_latency(settings: &Settings) -> DetectionTime {
    DetectionTime {
        within: within(settings),
        by: format!("{} equal polls of Consul", settings.host.samples),
        undetected_by: String::new(),
        beside: "until Consul has marked a host as failed".to_owned(),
    }
}

fn within(settings: &Settings) -> Duration {
    let polls = u32::try_from(settings.host.samples).unwrap_or(u32::MAX);
    let each = settings.host.interval + agent::ANSWER_TIMEOUT;
    each.saturating_mul(polls)
}

#[cfg(test)]
mod tests;
