//! Runs many seeds on all cores, or one seed with a log.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::mishap::{Mishap, Mishaps};
use crate::speed::Cost;
use crate::world::{Stats, World};

pub(crate) fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs one seed and prints its events.
pub(crate) fn replay(seed: u64) {
    let mut world = World::new(seed, true);
    world.run();
    for line in world.log.as_deref().unwrap_or_default() {
        println!("{line}");
    }
    for line in world.last_messages() {
        println!("{line}");
    }
    println!("faults in seed {seed}: {}", world.mishaps.line());
    assert_eq!(world.violation, None, "SIM_SEED={seed}");
}

/// Returns the processor time of this process on all cores, to 10 ms. Unlike elapsed time, it does not depend
/// on other load.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The program's name is in brackets and may hold any text; user and system time are fields 12 and 13 after
    // it.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u64>().ok());
    let hundredths = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(hundredths * 10)
}

/// The results of many seeds.
#[derive(Default)]
pub(crate) struct Sum {
    seeds: u64,
    took: Duration,
    threads: u64,
    stats: Stats,
    mishaps: Mishaps,
    /// Number of seeds with each fault.
    seeds_with: Mishaps,
    /// Calls that R4 could not prevent, their seeds, and the seeds with a violation after one.
    slips: (u64, u64, u64),
    /// Calls from a returning host's queue that made an instance run twice or could have.
    queue_runs: u64,
    /// Instances evacuated from a running host on a control node's bare NORMAL.
    trusted_normals: u64,
    broken: Vec<(u64, String, String)>,
    cost: Cost,
    /// Per seed: digests of its result and of all its events.
    digests: Vec<(u64, [u64; 2])>,
}

fn digest(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Runs `count` seeds from `from` on, and the `regression_seeds` ones. Stops at the first violation unless it is a
/// survey.
pub(crate) fn run_all(from: u64, count: u64, always: &[u64]) -> Sum {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = number("SIM_THREADS")
        .unwrap_or(u64::try_from(cores).unwrap())
        .max(1);
    let survey = std::env::var_os("SIM_SURVEY").is_some();
    let digests = std::env::var_os("SIM_DIGEST");
    let began = Instant::now();
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let sum = Mutex::new(Sum::default());
    let old = u64::try_from(always.len()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Sum::default();
                while !stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count + old {
                        break;
                    }
                    let seed = match usize::try_from(index) {
                        Ok(place) if place < always.len() => always[place],
                        _ => from + index - old,
                    };
                    if !mine.run(seed, digests.is_some()) && !survey {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                sum.lock().unwrap().add(mine);
            });
        }
    });
    let mut sum = sum.into_inner().unwrap();
    sum.took = began.elapsed();
    sum.threads = threads;
    sum.broken.sort();
    sum.digests.sort_unstable();
    if let Some(path) = digests {
        let line =
            |(seed, [outcome, story]): &(u64, [u64; 2])| format!("{seed} {outcome:016x} {story:016x}\n");
        let text: String = sum.digests.iter().map(line).collect();
        std::fs::write(path, text).unwrap();
    }
    sum
}

impl Sum {
    /// Runs one seed. Returns true if there was no violation.
    fn run(&mut self, seed: u64, digests: bool) -> bool {
        let world = self.cost.seed(|| {
            let mut world = World::new(seed, digests);
            world.run();
            world
        });
        if digests {
            let digests = [digest(world.outcome()), digest(&world.log)];
            self.digests.push((seed, digests));
        }
        self.seeds += 1;
        self.stats.add(&world.stats);
        self.mishaps.add(&world.mishaps);
        for what in Mishap::ALL {
            if world.mishaps.count(*what) > 0 {
                self.seeds_with.happened(*what);
            }
        }
        self.slips.0 += world.slips;
        self.slips.1 += u64::from(world.slips > 0);
        self.slips.2 += u64::from(world.slip_harm.is_some());
        self.queue_runs += u64::try_from(world.slipped.len()).unwrap();
        self.trusted_normals += u64::try_from(world.report_ledger.trusted_normals.len()).unwrap();
        let fine = world.violation.is_none();
        if let Some(what) = world.violation {
            self.broken.push((seed, what, world.mishaps.line()));
        }
        fine
    }

    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.stats.add(&other.stats);
        self.mishaps.add(&other.mishaps);
        self.seeds_with.add(&other.seeds_with);
        self.slips.0 += other.slips.0;
        self.slips.1 += other.slips.1;
        self.slips.2 += other.slips.2;
        self.queue_runs += other.queue_runs;
        self.trusted_normals += other.trusted_normals;
        self.broken.extend(other.broken);
        self.cost.add(other.cost);
        self.digests.extend(other.digests);
    }

    pub(crate) fn print(&self) {
        let mut text = String::new();
        for (seed, what, mishaps) in &self.broken {
            let _ = writeln!(
                text,
                "SIM_SEED={seed} cargo test --workspace --test simulation -- --nocapture   # {what}"
            );
            let _ = writeln!(text, "    faults: {mishaps}");
        }
        let _ = writeln!(text, "{:>9} {:>9} {:>9}  fault", "times", "seeds", "of 1,000");
        for what in Mishap::ALL {
            let (times, seeds) = (self.mishaps.count(*what), self.seeds_with.count(*what));
            let share = self.share(*what);
            let _ = write!(text, "{times:>9} {seeds:>9} {share:>9}  {}", what.text());
            let least = what.least();
            let _ = writeln!(
                text,
                "{}",
                if least > 0 {
                    format!(" (at least {least})")
                } else {
                    String::new()
                }
            );
        }
        let rate = u128::from(self.seeds) * 1_000 / processor_time().as_millis().max(1);
        let _ = writeln!(text, "{:?}", self.stats);
        let (calls, seeds, harmed) = self.slips;
        let _ = writeln!(
            text,
            "known limits: {calls} calls of engines stopped after their last check in {seeds} seeds, {harmed} of them with harm; \
             {} instances started by a returning host's queue; {} evacuated from a running host on a control node's bare \
             NORMAL after three minutes of silence",
            self.queue_runs, self.trusted_normals
        );
        let _ = writeln!(
            text,
            "{} seeds in {:.1?} on {} threads, {rate} per second of processor time; {} violations",
            self.seeds,
            self.took,
            self.threads,
            self.broken.len()
        );
        let _ = writeln!(text, "{}", self.cost.line());
        print!("{text}");
    }

    /// Returns the number of seeds per 1,000 with the fault.
    fn share(&self, what: Mishap) -> u64 {
        self.seeds_with.count(what) * 1_000 / self.seeds.max(1)
    }

    /// Asserts that there was no violation and that every fault happened at least once.
    pub(crate) fn assert_enough(&self) {
        if let Some((seed, what, _)) = self.broken.first() {
            panic!("SIM_SEED={seed}: {what}");
        }
        if self.seeds < 1_000 {
            return;
        }
        if self.digests.is_empty() {
            self.cost.assert_cheap();
        }
        for (what, count) in self.stats.named() {
            assert!(
                count > 0,
                "no {what} in {} seeds: they remain untested",
                self.seeds
            );
        }
        for what in Mishap::ALL
            .iter()
            .filter(|what| crate::faults::can_happen(**what))
        {
            let name = what.text();
            assert!(
                self.mishaps.count(*what) > 0,
                "{name}: did not happen in {} seeds",
                self.seeds
            );
            let (share, least) = (self.share(*what), what.least());
            assert!(
                share >= least,
                "{name}: in {share} of 1,000 seeds, minimum {least}"
            );
        }
    }
}
