//! Moves by others that make it unknown on which host the guest of an instance runs.

use super::HostInstance;
use crate::host_recovery::arrivals::is_shut_down_at_source;
use crate::nova::{Migration, MigrationStatus, MigrationType, Server};
use crate::timestamp::Timestamp;

impl HostInstance<'_> {
    /// True if the guest has been switched to the other host, which did not answer. Nova records that as completed, and still shows the
    /// instance here; its task may be gone with a restart of nova-compute. A shelving after that leaves no record.
    fn has_switched(self, record: &Migration) -> bool {
        record.kind == MigrationType::LiveMigration
            && record.status.is_done()
            && record.source.as_deref() == Some(self.host)
            && (self.server.task_state.as_deref() == Some("migrating")
                || record.touched_at().is_none_or(|at| at >= self.recent))
    }
}

/// Returns why the guest may run on another host than `host`, on which Nova shows the instance; `None` if it can only run here. `recent`
/// is the time since which a record that was touched may still be active.
pub(crate) fn runs_elsewhere(
    server: &Server,
    host: &str,
    recent: Timestamp,
    migrations: &[Migration],
) -> Option<String> {
    let shown = HostInstance {
        server,
        host,
        recent,
        on_local_disk: false,
    };
    let migrations: Vec<&Migration> = migrations.iter().collect();
    let (migration, other) = other_hosts(shown, &migrations).next()?;
    Some(elsewhere_text(host, migration, other))
}

/// Returns the moves of another kind that make it unknown where the guest runs, and the other host that each names.
pub(super) fn other_hosts<'a>(
    shown: HostInstance<'a>,
    migrations: &'a [&'a Migration],
) -> impl Iterator<Item = (&'a Migration, &'a String)> {
    let host = shown.host;
    // A move that was finished since has brought it here from wherever an older one had left it.
    let arrived_since = move |old: &Migration| {
        migrations.iter().any(|migration| {
            (migration.status.has_moved() || migration.status == MigrationStatus::Finished)
                && migration.id > old.id
                && migration.dest.as_deref() == Some(host)
                && migration.server == old.server
        })
    };
    migrations
        .iter()
        .filter(|migration| migration.kind != MigrationType::Evacuation)
        .filter(move |migration| !migration.status.is_finished() || shown.has_switched(migration))
        .filter(move |migration| !is_shut_down_at_source(migration, host))
        .filter(move |migration| !arrived_since(migration))
        .flat_map(|migration| [&migration.source, &migration.dest].map(|other| (*migration, other)))
        .filter_map(|(migration, other)| Some((migration, other.as_ref()?)))
        .filter(move |(_, other)| other.as_str() != host)
}

/// Returns why the instance may run on the other host.
fn elsewhere_text(host: &str, migration: &Migration, other: &str) -> String {
    if migration.status.is_finished() {
        return format!(
            "a live migration from {host} to {other} was recorded as completed, but Nova still shows it on {host}, so it may run on {other}"
        );
    }
    format!(
        "an unfinished move ({}) between {host} and {other} was in progress, so it may run on {other}",
        migration.status
    )
}

pub(super) fn held_note(host: &str, migration: &Migration, other: &str) -> String {
    let why = elsewhere_text(host, migration, other);
    let if_it_runs = if migration.status.is_finished() {
        "leave it and correct its host in Nova"
    } else {
        "let the migration finish"
    };
    format!(
        "on hold: {why}: check there (virsh list --all); if it runs, {if_it_runs}; if it does not, run tachi instance resolve {} \
         --not-running-on {other}",
        migration.server
    )
}
