//! What Nova brings to a host while that is emptied.

use super::LONGEST_LIMIT;
use super::named::named;
use crate::nova::Migration;
use crate::recovery::{Inventory, Now};

/// What Nova is bringing to a host. What it began longer ago than any move may take is a record that it has lost.
pub(super) fn on_their_way<'a>(inventory: &'a Inventory, host: &str, now: Now) -> Vec<&'a Migration> {
    let clock = inventory.service.as_ref().and_then(|service| service.nova_now);
    let clock = clock.unwrap_or(now.wall);
    let is_lost = |row: &Migration| {
        row.created_at
            .is_some_and(|begun| begun.plus(LONGEST_LIMIT) <= clock)
    };
    let comes =
        |row: &&Migration| row.dest.as_deref() == Some(host) && !row.status.is_over() && !is_lost(row);
    inventory.migrations.iter().filter(comes).collect()
}

/// Moves of instances as people find them in Nova.
pub(super) fn told(moves: &[&Migration]) -> String {
    named(moves, |row| {
        format!("{} (migration {}, {})", row.server, row.id, row.status)
    })
}
