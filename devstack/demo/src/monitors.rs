//! Monitors of a simulated region: they send heartbeats while their host has power and network, and report a host that has lost either.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::monitor::MonitorKind;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_instance_ha::{
    Class, Client, ClusterStatus, GeneratedTime, HostEvent, HostStatus, MonitorHeartbeat, Notification,
    Options,
};
use tachi_keystone::{Credentials, Domain, ResourceRef, Scope};
use tachi_operator::Failure;
use tachi_sandbox::HostSnapshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::region::Region;

/// Interval at which hosts are checked.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Time after which a lost host is reported.
const REPORT_AFTER: Duration = Duration::from_secs(3);

/// Maximum time until a host is reported, as the monitors announce it.
const NOTICE_SECONDS: u32 = 4;

/// Interval of each monitor's heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(10);

/// Limit of concurrent heartbeats.
const MAX_PARALLEL: usize = 16;

/// A lost host, and since when.
struct StoppedMonitor {
    since: Instant,
    reported: bool,
}

/// The monitors of a region.
pub struct Monitors {
    region: tachi_sandbox::Region,
    client: Arc<Client>,
    gone: BTreeMap<String, StoppedMonitor>,
    signed: Option<Instant>,
    /// Last refusal by the API, so that it is logged only once.
    logged: Option<String>,
}

impl Monitors {
    /// Creates the monitors. They find the API in the catalogue of the region, as real ones do.
    pub fn of(region: &Region) -> Result<Self, Failure> {
        let login = region.sandbox.credentials_of("masakari", "service");
        let named = |name: String| ResourceRef::Name {
            name,
            domain: Some(Domain::Name(login.domain_name.clone())),
        };
        let credentials = Credentials::Password {
            user: named(login.username),
            password: login.password.into(),
            scope: Scope::Project(named(login.project_name)),
        };
        let client = Client::new(Options::new(login.auth_url, credentials))
            .map_err(|error| Failure::new("creating the simulated monitors", error))?;
        Ok(Self {
            region: region.sandbox.region().clone(),
            client: Arc::new(client),
            gone: BTreeMap::new(),
            signed: None,
            logged: None,
        })
    }

    /// Watches until it is stopped.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(POLL_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let poll = self.poll(Instant::now());
            if stop.run_until_cancelled(poll).await.is_none() {
                return;
            }
        }
    }

    async fn poll(&mut self, now: Instant) {
        let hosts = self.region.hosts();
        for host in &hosts {
            if has_heartbeat(host) {
                if self.gone.remove(&host.name).is_some() {
                    // A monitor that has just started sends a heartbeat at once.
                    self.signed = None;
                }
            } else {
                let new = StoppedMonitor {
                    since: now,
                    reported: false,
                };
                self.gone.entry(host.name.clone()).or_insert(new);
            }
        }
        let mut refused = None;
        if hosts.iter().any(has_heartbeat) {
            refused = self.report(now).await;
        }
        if self
            .signed
            .is_none_or(|at| now.duration_since(at) >= HEARTBEAT_INTERVAL)
        {
            self.signed = Some(now);
            refused = self.send_heartbeats(&hosts).await.or(refused);
            if refused.is_some() && refused != self.logged {
                tracing::info!(
                    why = refused.as_deref(),
                    "the API refuses reports of the simulated monitors"
                );
            }
            self.logged = refused;
        }
    }

    /// Reports lost hosts; returns a refusal by the API, if there was one.
    async fn report(&mut self, now: Instant) -> Option<String> {
        let mut refused = None;
        for (host, gone) in &mut self.gone {
            if gone.reported || now.duration_since(gone.since) < REPORT_AFTER {
                continue;
            }
            let at = GeneratedTime::from_micros(SystemClock.wall().micros());
            let (event, status) = (HostEvent::Stopped, HostStatus::Unknown);
            let report = Notification::host(host, event, Some(ClusterStatus::Offline), status, at);
            match self.client.notify(report.body(), None).await {
                Ok(_) => gone.reported = true,
                Err(failed) => {
                    // The host may be in maintenance, for example. It is reported the next time that it is lost.
                    gone.reported = failed.class == Class::Rejected;
                    refused = Some(failed.text);
                }
            }
        }
        refused
    }

    /// Sends the heartbeats; returns a refusal by the API, if there was one.
    async fn send_heartbeats(&self, hosts: &[HostSnapshot]) -> Option<String> {
        const KINDS: [MonitorKind; 3] = [MonitorKind::Host, MonitorKind::Process, MonitorKind::Instance];
        let up = hosts.iter().filter(|host| has_heartbeat(host));
        let all: Vec<(&HostSnapshot, MonitorKind)> =
            up.flat_map(|host| KINDS.map(|kind| (host, kind))).collect();
        let mut refused = None;
        for some in all.chunks(MAX_PARALLEL) {
            let mut signing = JoinSet::new();
            for (host, kind) in some.iter().copied() {
                let (client, signature) = (Arc::clone(&self.client), signature(host, kind, hosts));
                let host = host.name.clone();
                signing.spawn(async move { client.send_heartbeat(&host, kind.as_str(), &signature).await });
            }
            let failed = signing.join_all().await.into_iter().find_map(Result::err);
            refused = failed.map(|failed| failed.text).or(refused);
        }
        refused
    }
}

fn has_heartbeat(host: &HostSnapshot) -> bool {
    host.power && host.link
}

/// Builds a monitor's heartbeat. Host monitors watch the hosts of their zone.
fn signature(host: &HostSnapshot, kind: MonitorKind, hosts: &[HostSnapshot]) -> MonitorHeartbeat {
    let is_host = kind == MonitorKind::Host;
    let others = hosts
        .iter()
        .filter(|one| is_host && one.zone == host.zone && one.name != host.name);
    MonitorHeartbeat {
        version: tachi_cli::VERSION.to_owned(),
        troubles: BTreeMap::new(),
        watches: others.map(|one| one.name.clone()).collect(),
        watching: is_host,
        guests_resume: Some("no"),
        guests_by: Some("a simulated host".to_owned()),
        notice_seconds: is_host.then_some(NOTICE_SECONDS),
        notice_by: is_host.then(|| {
            format!(
                "a simulated host is checked each second, and reported after {} s",
                REPORT_AFTER.as_secs()
            )
        }),
        notice_beside: None,
        planes: None,
        processes_down: BTreeMap::new(),
        boot_id: None,
        uptime_ms: None,
        local_disks: None,
        shut_down: Vec::new(),
    }
}
