//! Indexes that Masakari's tables lack: for the first page of each list, a host's notifications, the vmoves of one
//! notification, the hosts of one segment, and open notifications.

use sea_orm_migration::prelude::*;

use crate::indexes::Plain;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: &[Plain] = &[
    Plain {
        table: "notifications",
        name: "tachi_notification_list_idx",
        columns: &["deleted", "created_at", "id"],
    },
    Plain {
        table: "notifications",
        name: "tachi_notification_host_idx",
        columns: &["source_host_uuid", "type", "generated_time"],
    },
    Plain {
        table: "notifications",
        name: "tachi_notification_status_idx",
        columns: &["status", "deleted", "created_at", "id"],
    },
    Plain {
        table: "vmoves",
        name: "tachi_vmove_list_idx",
        columns: &["notification_uuid", "deleted", "created_at", "id"],
    },
    Plain {
        table: "hosts",
        name: "tachi_host_list_idx",
        columns: &["failover_segment_id", "deleted", "created_at", "id"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for index in INDEXES {
            index.create(manager.get_connection()).await?;
        }
        Ok(())
    }
}
