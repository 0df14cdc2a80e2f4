//! The rules for when an engine may still act for a recovery.

use std::time::Duration;

/// Maximum age of the last committed heartbeat for an outside call.
pub const MAX_RENEWAL_AGE: Duration = Duration::from_secs(3);

/// Maximum time between the commit of an intent and the first byte of its call.
pub const MAX_INTENT_AGE: Duration = Duration::from_millis(500);

/// The times of the transaction that wrote a call's intent, by the boot-time clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The time at which the transaction was sent.
    pub sent: Duration,
    /// The time since which the owner knows that the transaction is durable.
    pub durable: Duration,
}

/// True if an outside call may start `now`; the last committed heartbeat was sent at `renewal_sent`.
///
/// [`INTENT_LIMIT`] starts when the owner learns of the commit. If it started when the transaction was sent, a slow
/// database would block every call. An owner that was stopped before it learned of the commit must not treat the
/// response as new, even if a later heartbeat shows that it still holds the claim: the facts behind the intent are
/// stale.
pub fn may_act(now: Duration, renewal_sent: Duration, intent: Intent, is_write: bool) -> bool {
    let age = |since: Duration| now.saturating_sub(since);
    let in_time = age(intent.durable) <= MAX_INTENT_AGE && age(intent.sent) <= MAX_RENEWAL_AGE;
    age(renewal_sent) <= MAX_RENEWAL_AGE && (in_time || !is_write)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers R2, R4.
    #[test]
    fn a_call_needs_a_recent_heartbeat_and_a_write_a_recent_intent() {
        let cases = [
            ("at once", 100_000, 100_000, 100_000, true, true),
            ("intent half a second old", 100_500, 100_000, 100_000, true, true),
            ("intent older than that", 100_501, 100_000, 100_000, true, false),
            (
                "a read needs no recent intent",
                102_000,
                100_000,
                100_000,
                false,
                true,
            ),
            (
                "heartbeat three seconds old",
                103_000,
                100_000,
                103_000,
                true,
                true,
            ),
            (
                "older heartbeat: the process was stopped",
                103_001,
                100_000,
                103_001,
                true,
                false,
            ),
            ("no read either", 103_001, 100_000, 103_001, false, false),
            ("a newer heartbeat", 105_900, 103_000, 105_800, true, true),
        ];
        for (name, now, renewal_sent, committed, is_write, expected) in cases {
            let [now, renewal_sent, committed] = [now, renewal_sent, committed].map(Duration::from_millis);
            let intent = Intent {
                sent: committed,
                durable: committed,
            };
            assert_eq!(may_act(now, renewal_sent, intent, is_write), expected, "{name}");
        }
    }

    /// Seed 77000414: the process was stopped for three minutes before it read the response, and a heartbeat was sent
    /// first.
    /// Covers R4.
    #[test]
    fn an_intent_whose_commit_was_confirmed_late_is_expired_despite_later_lease_renewals() {
        let now = Duration::from_millis(200_000);
        let cases = [(3_000, true), (3_001, false), (173_000, false)];
        for (age, expected) in cases {
            let intent = Intent {
                sent: now.saturating_sub(Duration::from_millis(age)),
                durable: now,
            };
            assert_eq!(may_act(now, now, intent, true), expected, "{age}");
            assert!(may_act(now, now, intent, false), "a read needs no intent");
        }
    }
}
