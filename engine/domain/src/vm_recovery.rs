//! The recovery of one failed instance: stop it, start it, wait until it is active. If it does not start, it is moved to another
//! host and started there. It is never evacuated here.
//!
//! Stop and start go only to a host that is up and has no open recovery: Nova queues calls for a dead host and runs
//! them when it returns, which would start an old copy. The transaction that journals the intent checks for an open
//! recovery, by [`Record::unless_host_recovery`].

mod budget;
mod calls;
mod freeze_state;
mod gates;
mod hooks;
mod observe;
mod relocation;
mod steps;
mod whereabouts;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::elapsed::Elapsed;
use crate::entity::Notification;
use crate::entity::notification::NotificationStatus;
use crate::id::{NotificationId, RecoveryId, ServerId};
use crate::instance_event::payload_value;
use crate::nova::{Server, Service, StopReason};
use crate::policy::Policy;
use crate::question::{NovaReading, Question};
use crate::recovery::{
    Command, Decision, DecisionTime, HookTrack, Life, Observation, OperatorState, Record, StepKind, Task,
};
use crate::state_version::StateVersion;
use crate::timestamp::Timestamp;
use crate::wait::Wait;
use crate::wait::{WaitsFor, note};

use freeze_state::FreezeTrack;
use gates::is_set_by_owner;
use relocation::Relocation;
use whereabouts::Whereabouts;

/// The stage of an instance recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The gates decide if the instance is restarted at all.
    Begin,
    /// The recovery waits until `vm_state` is `active`, because Nova stops no resized instance.
    Activating,
    /// The recovery waits until the instance is stopped.
    Stopping,
    /// The recovery waits until the instance is active.
    Starting,
    /// The recovery waits until Nova has moved the instance to another host.
    Migrating,
    /// The recovery waits until the move is confirmed, because Nova starts no instance before.
    Confirming,
    /// The recovery waits before it tries again.
    Waiting,
    /// The recovery is done.
    #[serde(rename = "over")]
    Done,
}

/// A journalled call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalledCall {
    pub at: Elapsed,
    /// True if Nova has answered. Otherwise the call may still take effect until D + Q have passed.
    pub answered: bool,
}

/// The stored state of an instance recovery.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what has been seen or asked"
)]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VmRecovery {
    /// The version of this state. A newer version is refused on reading.
    #[serde(default)]
    pub version: StateVersion,
    pub id: RecoveryId,
    pub notification: NotificationId,
    /// The Nova service host of the reporter. Once Nova shows the instance on another host, the service host of that one.
    pub host: String,
    /// True if the reporter is bound to that one host.
    #[serde(default)]
    pub bound: bool,
    /// `event` of the notification, upper case.
    pub event: String,
    /// `vir_domain_event` of the notification, upper case.
    pub detail: String,
    /// The instance; `None` if the notification names none.
    pub server: Option<ServerId>,
    /// The copy of the options for this recovery.
    pub policy: Policy,
    /// The stage, which decides what is requested next.
    pub stage: Stage,
    /// The start of the stage.
    pub since: Elapsed,
    /// The stage's latest journalled call.
    #[serde(rename = "asked")]
    pub requested: Option<JournalledCall>,
    /// The time of a stop without an answer. Nothing is started before that stop can no longer take effect.
    #[serde(rename = "loose_stop")]
    pub unanswered_stop: Option<Elapsed>,
    /// True if the stage's call has been requested at least once.
    called: bool,
    /// The time since which Nova has not shown the instance; this period counts towards no limit.
    silent_since: Option<Elapsed>,
    /// The number of the last operator action that was read.
    #[serde(rename = "heard")]
    pub last_action: u64,
    pub message: Option<String>,
    #[serde(default)]
    pub hooks: HookTrack,
    /// True if the instance is active again: only the last hooks remain.
    #[serde(default)]
    active: bool,
    /// The number of recent restarts before this recovery.
    #[serde(default)]
    restarts: u32,
    /// The earliest time of the restart.
    #[serde(default)]
    pause_until: Elapsed,
    /// True if this recovery's restart has been counted.
    #[serde(default)]
    counted: bool,
    #[serde(default)]
    freeze: FreezeTrack,
    #[serde(default, skip_serializing_if = "Relocation::is_default")]
    relocation: Relocation,
    /// True if the journal has lost the latest writes of earlier owners: one of them may have stopped the instance (R33).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    rewound: bool,
    /// The instance's name in Nova; `None` until Nova has shown it, and in a state that an older version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// True if the instance is marked for high availability; `None` as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tagged: Option<bool>,
    /// The current reason to wait; `None` in a state that an older version wrote.
    #[serde(default)]
    wait: Option<Wait>,
    #[serde(skip)]
    operator_state: Option<OperatorState>,
    /// The pending read of the instance.
    #[serde(skip)]
    server_read: Question,
    #[serde(skip)]
    observed: Option<NovaReading<Server>>,
    /// The time of the first reading by which nothing is to be done.
    #[serde(skip)]
    doubted_since: Option<Elapsed>,
    /// The date of the latest change of the instance that Nova has shown.
    #[serde(skip)]
    newest: Option<Timestamp>,
    #[serde(skip)]
    service: Option<NovaReading<Service>>,
    /// The pending read of the host's service.
    #[serde(skip)]
    service_read: Question,
    /// The pending read of the actions on the instance.
    #[serde(skip)]
    actions_read: Question,
    /// The reason why the instance does not run, by those actions.
    #[serde(skip)]
    stop_reason: Option<NovaReading<StopReason>>,
    #[serde(skip)]
    whereabouts: Whereabouts,
    #[serde(skip)]
    not_before: Elapsed,
    #[serde(skip)]
    blocker: Option<Blocker>,
}

/// The subject of a blocker, which also determines what clears it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BlockerKind {
    /// Nova does not show the instance.
    Instance,
    /// Nova does not show the host's service, or shows it down.
    Host,
    /// A migration by others may have left the instance on another host.
    Elsewhere,
    /// An operator's settings block the call: the segment is disabled, or the host is in maintenance.
    Operator,
    /// Nova has refused the stage's call, or not answered it.
    Call,
    /// An operator's hook is running.
    Hook,
    /// The instance was restarted too often recently.
    Budget,
    /// The instance or its host is frozen.
    Freeze,
    /// An attempt has failed, and the next one comes later.
    Retry,
}

/// The reason why the recovery cannot proceed. Its first text is kept, and published only if the blocker lasts: every change
/// is a write.
#[derive(Clone, Debug, PartialEq)]
struct Blocker {
    about: BlockerKind,
    since: Elapsed,
    text: String,
}

/// The delay between an accepted call and the first check of its effect.
const FIRST_CHECK_DELAY: Duration = Duration::from_millis(100);

/// The maximum age of the readings that a decision rests on: a user may have moved or stopped the instance since.
const MAX_READING_AGE: Duration = Duration::from_secs(5);

/// The duration after which a blocker is published.
const BLOCKER_DISPLAY_DELAY: Duration = Duration::from_secs(3);

impl VmRecovery {
    /// Returns a new recovery.
    pub fn new(id: RecoveryId, notification: &Notification, host: &str, policy: Policy) -> Self {
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            host: host.to_owned(),
            bound: notification
                .reporter
                .as_ref()
                .is_some_and(|reporter| reporter.host.is_some()),
            event: payload_value(&notification.payload, "event"),
            detail: payload_value(&notification.payload, "vir_domain_event"),
            server: notification
                .payload
                .get("instance_uuid")
                .and_then(|text| text.parse().ok()),
            policy,
            stage: Stage::Begin,
            since: Elapsed::ZERO,
            requested: None,
            unanswered_stop: None,
            called: false,
            silent_since: None,
            last_action: 0,
            message: None,
            hooks: HookTrack::default(),
            active: false,
            restarts: 0,
            pause_until: Elapsed::ZERO,
            counted: false,
            freeze: FreezeTrack::default(),
            relocation: Relocation::default(),
            rewound: false,
            name: None,
            tagged: None,
            wait: None,
            operator_state: None,
            server_read: Question::default(),
            observed: None,
            newest: None,
            doubted_since: None,
            service: None,
            service_read: Question::default(),
            actions_read: Question::default(),
            stop_reason: None,
            whereabouts: Whereabouts::default(),
            not_before: Elapsed::ZERO,
            blocker: None,
        }
    }

    /// Returns the current reason to wait; `None` before the first decision.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
    }

    fn waits(&self) -> WaitsFor {
        if freeze_state::waits_for(self).is_some() {
            return WaitsFor::Frozen;
        }
        let about = self.blocker.as_ref().map(|blocker| blocker.about);
        match &self.operator_state {
            Some(operator_state) if about == Some(BlockerKind::Operator) && self.stage != Stage::Done => {
                if operator_state.segment_enabled {
                    WaitsFor::Maintenance
                } else {
                    WaitsFor::SegmentDisabled
                }
            }
            Some(_) | None => WaitsFor::Nothing,
        }
    }

    /// Reads a recovery from the journal.
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

    fn end(&mut self, status: NotificationStatus, message: impl Into<String>, record: &mut Record) {
        let message = message.into();
        let task = self.task();
        match status {
            NotificationStatus::Failed => record.failed(task, message.clone()),
            NotificationStatus::New
            | NotificationStatus::Running
            | NotificationStatus::Error
            | NotificationStatus::Ignored
            | NotificationStatus::Finished => record.step(task, StepKind::Outcome, 1.0, message.clone()),
        }
        record.notification = Some((status, Some(message.clone())));
        record.life = Some(Life::Closed);
        record.head = true;
        self.message = Some(message);
        self.stage = Stage::Done;
    }

    /// Ends the recovery because it must not restart the instance. It ends as failed if it may itself have stopped the
    /// instance.
    fn end_without_restart(&mut self, status: NotificationStatus, text: String, record: &mut Record) {
        let may_be_stopped = match self.stage {
            Stage::Stopping => self.requested.is_some() || self.unanswered_stop.is_some(),
            Stage::Starting | Stage::Migrating | Stage::Confirming | Stage::Waiting => !self.active,
            Stage::Begin | Stage::Activating => self.rewound,
            Stage::Done => false,
        };
        if may_be_stopped {
            let text =
                format!("{text}; a stop for its restart had been requested, and it is not started from here");
            self.end(NotificationStatus::Failed, text, record);
        } else {
            self.end(status, text, record);
        }
    }

    fn task(&self) -> Task {
        match self.stage {
            Stage::Begin | Stage::Activating | Stage::Stopping => Task::StopInstance,
            Stage::Starting | Stage::Waiting => Task::StartInstance,
            Stage::Migrating | Stage::Confirming => Task::MigrateInstance,
            Stage::Done => Task::ConfirmActive,
        }
    }

    fn enter(&mut self, stage: Stage, now: DecisionTime, record: &mut Record) {
        self.stage = stage;
        self.since = now.elapsed;
        self.requested = None;
        self.called = false;
        self.not_before = now.elapsed;
        // The next call needs its own read of the host, and must not wait for the usual polling interval.
        self.service_read.not_before = now.elapsed;
        self.blocker = None;
        record.head = true;
    }

    /// Returns the delay until the next read of the instance. The delay is short right after an accepted call, since most
    /// instances stop and start quickly, and grows up to the normal interval.
    fn poll_delay(&self, now: DecisionTime) -> Duration {
        if self.stage == Stage::Waiting {
            return relocation::CHECK_INTERVAL;
        }
        match self.requested {
            Some(call) if call.answered => (now.elapsed.since(call.at) / 2).max(FIRST_CHECK_DELAY),
            Some(_) | None => self.policy.tick,
        }
        .min(self.policy.tick)
    }

    fn blocker(&mut self, about: BlockerKind, text: String, now: DecisionTime) {
        // Any other blocker replaces a failed call: the failure matters only while nothing else blocks the call.
        let keep = self
            .blocker
            .as_ref()
            .is_some_and(|blocker| blocker.about == about || blocker.about != BlockerKind::Call);
        if !keep {
            self.blocker = Some(Blocker {
                about,
                since: now.elapsed,
                text,
            });
        }
    }

    fn clear_blocker(&mut self, about: BlockerKind) {
        self.blocker.take_if(|blocker| blocker.about == about);
    }

    fn act(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        for _ in 0..5 {
            let before = self.stage;
            self.act_once(now, record, commands);
            if self.stage == before {
                break;
            }
        }
        let current = self
            .blocker
            .as_ref()
            .filter(|blocker| now.elapsed.since(blocker.since) >= BLOCKER_DISPLAY_DELAY)
            .map(|blocker| blocker.text.clone());
        if self.stage != Stage::Done && self.message != current {
            self.message = current;
            record.head = true;
            record.notification = Some((NotificationStatus::Running, self.message.clone()));
        }
    }

    fn act_once(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        if self.stage == Stage::Done {
            return;
        }
        if self.active {
            return self.close(now, record, commands);
        }
        let Some(server) = self.begin(record) else { return };
        if freeze_state::holds(self, now, record) {
            return;
        }
        self.drop_stale_readings(now);
        if self.server_read.send(now.elapsed) {
            commands.push(Command::ReadServer(server));
        }
        let Some(shown) = self.observed.as_ref().map(|shown| shown.what.clone()) else {
            return;
        };
        if self.stage == Stage::Begin {
            return self.judge(&shown, now, record, commands);
        }
        let may_be_moved = relocation::may_be_moved(self, &shown);
        if !may_be_moved && shown.host.as_deref() != Some(self.host.as_str()) {
            // Stop and start follow the instance to any host; the checks of R12 cover only this host.
            let text = format!(
                "the instance has left host {} meanwhile: nothing more is done to it",
                self.host
            );
            return self.end_without_restart(NotificationStatus::Ignored, text, record);
        }
        if is_set_by_owner(&shown.vm_state) {
            let text = format!("the instance is {}: left to its owner", shown.vm_state);
            return self.end(NotificationStatus::Ignored, text, record);
        }
        if may_be_moved {
            return relocation::act_migrating(self, server, &shown, now, record, commands);
        }
        match self.stage {
            Stage::Begin | Stage::Done => {}
            Stage::Activating => self.act_activating(server, &shown, now, record, commands),
            Stage::Stopping => self.act_stopping(server, &shown, now, record, commands),
            Stage::Starting => self.act_starting(server, &shown, now, record, commands),
            Stage::Migrating => relocation::act_migrating(self, server, &shown, now, record, commands),
            Stage::Confirming => relocation::act_confirming(self, server, &shown, now, record, commands),
            Stage::Waiting => relocation::act_waiting(self, &shown, now, record),
        }
    }
}

/// Returns the next decision, given the state, the latest observation, and the age of the recovery.
pub fn decide(state: &mut VmRecovery, observation: Observation, now: DecisionTime) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if state.stage != Stage::Done {
        state.observe(observation, now, &mut record);
        state.act(now, &mut record, &mut commands);
        if state.stage == Stage::Done {
            // No answer is needed any more.
            commands.clear();
        }
        let waits = state.waits();
        record.head |= note(&mut state.wait, waits, BTreeSet::new(), now.wall);
    }
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
