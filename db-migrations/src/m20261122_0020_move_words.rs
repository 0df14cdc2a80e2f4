//! Operators' resolutions for single instances of a recovery, and an index of an instance's moves by its id.

use sea_orm_migration::prelude::*;

use crate::indexes::Plain;
use crate::inspect::columns;
use crate::statement::alter;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: Plain = Plain {
    table: "recovery_move",
    name: "tachi_move_instance_idx",
    columns: &["instance_uuid"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        INDEX.create(db).await?;
        let found = columns(db, "recovery").await?;
        if found.iter().any(|there| there == "move_words") {
            return Ok(());
        }
        let mut column = ColumnDef::new("move_words");
        column.text();
        let mut change = Table::alter();
        change.table("recovery").add_column(column);
        alter(db, &change).await
    }
}
