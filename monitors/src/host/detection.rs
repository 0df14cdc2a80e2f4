//! The longest time until the cluster detects the loss of a node, by its configuration.
//!
//! For a remote, the time depends on the monitor of its connection, in the CIB. For a member, it depends on corosync's
//! token timeout, in its file. If neither states it, it is unknown.

use std::path::Path;
use std::time::Duration;

use tachi_pacemaker::{Cib, CrmMon, Kind};

use super::bridge::Setup;

const FILE: &str = "/etc/corosync/corosync.conf";

/// corosync 3's default timeout, and the addition per node beyond two, in milliseconds.
const TOKEN: u64 = 3_000;
const COEFFICIENT: u64 = 650;

/// Returns the time until the loss of a member is detected, by the file of this machine; `None` if the file cannot be
/// read.
pub(super) fn corosync() -> Option<Duration> {
    let text = std::fs::read_to_string(Path::new(FILE)).ok()?;
    Some(loss_detection_time(&text))
}

/// Returns the time to lose the token plus the consensus of the remaining nodes: 1.2 tokens unless the file differs.
fn loss_detection_time(text: &str) -> Duration {
    let values = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let of = lines.filter(|(key, _)| key.trim() == name);
        of.filter_map(|(_, value)| value.trim().parse::<u64>().ok())
            .collect::<Vec<_>>()
    };
    let one = |name: &str| values(name).last().copied();
    let nodes = text
        .lines()
        .filter(|line| line.trim_start().starts_with("ring0_addr"))
        .count() as u64;
    let more = nodes
        .saturating_sub(2)
        .saturating_mul(one("token_coefficient").unwrap_or(COEFFICIENT));
    let token = one("token").unwrap_or(TOKEN).saturating_add(more);
    let consensus = one("consensus").unwrap_or(token.saturating_mul(6) / 5);
    Duration::from_millis(token.saturating_add(consensus))
}

/// Returns the longest detection time among the nodes that are hosts.
pub(super) fn longest(
    setup: &Setup,
    corosync: Option<Duration>,
    mon: &CrmMon,
    cib: &Cib,
) -> Option<Duration> {
    let watched = mon.nodes.iter().filter(|node| setup.watches(node.kind));
    let loss_detection_time = watched.map(|node| match node.kind {
        Kind::Remote => cib.remotes.get(&node.name).copied(),
        Kind::Member | Kind::Guest | Kind::Other => corosync,
    });
    let loss_detection_time: Option<Vec<Duration>> = loss_detection_time.collect();
    loss_detection_time?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn the_token_timeout_is_read_from_corosyncs_file() {
        for (text, millis) in [
            ("totem {\n  version: 2\n}\n", 6_600),
            ("totem {\n  token: 1000\n}\n", 2_200),
            ("totem {\n  token: 1000\n  consensus: 5000\n}\n", 6_000),
            (
                "totem {\n  token: 1000\n}\nnodelist {\n  node {\n    ring0_addr: a\n  }\n  node {\n    ring0_addr: b\n  }\n  node {\n    ring0_addr: c\n  }\n}\n",
                3_630,
            ),
        ] {
            assert_eq!(loss_detection_time(text), Duration::from_millis(millis), "{text}");
        }
    }

    #[test]
    fn the_node_that_is_missed_last_counts_and_one_of_which_nothing_is_known_leaves_it_open() {
        let mon = CrmMon::parse(
            r#"<crm_mon><summary><cluster_options stonith-enabled="true"/></summary><nodes><node name="ctl1" type="member" online="true"/>
            <node name="cmp1" type="remote" online="true"/><node name="cmp2" type="remote" online="true"/></nodes></crm_mon>"#,
        )
        .unwrap();
        let cib = |remotes: &[(&str, u64)]| Cib {
            remotes: remotes
                .iter()
                .map(|(name, seconds)| ((*name).to_owned(), Duration::from_secs(*seconds)))
                .collect(),
            ..Cib::default()
        };
        let all = crate::host::setup(&settings(""));
        let remotes = crate::host::setup(&settings("[host]\nrestrict_to_remotes = true\n"));
        let (both, token) = (cib(&[("cmp1", 30), ("cmp2", 50)]), Some(Duration::from_secs(7)));
        let seconds =
            |setup: &Setup, token, cib: &Cib| longest(setup, token, &mon, cib).map(|time| time.as_secs());
        assert_eq!(seconds(&all, token, &both), Some(50));
        assert_eq!(seconds(&all, None, &both), None, "nothing is known of the member");
        assert_eq!(seconds(&remotes, None, &both), Some(50));
        assert_eq!(seconds(&remotes, None, &cib(&[("cmp1", 30)])), None);
    }
}
