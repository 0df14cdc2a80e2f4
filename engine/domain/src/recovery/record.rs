//! Data that has to be written before any part of a decision is carried out.

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::Duration;

use super::{Command, Life, workflow};
use crate::elapsed::Elapsed;
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::freeze::UnlessFrozen;
use crate::hooks::Phase;
use crate::id::{HostId, ServerId};
use crate::proof::Proof;
use crate::string_enum::string_enum;
use crate::timestamp::Timestamp;

/// The current time: the recovery's elapsed time for decisions, wall time for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionTime {
    /// Elapsed time, which counts only while an engine works on the recovery.
    pub elapsed: Elapsed,
    /// Wall time, for people.
    pub wall: Timestamp,
}

/// The tasks of a recovery under the names that Masakari gives them, and tasks that Masakari does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Guards, fence and proof.
    Fence,
    /// `disabled` and `forced_down`.
    DisableService,
    /// Lists, plan, locks.
    Prepare,
    /// Reserved hosts: reserved, made ready, and put back.
    Reserve,
    /// The moves.
    Evacuate,
    /// The watch until the host is back.
    Return,
    /// Stop of an instance.
    StopInstance,
    /// Start of an instance.
    StartInstance,
    /// Move of an instance that does not start.
    MigrateInstance,
    /// The check that the instance runs.
    ConfirmActive,
    /// Disabling of the service after a process failed, or for work that an operator has planned.
    DisableNode,
    /// Live migrations.
    LiveMigrate,
    /// An operator's hook.
    Hook {
        phase: Phase,
        /// The number of the hook within the phase, counted from 0.
        number: u8,
    },
}

impl Task {
    /// Returns the class name that clients know.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fence => "FenceHostTask",
            Self::DisableService => "DisableComputeServiceTask",
            Self::Prepare => "PrepareHAEnabledInstancesTask",
            Self::Reserve => "ReserveHostTask",
            Self::Evacuate => "EvacuateInstancesTask",
            Self::Return => "ReturnHostTask",
            Self::StopInstance => "StopInstanceTask",
            Self::StartInstance => "StartInstanceTask",
            Self::MigrateInstance => "MigrateInstanceTask",
            Self::ConfirmActive => "ConfirmInstanceActiveTask",
            Self::DisableNode => "DisableComputeNodeTask",
            Self::LiveMigrate => "LiveMigrateInstancesTask",
            Self::Hook { phase, number } => workflow::hook_name(phase, number),
        }
    }
}

string_enum! {
    /// The kind of a step.
    StepKind {
        /// A line that is written before a call.
        Intent = "intent",
        /// A line that is written after the call.
        Outcome = "outcome",
        /// An observation or a decision, not tied to a call.
        Note = "note",
    }
}

/// One line of the recovery's timeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The task that the step belongs to.
    pub task: Task,
    /// The kind; an intent comes before the call, an outcome after it.
    pub kind: StepKind,
    pub server: Option<ServerId>,
    /// The progress of the task, 0.0 to 1.0.
    pub progress: f64,
    /// True if the task has failed.
    pub failed: bool,
    /// The text for people.
    pub text: String,
}

/// An order to power a host off, which the guard against too many orders counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceOrder {
    /// The limit below which the number of recent orders has to be; `None` for no limit.
    pub at_most: Option<u32>,
    /// The period in which an order counts as recent.
    pub within: Duration,
}

/// An order to move a failed instance to another host, which the limit for such orders counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveOrder {
    pub server: ServerId,
    /// The number of recent orders in the region at which another one is refused.
    pub at_most: u32,
    /// The period in which an order counts as recent.
    pub within: Duration,
}

/// A freeze of a host that was emptied, so that no engine takes the work on it for a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeOrder {
    /// The duration of the freeze.
    pub lasts: Duration,
    /// The author.
    pub by: String,
    pub reason: String,
    /// The instances that Nova's last list shows on the host.
    pub left: BTreeSet<ServerId>,
}

/// An instance that is to run on a host, and must not run on another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    pub server: ServerId,
    pub host: String,
}

/// The writes of a decision.
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// True if the head of the state has changed in a way that must survive.
    pub head: bool,
    /// The moves that have changed in a way that must survive.
    pub moves: BTreeSet<ServerId>,
    /// New lines of the timeline.
    pub steps: Vec<Step>,
    /// New proofs.
    pub proofs: Vec<Proof>,
    /// The notification's new status and message.
    pub notification: Option<(NotificationStatus, Option<String>)>,
    /// The reason for which the host is put in maintenance.
    pub host: Option<MaintenanceReason>,
    /// The new stage of the recovery's life.
    pub life: Option<Life>,
    /// A condition of the write: no host recovery of this host is open. If the writer is a host recovery itself, no later one
    /// may watch the host either.
    pub unless_host_recovery: Option<String>,
    /// A condition of the write: the instance may run nowhere else.
    pub unless_elsewhere: Option<Elsewhere>,
    /// True if no report may have joined with a claim that the recovery has not seen: the claim would be lost at the end.
    pub unless_joined: bool,
    /// The instance that is restarted, to be counted for it.
    pub restarted: Option<ServerId>,
    /// The reserved hosts whose reservation has changed.
    pub reservations: BTreeSet<HostId>,
    /// True if the host is in service again: its maintenance ends, if this recovery has set it.
    pub host_back: bool,
    /// True if the subject of the recovery was seen running again: another report of it is another failure.
    pub running_again: bool,
    /// The order to power the host off that is about to be given.
    pub order: Option<FenceOrder>,
    /// The order to move the failed instance that is about to be given.
    pub move_order: Option<MoveOrder>,
    /// The results of fence devices, for metrics.
    pub fenced: Vec<DeviceOutcome>,
    /// True if the recovery ends because the host was up in Nova all the time, so that its report was false.
    pub contradicted: bool,
    /// True if the recovery ends because the report was a false alarm and nothing was done: no failure, whatever status Masakari's API
    /// shows.
    pub dismissed: bool,
    /// True if the recovery ends without a failure although the instance was reported down and nothing was done.
    pub unrepaired: bool,
    /// The operator actions that were processed just now.
    pub processed_actions: Vec<ProcessedAction>,
    /// The rows of the operator actions that were processed.
    pub processed_action_ids: BTreeSet<i64>,
    /// A condition of the write: none of these scopes is frozen.
    pub unless_frozen: UnlessFrozen,
    /// The numbers of the freezes that end because the situation has become worse.
    pub worse: BTreeSet<i64>,
    /// The freeze of the recovery's host that the same transaction sets.
    pub freeze: Option<FreezeOrder>,
}

/// An operator's action, as the recovery has processed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessedAction {
    /// The action, as the commands name it, and its subject.
    pub word: String,
    /// The author, and the reason if one is given.
    pub by: String,
}

/// The result of one device in one attempt of its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceOutcome {
    pub device: String,
    /// True if its level confirmed the host off.
    pub off: bool,
    /// The time that the level took.
    pub took: Duration,
}

impl Record {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        // Called after each decision, and the record is usually empty.
        static EMPTY: LazyLock<Record> = LazyLock::new(Record::default);
        *self == *EMPTY
    }

    /// Merges a later decision's record into this one, so that both are written in one transaction.
    pub fn merge(&mut self, later: Self) {
        self.head |= later.head;
        self.moves.extend(later.moves);
        self.steps.extend(later.steps);
        self.proofs.extend(later.proofs);
        self.notification = later.notification.or(self.notification.take());
        self.host = later.host.or(self.host);
        self.life = later.life.or(self.life);
        self.reservations.extend(later.reservations);
        self.host_back |= later.host_back;
        self.running_again |= later.running_again;
        self.fenced.extend(later.fenced);
        self.contradicted |= later.contradicted;
        self.dismissed |= later.dismissed;
        self.processed_actions.extend(later.processed_actions);
        self.processed_action_ids.extend(later.processed_action_ids);
        self.worse.extend(later.worse);
        self.freeze = later.freeze.or(self.freeze.take());
        self.unless_frozen.with(later.unless_frozen);
        self.unless_host_recovery = later.unless_host_recovery.or(self.unless_host_recovery.take());
        self.unless_elsewhere = later.unless_elsewhere.or(self.unless_elsewhere.take());
        self.unless_joined |= later.unless_joined;
        self.restarted = later.restarted.or(self.restarted);
        self.order = later.order.or(self.order);
        self.move_order = later.move_order.or(self.move_order);
    }

    /// Records that a call about an instance is about to be made, unless the instance is frozen.
    pub(crate) fn intends(&mut self, server: ServerId) {
        self.moves.insert(server);
        self.unless_frozen.servers.insert(server);
    }

    /// Records that an operator's action was processed.
    pub(crate) fn applied(&mut self, word: impl Into<String>, by: &str) {
        self.processed_actions.push(ProcessedAction {
            word: word.into(),
            by: by.to_owned(),
        });
    }

    /// Adds a line to the timeline.
    pub(crate) fn step(&mut self, task: Task, kind: StepKind, progress: f64, text: impl Into<String>) {
        self.steps.push(Step {
            task,
            kind,
            server: None,
            progress,
            failed: false,
            text: text.into(),
        });
    }

    /// Adds a line about one instance to the timeline.
    pub(crate) fn server_step(
        &mut self,
        task: Task,
        kind: StepKind,
        server: ServerId,
        progress: f64,
        text: impl Into<String>,
    ) {
        let text = text.into();
        self.steps.push(Step {
            task,
            kind,
            server: Some(server),
            progress,
            failed: false,
            text,
        });
    }

    /// Adds a line about a failed task to the timeline.
    pub(crate) fn failed(&mut self, task: Task, text: impl Into<String>) {
        let text = text.into();
        let kind = StepKind::Outcome;
        self.steps.push(Step {
            task,
            kind,
            server: None,
            progress: 1.0,
            failed: true,
            text,
        });
    }
}

/// The result of a decision beside the next state: what to write, and then what to do.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Decision {
    /// The data to write first, in one transaction; no command is carried out before it is durable.
    pub record: Record,
    /// The commands to carry out after that.
    pub commands: Vec<Command>,
}
