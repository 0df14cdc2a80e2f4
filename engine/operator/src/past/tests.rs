use super::*;

#[test]
fn a_span_ends_now_and_is_whole_milliseconds() {
    let at = Timestamp::from_micros(1_700_000_000_123_456);
    let now = at.minus_seconds(-60);
    let span = around(at, Duration::from_mins(10), now);
    assert_eq!(span.from.micros(), 1_699_999_400_123_000);
    assert_eq!(span.to.micros(), 1_700_000_060_123_000);
    assert!(span.has(at) && !span.has(now));
    let all = around(at, Duration::MAX, now);
    assert!(all.from < at && all.to <= now);
}
