//! The end of a planned operation, and its final message.

use crate::count;
use crate::entity::notification::NotificationStatus;
use crate::id::ServerId;
use crate::nova::Migration;
use crate::recovery::{DecisionTime, FreezeOrder, Inventory, Life, Record, StepKind, Task, is_marked};

use super::arrivals::{describe, may_be_taken_back};
use super::lists::{ARRIVAL_CHECK_INTERVAL, is_idle};
use super::moves::PlannedMove;
use super::named::named;
use super::{MoveStage, PlannedStage, PlannedState};

fn instances(number: usize) -> String {
    count(number, "instance", "instances")
}

/// Renders the number of instances that have moved.
fn moved(number: usize) -> String {
    match number {
        0 => "no instance moved".to_owned(),
        some => format!("{} moved", instances(some)),
    }
}

impl PlannedState {
    /// Returns the progress; `None` while no instance is known.
    pub(super) fn counts(&self) -> Option<String> {
        let total = self.moves.len();
        if total == 0 {
            return None;
        }
        let mut text = format!("{} of {total} moved", self.count(MoveStage::Moved));
        let stay = self.count(MoveStage::Left) + self.count(MoveStage::Failed);
        for (count, label) in [(self.count(MoveStage::Asked), "under way"), (stay, "not moved")] {
            if count > 0 {
                text = format!("{text}, {count} {label}");
            }
        }
        Some(text)
    }

    fn end(&mut self, status: NotificationStatus, text: String, record: &mut Record) {
        let task = match self.stage {
            PlannedStage::Begin | PlannedStage::Disabling => Task::DisableNode,
            PlannedStage::Listing => Task::Prepare,
            PlannedStage::Moving | PlannedStage::Done => Task::LiveMigrate,
        };
        if status == NotificationStatus::Failed {
            record.failed(task, text.clone());
        } else {
            record.step(task, StepKind::Outcome, 1.0, text.clone());
        }
        record.notification = Some((status, Some(text.clone())));
        record.life = Some(Life::Closed);
        self.message = Some(text);
        self.enter(PlannedStage::Done, record);
    }

    pub(super) fn end_failed(&mut self, text: String, record: &mut Record) {
        self.end(NotificationStatus::Failed, text, record);
    }

    /// Ends an operation that an operator has aborted, once nothing is in progress.
    pub(super) fn end_aborted(&mut self, record: &mut Record) {
        let by = self.aborted.clone().unwrap_or_default();
        let counts = self
            .counts()
            .unwrap_or_else(|| "no instance was touched".to_owned());
        let after = if self.is_drain() {
            stays_disabled(self)
        } else {
            String::new()
        };
        self.end_failed(format!("aborted by {by}: {counts}{after}"), record);
    }

    /// Handles the end of the last move: lists a drained host again, or ends the operation.
    pub(super) fn finish_moves(&mut self, record: &mut Record) {
        if self.aborted.is_some() {
            return self.end_aborted(record);
        }
        if self.is_drain() {
            return self.enter(PlannedStage::Listing, record);
        }
        let (moved, total) = (self.count(MoveStage::Moved), self.moves.len());
        match stayed(self) {
            None => {
                let text = format!("{} moved back to {}", instances(moved), self.host);
                self.end(NotificationStatus::Finished, text, record);
            }
            Some(stayed) => {
                let text = format!(
                    "{moved} of {total} moved back to {}; not moved: {stayed}",
                    self.host
                );
                self.end_failed(text, record);
            }
        }
    }

    /// Ends a drain according to Nova's last list. The host is frozen only if nothing runs on it, since a freeze would leave
    /// running instances unprotected.
    pub(super) fn end_drain(&mut self, inventory: &Inventory, coming: &[&Migration], record: &mut Record) {
        let left = &inventory.servers;
        let is_open = inventory.service.as_ref().is_some_and(|service| service.enabled);
        let moved = moved(self.count(MoveStage::Moved));
        let running = left.iter().filter(|server| !is_idle(server)).count();
        let resizes = unconfirmed(self, inventory);
        if is_open {
            let text = format!(
                "{} not drained: {moved}, {running} left running: its service was enabled meanwhile, so Nova may put \
                 more there; it is not frozen, so what is there stays protected",
                self.host
            );
            return self.end_failed(text, record);
        }
        if running > 0 || !coming.is_empty() {
            let mut stayed = stayed(self);
            if !coming.is_empty() {
                let text = format!("Nova may still bring {}", describe(coming));
                stayed = Some(stayed.map_or(text.clone(), |others| format!("{others}; {text}")));
            }
            let stayed = stayed.unwrap_or_else(|| "put there meanwhile".to_owned());
            let text = format!(
                "{} not drained: {moved}, {running} left running: {stayed}; it is not frozen, so what is left stays \
                 protected{resizes}{}",
                self.host,
                stays_disabled(self)
            );
            return self.end_failed(text, record);
        }
        let idle = match left.len() {
            0 => "nothing is left".to_owned(),
            some => format!(
                "{} not run",
                count(some, "instance left that does", "instances left that do")
            ),
        };
        let (frozen, next) = if self.order.lasts.is_zero() {
            (String::new(), stays_disabled(self))
        } else {
            record.freeze = Some(FreezeOrder {
                lasts: self.order.lasts,
                by: self.order.by.clone(),
                reason: self.order.reason.clone(),
                left: left.iter().map(|server| server.id).collect(),
            });
            let minutes = self.order.lasts.as_secs().div_ceil(60);
            (format!("; frozen for {minutes} min"), self.when_done(inventory))
        };
        // A recovery of the host that has just started must not be frozen.
        record.unless_host_recovery = Some(self.host.clone());
        let text = format!("{} is drained: {moved}, {idle}{frozen}{resizes}{next}", self.host);
        self.end(NotificationStatus::Finished, text, record);
    }

    /// Returns the command for the end of the work on a frozen host. `tachi host undrain` is refused if others have disabled the
    /// service: an earlier drain or recovery may have done so, too.
    fn when_done(&self, inventory: &Inventory) -> String {
        let by_us = inventory
            .service
            .as_ref()
            .map_or(self.disabling.is_some(), |service| {
                service.disabled_reason.as_deref().is_some_and(is_marked)
            });
        if by_us {
            format!(
                ". When the work is done: tachi host undrain {} --reason TEXT",
                self.host
            )
        } else {
            format!(
                ". When the work is done: tachi thaw host {}; its service was disabled before the drain, and stays so",
                self.host
            )
        }
    }

    /// Ends the operation because the host is being recovered, and the recovery handles all its instances. This also
    /// replaces an end that was about to be written.
    pub(super) fn end_for_recovery(&mut self, now: DecisionTime, record: &mut Record) {
        let open: Vec<_> = self
            .moves
            .values()
            .filter(|instance| !instance.is_finished())
            .map(|instance| (instance.server, instance.stage))
            .collect();
        for (server, stage) in open {
            let (stage, text) = if stage == MoveStage::Asked {
                let text = "a recovery of its host started during the migration, and handles it";
                (MoveStage::Failed, text)
            } else {
                (MoveStage::Left, "not started: its host is being recovered")
            };
            self.close(server, stage, text, now, record);
        }
        let counts = self
            .counts()
            .unwrap_or_else(|| "no instance was touched".to_owned());
        let text = if self.is_drain() {
            format!(
                "{} is being recovered, so this drain ends: {counts}; see `tachi recovery list --host {}`",
                self.host, self.host
            )
        } else {
            format!(
                "{}, or a host that an instance is on, is being recovered, so this giveback ends: {counts}; see `tachi recovery list`",
                self.host
            )
        };
        self.end_failed(text, record);
    }
}

/// Handles the journal's refusal of an end that would freeze the host. These instances have their own recoveries, which may
/// have stopped them and will start them again there.
pub(super) fn instances_recovered(
    state: &mut PlannedState,
    servers: &[ServerId],
    now: DecisionTime,
    record: &mut Record,
) {
    state.enter(PlannedStage::Listing, record);
    state.recovered = servers.iter().copied().collect();
    let names = named(servers, ServerId::to_string);
    let closed = *state.closed.get_or_insert(now.elapsed);
    if now.elapsed.since(closed) < state.order.limit {
        state.list.not_before = now.elapsed.plus(ARRIVAL_CHECK_INTERVAL);
        let text = format!("waits for the recoveries of instances of {}: {names}", state.host);
        state.blocker(text, now);
        return;
    }
    let text = format!(
        "{} not drained: {}; instances that did not run there are being recovered: {names}; it is not frozen, so what is left \
         stays protected{}",
        state.host,
        moved(state.count(MoveStage::Moved)),
        stays_disabled(state)
    );
    state.end_failed(text, record);
}

/// Returns the instances that have not moved, with the reasons.
fn stayed(state: &PlannedState) -> Option<String> {
    let mut all: Vec<&PlannedMove> = state
        .moves
        .values()
        .filter(|instance| instance.stage != MoveStage::Moved)
        .collect();
    all.sort_by_key(|instance| instance.rank);
    if all.is_empty() {
        return None;
    }
    Some(named(&all, |instance| {
        let why = instance.note.as_deref().unwrap_or("its move was not done");
        format!("{} ({why})", instance.name)
    }))
}

/// Returns a note on resizes that may still be reverted to the host, by a call that Nova sends even to a disabled host.
fn unconfirmed(state: &PlannedState, inventory: &Inventory) -> String {
    let all = may_be_taken_back(inventory, &state.host);
    if all.is_empty() {
        return String::new();
    }
    format!(
        "; before you power it off, have these resizes confirmed, which can still be reverted to it: {}",
        describe(&all)
    )
}

/// Returns a note on the host's service after a drain.
fn stays_disabled(state: &PlannedState) -> String {
    if state.disabling.is_none() {
        return String::new();
    }
    // Nova may not have answered, and the service has not been read since.
    let is = if state.stage == PlannedStage::Disabling {
        "may be"
    } else {
        "is"
    };
    format!(
        "; its service {is} disabled: tachi host undrain {} --reason TEXT returns it to service",
        state.host
    )
}
