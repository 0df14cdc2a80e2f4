//! What an engine process has of its own.

use std::net::SocketAddr;
use std::time::Duration;

use tachi_config::{Reader, Refusal};

/// `[engine] metrics_listen`: where a process that runs an engine serves `/metrics` and `/healthz`; nowhere by default, because two
/// engines on one machine cannot share a port.
pub(super) fn metrics_listen(r: &mut Reader<'_>) -> Option<SocketAddr> {
    r.parsed(
        "engine",
        "metrics_listen",
        |text| {
            text.parse::<SocketAddr>()
                .map_err(|_| Refusal::new("is no address and port", "write one such as 127.0.0.1:15870"))
        },
        ToString::to_string,
    )
    .optional()
}

/// `[recovery] sweep_interval`: how long a lost wake-up may cost.
pub(super) fn sweep_interval(r: &mut Reader<'_>) -> Duration {
    r.seconds("recovery", "sweep_interval")
        .default(Duration::from_secs(2))
        .range(Duration::from_millis(10)..=Duration::from_secs(60))
        .get()
}
