//! The observations of an instance recovery: answers, operator actions, and commands that did not leave this engine.

use std::time::Duration;

use super::{
    BlockerKind, MAX_READING_AGE, Stage, VmRecovery, calls, freeze_state, gates, relocation, whereabouts,
};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::policy::is_truthy;
use crate::question::NovaReading;
use crate::recovery::action;
use crate::recovery::{
    Command, DecisionTime, LOST_CALLS_MESSAGE, Observation, OperatorCommand, OperatorState, Record,
};

impl VmRecovery {
    #[expect(clippy::too_many_lines, reason = "one arm for each observation")]
    pub(super) fn observe(&mut self, observation: Observation, now: DecisionTime, record: &mut Record) {
        match observation {
            Observation::Claimed(operator_state) => {
                // The last owner's call may or may not have been sent; `requested` holds its time.
                self.server_read.not_sent();
                self.service_read.not_sent();
                self.actions_read.not_sent();
                self.whereabouts.read.not_sent();
                self.hooks.forget_answers();
                record.head = true;
                self.apply_operator_state(operator_state, record);
            }
            Observation::Rewound => {
                self.rewound = true;
                self.message = Some(LOST_CALLS_MESSAGE.to_owned());
                record.head = true;
            }
            Observation::OperatorState(operator_state) => self.apply_operator_state(operator_state, record),
            Observation::Server { result, .. } => {
                let at = self.server_read.answered().unwrap_or(now.elapsed);
                self.server_read.not_before = now.elapsed.plus(self.poll_delay(now));
                match result {
                    Ok(Some(_)) if is_slow(at, now) => self.record_nova_silence(&slow_text(), now),
                    // A reading from before the call does not show its effect.
                    Ok(Some(_)) if self.requested.is_some_and(|call| call.at > at) => {}
                    // A copy of Nova's database that lags behind shows the instance as it was.
                    Ok(Some(server)) if server.updated.is_some() && server.updated < self.newest => {}
                    Ok(Some(server)) => {
                        self.newest = self.newest.max(server.updated);
                        // Written with the next change of the state: only displays need them.
                        self.name = Some(server.name.clone());
                        let mark = server.metadata.get(&self.policy.instance_ha_key);
                        self.tagged = Some(mark.is_some_and(|value| is_truthy(value)));
                        self.server_read.found();
                        self.clear_blocker(BlockerKind::Instance);
                        if let Some(silent) = self.silent_since.take() {
                            let silence = now.elapsed.since(silent.max(self.since));
                            self.since = self.since.plus(silence);
                        }
                        self.observed = Some(NovaReading { at, what: server });
                    }
                    Ok(None) => calls::not_found(self, at, now, record),
                    Err(fault) => self.record_nova_silence(&fault.text, now),
                }
            }
            Observation::Service(result) => {
                let at = self.service_read.answered().unwrap_or(now.elapsed);
                self.service_read.not_before = now.elapsed.plus(Duration::from_secs(1));
                self.service = None;
                match result {
                    Ok(Some(_)) if is_slow(at, now) => {
                        self.blocker(
                            BlockerKind::Host,
                            format!("waiting for Nova: {}", slow_text()),
                            now,
                        );
                    }
                    Ok(Some(service)) => {
                        self.service = Some(NovaReading { at, what: service });
                    }
                    Ok(None) => {
                        let text = format!("Nova knows no nova-compute service on host {}", self.host);
                        self.blocker(BlockerKind::Host, text, now);
                    }
                    Err(fault) => {
                        self.blocker(
                            BlockerKind::Host,
                            format!("waiting for Nova: {}", fault.text),
                            now,
                        );
                    }
                }
            }
            Observation::Actions { result, .. } => self.actions_answered(result, now, record),
            Observation::Followed { result, .. } => whereabouts::answered(self, result, now),
            Observation::ServerCall { call, result, .. } => self.answered(call, result, now, record),
            Observation::Hook {
                phase,
                number,
                attempt,
                outcome,
            } => self.hook_answered((phase, number, attempt), &outcome, now, record),
            Observation::NotSent(Command::RunHook(call)) => {
                self.hooks.not_sent((call.phase, call.number, call.attempt), now);
            }
            Observation::NotSent(command) => {
                if command.is_write() {
                    // Not journalled by itself: a reader of the intent assumes that the call was possible, and only waits.
                    freeze_state::call_withdrawn(self);
                    if matches!(command, Command::Migrate(_)) {
                        relocation::not_requested(self);
                    }
                } else if command == Command::ReadService {
                    self.service_read.not_sent();
                    self.service_read.not_before = now.elapsed.plus(self.policy.tick);
                } else if matches!(command, Command::ReadActions(_)) {
                    self.actions_read.not_sent();
                    self.actions_read.not_before = now.elapsed.plus(self.policy.tick);
                } else if matches!(command, Command::FollowMove(_)) {
                    self.whereabouts.read.not_sent();
                    self.whereabouts.read.not_before = now.elapsed.plus(self.policy.tick);
                } else {
                    self.server_read.not_sent();
                    self.server_read.not_before = now.elapsed.plus(self.policy.tick);
                }
            }
            Observation::HostUnderRecovery => end_for_host_recovery(self, record),
            Observation::MayRunOn(hosts) => {
                let text = gates::runs_elsewhere(&hosts, &self.host);
                self.end_without_restart(NotificationStatus::Failed, text, record);
            }
            Observation::OrderRefused => relocation::too_many_moves(self, now, record),
            Observation::Tick
            | Observation::Region(_)
            | Observation::InstancesUnderRecovery(_)
            | Observation::Power { .. }
            | Observation::PowerOff { .. }
            | Observation::PowerOn { .. }
            | Observation::FencingStopped(_)
            | Observation::Levels(_)
            | Observation::ServiceUpdated(_)
            | Observation::Inventory(_)
            | Observation::Lists(_)
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::MovesTaken(_)
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_) => {}
        }
    }

    fn apply_operator_state(&mut self, operator_state: OperatorState, record: &mut Record) {
        let task = self.task();
        for applied in action::apply(&operator_state, &mut self.last_action, task, record) {
            let action = &applied.request;
            if action.word == OperatorCommand::Reject && self.stage != Stage::Done {
                let text = format!("aborted by {}", action.by);
                self.end_without_restart(NotificationStatus::Failed, text, record);
            }
        }
        self.operator_state = Some(operator_state);
    }
}

/// True if Nova has answered a request of `at` too late for the answer to count.
pub(super) fn is_slow(at: Elapsed, now: DecisionTime) -> bool {
    now.elapsed.since(at) > MAX_READING_AGE
}

fn slow_text() -> String {
    format!("its answer took longer than {} s", MAX_READING_AGE.as_secs())
}

fn end_for_host_recovery(state: &mut VmRecovery, record: &mut Record) {
    let text = format!(
        "host {} is being recovered, and its instances with it",
        state.host
    );
    state.end_without_restart(NotificationStatus::Ignored, text, record);
}
