//! The heartbeats of monitors by the boot of their host, and the boot in which a host was reported.

use sea_orm_migration::prelude::*;

use crate::columns::{long_text, text_or_null};
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let backend = db.get_database_backend();
        for (table, name, column) in [
            ("tachi_monitor", "boot_id", text_or_null("boot_id", 64)),
            ("tachi_monitor", "beats", long_text(backend, "beats")),
            (
                "notifications",
                "reported_boot",
                long_text(backend, "reported_boot"),
            ),
        ] {
            if columns(db, table).await?.iter().any(|there| there == name) {
                continue;
            }
            let mut change = Table::alter();
            change.table(table).add_column(column);
            alter(db, &change).await?;
        }
        Ok(())
    }
}
