//! The time of the first report of a recovery's subject, across all attempts.

use sea_orm_migration::prelude::*;

use crate::inspect::columns;
use crate::statement::alter;

const COLUMN: &str = "first_reported_at";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if columns(db, "recovery").await?.iter().any(|there| there == COLUMN) {
            return Ok(());
        }
        let mut change = Table::alter();
        change
            .table("recovery")
            .add_column(ColumnDef::new(COLUMN).big_integer());
        alter(db, &change).await
    }
}
