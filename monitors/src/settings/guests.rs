//! `[instance]`: the reports of the instance monitor.

use std::time::Duration;

use tachi_config::Reader;

use crate::instance::Rules;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn rules(r: &mut Reader<'_>) -> Rules {
    const G: &str = "instance";
    let rules = Rules::default();
    Rules {
        all_events: r
            .bool(G, "compat_all_events")
            .default(rules.all_events)
            .help("reports all events that Masakari's monitor reports, not only those that an engine acts on")
            .get(),
        nova_only: r
            .bool(G, "nova_only")
            .default(rules.nova_only)
            .help("reports only guests that have Nova's metadata")
            .get(),
        panics: r
            .bool(G, "report_panics")
            .default(rules.panics)
            .help("reports a guest that panicked like one whose process died")
            .get(),
        watchdog_pause: r
            .bool(G, "report_watchdog_pause")
            .default(rules.watchdog_pause)
            .help("reports a guest that its watchdog paused as one whose process died: it is restarted")
            .get(),
        io_error_pause: r
            .bool(G, "report_io_error_pause")
            .default(rules.io_error_pause)
            .help("reports a guest that was paused because a disk failed as `IO_ERROR_REPORT`: it is restarted")
            .get(),
        coalesce: r
            .seconds(G, "coalesce_seconds")
            .default(rules.coalesce)
            .range(Duration::ZERO..=DAY)
            .help("time within which the same report about a guest is not repeated; a death is always reported")
            .get(),
        io_error_interval: r
            .seconds(G, "io_error_interval")
            .default(rules.io_error_interval)
            .range(Duration::ZERO..=DAY)
            .help("minimum interval between reports of a running guest whose disk keeps failing")
            .get(),
        panic_wait: r
            .seconds(G, "panic_wait")
            .default(rules.panic_wait)
            .range(Duration::ZERO..=DAY)
            .help(
                "delay of the report of a guest that panicked and that libvirt neither ends nor restarts (`on_crash=preserve`)",
            )
            .get(),
    }
}
