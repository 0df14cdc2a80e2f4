//! Indexes that Masakari's tables lack: for the first page of each list, for the duplicate check, for the vmoves of one
//! notification, and for the hosts of one segment.

use sea_orm_migration::prelude::*;

use crate::indexes::index;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: &[(&str, &str, &[&str])] = &[
    (
        "notifications",
        "tachi_notification_list_idx",
        &["deleted", "created_at", "id"],
    ),
    (
        "notifications",
        "tachi_notification_host_idx",
        &["source_host_uuid", "type", "generated_time"],
    ),
    ("notifications", "tachi_notification_status_idx", &["status"]),
    (
        "vmoves",
        "tachi_vmove_list_idx",
        &["notification_uuid", "deleted", "created_at", "id"],
    ),
    (
        "hosts",
        "tachi_host_list_idx",
        &["failover_segment_id", "deleted", "created_at", "id"],
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, name, columns) in INDEXES {
            index(manager, table, name, columns).await?;
        }
        Ok(())
    }
}
