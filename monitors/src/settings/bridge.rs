//! The bridge to Pacemaker: our own options of `[host]`.

use std::path::PathBuf;
use std::time::Duration;

use tachi_config::{Reader, Refusal};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone)]
pub struct BridgeSettings {
    /// Poll interval of the cluster.
    pub poll: Duration,
    /// Poll interval on a remote, while another bridge can report.
    pub standby: Duration,
    /// Timeout of a cluster program.
    pub limit: Duration,
    /// Time that a host must be up before it is reported as started.
    pub started_after: Duration,
    /// Time that a host must be lost before that is reported without proof; zero disables it.
    pub lost_after: Duration,
    /// Time for a host that left in order without an operator's mark; zero disables it.
    pub left_after: Duration,
    /// Share of the hosts, in percent, above which simultaneous losses are a storm.
    pub storm_percent: u8,
    /// Number of lost hosts up to which there is never a storm.
    pub storm_floor: usize,
    /// Window in which failures count as concurrent.
    pub storm_window: Duration,
    /// Time after which a fencing is reported even in a storm.
    pub storm_hold: Duration,
    /// Additional delay of each bridge in line.
    pub turn: Duration,
    /// Limit of the difference between the cluster's clocks and the local one.
    pub skew: Duration,
    /// Fence agents whose success turns nothing off, in addition to the known ones.
    pub null_agents: Vec<String>,
    /// Fence agents that switch a machine's power, in addition to the known ones.
    pub power_agents: Vec<String>,
    /// Names of nodes in the cluster and of the hosts they are.
    pub node_map: Vec<(String, String)>,
    /// The cluster's name, if it does not state it.
    pub cluster: Option<String>,
    /// Socket for alert agents.
    pub socket: PathBuf,
}

#[allow(clippy::too_many_lines, reason = "a few lines for each option")]
pub(super) fn bridge(r: &mut Reader<'_>) -> BridgeSettings {
    const G: &str = "host";
    let mut seconds = |name: &str, help: &'static str, default: Duration, least: Duration, most: Duration| {
        let time = r.seconds(G, name).default(default).range(least..=most);
        time.help(help).get()
    };
    let poll = seconds(
        "poll_interval",
        "poll interval of the cluster; 0.25 s while a fencing is expected",
        SECOND,
        SECOND / 10,
        SECOND * 60,
    );
    let standby = seconds(
        "standby_interval",
        "poll interval on a remote that is not needed: a bridge on a cluster node or two on remotes are before it in line, and no report \
         is pending",
        SECOND * 10,
        SECOND,
        SECOND * 15,
    );
    let limit = seconds(
        "command_timeout",
        "timeout of `crm_mon` and `cibadmin`, which are then killed with all their children",
        SECOND * 10,
        SECOND,
        SECOND * 25,
    );
    let started_after = seconds(
        "started_after",
        "time that a host must be up before it is reported as started",
        SECOND * 10,
        Duration::ZERO,
        DAY,
    );
    let lost_after = seconds(
        "report_lost_after",
        "time that a host must be lost before that is reported without proof; 0: never",
        SECOND * 60,
        Duration::ZERO,
        DAY,
    );
    let left_after = seconds(
        "report_left_after",
        "time that a host that left in order, without an operator's mark, must be gone before it is reported as UNKNOWN; 0: never",
        SECOND * 300,
        Duration::ZERO,
        DAY,
    );
    let storm_window = seconds("storm_window", "see `storm_percent`", SECOND * 60, SECOND, DAY);
    let storm_hold = seconds(
        "storm_hold",
        "time after which a *fencing* is reported even in a storm: racks do fail, and the engine has its own guards. Losses without proof \
         are never reported in a storm",
        SECOND * 120,
        Duration::ZERO,
        DAY,
    );
    let turn = seconds(
        "takeover_delay",
        "additional delay of each monitor in line",
        SECOND * 5,
        SECOND,
        SECOND * 60,
    );
    let skew = seconds(
        "clock_skew",
        "maximum difference between the clocks of the cluster and of this machine",
        SECOND * 5,
        Duration::ZERO,
        SECOND * 300,
    );
    let socket = r
        .string(G, "alert_socket")
        .default(crate::host::ALERT_SOCKET.to_owned());
    BridgeSettings {
        poll,
        standby,
        limit,
        started_after,
        lost_after,
        left_after,
        storm_window,
        storm_hold,
        turn,
        skew,
        socket: PathBuf::from(
            socket
                .unit("path")
                .help("socket for wake-ups by Pacemaker's alert agents")
                .get(),
        ),
        storm_percent: r
            .int(G, "storm_percent")
            .default(50_u8)
            .range(1..=100)
            .unit("percent")
            .help(
                "maximum share of hosts lost within `storm_window`; above it (and above `storm_floor`) nothing is reported, and /healthz \
                 shows it",
            )
            .get(),
        storm_floor: r
            .int(G, "storm_floor")
            .default(2_usize)
            .range(1..=100_000)
            .unit("hosts")
            .help("number of lost hosts that are always reported")
            .get(),
        power_agents: r
            .list(G, "power_fence_agents")
            .default(Vec::new())
            .help("additional fence agents that switch a machine's power; an unknown agent proves nothing until it is listed here")
            .get(),
        null_agents: r
            .list(G, "null_fence_agents")
            .default(Vec::new())
            .help("additional fence agents whose success turns nothing off")
            .get(),
        node_map: r
            .parsed(G, "node_map", pairs, show)
            .default(Vec::new())
            .help("node:host,node:host for nodes whose names differ from Nova's host names")
            .get(),
        cluster: r
            .string(G, "cluster_name")
            .help("the cluster's name in the evidence, if the cluster does not provide it")
            .optional(),
    }
}

/// Parses `node:host,node:host`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || {
        let help = "write it like cmp1:cmp1.example.org,cmp2:cmp2.example.org";
        Refusal::new("not a list of node:host, each node and each host once", help)
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (node, host) = part.split_once(':').ok_or_else(wrong)?;
        let (node, host) = (node.trim(), host.trim());
        // Pacemaker compares names of nodes ignoring case. Of two nodes of one host, either's fencing would be the host's.
        let is_twice = |(known, other): &(String, String)| {
            known.eq_ignore_ascii_case(node) || other.eq_ignore_ascii_case(host)
        };
        if node.is_empty() || host.is_empty() || pairs.iter().any(is_twice) {
            return Err(wrong());
        }
        pairs.push((node.to_owned(), host.to_owned()));
    }
    Ok(pairs)
}

#[expect(clippy::ptr_arg, reason = "the reader shows a value by its own type")]
fn show(pairs: &Vec<(String, String)>) -> String {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(node, host)| format!("{node}:{host}"))
        .collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers MW13.
    #[test]
    fn node_maps() {
        for (text, expected) in [
            ("", Some(0)),
            ("cmp1:nova1", Some(1)),
            (" cmp1 : nova1 , cmp2:nova2,", Some(2)),
            ("cmp1", None),
            ("cmp1:", None),
            (":nova1", None),
            ("cmp1:a,cmp1:b", None),
            ("cmp1:a,CMP1:b", None),
            ("cmp1:a,cmp2:a", None),
            ("cmp1:a,cmp2:A", None),
        ] {
            assert_eq!(pairs(text).ok().map(|pairs| pairs.len()), expected, "{text:?}");
        }
    }
}
