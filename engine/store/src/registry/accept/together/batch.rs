//! Selection of the waiting notifications for one transaction.

use std::collections::{HashMap, HashSet, VecDeque};

use tachi_domain::HostId;
use tachi_domain::recovery::{kind_of, open_key};
use uuid::Uuid;

use super::Entry;
use crate::registry::accept::duplicates::repeat_key;

/// Limit of notifications per transaction, which holds the locks of all their hosts.
const MAX_BATCH: usize = 32;

/// Takes the next batch from the queue: the oldest notification of each host, and more of these hosts if they fit. No
/// notification overtakes another of its host.
///
/// The numbers of hosts and of notifications are powers of two. A statement's text depends on the number of its values,
/// and only texts that were used before are found prepared. Each new text costs a round trip in `MySQL`'s protocol. The
/// one that it evicts costs a fortieth of a second: closing a statement has no response, so the server waits for the
/// peer's delayed acknowledgement.
pub(super) fn of(entries: &mut VecDeque<Entry>) -> Vec<Entry> {
    let names: Vec<String> = entries
        .iter()
        .map(|entry| entry.new.hostname.to_ascii_lowercase())
        .collect();
    let mut known = HashSet::new();
    let mut chosen: Vec<usize> = (0..names.len())
        .filter(|&at| known.insert(&names[at]))
        .take(MAX_BATCH)
        .collect();
    keep_a_power_of_two(&mut chosen);
    let mut reports: HashMap<&str, HostReports> = chosen
        .iter()
        .map(|&at| (names[at].as_str(), HostReports::first(&entries[at])))
        .collect();
    let firsts: HashSet<usize> = chosen.iter().copied().collect();
    for (at, entry) in entries.iter().enumerate() {
        if chosen.len() == MAX_BATCH {
            break;
        }
        if let Some(reports) = reports.get_mut(names[at].as_str())
            && !firsts.contains(&at)
            && reports.takes(entry)
        {
            chosen.push(at);
        }
    }
    keep_a_power_of_two(&mut chosen);

    let chosen: HashSet<usize> = chosen.into_iter().collect();
    let mut batch = Vec::with_capacity(chosen.len());
    let mut rest = VecDeque::with_capacity(entries.len() - chosen.len());
    for (at, entry) in entries.drain(..).enumerate() {
        if chosen.contains(&at) {
            batch.push(entry);
        } else {
            rest.push_back(entry);
        }
    }
    *entries = rest;
    batch
}

fn keep_a_power_of_two(chosen: &mut Vec<usize>) {
    chosen.truncate(chosen.len().checked_ilog2().map_or(0, |power| 1 << power));
}

/// The contents of one host's notifications in a batch.
struct HostReports {
    repeats: HashSet<i64>,
    opens: HashSet<String>,
    /// True if a notification of the host was left for later, so that all following ones are, too.
    ended: bool,
}

impl HostReports {
    fn first(entry: &Entry) -> Self {
        let mut known = Self {
            repeats: HashSet::new(),
            opens: HashSet::new(),
            ended: false,
        };
        known.takes(entry);
        known
    }

    /// True if the notification differs from all previous ones of the host, and opens a different recovery.
    fn takes(&mut self, entry: &Entry) -> bool {
        let new = &entry.new;
        let host = HostId(Uuid::nil());
        self.ended = self.ended
            || !self.repeats.insert(repeat_key(new, ""))
            || open_key(kind_of(new.kind), host, &new.payload).is_some_and(|key| !self.opens.insert(key));
        !self.ended
    }
}
