//! `[instance]`: what the instance monitor tells.

use std::time::Duration;

use tachi_config::Reader;

use crate::instance::Rules;

const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn rules(r: &mut Reader<'_>) -> Rules {
    const G: &str = "instance";
    let rules = Rules::default();
    Rules {
        all_events: r.bool(G, "compat_all_events").default(rules.all_events).get(),
        nova_only: r.bool(G, "nova_only").default(rules.nova_only).get(),
        panics: r.bool(G, "report_panics").default(rules.panics).get(),
        watchdog_pause: r
            .bool(G, "report_watchdog_pause")
            .default(rules.watchdog_pause)
            .get(),
        io_error_pause: r
            .bool(G, "report_io_error_pause")
            .default(rules.io_error_pause)
            .get(),
        coalesce: r
            .seconds(G, "coalesce_seconds")
            .default(rules.coalesce)
            .range(Duration::ZERO..=DAY)
            .get(),
        io_error_interval: r
            .seconds(G, "io_error_interval")
            .default(rules.io_error_interval)
            .range(Duration::ZERO..=DAY)
            .get(),
        panic_wait: r
            .seconds(G, "panic_wait")
            .default(rules.panic_wait)
            .range(Duration::ZERO..=DAY)
            .get(),
    }
}
