//! The observations of an instance recovery: answers, operator actions, and commands that did not leave this engine.

use std::time::Duration;

use super::{BlockerKind, READING_AGE, Stage, VmRecovery, calls, freeze_state, gates, relocation};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::question::NovaReading;
use crate::recovery::action;
use crate::recovery::{Command, DecisionTime, Observation, OperatorCommand, OperatorState, REWOUND, Record};

impl VmRecovery {
    #[expect(clippy::too_many_lines, reason = "one arm for each observation")]
    pub(super) fn observe(&mut self, observation: Observation, now: DecisionTime, record: &mut Record) {
        match observation {
            Observation::Claimed(pulse) => {
                // The last owner's call may or may not have been sent; `asked` holds its time.
                self.server_read.not_sent();
                self.service_read.not_sent();
                self.actions_read.not_sent();
                self.hooks.forget_answers();
                record.head = true;
                self.heard_pulse(pulse, record);
            }
            Observation::Rewound => {
                self.rewound = true;
                self.message = Some(REWOUND.to_owned());
                record.head = true;
            }
            Observation::Pulse(pulse) => self.heard_pulse(pulse, record),
            Observation::Server { result, .. } => {
                let at = self.server_read.answered().unwrap_or(now.elapsed);
                self.server_read.not_before = now.elapsed.plus(self.look_again_after(now));
                match result {
                    Ok(Some(_)) if is_slow(at, now) => self.nova_is_silent(&slow_text(), now),
                    // A reading from before the call does not show its effect.
                    Ok(Some(_)) if self.asked.is_some_and(|call| call.at > at) => {}
                    // A copy of Nova's database that lags behind shows the instance as it was.
                    Ok(Some(server)) if server.updated.is_some() && server.updated < self.newest => {}
                    Ok(Some(server)) => {
                        self.newest = self.newest.max(server.updated);
                        self.server_read.found();
                        self.no_trouble(BlockerKind::Instance);
                        if let Some(silent) = self.silent_since.take() {
                            let silence = now.elapsed.since(silent.max(self.since));
                            self.since = self.since.plus(silence);
                        }
                        self.seen = Some(NovaReading { at, what: server });
                    }
                    Ok(None) => calls::not_found(self, at, now, record),
                    Err(fault) => self.nova_is_silent(&fault.text, now),
                }
            }
            Observation::Service(result) => {
                let at = self.service_read.answered().unwrap_or(now.elapsed);
                self.service_read.not_before = now.elapsed.plus(Duration::from_secs(1));
                self.service = None;
                match result {
                    Ok(Some(_)) if is_slow(at, now) => {
                        self.trouble(
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
                        self.trouble(BlockerKind::Host, text, now);
                    }
                    Err(fault) => {
                        self.trouble(
                            BlockerKind::Host,
                            format!("waiting for Nova: {}", fault.text),
                            now,
                        );
                    }
                }
            }
            Observation::Actions { result, .. } => self.actions_answered(result, now, record),
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
                } else if command == Command::ReadService {
                    self.service_read.not_sent();
                    self.service_read.not_before = now.elapsed.plus(self.policy.tick);
                } else if matches!(command, Command::ReadActions(_)) {
                    self.actions_read.not_sent();
                    self.actions_read.not_before = now.elapsed.plus(self.policy.tick);
                } else {
                    self.server_read.not_sent();
                    self.server_read.not_before = now.elapsed.plus(self.policy.tick);
                }
            }
            Observation::HostUnderRecovery => host_is_recovered(self, record),
            Observation::MayRunOn(hosts) => {
                let text = gates::runs_elsewhere(&hosts, &self.host);
                self.step_aside(NotificationStatus::Failed, text, record);
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
            | Observation::Followed { .. }
            | Observation::Evacuations(_)
            | Observation::ServerIds(_)
            | Observation::Permits(_)
            | Observation::Conductors(_)
            | Observation::MovesTaken(_)
            | Observation::Reserve(_)
            | Observation::ReserveTaken(_) => {}
        }
    }

    fn heard_pulse(&mut self, pulse: OperatorState, record: &mut Record) {
        let task = self.task();
        for applied in action::apply(&pulse, &mut self.heard, task, record) {
            let action = &applied.said;
            if action.word == OperatorCommand::Reject && self.stage != Stage::Over {
                let text = format!("aborted by {}", action.by);
                self.step_aside(NotificationStatus::Failed, text, record);
            }
        }
        self.pulse = Some(pulse);
    }
}

/// True if Nova has answered a request of `at` too late for the answer to count.
pub(super) fn is_slow(at: Elapsed, now: DecisionTime) -> bool {
    now.elapsed.since(at) > READING_AGE
}

fn slow_text() -> String {
    format!("its answer took longer than {} s", READING_AGE.as_secs())
}

fn host_is_recovered(state: &mut VmRecovery, record: &mut Record) {
    let text = format!(
        "host {} is being recovered, and its instances with it",
        state.host
    );
    state.step_aside(NotificationStatus::Ignored, text, record);
}
