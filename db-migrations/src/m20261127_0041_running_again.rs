//! A mark on notifications: true once the subject has been seen running again, NULL before.

use sea_orm_migration::prelude::*;

use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let found = columns(db, "notifications").await?;
        if found.iter().any(|there| there == "running_again") {
            return Ok(());
        }
        let mut column = ColumnDef::new("running_again");
        column.boolean();
        let mut change = Table::alter();
        change.table("notifications").add_column(column);
        alter(db, &change).await
    }
}
