//! Planned operations on a host that is up: a drain moves its instances away, a giveback moves earlier ones back. Nova
//! live-migrates each instance. Nothing here involves power, and nothing is evacuated (ADR 0060).
//!
//! A recovery of the host has priority: nothing is requested while one is open, and the planned operation ends then.

mod arrivals;
mod completion;
mod follow;
mod lists;
mod moves;
mod named;
mod order;
mod requests;
mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::entity::Notification;
use crate::entity::notification::NotificationStatus;
use crate::id::{NotificationId, RecoveryId, ServerId};
use crate::nova::Service;
use crate::policy::Policy;
use crate::question::{NovaReading, Question};
use crate::recovery::action;
use crate::recovery::{
    Command, Decision, DecisionTime, Inventory, LOST_CALLS_MESSAGE, Life, Observation, OperatorCommand,
    OperatorState, Record, RecoveryKind, Task,
};
use crate::state_version::StateVersion;
use crate::wait::Wait;
use crate::wait::{WaitsFor, note};

pub use moves::{MoveStage, PlannedMove};
pub use order::{MAX_FREEZE_DURATION, MAX_MOVE_LIMIT, MAX_PARALLEL_MOVES, MIN_MOVE_LIMIT, PlannedOrder};

/// The stage of a planned operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlannedStage {
    /// The operation checks that the host is up and that it may start.
    Begin,
    /// The operation waits until Nova places nothing new on the host.
    Disabling,
    /// The operation lists the instances on the host, before the moves and after them.
    Listing,
    /// The operation waits until each instance's move is done.
    Moving,
    /// The operation is done.
    #[serde(rename = "over")]
    Done,
}

/// A journalled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedCall {
    pub at: Elapsed,
    /// The time of Nova's answer. Without one, the call may still take effect until D + Q have passed.
    pub answered: Option<Elapsed>,
}

/// The stored state of a planned operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedState {
    /// The version of this state. A newer version is refused on reading.
    #[serde(default)]
    pub version: StateVersion,
    pub id: RecoveryId,
    /// The row that holds the operator's order.
    pub notification: NotificationId,
    /// The direction: away from the host, or back to it.
    pub kind: RecoveryKind,
    /// The host's service name in Nova.
    pub host: String,
    /// The copy of the options for this operation.
    pub policy: Policy,
    pub order: PlannedOrder,
    /// The stage, which decides what is requested next.
    pub stage: PlannedStage,
    /// The call that disables the host's service.
    pub disabling: Option<PlannedCall>,
    /// The number of lists that showed new instances on the host.
    pub lists: u32,
    pub moves: BTreeMap<ServerId, PlannedMove>,
    /// The operator who has aborted the operation.
    pub aborted: Option<String>,
    /// The number of the last operator action that was read.
    #[serde(rename = "heard")]
    pub last_action: u64,
    pub message: Option<String>,
    /// The current reason to wait.
    #[serde(default)]
    wait: Option<Wait>,
    #[serde(skip)]
    operator_state: Option<OperatorState>,
    #[serde(skip)]
    service: Option<NovaReading<Service>>,
    /// The pending read of the host's service.
    #[serde(skip)]
    service_read: Question,
    #[serde(skip)]
    updating: bool,
    /// The time since which Nova places nothing new on the host, as far as this engine knows. Another engine starts this
    /// period again, and so waits longer.
    #[serde(skip)]
    closed: Option<Elapsed>,
    /// The time of the first list since which no instance was arriving at the host or being changed there.
    #[serde(skip)]
    quiet: Option<Elapsed>,
    /// The pending list of the host's instances.
    #[serde(skip)]
    list: Question,
    #[serde(skip)]
    listed: Option<NovaReading<Inventory>>,
    /// The host's instances whose own recoveries have prevented the end of this operation.
    #[serde(skip)]
    recovered: BTreeSet<ServerId>,
    #[serde(skip)]
    not_before: Elapsed,
    /// The instance whose call was journalled last.
    #[serde(skip)]
    journalled_server: Option<ServerId>,
    /// The time of the last check of the journal for a recovery of the host.
    #[serde(skip)]
    recovery_checked_at: Elapsed,
    /// The reason why the operation cannot proceed, with the time it was last seen.
    #[serde(skip)]
    blocker: Option<(Elapsed, String)>,
}

/// The longest time between an intent and its call, rounded up.
const MAX_CALL_DELAY: Duration = Duration::from_secs(1);

/// The interval between checks of the journal for a recovery of a host that Nova shows down.
const RECOVERY_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// The time after which a blocker that is not seen again is cleared.
const BLOCKER_LIFETIME: Duration = Duration::from_secs(5);

impl PlannedState {
    /// Returns a new operation.
    pub fn new(
        id: RecoveryId,
        kind: RecoveryKind,
        notification: &Notification,
        host: &str,
        policy: Policy,
    ) -> Self {
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            kind,
            host: host.to_owned(),
            policy,
            order: PlannedOrder::read(&notification.payload),
            stage: PlannedStage::Begin,
            disabling: None,
            lists: 0,
            moves: BTreeMap::new(),
            aborted: None,
            last_action: 0,
            message: None,
            wait: None,
            operator_state: None,
            service: None,
            service_read: Question::default(),
            updating: false,
            closed: None,
            quiet: None,
            list: Question::default(),
            listed: None,
            recovered: BTreeSet::new(),
            not_before: Elapsed::ZERO,
            journalled_server: None,
            recovery_checked_at: Elapsed::ZERO,
            blocker: None,
        }
    }

    /// Reads an operation from the journal.
    ///
    /// # Errors
    ///
    /// Fails if the stored state cannot be parsed.
    pub fn restore(head: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(head)
    }

    /// Returns the state for the journal.
    ///
    /// # Errors
    ///
    /// Never in practice; serde's signature requires it.
    pub fn head(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Returns the current reason to wait; `None` before the first decision.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    /// True if the operation moves instances away from its host.
    pub fn is_drain(&self) -> bool {
        self.kind == RecoveryKind::Drain
    }

    /// True if a call requested at `at` can no longer take effect.
    fn is_settled(&self, at: Elapsed, now: DecisionTime) -> bool {
        now.elapsed.since(at) >= self.policy.late_effect_window() + MAX_CALL_DELAY
    }

    fn waits(&self) -> WaitsFor {
        let is_frozen = self.stage != PlannedStage::Done && self.aborted.is_none() && self.frozen().is_some();
        if is_frozen {
            WaitsFor::Frozen
        } else {
            WaitsFor::Nothing
        }
    }

    /// Returns the freeze that blocks everything that has not started yet.
    fn frozen(&self) -> Option<String> {
        let frozen = &self.operator_state.as_ref()?.frozen;
        frozen.of_host().map(|freeze| {
            format!(
                "{}; nothing new is started until it ends; `{}` ends it now",
                freeze.sentence(),
                freeze.thaw()
            )
        })
    }

    fn observe(&mut self, observation: Observation, now: DecisionTime, record: &mut Record) {
        match observation {
            Observation::Rewound => {
                self.message = Some(LOST_CALLS_MESSAGE.to_owned());
                record.head = true;
            }
            Observation::Claimed(operator_state) | Observation::OperatorState(operator_state) => {
                self.apply_operator_state(operator_state, record);
            }
            Observation::Service(result) => self.apply_service(result, now),
            Observation::ServiceUpdated(result) => self.apply_service_update(result, now, record),
            Observation::Inventory(result) => self.apply_inventory(result, now),
            Observation::Followed { server, result } => self.apply_followed_move(server, result, now, record),
            Observation::ServerCall { server, call, result } => {
                self.apply_call_answer(server, call, result, now, record);
            }
            Observation::NotSent(command) => self.revert_unsent_command(&command, now),
            Observation::HostUnderRecovery => self.end_for_recovery(now, record),
            Observation::InstancesUnderRecovery(servers) => {
                completion::instances_recovered(self, &servers, now, record);
            }
            Observation::MayRunOn(hosts) => self.apply_may_run_elsewhere(&hosts, now, record),
            Observation::Tick
            | Observation::Region(_)
            | Observation::OrderRefused
            | Observation::Power { .. }
            | Observation::PowerOff { .. }
            | Observation::PowerOn { .. }
            | Observation::FencingStopped(_)
            | Observation::Levels(_)
            | Observation::Lists(_)
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::MovesTaken(_)
            | Observation::Server { .. }
            | Observation::Hook { .. }
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_)
            | Observation::Actions { .. } => {}
        }
    }

    fn apply_operator_state(&mut self, operator_state: OperatorState, record: &mut Record) {
        for applied in action::apply(&operator_state, &mut self.last_action, Task::LiveMigrate, record) {
            let action = &applied.request;
            if action.word == OperatorCommand::Reject && self.stage != PlannedStage::Done {
                self.aborted = Some(action.by.clone());
            }
        }
        self.operator_state = Some(operator_state);
    }

    fn act(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        for _ in 0..5 {
            let before = (self.stage, self.lists);
            match self.stage {
                PlannedStage::Begin => self.act_begin(now, record, commands),
                PlannedStage::Disabling => self.act_disabling(now, record, commands),
                PlannedStage::Listing => self.act_listing(now, record, commands),
                PlannedStage::Moving => self.act_moving(now, record, commands),
                PlannedStage::Done => {}
            }
            if before == (self.stage, self.lists) {
                break;
            }
        }
        self.record_message(now, record);
    }

    /// Publishes the blocker or the counts when they change. Every change is a write: progress numbers are in the rows of
    /// the instances.
    fn record_message(&mut self, now: DecisionTime, record: &mut Record) {
        if self.stage == PlannedStage::Done {
            return;
        }
        self.blocker
            .take_if(|(last, _)| now.elapsed.since(*last) > BLOCKER_LIFETIME);
        let blocker = self.blocker.as_ref().map(|(_, text)| text.clone());
        let text = blocker.or_else(|| self.counts());
        if self.message != text {
            self.message.clone_from(&text);
            record.head = true;
            record.notification = Some((NotificationStatus::Running, text));
        }
    }

    /// Records that something blocks the operation. The first text is kept while the operation stays blocked.
    fn blocker(&mut self, text: impl Into<String>, now: DecisionTime) {
        match &mut self.blocker {
            Some((last, _)) if now.elapsed.since(*last) <= BLOCKER_LIFETIME => *last = now.elapsed,
            blocker => *blocker = Some((now.elapsed, text.into())),
        }
    }

    fn enter(&mut self, stage: PlannedStage, record: &mut Record) {
        self.stage = stage;
        record.head = true;
    }
}

/// Returns the next decision, given the state, the latest observations, and the age of the operation. All observations are
/// applied before anything is requested, because any of them may block a call.
pub fn decide(
    state: &mut PlannedState,
    observations: impl IntoIterator<Item = Observation>,
    now: DecisionTime,
) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    for observation in observations {
        state.observe(observation, now, &mut record);
    }
    if state.stage != PlannedStage::Done {
        state.act(now, &mut record, &mut commands);
        if state.stage == PlannedStage::Done {
            // No answer is needed any more.
            commands.clear();
        }
        let waits = state.waits();
        record.head |= note(&mut state.wait, waits, BTreeSet::new(), now.wall);
    }
    debug_assert!(record.life.is_none() || record.life == Some(Life::Closed));
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
