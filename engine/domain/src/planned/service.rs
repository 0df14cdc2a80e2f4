//! The host's service in Nova: it has to be up, and a drained host gets no new instances.

use super::{NovaReading, PlannedCall, PlannedStage, PlannedState, RECOVERY_CHECK_INTERVAL};
use crate::fault::Fault;
use crate::nova::Service;
use crate::recovery::{Command, DecisionTime, Record, ServiceUpdate, StepKind, Task, planned_mark};

/// The maximum length of the operator's part of a disable reason: Nova keeps 255 characters, and our mark must fit.
const MAX_REASON_LENGTH: usize = 150;

impl PlannedState {
    pub(super) fn apply_service(&mut self, result: Result<Option<Service>, Fault>, now: DecisionTime) {
        let Some(at) = self.service_read.answered() else {
            return;
        };
        self.service_read.not_before = now.elapsed.plus(self.policy.tick);
        match result {
            Ok(Some(service)) => {
                self.service = Some(NovaReading { at, what: service });
            }
            // An unregistered host would have no recovery here. A cell that does not answer shows no service for a while.
            Ok(None) => {
                self.service = None;
                self.blocker(format!("Nova shows no nova-compute on {}", self.host), now);
            }
            Err(fault) => self.blocker(format!("reading the service of {}: {fault}", self.host), now),
        }
    }

    pub(super) fn apply_service_update(
        &mut self,
        result: Result<Service, Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        self.updating = false;
        let Some(call) = self.disabling.as_mut() else {
            return;
        };
        record.head = true;
        self.service = None;
        self.service_read.not_before = now.elapsed;
        match result {
            Ok(_) => call.answered = Some(now.elapsed),
            Err(fault) if fault.maybe_done => {
                let text = format!("no answer: {fault}");
                record.step(Task::DisableNode, StepKind::Outcome, 0.5, text);
            }
            Err(fault) => {
                self.disabling = None;
                self.not_before = now.elapsed.plus(self.policy.tick * 5);
                self.blocker(format!("disabling the service of {}: {fault}", self.host), now);
            }
        }
    }

    /// Returns the host's service from a recent read, if there is one, and requests a new read when it is due.
    pub(super) fn poll_service(&mut self, now: DecisionTime, commands: &mut Vec<Command>) -> Option<Service> {
        let oldest = self.policy.call_deadline.max(self.policy.tick * 2);
        self.service
            .take_if(|reading| now.elapsed.since(reading.at) > oldest);
        if self.service_read.send(now.elapsed) {
            commands.push(Command::ReadService);
        }
        self.service.as_ref().map(|reading| reading.what.clone())
    }

    pub(super) fn act_begin(&mut self, now: DecisionTime, record: &mut Record, commands: &mut Vec<Command>) {
        if self.operator_state.is_none() {
            return;
        }
        if self.aborted.is_some() {
            return self.end_aborted(record);
        }
        if let Some(text) = self.frozen() {
            self.blocker(text, now);
            return;
        }
        let Some(service) = self.poll_service(now, commands) else {
            return;
        };
        if !service.up || service.forced_down {
            let text = format!(
                "Nova shows {} down: only instances of a running host are live-migrated",
                self.host
            );
            return self.end_failed(text, record);
        }
        let why = service.disabled_reason.as_deref().unwrap_or("no reason given");
        if self.is_drain() && !service.enabled {
            let text = format!("{} was already disabled ({why}) and stays so", self.host);
            record.step(Task::DisableNode, StepKind::Note, 1.0, text);
            return self.enter(PlannedStage::Listing, record);
        }
        if self.is_drain() {
            return self.enter(PlannedStage::Disabling, record);
        }
        if !service.enabled {
            let text = format!("{} is disabled in Nova ({why}): it takes no instances", self.host);
            return self.end_failed(text, record);
        }
        let named: Vec<_> = self.order.instances.clone().into_iter().collect();
        for (server, source) in named {
            let name = server.to_string();
            self.add_move(server, &name, &source, record);
        }
        self.enter(PlannedStage::Moving, record);
    }

    pub(super) fn act_disabling(
        &mut self,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) {
        if self.disabling.is_some_and(|call| call.answered.is_some()) {
            let text = format!("{} is disabled: Nova places nothing new on it", self.host);
            record.step(Task::DisableNode, StepKind::Outcome, 1.0, text);
            return self.enter(PlannedStage::Listing, record);
        }
        let may_take_effect = self.disabling.is_some_and(|call| !self.is_settled(call.at, now));
        if self.aborted.is_some() && !may_take_effect {
            return self.end_aborted(record);
        }
        if self.updating {
            return;
        }
        let Some(service) = self.poll_service(now, commands) else {
            return;
        };
        // Disabled by our unanswered call or by another caller; either is fine.
        if !service.enabled {
            let text = format!("{} is disabled", self.host);
            record.step(Task::DisableNode, StepKind::Outcome, 1.0, text);
            return self.enter(PlannedStage::Listing, record);
        }
        if let Some(text) = self.frozen() {
            self.blocker(text, now);
            return;
        }
        if may_take_effect || now.elapsed < self.not_before || !self.lives(&service, now, record) {
            return;
        }
        let by: String = format!("{} (drained by {})", self.order.reason, self.order.by)
            .chars()
            .take(MAX_REASON_LENGTH)
            .collect();
        let reason = format!("{by} [{}]", planned_mark(self.id));
        self.disabling = Some(PlannedCall {
            at: now.elapsed,
            answered: None,
        });
        self.updating = true;
        record.head = true;
        record.unless_host_recovery = Some(self.host.clone());
        record.unless_frozen.own = true;
        let text = format!("disabling service of {}", self.host);
        record.step(Task::DisableNode, StepKind::Intent, 0.0, text);
        commands.push(Command::UpdateService {
            id: service.id,
            update: ServiceUpdate::Disable { reason },
        });
    }

    /// True if the host is up, so calls may be made. While it is down, the journal is checked for a recovery of the host,
    /// which ends this operation.
    pub(super) fn lives(&mut self, service: &Service, now: DecisionTime, record: &mut Record) -> bool {
        if service.up && !service.forced_down {
            return true;
        }
        self.blocker(
            format!(
                "Nova shows {} down: nothing new is started, and a recovery of the host would end this",
                self.host
            ),
            now,
        );
        if now.elapsed.since(self.recovery_checked_at) >= RECOVERY_CHECK_INTERVAL {
            self.recovery_checked_at = now.elapsed;
            record.head = true;
            record.unless_host_recovery = Some(self.host.clone());
        }
        false
    }
}
