//! The scene: a region, our API and engine on it, and the state of the recovery as a client sees it.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::json;
use tachi_cli::arguments::{DemoFault, Method, SceneArgs};
use tachi_cli::recovery;
use tachi_domain::recovery::OperatorCommand;
use tachi_domain::{ApprovedWait, Timestamp, Wait};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_engine::ports::operator::{RecoveryFilter, RecoveryState};
use tachi_operator::Failure;
use tachi_sandbox::{Boot, Fleet, PowerCommand, PowerQuery, RegionSettings, RegionTime, SandboxOptions};
use uuid::Uuid;

use super::browser::Board;
use super::client::{Client, text};
use super::lost::{self, CoveredInstance};
use super::outcome::{Instance, Outcome};
use super::progress::{DemoNotification, DemoSnapshot};
use crate::controller::{Controller, RunningController};
use crate::region::{Region, RegionPlan, SHORT_TIMEOUTS, free_port};

pub(super) struct Scene {
    pub(super) args: SceneArgs,
    /// The hosts that fail.
    pub(super) failing: Vec<String>,
    /// The instances on the failing hosts.
    pub(super) covered: Vec<CoveredInstance>,
    /// Number of instances in the whole region with `HA_Enabled`.
    tagged: usize,
    region: Region,
    controller: Box<dyn RunningController>,
    client: Client,
    api: std::net::SocketAddr,
    struck: std::sync::OnceLock<(RegionTime, Vec<String>)>,
    /// The failure domain that was approved, and the reasons why its recoveries were on hold.
    approved: std::sync::OnceLock<(String, Vec<String>)>,
    /// The waits of these recoveries at the time of the approval.
    waits_at_approval: std::sync::OnceLock<Vec<Wait>>,
}

impl Scene {
    /// Starts region, API and engine, boots the instances, and makes the segment.
    pub(super) async fn set(args: SceneArgs, controller: &dyn Controller) -> Result<Self, Failure> {
        let ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let api = free_port(ip)?;
        let rack = usize::from(args.hosts).div_ceil(3).max(2);
        let region_settings = RegionSettings {
            seed: args.seed,
            fleet: Fleet {
                hosts: usize::from(args.hosts),
                hosts_per_rack: rack,
                ..Fleet::default()
            },
            service_down_time: Duration::from_secs(3),
            report_interval: Duration::from_secs(1),
            rebuild_time: Duration::from_millis(1500),
            rebuild_spread: Duration::from_millis(1500),
            ..RegionSettings::default()
        };
        let region = Region::start(RegionPlan {
            options: SandboxOptions {
                region: region_settings,
                ..SandboxOptions::default()
            },
            api,
            state_dir: None,
            more_conf: &format!("{SHORT_TIMEOUTS}[recovery]\ntick_interval = 0.25\n"),
        })
        .await?;
        let booting = |error| Failure::new("booting instances", error);
        let mut hosts: Vec<String> = region
            .sandbox
            .region()
            .hosts()
            .into_iter()
            .map(|host| host.name)
            .collect();
        // The last host is a reserved host, for the methods that use one.
        let spare = if args.method == Method::Auto {
            None
        } else {
            hosts.pop()
        };
        if let Some(spare) = &spare {
            let operator = region.sandbox.region().operator();
            operator
                .set_service(spare, false, Some("kept in reserve"))
                .map_err(|error| Failure::new("disabling the reserved host", error))?;
        }
        let per_host = split(args.instances, hosts.len());
        for (host, count) in hosts.iter().zip(&per_host) {
            let marked = count.div_ceil(2);
            for (name, part, metadata) in [("web", marked, Some("True")), ("job", count - marked, None)] {
                if part == 0 {
                    continue;
                }
                let mut boot =
                    Boot::on(host, part).name(&format!("{name}-{}", host.trim_start_matches("compute-")));
                if let Some(value) = metadata {
                    boot = boot.metadata("HA_Enabled", value);
                }
                region.sandbox.region().boot(&boot).map_err(booting)?;
            }
        }
        let controller = controller.start(&region).await?;
        let client = Client::login(&region.sandbox.credentials(), format!("http://{api}/v1")).await?;
        let failing = lost::failing(args, &region, &hosts);
        let covered = lost::covered(&region, &failing);
        if args.fault == Some(DemoFault::RackLoss) {
            lost::name_racks(&region)?;
        }
        let tagged = region
            .sandbox
            .region()
            .snapshot()
            .iter()
            .filter(|server| lost::is_tagged(server))
            .count();
        let scene = Self {
            args,
            failing,
            covered,
            tagged,
            region,
            controller,
            client,
            api,
            struck: std::sync::OnceLock::new(),
            approved: std::sync::OnceLock::new(),
            waits_at_approval: std::sync::OnceLock::new(),
        };
        scene.register(&hosts, spare.as_deref()).await?;
        Ok(scene)
    }

    /// Returns the address and the login of the board.
    pub(super) fn board(&self) -> Board {
        let login = self.region.sandbox.credentials();
        Board {
            url: format!("http://{}/board/", self.api),
            user: login.username,
            password: login.password,
            project: login.project_name,
        }
    }

    async fn register(&self, hosts: &[String], spare: Option<&str>) -> Result<(), Failure> {
        let method = self.args.method.as_str();
        let segment =
            json!({ "segment": { "name": "demo", "recovery_method": method, "service_type": "COMPUTE" } });
        let made = self.client.post("/segments", &segment).await?;
        let id = text(&made, "/segment/uuid");
        let hosts = hosts.iter().map(|host| (host.as_str(), false));
        for (host, reserved) in hosts.chain(spare.map(|spare| (spare, true))) {
            let body = json!({ "host": {
                "name": host, "type": "COMPUTE", "control_attributes": "SSH", "reserved": reserved,
            } });
            self.client.post(&format!("/segments/{id}/hosts"), &body).await?;
        }
        Ok(())
    }

    /// Cuts the power of the failing hosts, or injects the fault, and reports it as a host monitor does.
    pub(super) async fn break_hosts(&self) -> Result<(), Failure> {
        let region = self.region.sandbox.region();
        let wrong = |error| Failure::new("breaking the simulated host", error);
        for host in &self.failing {
            match self.args.fault {
                None | Some(DemoFault::RackLoss) => region.faults().power_loss(host).map_err(wrong)?,
                Some(DemoFault::LyingBmc) => {
                    region.faults().link_loss(host).map_err(wrong)?;
                    region
                        .faults()
                        .maas_command(host, PowerCommand::Ignored)
                        .map_err(wrong)?;
                }
                Some(DemoFault::DeadBmc) => {
                    region.faults().link_loss(host).map_err(wrong)?;
                    let error = PowerQuery::Says {
                        state: "error".into(),
                    };
                    region.faults().maas_query(host, error).map_err(wrong)?;
                    region
                        .faults()
                        .maas_command(host, PowerCommand::Fails { status: 503 })
                        .map_err(wrong)?;
                }
            }
        }
        let at = region.clock().now();
        let mut notifications = Vec::new();
        for host in &self.failing {
            // The monitor only knows that the host is silent: the engine has to find out whether it is off.
            let body = json!({ "notification": {
                "type": "COMPUTE_HOST", "hostname": host, "generated_time": iso(SystemClock.wall()),
                "payload": { "event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN" },
            }});
            let made = self.client.post("/notifications", &body).await?;
            notifications.push(text(&made, "/notification/notification_uuid"));
        }
        self.struck
            .set((at, notifications))
            .map_err(|_| Failure::from_text("the demo broke its hosts twice"))
    }

    /// True if every recovery of a lost rack is on hold, so that an operator can see all of it and decide.
    pub(super) fn awaits_approval(&self, snapshot: &DemoSnapshot) -> bool {
        self.args.fault == Some(DemoFault::RackLoss)
            && self.approved.get().is_none()
            && snapshot.notifications.iter().all(DemoNotification::is_on_hold)
    }

    /// Approves as the operator of this demo: the rack is known to be without power, so all of it may be recovered. The same
    /// as `tachi recovery approve --domain`.
    pub(super) async fn approve(&self, snapshot: &DemoSnapshot) -> Result<String, Failure> {
        let rack = self.failing.first().map(|host| lost::rack_of(&self.region, host));
        let domain = lost::domain_name(&rack.unwrap_or_default());
        let by = "demo (the rack's power supply is known to be out)";
        let approved = self.approve_domain(&domain, by).await?;
        let reasons = snapshot
            .notifications
            .iter()
            .filter_map(|notification| notification.message.clone())
            .collect();
        let waits = snapshot
            .notifications
            .iter()
            .filter_map(|notification| notification.wait.clone())
            .collect();
        self.waits_at_approval
            .set(waits)
            .map_err(|_| Failure::from_text("the demo approved twice"))?;
        self.approved
            .set((domain.clone(), reasons))
            .map_err(|_| Failure::from_text("the demo approved twice"))?;
        Ok(format!(
            "an operator checks the rack and approves: `tachi recovery approve --domain {domain}`, {approved} recoveries continue"
        ))
    }

    /// Approves each recovery that is on hold because of the domain; returns their number.
    async fn approve_domain(&self, domain: &str, by: &str) -> Result<usize, Failure> {
        let operator_journal = self.controller.operator_journal();
        let wrong = |error| Failure::new("reading the recoveries", error);
        let filter = RecoveryFilter {
            state: Some(RecoveryState::OnHold),
            ..RecoveryFilter::default()
        };
        let mut on_hold = Vec::new();
        for row in operator_journal.find_recoveries(&filter).await.map_err(wrong)? {
            let history = operator_journal.history(row.id).await.map_err(wrong)?;
            let state = history.and_then(|history| history.state).unwrap_or_default();
            on_hold.push((row.id, row.host, serde_json::from_str(&state).unwrap_or_default()));
        }
        let on_hold = recovery::domain::holds_of(domain, on_hold)?.recoveries;
        for (id, _) in &on_hold {
            let outcome = operator_journal
                .submit(*id, OperatorCommand::Approve, &ApprovedWait::Current, by)
                .await;
            outcome.map_err(|error| Failure::new("writing the approval", error))?;
        }
        Ok(on_hold.len())
    }

    /// True while the engine has not read the approval: a recovery still shows the wait that it had before.
    pub(super) fn was_just_approved(&self, snapshot: &DemoSnapshot) -> bool {
        let Some(waits) = self.waits_at_approval.get() else {
            return false;
        };
        let old = |notification: &DemoNotification| {
            notification
                .wait
                .as_ref()
                .is_some_and(|wait| waits.contains(wait))
        };
        snapshot
            .notifications
            .iter()
            .any(|notification| notification.is_on_hold() && old(notification))
    }

    /// Returns the seconds since the power loss.
    pub(super) fn seconds(&self) -> f64 {
        self.struck.get().map_or(0.0, |(at, _)| {
            self.region
                .sandbox
                .region()
                .clock()
                .now()
                .since(*at)
                .as_secs_f64()
        })
    }

    /// Reads the state from the API and from the ledger.
    pub(super) async fn snapshot(&self) -> Result<DemoSnapshot, Failure> {
        let Some((at, notifications)) = self.struck.get() else {
            return Err(Failure::from_text("nothing has failed yet"));
        };
        let mut progress = Vec::new();
        // The API has only Masakari's fields, so the wait is read from the store.
        let recoveries = self.controller.operator_journal().recoveries(true).await;
        let recoveries = recoveries.map_err(|error| Failure::new("listing recoveries", error))?;
        for id in notifications {
            let notification = self.client.get(&format!("/notifications/{id}")).await?;
            let vmoves = self.client.get(&format!("/notifications/{id}/vmoves")).await?;
            let recovery = recoveries.iter().find(|row| row.notification.to_string() == *id);
            let wait = recovery.and_then(|row| row.wait.clone());
            progress.push(DemoNotification::read(&notification, &vmoves, wait));
        }
        let region = self.region.sandbox.region();
        let mut back = BTreeMap::new();
        for one in &self.covered {
            let run = region
                .runs(one.id)
                .into_iter()
                .find(|run| run.to.is_none() && *run.host != *one.from);
            if let Some(run) = run {
                back.insert(one.id, (run.host.to_string(), run.from.since(*at).as_secs_f64()));
            }
        }
        Ok(DemoSnapshot {
            notifications: progress,
            back,
        })
    }

    /// Judges the outcome by the ledger.
    pub(super) fn judge(&self, snapshot: &DemoSnapshot) -> Outcome {
        let region = self.region.sandbox.region();
        let left: Vec<&str> = snapshot
            .notifications
            .iter()
            .flat_map(|notification| &notification.vmoves)
            .filter(|(_, status, ..)| status == "ignored")
            .map(|(id, ..)| id.as_str())
            .collect();
        let should_run: Vec<Uuid> = self
            .covered
            .iter()
            .map(|one| one.id)
            .filter(|id| !left.contains(&id.to_string().as_str()))
            .collect();
        let lost = region.lost(&should_run);
        let ledger = region.ledger();
        let instances = self
            .covered
            .iter()
            .map(|one| {
                let now = snapshot.back.get(&one.id);
                Instance {
                    name: one.name.clone(),
                    id: one.id,
                    tagged: one.tagged,
                    from: one.from.clone(),
                    to: now.map(|(host, _)| host.clone()),
                    seconds: now.map(|(_, seconds)| *seconds),
                    lost: lost.contains(&one.id),
                }
            })
            .collect();
        let reasons: Vec<String> = snapshot
            .notifications
            .iter()
            .filter(|notification| notification.status != "finished")
            .map(|notification| {
                notification
                    .message
                    .clone()
                    .unwrap_or_else(|| format!("the notification is {}", notification.status))
            })
            .collect();
        // Lines about a device may also contain "is off": only a proof begins with the host's name.
        let is_proof = |text: &str| {
            let hosts = self.failing.iter();
            hosts.into_iter().any(|host| {
                text.strip_prefix(host.as_str())
                    .is_some_and(|rest| rest.starts_with(" is off"))
            })
        };
        let proofs: Vec<String> = snapshot
            .notifications
            .iter()
            .flat_map(|notification| &notification.tasks)
            .filter(|(task, text)| task == "FenceHostTask" && is_proof(text))
            .map(|(_, text)| text.clone())
            .collect();
        Outcome {
            args: self.args,
            ha_instances: self.tagged,
            left_by_policy: left.len(),
            double_runs: ledger.double_runs,
            doubled: ledger
                .doubles
                .iter()
                .map(|double| double.server.to_string())
                .collect(),
            failed_hosts: self.failing.clone(),
            instances,
            approved: self.approved.get().cloned(),
            proof: (!proofs.is_empty()).then(|| proofs.join("; ")),
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        }
    }

    /// Stops API, engine and region.
    pub(super) async fn end(self) {
        self.controller.stop().await;
        // The process ends anyway, and a simulated region has nothing to lose.
        let _ = self.region.stop().await;
    }
}

/// Spreads the instances as evenly as possible; the first hosts get the rest.
fn split(instances: u32, hosts: usize) -> Vec<usize> {
    let instances = usize::try_from(instances).unwrap_or_default();
    let (each, rest) = (instances / hosts.max(1), instances % hosts.max(1));
    (0..hosts).map(|host| each + usize::from(host < rest)).collect()
}

fn iso(at: Timestamp) -> String {
    chrono::DateTime::from_timestamp_micros(at.micros())
        .map(|at| at.format("%Y-%m-%dT%H:%M:%S%.6f").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_spread_evenly_and_none_is_dropped() {
        for (instances, hosts) in [(0, 5), (1, 5), (40, 5), (41, 5), (200, 20), (3, 7)] {
            let parts = split(instances, hosts);
            assert_eq!(parts.len(), hosts);
            assert_eq!(parts.iter().sum::<usize>(), usize::try_from(instances).unwrap());
            assert!(parts.iter().max().unwrap() - parts.iter().min().unwrap() <= 1);
        }
    }
}
