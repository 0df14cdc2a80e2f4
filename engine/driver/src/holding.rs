//! Whether an engine may still act for a recovery (R2, R4).

use std::time::Duration;

/// A committed beat older than this allows no outside call (R2).
pub const BEAT_LIMIT: Duration = Duration::from_secs(3);

/// Between the commit of an intent and the first byte of its call (R4).
pub const INTENT_LIMIT: Duration = Duration::from_millis(500);

/// Whether an outside call may begin `now`: the last committed beat was sent at `beat_sent`, and the engine knew at `committed`
/// that the call's intent was durable. All by one boot-time clock.
pub fn may_act(now: Duration, beat_sent: Duration, committed: Duration, is_write: bool) -> bool {
    let in_time = !is_write || now.saturating_sub(committed) <= INTENT_LIMIT;
    now.saturating_sub(beat_sent) <= BEAT_LIMIT && in_time
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r2_r4_a_call_needs_a_young_beat_and_a_write_a_young_intent() {
        let cases = [
            ("at once", 100_000, 100_000, 100_000, true, true),
            ("intent half a second old", 100_500, 100_000, 100_000, true, true),
            ("intent older than that", 100_501, 100_000, 100_000, true, false),
            (
                "reads do not mind an old intent",
                102_000,
                100_000,
                100_000,
                false,
                true,
            ),
            ("beat three seconds old", 103_000, 100_000, 103_000, true, true),
            (
                "beat older than that: a process that was stopped",
                103_001,
                100_000,
                103_001,
                true,
                false,
            ),
            ("nor any read then", 103_001, 100_000, 103_001, false, false),
            ("a younger beat", 105_900, 103_000, 105_800, true, true),
        ];
        for (name, now, beat_sent, committed, is_write, wanted) in cases {
            let [now, beat_sent, committed] = [now, beat_sent, committed].map(Duration::from_millis);
            assert_eq!(may_act(now, beat_sent, committed, is_write), wanted, "{name}");
        }
    }
}
