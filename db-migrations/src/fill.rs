//! Values that Masakari left NULL, and the version mark for its own migrations.
//!
//! Masakari cannot read rows that its own upgrade left incomplete: one notification without a segment makes every list
//! with it fail. Operators can return to Masakari and come back later, so the values are filled in at every schema
//! update, and not only the first one.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr};

use crate::inspect::tables;
use crate::origin::{ALEMBIC, Revision};
use crate::statement::{change, number, quoted, texts};

/// The numbers of filled-in values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilledCounts {
    /// Notifications that got the segment of their host.
    pub notification_segments: u64,
    /// Segments that were set to enabled, the default.
    pub segments_enabled: u64,
    /// Hosts that were set to not reserved, the default.
    pub hosts_reserved: u64,
    /// Hosts that were set to not in maintenance, the default.
    pub hosts_on_maintenance: u64,
    /// Hosts that were put in maintenance by a recovery of Masakari, not by an operator.
    pub hosts_recovered: u64,
    /// Rows of any table that were set to not deleted, the default.
    pub deleted: u64,
}

impl FilledCounts {
    pub fn total(&self) -> u64 {
        self.notification_segments
            + self.segments_enabled
            + self.hosts_reserved
            + self.hosts_on_maintenance
            + self.hosts_recovered
            + self.deleted
    }
}

/// Fills in all values that are NULL and should not be. Counts them first: an update without matching rows would still
/// take locks.
pub(crate) async fn fill(db: &impl ConnectionTrait) -> Result<FilledCounts, DbErr> {
    let mut filled = FilledCounts {
        notification_segments: segments_of_notifications(db).await?,
        segments_enabled: put(db, "failover_segments", "enabled", "TRUE").await?,
        hosts_reserved: put(db, "hosts", "reserved", "FALSE").await?,
        hosts_on_maintenance: put(db, "hosts", "on_maintenance", "FALSE").await?,
        hosts_recovered: 0,
        deleted: 0,
    };
    for (kind, why) in [("COMPUTE_HOST", "recovery"), ("PROCESS", "process")] {
        filled.hosts_recovered += put_on_maintenance(db, kind, why).await?;
    }
    for table in ["failover_segments", "hosts", "notifications", "vmoves"] {
        filled.deleted += put(db, table, "deleted", "0").await?;
    }
    Ok(filled)
}

async fn put(db: &impl ConnectionTrait, table: &str, column: &str, value: &str) -> Result<u64, DbErr> {
    let missing = format!("SELECT COUNT(*) FROM {table} WHERE {column} IS NULL");
    if number(db, &missing).await? == 0 {
        return Ok(0);
    }
    change(
        db,
        &format!("UPDATE {table} SET {column} = {value} WHERE {column} IS NULL"),
    )
    .await
}

/// Sets the missing segments of notifications. A deleted host keeps its row, so nearly every notification still has a
/// host. If the host was purged, the segment stays unset.
async fn segments_of_notifications(db: &impl ConnectionTrait) -> Result<u64, DbErr> {
    let missing = "failover_segment_uuid IS NULL \
                   AND EXISTS (SELECT 1 FROM hosts WHERE hosts.uuid = notifications.source_host_uuid)";
    if number(db, &format!("SELECT COUNT(*) FROM notifications WHERE {missing}")).await? == 0 {
        return Ok(0);
    }
    let sql = format!(
        "UPDATE notifications SET failover_segment_uuid = (SELECT hosts.failover_segment_id FROM hosts \
         WHERE hosts.uuid = notifications.source_host_uuid) WHERE {missing}"
    );
    change(db, &sql).await
}

/// Marks hosts that Masakari put in maintenance.
///
/// Masakari stores no reason. It puts a host in maintenance while it processes the host's notification. So if the
/// host's last change was between the notification's creation and its end, it was not an operator's; an operator's
/// later change would be the last one.
async fn put_on_maintenance(db: &impl ConnectionTrait, kind: &str, why: &str) -> Result<u64, DbErr> {
    let column = quoted(db.get_database_backend(), "type");
    let found = format!(
        "FROM hosts WHERE on_maintenance = TRUE AND deleted = 0 \
         AND NOT EXISTS (SELECT 1 FROM host_state WHERE host_state.host_uuid = hosts.uuid) \
         AND EXISTS (SELECT 1 FROM notifications n WHERE n.source_host_uuid = hosts.uuid AND n.{column} = '{kind}' \
         AND n.status = 'finished' AND n.created_at <= hosts.updated_at AND hosts.updated_at <= n.updated_at \
         AND NOT EXISTS (SELECT 1 FROM recovery WHERE recovery.notification_uuid = n.notification_uuid))"
    );
    if number(db, &format!("SELECT COUNT(*) {found}")).await? == 0 {
        return Ok(0);
    }
    change(
        db,
        &format!("INSERT INTO host_state (host_uuid, why) SELECT uuid, '{why}' {found}"),
    )
    .await
}

/// Records for `masakari-manage db sync` that the schema matches its newest migration.
pub(crate) async fn stamp(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    if !tables(db).await?.iter().any(|there| there == ALEMBIC) {
        let create = format!(
            "CREATE TABLE IF NOT EXISTS {ALEMBIC} (version_num VARCHAR(32) NOT NULL, \
             CONSTRAINT {ALEMBIC}_pkc PRIMARY KEY (version_num))"
        );
        change(db, &create).await?;
    }
    let head = Revision::HEAD;
    let recorded = texts(db, &format!("SELECT version_num FROM {ALEMBIC}")).await?;
    if recorded.is_empty() {
        change(
            db,
            &format!("INSERT INTO {ALEMBIC} (version_num) VALUES ('{head}')"),
        )
        .await?;
    } else if recorded != [head.id()] {
        change(db, &format!("UPDATE {ALEMBIC} SET version_num = '{head}'")).await?;
    }
    Ok(())
}
