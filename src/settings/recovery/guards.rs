//! The part of `[fencing]` that is about the guards against storms.

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::guard::{Doubts, GuardPolicy};
use tachi_domain::policy::Policy;

const G: &str = "fencing";

/// Windows, intervals and graces; zero lifts what it belongs to where that is said.
const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const SOME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// The longest name of a host.
const LONGEST: usize = 255;

pub(super) fn guards(r: &mut Reader<'_>, d: Policy) -> Policy {
    let usual = d.guards.clone();
    let guards = GuardPolicy {
        startup_grace: r
            .seconds(G, "storm_startup_grace")
            .default(usual.startup_grace)
            .range(ANY)
            .get(),
        window: r
            .seconds(G, "storm_window")
            .default(usual.window)
            .range(SOME)
            .get(),
        fences: r
            .int(G, "storm_fences")
            .default(usual.fences)
            .range(0..=100_000)
            .get(),
        process_segment_percent: r
            .int(G, "process_segment_fraction_percent")
            .default(usual.process_segment_percent)
            .range(0..=100)
            .get(),
        process_global_percent: r
            .int(G, "process_global_fraction_percent")
            .default(usual.process_global_percent)
            .range(0..=100)
            .get(),
        process_disables: r
            .int(G, "storm_process_disables")
            .default(usual.process_disables)
            .range(0..=100_000)
            .get(),
        cliff_percent: r
            .int(G, "storm_cliff_percent")
            .default(usual.cliff_percent)
            .range(1..=100)
            .get(),
        cliff_interval: r
            .seconds(G, "storm_cliff_interval")
            .default(usual.cliff_interval)
            .range(Duration::from_millis(100)..=Duration::from_secs(600))
            .get(),
        flap_fences: r
            .int(G, "storm_flap_fences")
            .default(usual.flap_fences)
            .range(0..=1_000)
            .get(),
        flap_window: r
            .seconds(G, "storm_flap_window")
            .default(usual.flap_window)
            .range(SOME)
            .get(),
        protected_hosts: words(r, "storm_protected_hosts"),
        protected_key: r
            .string(G, "storm_protected_key")
            .default(usual.protected_key)
            .get(),
        reporters: Doubts {
            limit: r
                .int(G, "reporter_contradictions")
                .default(usual.reporters.limit)
                .range(0..=1_000)
                .get(),
            window: r
                .seconds(G, "reporter_window")
                .default(usual.reporters.window)
                .range(SOME)
                .get(),
            percent: r
                .int(G, "reporter_fraction_percent")
                .default(usual.reporters.percent)
                .range(0..=100)
                .get(),
        },
        domain_key: r
            .string(G, "storm_failure_domain_key")
            .default(usual.domain_key)
            .get(),
        alarm_interval: r
            .seconds(G, "storm_alarm_interval")
            .default(usual.alarm_interval)
            .range(Duration::from_secs(1)..=Duration::from_secs(86_400))
            .get(),
    };
    Policy { guards, ..d }
}

/// Host names with `*` and `?`, separated by commas.
fn words(r: &mut Reader<'_>, option: &'static str) -> Vec<String> {
    r.parsed(
        G,
        option,
        |text: &str| {
            let words: Vec<String> = text
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect();
            match words.iter().find(|word| !is_pattern(word)) {
                None => Ok(words),
                Some(word) => Err(Refusal::new(
                    format!("{word:?} is no name of a host, with or without `*` and `?`"),
                    "write names separated by commas, such as control-*, ceph-mon-?",
                )),
            }
        },
        |words: &Vec<String>| words.join(","),
    )
    .optional()
    .unwrap_or_default()
}

fn is_pattern(word: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.*?:".contains(letter);
    word.len() <= LONGEST && word.chars().all(fits)
}
