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
const MAX_AGES: usize = 16;

/// Minimum number of ages for a result.
const MIN_AGES: usize = 4;

/// Maximum interval between two polls of an unbroken observation. Polls are up to 19 s apart.
const UNSEEN: Duration = Duration::from_secs(25);

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
    looked: Option<Duration>,
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
    beat: Option<HeartbeatStamp>,
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
    pub fn look(&mut self, services: &BTreeMap<String, Option<Service>>, now: Duration) {
        let late = self
            .looked
            .is_some_and(|looked| now.saturating_sub(looked) > UNSEEN);
        self.looked = Some(now);
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
                cadence.look(service, now);
            }
            self.hosts.insert(host.clone(), cadence);
        }
    }

    /// Returns the state of this host's heartbeat, unless the last poll is too old to show anything about `now`.
    pub fn watched(&self, host: &str, now: Duration) -> Option<StandingHeartbeat> {
        let looked = self
            .looked
            .filter(|looked| now.saturating_sub(*looked) <= UNSEEN)?;
        let cadence = self.hosts.get(host)?;
        let (stamp, since) = cadence.stands?;
        Some(StandingHeartbeat {
            stamp,
            stood: looked.saturating_sub(since),
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
    fn look(&mut self, service: &Service, now: Duration) {
        let beat = service.beat();
        if self.stands.is_none_or(|(stamp, _)| stamp != beat) {
            self.stands = Some((beat, now));
        }
        let shown = service
            .last_heartbeat
            .filter(|_| service.up && !service.forced_down);
        let Some(at) = shown else {
            // The age of this heartbeat does not count from now on: the host may not be running.
            self.beat = None;
            return;
        };
        let before = self.beat.filter(|beat| beat.at == at);
        let since = before.map_or(now, |beat| beat.since);
        let watched = now.saturating_sub(since);
        // Without a `Date` in Nova's answers the age is unknown: it is at least the time since the heartbeat was first seen.
        let age = service.heartbeat_age_micros().map_or(watched, |micros| {
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        });
        if let Some(last) = self.beat.filter(|beat| beat.at != at) {
            self.ages.push_back(last.age);
            if self.ages.len() > MAX_AGES {
                self.ages.pop_front();
            }
        }
        let age = before.map_or(age, |beat| beat.age.max(age));
        self.beat = Some(HeartbeatStamp { at, since, age });
    }

    /// Returns the second greatest age, because one heartbeat may have been missed.
    fn age(&self) -> Option<Duration> {
        if self.ages.len() < MIN_AGES {
            return None;
        }
        let mut ages: Vec<Duration> = self.ages.iter().copied().collect();
        ages.sort_unstable_by(|one, other| other.cmp(one));
        ages.get(1).copied()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::id::ServiceId;

    const SECOND: i64 = 1_000_000;

    fn service(beat: i64, now: Option<i64>) -> Service {
        Service {
            id: ServiceId(Uuid::from_u128(1)),
            host: "c1".into(),
            enabled: true,
            disabled_reason: None,
            up: true,
            forced_down: false,
            last_heartbeat: Some(Timestamp::from_micros(beat * SECOND)),
            nova_now: now.map(|now| Timestamp::from_micros(now * SECOND)),
        }
    }

    /// Polls for `seconds`, as the engine does, a host with a heartbeat every `every` seconds. `ahead` is the lead of the
    /// clock of Nova's API over that of its conductor; `None` for an API that sends no time.
    fn watched(every: i64, ahead: Option<i64>, seconds: i64) -> Cadences {
        let mut cadences = Cadences::default();
        let (mut at, mut pauses) = (1_000, [11, 16, 19].into_iter().cycle());
        while at < 1_000 + seconds {
            let beat = at / every * every;
            let one = service(beat, ahead.map(|ahead| at + ahead));
            let now = Duration::from_secs(at.unsigned_abs());
            cadences.look(&BTreeMap::from([("c1".to_owned(), Some(one))]), now);
            at += pauses.next().unwrap_or(15);
        }
        cadences
    }

    fn seconds(cadences: &Cadences) -> Option<u64> {
        cadences.of("c1").map(|age| age.as_secs())
    }

    #[test]
    fn the_age_of_a_running_hosts_heartbeats_is_learnt() {
        for (every, ahead, from, to) in [
            (1, Some(0), 0, 1),
            (5, Some(0), 3, 5),
            (10, Some(0), 7, 10),
            (30, Some(0), 24, 30),
            (60, Some(0), 48, 60),
            // The clocks' difference is part of the age.
            (10, Some(8), 15, 18),
            (10, Some(-60), 0, 0),
            // Without Nova's time, the age is the time between the first and the last poll that saw the heartbeat.
            (10, None, 0, 0),
            (30, None, 11, 30),
            (60, None, 41, 60),
        ] {
            let learnt = seconds(&watched(every, ahead, 1_200));
            let well = learnt.is_some_and(|age| (from..=to).contains(&age));
            assert!(well, "every {every} s, {ahead:?}: {learnt:?}");
        }
    }

    /// Covers R26.
    #[test]
    fn the_times_of_the_last_heartbeat_and_of_novas_outage_are_kept() {
        let clock = Duration::from_secs;
        let mut cadences = Cadences::default();
        let look = |cadences: &mut Cadences, at: i64, beats: [i64; 3]| {
            let services = ["a", "b", "c"].into_iter().zip(beats);
            let services = services.map(|(name, beat)| (name.to_owned(), Some(service(beat, Some(at)))));
            cadences.look(&services.collect(), clock(at.unsigned_abs()));
        };
        let seen = |cadences: &Cadences, at: u64| {
            let watched = cadences.watched("a", clock(at));
            watched.map(|watched| (watched.stood.as_secs(), watched.deaf_ago.map(|ago| ago.as_secs())))
        };
        look(&mut cadences, 1_000, [995, 995, 995]);
        look(&mut cadences, 1_015, [995, 1_010, 1_010]);
        look(&mut cadences, 1_030, [995, 1_025, 1_025]);
        assert_eq!(seen(&cadences, 1_035), Some((30, None)));
        look(&mut cadences, 1_050, [995, 1_025, 1_025]);
        look(&mut cadences, 1_065, [995, 1_060, 1_060]);
        assert_eq!(seen(&cadences, 1_070), Some((65, Some(20))));
        assert_eq!(seen(&cadences, 1_100), None, "no poll since");
        look(&mut cadences, 1_200, [995, 1_195, 1_195]);
        assert_eq!(
            seen(&cadences, 1_200),
            Some((0, Some(150))),
            "nor the time in between"
        );
    }

    #[test]
    fn a_few_heartbeats_give_no_result() {
        assert_eq!(seconds(&watched(10, Some(0), 50)), None);
        assert_eq!(Cadences::default().usual(), None);
    }

    #[test]
    fn one_missed_heartbeat_and_a_failure_change_nothing() {
        let mut cadences = watched(10, Some(0), 1_200);
        let learnt = seconds(&cadences);
        let look = |cadences: &mut Cadences, one: Service, now: u64| {
            cadences.look(
                &BTreeMap::from([("c1".to_owned(), Some(one))]),
                Duration::from_secs(now),
            );
        };
        look(&mut cadences, service(2_190, Some(2_219)), 2_219);
        look(&mut cadences, service(2_220, Some(2_220)), 2_220);
        assert_eq!(seconds(&cadences), learnt, "one that was missed");
        for at in [2_235_i64, 2_250, 2_265, 2_290] {
            let up = at < 2_280;
            let dead = Service {
                up,
                ..service(2_220, Some(at))
            };
            look(&mut cadences, dead, at.unsigned_abs());
        }
        look(&mut cadences, service(3_000, Some(3_000)), 3_000);
        look(&mut cadences, service(3_010, Some(3_010)), 3_010);
        assert_eq!(seconds(&cadences), learnt, "it was down in between");
    }

    #[test]
    fn hosts_are_distinguished_and_one_cannot_change_the_median() {
        let mut cadences = Cadences::default();
        for turn in 0..10_i64 {
            let at = 1_000 + turn * 60;
            let services: BTreeMap<String, Option<Service>> = [("slow", 59), ("b", 9), ("a", 8), ("away", 0)]
                .into_iter()
                .map(|(name, age)| {
                    let one = (name != "away").then(|| service(at - age, Some(at)));
                    (name.to_owned(), one)
                })
                .collect();
            cadences.look(&services, Duration::from_secs(at.unsigned_abs()));
        }
        assert_eq!(cadences.of("slow"), Some(Duration::from_secs(59)));
        assert_eq!(cadences.usual(), Some(Duration::from_secs(9)));
        assert_eq!((cadences.of("away"), cadences.of("nobody")), (None, None));
        cadences.look(&BTreeMap::new(), Duration::from_secs(2_000));
        assert_eq!(
            cadences.usual(),
            None,
            "hosts that Nova does not show are dropped"
        );
    }
}
