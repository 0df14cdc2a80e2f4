//! The selection of recoveries to claim, by the heartbeats of their owners.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::RecoveryId;

use crate::journal::{Claim, PeerClaim};

/// Time without a new heartbeat after which an owner counts as dead, and another engine may claim its recovery.
pub const OWNER_TIMEOUT: Duration = Duration::from_secs(4);

/// Interval between two reads of another engine's heartbeats. The timeout starts when a heartbeat was first *read*, and
/// its end is noticed at the next read. So the detection of a dead owner takes up to two intervals more than
/// [`OWNER_TIMEOUT`].
pub const CLAIM_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Limit of claims per sweep. Each claim is a transaction: with thousands of reports, a host that fails meanwhile waits
/// for the next sweep only, and not for the claims of all reports.
const CLAIM_BATCH: usize = 64;

/// Limit of concurrently starting recoveries of instances and processes. It bounds the memory for a flood of reports;
/// with a higher limit they would not finish sooner.
const MAX_RUNNING_SMALL: usize = 256;

/// Time after which a recovery that is not done counts as waiting, and no longer against the limit.
const SMALL_GRACE: Duration = Duration::from_secs(2);

/// Time for which the version of a recovery is kept after it was last listed.
const VERSION_LIFETIME: Duration = Duration::from_mins(10);

/// The version of a recovery's row that an engine has read or written. Versions never decrease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowVersion {
    /// The number of claims.
    pub epoch: u64,
    /// Incremented by every claim and commit.
    pub seq: u64,
}

/// The time at which this engine first saw each heartbeat, by its own clock.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// The latest known version of each recovery, and the time when it was read.
    known: BTreeMap<RecoveryId, (RowVersion, Duration)>,
    known_claims: BTreeMap<RecoveryId, (u64, u64, Duration)>,
    /// Claims of this engine that are uncertain, by epoch.
    uncertain_claims: BTreeMap<RecoveryId, u64>,
    /// Recoveries of instances and processes that this engine drives, and their start.
    small_started_at: BTreeMap<RecoveryId, Duration>,
    /// True if hosts are left that the last sweep could have claimed.
    more_hosts: bool,
    /// True if other recoveries are left that it could have claimed.
    more: bool,
}

impl Sweeper {
    /// Records that this engine has to repeat its claim at `epoch`; there is no other owner to wait for.
    pub fn uncertain(&mut self, id: RecoveryId, epoch: u64) {
        self.uncertain_claims.insert(id, epoch);
    }

    /// Records that a driver of this engine has ended with this claim.
    pub fn left(&mut self, claim: &Claim, now: Duration) {
        let known = RowVersion {
            epoch: claim.epoch,
            seq: claim.seq,
        };
        self.record(claim.id, known, now);
    }

    fn record(&mut self, id: RecoveryId, known: RowVersion, now: Duration) {
        let entry = self.known.entry(id).or_insert((known, now));
        entry.0.epoch = entry.0.epoch.max(known.epoch);
        entry.0.seq = entry.0.seq.max(known.seq);
        entry.1 = now;
    }

    /// Returns the recoveries whose rows are older than the version known before, with that version. Either a failover
    /// of the database has lost writes, or a replica that lags behind has responded. The journal can distinguish them.
    pub fn rewound(
        &mut self,
        views: &[PeerClaim],
        now: Duration,
        ours: impl Fn(RecoveryId) -> bool,
    ) -> Vec<(PeerClaim, RowVersion)> {
        let mut rewound = Vec::new();
        // Owners detect it themselves.
        for view in views.iter().filter(|view| !ours(view.id)) {
            let shown = RowVersion {
                epoch: view.epoch,
                seq: view.seq,
            };
            self.record(view.id, shown, now);
            let known = self.known.get(&view.id).map_or(shown, |(known, _)| *known);
            if known != shown {
                rewound.push((view.clone(), known));
            }
        }
        self.known
            .retain(|_, (_, at)| now.saturating_sub(*at) < VERSION_LIFETIME);
        rewound
    }

    /// Returns the recoveries to claim now, those of hosts first. `ours` returns true for those that this engine is
    /// driving.
    pub fn claimable(
        &mut self,
        views: &[PeerClaim],
        now: Duration,
        ours: impl Fn(RecoveryId) -> bool,
    ) -> Vec<PeerClaim> {
        self.small_started_at
            .retain(|id, since| ours(*id) && now.saturating_sub(*since) < SMALL_GRACE);
        let mut free: Vec<&PeerClaim> = Vec::new();
        let mut watched = 0;
        for view in views.iter().filter(|view| !ours(view.id)) {
            watched += 1;
            // Another engine may claim it first and die at once, so its heartbeats are watched from now on.
            let first = self
                .known_claims
                .entry(view.id)
                .or_insert((view.epoch, view.beat, now));
            if view.owner.is_none() || self.uncertain_claims.get(&view.id) == Some(&view.epoch) {
                free.push(view);
                continue;
            }
            self.uncertain_claims.remove(&view.id);
            if (first.0, first.1) != (view.epoch, view.beat) {
                *first = (view.epoch, view.beat, now);
            } else if now.saturating_sub(first.2) >= OWNER_TIMEOUT {
                free.push(view);
            }
        }
        if self.known_claims.len() > watched {
            // Drops recoveries that were closed since, or that this engine owns now.
            let known: BTreeSet<RecoveryId> = views.iter().map(|view| view.id).collect();
            self.known_claims.retain(|id, _| known.contains(id) && !ours(*id));
        }
        let (hosts, others): (Vec<_>, Vec<_>) = free.into_iter().partition(|view| view.of_host);
        let (all_hosts, all_others) = (hosts.len(), others.len());
        let room = MAX_RUNNING_SMALL.saturating_sub(self.small_started_at.len());
        let claimed: Vec<PeerClaim> = hosts
            .into_iter()
            .chain(others.into_iter().take(room))
            .take(CLAIM_BATCH)
            .cloned()
            .collect();
        self.more_hosts = all_hosts > CLAIM_BATCH;
        self.more = claimed.len() < all_hosts + all_others;
        for view in &claimed {
            self.uncertain_claims.remove(&view.id);
            if !view.of_host {
                self.small_started_at.insert(view.id, now);
            }
        }
        claimed
    }

    /// True if other engines' heartbeats are being watched, so that the next sweep has to follow soon.
    pub fn is_watching(&self) -> bool {
        !self.known_claims.is_empty()
    }

    /// Records that the sweep has claimed nothing: the database failed, or other engines were faster. The next sweep
    /// then comes when it is due, and not at once.
    pub fn claimed_nothing(&mut self) {
        self.more_hosts = false;
        self.more = false;
    }

    /// True if the next sweep may follow at once: there is more to claim, and capacity for a full `CLAIM_BATCH`. With
    /// less capacity, a sweep is too expensive, because it reads all open recoveries.
    pub fn has_more(&self, now: Duration, ours: impl Fn(RecoveryId) -> bool) -> bool {
        let begins =
            |(id, since): &(&RecoveryId, &Duration)| ours(**id) && now.saturating_sub(**since) < SMALL_GRACE;
        let room = MAX_RUNNING_SMALL.saturating_sub(self.small_started_at.iter().filter(begins).count());
        self.more_hosts || self.more && room >= CLAIM_BATCH
    }
}

#[cfg(test)]
mod tests;
