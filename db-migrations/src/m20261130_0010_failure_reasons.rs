//! The reason why the recovery of an instance has failed.

use sea_orm_migration::prelude::*;

use crate::columns::long_text;
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if columns(db, "tachi_failed_instance")
            .await?
            .iter()
            .any(|there| there == "reason")
        {
            return Ok(());
        }
        let mut column = long_text(db.get_database_backend(), "reason");
        let mut change = Table::alter();
        change.table("tachi_failed_instance").add_column(&mut column);
        alter(db, &change).await
    }
}
