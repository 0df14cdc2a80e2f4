//! The judgement of one node: the checks in their order.

use crate::crm_mon::{FenceEvent, FenceStatus, Kind, Node};
use crate::device::{only_device, proof_gap, same_node};
use crate::history::NodeHistory;
use crate::time::{second, show};
use crate::{Cib, Rules, Snapshot, Time};

use super::success::{Age, age};
use super::{CONFIRMED_BY_HUMAN, Judgement, Proof, Verdict, kills, plain};

pub(super) struct NodeCase<'c> {
    pub(super) node: &'c Node,
    pub(super) past: &'c NodeHistory,
    pub(super) snapshot: &'c Snapshot,
    pub(super) rules: &'c Rules,
}

impl NodeCase<'_> {
    pub(super) fn judge(&self) -> Judgement {
        if self.node.maintenance {
            return plain(Verdict::Blind, "the node is in maintenance");
        }
        let guest = |cib: &Cib| cib.guests.iter().any(|guest| same_node(guest, &self.node.name));
        if self.snapshot.cib.as_ref().is_some_and(guest) {
            return plain(Verdict::Keep, "a guest of the cluster is not a separate machine");
        }
        match self.node.kind {
            Kind::Member | Kind::Remote => {}
            Kind::Guest => return plain(Verdict::Keep, "a guest of the cluster is not a separate machine"),
            Kind::Other => return plain(Verdict::Keep, "not a kind of node that runs instances"),
        }
        let success = self
            .fences()
            .find(|fence| fence.status == FenceStatus::Success && kills(fence));
        let success = success.and_then(|fence| Some((fence, fence.completed?)));
        let age = success.map(|(_, completed)| age(completed, self.past, self.noted(), self.rules));
        if let Some(why_not) = self.up_contradiction() {
            self.gone(success, age, &why_not)
        } else {
            self.back(success, age)
        }
    }

    /// Judges a node that is up by every witness: it is back, or the views have not yet caught up with a fencing.
    fn back(&self, success: Option<(&FenceEvent, Time)>, age: Option<Age>) -> Judgement {
        if let (Some((_, completed)), Some(age), Some(now)) = (success, age, self.snapshot.at) {
            let first_seen = self
                .past
                .success
                .filter(|(known, _)| *known == completed)
                .map(|(_, first_read)| first_read);
            let since = first_seen.map_or(completed, |first_read| first_read.max(completed));
            if age != Age::Older && now - since < self.rules.min_up_time {
                let reason = format!(
                    "fenced at {} and shown up: waiting until that is certain",
                    show(completed)
                );
                return plain(Verdict::Keep, reason);
            }
        }
        match self.node.kind {
            Kind::Remote => plain(Verdict::Up, "online and its connection is started"),
            Kind::Member | Kind::Guest | Kind::Other => plain(Verdict::Up, "online"),
        }
    }

    fn gone(&self, success: Option<(&FenceEvent, Time)>, age: Option<Age>, why_not: &str) -> Judgement {
        let failures = self.failures_since_up();
        let failed = match failures {
            0 => String::new(),
            count => format!(" after {count} failed attempts"),
        };
        if self
            .fences()
            .any(|fence| fence.status == FenceStatus::Pending && kills(fence))
        {
            return plain(Verdict::Lost, format!("fencing is pending{failed}"));
        }
        if self.node.unclean {
            return plain(Verdict::Lost, format!("unclean: not fenced{failed}"));
        }
        if let (Some((fence, completed)), Some(age)) = (success, age)
            && let Some(judgement) = self.by_success(fence, completed, age)
        {
            return judgement;
        }
        if success.is_none() && self.past.verdict == Some(Verdict::Fenced) {
            return plain(
                Verdict::Keep,
                "was fenced; the cluster has dropped the record since",
            );
        }
        if self.node.online {
            return plain(Verdict::Keep, why_not);
        }
        self.offline_and_clean(success, failures)
    }

    /// Returns the judgement of a node that is not up from a success, if it allows one.
    fn by_success(&self, fence: &FenceEvent, completed: Time, age: Age) -> Option<Judgement> {
        let at = show(completed);
        let lost = |why: String| {
            Some(plain(
                Verdict::Lost,
                format!("{} succeeded at {at}, but {why}", fence.action),
            ))
        };
        match age {
            Age::Older => return None,
            Age::Newer => {}
            // The times have whole seconds, or the clocks differ a little: the success counts once the node is seen
            // offline.
            Age::SameSecond if !self.node.online => {}
            Age::SameSecond => {
                let reason = format!(
                    "{} succeeded at {at}, the second it was last up, and it is online",
                    fence.action
                );
                return Some(plain(Verdict::Keep, reason));
            }
            // The node was not seen up. Only a remote's record shows that it has not been back since.
            Age::Unknown => {
                let note = self.node_fenced().unwrap_or(0);
                if self.node.kind != Kind::Remote || note < second(completed - self.rules.skew) || note == 0 {
                    return (!self.node.online).then(|| {
                        plain(
                            Verdict::Lost,
                            format!(
                                "{} succeeded at {at}, but it is not known when the node was last up",
                                fence.action
                            ),
                        )
                    });
                }
            }
        }
        if let Some(later) = self.undone_after(completed) {
            return lost(later);
        }
        if let Some(late) = self.first_seen_late(completed) {
            return lost(late);
        }
        if self.snapshot.mon.is_fencing_disabled(self.snapshot.cib.as_ref()) {
            return lost("fencing is disabled in this cluster".to_owned());
        }
        let by_operator = fence.delegate.as_deref() == Some(CONFIRMED_BY_HUMAN);
        if let Some(cib) = &self.snapshot.cib {
            let doubt = || proof_gap(cib, &self.node.name, &fence.action, self.rules);
            if let Some(doubt) = (!by_operator).then(doubt).flatten() {
                return lost(doubt);
            }
            if let Some(doubt) = self.second_witness(completed) {
                // The node was fenced once, returned unseen, and was then taken out.
                let planned = self.planned().filter(|_| !self.noted());
                return planned.or_else(|| lost(doubt));
            }
        }
        let mut reason = format!("{} succeeded at {at}", fence.action);
        if by_operator {
            reason.push_str(", confirmed by an operator");
        } else if let Some(delegate) = &fence.delegate {
            reason = format!("{reason} through {delegate}");
        }
        if let Some(up) = self.past.last_up {
            reason = format!("{reason}, last up at {}", show(up));
        }
        if self.node.online {
            reason.push_str("; online again only because its connection is being retried");
        }
        if self.snapshot.cib.is_none() {
            reason.push_str("; no CIB was given to confirm it");
        }
        let device = self
            .snapshot
            .cib
            .as_ref()
            .and_then(|cib| only_device(cib, &self.node.name));
        let proof = Proof {
            target: self.node.name.clone(),
            action: fence.action.clone(),
            completed,
            delegate: fence.delegate.clone(),
            origin: fence.origin.clone(),
            client: fence.client.clone(),
            by_operator,
            node_fenced: self.node_fenced().filter(|fenced| *fenced > 0),
            device: device.map(|device| device.id.clone()),
            agent: device.map(|device| device.agent.clone()),
        };
        Some(Judgement {
            verdict: Verdict::Fenced,
            reason,
            proof: Some(proof),
            left: false,
        })
    }

    fn offline_and_clean(&self, success: Option<(&FenceEvent, Time)>, failures: usize) -> Judgement {
        if let Some(planned) = self.planned() {
            return planned;
        }
        if self.snapshot.mon.is_fencing_disabled(self.snapshot.cib.as_ref()) {
            return plain(Verdict::Lost, "offline, and this cluster does not fence");
        }
        if failures > 0 {
            return plain(
                Verdict::Lost,
                format!("offline after {failures} failed attempts to fence it"),
            );
        }
        if let Some(doubt) = self.leave_contradiction() {
            return plain(Verdict::Lost, doubt);
        }
        if !self.snapshot.mon.history {
            let reason = "offline and clean, but the output holds no fencing history";
            // The output does not show if the node was fenced. A node that was not up for long, or never, is not
            // reported.
            return match self.left(reason.to_owned()) {
                recent if recent.left => Judgement {
                    verdict: Verdict::Lost,
                    ..recent
                },
                _ => plain(Verdict::Keep, reason),
            };
        }
        match success {
            None => self.left("offline and clean; nothing was fenced: stopped in order".to_owned()),
            Some((_, completed)) => self.left(format!(
                "offline and clean; its last fencing at {} is older than when it was last up",
                show(completed)
            )),
        }
    }

    /// Judges a node that was taken out by an operator, or shut down in order.
    fn planned(&self) -> Option<Judgement> {
        let mark = self.operator_mark().map(|mark| plain(Verdict::Planned, mark));
        mark.or_else(|| {
            let text = "it was shut down in order".to_owned();
            self.node.shutdown.then(|| self.left(text))
        })
    }

    /// Judges a node that left in order, without an operator's mark in the cluster.
    fn left(&self, reason: String) -> Judgement {
        let recent = |up: Time| {
            self.snapshot
                .at
                .is_some_and(|now| now - up < self.rules.fresh_leave_age)
        };
        Judgement {
            left: self.past.last_up.is_some_and(recent),
            ..plain(Verdict::Planned, reason)
        }
    }
}
