//! Cost of a seed in laps of fixed work instead of seconds, so that CI detects a rise on any machine. A lap
//! does what seeds do most: it makes small strings and maps, copies and compares them, writes JSON and reads
//! it. Laps run between seeds on the same thread, so that other load slows both alike.

use std::collections::BTreeMap;
use std::hint::black_box;

/// Maximum cost of a seed, in laps. Measured: nine on a busy machine, eight on a quiet one.
const MAX_COST: f64 = 12.0;

/// Number of seeds per lap.
const SEEDS_PER_LAP: u64 = 10;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    seeds: u64,
    of_seeds: u64,
    laps: u64,
    of_laps: u64,
}

/// Returns this thread's processor time; `None` where Linux does not count it.
fn used() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn lap() {
    for round in 0..200_u64 {
        let names =
            |salt: u64| (0..12).map(move |at| (format!("name-{}", at * salt % 17), format!("{at} {round}")));
        let map: BTreeMap<String, String> = names(5).collect();
        let mut other = map.clone();
        other.extend(names(7));
        let text = serde_json::to_string(black_box(&other)).unwrap();
        let read: BTreeMap<String, String> = serde_json::from_str(black_box(&text)).unwrap();
        assert_eq!(black_box(read), other);
    }
}

impl Cost {
    pub(crate) fn seed<T>(&mut self, run: impl FnOnce() -> T) -> T {
        if self.seeds.is_multiple_of(SEEDS_PER_LAP) {
            let from = used();
            lap();
            self.laps += 1;
            self.of_laps += since(from);
        }
        let from = used();
        let came = run();
        self.seeds += 1;
        self.of_seeds += since(from);
        came
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.of_seeds += other.of_seeds;
        self.laps += other.laps;
        self.of_laps += other.of_laps;
    }

    /// Returns the cost of a seed in laps; `None` if it was not measured.
    fn laps_a_seed(&self) -> Option<f64> {
        let each = |nanos: u64, count: u64| (nanos > 0).then(|| small(nanos / 1_000) / small(count));
        Some(each(self.of_seeds, self.seeds)? / each(self.of_laps, self.laps)?)
    }

    pub(crate) fn line(&self) -> String {
        match self.laps_a_seed() {
            Some(laps) => format!("a seed costs {laps:.2} laps of fixed work; limit {MAX_COST}"),
            None => "the cost of a seed was not measured: no /proc/thread-self/schedstat".into(),
        }
    }

    pub(crate) fn assert_cheap(&self) {
        let laps = self.laps_a_seed();
        assert!(
            laps.is_some_and(|laps| laps <= MAX_COST),
            "{}: the simulation, the driver or the domain has become slower (docs/design/simulation.md)",
            self.line()
        );
    }
}

fn since(from: Option<u64>) -> u64 {
    used().zip(from).map_or(0, |(now, from)| now.saturating_sub(from))
}

fn small(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}
