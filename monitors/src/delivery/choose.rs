//! Which report is next.

use std::collections::{HashMap, HashSet};

use tachi_spool::Record;
use tokio::time::Instant;

/// How often one was tried, and when it is tried again.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries {
    pub(super) count: u32,
    pub(super) not_before: Option<Instant>,
}

/// What to do now.
#[derive(Debug)]
pub(super) enum Choice {
    /// This one.
    Deliver(Box<Record>),
    /// Nothing before then.
    Wait(Instant),
    /// There is none.
    Nothing,
}

/// The oldest that may be tried, and before which none about the same thing waits.
pub(super) fn choose<'r>(
    records: impl Iterator<Item = &'r Record>,
    tries: &HashMap<u64, Tries>,
    now: Instant,
) -> Choice {
    let mut held: HashSet<&str> = HashSet::new();
    let mut earliest: Option<Instant> = None;
    for record in records {
        if held.contains(record.subject.as_str()) {
            continue;
        }
        match tries.get(&record.seq).and_then(|tries| tries.not_before) {
            Some(until) if until > now => {
                held.insert(&record.subject);
                earliest = Some(earliest.map_or(until, |other| other.min(until)));
            }
            _ => return Choice::Deliver(Box::new(record.clone())),
        }
    }
    earliest.map_or(Choice::Nothing, Choice::Wait)
}
