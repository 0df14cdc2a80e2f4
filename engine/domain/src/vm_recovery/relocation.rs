//! Follow-up of a failed restart: the instance is moved to another host, or started again later (ADR 0137).
//!
//! The host is up, so the move is a cold migration of the stopped instance and never an evacuation. Nova starts a migrated
//! instance only once the migration is confirmed. A migration is never reverted.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BlockerKind, NovaReading, Stage, VmRecovery, freeze_state};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::id::ServerId;
use crate::nova::{Server, VmState};
use crate::recovery::{Command, DecisionTime, MoveOrder, Record, StepKind, Task};

/// The first pause after a failed restart; doubled with each further one.
const FIRST_PAUSE: Duration = Duration::from_mins(1);

/// The longest pause.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// The interval between checks during the pause. A storage cluster that fails may make thousands of instances wait at once.
pub(super) const CHECK_INTERVAL: Duration = Duration::from_mins(1);

/// The time after Nova's acceptance from which a stopped instance without a task means that Nova has given the move up. An
/// earlier read may come from a database that lags.
const MIN_GIVE_UP_DELAY: Duration = Duration::from_secs(5);

/// The stored state of the follow-up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Relocation {
    /// True if the instance is moved before it is started, because it was restarted too often where it is.
    pub(super) first: bool,
    /// True if a move was requested at least once.
    #[serde(rename = "asked")]
    pub(super) requested: bool,
    /// The same before the request that was decided last, which may not be made.
    #[serde(skip)]
    requested_before: bool,
    /// The host that the instance was moved away from.
    pub(super) from: Option<String>,
    /// The reason why the instance does not run.
    pub(super) failure: Option<String>,
    /// The time of the first failure.
    failing_since: Option<Elapsed>,
    /// The number of failures.
    failures: u32,
}

impl Relocation {
    /// True if nothing of it needs to be stored.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Reverts a request that was not made.
pub(super) fn not_requested(state: &mut VmRecovery) {
    state.relocation.requested = state.relocation.requested_before;
}

/// True if this recovery may move the instance to another host.
pub(super) fn may_move(state: &VmRecovery) -> bool {
    state.policy.max_moves > 0 && state.relocation.from.is_none()
}

/// True if Nova may still be moving the instance, or has moved it without that being seen.
pub(super) fn may_be_moved(state: &VmRecovery, shown: &Server) -> bool {
    let is_pending = state.relocation.requested && state.relocation.from.is_none();
    let has_moved = shown.host.as_deref() != Some(state.host.as_str()) || shown.vm_state == VmState::Resized;
    match state.stage {
        Stage::Migrating => is_pending,
        Stage::Waiting | Stage::Starting => is_pending && has_moved,
        Stage::Begin | Stage::Activating | Stage::Stopping | Stage::Confirming | Stage::Done => false,
    }
}

/// Continues after a failed start: with a move, if the instance is stopped and may be moved.
pub(super) fn start_failed(state: &mut VmRecovery, shown: &Server, now: DecisionTime, record: &mut Record) {
    let text = state.timeout_text("active", state.policy.start_limit);
    let movable = shown.vm_state == VmState::Stopped && shown.task_state.is_none();
    if movable && may_move(state) {
        record.failed(Task::StartInstance, text.clone());
        state.relocation.failing_since.get_or_insert(now.elapsed);
        state.relocation.failure = Some(text);
        state.enter(Stage::Migrating, now, record);
        // A running instance is not moved on an old reading.
        state.observed = None;
    } else {
        schedule_retry(state, text, now, record);
    }
}

/// Starts a pause before the next attempt, or ends the recovery if attempts have failed for too long.
pub(super) fn schedule_retry(state: &mut VmRecovery, text: String, now: DecisionTime, record: &mut Record) {
    let since = *state.relocation.failing_since.get_or_insert(now.elapsed);
    if now.elapsed.since(since) >= state.policy.restart_again_for {
        return state.end(NotificationStatus::Failed, text, record);
    }
    record.failed(state.task(), text.clone());
    let doubled = 1_u32 << state.relocation.failures.min(8);
    let pause = FIRST_PAUSE.saturating_mul(doubled).min(MAX_PAUSE);
    state.relocation.failures += 1;
    state.enter(Stage::Waiting, now, record);
    state.pause_until = now.elapsed.plus(pause);
    state.server_read.not_before = now.elapsed.plus(CHECK_INTERVAL.min(pause));
    let text = format!("{text}; next attempt within {} s", pause.as_secs());
    state.blocker(BlockerKind::Retry, text, now);
}

pub(super) fn act_waiting(state: &mut VmRecovery, shown: &Server, now: DecisionTime, record: &mut Record) {
    if shown.vm_state == VmState::Active && shown.task_state.is_none() {
        return state.enter(Stage::Starting, now, record);
    }
    if now.elapsed < state.pause_until {
        return;
    }
    match (&shown.vm_state, &shown.task_state) {
        (VmState::Stopped, None) => state.enter(Stage::Starting, now, record),
        (VmState::Error, None) => state.enter(Stage::Stopping, now, record),
        (vm_state, _) if now.elapsed.since(state.pause_until) >= state.policy.start_limit => {
            let text = format!("not active, it is {vm_state}");
            schedule_retry(state, text, now, record);
        }
        (_, _) => {}
    }
}

pub(super) fn act_migrating(
    state: &mut VmRecovery,
    server: ServerId,
    shown: &Server,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    if shown.vm_state == VmState::Error {
        let fault = shown.fault.as_deref().unwrap_or("Nova shows no reason");
        let text = with_failure(state, &format!("its move to another host has failed: {fault}"));
        return state.end(NotificationStatus::Failed, text, record);
    }
    if state.is_late(state.policy.move_limit, now) {
        let text = state.timeout_text("moved", state.policy.move_limit);
        let text = with_failure(state, &text);
        if !state.called {
            return schedule_retry(state, text, now, record);
        }
        let text = format!(
            "{text}; once Nova has moved it: openstack server migration confirm {server}, and openstack server start {server}"
        );
        return state.end(NotificationStatus::Failed, text, record);
    }
    if shown.task_state.is_some() {
        return;
    }
    let is_here = shown.host.as_deref() == Some(state.host.as_str());
    match shown.vm_state {
        VmState::Resized => {
            arrived(state, shown, now, record);
            state.enter(Stage::Confirming, now, record);
        }
        VmState::Active => {
            arrived(state, shown, now, record);
            state.enter(Stage::Starting, now, record);
        }
        // Nova itself, or the owner, has confirmed the move.
        VmState::Stopped if !is_here => {
            arrived(state, shown, now, record);
            state.enter(Stage::Starting, now, record);
        }
        VmState::Stopped => match state.requested {
            Some(call) if call.answered => {
                let is_later = |shown: &NovaReading<Server>| shown.at.since(call.at) >= MIN_GIVE_UP_DELAY;
                if state.observed.as_ref().is_some_and(is_later) {
                    let why = shown
                        .fault
                        .clone()
                        .unwrap_or_else(|| "Nova has given it up".to_owned());
                    not_moved(state, &why, now, record);
                }
            }
            Some(_) | None => request_migration(state, server, now, record, commands),
        },
        VmState::Error
        | VmState::Paused
        | VmState::Suspended
        | VmState::Rescued
        | VmState::Shelved
        | VmState::ShelvedOffloaded
        | VmState::Building
        | VmState::Deleted
        | VmState::Other(_) => {}
    }
}

fn request_migration(
    state: &mut VmRecovery,
    server: ServerId,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    let text = "moving the instance to another host";
    let before = commands.len();
    state.issue_call(Command::Migrate(server), now, record, commands, text);
    if commands.get(before..) == Some(&[Command::Migrate(server)][..]) {
        state.relocation.requested_before = std::mem::replace(&mut state.relocation.requested, true);
        freeze_state::unless_frozen(state, record);
        record.move_order = Some(MoveOrder {
            server,
            at_most: state.policy.max_moves,
            within: state.policy.restart_window,
        });
    }
}

pub(super) fn act_confirming(
    state: &mut VmRecovery,
    server: ServerId,
    shown: &Server,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) {
    match (&shown.vm_state, &shown.task_state) {
        (VmState::Stopped | VmState::Active, None) => state.enter(Stage::Starting, now, record),
        (_, _) if state.is_late(state.policy.move_limit, now) => {
            let text = state.timeout_text("confirmed", state.policy.move_limit);
            let text = format!(
                "moved to {}, and {text}: openstack server migration confirm {server}, and openstack server start {server}",
                state.host
            );
            state.end(NotificationStatus::Failed, text, record);
        }
        // Nova shows it as resized until the host that it came from has confirmed.
        (VmState::Resized, None) if state.requested.is_some_and(|call| call.answered) => {}
        (VmState::Resized, None) => {
            let text = "confirming the move";
            state.issue_call(Command::ConfirmMigration(server), now, record, commands, text);
        }
        (_, _) => {}
    }
}

/// Notes that Nova shows the instance on another host. From now on that host counts.
fn arrived(state: &mut VmRecovery, shown: &Server, now: DecisionTime, record: &mut Record) {
    let Some(host) = shown.host.as_ref().filter(|host| **host != state.host) else {
        return;
    };
    let text = format!("moved to {host}");
    record.step(Task::MigrateInstance, StepKind::Outcome, 1.0, text);
    state.relocation.from = Some(std::mem::replace(&mut state.host, host.clone()));
    state.service = None;
    state.service_read.not_before = now.elapsed;
    record.head = true;
}

/// Notes that Nova has not moved the instance.
pub(super) fn not_moved(state: &mut VmRecovery, why: &str, now: DecisionTime, record: &mut Record) {
    state.requested = None;
    state.relocation.first = false;
    let text = with_failure(state, &format!("not moved to another host: {why}"));
    schedule_retry(state, text, now, record);
}

/// Notes that the journal allows no further move for now.
pub(super) fn too_many_moves(state: &mut VmRecovery, now: DecisionTime, record: &mut Record) {
    if state.stage != Stage::Migrating {
        return;
    }
    let why = format!(
        "max_moves allows {} in {} s for the whole region, and that many were moved",
        state.policy.max_moves,
        state.policy.restart_window.as_secs()
    );
    not_moved(state, &why, now, record);
}

fn with_failure(state: &VmRecovery, text: &str) -> String {
    match &state.relocation.failure {
        Some(failure) => format!("{failure}; {text}"),
        None => text.to_owned(),
    }
}

/// Returns the final message of a restart that has succeeded.
pub(super) fn success_text(state: &VmRecovery) -> String {
    match &state.relocation.from {
        Some(from) => format!(
            "the instance did not run on {from}, was moved to {}, and is active",
            state.host
        ),
        None => "the instance was stopped and started, and is active".to_owned(),
    }
}
