//! Which hosts' devices are tested when.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

/// What has failed is tested again after this: one failure may be a device that is busy, and one that was mended is not told of for long.
const AGAIN: Duration = Duration::from_secs(30);

/// How often hosts are looked for that were registered since: what is wrong with their devices is told while whoever registered them still sits there.
const LOOK: Duration = Duration::from_secs(10);

/// When all hosts are due, and which have had their test.
#[derive(Debug)]
pub(super) struct Rounds {
    every: Duration,
    jitter: u64,
    all: Instant,
    again: Instant,
    tested: BTreeSet<String>,
}

/// The hosts to test now, and whether they are all that are registered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Round {
    pub(super) hosts: Vec<String>,
    pub(super) all: bool,
}

impl Rounds {
    /// All are tested `every` so often, by engines of another `seed` at other times.
    pub(super) fn new(every: Duration, seed: u64, now: Instant) -> Self {
        Self {
            every,
            jitter: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            all: now,
            again: now,
            tested: BTreeSet::new(),
        }
    }

    /// When to look next.
    pub(super) fn next(&self, now: Instant) -> Instant {
        now + LOOK.min(self.every / 10)
    }

    /// The round that is due.
    pub(super) fn due(&mut self, registered: Vec<String>, failing: &BTreeSet<String>, now: Instant) -> Round {
        let all = self.all <= now;
        let again = self.again <= now;
        let mut hosts = registered;
        if all {
            self.all = now + self.spread();
            self.tested = hosts.iter().cloned().collect();
        } else {
            hosts.retain(|host| (again && failing.contains(host)) || !self.tested.contains(host));
            self.tested.extend(hosts.iter().cloned());
        }
        if all || again {
            self.again = now + AGAIN;
        }
        Round { hosts, all }
    }

    /// 0.9 to 1.1 of the time between two rounds: engines that were started together do not ask together.
    fn spread(&mut self) -> Duration {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let spread = u32::try_from(self.jitter % 21).unwrap_or(10);
        self.every * (90 + spread) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(hosts: &[&str]) -> Vec<String> {
        hosts.iter().map(|host| (*host).to_owned()).collect()
    }

    #[test]
    fn a_host_that_is_registered_later_is_tested_within_seconds_and_then_with_the_others() {
        let every = Duration::from_secs(300);
        let began = Instant::now();
        let mut rounds = Rounds::new(every, 7, began);
        let none = BTreeSet::new();
        let now = rounds.next(began);
        assert_eq!(now - began, LOOK);
        let first = rounds.due(names(&["a", "b"]), &none, now);
        assert_eq!((first.hosts, first.all), (names(&["a", "b"]), true));
        let now = rounds.next(now);
        let nothing = rounds.due(names(&["a", "b"]), &none, now);
        assert_eq!((nothing.hosts, nothing.all), (vec![], false));
        let now = rounds.next(now);
        let new = rounds.due(names(&["a", "b", "c"]), &none, now);
        assert_eq!((new.hosts, new.all), (names(&["c"]), false));
        let late = began + LOOK + every * 11 / 10;
        let all = rounds.due(names(&["a", "b", "c"]), &none, late);
        assert_eq!((all.hosts, all.all), (names(&["a", "b", "c"]), true));
        // It was taken out, and is registered again.
        let other = rounds.due(names(&["a", "b"]), &none, late + every * 11 / 10);
        assert!(other.all);
        let again = rounds.due(names(&["a", "b", "c"]), &none, late + every * 11 / 10 + LOOK);
        assert_eq!((again.hosts, again.all), (names(&["c"]), false));
    }

    #[test]
    fn what_has_failed_is_tested_again_every_half_minute() {
        let began = Instant::now();
        let mut rounds = Rounds::new(Duration::from_secs(300), 7, began);
        let failing = BTreeSet::from(["b".to_owned(), "gone".to_owned()]);
        let mut again = vec![];
        for second in (10..=100).step_by(10) {
            let round = rounds.due(names(&["a", "b"]), &failing, began + Duration::from_secs(second));
            if !round.hosts.is_empty() {
                again.push((second, round.hosts));
            }
        }
        let only = |second| (second, names(&["b"]));
        assert_eq!(again, [(10, names(&["a", "b"])), only(40), only(70), only(100)]);
    }

    #[test]
    fn without_a_pause_nothing_is_asked_more_often_than_told() {
        let began = Instant::now();
        let mut rounds = Rounds::new(Duration::from_secs(1), 7, began);
        assert_eq!(rounds.next(began) - began, Duration::from_millis(100));
        let none = BTreeSet::new();
        assert!(rounds.due(names(&["a"]), &none, began).all);
        for tenth in 1..9 {
            let round = rounds.due(names(&["a"]), &none, began + Duration::from_millis(tenth * 100));
            assert_eq!(round.hosts, names(&[]));
        }
    }
}
