//! Metrics.

use std::sync::Once;

use metrics::{describe_counter, describe_gauge};

/// 1 while a connection is up, else 0.
pub(crate) const CONNECTED: &str = "tachi_bus_connected";
pub(crate) const CONNECTIONS: &str = "tachi_bus_connections_total";
/// Messages to publish, by result.
pub(crate) const MESSAGES: &str = "tachi_bus_messages_total";
pub(crate) const WAITING: &str = "tachi_bus_messages_waiting";
/// Messages received.
pub(crate) const CONSUMED: &str = "tachi_bus_consumed_total";
/// Running upstream engines.
pub(crate) const FOREIGN: &str = "tachi_bus_upstream_engines";

/// Registers the descriptions. Must run after the recorder is installed: earlier ones are lost.
pub(crate) fn describe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        describe_gauge!(
            CONNECTED,
            "1 while the broker is connected and accepts messages, by connection"
        );
        describe_counter!(
            CONNECTIONS,
            "Connections to the broker, established and failed, by connection and result"
        );
        describe_counter!(MESSAGES, "Messages to the broker, by kind and result");
        describe_gauge!(WAITING, "Messages waiting for the broker, by kind");
        describe_counter!(
            CONSUMED,
            "Messages from the broker, by kind, or by defect if invalid"
        );
        describe_gauge!(
            FOREIGN,
            "Upstream engines that consume the queue of an upstream API"
        );
    });
}
