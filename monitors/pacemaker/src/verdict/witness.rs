//! The witnesses' evidence about one node.

use chrono::TimeDelta;

use crate::Time;
use crate::crm_mon::{FenceEvent, FenceStatus, Kind};
use crate::device::same_node;
use crate::time::{second, show};

use super::case::NodeCase;
use super::kills;

impl NodeCase<'_> {
    /// Returns an event after a success that invalidates it.
    pub(super) fn undone_after(&self, completed: Time) -> Option<String> {
        let later = self.fences().find(|fence| {
            fence.completed.is_some_and(|at| at > completed)
                && ((fence.status == FenceStatus::Failed && kills(fence))
                    || (fence.status == FenceStatus::Success && fence.action == "on"))
        })?;
        let at = later.completed.map(show).unwrap_or_default();
        Some(match later.status {
            FenceStatus::Success => format!("it was turned on at {at}"),
            FenceStatus::Failed | FenceStatus::Pending => format!("another attempt failed at {at}"),
        })
    }

    /// Returns the CIB's contradiction of a success.
    pub(super) fn second_witness(&self, completed: Time) -> Option<String> {
        let note = self.snapshot.note(&self.node.name);
        match self.node.kind {
            Kind::Remote => {
                let fenced = self.node_fenced().unwrap_or(0);
                if fenced <= 0 {
                    return Some("the CIB does not record it as fenced".to_owned());
                }
                // The success was not in the history when the node was last up, which is stronger evidence than any
                // clock.
                if self.past.watched {
                    return None;
                }
                let (oldest, slack) = match self.past.last_up {
                    Some(up) => (up, TimeDelta::zero()),
                    None => (completed, self.rules.skew),
                };
                (fenced < second(oldest - slack))
                    .then(|| "the CIB's record of a fencing is older than when it was last up".to_owned())
            }
            Kind::Member | Kind::Guest | Kind::Other => {
                let inside = note.is_some_and(|note| note.in_ccm == Some(true) || note.crmd == Some(true));
                inside.then(|| "the CIB still has it in the membership".to_owned())
            }
        }
    }

    /// Returns an operator's mark on the node or its connection.
    pub(super) fn operator_mark(&self) -> Option<String> {
        if self.node.kind != Kind::Remote {
            return None;
        }
        let name = &self.node.name;
        let cib = self.snapshot.cib.as_ref();
        let resource = self.snapshot.mon.resource(name);
        // An output without resources, or only with active ones, does not show what is configured.
        let configured = resource.is_some()
            || match cib {
                Some(cib) => cib.connections.contains(name),
                None => !self.snapshot.mon.lists_resources,
            };
        if !configured {
            return Some("its connection is no longer configured".to_owned());
        }
        let stopped = resource
            .and_then(|resource| resource.target_role.as_deref())
            .is_some_and(|role| role.eq_ignore_ascii_case("stopped"))
            || cib.is_some_and(|cib| cib.stopped.contains(name));
        if stopped {
            return Some("its connection was stopped by an operator (target-role)".to_owned());
        }
        let unmanaged = resource.is_some_and(|resource| !resource.managed);
        unmanaged.then(|| "its connection is not managed by the cluster".to_owned())
    }

    /// Returns the first witness that does not see the node up, if any.
    pub(super) fn up_contradiction(&self) -> Option<String> {
        let node = self.node;
        if !node.online {
            return Some("offline".to_owned());
        }
        if node.unclean {
            return Some("unclean".to_owned());
        }
        if node.pending {
            return Some("online, but still joining".to_owned());
        }
        let noted = self.snapshot.note(&node.name);
        if node.kind != Kind::Remote {
            let outside = noted.is_some_and(|state| state.in_ccm == Some(false) || state.crmd == Some(false));
            return outside.then(|| "online, but the CIB does not have it in the membership".to_owned());
        }
        match self.snapshot.mon.resource(&node.name) {
            Some(resource) if resource.failed => {
                return Some(format!(
                    "online, but its connection is {} and failed",
                    resource.role
                ));
            }
            Some(resource) if resource.role != "Started" => {
                return Some(format!("online, but its connection is {}", resource.role));
            }
            Some(resource) => {
                if let Some(doubt) = self.connection_holder_problem(&resource.nodes) {
                    return Some(doubt);
                }
            }
            None => return Some("online, but it has no connection resource".to_owned()),
        }
        self.snapshot.cib.as_ref()?;
        match noted {
            None => Some("online, but the CIB has no record of it".to_owned()),
            Some(state) if state.in_ccm != Some(true) => {
                Some("online, but in_ccm is false in the CIB".to_owned())
            }
            Some(state) if state.node_fenced.unwrap_or(0) > 0 => {
                Some("online, but recorded as fenced in the CIB".to_owned())
            }
            Some(_) => None,
        }
    }

    /// Returns the reason if the nodes that hold the connection are not up themselves, so that no node sees this one.
    fn connection_holder_problem(&self, holders: &[String]) -> Option<String> {
        let up = |holder: &String| {
            let mut nodes = self.snapshot.mon.nodes.iter();
            nodes.any(|node| same_node(&node.name, holder) && node.online && !node.unclean && !node.pending)
        };
        (!holders.is_empty() && !holders.iter().any(up)).then(|| {
            let holders = holders.join(", ");
            format!("online, but its connection is held by {holders}, which is not up")
        })
    }

    /// Returns a witness that contradicts an orderly leave, if any.
    pub(super) fn leave_contradiction(&self) -> Option<String> {
        let noted = self.snapshot.note(&self.node.name);
        if noted.is_some_and(|note| note.in_ccm == Some(true) || note.crmd == Some(true)) {
            return Some("offline, but the CIB still has it in the membership".to_owned());
        }
        if self.node.kind != Kind::Remote {
            return None;
        }
        let shown = self
            .fences()
            .any(|fence| fence.status == FenceStatus::Success && kills(fence));
        let since_up = |up| self.node_fenced() > Some(second(up));
        if !shown && self.noted() && self.past.last_up.is_none_or(since_up) {
            return Some("offline, and recorded as fenced in the CIB, but no history shows how".to_owned());
        }
        let Some(resource) = self.snapshot.mon.resource(&self.node.name) else {
            return Some("offline, and the output does not list its connection".to_owned());
        };
        let failed = if resource.failed { " and failed" } else { "" };
        (resource.failed || resource.role != "Stopped")
            .then(|| format!("offline, and its connection is {}{failed}", resource.role))
    }

    pub(super) fn fences(&self) -> impl Iterator<Item = &FenceEvent> {
        self.snapshot.mon.fences_of(&self.node.name)
    }

    pub(super) fn failures_since_up(&self) -> usize {
        let since = |fence: &FenceEvent| match (fence.completed, self.past.last_up) {
            (Some(at), Some(up)) => at >= up - self.rules.skew,
            _ => true,
        };
        self.fences()
            .filter(|fence| fence.status == FenceStatus::Failed && kills(fence) && since(fence))
            .count()
    }

    pub(super) fn node_fenced(&self) -> Option<i64> {
        self.snapshot
            .note(&self.node.name)
            .and_then(|note| note.node_fenced)
    }

    /// True if the CIB records this remote as fenced, so it has not seen it since.
    pub(super) fn noted(&self) -> bool {
        self.node.kind == Kind::Remote && self.node_fenced().is_some_and(|fenced| fenced > 0)
    }

    /// Returns the reason if a member's success was first seen long after it happened: it is unknown whether the node
    /// was back since. For a remote the CIB's record shows it.
    pub(super) fn first_seen_late(&self, completed: Time) -> Option<String> {
        if self.node.kind == Kind::Remote {
            return None;
        }
        let (_, first_read) = self.past.success.filter(|(known, _)| *known == completed)?;
        let late = first_read - completed;
        (late > self.rules.late).then(|| {
            format!(
                "that was first seen {} s later: it may have been back since",
                late.num_seconds()
            )
        })
    }
}
