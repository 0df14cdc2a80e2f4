//! The ledger: where and when each instance executed.
//!
//! Only the hypervisors of the model write it, and it contains nothing from Nova's records. `double_runs` and
//! `lost` are read from here, so that they depend neither on Nova's records nor on a recovery engine's report.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use uuid::Uuid;

use crate::region_time::RegionTime;

/// One continuous execution of an instance on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Service host.
    pub host: Arc<str>,
    /// The start.
    pub from: RegionTime,
    /// The end; `None` while it runs.
    pub to: Option<RegionTime>,
}

/// An instance that executed on two hosts at the same time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DoubleRun {
    /// The instance.
    pub server: Uuid,
    /// The hosts that executed it at the overlap.
    pub hosts: Vec<String>,
    /// Region time of the first overlap, in seconds since the start of the region.
    pub at_seconds: f64,
}

/// The ledger's report about the whole region.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LedgerReport {
    /// Number of instances that ran on two hosts at any time.
    pub double_runs: usize,
    /// The first overlap of each.
    pub doubles: Vec<DoubleRun>,
    /// Number of instances that execute now.
    pub running: usize,
}

/// The record of executions.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    runs: HashMap<Uuid, Vec<Run>>,
    doubles: BTreeMap<Uuid, DoubleRun>,
    running: HashSet<Uuid>,
}

impl Ledger {
    /// Records that the guest executes on `host` from `at` on. Has no effect if it already executes there.
    pub(crate) fn start(&mut self, server: Uuid, host: &Arc<str>, at: RegionTime) {
        let runs = self.runs.entry(server).or_default();
        let mut open: Vec<&Arc<str>> = runs
            .iter()
            .filter(|run| run.to.is_none())
            .map(|run| &run.host)
            .collect();
        if open.contains(&host) {
            return;
        }
        if !open.is_empty() {
            open.push(host);
            let hosts = open.iter().map(ToString::to_string).collect();
            self.doubles.entry(server).or_insert(DoubleRun {
                server,
                hosts,
                at_seconds: at.age().as_secs_f64(),
            });
        }
        runs.push(Run {
            host: Arc::clone(host),
            from: at,
            to: None,
        });
        self.running.insert(server);
    }

    /// Records that the guest no longer executes on `host`.
    pub(crate) fn stop(&mut self, server: Uuid, host: &Arc<str>, at: RegionTime) {
        let Some(runs) = self.runs.get_mut(&server) else {
            return;
        };
        for run in runs
            .iter_mut()
            .filter(|run| run.to.is_none() && run.host == *host)
        {
            run.to = Some(at);
        }
        if runs.iter().all(|run| run.to.is_some()) {
            self.running.remove(&server);
        }
    }

    /// Returns the hosts on which the instance executes now.
    pub(crate) fn runs_on(&self, server: Uuid) -> Vec<String> {
        self.history(server)
            .iter()
            .filter(|run| run.to.is_none())
            .map(|run| run.host.to_string())
            .collect()
    }

    /// Returns every execution of the instance, oldest first.
    pub(crate) fn history(&self, server: Uuid) -> &[Run] {
        self.runs.get(&server).map_or(&[], Vec::as_slice)
    }

    /// Returns those of `servers` that execute nowhere.
    pub(crate) fn lost(&self, servers: &[Uuid]) -> Vec<Uuid> {
        servers
            .iter()
            .copied()
            .filter(|server| !self.running.contains(server))
            .collect()
    }

    pub(crate) fn double_runs(&self) -> usize {
        self.doubles.len()
    }

    pub(crate) fn report(&self) -> LedgerReport {
        LedgerReport {
            double_runs: self.doubles.len(),
            doubles: self.doubles.values().cloned().collect(),
            running: self.running.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> RegionTime {
        RegionTime::at(Duration::from_secs(seconds))
    }

    #[test]
    fn one_instance_on_two_hosts_is_one_double_run() {
        let (mut ledger, server) = (Ledger::default(), Uuid::from_u128(1));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        ledger.start(server, &a, at(1));
        ledger.start(server, &b, at(5));
        ledger.stop(server, &a, at(6));
        ledger.start(server, &a, at(7));
        let report = ledger.report();
        assert_eq!(
            report.double_runs, 1,
            "an instance counts once however often it overlaps"
        );
        assert_eq!(report.doubles[0].hosts, ["a", "b"]);
        assert!((report.doubles[0].at_seconds - 5.0).abs() < 1e-9);
    }

    #[test]
    fn moving_without_overlap_is_no_double_run() {
        let (mut ledger, server) = (Ledger::default(), Uuid::from_u128(1));
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        ledger.start(server, &a, at(1));
        ledger.start(server, &a, at(2));
        ledger.stop(server, &a, at(5));
        ledger.start(server, &b, at(5));
        assert_eq!(ledger.double_runs(), 0);
        assert_eq!(ledger.runs_on(server), ["b"]);
        assert_eq!(ledger.history(server).len(), 2);
    }

    #[test]
    fn lost_is_what_runs_nowhere() {
        let mut ledger = Ledger::default();
        let host: Arc<str> = "a".into();
        let (runs, stopped, never) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        ledger.start(runs, &host, at(1));
        ledger.start(stopped, &host, at(1));
        ledger.stop(stopped, &host, at(2));
        assert_eq!(ledger.lost(&[runs, stopped, never]), [stopped, never]);
        assert_eq!(ledger.report().running, 1);
    }
}
