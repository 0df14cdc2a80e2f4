//! How long something may go on before it is said, given up, or looked for again.
//!
//! Masakari's fixed waits are upper bounds here: nothing waits for their end, and nothing that makes progress fails by one.

use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::policy::{BareNormal, Policy};

use super::LONG;

const G: &str = "recovery";

pub(super) fn limits(r: &mut Reader<'_>, d: Policy) -> Policy {
    let expiry = expiry(r);
    let evacuation = r
        .seconds("DEFAULT", "wait_period_after_evacuation")
        .range(LONG)
        .help("see `progress_timeout`; Masakari's limit of 90 s for an evacuation is none here")
        .optional();
    let deadline = r.seconds(G, "deadline").default(expiry).range(LONG).help("after this long a recovery asks for nothing more; what Nova works on is followed to its end. Time that an operator takes does not count. Unless set it is `notifications_expired_interval`").get();
    let disable_limit = r
        .seconds("DEFAULT", "wait_period_after_service_update")
        .default(d.disable_limit)
        .range(LONG)
        .help("how long Nova may go on showing a service enabled after it has accepted to disable it (process failures). In mode `external` also how long the heartbeat of a host must stand still before NORMAL without evidence counts; otherwise a host recovery does not wait at all").get();
    let policy = Policy {
        disable_limit,
        bare_normal: match d.bare_normal {
            BareNormal::Wait(_) => BareNormal::Wait(disable_limit),
            BareNormal::Refuse => BareNormal::Refuse,
        },
        slow_after: r
            .seconds(G, "progress_timeout")
            .default(evacuation.unwrap_or(d.slow_after))
            .range(LONG)
            .help("after this long without progress an evacuation is said to be slow, and goes on. Unless set it is `wait_period_after_evacuation`").get(),
        move_deadline: r
            .seconds(G, "instance_deadline")
            .default(d.move_deadline.min(deadline))
            .range(LONG)
            .help("how long calls about an instance may go on failing before it is left to a person").get(),
        deadline,
        ..d
    };
    if !r.is_set(G, "instance_deadline") {
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
    let settled = policy.absence_counts_after();
    if policy.move_deadline < settled {
        let why = format!(
            "is over before it is known what came of a call without an answer, {} s by call_deadline and proxy_hold",
            settled.as_secs()
        );
        r.refuse(G, "instance_deadline", Refusal::new(why, "write a longer one"));
    }
    policy
}

/// `notifications_expired_interval`.
pub(in crate::settings) fn expiry(r: &mut Reader<'_>) -> Duration {
    r.seconds("DEFAULT", "notifications_expired_interval")
        .default(Duration::from_secs(86_400))
        .help("what Masakari left open for longer is not begun any more; see `deadline`")
        .get()
}
