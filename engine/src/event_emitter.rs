//! Emits events about a recovery from its journal.
//!
//! An engine emits only the changes that it has committed: two engines never emit the same step, and a refused write has
//! no event. If an engine dies between the commit and the event, the event is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tachi_domain::entity::notification::NotificationStatus;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::entity::{Host, Notification};
use tachi_domain::event::{
    Cause, Change, Event, EventSnapshot, FailureCause, HandlingMethod, Phase, RecoveryEvent,
    RecoverySnapshot, Subject, VmoveSnapshot,
};
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::{RecoveryId, ServerId, Timestamp};

use crate::correlation;
use crate::ports::Events;
use crate::ports::journal::{ClaimedRecovery, MoveWrite, StepWrite, Write};
use tachi_driver::Recovery;

/// Limit of failed steps in an error's trace.
const MAX_TRACE_LINES: usize = 20;

/// The module name in errors.
const MODULE: &str = "tachi.engine";

pub(crate) struct EventEmitter {
    events: Arc<dyn Events>,
    cause: Arc<Cause>,
    engine: String,
    recovery: RecoveryId,
    kind: RecoveryKind,
    /// The notification as in the journal; events show its status and message.
    notification: Notification,
    host: Option<Host>,
    life: Life,
    /// True if it ended as a false alarm.
    dismissed: bool,
    /// True if its start was emitted, by this engine or a former owner.
    start_emitted: bool,
    proven: bool,
    hold: Option<String>,
    moves: BTreeMap<ServerId, VmoveStatus>,
    /// Instances whose start was emitted. A repeated request is not a second start.
    started: BTreeSet<ServerId>,
    /// The latest failures, oldest first, and the task that they belong to.
    failures: VecDeque<String>,
    failed_task: Option<&'static str>,
}

impl EventEmitter {
    /// Creates the emitter for a recovery that has just been claimed; `None` if there is no listener. `state` is `None`
    /// if the recovery cannot be driven.
    pub(crate) fn new(
        events: &Arc<dyn Events>,
        engine: &str,
        claimed: &ClaimedRecovery,
        state: Option<&dyn Recovery>,
    ) -> Option<Self> {
        // Masakari has no events for planned work.
        if !events.is_enabled() || claimed.kind.is_planned() {
            return None;
        }
        let moves = state.map(<dyn Recovery>::move_statuses).unwrap_or_default();
        Some(Self {
            events: Arc::clone(events),
            cause: Arc::new(Cause {
                request_id: (*correlation::of_recovery(claimed.id)).to_owned(),
                is_admin: true,
                ..Cause::default()
            }),
            engine: engine.to_owned(),
            recovery: claimed.id,
            kind: claimed.kind,
            notification: claimed.notification.clone(),
            host: claimed.host.clone(),
            life: claimed.life,
            dismissed: false,
            start_emitted: claimed.state.is_some(),
            proven: state.and_then(<dyn Recovery>::is_proven_off).unwrap_or(false),
            hold: state.and_then(|it| it.hold_reason()).map(str::to_owned),
            moves,
            started: state.map(<dyn Recovery>::requested_instances).unwrap_or_default(),
            failures: VecDeque::new(),
            failed_task: None,
        })
    }

    /// Emits a change of owner if another engine had started the recovery. Must be called after the commit of the claim.
    pub(crate) fn claimed(&self, at: Timestamp) {
        if self.start_emitted && self.life == Life::Open {
            self.recovery_event(RecoveryEvent::TakeOver, None, None, at);
        }
    }

    /// Emits the changes of the committed `write`. `hold` is the reason of the current hold, if any.
    pub(crate) fn committed(&mut self, write: &Write, hold: Option<&str>, at: Timestamp) {
        let was_open = self.notification.status.is_open();
        if let Some((status, message)) = &write.notification {
            self.notification.status = *status;
            self.notification.message.clone_from(message);
        }
        let ends = was_open && !self.notification.status.is_open();
        self.note_failures(&write.steps);
        if !self.start_emitted && (write.state.is_some() || ends) {
            self.start_emitted = true;
            self.begin(at);
        }
        if write.host.is_some() {
            self.emit_maintenance(at);
        }
        if let Some(proven_off) = write.proven_off {
            // A bare NORMAL is a proof on which other recoveries do not rely.
            let proven = proven_off || !write.proofs.is_empty();
            if proven && !self.proven {
                self.recovery_event(RecoveryEvent::Proof, None, None, at);
            }
            self.proven = proven;
        }
        for instance in &write.moves {
            self.emit_move(instance, at);
        }
        if !ends {
            self.emit_hold_change(hold, at);
        }
        self.hold = hold.map(str::to_owned);
        if ends {
            self.dismissed = write.dismissed;
            self.end(at);
        }
        if let Some(life) = write.life {
            if self.life == Life::Watching && life == Life::Closed {
                self.recovery_event(RecoveryEvent::Close, None, None, at);
            }
            self.life = life;
        }
    }

    fn note_failures(&mut self, steps: &[StepWrite]) {
        for step in steps.iter().map(|line| &line.step).filter(|step| step.failed) {
            if self.failures.len() >= MAX_TRACE_LINES {
                self.failures.pop_front();
            }
            self.failures
                .push_back(format!("{}: {}", step.task.name(), step.text));
            self.failed_task = Some(step.task.name());
        }
    }

    fn begin(&self, at: Timestamp) {
        self.handle(NotificationStatus::Running, Phase::Start, None, at);
        self.recovery_event(RecoveryEvent::Process, Some(Phase::Start), None, at);
    }

    fn end(&self, at: Timestamp) {
        let status = self.notification.status;
        let failure = (status == NotificationStatus::Failed).then(|| self.failure_of_recovery());
        let phase = if failure.is_some() {
            Phase::Error
        } else {
            Phase::End
        };
        self.handle(status, phase, failure.clone(), at);
        // Masakari's event follows its API's status. In ours, a false alarm is not a failure.
        let (phase, failure) = if self.dismissed {
            (Phase::End, None)
        } else {
            (phase, failure)
        };
        self.recovery_event(RecoveryEvent::Process, Some(phase), failure, at);
    }

    fn handle(&self, status: NotificationStatus, phase: Phase, failure: Option<FailureCause>, at: Timestamp) {
        let known = EventSnapshot::Entity(Notification {
            status,
            ..self.notification.clone()
        });
        let subject = Subject::Notification(HandlingMethod::Process, known);
        self.emit(subject, Some(phase), failure, at);
    }

    fn emit_maintenance(&mut self, at: Timestamp) {
        let Some(host) = self.host.as_mut().filter(|host| !host.on_maintenance) else {
            return;
        };
        host.on_maintenance = true;
        let subject = Subject::Host(Change::Update, EventSnapshot::Entity(host.clone()));
        for phase in [Phase::Start, Phase::End] {
            self.emit(subject.clone(), Some(phase), None, at);
        }
    }

    fn emit_move(&mut self, instance: &MoveWrite, at: Timestamp) {
        if self.moves.insert(instance.server, instance.vmove.status) == Some(instance.vmove.status) {
            return;
        }
        let (phase, failure) = match instance.vmove.status {
            VmoveStatus::Pending => return,
            VmoveStatus::Ongoing if !self.started.insert(instance.server) => return,
            VmoveStatus::Ongoing => (Phase::Start, None),
            VmoveStatus::Succeeded | VmoveStatus::Ignored => (Phase::End, None),
            VmoveStatus::Failed => (Phase::Error, Some(failure_of_move(instance))),
        };
        let summary = VmoveSnapshot {
            notification: self.notification.id,
            recovery: self.recovery,
            server: instance.server,
            state: instance.vmove.clone(),
        };
        self.emit(Subject::Vmove(summary), Some(phase), failure, at);
    }

    /// Emits again that the recovery is on hold.
    pub(crate) fn still_held(&self, reason: &str, at: Timestamp) {
        self.hold(reason, at);
    }

    fn hold(&self, reason: &str, at: Timestamp) {
        let failure = FailureCause {
            exception: "RecoveryHeld".to_owned(),
            message: reason.to_owned(),
            module: MODULE.to_owned(),
            function: self.failed_task.unwrap_or("unknown").to_owned(),
            trace: self.trace(),
        };
        self.recovery_event(RecoveryEvent::Hold, None, Some(failure), at);
    }

    fn emit_hold_change(&self, hold: Option<&str>, at: Timestamp) {
        match (self.hold.as_deref(), hold) {
            (was, Some(reason)) if was != Some(reason) => self.hold(reason, at),
            (Some(_), None) => self.recovery_event(RecoveryEvent::Resume, None, None, at),
            (_, Some(_)) | (None, None) => {}
        }
    }

    fn failure_of_recovery(&self) -> FailureCause {
        let exception = match self.kind {
            RecoveryKind::Host => "HostRecoveryFailureException",
            RecoveryKind::Vm => "InstanceRecoveryFailureException",
            RecoveryKind::Process => "ProcessRecoveryFailureException",
            RecoveryKind::Drain | RecoveryKind::Giveback => "PlannedMoveException",
        };
        FailureCause {
            exception: exception.to_owned(),
            message: self.notification.message.clone().unwrap_or_default(),
            module: MODULE.to_owned(),
            function: self.failed_task.unwrap_or("unknown").to_owned(),
            trace: self.trace(),
        }
    }

    fn trace(&self) -> String {
        self.failures
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn recovery_event(
        &self,
        event: RecoveryEvent,
        phase: Option<Phase>,
        failure: Option<FailureCause>,
        at: Timestamp,
    ) {
        let host = self.host.as_ref();
        let mut moves = BTreeMap::new();
        for status in self.moves.values() {
            *moves.entry(*status).or_insert(0_u64) += 1;
        }
        let summary = RecoverySnapshot {
            id: self.recovery,
            notification: self.notification.id,
            kind: self.kind,
            host: self.notification.source_host,
            host_name: host.map(|host| host.name.clone()),
            segment: host.map(|host| host.segment.id),
            recovery_method: host
                .filter(|_| self.kind == RecoveryKind::Host)
                .map(|host| host.segment.recovery_method),
            engine: self.engine.clone(),
            status: self.notification.status,
            dismissed: self.dismissed,
            message: self.notification.message.clone(),
            moves,
        };
        self.emit(Subject::Recovery(event, summary), phase, failure, at);
    }

    fn emit(&self, subject: Subject, phase: Option<Phase>, failure: Option<FailureCause>, at: Timestamp) {
        self.events.emit(Event {
            at,
            cause: Arc::clone(&self.cause),
            subject,
            phase,
            failure,
        });
    }
}

fn failure_of_move(instance: &MoveWrite) -> FailureCause {
    FailureCause {
        exception: "InstanceEvacuationFailure".to_owned(),
        message: instance.vmove.message.clone().unwrap_or_default(),
        module: MODULE.to_owned(),
        function: "EvacuateInstancesTask".to_owned(),
        trace: String::new(),
    }
}

#[cfg(test)]
mod tests;
