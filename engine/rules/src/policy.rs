//! `[host_failure]`, `[instance_failure]`, `[process_failure]`, `[fencing]` and `[recovery]`: the rules of recoveries.

mod guards;
mod instances;
mod limits;
mod reserve;

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::{MasakariSeconds, Reader, Refusal};
use tachi_domain::policy::{BareNormal, FencingMode, Policy};

pub use limits::expiry;

/// Range of waits that are part of one step.
const SHORT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);

/// Range of waits for something external.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);

/// Reads the rules. `has_device` is true if a power controller is configured, which makes `engine` the default mode.
pub fn policy(r: &mut Reader<'_>, has_device: bool) -> Policy {
    let policy = failures(r, Policy::default());
    let policy = reserve::reserve(r, policy);
    let policy = fencing(r, has_device, policy);
    let policy = guards::guards(r, policy);
    let policy = pace(r, policy);
    let policy = instances::instances(r, policy);
    limits::limits(r, policy)
}

/// Reads the rules about which instances and processes are recovered, and the reasons shown on disabled services.
fn failures(r: &mut Reader<'_>, d: Policy) -> Policy {
    const HOST: &str = "host_failure";
    const INSTANCE: &str = "instance_failure";
    Policy {
        ha_key: r
            .string(HOST, "ha_enabled_instance_metadata_key")
            .default(d.ha_key)
            .help("metadata key; a true value marks instances that are recovered first").get(),
        evacuate_all: r
            .bool(HOST, "evacuate_all_instances")
            .default(d.evacuate_all)
            .help("evacuates instances without the mark too, after the others").get(),
        ignore_error_state: r
            .bool(HOST, "ignore_instances_in_error_state")
            .default(d.ignore_error_state)
            .help("excludes instances in `error`").get(),
        evacuate_image_backed: r
            .bool(HOST, "evacuate_image_backed_on_local_disk")
            .default(d.evacuate_image_backed)
            .help("evacuates instances that do not boot from a volume; their local disk is discarded unless hosts share it").get(),
        host_disable_reason: r
            .string(HOST, "service_disable_reason")
            .default(d.host_disable_reason)
            .help("reason on the disabled service; the recovery's mark is appended").get(),
        instance_ha_key: r
            .string(INSTANCE, "ha_enabled_instance_metadata_key")
            .default(d.instance_ha_key)
            .help("metadata key; with a true value an instance that fails is restarted").get(),
        process_all_instances: r
            .bool(INSTANCE, "process_all_instances")
            .default(d.process_all_instances)
            .help("restarts failed instances without the mark too").get(),
        process_disable_reason: r
            .string("process_failure", "service_disable_reason")
            .default(d.process_disable_reason)
            .help("reason on the service of a host one of whose processes failed").get(),
        non_essential_processes: list(
            r,
            "process_failure",
            "non_essential_processes",
            "processes whose failure leaves the host in use; the names of `process_list.yaml`",
            |_| None,
        ),
        ..d
    }
}

/// Reads a list whose entries are separated by commas. Empty entries are left out.
fn list(
    r: &mut Reader<'_>,
    section: &'static str,
    option: &'static str,
    help: &'static str,
    refusal: fn(&str) -> Option<Refusal>,
) -> Vec<String> {
    r.parsed(
        section,
        option,
        move |text: &str| {
            let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
            entries
                .map(|entry| refusal(entry).map_or_else(|| Ok(entry.to_owned()), Err))
                .collect()
        },
        |entries: &Vec<String>| entries.join(","),
    )
    .unit("list")
    .help(help)
    .optional()
    .unwrap_or_default()
}

/// Reads the rules for confirming a host off.
fn fencing(r: &mut Reader<'_>, has_device: bool, d: Policy) -> Policy {
    const G: &str = "fencing";
    let default = if has_device { "engine" } else { "external" };
    let mode = r
        .choice(G, "mode", &["engine", "external", "dry-run"])
        .default(default)
        .varies("engine with a device, else external")
        .help("what confirms a host off: the engine's fence devices, an external system, or nothing, for a trial \
            ([fencing.md](../fencing.md)). `engine` if a device is configured").get();
    let power_on = r
        .choice(G, "after_recovery", &["leave_off", "power_on"])
        .default("leave_off")
        .help("power of a host that was powered off, after its recovery")
        .get();
    Policy {
        bare_normal: bare_normal(r, d.bare_normal),
        fencing: match mode {
            "engine" => FencingMode::Engine,
            "dry-run" => FencingMode::DryRun,
            _ => FencingMode::External,
        },
        fencing_stopped: !r
            .bool(G, "enabled")
            .default(true)
            .help("`false` and SIGHUP stop all fencing: recoveries are on hold")
            .get(),
        power_on_after_recovery: power_on == "power_on",
        power_on_delay: r
            .seconds(G, "power_on_delay")
            .default(d.power_on_delay)
            .range(TIMEOUT_RANGE)
            .help("how long a host stays off before it is powered on, with `after_recovery = power_on`")
            .get(),
        episode_deadline: r
            .seconds(G, "episode_deadline")
            .default(d.episode_deadline)
            .range(TIMEOUT_RANGE)
            .help("timeout of all levels of a host together; no further level is started after it")
            .get(),
        fence_retry: r
            .seconds(G, "retry_interval")
            .default(d.fence_retry)
            .range(TIMEOUT_RANGE)
            .help("pause before the levels are retried")
            .get(),
        power_off_limit: r
            .seconds(G, "power_off_limit")
            .default(d.power_off_limit)
            .range(TIMEOUT_RANGE)
            .help("timeout for a machine to be off after the power-off command")
            .get(),
        power_poll: r
            .seconds(G, "power_poll_interval")
            .default(d.power_poll)
            .range(SHORT)
            .help("interval of power readings after a power-off command")
            .get(),
        power_confirm: r
            .seconds(G, "power_confirm_interval")
            .default(d.power_confirm)
            .range(SHORT)
            .help("interval between the two readings \"off\" that confirm a host off")
            .get(),
        proof_age: r
            .seconds(G, "proof_max_age")
            .default(d.proof_age)
            .range(Duration::from_secs(2)..=Duration::from_secs(30))
            .help("maximum age of a reading \"off\" at the start of an evacuation")
            .get(),
        heartbeat_stale_is_set: r.is_set(G, "heartbeat_stale_after"),
        heartbeat_stale: r
            .seconds(G, "heartbeat_stale_after")
            .default(d.heartbeat_stale)
            .range(Duration::from_secs(1)..=Duration::from_secs(3600))
            .help("heartbeat age at which a host counts as silent in Nova; measured from its interval unless set")
            .get(),
        segment_percent: r
            .int(G, "segment_fraction_percent")
            .default(d.segment_percent)
            .range(0..=100)
            .unit("percent")
            .help("maximum share of a segment's hosts that are out at the same time")
            .get(),
        global_percent: r
            .int(G, "global_fraction_percent")
            .default(d.global_percent)
            .range(0..=100)
            .unit("percent")
            .help("maximum share of all hosts that fail within the window")
            .get(),
        ..d
    }
}

fn bare_normal(r: &mut Reader<'_>, usual: BareNormal) -> BareNormal {
    // Files for Masakari do not contain this option: what they relied on keeps working, after the same wait as Masakari's.
    let value = r
        .choice("fencing", "normal_without_evidence", &["wait", "refuse"])
        .default("wait")
        .help("mode `external`, for a report without evidence that a host is off: accepts it after Masakari's wait, or refuses it \
            ([evidence.md](evidence.md))").get();
    if value == "refuse" {
        BareNormal::Refuse
    } else {
        usual
    }
}

/// Reads limits of concurrency, intervals and timeouts. Masakari's own options count if they are set.
fn pace(r: &mut Reader<'_>, d: Policy) -> Policy {
    const G: &str = "recovery";
    let threads: Option<u32> = r
        .int("DEFAULT", "host_failure_recovery_threads")
        .range(1..=10_000)
        .unit("instances")
        .help("see `evacuations_in_flight`")
        .optional();
    let verify = MasakariSeconds {
        section: "DEFAULT",
        option: "verify_interval",
        help: "see `tick_interval`. 0 or less: not set",
        instead: "Nova would be polled without a pause: [recovery] tick_interval applies",
    }
    .read_if_set(r)
    .map(|pause| pause.clamp(*SHORT.start(), *SHORT.end()));
    let limit = |option, help| MasakariSeconds {
        section: "DEFAULT",
        option,
        help,
        instead: "the timeout would end before Nova could answer: the default applies",
    };
    Policy {
        in_flight: r
            .int(G, "evacuations_in_flight")
            .default(threads.unwrap_or(d.in_flight))
            .range(1..=10_000)
            .unit("instances").help("evacuations under way: the start of the window, and its upper limit if it is not the default \
                ([pace.md](../design/pace.md)). Unless set it is `host_failure_recovery_threads`").get(),
        queued: r
            .int(G, "evacuations_queued")
            .default(d.queued)
            .range(1..=10_000)
            .unit("instances").help("evacuations that Nova has accepted and no destination has taken up: the start of the window, and its \
                upper limit if it is not the default ([pace.md](../design/pace.md))").get(),
        attempts: r
            .int(G, "evacuation_attempts")
            .default(d.attempts)
            .range(1..=100)
            .unit("times").help("maximum number of failed or refused evacuations of an instance. An unreachable Nova, and a service still \
                in use, do not count").get(),
        retry_for: r
            .seconds(G, "evacuation_retry_time")
            .default(d.retry_for)
            .range(Duration::ZERO..=Duration::from_secs(86_400))
            .help("where Nova's scheduler chooses the host, an instance is not given up sooner than this after its first failure, however \
                many attempts that takes (with pauses up to 30 s): while Nova's broker comes back, its scheduler sees no host at all. \
                Wherever the host comes from, the same counts for what Nova refuses (400, 403, 409): an API server whose database lags \
                behind refuses what it takes some seconds later. 0: after `evacuation_attempts`").get(),
        tick: r
            .seconds(G, "tick_interval")
            .default(verify.unwrap_or(d.tick))
            .range(SHORT)
            .help("interval of polls of Nova's lists. Unless set it is `verify_interval`").get(),
        call_deadline: r
            .seconds(G, "call_deadline")
            .default(d.call_deadline)
            .range(SHORT)
            .help("timeout of a call to Nova, with a new token and a repetition included").get(),
        proxy_hold: r
            .seconds(G, "proxy_hold")
            .default(d.proxy_hold)
            .range(SHORT)
            .help("how long a proxy may hold a request after its caller has gone; this and `call_deadline` limit how long a call without \
                an answer may still take effect").get(),
        heartbeat_poll: r
            .seconds(G, "heartbeat_poll_interval")
            .default(d.heartbeat_poll)
            .range(SHORT)
            .help("interval of polls of the host's service").get(),
        conductors_up: r
            .seconds(G, "conductors_up_for")
            .default(d.conductors_up)
            .range(TIMEOUT_RANGE)
            .help("how long every nova-conductor must be up before an evacuation that no host picked up is requested again").get(),
        nova_long_rpc_timeout: r
            .seconds(G, "nova_long_rpc_timeout")
            .default(d.nova_long_rpc_timeout)
            .range(TIMEOUT_RANGE)
            .help("how long an instance is watched that Nova was moving to a host when the host failed. Not below Nova's \
                `long_rpc_timeout`").get(),
        stop_limit: limit(
            "wait_period_after_power_off",
            "timeout for an instance to stop, or to return to its earlier state. 0 or less: the default",
        )
        .read(r, d.stop_limit)
        .unwrap_or(d.stop_limit),
        start_limit: limit(
            "wait_period_after_power_on",
            "timeout for an instance to become active. 0 or less: the default",
        )
        .read(r, d.start_limit)
        .unwrap_or(d.start_limit),
        ..d
    }
}
