//! Order of the tests of the hosts' devices: round-robin, all the time, so that the devices are neither read all at once
//! nor left untested for long.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Pauses;

/// Interval of the tests after a failure: a single failure may be a busy device, and a repaired one should not be reported for long.
const RETEST_DELAY: Duration = Duration::from_secs(30);

/// Minimum pause after a device has failed.
const MIN_TEST_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between two checks for due tests.
const STEP: Duration = Duration::from_secs(1);

/// Minimum limit of the hosts whose tests start in a step.
const MIN_BATCH: usize = 8;

/// Tests of a host.
#[derive(Debug, Default)]
struct TestState {
    /// Start of the last test.
    begun: Option<Instant>,
    /// End of the last test; `None` before that.
    ended: Option<Instant>,
    /// Number of its devices that are being tested.
    under_way: usize,
    /// Part of the interval that applies to this host, in percent: hosts that were registered together soon have different times.
    percent: u32,
}

/// The hosts and the state of their tests.
#[derive(Debug)]
pub(super) struct Rounds {
    pauses: Pauses,
    jitter: u64,
    turns: BTreeMap<String, TestState>,
}

impl Rounds {
    /// Creates the rounds. Engines with another `seed` test at other times.
    pub(super) fn new(pauses: Pauses, seed: u64) -> Self {
        Self {
            pauses,
            jitter: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            turns: BTreeMap::new(),
        }
    }

    /// Returns the time until the next check for due tests.
    pub(super) fn step(&self) -> Duration {
        STEP.min(self.pauses.watching / 10)
    }

    /// Returns the hosts whose tests start now, those that have waited longest first.
    pub(super) fn due(
        &mut self,
        registered: &[String],
        failing: &BTreeSet<String>,
        watching: bool,
        now: Instant,
    ) -> Vec<String> {
        let there: BTreeSet<&str> = registered.iter().map(String::as_str).collect();
        self.turns
            .retain(|host, turn| turn.under_way > 0 || there.contains(host.as_str()));
        let pause = if watching {
            self.pauses.watching
        } else {
            self.pauses.beside
        };
        let mut due: Vec<(Option<Instant>, &String)> = Vec::new();
        for host in registered {
            let Some(turn) = self.turns.get(host) else {
                due.push((None, host));
                continue;
            };
            let at = if failing.contains(host) {
                // A hanging device takes a while to fail, so the test has waited that long already.
                let again = turn.begun.map(|begun| begun + RETEST_DELAY.min(pause));
                again.max(turn.ended.map(|ended| ended + MIN_TEST_INTERVAL.min(pause)))
            } else {
                turn.ended.map(|ended| ended + pause * turn.percent / 100)
            };
            if turn.under_way == 0 && at.is_none_or(|at| at <= now) {
                due.push((at, host));
            }
        }
        due.sort();
        // Tests of all hosts can start within the interval after a failure.
        let steps = RETEST_DELAY.as_secs().max(1);
        let most = registered.len().div_ceil(usize::try_from(steps).unwrap_or(1));
        due.truncate(most.max(MIN_BATCH));
        due.into_iter().map(|(_, host)| host.clone()).collect()
    }

    /// Records that tests of `devices` devices of `host` start now.
    pub(super) fn begun(&mut self, host: &str, devices: usize, now: Instant) {
        let percent = self.percent();
        let turn = self.turns.entry(host.to_owned()).or_default();
        turn.begun = Some(now);
        turn.under_way = devices;
        turn.percent = percent;
        if devices == 0 {
            turn.ended = Some(now);
        }
    }

    /// Records the end of one of these tests.
    pub(super) fn ended(&mut self, host: &str, now: Instant) {
        if let Some(turn) = self.turns.get_mut(host) {
            turn.under_way = turn.under_way.saturating_sub(1);
            turn.ended = Some(now);
        }
    }

    /// Returns a number from 90 to 100.
    fn percent(&mut self) -> u32 {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        90 + u32::try_from(self.jitter % 11).unwrap_or(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        watching: Duration::from_secs(40),
        beside: Duration::from_secs(300),
    };

    fn names(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("c{number:04}")).collect()
    }

    /// Simulates `seconds` in which each test takes `takes` seconds; returns the start of each test, and its host.
    fn run(
        rounds: &mut Rounds,
        hosts: &[String],
        failing: &[&str],
        watching: bool,
        (seconds, takes): (u64, u64),
    ) -> Vec<(u64, String)> {
        let began = Instant::now();
        let failing = failing.iter().map(|host| (*host).to_owned()).collect();
        let (mut starts, mut open) = (Vec::new(), Vec::new());
        for second in 0..seconds {
            let now = began + Duration::from_secs(second);
            open.retain(|(end, host): &(u64, String)| {
                if *end == second {
                    rounds.ended(host, now);
                }
                *end != second
            });
            for host in rounds.due(hosts, &failing, watching, now) {
                rounds.begun(&host, 1, now);
                open.push((second + takes, host.clone()));
                starts.push((second, host));
            }
        }
        starts
    }

    fn longest_pause(begun: &[(u64, String)], host: &str) -> u64 {
        let at: Vec<u64> = begun
            .iter()
            .filter(|one| one.1 == host)
            .map(|one| one.0)
            .collect();
        at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap()
    }

    #[test]
    fn each_device_is_polled_within_the_minute_by_the_watcher_and_rarely_by_the_others() {
        for count in [1, 4, 100, 1_000] {
            let hosts = names(count);
            let begun = run(&mut Rounds::new(PAUSES, 7), &hosts, &[], true, (300, 1));
            for host in &hosts {
                let longest = longest_pause(&begun, host);
                assert!(longest <= 43, "{count} hosts: {host} after {longest} s");
            }
            let begun = run(&mut Rounds::new(PAUSES, 7), &hosts, &[], false, (600, 1));
            assert!(begun.len() <= count * 3, "{count} hosts: {}", begun.len());
        }
    }

    #[test]
    fn a_thousand_hosts_are_never_asked_at_once() {
        let begun = run(&mut Rounds::new(PAUSES, 7), &names(1_000), &[], true, (200, 1));
        for second in 0..200 {
            let count = begun.iter().filter(|one| one.0 == second).count();
            assert!(count <= 34, "{count} in second {second}");
        }
    }

    #[test]
    fn a_device_that_hangs_holds_up_nobody_and_is_not_asked_again_meanwhile() {
        let hosts = names(3);
        let mut rounds = Rounds::new(PAUSES, 7);
        let begun = rounds.due(&hosts, &BTreeSet::new(), true, Instant::now());
        assert_eq!(begun, hosts);
        for host in &begun {
            rounds.begun(host, 2, Instant::now());
        }
        for _ in 0..2 {
            rounds.ended(&hosts[0], Instant::now());
        }
        rounds.ended(&hosts[1], Instant::now());
        let later = Instant::now() + Duration::from_secs(45);
        let due = rounds.due(&hosts, &BTreeSet::new(), true, later);
        assert_eq!(due, hosts[..1], "of the second one device has not answered yet");
    }

    #[test]
    fn who_takes_over_asks_those_first_that_were_asked_longest_ago() {
        let hosts = names(20);
        let mut rounds = Rounds::new(PAUSES, 7);
        let began = Instant::now();
        for (number, host) in (0..).zip(&hosts) {
            rounds.begun(host, 1, began);
            rounds.ended(host, began + Duration::from_secs(number));
        }
        let now = began + Duration::from_secs(100);
        assert_eq!(rounds.due(&hosts, &BTreeSet::new(), false, now), names(0));
        let due = rounds.due(&hosts, &BTreeSet::new(), true, now);
        assert_eq!(due.len(), MIN_BATCH);
        assert!(due.contains(&hosts[0]) && !due.contains(&hosts[19]), "{due:?}");
    }

    #[test]
    fn what_has_failed_is_asked_again_every_half_minute_and_what_is_new_at_once() {
        let hosts = names(2);
        let mut rounds = Rounds::new(PAUSES, 7);
        let begun = run(&mut rounds, &hosts, &["c0002", "gone"], false, (100, 1));
        assert_eq!(longest_pause(&begun, "c0002"), 30);
        let due = rounds.due(&names(3), &BTreeSet::new(), false, Instant::now());
        assert!(due.contains(&"c0003".to_owned()), "{due:?}");
    }

    #[test]
    fn a_device_that_hangs_is_asked_again_soon_after_its_time_is_over() {
        let hosts = names(1);
        let mut rounds = Rounds::new(PAUSES, 7);
        let begun = run(&mut rounds, &hosts, &["c0001"], true, (300, 75));
        assert_eq!(longest_pause(&begun, "c0001"), 75 + MIN_TEST_INTERVAL.as_secs());
    }

    #[test]
    fn a_number_that_was_set_is_kept() {
        let every = Duration::from_secs(1_800);
        let pauses = Pauses {
            watching: every,
            beside: every,
        };
        for watching in [true, false] {
            let begun = run(&mut Rounds::new(pauses, 7), &names(1), &[], watching, (3_700, 1));
            assert_eq!(begun.len(), 3, "{begun:?}");
        }
        let short = Pauses {
            watching: Duration::from_secs(1),
            beside: Duration::from_secs(1),
        };
        assert_eq!(Rounds::new(short, 7).step(), Duration::from_millis(100));
    }
}
