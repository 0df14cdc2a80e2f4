//! A key for each notification by which its repetitions are found. NULL in rows that Masakari's own API or an older
//! version has written: those are found by their host.

use sea_orm_migration::prelude::*;

use crate::indexes::Plain;
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: Plain = Plain {
    table: "notifications",
    name: "tachi_notification_repeat_idx",
    columns: &["repeat_key", "generated_time"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let found = columns(db, "notifications").await?;
        if !found.iter().any(|there| there == "repeat_key") {
            let mut column = ColumnDef::new("repeat_key");
            column.big_integer();
            let mut change = Table::alter();
            change.table("notifications").add_column(column);
            alter(db, &change).await?;
        }
        INDEX.create(db).await
    }
}
