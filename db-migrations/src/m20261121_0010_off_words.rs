//! Fencing claims of reports, with their evidence.

use sea_orm_migration::prelude::*;

use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let found = columns(db, "recovery").await?;
        if found.iter().any(|there| there == "off_word") {
            return Ok(());
        }
        let mut column = ColumnDef::new("off_word");
        column.text();
        let mut change = Table::alter();
        change.table("recovery").add_column(column);
        alter(db, &change).await
    }
}
