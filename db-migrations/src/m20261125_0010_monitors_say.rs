//! Additional fields of a monitor's heartbeat: the guests' autostart, and the detection latency.

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
        if columns(db, "tachi_monitor")
            .await?
            .iter()
            .any(|there| there == "says")
        {
            return Ok(());
        }
        let mut change = Table::alter();
        change
            .table("tachi_monitor")
            .add_column(long_text(db.get_database_backend(), "says"));
        alter(db, &change).await
    }
}
