//! How old the heartbeats of living hosts get, learnt while nothing fails.
//!
//! A nova-compute beats every `report_interval`, which is its own option: 10 s by default, 30 or 60 s in some clouds. A limit
//! that fits the default takes every host of such a cloud for silent most of the time. What is learnt is the age itself and
//! not the interval between two beats: looks that are further apart than beats see multiples of it, and the age has the
//! difference of Nova's clocks in it, which a limit has to outlast too.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::nova::Service;
use crate::timestamp::Timestamp;

/// Of so many heartbeats the ages are kept.
const KEPT: usize = 16;

/// With fewer nothing is said.
const ENOUGH: usize = 4;

/// A look so long after the last one says nothing about the time between. They are up to 19 s apart.
const UNSEEN: Duration = Duration::from_secs(25);

/// How often a nova-compute beats unless something else was learnt.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// What a look may differ from a cadence by.
const LATE: Duration = Duration::from_secs(5);

pub(crate) fn usual_or_default(usual: Duration) -> Duration {
    usual.max(REPORT_INTERVAL)
}

/// With most other stamps older than this Nova is deaf, where that is the usual cadence (R26).
pub(crate) fn deaf_after(usual: Duration) -> Duration {
    usual_or_default(usual) + LATE
}

/// What was learnt of each host.
#[derive(Clone, Debug, Default)]
pub struct Cadences {
    hosts: BTreeMap<String, Heard>,
    /// When Nova was looked at last.
    looked: Option<Duration>,
}

/// What was seen of a host's heartbeat by the looks up to some moment (R26).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingHeartbeat {
    /// The heartbeat that was shown.
    pub stamp: Timestamp,
    /// Over what time it was seen to stand still.
    pub stood: Duration,
    /// How long ago Nova was deaf, if it was.
    pub deaf_ago: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    beat: Option<Beat>,
    /// The heartbeat that is shown, whether it is a living host's or not, and since when.
    stands: Option<(Timestamp, Duration)>,
    /// When Nova was deaf to most others.
    deaf: Option<Duration>,
    /// How old each heartbeat got before the next one came, as far as it was seen.
    ages: VecDeque<Duration>,
}

/// The heartbeat that is shown.
#[derive(Clone, Copy, Debug)]
struct Beat {
    at: Timestamp,
    /// When it was seen first, by the clock of whoever looks.
    since: Duration,
    /// The greatest age it was seen at.
    age: Duration,
}

impl Cadences {
    /// Takes one look at all services, made at `now` by any clock that does not jump. Hosts that are not shown are forgotten.
    pub fn look(&mut self, services: &BTreeMap<String, Option<Service>>, now: Duration) {
        let late = self
            .looked
            .is_some_and(|looked| now.saturating_sub(looked) > UNSEEN);
        self.looked = Some(now);
        let mut before = std::mem::take(&mut self.hosts);
        let deaf = Deafness::of(services, deaf_after(usual_age(&before).unwrap_or_default()));
        for (host, service) in services {
            let mut heard = before.remove(host).unwrap_or_default();
            if late {
                heard.stands = None;
            }
            if deaf.is_to_all_but(service.as_ref()) {
                heard.deaf = Some(now);
            }
            // A cell that is down says nothing about its hosts.
            if let Some(service) = service {
                heard.look(service, now);
            }
            self.hosts.insert(host.clone(), heard);
        }
    }

    /// What was seen of this host's heartbeat, unless the last look is too long ago to say anything about `now`.
    pub fn watched(&self, host: &str, now: Duration) -> Option<StandingHeartbeat> {
        let looked = self
            .looked
            .filter(|looked| now.saturating_sub(*looked) <= UNSEEN)?;
        let heard = self.hosts.get(host)?;
        let (stamp, since) = heard.stands?;
        Some(StandingHeartbeat {
            stamp,
            stood: looked.saturating_sub(since),
            deaf_ago: heard.deaf.map(|deaf| now.saturating_sub(deaf)),
        })
    }

    /// The age up to which this host's heartbeats were seen while it lived.
    pub fn of(&self, host: &str) -> Option<Duration> {
        self.hosts.get(host)?.age()
    }

    /// The same for half of all hosts, so that no single one decides for the others.
    pub fn usual(&self) -> Option<Duration> {
        usual_age(&self.hosts)
    }
}

fn usual_age(hosts: &BTreeMap<String, Heard>) -> Option<Duration> {
    let mut ages: Vec<Duration> = hosts.values().filter_map(Heard::age).collect();
    ages.sort_unstable();
    ages.get(ages.len() / 2).copied()
}

/// To how many of its services Nova is deaf at one moment (R26).
pub(crate) struct Deafness {
    late_after: Duration,
    unforced: u64,
    late: u64,
}

impl Deafness {
    /// `late_after`: a stamp that is older was missed.
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

    /// One that nobody has forced down, and Nova has not heard. A Nova that tells no time shows it down in the end.
    fn is_late(&self, service: &Service) -> bool {
        let age = service
            .heartbeat_age_micros()
            .map(|micros| Duration::from_micros(u64::try_from(micros).unwrap_or_default()));
        !service.forced_down && age.map_or(!service.up, |age| age > self.late_after)
    }

    /// Whether it hears less than half of the others.
    pub(crate) fn is_to_all_but(&self, own: Option<&Service>) -> bool {
        let own = own.filter(|own| !own.forced_down);
        let others = self.unforced.saturating_sub(u64::from(own.is_some()));
        let late = self
            .late
            .saturating_sub(u64::from(own.is_some_and(|own| self.is_late(own))));
        late.saturating_mul(2) > others
    }
}

impl Heard {
    fn look(&mut self, service: &Service, now: Duration) {
        let beat = service.beat();
        if self.stands.is_none_or(|(stamp, _)| stamp != beat) {
            self.stands = Some((beat, now));
        }
        let shown = service
            .last_heartbeat
            .filter(|_| service.up && !service.forced_down);
        let Some(at) = shown else {
            // However old this heartbeat gets, it is not the age of a living host's.
            self.beat = None;
            return;
        };
        let before = self.beat.filter(|beat| beat.at == at);
        let since = before.map_or(now, |beat| beat.since);
        let watched = now.saturating_sub(since);
        // A Nova without a `Date` in its answers tells no age: at least as long as it was seen.
        let age = service.heartbeat_age_micros().map_or(watched, |micros| {
            Duration::from_micros(u64::try_from(micros).unwrap_or_default())
        });
        if let Some(last) = self.beat.filter(|beat| beat.at != at) {
            self.ages.push_back(last.age);
            if self.ages.len() > KEPT {
                self.ages.pop_front();
            }
        }
        let age = before.map_or(age, |beat| beat.age.max(age));
        self.beat = Some(Beat { at, since, age });
    }

    /// The second greatest: a beat may be missed once.
    fn age(&self) -> Option<Duration> {
        if self.ages.len() < ENOUGH {
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

    /// Looks as the engine makes them, at a host that beats every `every` seconds, for so long. `ahead`: the clock of Nova's API
    /// before that of its conductor; `None` for an API that tells no time.
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
    fn the_age_of_a_living_hosts_heartbeat_is_learnt() {
        for (every, ahead, from, to) in [
            (1, Some(0), 0, 1),
            (5, Some(0), 3, 5),
            (10, Some(0), 7, 10),
            (30, Some(0), 24, 30),
            (60, Some(0), 48, 60),
            // What the clocks differ by is part of it.
            (10, Some(8), 15, 18),
            (10, Some(-60), 0, 0),
            // No more can be seen than two looks apart, and no less than what stood still between two.
            (10, None, 0, 0),
            (30, None, 11, 30),
            (60, None, 41, 60),
        ] {
            let learnt = seconds(&watched(every, ahead, 1_200));
            let well = learnt.is_some_and(|age| (from..=to).contains(&age));
            assert!(well, "every {every} s, {ahead:?}: {learnt:?}");
        }
    }

    #[test]
    fn r26_since_when_a_heartbeat_stands_and_when_nova_was_deaf_is_remembered() {
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
        assert_eq!(seen(&cadences, 1_100), None, "nobody has looked since");
        look(&mut cadences, 1_200, [995, 1_195, 1_195]);
        assert_eq!(
            seen(&cadences, 1_200),
            Some((0, Some(150))),
            "nor what was in between"
        );
    }

    #[test]
    fn a_few_heartbeats_teach_nothing() {
        assert_eq!(seconds(&watched(10, Some(0), 50)), None);
        assert_eq!(Cadences::default().usual(), None);
    }

    #[test]
    fn one_missed_beat_and_a_death_teach_nothing() {
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
    fn hosts_are_told_apart_and_no_single_one_decides_for_all() {
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
        assert_eq!(cadences.usual(), None, "what Nova does not show is forgotten");
    }
}
