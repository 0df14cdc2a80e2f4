//! `[recovery]`: limits of an engine's pace, over all its recoveries.

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::Reader;
use tachi_domain::pace::Bounds;
use tachi_domain::policy::Policy;
use tachi_engine::PaceOptions;

const G: &str = "recovery";

/// Range of the timeouts for Nova.
const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(600);

/// Reads the limits. `policy` has `evacuations_in_flight` and `evacuations_queued`, the start values of the windows.
pub fn pace(r: &mut Reader<'_>, policy: &Policy) -> PaceOptions {
    let d = PaceOptions::default();
    // Masakari's number of threads, and an explicit number, have always been an upper bound.
    let usual = Policy::default();
    let bound = |chosen: u32, usual: u32, max: u32| if chosen == usual { max } else { chosen };
    let mut int = |name: &str, default: u32, help: &'static str| {
        let many = r.int(G, name).default(default).range(1..=10_000);
        many.unit("instances").help(help).get()
    };
    let in_flight = Bounds {
        min: int(
            "evacuations_in_flight_min",
            d.in_flight.min,
            "lower limit of the evacuations under way, when Nova is slow",
        ),
        start: policy.in_flight,
        max: int(
            "evacuations_in_flight_max",
            bound(policy.in_flight, usual.in_flight, d.in_flight.max),
            "upper limit of the evacuations under way, when Nova is fast",
        ),
    };
    let queued = Bounds {
        min: int(
            "evacuations_queued_min",
            d.queued.min,
            "lower limit of the evacuations that no destination has taken up",
        ),
        start: policy.queued,
        max: int(
            "evacuations_queued_max",
            bound(policy.queued, usual.queued, d.queued.max),
            "upper limit of the evacuations that no destination has taken up",
        ),
    };
    let most_calls = int(
        "calls_in_flight_max",
        d.calls.max,
        "maximum number of other concurrent calls about instances",
    );
    PaceOptions {
        in_flight: in_flight.in_order(),
        queued: queued.in_order(),
        calls: Bounds {
            max: most_calls,
            ..d.calls
        }
        .in_order(),
        tick: policy.tick,
        take_up_patience: r
            .seconds(G, "take_up_patience")
            .default(d.take_up_patience)
            .range(TIMEOUT_RANGE)
            .help("a quarter of the maximum time that an engine's requests wait in Nova's queue")
            .get(),
        call_patience: r
            .seconds(G, "call_patience")
            .default(d.call_patience)
            .range(TIMEOUT_RANGE)
            .help("answer time of Nova above which the engine makes fewer calls")
            .get(),
    }
}

#[cfg(test)]
mod tests {
    use tachi_config::{Ini, KnownOptions};

    use super::*;

    fn pace_of(text: &str) -> PaceOptions {
        let ini = Ini::parse("test", &format!("[DEFAULT]\n{text}")).unwrap();
        let known = KnownOptions::masakari();
        let mut reader = Reader::new(&ini, &known);
        let policy = crate::policy(&mut reader, false);
        let pace = pace(&mut reader, &policy);
        reader.finish().unwrap();
        pace
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(pace_of(""), PaceOptions::default());
    }

    #[test]
    fn the_windows_are_bounded_by_the_options() {
        let pace = pace_of(
            "[recovery]\nevacuations_in_flight = 5\nevacuations_in_flight_min = 2\nevacuations_in_flight_max = 50\n\
             evacuations_queued = 70\nevacuations_queued_min = 9\nevacuations_queued_max = 60\ntake_up_patience = 3\n\
             call_patience = 0.5\ncalls_in_flight_max = 3\n",
        );
        let bounds = |min, start, max| Bounds { min, start, max };
        assert_eq!(pace.in_flight, bounds(2, 5, 50));
        assert_eq!(pace.queued, bounds(9, 60, 60), "the upper bound wins");
        assert_eq!(pace.calls, bounds(3, 3, 3));
        assert_eq!(pace.take_up_patience, Duration::from_secs(3));
        assert_eq!(pace.call_patience, Duration::from_millis(500));
        let wide = pace_of("[recovery]\nevacuations_in_flight = 5000\n").in_flight;
        assert_eq!(wide, bounds(8, 5_000, 5_000));
        let few = pace_of("host_failure_recovery_threads = 3\n").in_flight;
        assert_eq!(few, bounds(3, 3, 3), "as many threads as Masakari would have");
    }
}
