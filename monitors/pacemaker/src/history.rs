//! The earlier observations that a verdict needs. Must be stored on disk: a bridge that forgets when a host was last
//! up cannot distinguish an old fencing from a new one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{FenceStatus, Judgement, Snapshot, Time, Verdict};

/// The earlier observations of one node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeHistory {
    /// The time when it was last seen up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_up: Option<Time>,
    /// True if the fencing history was read when the node was last up. Then a success that is not `known` came later,
    /// whatever the clocks show.
    #[serde(default)]
    pub watched: bool,
    /// The newest success in the fencing history when the node was last up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Time>,
    /// The newest success, and the time of its first observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<(Time, Time)>,
    /// The last verdict that was not `keep` or `blind`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
}

/// The earlier observations of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// The observations by the cluster's names of the nodes.
    #[serde(default)]
    pub nodes: BTreeMap<String, NodeHistory>,
}

impl History {
    /// Sets the time when a node was last up, for a caller that did not watch it.
    #[must_use]
    pub fn with_last_up(mut self, name: &str, at: Time) -> Self {
        self.nodes.entry(name.to_owned()).or_default().last_up = Some(at);
        self
    }

    /// Records new successes and the time of their first observation, before the verdict: a node that looks up counts
    /// as back only some time after its fencing was first seen.
    pub fn notice(&mut self, snapshot: &Snapshot) {
        let Some(now) = snapshot.at else { return };
        for node in &snapshot.mon.nodes {
            let newest = newest_success(snapshot, &node.name);
            let noted = self.nodes.entry(node.name.clone()).or_default();
            if let Some(completed) = newest
                && noted.success.is_none_or(|(before, _)| before != completed)
            {
                noted.success = Some((completed, now));
            }
        }
    }

    /// Records the judged verdicts. Must be called with every snapshot, after [`crate::verdict`].
    pub fn remember<'j>(
        &mut self,
        snapshot: &Snapshot,
        judged: impl IntoIterator<Item = (&'j String, &'j Judgement)>,
    ) {
        for (name, judgement) in judged {
            let noted = self.nodes.entry(name.clone()).or_default();
            match judgement.verdict {
                Verdict::Up => {
                    noted.last_up = snapshot.at.or(noted.last_up);
                    noted.known = newest_success(snapshot, name);
                    noted.watched = true;
                }
                Verdict::Fenced | Verdict::Lost | Verdict::Planned => {}
                Verdict::Keep | Verdict::Blind => continue,
            }
            noted.verdict = Some(judgement.verdict);
        }
    }

    /// Forgets nodes that the cluster no longer has, so that the file does not grow forever. A snapshot without quorum
    /// is skipped: its list may be incomplete.
    pub fn remove_unlisted(&mut self, snapshot: &Snapshot) {
        if snapshot.mon.quorate && !snapshot.mon.nodes.is_empty() {
            self.nodes
                .retain(|name, _| snapshot.mon.nodes.iter().any(|node| node.name == *name));
        }
    }
}

/// Returns the newest success that could have turned the node off.
fn newest_success(snapshot: &Snapshot, name: &str) -> Option<Time> {
    snapshot
        .mon
        .fences_of(name)
        .filter(|fence| fence.status == FenceStatus::Success && crate::verdict::kills(fence))
        .filter_map(|fence| fence.completed)
        .max()
}
