//! The boots of hosts, which end the guests there. Nova shows such a guest as running until its power synchronisation has found it gone,
//! ten minutes after the start of nova-compute at most, unless it is configured otherwise.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::Timestamp;

/// Time from a boot after which Nova's state of an instance counts again: two of Nova's usual synchronisation intervals.
const SYNC_LIMIT_MICROS: i64 = 1_200_000_000;

/// Minimum time between Nova's last change of an instance and the boot: these are times of two clocks.
const MIN_DISTANCE_MICROS: i64 = 60_000_000;

/// Maximum difference of two readings of the same boot.
const SAME_BOOT_MICROS: u64 = 10_000_000;

#[derive(Default)]
pub(super) struct Boots {
    /// The latest boot of each host whose monitors send it.
    pub(super) latest: BTreeMap<String, Timestamp>,
    /// The hosts that had booted recently in the last round.
    recent: BTreeSet<String>,
}

impl Boots {
    /// Returns the boot that has ended the guest of an instance that Nova shows running on `host`, and whose record it has changed at
    /// `updated` last. A start after the boot would be such a change.
    pub(super) fn ended(&self, host: &str, updated: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        let booted = *self.latest.get(host).filter(|_| self.is_recent(host, now))?;
        (booted.micros_since(updated?) > MIN_DISTANCE_MICROS).then_some(booted)
    }

    /// True if Nova may not have noticed yet what the latest boot of the host has ended.
    pub(super) fn is_recent(&self, host: &str, now: Timestamp) -> bool {
        let age = self.latest.get(host).map(|booted| now.micros_since(*booted));
        age.is_some_and(|age| age < SYNC_LIMIT_MICROS)
    }

    /// Returns the hosts of which these boots are not known yet.
    pub(super) fn unknown<'a>(
        &self,
        boots: &'a BTreeMap<String, Timestamp>,
    ) -> impl Iterator<Item = &'a str> {
        let is_unknown = |(host, at): &(&String, &Timestamp)| {
            let known = self.latest.get(*host).copied();
            same(known, Some(**at)) != known
        };
        boots.iter().filter(is_unknown).map(|(host, _)| host.as_str())
    }

    /// Takes the boots as read now. Returns the hosts whose instances to judge again: those that have booted recently, and those that had
    /// in the last round.
    pub(super) fn take(&mut self, latest: BTreeMap<String, Timestamp>, now: Timestamp) -> BTreeSet<String> {
        self.latest = latest;
        let recent = self.latest.keys().filter(|host| self.is_recent(host, now));
        let recent: BTreeSet<String> = recent.cloned().collect();
        let mut hosts = std::mem::replace(&mut self.recent, recent);
        hosts.extend(self.recent.iter().cloned());
        hosts
    }
}

/// Returns `new`, or `before` if both are readings of the same boot: heartbeats show it a bit differently each time.
pub(super) fn same(before: Option<Timestamp>, new: Option<Timestamp>) -> Option<Timestamp> {
    let is_same = |before: &Timestamp| {
        new.is_some_and(|new| new.micros_since(*before).unsigned_abs() < SAME_BOOT_MICROS)
    };
    before.filter(is_same).or(new)
}
