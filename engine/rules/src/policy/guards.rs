//! Options of `[fencing]` about the guards against storms.

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::guard::{GuardPolicy, MutingPolicy};
use tachi_domain::policy::Policy;

use super::list;

const G: &str = "fencing";

/// Range of windows, intervals and grace times; zero disables them where the help of the option allows it.
const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(86_400);
const SOME: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(86_400);

/// Maximum length of a host name.
const MAX_NAME: usize = 255;

pub(super) fn guards(r: &mut Reader<'_>, d: Policy) -> Policy {
    let usual = d.guards.clone();
    let guards = GuardPolicy {
        startup_grace: r
            .seconds(G, "storm_startup_grace")
            .default(usual.startup_grace)
            .range(ANY)
            .help("time without fencing after the cluster's first start; 0: none").get(),
        window: r
            .seconds(G, "storm_window")
            .default(usual.window)
            .range(SOME)
            .help("window of the limits on the share of all hosts and on the rate").get(),
        fences: r
            .int(G, "storm_fences")
            .default(usual.fences)
            .range(0..=100_000)
            .unit("hosts").help("maximum number of hosts powered off within `storm_window`; 0: no limit").get(),
        process_segment_percent: r
            .int(G, "process_segment_fraction_percent")
            .default(usual.process_segment_percent)
            .range(0..=100)
            .unit("percent").help("maximum share of a segment's hosts with a service disabled because of processes").get(),
        process_global_percent: r
            .int(G, "process_global_fraction_percent")
            .default(usual.process_global_percent)
            .range(0..=100)
            .unit("percent").help("the same, of all hosts").get(),
        process_disables: r
            .int(G, "storm_process_disables")
            .default(usual.process_disables)
            .range(0..=100_000)
            .unit("hosts").help("maximum number of hosts whose service is disabled because of processes within `storm_window`; 0: no \
                limit").get(),
        cliff_percent: r
            .int(G, "storm_cliff_percent")
            .default(usual.cliff_percent)
            .range(1..=100)
            .unit("percent").help("maximum share of heartbeats that stop within one interval; 100: no guard").get(),
        cliff_interval: r
            .seconds(G, "storm_cliff_interval")
            .default(usual.cliff_interval)
            .range(Duration::from_millis(100)..=Duration::from_secs(600))
            .help("heartbeat interval of nova-compute; a longer measured interval applies").get(),
        flap_fences: r
            .int(G, "storm_flap_fences")
            .default(usual.flap_fences)
            .range(0..=1_000)
            .unit("times").help("how often a host may be confirmed off within the flap window; 0: no limit").get(),
        flap_window: r
            .seconds(G, "storm_flap_window")
            .default(usual.flap_window)
            .range(SOME)
            .help("flap window of `storm_flap_fences`").get(),
        protected_hosts: list(r, G, "storm_protected_hosts", "hosts that are powered off only with an operator's approval, with `*` and \
            `?`", pattern_refusal),
        protected_key: r
            .string(G, "storm_protected_key")
            .default(usual.protected_key)
            .help("metadata key of aggregates whose hosts are protected too").get(),
        reporters: MutingPolicy {
            limit: r
                .int(G, "reporter_contradictions")
                .default(usual.reporters.limit)
                .range(0..=1_000)
                .unit("claims").help("number of claims contradicted by Nova, about at least two hosts, after which a reporter is muted; 0: never").get(),
            window: r
                .seconds(G, "reporter_window")
                .default(usual.reporters.window)
                .range(SOME)
                .help("window of `reporter_contradictions`").get(),
            percent: r
                .int(G, "reporter_fraction_percent")
                .default(usual.reporters.percent)
                .range(0..=100)
                .unit("percent").help("maximum share of all reporters that are muted at the same time").get(),
        },
        domain_key: r
            .string(G, "storm_failure_domain_key")
            .default(usual.domain_key)
            .help("metadata key of aggregates that names their failure domain").get(),
        alarm_interval: r
            .seconds(G, "storm_alarm_interval")
            .default(usual.alarm_interval)
            .range(Duration::from_secs(1)..=Duration::from_secs(86_400))
            .help("interval of reminders about a recovery on hold").get(),
    };
    Policy { guards, ..d }
}

/// Returns why the text is not a pattern of host names.
fn pattern_refusal(pattern: &str) -> Option<Refusal> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_.*?:".contains(letter);
    (pattern.len() > MAX_NAME || !pattern.chars().all(fits)).then(|| {
        Refusal::new(
            format!("{pattern:?} is not a host name, with or without `*` and `?`"),
            "write names separated by commas, such as control-*, ceph-mon-?",
        )
    })
}
