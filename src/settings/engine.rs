//! Settings of an engine process only.

use std::net::SocketAddr;
use std::time::Duration;

use tachi_config::{MasakariSeconds, Reader, Refusal};

/// `[engine] metrics_listen`: the address where a process with an engine serves `/metrics` and `/healthz`; none by default, because two
/// engines on one machine cannot share a port.
pub(super) fn metrics_listen(r: &mut Reader<'_>) -> Option<SocketAddr> {
    r.parsed(
        "engine",
        "metrics_listen",
        |text| {
            text.parse::<SocketAddr>()
                .map_err(|_| Refusal::new("is not an address and port", "write one such as 127.0.0.1:15870"))
        },
        ToString::to_string,
    )
    .unit("address and port")
    .help("address where a process with an engine serves /metrics and /healthz; none unless set")
    .optional()
}

/// `[recovery] worst_case_warning`: the time from a power loss to the first evacuation. Masakari itself waits as long as the default.
pub(super) fn worst_case_warning(r: &mut Reader<'_>) -> Duration {
    r.seconds("recovery", "worst_case_warning")
        .default(Duration::from_secs(180))
        .range(Duration::from_secs(1)..=Duration::from_secs(86_400))
        .help("limit above which `tachi doctor` warns about the worst-case time from a power loss to the first evacuation \
            ([doctor.md](doctor.md#worst-case-time))").get()
}

/// `[recovery] sweep_interval`: the maximum delay that a lost wake-up may cause. Masakari checks for forgotten notifications at its three
/// intervals; they are the upper limit here.
pub(super) fn sweep_interval(r: &mut Reader<'_>) -> Duration {
    let old = [
        ("process_unfinished_notifications_interval", 120),
        ("retry_notification_new_status_interval", 60),
        ("check_expired_notifications_interval", 600),
    ];
    let least = Duration::from_millis(10);
    let bounds = old.map(|(option, seconds)| {
        let span = MasakariSeconds {
            section: "DEFAULT",
            option,
            help: "upper limit of `sweep_interval`; 0 or less: no limit",
            instead: "Masakari would not poll then; engines still poll, every [recovery] sweep_interval",
        };
        span.read(r, Duration::from_secs(seconds))
    });
    let usual = Duration::from_secs(2);
    let bound = bounds.into_iter().flatten().fold(usual, Duration::min);
    r.seconds("recovery", "sweep_interval")
        .default(bound.max(least))
        .range(least..=Duration::from_secs(60))
        .help("interval at which engines poll for work, which is the delay of a lost wake-up; at most the three intervals of Masakari")
        .get()
}
