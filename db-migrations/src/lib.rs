//! The database schema and its migrations.
//!
//! Masakari's four tables keep their names, columns and constraints. So an existing database is taken over unchanged,
//! and the old service can still read and write the result; it need not fill in the columns that are added. The tables
//! of recoveries are separate.
//!
//! [`sync`] is the only way to change a schema. It takes a lock, refuses a database that is neither Masakari's nor
//! ours, and applies the missing migrations. It fills in values that Masakari left NULL, and records for Masakari's own
//! migrations (`masakari_alembic_version`) that none is left to do. On `MariaDB` a crash may happen between any two
//! statements, so every statement that creates an object does so only if the object is missing.
//!
//! The table `tachi_migrations` lists the applied migrations. A migration is named after its source file, so a released
//! file is never renamed.

mod columns;
mod error;
mod fill;
mod indexes;
mod inspect;
mod lock;
mod m20261120_0001_masakari_tables;
mod m20261120_0002_recovery_tables;
mod m20261120_0003_list_indexes;
mod m20261120_0010_lock_table;
mod m20261120_0020_host_reservation;
mod m20261120_0030_engine_table;
mod m20261120_0040_reports_and_restarts;
mod m20261120_0050_fence_orders;
mod m20261121_0010_off_words;
mod m20261121_0020_repeat_keys;
mod m20261121_0030_recoveries_by_name;
mod m20261122_0010_reporters;
mod m20261122_0020_move_words;
mod m20261122_0030_reporters_aside;
mod m20261122_0040_waits;
mod m20261122_0050_fence_machine;
mod m20261122_0060_fact;
mod m20261122_0070_move_instance;
mod m20261122_0080_freeze;
mod m20261123_0010_monitors;
mod m20261123_0050_job;
mod m20261123_0060_plans;
mod m20261124_0010_refusals;
mod m20261125_0010_monitors_say;
mod m20261127_0040_monitor_heartbeats;
mod m20261127_0041_running_again;
mod m20261127_0086_rewinds;
mod m20261127_0088_actions;
mod m20261127_0106_first_reports;
mod m20261128_0010_moved_instances;
mod m20261128_0018_dismissed;
mod m20261128_0141_local_disks;
mod m20261129_0105_failed_instances;
mod origin;
mod statement;
mod sync;
mod widen;

pub use error::SyncError;
pub use fill::FilledCounts;
pub use origin::{Origin, Revision, origin};
pub use sync::{Report, RowCounts, sync};

use sea_orm_migration::prelude::{
    ConnectionTrait, DbErr, DynIden, IntoIden, MigrationTrait, MigratorTrait, async_trait,
};

/// The table that lists applied migrations.
pub const TABLE: &str = "tachi_migrations";

/// Runs the migrations in order, without a lock and without checks: see [`sync`].
#[derive(Clone, Copy, Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261120_0001_masakari_tables::Migration),
            Box::new(m20261120_0002_recovery_tables::Migration),
            Box::new(m20261120_0003_list_indexes::Migration),
            Box::new(m20261120_0010_lock_table::Migration),
            Box::new(m20261120_0020_host_reservation::Migration),
            Box::new(m20261120_0030_engine_table::Migration),
            Box::new(m20261120_0040_reports_and_restarts::Migration),
            Box::new(m20261120_0050_fence_orders::Migration),
            Box::new(m20261121_0010_off_words::Migration),
            Box::new(m20261121_0020_repeat_keys::Migration),
            Box::new(m20261121_0030_recoveries_by_name::Migration),
            Box::new(m20261122_0010_reporters::Migration),
            Box::new(m20261122_0020_move_words::Migration),
            Box::new(m20261122_0030_reporters_aside::Migration),
            Box::new(m20261122_0040_waits::Migration),
            Box::new(m20261122_0050_fence_machine::Migration),
            Box::new(m20261122_0060_fact::Migration),
            Box::new(m20261122_0070_move_instance::Migration),
            Box::new(m20261122_0080_freeze::Migration),
            Box::new(m20261123_0010_monitors::Migration),
            Box::new(m20261123_0050_job::Migration),
            Box::new(m20261123_0060_plans::Migration),
            Box::new(m20261124_0010_refusals::Migration),
            Box::new(m20261125_0010_monitors_say::Migration),
            Box::new(m20261127_0040_monitor_heartbeats::Migration),
            Box::new(m20261127_0041_running_again::Migration),
            Box::new(m20261127_0086_rewinds::Migration),
            Box::new(m20261127_0088_actions::Migration),
            Box::new(m20261127_0106_first_reports::Migration),
            Box::new(m20261128_0010_moved_instances::Migration),
            Box::new(m20261128_0018_dismissed::Migration),
            Box::new(m20261128_0141_local_disks::Migration),
            Box::new(m20261129_0105_failed_instances::Migration),
        ]
    }

    fn migration_table_name() -> DynIden {
        TABLE.into_iden()
    }
}

/// Returns the name of the newest applied migration; `None` if none has been applied. Writes nothing.
///
/// # Errors
///
/// The database failed, or it lists a migration that this program does not know.
pub async fn version<C: ConnectionTrait>(db: &C) -> Result<Option<String>, DbErr> {
    let applied = Migrator::get_applied_migrations_read_only(db).await?;
    Ok(applied.last().map(|migration| migration.name().to_owned()))
}

/// Returns the names of the migrations that have not been applied. Writes nothing.
///
/// # Errors
///
/// The same as for [`version`].
pub async fn pending<C: ConnectionTrait>(db: &C) -> Result<Vec<String>, DbErr> {
    let pending = Migrator::get_pending_migrations_read_only(db).await?;
    Ok(pending
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect())
}

#[cfg(test)]
mod tests;
