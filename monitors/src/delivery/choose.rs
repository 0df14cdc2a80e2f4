//! Choice of the next report.

use std::collections::{HashMap, HashSet};

use tachi_spool::Record;
use tokio::time::Instant;

/// Number of attempts, and the time of the next one.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts {
    pub(super) count: u32,
    pub(super) not_before: Option<Instant>,
}

/// The reports that a pause applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Reports of hosts: a host that is down costs all of its instances.
    Hosts,
    /// All other reports.
    Others,
}

impl Lane {
    pub(super) fn of(record: &Record) -> Self {
        if record.subject.starts_with("COMPUTE_HOST/") {
            Self::Hosts
        } else {
            Self::Others
        }
    }
}

#[derive(Debug)]
pub(super) enum Choice {
    /// Deliver this report.
    Deliver(Box<Record>),
    /// Wait until this moment.
    Wait(Instant),
    Nothing,
}

/// Returns the oldest report that may be tried and that has no earlier pending report about the same subject; reports
/// of hosts first. A lane may be `closed` until a moment.
pub(super) fn choose<'r>(
    records: &(impl Iterator<Item = &'r Record> + Clone),
    attempts: &HashMap<u64, Attempts>,
    closed: impl Fn(Lane) -> Option<Instant>,
    now: Instant,
) -> Choice {
    let mut earliest: Option<Instant> = None;
    let mut later = |until: Instant| earliest = Some(earliest.map_or(until, |other| other.min(until)));
    for lane in [Lane::Hosts, Lane::Others] {
        let mut records = records.clone().filter(|record| Lane::of(record) == lane);
        if let Some(until) = closed(lane).filter(|until| *until > now) {
            if records.next().is_some() {
                later(until);
            }
            continue;
        }
        let mut waiting_subjects: HashSet<&str> = HashSet::new();
        for record in records {
            if waiting_subjects.contains(record.subject.as_str()) {
                continue;
            }
            match attempts.get(&record.seq).and_then(|attempts| attempts.not_before) {
                Some(until) if until > now => {
                    waiting_subjects.insert(&record.subject);
                    later(until);
                }
                _ => return Choice::Deliver(Box::new(record.clone())),
            }
        }
    }
    earliest.map_or(Choice::Nothing, Choice::Wait)
}
