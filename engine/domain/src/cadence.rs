//! Learns the heartbeat ages that running hosts reach.
//!
//! A nova-compute sends a heartbeat every `report_interval`, which is its own option: 10 s by default, 30 or 60 s in some
//! clouds. A limit that fits the default makes every host of such a cloud look silent most of the time. The age itself is
//! learnt and not the interval between two heartbeats: polls that are further apart than heartbeats see multiples of the
//! interval, and the age includes the difference of Nova's clocks, which a limit has to cover too.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::nova::Service;
use crate::timestamp::Timestamp;

/// The number of heartbeats whose ages are kept.
const MAX_AGE_SAMPLES: usize = 16;

/// Minimum number of ages for a result.
const MIN_AGE_SAMPLES: usize = 4;

/// Maximum interval between two polls of an unbroken observation. Polls are up to 19 s apart.
const MAX_OBSERVATION_GAP: Duration = Duration::from_secs(25);

/// The heartbeat interval of a nova-compute unless another one was learnt.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The tolerance for the difference between a poll and the heartbeat interval.
const POLL_TOLERANCE: Duration = Duration::from_secs(5);

pub(crate) fn usual_or_default(usual: Duration) -> Duration {
    usual.max(REPORT_INTERVAL)
}

/// Returns the deaf threshold for the usual heartbeat age: Nova is deaf if most other hosts' heartbeats are older.
pub(crate) fn deaf_after(usual: Duration) -> Duration {
    usual_or_default(usual) + POLL_TOLERANCE
}

/// The heartbeat ages learnt of each host.
#[derive(Clone, Debug, Default)]
pub struct Cadences {
    hosts: BTreeMap<String, ShownHeartbeat>,
    /// The time of the last poll of Nova.
    last_poll: Option<Duration>,
}

/// The state of a host's heartbeat after the polls up to some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingHeartbeat {
    /// The time stamp of the last heartbeat.
    pub stamp: Timestamp,
    /// The time over which the polls saw no newer heartbeat.
    pub stood: Duration,
    /// The time since Nova was last deaf, if it was.
    pub deaf_ago: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct ShownHeartbeat {
    heartbeat: Option<HeartbeatStamp>,
    /// The heartbeat that Nova shows, even if the host is down, and the time it was first seen.
    stands: Option<(Timestamp, Duration)>,
    /// The time at which Nova was last deaf to most other hosts.
    deaf: Option<Duration>,
    /// The maximum age of each heartbeat before the next one.
    ages: VecDeque<Duration>,
}

/// The heartbeat that Nova shows of a running host.
#[derive(Clone, Copy, Debug)]
struct HeartbeatStamp {
    at: Timestamp,
    /// The time it was first seen, on the clock of the polling process.
    since: Duration,
    /// The greatest age at which it was seen.
    age: Duration,
}

impl Cadences {
    /// Applies one poll of all services, made at `now` on a clock that does not jump. Hosts that are not shown are dropped.
    pub fn observe(&mut self, services: &BTreeMap<String, Option<Service>>, now: Duration) {
        let late = self
            .last_poll
            .is_some_and(|last_poll| now.saturating_sub(last_poll) > MAX_OBSERVATION_GAP);
        self.last_poll = Some(now);
        let mut before = std::mem::take(&mut self.hosts);
        let deaf = Deafness::of(services, deaf_after(usual_age(&before).unwrap_or_default()));
        for (host, service) in services {
            let mut cadence = before.remove(host).unwrap_or_default();
            if late {
                cadence.stands = None;
            }
            if deaf.is_to_all_but(service.as_ref()) {
                cadence.deaf = Some(now);
            }
            // A cell that is down shows nothing about its hosts.
            if let Some(service) = service {
                cadence.observe(service, now);
            }
            self.hosts.insert(host.clone(), cadence);
        }
    }

    /// Returns the state of this host's heartbeat, unless the last poll is too old to show anything about `now`.
    pub fn watched(&self, host: &str, now: Duration) -> Option<StandingHeartbeat> {
        let last_poll = self
            .last_poll
            .filter(|last_poll| now.saturating_sub(*last_poll) <= MAX_OBSERVATION_GAP)?;
        let cadence = self.hosts.get(host)?;
        let (stamp, since) = cadence.stands?;
        Some(StandingHeartbeat {
            stamp,
            stood: last_poll.saturating_sub(since),
            deaf_ago: cadence.deaf.map(|deaf| now.saturating_sub(deaf)),
        })
    }

    /// Returns the heartbeat age this host reached while it was up.
    pub fn of(&self, host: &str) -> Option<Duration> {
        self.hosts.get(host)?.age()
    }

    /// Returns the median of all hosts, which one deviating host cannot change.
    pub fn usual(&self) -> Option<Duration> {
        usual_age(&self.hosts)
    }
}

fn usual_age(hosts: &BTreeMap<String, ShownHeartbeat>) -> Option<Duration> {
    let mut ages: Vec<Duration> = hosts.values().filter_map(ShownHeartbeat::age).collect();
    ages.sort_unstable();
    ages.get(ages.len() / 2).copied()
}

/// The number of services whose heartbeats Nova misses at one moment: Nova is deaf to them.
pub(crate) struct Deafness {
    late_after: Duration,
    unforced: u64,
    late: u64,
}

impl Deafness {
    /// Counts the services. A heartbeat older than `late_after` is late.
    pub(crate) fn of(services: &BTreeMap<String, Option<Service>>, late_after: Duration) -> Self {
        let mut all = Self {
            late_after,
            unforced: 0,
            late: 0,
        };
        for service in services.values().flatten() {
            all.unforced += u64::from(!service.forced_down);
            all.late += u64::from(all.is_late(service));
        }
        all
    }

    /// True if the service is not forced down and its heartbeat is late. Without Nova's time, a service that Nova shows down
    /// is late.
    fn is_late(&self, service: &Service) -> bool {
        let age = service
            .heartbeat_age_micros()
            .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
        !service.forced_down && age.map_or(!service.up, |age| age > self.late_after)
    }

    /// True if Nova misses the heartbeats of more than half of the other services.
    pub(crate) fn is_to_all_but(&self, own: Option<&Service>) -> bool {
        let own = own.filter(|own| !own.forced_down);
        let others = self.unforced.saturating_sub(u64::from(own.is_some()));
        let late = self
            .late
            .saturating_sub(u64::from(own.is_some_and(|own| self.is_late(own))));
        late.saturating_mul(2) > others
    }
}

impl ShownHeartbeat {
    fn observe(&mut self, service: &Service, now: Duration) {
        let heartbeat = service.heartbeat();
        if self.stands.is_none_or(|(stamp, _)| stamp != heartbeat) {
            self.stands = Some((heartbeat, now));
        }
        let shown = service
            .last_heartbeat
            .filter(|_| service.up && !service.forced_down);
        let Some(at) = shown else {
            // The age of this heartbeat does not count from now on: the host may not be running.
            self.heartbeat = None;
            return;
        };
        let before = self.heartbeat.filter(|heartbeat| heartbeat.at == at);
        let since = before.map_or(now, |heartbeat| heartbeat.since);
        let watched = now.saturating_sub(since);
        // Without a `Date` in Nova's answers the age is unknown: it is at least the time since the heartbeat was first seen.
        let age = service.heartbeat_age_micros().map_or(watched, |micros| {
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        });
        if let Some(last) = self.heartbeat.filter(|heartbeat| heartbeat.at != at) {
            self.ages.push_back(last.age);
            if self.ages.len() > MAX_AGE_SAMPLES {
                self.ages.pop_front();
            }
        }
        let age = before.map_or(age, |heartbeat| heartbeat.age.max(age));
        self.heartbeat = Some(HeartbeatStamp { at, since, age });
    }

    /// Returns the second greatest age, because one heartbeat may have been missed.
    fn age(&self) -> Option<Duration> {
        if self.ages.len() < MIN_AGE_SAMPLES {
            return None;
        }
        let mut ages: Vec<Duration> = self.ages.iter().copied().collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages.get(1).copied()
    }
}

#[cfg(test)]
mod tests;
