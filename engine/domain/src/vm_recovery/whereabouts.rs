//! A move by others that was not finished may have left the guest on another host than the one that Nova shows.

use super::{BlockerKind, VmRecovery};
use crate::elapsed::Elapsed;
use crate::entity::notification::NotificationStatus;
use crate::fault::Fault;
use crate::host_recovery::runs_elsewhere;
use crate::nova::Migration;
use crate::question::{MAX_READ_LAG, NovaReading, Question};
use crate::recovery::{Command, DecisionTime, Record, ServerReading};

/// The readings of the instance's migrations. None survives a take-over.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Whereabouts {
    pub(super) read: Question,
    pub(super) migrations: Option<NovaReading<Vec<Migration>>>,
    /// The time of the first reading by which it may run elsewhere.
    doubted_since: Option<Elapsed>,
}

/// True if no move by others may have left the guest on another host: restarted here, it would run twice (R10). Nova's records are
/// read for each call that stops, starts or moves the instance.
pub(super) fn runs_only_here(
    state: &mut VmRecovery,
    command: &Command,
    now: DecisionTime,
    record: &mut Record,
    commands: &mut Vec<Command>,
) -> bool {
    let (Command::Stop(server) | Command::Start(server) | Command::Migrate(server)) = command else {
        return true;
    };
    let (Some(migrations), Some(shown), Some(service)) =
        (&state.whereabouts.migrations, &state.observed, &state.service)
    else {
        if state.whereabouts.migrations.is_none() && state.whereabouts.read.send(now.elapsed) {
            commands.push(Command::FollowMove(*server));
        }
        if state.service.is_none() {
            state.request_service(now, commands);
        }
        return false;
    };
    let window = state.policy.nova_long_rpc_timeout.as_secs();
    let clock = service.what.nova_now.unwrap_or(now.wall);
    let recent = clock.minus_seconds(i64::try_from(window).unwrap_or(i64::MAX));
    let Some(why) = runs_elsewhere(&shown.what, &state.host, recent, &migrations.what) else {
        state.whereabouts.doubted_since = None;
        state.clear_blocker(BlockerKind::Elsewhere);
        return true;
    };
    let doubted_since = *state.whereabouts.doubted_since.get_or_insert(migrations.at);
    if migrations.at.since(doubted_since) >= MAX_READ_LAG {
        let text = format!(
            "{why}, and it is not restarted: check there (virsh list --all); if it does not run there: openstack server reboot --hard {server}"
        );
        state.end_without_restart(NotificationStatus::Failed, text, record);
        return false;
    }
    // A copy of Nova's database that lags behind shows a finished move as unfinished.
    state.whereabouts.migrations = None;
    state.whereabouts.read.not_before = now.elapsed.plus(state.policy.tick);
    let seconds = MAX_READ_LAG.as_secs();
    let text = format!("{why}: waiting {seconds} s, in case Nova has read an old copy of its database");
    state.blocker(BlockerKind::Elsewhere, text, now);
    false
}

/// Handles the answer to a reading.
pub(super) fn answered(state: &mut VmRecovery, result: Result<ServerReading, Fault>, now: DecisionTime) {
    let at = state.whereabouts.read.answered().unwrap_or(now.elapsed);
    match result {
        Ok(reading) => {
            state.whereabouts.migrations = Some(NovaReading {
                at,
                what: reading.migrations,
            });
        }
        Err(fault) => {
            state.whereabouts.read.not_before = now.elapsed.plus(state.policy.tick);
            state.record_nova_silence(&fault.text, now);
        }
    }
}
