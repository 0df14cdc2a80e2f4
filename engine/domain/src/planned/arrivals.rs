//! Instances that Nova brings to a host while it is drained.

use super::MAX_MOVE_LIMIT;
use super::named::named;
use crate::nova::{Migration, MigrationStatus, MigrationType};
use crate::recovery::{DecisionTime, Inventory};

/// Returns the migrations that bring instances to a host. A migration older than the longest allowed move is a record that
/// Nova has lost.
///
/// A reverted resize returns to its source host without the scheduler, even if that host is disabled. Its record is as old
/// as the resize, so its age shows nothing.
pub(super) fn on_their_way<'a>(
    inventory: &'a Inventory,
    host: &str,
    now: DecisionTime,
) -> Vec<&'a Migration> {
    let clock = inventory.service.as_ref().and_then(|service| service.nova_now);
    let clock = clock.unwrap_or(now.wall);
    let is_lost = |row: &Migration| {
        row.created_at
            .is_some_and(|begun| begun.plus(MAX_MOVE_LIMIT) <= clock)
    };
    let comes = |row: &&Migration| {
        if row.status == MigrationStatus::Reverting {
            return row.source.as_deref() == Some(host);
        }
        row.dest.as_deref() == Some(host) && !row.status.is_finished() && !is_lost(row)
    };
    inventory.migrations.iter().filter(comes).collect()
}

/// Returns the unconfirmed resizes and cold migrations from a host: until they are confirmed, their owners can revert them
/// at any time.
pub(super) fn may_be_taken_back<'a>(inventory: &'a Inventory, host: &str) -> Vec<&'a Migration> {
    let is_one = |row: &&Migration| {
        matches!(row.kind, MigrationType::Resize | MigrationType::Migration)
            && row.status == MigrationStatus::Finished
            && row.source.as_deref() == Some(host)
    };
    inventory.migrations.iter().filter(is_one).collect()
}

/// Renders migrations so that operators can find them in Nova.
pub(super) fn describe(moves: &[&Migration]) -> String {
    named(moves, |row| {
        format!("{} (migration {}, {})", row.server, row.id, row.status)
    })
}
