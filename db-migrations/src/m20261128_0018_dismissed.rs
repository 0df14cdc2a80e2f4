//! A mark on recoveries that ended because the report was a false alarm.

use sea_orm_migration::prelude::*;

use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if columns(db, "recovery")
            .await?
            .iter()
            .any(|there| there == "dismissed")
        {
            return Ok(());
        }
        let mut column = ColumnDef::new("dismissed");
        column.boolean().not_null().default(false);
        let mut change = Table::alter();
        change.table("recovery").add_column(column);
        alter(db, &change).await
    }
}
