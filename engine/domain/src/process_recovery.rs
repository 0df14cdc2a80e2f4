//! The recovery of a process that has failed for good: the compute service of its host is disabled, so that nothing new is
//! placed on the host. Host recovery stays enabled.

mod freeze_state;
mod guard_state;
mod hooks;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::count;
use crate::elapsed::Elapsed;
use crate::entity::Notification;
use crate::entity::host::MaintenanceReason;
use crate::entity::notification::NotificationStatus;
use crate::fault::FaultClass;
use crate::freeze::Freeze;
use crate::guard::Region;
use crate::hooks::Phase;
use crate::id::{HostId, NotificationId, RecoveryId};
use crate::nova::Service;
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::action;
use crate::recovery::{
    Command, Decision, DecisionTime, HookTrack, LOST_CALLS_MESSAGE, Life, Observation, OperatorCommand,
    OperatorState, Record, ServiceUpdate, StepKind, Task, mark,
};
use crate::state_version::StateVersion;
use crate::wait::Wait;
use crate::wait::{WaitsFor, note};

use freeze_state::FreezeTrack;
use guard_state::GuardState;

/// The stored state of a process recovery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessRecovery {
    /// The version of this state. A newer version is refused on reading.
    #[serde(default)]
    pub version: StateVersion,
    pub id: RecoveryId,
    pub notification: NotificationId,
    /// The host; `None` in a recovery that an older version started.
    #[serde(default)]
    pub host_id: Option<HostId>,
    /// The host's service name in Nova.
    pub host: String,
    /// `event` of the notification, upper case.
    pub event: String,
    /// `process_name` of the notification.
    pub process: String,
    /// The copy of the options for this recovery.
    pub policy: Policy,
    /// The number of the last operator action that was read.
    #[serde(rename = "heard")]
    pub last_action: u64,
    /// The time of the last disable request. While it may still take effect, its effect is checked, whatever an operator sets.
    #[serde(rename = "asked")]
    requested: Option<Elapsed>,
    /// The number of requests that Nova has accepted.
    accepted: u32,
    /// The time of the first accepted request.
    #[serde(default)]
    accepted_at: Option<Elapsed>,
    /// True if the recovery is done.
    pub over: bool,
    pub message: Option<String>,
    #[serde(default)]
    pub hooks: HookTrack,
    /// True if the service is disabled: only hooks remain.
    #[serde(default)]
    disabled: bool,
    /// The result of the guards.
    #[serde(default)]
    guarded: GuardState,
    #[serde(default)]
    freeze: FreezeTrack,
    /// The current reason to wait; `None` in a state that an older version wrote.
    #[serde(default)]
    wait: Option<Wait>,
    /// The latest region scan, and the time of its request.
    #[serde(skip)]
    region: Option<(Elapsed, Arc<Region>)>,
    /// The service as Nova showed it before that scan.
    #[serde(skip)]
    waits_for_region: Option<(Elapsed, Service)>,
    #[serde(skip)]
    operator_state: Option<OperatorState>,
    /// The pending request about the service; one at a time.
    #[serde(skip)]
    question: Question,
    /// The time until which an accepted call is not repeated, and only its effect is checked.
    #[serde(skip)]
    no_repeat_until: Elapsed,
    #[serde(skip)]
    blocker: Option<String>,
}

/// The longest time between an intent and its call, rounded up.
const MAX_CALL_DELAY: Duration = Duration::from_secs(1);

impl ProcessRecovery {
    /// Returns a new recovery.
    pub fn new(id: RecoveryId, notification: &Notification, host: &str, policy: Policy) -> Self {
        let field = |key: &str| notification.payload.get(key).cloned().unwrap_or_default();
        Self {
            version: StateVersion,
            id,
            notification: notification.id,
            host_id: Some(notification.source_host),
            host: host.to_owned(),
            event: field("event").to_ascii_uppercase(),
            process: field("process_name"),
            policy,
            last_action: 0,
            requested: None,
            accepted: 0,
            accepted_at: None,
            over: false,
            message: None,
            hooks: HookTrack::default(),
            disabled: false,
            guarded: GuardState::default(),
            freeze: FreezeTrack::default(),
            wait: None,
            region: None,
            waits_for_region: None,
            operator_state: None,
            question: Question::default(),
            no_repeat_until: Elapsed::ZERO,
            blocker: None,
        }
    }

    /// Returns the current reason to wait; `None` before the first decision.
    pub fn wait(&self) -> Option<&Wait> {
        self.wait.as_ref()
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
        match status {
            NotificationStatus::Failed => record.failed(Task::DisableNode, message.clone()),
            NotificationStatus::New
            | NotificationStatus::Running
            | NotificationStatus::Error
            | NotificationStatus::Ignored
            | NotificationStatus::Finished => {
                record.step(Task::DisableNode, StepKind::Outcome, 1.0, message.clone());
            }
        }
        record.notification = Some((status, Some(message.clone())));
        record.life = Some(Life::Closed);
        record.head = true;
        self.message = Some(message);
        self.over = true;
    }

    fn apply_operator_state(&mut self, operator_state: OperatorState, record: &mut Record) {
        for applied in action::apply(&operator_state, &mut self.last_action, Task::DisableNode, record) {
            let action = &applied.request;
            if action.word == OperatorCommand::Reject {
                self.end(
                    NotificationStatus::Failed,
                    format!("aborted by {}", action.by),
                    record,
                );
            } else if let Some(why) = applied.mismatch_reason(self.wait.as_ref()) {
                record.step(Task::DisableNode, StepKind::Note, 0.0, why);
            } else {
                self.approved(action, record);
            }
        }
        self.operator_state = Some(operator_state);
    }

    fn gates(&self) -> Option<(NotificationStatus, String)> {
        let operator_state = self.operator_state.as_ref()?;
        if self.event == "STARTED" {
            return Some((
                NotificationStatus::Finished,
                format!("{} has started: nothing to do", self.process),
            ));
        }
        if self.event != "STOPPED" {
            return Some((
                NotificationStatus::Ignored,
                format!("event {:?} requires no recovery", self.event),
            ));
        }
        if !operator_state.segment_enabled && self.requested.is_none() {
            return Some((
                NotificationStatus::Ignored,
                "Recovery aborted: the segment HA is disabled.".into(),
            ));
        }
        if self.process.is_empty() {
            return Some((NotificationStatus::Ignored, "the report names no process".into()));
        }
        if self.is_non_essential() && self.requested.is_none() {
            let text = format!(
                "Skipped: {} has stopped; it is in [process_failure] non_essential_processes, so {} stays in use",
                self.process, self.host
            );
            return Some((NotificationStatus::Finished, text));
        }
        if operator_state.operator_maintenance && self.requested.is_none() {
            return Some((
                NotificationStatus::Ignored,
                format!("host {} is in maintenance, set by an operator", self.host),
            ));
        }
        None
    }

    /// True if the process is listed as non-essential. Monitors report the program's name or its whole path.
    fn is_non_essential(&self) -> bool {
        let program = |path: &str| path.rsplit('/').next().unwrap_or(path).to_owned();
        let mut listed = self.policy.non_essential_processes.iter();
        listed.any(|name| program(name) == program(&self.process))
    }

    /// Disables the service, unless a freeze, a guard or an operator's setting blocks that.
    fn disable(
        &mut self,
        service: &Service,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if !self.freeze_allows(service, now, record) {
            return;
        }
        // A copy of Nova's database that lags behind may still show what an earlier recovery has done, and an operator has undone.
        let reason = service.disabled_reason.as_deref().unwrap_or_default();
        let of_another = self.requested.is_none()
            && reason.starts_with(&self.policy.process_disable_reason)
            && !reason.contains(&mark(self.id));
        if !service.enabled && !of_another {
            // A reserved host is disabled too, and reports alone must not take it out of use either. This recovery's own
            // request has passed the guards already.
            if self.requested.is_some() || self.guards_pass(service, now, record, commands) {
                record.host = Some(MaintenanceReason::Process);
                record.head = true;
                self.disabled = true;
            }
            return;
        }
        self.question.not_before = now.elapsed.plus(self.policy.tick);
        if self.operator_state.as_ref().is_none_or(|operator_state| {
            !operator_state.segment_enabled || operator_state.operator_maintenance
        }) {
            let settled = self.policy.late_effect_window() + MAX_CALL_DELAY;
            // A call that can no longer take effect counts as not made; then the gates end the recovery.
            self.requested.take_if(|at| now.elapsed.since(*at) >= settled);
            return;
        }
        if now.elapsed < self.no_repeat_until {
            return;
        }
        let in_vain = |at: Elapsed| now.elapsed.since(at) >= self.policy.disable_limit;
        if self.accepted_at.is_some_and(in_vain) {
            let text = format!(
                "Nova has accepted {} to disable the compute service of {}, and still shows it enabled",
                count(self.accepted, "time", "times"),
                self.host
            );
            return self.end(NotificationStatus::Failed, text, record);
        }
        // After the first request the guards have nothing left to prevent.
        if self.requested.is_none() && !self.guards_pass(service, now, record, commands) {
            return;
        }
        // Repeating the call is harmless, so the next read decides, not the answer to this call.
        self.question.send_at_once(now.elapsed);
        self.freeze.first = self.requested.is_none();
        record.unless_frozen.own = self.freeze.first;
        self.requested = Some(now.elapsed);
        let reason = format!("{} [{}]", self.policy.process_disable_reason, mark(self.id));
        record.head = true;
        record.unless_host_recovery = Some(self.host.clone());
        record.step(
            Task::DisableNode,
            StepKind::Intent,
            0.5,
            format!("disabling the service of {}", self.host),
        );
        commands.push(Command::UpdateService {
            id: service.id,
            update: ServiceUpdate::Disable { reason },
        });
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each observation")]
    fn observe(
        &mut self,
        observation: Observation,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        match observation {
            Observation::Rewound => {
                self.message = Some(LOST_CALLS_MESSAGE.to_owned());
                record.head = true;
            }
            Observation::Claimed(operator_state) => {
                self.question.not_sent();
                self.hooks.forget_answers();
                record.head = true;
                self.apply_operator_state(operator_state, record);
            }
            Observation::OperatorState(operator_state) => self.apply_operator_state(operator_state, record),
            Observation::Service(Ok(Some(service))) => {
                self.question.answered();
                self.question.found();
                self.blocker = None;
                self.disable(&service, now, record, commands);
            }
            Observation::Service(Ok(None)) => {
                let requested_at = self.question.answered().unwrap_or(now.elapsed);
                let text = format!("Nova knows no nova-compute service on host {}", self.host);
                if self.question.note_gone(requested_at, now.elapsed) {
                    self.end(NotificationStatus::Failed, text, record);
                } else {
                    self.blocker.get_or_insert(text);
                }
            }
            Observation::Service(Err(fault)) => {
                self.question.answered();
                self.question.not_before = now.elapsed.plus(Duration::from_secs(1));
                self.blocker
                    .get_or_insert(format!("waiting for Nova: {}", fault.text));
            }
            Observation::ServiceUpdated(Ok(_)) => {
                self.question.answered();
                self.blocker = None;
                self.accepted = self.accepted.saturating_add(1);
                self.accepted_at.get_or_insert(now.elapsed);
                record.head = true;
                // Nova may still show the old state for a moment.
                self.question.not_before = now.elapsed.plus(self.policy.tick);
                self.no_repeat_until = now.elapsed.plus(self.policy.call_deadline);
            }
            Observation::ServiceUpdated(Err(fault)) => {
                self.question.answered();
                self.question.not_before = now.elapsed.plus(Duration::from_secs(1));
                if !fault.maybe_done {
                    self.requested = None;
                    record.head = true;
                }
                if fault.class == FaultClass::Permanent {
                    self.end(NotificationStatus::Failed, fault.text, record);
                } else {
                    self.blocker.get_or_insert(fault.text);
                }
            }
            Observation::Hook {
                phase,
                number,
                attempt,
                outcome,
            } => self.hook_answered((phase, number, attempt), &outcome, now, record),
            Observation::NotSent(Command::RunHook(call)) => {
                self.hooks.not_sent((call.phase, call.number, call.attempt), now);
            }
            Observation::Region(region) => {
                self.question.answered();
                let waits = self.waits_for_region.take();
                // This engine may have been suspended in the meantime: then the data is as old as the request.
                let old = |(requested_at, _): &(Elapsed, Service)| {
                    now.elapsed.since(*requested_at) > self.policy.call_deadline
                };
                if waits.as_ref().is_some_and(old) {
                    self.question.not_before = now.elapsed.plus(self.policy.tick);
                    return;
                }
                self.region = Some((now.elapsed, region));
                if let Some((_, service)) = waits {
                    self.disable(&service, now, record, commands);
                }
            }
            Observation::NotSent(command) => {
                self.question.not_sent();
                if command.is_write() {
                    self.call_withdrawn();
                }
                self.question.not_before = now.elapsed.plus(self.policy.tick);
            }
            Observation::HostUnderRecovery => {
                let text = format!("host {} is being recovered", self.host);
                self.end(NotificationStatus::Finished, text, record);
            }
            Observation::Tick
            | Observation::MayRunOn(_)
            | Observation::InstancesUnderRecovery(_)
            | Observation::OrderRefused
            | Observation::Power { .. }
            | Observation::PowerOff { .. }
            | Observation::PowerOn { .. }
            | Observation::FencingStopped(_)
            | Observation::Levels(_)
            | Observation::Inventory(_)
            | Observation::Lists(_)
            | Observation::Followed { .. }
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::Server { .. }
            | Observation::ServerCall { .. }
            | Observation::MovesTaken(_)
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_)
            | Observation::Actions { .. } => {}
        }
    }
}

/// Returns the next decision, given the state, the latest observation, and the age of the recovery.
pub fn decide(state: &mut ProcessRecovery, observation: Observation, now: DecisionTime) -> Decision {
    let mut record = Record::default();
    let mut commands = Vec::new();
    if !state.over {
        state.observe(observation, now, &mut record, &mut commands);
        state.apply_freeze_end(&mut record);
    }
    if !state.over {
        if let Some((status, message)) = state.gates().filter(|_| !state.disabled) {
            state.end(status, message, &mut record);
            commands.clear();
        } else if state.frozen().is_some() {
            // Nothing is started during a freeze, and nothing has to be read.
        } else if !state.pass(Phase::Pre, now, &mut record, &mut commands) {
            // A hook is running, or has ended the recovery.
        } else if state.disabled || !state.policy.flows.process.acts {
            state.close(now, &mut record, &mut commands);
        } else if state.operator_state.is_some() && state.question.send(now.elapsed) {
            commands.push(Command::ReadService);
        }
    }
    let (what, on) = if state.over {
        (WaitsFor::Nothing, BTreeSet::new())
    } else if let Some(freeze) = state.frozen() {
        (WaitsFor::Frozen, [freeze.what()].into())
    } else {
        state.guarded.waits()
    };
    record.head |= note(&mut state.wait, what, on, now.wall);
    let frozen = state.frozen().map(Freeze::message);
    let message = frozen
        .or_else(|| state.guarded.message())
        .or_else(|| state.blocker.clone());
    if !state.over && state.message != message {
        state.message = message;
        record.head = true;
        record.notification = Some((NotificationStatus::Running, state.message.clone()));
    }
    Decision { record, commands }
}

#[cfg(test)]
mod tests;
