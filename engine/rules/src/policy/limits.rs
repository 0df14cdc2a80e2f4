//! Timeouts of steps: for a report, for giving up, and for the next check.
//!
//! Masakari's fixed waits are upper bounds here: no step waits for their end, and no step that makes progress fails by one.

use std::time::Duration;

use tachi_config::{MasakariSeconds, Reader, Refusal};
use tachi_domain::policy::{BareNormal, Policy};

use super::TIMEOUT_RANGE;

const G: &str = "recovery";

pub(super) fn limits(r: &mut Reader<'_>, d: Policy) -> Policy {
    let expiry = expiry(r);
    let evacuation = MasakariSeconds {
        section: "DEFAULT",
        option: "wait_period_after_evacuation",
        help: "see `progress_timeout`; Masakari's limit of 90 s for an evacuation does not apply. 0 or less: not set",
        instead: "[recovery] progress_timeout applies",
    }
    .read_if_set(r);
    let deadline = r.seconds(G, "deadline").default(expiry).range(TIMEOUT_RANGE).help("after this time a recovery requests nothing more, \
        and follows what Nova works on to its end. Time that an operator takes does not count. Unless set it is \
        `notifications_expired_interval`").get();
    let disable_limit = MasakariSeconds {
        section: "DEFAULT",
        option: "wait_period_after_service_update",
        instead: "the timeout would end before Nova could answer: the default applies",
        help: "timeout for Nova to show a service disabled after it has accepted the change (process failures). In mode `external` also \
            how long the heartbeat of a host must stand still before NORMAL without evidence counts; otherwise a host \
            recovery does not wait at all. 0 or less: the default",
    }
    .read(r, d.disable_limit)
    .unwrap_or(d.disable_limit);
    let usual = d.move_deadline.min(deadline);
    let policy = Policy {
        disable_limit,
        bare_normal: match d.bare_normal {
            BareNormal::Wait(_) => BareNormal::Wait(disable_limit),
            BareNormal::Refuse => BareNormal::Refuse,
        },
        slow_after: r
            .seconds(G, "progress_timeout")
            .default(evacuation.unwrap_or(d.slow_after))
            .range(TIMEOUT_RANGE)
            .help("after this long without progress an evacuation is reported as slow, and continues. Unless set it is \
                `wait_period_after_evacuation`").get(),
        move_deadline: r
            .seconds(G, "instance_deadline")
            .default(usual)
            .range(TIMEOUT_RANGE)
            .help("how long calls about an instance may keep failing before it needs an operator").get(),
        deadline,
        ..d
    };
    // `config show` prints a value for an option that is not set, and that value must be valid in a file.
    if policy.move_deadline == usual {
        return policy;
    }
    if policy.move_deadline > policy.deadline {
        let why = "is longer than the recovery's own deadline";
        r.refuse(
            G,
            "instance_deadline",
            Refusal::new(why, "write at most [recovery] deadline"),
        );
    }
    let min_deadline = policy.absence_counts_after();
    if policy.move_deadline < min_deadline {
        let why = format!(
            "ends before a call without an answer can no longer take effect, {} s by call_deadline and proxy_hold",
            min_deadline.as_secs()
        );
        r.refuse(G, "instance_deadline", Refusal::new(why, "write a longer one"));
    }
    policy
}

/// Reads `notifications_expired_interval`.
pub fn expiry(r: &mut Reader<'_>) -> Duration {
    let usual = Duration::from_secs(86_400);
    let span = MasakariSeconds {
        section: "DEFAULT",
        option: "notifications_expired_interval",
        help: "maximum age of notifications that Masakari left open and that are still started; see `deadline`. 0 or less: the default",
        instead: "every notification would be too old to start: the default applies",
    };
    span.read(r, usual).unwrap_or(usual)
}
