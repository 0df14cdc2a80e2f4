//! Numbers about events, by driver.

use std::sync::Once;

use metrics::{counter, describe_counter};

const EVENTS: &str = "tachi_events_total";

pub(crate) fn describe() {
    describe_counter!(EVENTS, "Events by driver; dropped: an older one had to go for it");
}

pub(crate) fn count(driver: &'static str, kept: bool) {
    let result = if kept { "kept" } else { "dropped" };
    counter!(EVENTS, "driver" => driver, "result" => result).increment(1);
}
