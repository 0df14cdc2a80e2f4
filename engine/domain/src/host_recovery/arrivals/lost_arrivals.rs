//! Instances that never arrived, and do not run where Nova shows them: they need an operator.

use super::super::decision_context::{DecisionContext, decision_context};
use super::super::moves::blank::blank;
use super::super::{End, HostRecovery, Move, MoveStep, OriginalState};
use super::Arrival;
use crate::id::ServerId;
use crate::nova::{PowerState, VmState};
use crate::recovery::{DecisionTime, Record, StepKind, Task};

/// Returns the finished move of an instance that never arrived at the host, and does not run where Nova shows it.
pub(super) fn lost(server: ServerId, arrival: Arrival, rank: u32, ctx: &mut DecisionContext<'_>) -> Move {
    let from = arrival.from.as_deref().unwrap_or("another host");
    let moved = format!(
        "Nova was moving it from {from} to {} when that host died (migration {}, {}), so it may have run there",
        ctx.host, arrival.migration, arrival.status
    );
    let shown = match &arrival.shown {
        Some(shown) => {
            let host = shown.host.as_deref().unwrap_or("no host");
            let task = shown.task.as_deref().map(|task| format!(", task {task}"));
            format!(
                "Nova shows it on {host} ({}{})",
                shown.was.vm_state,
                task.unwrap_or_default()
            )
        }
        None => "Nova did not show its host".to_owned(),
    };
    let note = format!(
        "{moved}; {shown}: check whether it runs there (virsh domstate {server}), and if it does not, reset its state and start it"
    );
    let (name, was) = match arrival.shown {
        Some(shown) => (shown.name, shown.was),
        None => (
            server.to_string(),
            OriginalState {
                vm_state: VmState::Other("unknown".into()),
                power_state: PowerState::Other,
            },
        ),
    };
    let text = format!("{name} needs an operator: {note}");
    ctx.record
        .server_step(Task::Evacuate, StepKind::Outcome, server, 0.9, text);
    ctx.record.moves.insert(server);
    Move {
        step: MoveStep::Done(End::Person),
        awaited: true,
        note: Some(note),
        done_at: Some(ctx.now.wall),
        ..blank(server, name, was, rank, ctx)
    }
}

/// Names all instances that were on their way to the host: the recovery ends, and nothing watches them any more.
pub(in super::super) fn name_all(state: &mut HostRecovery, now: DecisionTime, record: &mut Record) {
    let mut ctx = decision_context!(state, now, record);
    for server in state.arrivals.expected.keys().copied().collect::<Vec<_>>() {
        state.arrivals.name(server, &mut state.moves, &mut ctx);
    }
}
