//! How old the heartbeats of living hosts get, learnt while nothing fails.
//!
//! A nova-compute beats every `report_interval`, which is its own option: 10 s by default, 30 or 60 s in some clouds. A limit
//! that fits the default takes every host of such a cloud for silent most of the time. What is learnt is the age itself and
//! not the interval between two beats: looks that are further apart than beats see multiples of it, and the age has the
//! difference of Nova's clocks in it, which a limit has to outlast too.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::nova::Service;
use crate::timestamp::Timestamp;

/// Of so many heartbeats the ages are kept.
const KEPT: usize = 16;

/// With fewer nothing is said.
const ENOUGH: usize = 4;

/// What was learnt of each host.
#[derive(Clone, Debug, Default)]
pub struct Cadences(BTreeMap<String, Heard>);

#[derive(Clone, Debug, Default)]
struct Heard {
    beat: Option<Beat>,
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
        let mut before = std::mem::take(&mut self.0);
        for (host, service) in services {
            let mut heard = before.remove(host).unwrap_or_default();
            // A cell that is down says nothing about its hosts.
            if let Some(service) = service {
                heard.look(service, now);
            }
            self.0.insert(host.clone(), heard);
        }
    }

    /// The age up to which this host's heartbeats were seen while it lived.
    pub fn of(&self, host: &str) -> Option<Duration> {
        self.0.get(host)?.age()
    }

    /// The same for half of all hosts, so that no single one decides for the others.
    pub fn usual(&self) -> Option<Duration> {
        let mut ages: Vec<Duration> = self.0.values().filter_map(Heard::age).collect();
        ages.sort_unstable();
        ages.get(ages.len() / 2).copied()
    }
}

impl Heard {
    fn look(&mut self, service: &Service, now: Duration) {
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
