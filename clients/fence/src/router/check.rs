//! Tests of all devices of hosts before they are needed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::level::Target;
use tachi_domain::power::Power;
use tachi_engine::ports::CallError;
use tachi_engine::ports::device_report::Report;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Fencers, TEST_TIMEOUT};
use crate::device::{Device, Kind, Plug, SelfTestOutcome};
use crate::topology::plugs::parts;

/// Returns the report with what the device has answered.
fn with_outcome(mut report: Report, looked: Result<SelfTestOutcome, CallError>) -> Report {
    match looked {
        Ok(checked) => {
            if checked.reading.power == Power::Unknown {
                let raw = &checked.reading.raw;
                report.fault = Some(format!("its reading is neither on nor off ({raw:?})"));
            }
            report.power = Some(checked.reading.power);
            report.raw = checked.reading.raw;
            report.machine = checked.reading.machine;
            report.warnings = checked.warnings;
            report.warnings.extend(checked.obstacle.clone());
            report.obstacle = checked.obstacle;
        }
        Err(error) => report.fault = Some(error.fault.text),
    }
    report
}

/// Called for every finished test: the report, the number done, and the total.
pub type Progress<'a> = &'a mut (dyn FnMut(&Report, usize, usize) + Send);

impl Fencers {
    /// Tests every device of these hosts, within the devices' limits, and returns the reports in the order of the hosts
    /// and their levels. Switches nothing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the running calls.
    pub async fn check(self: &Arc<Self>, hosts: &[String], progress: Progress<'_>) -> Vec<Report> {
        let (mut reports, pending) = self.plan(hosts);
        let all = reports.len() + pending.len();
        for (done, report) in (1..).zip(&reports) {
            progress(report, done, all);
        }
        let mut lookups = JoinSet::new();
        for report in pending {
            let fencers = Arc::clone(self);
            lookups.spawn(async move { fencers.probe(report).await });
        }
        while let Some(looked) = lookups.join_next().await {
            let Ok(report) = looked else { continue };
            progress(&report, reports.len() + 1, all);
            reports.push(report);
        }
        let order: HashMap<&str, usize> = hosts.iter().map(String::as_str).zip(0..).collect();
        reports.sort_by(|a, b| {
            let slot = |report: &Report| order.get(report.host.as_str()).copied();
            (slot(a), a.level, &a.device).cmp(&(slot(b), b.level, &b.device))
        });
        reports
    }

    /// Returns two lists of reports: those that need no test because the configuration is wrong, and those that need
    /// one. Compares all the given hosts with each other, because two hosts with the same plug are an error.
    pub fn plan(&self, hosts: &[String]) -> (Vec<Report>, Vec<Report>) {
        let (mut wrong, mut pending) = (Vec::new(), Vec::new());
        let mut owners: HashMap<[String; 4], &str> = HashMap::new();
        for host in hosts {
            let resolved = self.resolve(host);
            if resolved.levels.is_empty() && resolved.notes.is_empty() {
                let why = "no fence device is configured for the host, so it cannot be confirmed off";
                wrong.push(Report::of(host, 0, Some(why.to_owned())));
            }
            for (level, why) in &resolved.notes {
                let why = format!("this level cannot be used: {why}");
                wrong.push(Report::of(host, *level, Some(why)));
            }
            for (level, host_devices) in &resolved.levels {
                for target in host_devices.iter().map(|host_device| &host_device.target) {
                    // MAAS distinguishes hosts by their names; any other shared target is one machine.
                    let by_name = target.plug.is_none() && target.kind == "maas";
                    let others: Vec<&str> = machines_of(target)
                        .filter_map(|machine| owners.insert(machine, host))
                        .collect();
                    let other = others
                        .into_iter()
                        .find(|other| !by_name && *other != host.as_str());
                    match other {
                        None => pending.push(Report::of(host, *level, None).at(target)),
                        Some(other) => {
                            let why = format!(
                                "host {other} has the same device and plug, so fencing one would power off the other"
                            );
                            wrong.push(Report::of(host, *level, Some(why)).at(target));
                        }
                    }
                }
            }
        }
        (wrong, pending)
    }

    async fn probe(&self, report: Report) -> Report {
        match self.device_of(&report) {
            Ok((device, plug)) => {
                let _slot = self.slot(device.as_ref()).await;
                probe_device(report, device.as_ref(), &plug).await
            }
            Err(error) => with_outcome(report, Err(error)),
        }
    }

    /// Runs one test of [`Fencers::plan`], for continuous testing. On a device with several permits it leaves at least
    /// half of them to recoveries.
    ///
    /// If there is no result after `warn_after`, `late` reports that, and the test keeps waiting: the device decides on
    /// its timeout.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the running call.
    pub async fn test(
        &self,
        report: Report,
        warn_after: Duration,
        late: impl FnOnce(&Report) + Send,
    ) -> Report {
        let (device, plug) = match self.device_of(&report) {
            Ok(found) => found,
            Err(error) => return with_outcome(report, Err(error)),
        };
        let _test = self.test_slot(device.as_ref()).await;
        let _slot = self.slot(device.as_ref()).await;
        let before = report.clone();
        let mut probe = std::pin::pin!(probe_device(report, device.as_ref(), &plug));
        if let Ok(report) = timeout(warn_after, &mut probe).await {
            return report.strict();
        }
        late(&before);
        probe.await.strict()
    }

    fn device_of(&self, report: &Report) -> Result<(Arc<dyn Device>, Plug), CallError> {
        let target = report.target.as_ref();
        let target = target.ok_or_else(|| CallError::refused("there is no device"))?;
        self.device(&report.host, target)
    }
}

/// Returns what two targets have in common if they are one machine, whatever their devices are called: one entry for each outlet. The
/// parameters of a fence agent choose the machine too, so two devices with agents are two machines.
fn machines_of(target: &Target) -> impl Iterator<Item = [String; 4]> + use<> {
    let device = if target.kind == Kind::Exec.as_str() {
        target.device.clone()
    } else {
        String::new()
    };
    let endpoint = parts("endpoint", &target.endpoint).into_iter().next();
    let machine = [target.kind.clone(), device, endpoint.unwrap_or_default()];
    parts("plug", target.plug.as_deref().unwrap_or_default())
        .into_iter()
        .map(move |outlet| {
            let [kind, device, endpoint] = machine.clone();
            [kind, device, endpoint, outlet]
        })
}

async fn probe_device(report: Report, device: &dyn Device, plug: &Plug) -> Report {
    let started_at = Instant::now();
    let looked = timeout(TEST_TIMEOUT, device.check(plug)).await;
    let late = || CallError::refused(format!("no answer within {} s", TEST_TIMEOUT.as_secs()));
    let mut report = with_outcome(report, looked.unwrap_or_else(|_| Err(late())));
    report.latency = started_at.elapsed();
    report
}
