//! Options of `[host_failure]` about reserved hosts and about hosts that return.

use std::time::Duration;

use tachi_config::Reader;
use tachi_domain::policy::Policy;

use super::TIMEOUT_RANGE;

/// Default time that a host must be up before it is enabled.
const STABLE: Duration = Duration::from_mins(5);

pub(super) fn reserve(r: &mut Reader<'_>, d: Policy) -> Policy {
    const G: &str = "host_failure";
    let enable = r
        .bool(G, "enable_after_return")
        .default(false)
        .help("enables the service of a returned host, if Tachi has disabled it")
        .get();
    let stable = r
        .seconds(G, "enable_after_return_stable")
        .default(STABLE)
        .range(TIMEOUT_RANGE)
        .help("how long a host must be up before `enable_after_return` enables it")
        .get();
    Policy {
        join_aggregates: r
            .bool(G, "add_reserved_host_to_aggregate")
            .default(d.join_aggregates)
            .help("adds a reserved host to the aggregates of the failed one; see [reserved-hosts.md](../reserved-hosts.md)").get(),
        reserved_wait: r
            .seconds(G, "reserved_host_wait")
            .default(d.reserved_wait)
            .range(TIMEOUT_RANGE)
            .help("timeout for a reserved host that another recovery holds").get(),
        reserved_up_limit: r
            .seconds(G, "reserved_host_up_limit")
            .default(d.reserved_up_limit)
            .range(TIMEOUT_RANGE)
            .help("timeout for an enabled reserved host to be up in Nova").get(),
        enable_after_return: enable.then_some(stable),
        ..d
    }
}
