//! The waits of a host recovery and its moves, as commands, metrics and events show them.

use std::collections::BTreeSet;

use super::{End, HoldKind, HostRecovery, Move, MoveStep, Stage};
use super::{excluded, freeze_state};
use crate::evidence::time_text;
use crate::guard::Guard;
use crate::id::ServerId;
use crate::recovery::{DecisionTime, Record};
use crate::wait::{Wait, WaitsFor, note};

fn names(guards: &BTreeSet<Guard>) -> BTreeSet<String> {
    guards.iter().map(|guard| guard.as_str().to_owned()).collect()
}

impl Move {
    /// Returns what it waits for. `stuck`: true if Nova shows no progress of it; `None` before the first poll.
    fn waits(&self, stuck: Option<bool>) -> (WaitsFor, BTreeSet<String>) {
        let bare = |what| (what, BTreeSet::new());
        match self.step {
            MoveStep::OnHold if self.has_no_possible_host() => {
                let others = self.elsewhere.difference(&self.absent);
                (WaitsFor::Record, others.cloned().collect())
            }
            MoveStep::OnHold => (WaitsFor::Absence, self.possible_hosts().cloned().collect()),
            MoveStep::Asked { .. } => {
                let before = self.wait.as_ref().map(|wait| wait.what);
                if stuck.unwrap_or(before == Some(WaitsFor::Progress)) {
                    let hosts = self.dest.iter().chain(self.possible_hosts());
                    (WaitsFor::Progress, hosts.cloned().collect())
                } else {
                    bare(WaitsFor::Nothing)
                }
            }
            MoveStep::Done(End::Person) if !self.deleted => (WaitsFor::GivenUp, self.may_run.clone()),
            MoveStep::Waiting { .. } => self.disk_wait.map_or_else(
                || bare(WaitsFor::Nothing),
                |wait| (WaitsFor::LocalDisk, [time_text(wait.ends_at)].into()),
            ),
            MoveStep::Restoring { .. } | MoveStep::Unlocking { .. } | MoveStep::Done(_) => {
                bare(WaitsFor::Nothing)
            }
        }
    }

    /// Returns what it waits for.
    pub fn waits_for(&self) -> WaitsFor {
        self.wait.as_ref().map_or(WaitsFor::Nothing, |wait| wait.what)
    }
}

impl HostRecovery {
    /// Returns what it waits for, by the last decision; `None` before the first.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// Records what the recovery and its moves wait for after a decision.
    pub(super) fn note_waits(&mut self, now: DecisionTime, record: &mut Record) {
        let limit = self.policy.slow_after;
        let frozen: BTreeSet<ServerId> = freeze_state::moves(self)
            .map(|instance| instance.server)
            .collect();
        for instance in self.moves.values_mut() {
            let long =
                matches!(instance.step, MoveStep::Asked { since, .. } if now.elapsed.since(since) >= limit);
            let slow = self.in_flight.move_track.slow.as_ref();
            let stuck = slow.map(|slow| long && slow.contains(&instance.server));
            let (what, on) = if frozen.contains(&instance.server) {
                (WaitsFor::Frozen, BTreeSet::new())
            } else {
                instance.waits(stuck)
            };
            if note(&mut instance.wait, what, on, now.wall) {
                record.moves.insert(instance.server);
            }
        }
        let (what, on) = self.waits(now);
        record.head |= note(&mut self.wait, what, on, now.wall);
    }

    fn waits(&self, now: DecisionTime) -> (WaitsFor, BTreeSet<String>) {
        let bare = |what| (what, BTreeSet::new());
        if self.stage == Stage::Starting {
            return excluded::waits_for(self, now);
        }
        if matches!(self.stage, Stage::Returning | Stage::Done) {
            let given_up = |instance: &Move| instance.waits_for() == WaitsFor::GivenUp;
            return bare(if self.moves.values().any(given_up) {
                WaitsFor::GivenUp
            } else if self.stage == Stage::Returning {
                WaitsFor::Return
            } else {
                WaitsFor::Nothing
            });
        }
        if self.rejected.is_some() {
            return bare(WaitsFor::Nothing);
        }
        if let Some(freeze) = freeze_state::waits_for(self) {
            return (WaitsFor::Frozen, [freeze.what()].into());
        }
        if let Some(hold) = &self.hold {
            return match hold.kind {
                HoldKind::Storm => (WaitsFor::Approval, names(&hold.guards)),
                HoldKind::Fence => bare(WaitsFor::Fence),
                HoldKind::Alive => bare(WaitsFor::Alive),
                HoldKind::DryRun => bare(WaitsFor::DryRun),
            };
        }
        if let Some(waiting) = self.guarded() {
            return (WaitsFor::Guards, names(&waiting.guards));
        }
        match &self.operator_state {
            Some(operator_state) if !operator_state.segment_enabled => {
                return bare(WaitsFor::SegmentDisabled);
            }
            Some(operator_state) if operator_state.operator_maintenance => {
                return bare(WaitsFor::Maintenance);
            }
            Some(_) | None => {}
        }
        if self.in_flight.stopped && matches!(self.stage, Stage::Begin | Stage::Fencing) {
            return bare(WaitsFor::FencingStopped);
        }
        if self
            .moves
            .values()
            .any(|instance| instance.waits_for().is_on_hold())
        {
            return bare(WaitsFor::Moves);
        }
        // Only when nothing else is left to do.
        let mut open = self
            .moves
            .values()
            .filter(|instance| !instance.is_finished())
            .peekable();
        if open.peek().is_some() && open.all(|instance| instance.waits_for() == WaitsFor::LocalDisk) {
            let ends = self.moves.values().filter_map(|instance| instance.disk_wait);
            let last = ends.map(|wait| wait.ends_at).max();
            return (WaitsFor::LocalDisk, last.map(time_text).into_iter().collect());
        }
        let frozen: BTreeSet<String> = freeze_state::moves(self)
            .map(|instance| instance.name.clone())
            .collect();
        if !frozen.is_empty() {
            return (WaitsFor::Frozen, frozen);
        }
        bare(match self.stage {
            Stage::Fencing => WaitsFor::Proof,
            Stage::Disabling => WaitsFor::ForcedDown,
            Stage::Begin
            | Stage::Listing
            | Stage::Moving
            | Stage::Returning
            | Stage::Starting
            | Stage::Done => WaitsFor::Nothing,
        })
    }
}
