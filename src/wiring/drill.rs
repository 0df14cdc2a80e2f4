//! Ports of drills.

use std::sync::Arc;

use async_trait::async_trait;
use tachi_bus::{InProcess, MessagingSettings};
use tachi_cli::out;
use tachi_engine::Ports;
use tachi_engine::dry_run::Answer;
use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::{JournalError, NoAudit};
use tachi_openstack::{CanaryCalls, Nova};
use tachi_operator::drill::live::CanaryPorts;
use tachi_operator::drill::{DrillPorts, DrillQueries};
use tachi_operator::{Failure, RegionSnapshot};
use tachi_witnesses::FailureDomains;
use tokio::sync::watch;

use super::bus::upstream_engines_now;
use super::region_service::RegionDatabase;
use super::{Base, Devices, audit, hooks, nova};
use crate::settings::Settings;

/// Opens the ports of a drill, which queries like an engine. It switches and changes nothing, so nothing is written into the audit log.
pub(crate) async fn ports(settings: &Settings, base: &Base) -> Result<DrillPorts, Failure> {
    let devices = Devices::open(settings, &base.clock)?;
    let nova = nova(settings, &base.clock).await?;
    let store = &base.store;
    Ok(DrillPorts {
        engine: Ports {
            compute: nova.clone(),
            fencer: devices.identified(base),
            audit: Arc::new(NoAudit),
            hooks: hooks(settings)?,
            journal: Arc::new(store.journal().clone()),
            wake: Arc::new(InProcess::default()),
            clock: base.clock.clone(),
        },
        witnesses: Arc::new(FailureDomains::new(settings.surroundings.clone())),
        policy: settings.policy.clone(),
        rooms: nova,
        operator_journal: Arc::new(store.operator_journal().clone()),
        engine_registry: Arc::new(store.engine_registry().clone()),
        freezes: Arc::new(store.freezes().clone()),
        jobs: Arc::new(store.jobs().clone()),
        queries: Arc::new(Queries {
            devices: settings.policy.fencing.queries_devices().then_some(devices),
            messaging: settings.messaging.clone(),
            region: RegionDatabase::new(settings, base, watch::channel(settings.policy.clone()).1),
        }),
    })
}

struct Queries {
    devices: Option<Devices>,
    messaging: Option<MessagingSettings>,
    region: RegionDatabase,
}

#[async_trait]
impl DrillQueries for Queries {
    async fn broker(&self) -> Option<Answer> {
        let engines = upstream_engines_now(self.messaging.as_ref()?);
        let answer = Answer::of("broker", engines, |_| Ok("answers".to_owned())).await;
        Some(answer.0)
    }

    async fn situation(&self) -> Result<Arc<RegionSnapshot>, JournalError> {
        self.region.local_snapshot().await
    }

    async fn levels(&self, host: &str) -> Vec<Answer> {
        let Some(devices) = &self.devices else {
            return Vec::new();
        };
        let fencers = devices.fencers();
        let reports = fencers.check(&[host.to_owned()], &mut |_, _, _| {}).await;
        let answer = |report: Report| Answer {
            what: match &report.target {
                Some(target) => format!("level {} {target}", report.level),
                None => "fence levels".to_owned(),
            },
            took: report.latency,
            outcome: match report.fault {
                Some(fault) => Err(fault),
                None => Ok(format!("reads {}", report.raw)),
            },
        };
        reports.into_iter().map(answer).collect()
    }
}

/// Opens the ports for the changes of a live drill; its progress goes to standard error.
pub(crate) fn canaries(
    settings: &Settings,
    base: &Base,
    nova: Arc<Nova>,
) -> Result<CanaryPorts<'static>, Failure> {
    Ok(CanaryPorts {
        compute: nova.clone(),
        canaries: Arc::new(CanaryCalls::of(nova)),
        audit: audit(settings, &base.clock, "tachi drill --live")?,
        note: &|text| out::note(text),
    })
}
