//! What follows a restart that has failed: the instance is moved to another host, or started again later (ADR 0137).
//!
//! The host is up, so the move is a cold migration of the stopped instance and never an evacuation. Nova starts a migrated
//! instance only once the migration is confirmed. A migration is never reverted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BlockerKind, Stage, VmRecovery, freeze_state};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::fault::Fault;
use crate::id::ServerId;
use crate::nova::{Server, VmState};
use crate::recovery::{Command, DecisionTime, MoveOrder, Record, StepKind, Task};

/// The first pause after a failed restart; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);

/// The interval between checks during the pause.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// The time after Nova's acceptance from which a stopped instance without a task means that Nova has given the move up. An
/// earlier read may come from a database that lags.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(5);

/// The stored state of what follows a failed restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Relocation {
    /// True if the instance is moved before it is started, because it was restarted too often where it is.
    pub(super) first: bool,
    /// True if a move was requested at least once.
    pub(super) asked: bool,
    /// The host that the instance was moved away from.
    pub(super) from: Option<String>,
    /// The reason why the instance does not run.
    pub(super) failure: Option<String>,
    /// The time of the first failure.
    failing_since: Option<Elapsed>,
    /// The number of failures.
    failures: u32,
}

impl Relocation {
    /// True if nothing of it needs to be stored.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl VmRecovery {
    /// True if this recovery may move the instance to another host.
    pub(super) fn may_move(&self) -> bool {
        self.policy.max_moves > 0 && self.relocation.from.is_none()
    }

    /// Continues after a failed start: with a move, if the instance is stopped and may be moved.
    pub(super) fn start_failed(&mut self, seen: &Server, now: DecisionTime, record: &mut Record) {
        let text = self.late_text("active", self.policy.start_limit);
        let movable = seen.vm_state == VmState::Stopped && seen.task_state.is_none();
        if movable && self.may_move() {
            record.failed(Task::StartInstance, text.clone());
            self.relocation.failing_since.get_or_insert(now.elapsed);
            self.relocation.failure = Some(text);
            self.enter(Stage::Migrating, now, record);
        } else {
            self.try_later(text, now, record);
        }
    }

    /// Starts a pause before the next attempt, or ends the recovery if attempts have failed for too long.
    pub(super) fn try_later(&mut self, text: String, now: DecisionTime, record: &mut Record) {
        let since = *self.relocation.failing_since.get_or_insert(now.elapsed);
        if now.elapsed.since(since) >= self.policy.restart_again_for {
            return self.end(NotificationStatus::Failed, text, record);
        }
        record.failed(self.task(), text.clone());
        let doubled = 1_u32 << self.relocation.failures.min(8);
        let pause = FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE);
        self.relocation.failures += 1;
        self.enter(Stage::Waiting, now, record);
        self.pause_until = now.elapsed.plus(pause);
        self.server_read.not_before = now.elapsed.plus(LOOK.min(pause));
        let text = format!("{text}; next attempt within {} s", pause.as_secs());
        self.trouble(BlockerKind::Retry, text, now);
    }

    pub(super) fn act_waiting(&mut self, seen: &Server, now: DecisionTime, record: &mut Record) {
        if seen.vm_state == VmState::Active && seen.task_state.is_none() {
            return self.enter(Stage::Starting, now, record);
        }
        if now.elapsed < self.pause_until {
            return;
        }
        match (&seen.vm_state, &seen.task_state) {
            (VmState::Stopped, None) => self.enter(Stage::Starting, now, record),
            (VmState::Error, None) => self.enter(Stage::Stopping, now, record),
            (state, _) if now.elapsed.since(self.pause_until) >= self.policy.start_limit => {
                let text = format!("not active, it is {state}");
                self.try_later(text, now, record);
            }
            (_, _) => {}
        }
    }

    pub(super) fn act_migrating(
        &mut self,
        server: ServerId,
        seen: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if seen.vm_state == VmState::Error {
            let fault = seen.fault.as_deref().unwrap_or("Nova shows no reason");
            let text = self.with_failure(&format!("its move to another host has failed: {fault}"));
            return self.end(NotificationStatus::Failed, text, record);
        }
        if self.called && self.is_late(self.policy.move_limit, now) {
            let text = self.late_text("moved", self.policy.move_limit);
            let text = self.with_failure(&text);
            return self.end(NotificationStatus::Failed, text, record);
        }
        if seen.task_state.is_some() {
            return;
        }
        let here = seen.host.as_deref() == Some(self.host.as_str());
        match seen.vm_state {
            VmState::Resized => {
                self.arrived(seen, now, record);
                self.enter(Stage::Confirming, now, record);
            }
            VmState::Active => {
                self.arrived(seen, now, record);
                self.enter(Stage::Starting, now, record);
            }
            // Nova itself, or the owner, has confirmed the move.
            VmState::Stopped if !here => {
                self.arrived(seen, now, record);
                self.enter(Stage::Starting, now, record);
            }
            VmState::Stopped => match self.asked {
                Some(asked) if asked.answered => {
                    if now.elapsed.since(asked.at) >= GIVEN_UP_AFTER {
                        let why = seen
                            .fault
                            .clone()
                            .unwrap_or_else(|| "Nova has given it up".to_owned());
                        self.not_moved(&why, now, record);
                    }
                }
                Some(_) | None => self.ask_migration(server, now, record, commands),
            },
            _ => {}
        }
    }

    fn ask_migration(
        &mut self,
        server: ServerId,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        let text = "moving the instance to another host";
        let before = commands.len();
        self.ask(Command::Migrate(server), now, record, commands, text);
        if commands.get(before..) == Some(&[Command::Migrate(server)][..]) {
            self.relocation.asked = true;
            freeze_state::unless_frozen(self, record);
            record.move_order = Some(MoveOrder {
                server,
                at_most: self.policy.max_moves,
                within: self.policy.restart_window,
            });
        }
    }

    pub(super) fn act_confirming(
        &mut self,
        server: ServerId,
        seen: &Server,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        match (&seen.vm_state, &seen.task_state) {
            (VmState::Stopped | VmState::Active, None) => self.enter(Stage::Starting, now, record),
            (_, _) if self.is_late(self.policy.move_limit, now) => {
                let text = self.late_text("confirmed", self.policy.move_limit);
                let text = format!("moved to {}, and {text}", self.host);
                self.end(NotificationStatus::Failed, text, record);
            }
            (VmState::Resized, None) => {
                let text = "confirming the move";
                self.ask(Command::ConfirmMigration(server), now, record, commands, text);
            }
            (_, _) => {}
        }
    }

    /// Notes that Nova shows the instance on another host. From now on that host counts.
    fn arrived(&mut self, seen: &Server, now: DecisionTime, record: &mut Record) {
        let Some(host) = seen.host.as_ref().filter(|host| **host != self.host) else {
            return;
        };
        let text = format!("moved to {host}");
        record.step(Task::MigrateInstance, StepKind::Outcome, 1.0, text);
        self.relocation.from = Some(std::mem::replace(&mut self.host, host.clone()));
        self.service = None;
        self.service_read.not_before = now.elapsed;
        record.head = true;
    }

    /// Notes that Nova has not moved the instance.
    pub(super) fn not_moved(&mut self, why: &str, now: DecisionTime, record: &mut Record) {
        self.asked = None;
        self.relocation.first = false;
        let text = self.with_failure(&format!("not moved to another host: {why}"));
        self.try_later(text, now, record);
    }

    /// Notes Nova's final refusal of the move.
    pub(super) fn move_refused(&mut self, fault: &Fault, now: DecisionTime, record: &mut Record) {
        self.not_moved(&fault.text, now, record);
    }

    /// Notes that the journal allows no further move for now.
    pub(super) fn too_many_moves(&mut self, now: DecisionTime, record: &mut Record) {
        if self.stage != Stage::Migrating {
            return;
        }
        let why = format!(
            "max_moves allows {} in {} s for the whole region, and so many were moved",
            self.policy.max_moves,
            self.policy.restart_window.as_secs()
        );
        self.not_moved(&why, now, record);
    }

    fn with_failure(&self, text: &str) -> String {
        match &self.relocation.failure {
            Some(failure) => format!("{failure}; {text}"),
            None => text.to_owned(),
        }
    }

    /// Returns the final message of a restart that has succeeded.
    pub(super) fn success_text(&self) -> String {
        match &self.relocation.from {
            Some(from) => format!(
                "the instance did not run on {from}, was moved to {}, and is active",
                self.host
            ),
            None => "the instance was stopped and started, and is active".to_owned(),
        }
    }
}
