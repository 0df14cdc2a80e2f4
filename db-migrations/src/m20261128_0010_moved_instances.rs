//! The time at which a recovery moved its failed instance to another host, NULL if it did not.

use sea_orm_migration::prelude::*;

use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let found = columns(db, "instance_restart").await?;
        if found.iter().any(|there| there == "moved_at") {
            return Ok(());
        }
        let mut column = ColumnDef::new("moved_at");
        column.big_integer();
        let mut change = Table::alter();
        change.table("instance_restart").add_column(column);
        alter(db, &change).await
    }
}
