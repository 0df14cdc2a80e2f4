//! How the region stands, as numbers. The engine that watches tells them, and the others tell zeros.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use metrics::{describe_gauge, gauge};
use tachi_domain::Timestamp;
use tachi_domain::policy::{FencingMode, Policy};
use tachi_domain::situation::{Code, Counts, Grade, Protection, Situation, assess};
use tachi_engine::ports::Clock;
use tachi_engine::situation::{Configured, Tables, Watched};
use tachi_engine::watcher::Onlooker;
use tachi_store::Store;
use tokio::sync::watch;

use super::Base;
use crate::settings::{Fencing, Settings};

const FINDINGS: &str = "tachi_findings";
const INSTANCES: &str = "tachi_instances";
const AGE: &str = "tachi_situation_age_seconds";

/// How hosts are proven off, as these settings say.
pub(crate) fn configured(fencing: &Fencing, mode: FencingMode, stopped: bool, hosts: &[&str]) -> Configured {
    let has_devices = fencing.place().is_some();
    let mut configured = Configured {
        mode,
        stopped,
        has_devices,
        trouble: None,
        without: Vec::new(),
    };
    if !mode.asks_devices() || !has_devices {
        return configured;
    }
    match fencing.topology() {
        Ok(topology) => {
            let bare = hosts
                .iter()
                .filter(|host| topology.resolve(host).levels().is_empty());
            configured.without = bare.map(|host| (*host).to_owned()).collect();
        }
        Err(error) => configured.trouble = Some(error.chain()),
    }
    configured
}

/// See the module.
pub(crate) struct Measured {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    fencing: Fencing,
    policy: watch::Receiver<Policy>,
    /// What was told before, and is told as zero when it is over.
    told: Mutex<BTreeSet<(Code, Grade)>>,
}

impl Measured {
    pub(crate) fn new(settings: &Settings, base: &Base, policy: watch::Receiver<Policy>) -> Self {
        describe_gauge!(
            FINDINGS,
            "What tachi status finds, by code and grade: how many subjects it is about"
        );
        describe_gauge!(
            INSTANCES,
            "Instances by what would become of them if their hosts died now"
        );
        describe_gauge!(
            AGE,
            "Age of what is known of Nova; above 45 nothing of it counts as good"
        );
        Self {
            store: base.store.clone(),
            clock: base.clock.clone(),
            fencing: settings.fencing.clone(),
            policy,
            told: Mutex::new(Code::ALL.iter().map(|code| (*code, code.grade())).collect()),
        }
    }

    fn tell(&self, situation: Option<&Situation>, age: f64) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = situation.iter().flat_map(|situation| &situation.findings);
        told.extend(findings.map(|finding| (finding.code, finding.grade)));
        for (code, grade) in told.iter() {
            let findings = situation.iter().flat_map(|situation| &situation.findings);
            let same = findings.filter(|finding| (finding.code, finding.grade) == (*code, *grade));
            let count: usize = same.map(|finding| finding.subjects.len().max(1)).sum();
            gauge!(FINDINGS, "code" => code.as_str(), "grade" => grade.as_str()).set(number(count as u64));
        }
        let counts = situation
            .and_then(|situation| situation.counts)
            .unwrap_or_default();
        for protection in Protection::ALL {
            let count = Counts::get(counts, *protection);
            gauge!(INSTANCES, "grade" => protection.as_str()).set(number(count));
        }
        gauge!(AGE).set(age);
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// How old the older of what has to be young is.
fn age(watched: &Watched, now: Timestamp) -> f64 {
    let known = [
        watched.computes.as_ref().map(|known| known.as_of),
        watched.instances.as_ref().map(|known| known.as_of),
    ];
    let oldest = known.into_iter().flatten().min();
    let age = oldest.map_or(0, |oldest| now.micros_since(oldest).max(0) / 1_000_000);
    number(age.unsigned_abs())
}

#[async_trait]
impl Onlooker for Measured {
    async fn seen(&self, watched: Watched) {
        let tables = match Tables::read(self.store.as_ref()).await {
            Ok(tables) => tables,
            Err(error) => {
                tracing::debug!(%error, "how the region stands is not told as numbers");
                return;
            }
        };
        let (mode, stopped) = {
            let policy = self.policy.borrow();
            (policy.fencing, policy.fencing_stopped)
        };
        let now = self.clock.wall();
        let age = age(&watched, now);
        let configured = configured(&self.fencing, mode, stopped, &tables.hosts());
        let situation = assess(&tables.facts(watched, configured), now);
        self.tell(Some(&situation), age);
    }

    async fn not_ours(&self) {
        self.tell(None, 0.0);
    }
}
