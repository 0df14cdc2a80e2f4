//! Calls about the instance: the conditions for a call, Nova's answers, and the wait for the effect.

use std::time::Duration;

use super::{
    BlockerKind, FIRST_CHECK_DELAY, JournalledCall, MAX_READING_AGE, Stage, VmRecovery, freeze_state, gates,
    relocation, whereabouts,
};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::fault::{Fault, FaultClass};
use crate::nova::{ServerAction, StopReason};
use crate::question::NovaReading;
use crate::recovery::{Command, DecisionTime, Elsewhere, Record, ServerCall, StepKind};

/// The longest time between an intent and its call, rounded up.
const MAX_CALL_DELAY: Duration = Duration::from_secs(1);

/// Handles an answer by Nova, requested at `requested_at`, that it knows no such instance. A copy of its database that lags behind, or a cell
/// that is away, gives it too, so it counts only if a later answer repeats it.
pub(super) fn not_found(
    state: &mut VmRecovery,
    requested_at: Elapsed,
    now: DecisionTime,
    record: &mut Record,
) {
    if state.server_read.note_gone(requested_at, now.elapsed) {
        return state.end(NotificationStatus::Ignored, "the instance does not exist", record);
    }
    state.observed = None;
    state.blocker(
        BlockerKind::Instance,
        "Nova does not know the instance: reading it again".to_owned(),
        now,
    );
}

impl VmRecovery {
    pub(super) fn answered(
        &mut self,
        call: ServerCall,
        result: Result<(), Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let expected = match self.stage {
            Stage::Activating => call == ServerCall::Activate,
            Stage::Stopping => call == ServerCall::Stop,
            Stage::Starting => call == ServerCall::Start,
            Stage::Migrating => call == ServerCall::Migrate,
            Stage::Confirming => call == ServerCall::ConfirmMigration,
            Stage::Begin | Stage::Waiting | Stage::Done => false,
        };
        let Some(journalled) = self.requested.as_mut().filter(|_| expected) else {
            return;
        };
        // Data read before the call does not show the call's effect.
        self.observed = None;
        record.head = true;
        match result {
            Ok(()) => {
                journalled.answered = true;
                self.server_read.not_before = now.elapsed.plus(FIRST_CHECK_DELAY);
                self.clear_blocker(BlockerKind::Call);
            }
            Err(fault) if fault.maybe_done => {
                if call == ServerCall::Stop {
                    self.unanswered_stop = Some(journalled.at);
                }
                let text = format!("no answer: {}", fault.text);
                record.step(self.task(), StepKind::Outcome, 0.5, text.clone());
                self.blocker(BlockerKind::Call, text, now);
            }
            Err(fault) => {
                let call = *journalled;
                self.requested = None;
                match fault.class {
                    // The state has changed in the meantime, often by Nova itself: read it again.
                    FaultClass::Conflict | FaultClass::Transient => {
                        self.not_before = now.elapsed.plus(Duration::from_secs(1));
                        self.blocker(BlockerKind::Call, fault.text, now);
                    }
                    // An operator may repair it before the limit.
                    FaultClass::Fatal => {
                        self.not_before = now.elapsed.plus(Duration::from_secs(10));
                        self.blocker(BlockerKind::Call, fault.text, now);
                    }
                    FaultClass::Permanent if fault.is_gone() => {
                        self.not_before = now.elapsed.plus(Duration::from_secs(1));
                        not_found(self, now.elapsed, now, record);
                    }
                    // Nova may be carrying out an earlier confirmation: it refuses another one, and the instance shows the result.
                    FaultClass::Permanent if self.stage == Stage::Confirming => {
                        self.requested = Some(JournalledCall {
                            answered: true,
                            ..call
                        });
                        self.blocker(BlockerKind::Call, fault.text, now);
                    }
                    FaultClass::Permanent if self.stage == Stage::Migrating => {
                        relocation::not_moved(self, &fault.text, now, record);
                    }
                    FaultClass::Permanent => {
                        self.end(NotificationStatus::Failed, fault.text, record);
                    }
                }
            }
        }
    }

    /// Journals an intent and commands its call, unless an earlier call may still take effect or the host is not up.
    pub(super) fn issue_call(
        &mut self,
        command: Command,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
        what: &str,
    ) {
        let busy = self
            .requested
            .is_some_and(|call| call.answered && now.elapsed.since(call.at) < self.policy.call_deadline);
        if busy || self.may_take_effect(now) || now.elapsed < self.not_before {
            return;
        }
        if self.operator_state.as_ref().is_none_or(|operator_state| {
            !operator_state.segment_enabled || operator_state.operator_maintenance
        }) {
            let text = "nothing is done while the segment is disabled or the host in maintenance";
            return self.blocker(BlockerKind::Operator, text.into(), now);
        }
        self.clear_blocker(BlockerKind::Operator);
        let should_run = self.should_run(&command, now, record, commands);
        if self.stage == Stage::Done
            || !whereabouts::runs_only_here(self, &command, now, record, commands)
            || !should_run
        {
            return;
        }
        let Some(service) = self.service.take() else {
            return self.request_service(now, commands);
        };
        if !service.what.up || service.what.forced_down {
            self.blocker(
                BlockerKind::Host,
                format!("host {} is down: waiting", self.host),
                now,
            );
            return self.request_service(now, commands);
        }
        self.clear_blocker(BlockerKind::Host);
        self.stop_reason = None;
        self.whereabouts.migrations = None;
        freeze_state::note_first(self, record);
        // The limit covers what was sent to Nova and answered, not the waits before.
        if !self.called || self.requested.is_some_and(|call| !call.answered) {
            self.since = now.elapsed;
        }
        self.called = true;
        self.requested = Some(JournalledCall {
            at: now.elapsed,
            answered: false,
        });
        record.head = true;
        record.unless_host_recovery = Some(self.host.clone());
        self.require_no_copy(record);
        self.count_restart(record);
        record.step(self.task(), StepKind::Intent, 0.0, what);
        commands.push(command);
    }

    /// Makes the intent fail if an evacuation may have left the instance running on another host than the one Nova shows:
    /// started here, it would run twice. The journal is checked in the transaction of each intent, because a recovery
    /// of the host may start and finish while this one waits.
    pub(super) fn require_no_copy(&self, record: &mut Record) {
        record.unless_elsewhere = self.server.map(|server| Elsewhere {
            server,
            host: self.host.clone(),
        });
    }

    /// True if the call does not start the instance, or if Nova's records show that no user has stopped it. The records
    /// are read for each call: a user may stop the instance while it waits for its next attempt (R36).
    fn should_run(
        &mut self,
        command: &Command,
        now: DecisionTime,
        record: &mut Record,
        commands: &mut Vec<Command>,
    ) -> bool {
        let (Command::Start(server) | Command::Migrate(server)) = command else {
            return true;
        };
        let Some(reason) = &self.stop_reason else {
            if self.actions_read.send(now.elapsed) {
                commands.push(Command::ReadActions(*server));
            }
            if self.service.is_none() {
                self.request_service(now, commands);
            }
            return false;
        };
        match reason.what {
            StopReason::Meant => {
                self.end(
                    NotificationStatus::Ignored,
                    gates::STOPPED_BY_USER_MESSAGE,
                    record,
                );
                false
            }
            StopReason::Due | StopReason::Unclear | StopReason::Unasked => true,
        }
    }

    pub(super) fn actions_answered(
        &mut self,
        result: Result<Option<Vec<ServerAction>>, Fault>,
        now: DecisionTime,
        record: &mut Record,
    ) {
        let at = self.actions_read.answered().unwrap_or(now.elapsed);
        let what = match result {
            Ok(Some(actions)) => StopReason::judge(&actions),
            Ok(None) => return not_found(self, at, now, record),
            Err(fault) => match fault.class {
                // Nova shows this instance's actions to no later read either, and this recovery may have stopped the instance itself.
                FaultClass::Permanent => StopReason::Unclear,
                // Without valid credentials Nova would not accept the start either.
                FaultClass::Conflict | FaultClass::Transient | FaultClass::Fatal => {
                    self.actions_read.not_before = now.elapsed.plus(self.policy.tick);
                    return self.record_nova_silence(&fault.text, now);
                }
            },
        };
        self.stop_reason = Some(NovaReading { at, what });
    }

    /// Records that Nova does not answer, or answers too late. No earlier data is used, and this period counts towards no limit.
    pub(super) fn record_nova_silence(&mut self, why: &str, now: DecisionTime) {
        self.observed = None;
        self.silent_since.get_or_insert(now.elapsed);
        self.blocker(BlockerKind::Instance, format!("waiting for Nova: {why}"), now);
    }

    /// Drops readings that are too old for a decision. A read that hangs must not let old data pass for fresh data.
    pub(super) fn drop_stale_readings(&mut self, now: DecisionTime) {
        let is_old = |requested_at: Elapsed| now.elapsed.since(requested_at) > MAX_READING_AGE;
        self.observed.take_if(|reading| is_old(reading.at));
        self.service.take_if(|reading| is_old(reading.at));
        self.stop_reason.take_if(|reading| is_old(reading.at));
        self.whereabouts.migrations.take_if(|reading| is_old(reading.at));
    }

    pub(super) fn request_service(&mut self, now: DecisionTime, commands: &mut Vec<Command>) {
        if self.service_read.send(now.elapsed) {
            commands.push(Command::ReadService);
        }
    }

    /// True if a call requested at `at` can no longer take effect.
    pub(super) fn is_settled(&self, at: Elapsed, now: DecisionTime) -> bool {
        now.elapsed.since(at) >= self.policy.late_effect_window() + MAX_CALL_DELAY
    }

    /// True if the stage's call is unanswered and may still take effect.
    pub(super) fn may_take_effect(&self, now: DecisionTime) -> bool {
        self.requested
            .is_some_and(|call| !call.answered && !self.is_settled(call.at, now))
    }

    /// True if the stage has taken longer than `limit`. The time of an unanswered call does not count: once the call can no
    /// longer take effect, it is sent again.
    pub(super) fn is_late(&self, limit: Duration, now: DecisionTime) -> bool {
        let from = match self.requested {
            Some(call) if !call.answered => self
                .since
                .max(call.at.plus(self.policy.late_effect_window() + MAX_CALL_DELAY)),
            Some(_) | None => self.since,
        };
        now.elapsed.since(from) >= limit
    }

    pub(super) fn end_late(&mut self, what: &str, limit: Duration, record: &mut Record) {
        let text = self.timeout_text(what, limit);
        self.end(NotificationStatus::Failed, text, record);
    }

    /// Returns the text for a stage that has taken too long.
    pub(super) fn timeout_text(&self, what: &str, limit: Duration) -> String {
        let state = self
            .observed
            .as_ref()
            .map(|reading| format!(", it is {}", reading.what.vm_state))
            .unwrap_or_default();
        let why = self
            .blocker
            .as_ref()
            .map(|blocker| format!(": {}", blocker.text))
            .unwrap_or_default();
        format!("not {what} within {} s{state}{why}", limit.as_secs())
    }
}
