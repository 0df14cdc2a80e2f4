//! The bridge to Pacemaker: our own options of `[host]`.

use std::path::PathBuf;
use std::time::Duration;

use tachi_config::{Reader, Refusal};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

/// Our own options of `[host]`.
#[derive(Debug, Clone)]
pub struct BridgeSettings {
    /// How often the cluster is looked at.
    pub poll: Duration,
    /// The same on a remote, while another bridge is there to tell.
    pub standby: Duration,
    /// How long one of its programs may take.
    pub limit: Duration,
    /// A host must be up for so long before it is told as started.
    pub started_after: Duration,
    /// A host must be lost for so long before that is told without proof; zero never tells.
    pub lost_after: Duration,
    /// The same for one that left in order without an operator's mark; zero never tells.
    pub left_after: Duration,
    /// More than this share of the hosts gone at once, in percent, is a storm.
    pub storm_percent: u8,
    /// That many may always go.
    pub storm_floor: usize,
    /// Within so long is at once.
    pub storm_window: Duration,
    /// What still stands after so long is told all the same.
    pub storm_hold: Duration,
    /// How much longer than the one before it a bridge in line waits.
    pub turn: Duration,
    /// How far the clocks of the cluster and of this machine may differ.
    pub skew: Duration,
    /// Fence agents, beside those that are known, whose success turns nothing off.
    pub null_agents: Vec<String>,
    /// Fence agents, beside those that are known, that switch a machine's power.
    pub power_agents: Vec<String>,
    /// Names of the cluster and the hosts they are.
    pub node_map: Vec<(String, String)>,
    /// The cluster's name, if it does not say it itself.
    pub cluster: Option<String>,
    /// Where alert agents poke.
    pub socket: PathBuf,
}

pub(super) fn bridge(r: &mut Reader<'_>) -> BridgeSettings {
    const G: &str = "host";
    let mut seconds = |name: &str, default: Duration, least: Duration, most: Duration| {
        r.seconds(G, name).default(default).range(least..=most).get()
    };
    let poll = seconds("poll_interval", SECOND, SECOND / 10, SECOND * 60);
    let standby = seconds("standby_interval", SECOND * 10, SECOND, SECOND * 15);
    let limit = seconds("command_timeout", SECOND * 10, SECOND, SECOND * 25);
    let started_after = seconds("started_after", SECOND * 10, Duration::ZERO, DAY);
    let lost_after = seconds("report_lost_after", SECOND * 60, Duration::ZERO, DAY);
    let left_after = seconds("report_left_after", SECOND * 300, Duration::ZERO, DAY);
    let storm_window = seconds("storm_window", SECOND * 60, SECOND, DAY);
    let storm_hold = seconds("storm_hold", SECOND * 120, Duration::ZERO, DAY);
    let turn = seconds("takeover_delay", SECOND * 5, SECOND, SECOND * 60);
    let skew = seconds("clock_skew", SECOND * 5, Duration::ZERO, SECOND * 300);
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
        socket: PathBuf::from(socket.get()),
        storm_percent: r.int(G, "storm_percent").default(50_u8).range(1..=100).get(),
        storm_floor: r.int(G, "storm_floor").default(2_usize).range(1..=100_000).get(),
        power_agents: r.list(G, "power_fence_agents").default(Vec::new()).get(),
        null_agents: r.list(G, "null_fence_agents").default(Vec::new()).get(),
        node_map: r.parsed(G, "node_map", pairs, show).default(Vec::new()).get(),
        cluster: r.string(G, "cluster_name").optional(),
    }
}

/// `node:host,node:host`.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = || {
        let help = "write it like cmp1:cmp1.example.org,cmp2:cmp2.example.org";
        Refusal::new("not a list of node:host, each node once", help)
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (node, host) = part.split_once(':').ok_or_else(wrong)?;
        let (node, host) = (node.trim(), host.trim());
        if node.is_empty() || host.is_empty() || pairs.iter().any(|(known, _)| known == node) {
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

    #[test]
    fn mw13_node_maps() {
        for (text, expected) in [
            ("", Some(0)),
            ("cmp1:nova1", Some(1)),
            (" cmp1 : nova1 , cmp2:nova2,", Some(2)),
            ("cmp1", None),
            ("cmp1:", None),
            (":nova1", None),
            ("cmp1:a,cmp1:b", None),
        ] {
            assert_eq!(pairs(text).ok().map(|pairs| pairs.len()), expected, "{text:?}");
        }
    }
}
