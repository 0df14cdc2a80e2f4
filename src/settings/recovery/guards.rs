//! Options of `[fencing]` about the guards against storms.

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::guard::{Doubts, GuardPolicy};
use tachi_domain::policy::Policy;

use super::list;

const G: &str = "fencing";

/// Range of windows, intervals and grace times; zero disables them where the help of the option allows it.
const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const SOME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Maximum length of a host name.
const LONGEST: usize = 255;

pub(super) fn guards(r: &mut Reader<'_>, d: Policy) -> Policy {
    let usual = d.guards.clone();
    let guards = GuardPolicy {
        startup_grace: r
            .seconds(G, "storm_startup_grace")
            .default(usual.startup_grace)
            .range(ANY)
            .help("how long nothing is fenced after the cluster's first start; 0: not at all").get(),
        window: r
            .seconds(G, "storm_window")
            .default(usual.window)
            .range(SOME)
            .help("what counts as lately for the global fraction and the rate").get(),
        fences: r
            .int(G, "storm_fences")
            .default(usual.fences)
            .range(0..=100_000)
            .unit("hosts").help("hosts that may be ordered off within `storm_window`; 0: any number").get(),
        process_segment_percent: r
            .int(G, "process_segment_fraction_percent")
            .default(usual.process_segment_percent)
            .range(0..=100)
            .unit("percent").help("hosts of a segment whose service may be disabled because of processes").get(),
        process_global_percent: r
            .int(G, "process_global_fraction_percent")
            .default(usual.process_global_percent)
            .range(0..=100)
            .unit("percent").help("the same of all hosts").get(),
        process_disables: r
            .int(G, "storm_process_disables")
            .default(usual.process_disables)
            .range(0..=100_000)
            .unit("hosts").help("hosts whose service may be disabled because of processes within `storm_window`; 0: any number").get(),
        cliff_percent: r
            .int(G, "storm_cliff_percent")
            .default(usual.cliff_percent)
            .range(1..=100)
            .unit("percent").help("how many heartbeats may stop within one interval; 100 lifts the guard").get(),
        cliff_interval: r
            .seconds(G, "storm_cliff_interval")
            .default(usual.cliff_interval)
            .range(Duration::from_millis(100)..=Duration::from_secs(600))
            .help("how often a nova-compute sends a heartbeat, at least: a longer interval that was learnt counts").get(),
        flap_fences: r
            .int(G, "storm_flap_fences")
            .default(usual.flap_fences)
            .range(0..=1_000)
            .unit("times").help("how often a host may be confirmed off within the flap window; 0: any number").get(),
        flap_window: r
            .seconds(G, "storm_flap_window")
            .default(usual.flap_window)
            .range(SOME)
            .help("how long ago counts for `storm_flap_fences`").get(),
        protected_hosts: list(r, G, "storm_protected_hosts", "hosts that are never ordered off without a word, with `*` and `?`", pattern_refusal),
        protected_key: r
            .string(G, "storm_protected_key")
            .default(usual.protected_key)
            .help("metadata key of aggregates whose hosts are protected too").get(),
        reporters: Doubts {
            limit: r
                .int(G, "reporter_contradictions")
                .default(usual.reporters.limit)
                .range(0..=1_000)
                .unit("claims").help("claims contradicted by Nova, about two hosts at least, after which a reporter is muted; 0: never").get(),
            window: r
                .seconds(G, "reporter_window")
                .default(usual.reporters.window)
                .range(SOME)
                .help("how long ago counts for `reporter_contradictions`").get(),
            percent: r
                .int(G, "reporter_fraction_percent")
                .default(usual.reporters.percent)
                .range(0..=100)
                .unit("percent").help("largest share of all reporters that are muted at once").get(),
        },
        domain_key: r
            .string(G, "storm_failure_domain_key")
            .default(usual.domain_key)
            .help("metadata key of aggregates that names their failure domain").get(),
        alarm_interval: r
            .seconds(G, "storm_alarm_interval")
            .default(usual.alarm_interval)
            .range(Duration::from_secs(1)..=Duration::from_secs(86_400))
            .help("how often a recovery on hold is reported again").get(),
    };
    Policy { guards, ..d }
}

/// Returns why the text is no pattern of host names.
fn pattern_refusal(word: &str) -> Option<Refusal> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.*?:".contains(letter);
    (word.len() > LONGEST || !word.chars().all(fits)).then(|| {
        Refusal::new(
            format!("{word:?} is no name of a host, with or without `*` and `?`"),
            "write names separated by commas, such as control-*, ceph-mon-?",
        )
    })
}
