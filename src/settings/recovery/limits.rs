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
        .optional();
    let deadline = r.seconds(G, "deadline").default(expiry).range(LONG).get();
    let disable_limit = r
        .seconds("DEFAULT", "wait_period_after_service_update")
        .default(d.disable_limit)
        .range(LONG)
        .get();
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
            .get(),
        move_deadline: r
            .seconds(G, "instance_deadline")
            .default(d.move_deadline.min(deadline))
            .range(LONG)
            .get(),
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
        .get()
}
