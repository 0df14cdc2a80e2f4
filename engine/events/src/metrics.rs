//! Metrics of events, by driver.

use std::sync::Once;

use metrics::{counter, describe_counter};

const EVENTS: &str = "tachi_events_total";

/// The first event registers the descriptions: the recorder is installed by then, if there is one.
static DESCRIBED: Once = Once::new();

pub(crate) fn count(driver: &'static str, is_queued: bool) {
    DESCRIBED.call_once(|| {
        describe_counter!(
            EVENTS,
            "Events by driver and result; `dropped` means that an older event was dropped for it"
        );
    });
    let result = if is_queued { "kept" } else { "dropped" };
    counter!(EVENTS, "driver" => driver, "result" => result).increment(1);
}
