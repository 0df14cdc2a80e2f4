//! Power-off orders with their times, which all engines count together. No foreign key: the records outlive
//! recoveries that are purged.

use sea_orm_migration::prelude::*;

use crate::columns::{id, micros, text};
use crate::indexes::Plain;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [Plain; 2] = [
    Plain {
        table: "fence_order",
        name: "tachi_fence_order_at_idx",
        columns: &["at"],
    },
    Plain {
        table: "recovery_proof",
        name: "tachi_proof_at_idx",
        columns: &["at"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let mut table = storage(db).await?.table("fence_order");
        table
            .col(id())
            .col(text("recovery_uuid", 36))
            .col(text("host_uuid", 36))
            .col(micros("at"));
        create(db, &mut table).await?;
        for index in INDEXES {
            index.create(db).await?;
        }
        Ok(())
    }
}
