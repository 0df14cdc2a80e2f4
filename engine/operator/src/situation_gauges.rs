//! Metrics of the region's situation. The engine that watches publishes them; the others publish zeros.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{describe_gauge, gauge};
use tachi_domain::Timestamp;
use tachi_domain::freeze::FreezeScope;
use tachi_domain::monitor::MonitorKind;
use tachi_domain::situation::{
    Counts, FindingCode, MonitorSituation, Protection, SegmentSituation, Severity, Situation,
};
use tachi_engine::ports::{Clock, FreezeLine};
use tachi_engine::situation::CloudSnapshot;

const FINDINGS: &str = "tachi_findings";
const INSTANCES: &str = "tachi_instances";
const FREEZES: &str = "tachi_freezes";
const HEADROOM: &str = "tachi_segment_headroom_hosts";
const MONITORS: &str = "tachi_monitors";
const AGE: &str = "tachi_situation_age_seconds";

/// The gauges, and what was published before.
pub struct SituationGauges {
    clock: Arc<dyn Clock>,
    /// The findings that were published before; each is set to zero when it is gone.
    reported: Mutex<BTreeSet<(FindingCode, Severity)>>,
    /// The segments that were published before.
    segments: Mutex<BTreeSet<String>>,
    /// The time of the data published last, or the time since when there has been none; `None` while another engine watches.
    as_of: Mutex<Option<Timestamp>>,
}

impl SituationGauges {
    /// Describes the gauges, which have no value yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        describe_gauge!(
            FINDINGS,
            "Subjects of the findings of tachi status, by code and grade"
        );
        describe_gauge!(
            INSTANCES,
            "Instances by the outcome for them if their hosts failed now"
        );
        describe_gauge!(
            HEADROOM,
            "Number of hosts of a segment that may fail together; NaN if unknown, and on an engine that does not watch"
        );
        describe_gauge!(MONITORS, "Monitors by kind and state; err: silent");
        describe_gauge!(FREEZES, "Freezes of operators, by scope");
        describe_gauge!(AGE, "Age of the data from Nova, in seconds; above 45 it is stale");
        Self {
            clock,
            reported: Mutex::new(
                FindingCode::ALL
                    .iter()
                    .map(|code| (*code, code.grade()))
                    .collect(),
            ),
            segments: Mutex::default(),
            as_of: Mutex::new(None),
        }
    }

    /// Publishes the age of the data, and the freezes.
    pub fn read(&self, watched: &CloudSnapshot, freezes: &[FreezeLine]) {
        self.known(oldest(watched));
        measure(freezes);
    }

    /// Publishes that the data could not be read: its age continues to grow.
    pub fn unread(&self) {
        self.known(None);
    }

    /// Publishes that another engine watches.
    pub fn elsewhere(&self) {
        *self.as_of.lock().unwrap_or_else(PoisonError::into_inner) = None;
        gauge!(AGE).set(0.0);
        measure(&[]);
        self.publish(None);
    }

    /// Publishes the assessment.
    pub fn judged(&self, situation: &Situation) {
        self.publish(Some(situation));
    }

    /// Publishes the age of the data from `as_of`; without data the age continues to grow.
    fn known(&self, as_of: Option<Timestamp>) {
        let now = self.clock.wall();
        let mut before = self.as_of.lock().unwrap_or_else(PoisonError::into_inner);
        let as_of = as_of.or(*before).unwrap_or(now);
        *before = Some(as_of);
        gauge!(AGE).set(age(as_of, now));
    }

    fn publish(&self, situation: Option<&Situation>) {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        let findings = situation.iter().flat_map(|situation| &situation.findings);
        reported.extend(findings.map(|finding| (finding.code, finding.grade)));
        for (code, grade) in reported.iter() {
            let findings = situation.iter().flat_map(|situation| &situation.findings);
            let same = findings.filter(|finding| (finding.code, finding.grade) == (*code, *grade));
            let count: usize = same.map(|finding| finding.subjects.len().max(1)).sum();
            gauge!(FINDINGS, "code" => code.as_str(), "grade" => grade.as_str()).set(number(count as u64));
        }
        self.record_headroom(situation.map_or(&[], |situation| &situation.segments));
        record_monitors(situation.map_or(&[], |situation| &situation.monitors));
        let counts = situation
            .and_then(|situation| situation.counts)
            .unwrap_or_default();
        for protection in Protection::ALL {
            let count = Counts::get(counts, *protection);
            gauge!(INSTANCES, "grade" => protection.as_str()).set(number(count));
        }
    }

    /// Publishes the headroom of each segment. An unknown one is NaN, because zero would mean that no host may fail.
    fn record_headroom(&self, segments: &[SegmentSituation]) {
        let mut reported = self.segments.lock().unwrap_or_else(PoisonError::into_inner);
        reported.extend(segments.iter().map(|segment| segment.name.clone()));
        reported.retain(|name| {
            let segment = segments.iter().find(|segment| segment.name == *name);
            let hosts = segment.and_then(|one| one.headroom);
            let hosts = hosts.map_or(f64::NAN, |one| number(one.hosts as u64));
            gauge!(HEADROOM, "segment" => name.clone()).set(hosts);
            segment.is_some()
        });
    }
}

/// Grades of a monitor: well, with a failed part, silent.
const HOW: [Severity; 3] = [Severity::Ok, Severity::Warn, Severity::Err];

fn record_monitors(monitors: &[MonitorSituation]) {
    for kind in MonitorKind::ALL {
        for grade in HOW {
            let same = monitors
                .iter()
                .filter(|monitor| (monitor.kind, monitor.grade) == (*kind, grade));
            let count = number(same.count() as u64);
            gauge!(MONITORS, "kind" => kind.as_str(), "grade" => grade.as_str()).set(count);
        }
    }
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn measure(freezes: &[FreezeLine]) {
    for scope in FreezeScope::ALL {
        let count = freezes.iter().filter(|line| line.freeze.scope == *scope).count();
        gauge!(FREEZES, "scope" => scope.as_str()).set(number(count as u64));
    }
}

fn age(as_of: Timestamp, now: Timestamp) -> f64 {
    number((now.micros_since(as_of).max(0) / 1_000_000).unsigned_abs())
}

/// Returns the time of the older of the lists that have to be current.
fn oldest(watched: &CloudSnapshot) -> Option<Timestamp> {
    let computes = watched.computes.as_ref().map(|known| known.as_of);
    let instances = watched.instances.as_ref().map(|known| known.as_of);
    computes.into_iter().chain(instances).min()
}
