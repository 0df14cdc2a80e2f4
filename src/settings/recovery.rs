//! `[host_failure]`, `[instance_failure]`, `[process_failure]`, `[fencing]` and `[recovery]`: the rules of recoveries.

mod guards;
mod instances;
mod limits;
mod reserve;

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::Reader;
use tachi_domain::policy::{BareNormal, FencingMode, Policy};

pub(super) use limits::expiry;

/// Waits that are part of one step.
const SHORT: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(600);

/// Waits for something outside.
const LONG: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(86_400);

/// Reads the rules. `has_device`: a power controller is configured, which makes `engine` the default mode (R15).
pub(super) fn policy(r: &mut Reader<'_>, has_device: bool) -> Policy {
    let policy = failures(r, Policy::default());
    let policy = reserve::reserve(r, policy);
    let policy = fencing(r, has_device, policy);
    let policy = guards::guards(r, policy);
    let policy = pace(r, policy);
    let policy = instances::instances(r, policy);
    limits::limits(r, policy)
}

/// Which instances, and what people are told.
fn failures(r: &mut Reader<'_>, d: Policy) -> Policy {
    const HOST: &str = "host_failure";
    const INSTANCE: &str = "instance_failure";
    Policy {
        ha_key: r
            .string(HOST, "ha_enabled_instance_metadata_key")
            .default(d.ha_key)
            .get(),
        evacuate_all: r
            .bool(HOST, "evacuate_all_instances")
            .default(d.evacuate_all)
            .get(),
        ignore_error_state: r
            .bool(HOST, "ignore_instances_in_error_state")
            .default(d.ignore_error_state)
            .get(),
        evacuate_image_backed: r
            .bool(HOST, "evacuate_image_backed_on_local_disk")
            .default(d.evacuate_image_backed)
            .get(),
        host_disable_reason: r
            .string(HOST, "service_disable_reason")
            .default(d.host_disable_reason)
            .get(),
        instance_ha_key: r
            .string(INSTANCE, "ha_enabled_instance_metadata_key")
            .default(d.instance_ha_key)
            .get(),
        process_all_instances: r
            .bool(INSTANCE, "process_all_instances")
            .default(d.process_all_instances)
            .get(),
        process_disable_reason: r
            .string("process_failure", "service_disable_reason")
            .default(d.process_disable_reason)
            .get(),
        ..d
    }
}

/// How a host is proven off.
fn fencing(r: &mut Reader<'_>, has_device: bool, d: Policy) -> Policy {
    const G: &str = "fencing";
    let default = if has_device { "engine" } else { "external" };
    let mode = r
        .choice(G, "mode", &["engine", "external", "dry-run"])
        .default(default)
        .get();
    let power_on = r
        .choice(G, "after_recovery", &["leave_off", "power_on"])
        .default("leave_off")
        .get();
    // A file that Masakari could run does not say: what it has relied on goes on, as late as Masakari was.
    let refuses = r
        .choice(G, "normal_without_evidence", &["wait", "refuse"])
        .default("wait")
        .get()
        == "refuse";
    Policy {
        bare_normal: if refuses {
            BareNormal::Refuse
        } else {
            d.bare_normal
        },
        fencing: match mode {
            "engine" => FencingMode::Engine,
            "dry-run" => FencingMode::DryRun,
            _ => FencingMode::External,
        },
        fencing_stopped: !r.bool(G, "enabled").default(true).get(),
        power_on_after_recovery: power_on == "power_on",
        power_on_delay: r
            .seconds(G, "power_on_delay")
            .default(d.power_on_delay)
            .range(LONG)
            .get(),
        episode_deadline: r
            .seconds(G, "episode_deadline")
            .default(d.episode_deadline)
            .range(LONG)
            .get(),
        fence_retry: r
            .seconds(G, "retry_interval")
            .default(d.fence_retry)
            .range(LONG)
            .get(),
        power_off_limit: r
            .seconds(G, "power_off_limit")
            .default(d.power_off_limit)
            .range(LONG)
            .get(),
        power_poll: r
            .seconds(G, "power_poll_interval")
            .default(d.power_poll)
            .range(SHORT)
            .get(),
        power_confirm: r
            .seconds(G, "power_confirm_interval")
            .default(d.power_confirm)
            .range(SHORT)
            .get(),
        proof_age: r
            .seconds(G, "proof_max_age")
            .default(d.proof_age)
            .range(Duration::from_secs(2)..=Duration::from_secs(30))
            .get(),
        heartbeat_stale_is_set: r.is_set(G, "heartbeat_stale_after"),
        heartbeat_stale: r
            .seconds(G, "heartbeat_stale_after")
            .default(d.heartbeat_stale)
            .range(Duration::from_secs(1)..=Duration::from_secs(3600))
            .get(),
        segment_percent: r
            .int(G, "segment_fraction_percent")
            .default(d.segment_percent)
            .range(0..=100)
            .get(),
        global_percent: r
            .int(G, "global_fraction_percent")
            .default(d.global_percent)
            .range(0..=100)
            .get(),
        ..d
    }
}

/// How many at once, how often, how long. Masakari's own options count if somebody has set them.
fn pace(r: &mut Reader<'_>, d: Policy) -> Policy {
    const G: &str = "recovery";
    let threads: Option<u32> = r
        .int("DEFAULT", "host_failure_recovery_threads")
        .range(1..=10_000)
        .optional();
    let verify = r.seconds("DEFAULT", "verify_interval").range(SHORT).optional();
    Policy {
        in_flight: r
            .int(G, "evacuations_in_flight")
            .default(threads.unwrap_or(d.in_flight))
            .range(1..=10_000)
            .get(),
        queued: r
            .int(G, "evacuations_queued")
            .default(d.queued)
            .range(1..=10_000)
            .get(),
        attempts: r
            .int(G, "evacuation_attempts")
            .default(d.attempts)
            .range(1..=100)
            .get(),
        retry_for: r
            .seconds(G, "evacuation_retry_time")
            .default(d.retry_for)
            .range(Duration::ZERO..=Duration::from_secs(86_400))
            .get(),
        tick: r
            .seconds(G, "tick_interval")
            .default(verify.unwrap_or(d.tick))
            .range(SHORT)
            .get(),
        call_deadline: r
            .seconds(G, "call_deadline")
            .default(d.call_deadline)
            .range(SHORT)
            .get(),
        proxy_hold: r
            .seconds(G, "proxy_hold")
            .default(d.proxy_hold)
            .range(SHORT)
            .get(),
        heartbeat_poll: r
            .seconds(G, "heartbeat_poll_interval")
            .default(d.heartbeat_poll)
            .range(SHORT)
            .get(),
        conductors_up: r
            .seconds(G, "conductors_up_for")
            .default(d.conductors_up)
            .range(LONG)
            .get(),
        stop_limit: r
            .seconds("DEFAULT", "wait_period_after_power_off")
            .default(d.stop_limit)
            .range(LONG)
            .get(),
        start_limit: r
            .seconds("DEFAULT", "wait_period_after_power_on")
            .default(d.start_limit)
            .range(LONG)
            .get(),
        ..d
    }
}

#[cfg(test)]
mod tests;
