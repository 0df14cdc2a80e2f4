//! What has to be written before anything of a decision is carried out.

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
use crate::timestamp::Timestamp;
use crate::words::words;

/// Now: the recovery's own time for decisions, wall time for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Counts only while an engine works on the recovery.
    pub elapsed: Elapsed,
    /// For people.
    pub wall: Timestamp,
}

/// The parts of a recovery as Masakari names them, and the one it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Guards, fence and proof.
    Fence,
    /// `disabled` and `forced_down`.
    DisableService,
    /// Lists, plan, locks.
    Prepare,
    /// Reserved hosts taken, made ready, and given back.
    Reserve,
    /// The moves.
    Evacuate,
    /// Until the host is back.
    Return,
    /// Stop of an instance.
    StopInstance,
    /// Start of an instance.
    StartInstance,
    /// It runs.
    ConfirmActive,
    /// Disable after a failed process, or because a person has planned it.
    DisableNode,
    /// Live migrations.
    LiveMigrate,
    /// An operator's hook.
    Hook {
        /// In which phase.
        phase: Phase,
        /// Which of its hooks, counted from 0.
        number: u8,
    },
}

impl Task {
    /// The class name that clients know.
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
            Self::ConfirmActive => "ConfirmInstanceActiveTask",
            Self::DisableNode => "DisableComputeNodeTask",
            Self::LiveMigrate => "LiveMigrateInstancesTask",
            Self::Hook { phase, number } => workflow::hook_name(phase, number),
        }
    }
}

words! {
    /// What kind of line a step is.
    StepKind {
        /// Written before a call.
        Intent = "intent",
        /// Written after it.
        Outcome = "outcome",
        /// Neither; a thing seen or decided.
        Note = "note",
    }
}

/// One line of the story.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Part of what.
    pub task: Task,
    /// An intent comes before the call, an outcome after it.
    pub kind: StepKind,
    /// The instance, if it is about one.
    pub server: Option<ServerId>,
    /// How far the task is, 0.0 to 1.0.
    pub progress: f64,
    /// Whether the task has failed.
    pub failed: bool,
    /// For people.
    pub text: String,
}

/// A host is about to be ordered off: one more on the account of the guard against too many (R24).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FenceOrder {
    /// Only if fewer were ordered lately; `None` for any number.
    pub at_most: Option<u32>,
    /// What counts as lately.
    pub within: Duration,
}

/// A host that was emptied is frozen from now on, so that nobody takes what is done to it for a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeOrder {
    /// For how long.
    pub lasts: Duration,
    /// Who wanted it.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// An instance that is to run on a host, and must not run on another (R12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The instance.
    pub server: ServerId,
    /// The host.
    pub host: String,
}

/// What a decision leaves behind.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own, and any of them may be so together"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// The state's head has changed in a way that must survive.
    pub head: bool,
    /// The moves that have changed in a way that must survive.
    pub moves: BTreeSet<ServerId>,
    /// New lines of the story.
    pub steps: Vec<Step>,
    /// New proofs.
    pub proofs: Vec<Proof>,
    /// The notification's new status and message.
    pub notification: Option<(NotificationStatus, Option<String>)>,
    /// The host goes on maintenance for this reason.
    pub host: Option<MaintenanceReason>,
    /// The recovery's new life.
    pub life: Option<Life>,
    /// Only if no host recovery is open for this host (R12), and no younger one than a host recovery's own watches it (R22).
    pub unless_host_recovery: Option<String>,
    /// Only if the instance may run nowhere else.
    pub unless_elsewhere: Option<Elsewhere>,
    /// Only if no report has joined the recovery that says more than it has heard: it would be lost with its end (R19).
    pub unless_joined: bool,
    /// This instance is restarted: one more on its account (EW26).
    pub restarted: Option<ServerId>,
    /// The reserved hosts whose holding has changed.
    pub reservations: BTreeSet<HostId>,
    /// The host is in service again: off maintenance, if this recovery has put it there.
    pub host_back: bool,
    /// What the recovery is about was seen running again: another report of it is another failure (R19).
    pub running_again: bool,
    /// The host is about to be ordered off.
    pub order: Option<FenceOrder>,
    /// What came of fence devices; for the numbers.
    pub fenced: Vec<Fenced>,
    /// It ends because Nova has heard the host all the time: whoever reported it was wrong, or lied.
    pub contradicted: bool,
    /// What persons have said that was heard just now.
    pub words: Vec<HeardWord>,
    /// The rows of these actions were heard (R32).
    pub heard_actions: BTreeSet<i64>,
    /// Only if nothing of this is frozen.
    pub unless_frozen: UnlessFrozen,
    /// Freezes that end because it has become worse, by their numbers.
    pub worse: BTreeSet<i64>,
    /// The recovery's host is frozen with this very transaction.
    pub freeze: Option<FreezeOrder>,
}

/// A person's word, as the recovery has heard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeardWord {
    /// What was said, of what.
    pub word: String,
    /// By whom, and why if he says so.
    pub by: String,
}

/// What came of one device in one try of its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fenced {
    /// The device's name.
    pub device: String,
    /// Whether the host was proven off by its level.
    pub off: bool,
    /// How long the level took.
    pub took: Duration,
}

impl Record {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        // Asked after each decision, and mostly there is nothing.
        static EMPTY: LazyLock<Record> = LazyLock::new(Record::default);
        *self == *EMPTY
    }

    /// Takes a later decision's record into this one, so that both are written in one transaction.
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
        self.words.extend(later.words);
        self.heard_actions.extend(later.heard_actions);
        self.worse.extend(later.worse);
        self.freeze = later.freeze.or(self.freeze.take());
        self.unless_frozen.with(later.unless_frozen);
        self.unless_host_recovery = later.unless_host_recovery.or(self.unless_host_recovery.take());
        self.unless_elsewhere = later.unless_elsewhere.or(self.unless_elsewhere.take());
        self.unless_joined |= later.unless_joined;
        self.restarted = later.restarted.or(self.restarted);
        self.order = later.order.or(self.order);
    }

    /// Something is about to be asked for about an instance, unless it is frozen.
    pub(crate) fn intends(&mut self, server: ServerId) {
        self.moves.insert(server);
        self.unless_frozen.servers.insert(server);
    }

    /// A person's word is heard.
    pub(crate) fn heard(&mut self, word: impl Into<String>, by: &str) {
        self.words.push(HeardWord {
            word: word.into(),
            by: by.to_owned(),
        });
    }

    /// Adds a line of the story.
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

    /// Adds a line of the story about one instance.
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

    /// Adds a line that says a task has failed.
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

/// What a decision comes to beside the next state: what to write, and then what to do.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Decision {
    /// To be written first, in one transaction; nothing is done before it is durable.
    pub record: Record,
    /// To be done then.
    pub commands: Vec<Command>,
}
