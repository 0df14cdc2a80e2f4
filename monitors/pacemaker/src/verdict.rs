//! The verdict on each node.
//!
//! The order of the checks is the order of caution: can the cluster be trusted at all, is an attempt to fence still
//! open, is there a success after the node was last up, and does a second witness confirm it. Only then is a node
//! `fenced`. Everything that is not proven is `lost`, `planned` or `keep`.

mod case;
mod success;
mod witness;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::crm_mon::FenceEvent;
use crate::history::NodeHistory;
use crate::{History, Snapshot, Time};

use case::NodeCase;

/// The verdict about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Up, by all witnesses.
    Up,
    /// Turned off by the cluster since the node was last up.
    Fenced,
    /// Gone, and not confirmed off.
    Lost,
    /// Taken out by an operator, but running.
    Planned,
    /// Contradictory facts: the previous verdict stays.
    Keep,
    /// No verdict, because the cluster cannot be trusted.
    Blind,
}

impl Verdict {
    /// Returns the name of the verdict in the output of commands.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Fenced => "fenced",
            Self::Lost => "lost",
            Self::Planned => "planned",
            Self::Keep => "keep",
            Self::Blind => "blind",
        }
    }
}

/// The success that makes a node `fenced`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The node's name in the cluster.
    pub target: String,
    /// `off` or `reboot`.
    pub action: String,
    /// The end of the fencing, by the cluster's clock.
    pub completed: Time,
    /// The node whose fencer executed it.
    pub delegate: Option<String>,
    /// The requesting node.
    pub origin: Option<String>,
    /// The requesting program.
    pub client: Option<String>,
    /// True if an operator confirmed by hand that the node is off, without a device.
    pub by_operator: bool,
    /// The CIB's own record of when a remote was fenced, in seconds since the epoch.
    pub node_fenced: Option<i64>,
    /// The device, if only one can have done it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The device's agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, for people.
    pub reason: String,
    /// The proof, present if and only if the verdict is [`Verdict::Fenced`].
    pub proof: Option<Proof>,
    /// True for a [`Verdict::Planned`] or [`Verdict::Lost`] node that was up recently, left in order as far as known,
    /// and has no operator's mark. A UPS or a press of its power button has the same effect.
    pub left: bool,
}

/// Tunables of the verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Limit of the difference between the cluster's clocks and the local one.
    pub skew: TimeDelta,
    /// Time that a node must be shown up after a fencing before it counts as back: the views lag behind the device.
    pub min_up_time: TimeDelta,
    /// Age at first observation from which a fencing of a member proves nothing.
    pub late: TimeDelta,
    /// Age from which a node's orderly leave is not reported.
    pub fresh_leave_age: TimeDelta,
    /// Agents whose success turns nothing off, in addition to the known ones.
    pub null_agents: Vec<String>,
    /// Agents that switch a machine's power, in addition to the known ones.
    pub power_agents: Vec<String>,
    /// True if there is no verdict without a CIB. A bridge needs this; explaining a saved file works without.
    pub need_cib: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            skew: TimeDelta::seconds(5),
            min_up_time: TimeDelta::seconds(5),
            late: TimeDelta::seconds(60),
            fresh_leave_age: TimeDelta::days(1),
            null_agents: Vec::new(),
            power_agents: Vec::new(),
            need_cib: false,
        }
    }
}

/// Name of the executing node after `stonith_admin --confirm`.
const CONFIRMED_BY_HUMAN: &str = "a human";

/// True if the node's guests cannot run after this fencing.
pub(crate) fn kills(fence: &FenceEvent) -> bool {
    fence.action == "off" || fence.action == "reboot"
}

/// Returns the verdict on every node of the snapshot, and `keep` for nodes of the history that it does not list.
pub fn verdict(history: &History, snapshot: &Snapshot, rules: &Rules) -> BTreeMap<String, Judgement> {
    let unlisted = history
        .nodes
        .keys()
        .map(|name| (name.clone(), plain(Verdict::Keep, "the cluster does not list it")));
    let mut judged: BTreeMap<_, _> = unlisted.collect();
    let never_seen = NodeHistory::default();
    let blind = blindness(snapshot, rules);
    for node in &snapshot.mon.nodes {
        let past = history.nodes.get(&node.name).unwrap_or(&never_seen);
        let judgement = match &blind {
            Some(reason) => plain(Verdict::Blind, reason.clone()),
            None => NodeCase {
                node,
                past,
                snapshot,
                rules,
            }
            .judge(),
        };
        judged.insert(node.name.clone(), judgement);
    }
    judged
}

fn plain(verdict: Verdict, reason: impl Into<String>) -> Judgement {
    Judgement {
        verdict,
        reason: reason.into(),
        proof: None,
        left: false,
    }
}

/// Returns the reason why this snapshot proves nothing.
fn blindness(snapshot: &Snapshot, rules: &Rules) -> Option<String> {
    let mon = &snapshot.mon;
    // Without quorum all remotes look cleanly offline.
    if mon.quorum_unstated {
        return Some("the output does not state whether the cluster has quorum".to_owned());
    }
    if !mon.quorate {
        return Some("the cluster has no quorum".to_owned());
    }
    if snapshot.cib.as_ref().is_some_and(|cib| cib.quorum_unstated) {
        return Some("the CIB does not state whether there is quorum".to_owned());
    }
    if snapshot.cib.as_ref().is_some_and(|cib| !cib.quorate) {
        return Some("the CIB shows no quorum".to_owned());
    }
    // Older versions print nothing on a remote; newer ones print `remote`.
    if let Some(state) = mon
        .pacemakerd
        .as_deref()
        .filter(|state| *state != "running" && *state != "remote")
    {
        return Some(format!("pacemakerd is not running but {state:?}"));
    }
    match mon
        .maintenance
        .or(snapshot.cib.as_ref().map(|cib| cib.maintenance))
    {
        Some(false) => {}
        Some(true) => return Some("the cluster is in maintenance".to_owned()),
        None => return Some("the output does not state whether the cluster is in maintenance".to_owned()),
    }
    if rules.need_cib && snapshot.cib.is_none() {
        return Some("there is no CIB as second witness".to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
