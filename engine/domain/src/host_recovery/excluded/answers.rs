//! Nova's answers about excluded instances.

use std::collections::BTreeSet;

use super::super::decision_context::{DecisionContext, Moves};
use super::super::{Move, StartEnd};
use super::{CALL_RETRY_DELAY, CHECK_INTERVAL, FIRST_CHECK_DELAY, StartTrack, is_settled};
use crate::fault::{Fault, FaultClass};
use crate::id::ServerId;
use crate::nova::{PowerState, Server, ServerAction, StopReason, VmState};
use crate::recovery::{DecisionTime, Record};

/// The end of the start of an instance that does not exist any more.
const DELETED_NOTE: &str = "not started: it was deleted meanwhile";

fn pending(moves: &mut Moves, server: ServerId) -> Option<&mut Move> {
    moves
        .get_mut(&server)
        .filter(|instance| instance.is_to_be_started())
}

impl StartTrack {
    pub(in super::super) fn server_read(
        &mut self,
        server: ServerId,
        result: Result<Option<Server>, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now.elapsed;
        let Some(readings) = self.readings.get_mut(&server) else {
            return;
        };
        let Some(requested_at) = readings.server.answered() else {
            return;
        };
        readings.stopped = None;
        readings.due = None;
        let Some(instance) = pending(moves, server) else {
            return;
        };
        let server = match result {
            Ok(Some(server)) => server,
            Ok(None) => {
                if readings.server.note_gone(requested_at, now) {
                    instance.end_start(StartEnd::NotStarted, DELETED_NOTE, ctx.record);
                }
                return;
            }
            Err(_) => return readings.server.failed(now),
        };
        readings.server.succeeded();
        readings.server.found();
        let start = instance.start.unwrap_or_default();
        readings.server.not_before = now.plus(match start.requested {
            Some(call) if call.answered => (now.since(call.at) / 2).clamp(FIRST_CHECK_DELAY, CHECK_INTERVAL),
            Some(_) | None => CHECK_INTERVAL,
        });
        if server.host.as_deref() != Some(ctx.host) {
            let other = server.host.as_deref().unwrap_or("no host");
            let how = format!("not started: Nova shows it on {other}");
            return instance.end_start(StartEnd::NotStarted, &how, ctx.record);
        }
        if server.task_state.is_some() {
            return;
        }
        let settled = start
            .requested
            .is_none_or(|call| is_settled(call, now, ctx.policy));
        match server.vm_state {
            VmState::Active if start.requested.is_some_and(|call| requested_at > call.at) => {
                let how = format!("it was started again on {} after its return", ctx.host);
                instance.end_start(StartEnd::Started, &how, ctx.record);
            }
            // It was stopped and no start of ours has made it active, so a user has started it.
            VmState::Active if readings.was_stopped && server.power_state == PowerState::Running => {
                let how = format!("a user has started it again on {} after its return", ctx.host);
                instance.end_start(StartEnd::Started, &how, ctx.record);
            }
            // Nova has not checked the guest since the host's return, or it runs.
            VmState::Active | VmState::Resized | VmState::Building | VmState::Other(_) => {}
            VmState::Stopped if start.tries > ctx.policy.attempts && settled => {
                let how = format!("not started: {} starts have not made it active", start.tries);
                instance.end_start(StartEnd::NotStarted, &how, ctx.record);
            }
            VmState::Stopped => {
                readings.stopped = Some(requested_at);
                readings.was_stopped = true;
            }
            VmState::Error
            | VmState::Paused
            | VmState::Suspended
            | VmState::Rescued
            | VmState::Shelved
            | VmState::ShelvedOffloaded
            | VmState::Deleted => {
                let how = format!("not started: Nova shows it {}", server.vm_state);
                instance.end_start(StartEnd::NotStarted, &how, ctx.record);
            }
        }
    }

    pub(in super::super) fn actions_read(
        &mut self,
        server: ServerId,
        result: Result<Option<Vec<ServerAction>>, Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let Some(readings) = self.readings.get_mut(&server) else {
            return;
        };
        let Some(requested_at) = readings.actions.answered() else {
            return;
        };
        let Some(instance) = pending(moves, server) else {
            return;
        };
        let how = match result {
            Ok(None) if readings.actions.note_gone(requested_at, ctx.now.elapsed) => DELETED_NOTE,
            Ok(None) => return,
            Ok(Some(actions)) => match StopReason::judge_after_death(&actions) {
                StopReason::Due => {
                    readings.actions.succeeded();
                    readings.actions.found();
                    readings.due = Some(requested_at);
                    return;
                }
                StopReason::Meant => "not started: a user has stopped it",
                StopReason::Unclear | StopReason::Unasked => {
                    "not started: Nova's records do not show that it should run"
                }
            },
            Err(_) => return readings.actions.failed(ctx.now.elapsed),
        };
        instance.end_start(StartEnd::NotStarted, how, ctx.record);
    }

    /// Handles Nova's answer to a start.
    pub(in super::super) fn answered(
        &mut self,
        server: ServerId,
        result: Result<(), Fault>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let now = ctx.now.elapsed;
        let Some(instance) = pending(moves, server) else {
            return;
        };
        let Some(start) = &mut instance.start else { return };
        ctx.record.moves.insert(server);
        let readings = self.readings.entry(server).or_default();
        match result {
            Ok(()) => {
                if let Some(call) = &mut start.requested {
                    call.answered = true;
                }
                instance.fault = None;
                readings.server.not_before = now.plus(FIRST_CHECK_DELAY);
            }
            // It may take effect until D + Q have passed.
            Err(fault) if fault.maybe_done => instance.fault = Some(fault.text),
            Err(fault) => {
                start.requested = None;
                readings.not_before = now.plus(CALL_RETRY_DELAY);
                let is_gone = fault.is_gone();
                let text = format!("not started: {}", fault.text);
                instance.fault = Some(fault.text);
                match fault.class {
                    // The next reading shows whether it is deleted.
                    FaultClass::Permanent if is_gone => {}
                    FaultClass::Permanent => instance.end_start(StartEnd::NotStarted, &text, ctx.record),
                    // Nova has changed its state meanwhile, or an operator may repair it.
                    FaultClass::Conflict | FaultClass::Transient | FaultClass::Fatal => {}
                }
            }
        }
    }

    /// Reverts a start that has not left this engine.
    pub(in super::super) fn not_sent(&mut self, instance: &mut Move, now: DecisionTime, record: &mut Record) {
        if let Some(start) = &mut instance.start {
            start.requested = None;
            start.tries = start.tries.saturating_sub(1);
            record.moves.insert(instance.server);
            self.not_before = self.not_before.max(now.elapsed.plus(FIRST_CHECK_DELAY));
        }
    }

    /// Leaves an instance that an earlier recovery may have left running elsewhere: the journal has refused its start.
    pub(in super::super) fn may_run_elsewhere(
        &mut self,
        hosts: &BTreeSet<String>,
        moves: &mut Moves,
        ctx: &mut DecisionContext<'_>,
    ) {
        let Some(instance) = self
            .journalled_server
            .take()
            .and_then(|server| pending(moves, server))
        else {
            return;
        };
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let how = format!(
            "not started: an earlier evacuation may have left it running on {}; look there, and see `tachi instance list --waiting`",
            hosts.join(" or ")
        );
        instance.end_start(StartEnd::NotStarted, &how, ctx.record);
    }

    pub(in super::super) fn server_not_read(&mut self, server: ServerId) {
        if let Some(readings) = self.readings.get_mut(&server) {
            readings.server.not_sent();
        }
    }

    pub(in super::super) fn actions_not_read(&mut self, server: ServerId) {
        if let Some(readings) = self.readings.get_mut(&server) {
            readings.actions.not_sent();
        }
    }
}
