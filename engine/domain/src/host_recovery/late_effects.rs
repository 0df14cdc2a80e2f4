//! Instances that come to the host after its notification is closed.
//!
//! They are moved in stage `Moving` like all others, while the recovery's life stays `watching`: that blocks no other recovery and
//! counts for no guard. The notification is not opened again. It is corrected when the late moves are done.

use super::arrivals::lost_arrivals::name_all;
use super::decision_context::decision_context;
use super::finish::final_result;
use super::moves::finish;
use super::{End, HostRecovery, MoveStep, Stage};
use crate::recovery::{Command, DecisionTime, Life, Record};

/// Decides whether instances found on the host from now on may be moved. They may not if the host has returned, if a newer
/// recovery handles it, or if an operator has rejected this one.
pub(super) fn judge(state: &mut HostRecovery) {
    let may_move = state.arrivals.settled
        && state.rejected.is_none()
        && state.proof.is_some()
        && state.service.in_force
        && state.service.mark.is_some()
        && !state.service.is_back();
    state.arrivals.judged(may_move);
}

/// Lists the host again while its return is awaited.
pub(super) fn watch(state: &mut HostRecovery, now: DecisionTime, commands: &mut Vec<Command>) {
    judge(state);
    let (arrivals, listing) = (&mut state.arrivals, &mut state.in_flight.listing);
    arrivals.request_servers(commands);
    if !arrivals.may_move() {
        return;
    }
    if state.rewound || arrivals.is_list_due(listing.question.age(now.elapsed)) {
        listing.request_if_due(&state.service, (state.reported_at, &state.moves), now, commands);
    }
}

/// Starts to move an instance that has come to the host. The time spent waiting counts for no deadline.
pub(super) fn begin(state: &mut HostRecovery, now: DecisionTime) {
    state.deadline_from = now.elapsed;
    state.in_flight.listing.is_last_list_processed = false;
}

/// Gives up late moves that were not requested yet, because the host is up again or another recovery handles it.
pub(super) fn leave_if_unproven(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    if !state.arrivals.settled || state.proof.is_some() {
        return;
    }
    state.in_flight.listing.taken.clear();
    let ctx = decision_context!(state, now, record);
    for instance in state.moves.values_mut() {
        if matches!(instance.step, MoveStep::Waiting { .. } | MoveStep::OnHold) {
            instance.remark(&format!(
                "it came to {} after the others had been moved, and that host is not confirmed off any more: check whether it runs there",
                ctx.host
            ));
            finish(instance, End::Person, ctx.now, ctx.record);
        }
    }
}

/// Corrects the notification after it was closed.
pub(super) fn correct_notification(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    if state.stage == Stage::Done && record.life == Some(Life::Closed) {
        name_all(state, now, record);
    }
    if !matches!(state.stage, Stage::Returning | Stage::Starting | Stage::Done) {
        return;
    }
    let (status, message) = final_result(state);
    if state.message.as_ref() != Some(&message) {
        state.message = Some(message.clone());
        record.notification = Some((status, Some(message)));
        record.head = true;
    }
}
