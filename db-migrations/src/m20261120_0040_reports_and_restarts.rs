//! Data of reports that joined an open recovery, and counts of an instance's restarts.

use sea_orm_migration::prelude::*;

use crate::columns::{micros, text};
use crate::indexes::Plain;
use crate::inspect::columns;
use crate::statement::{alter, create};
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Restarts are counted per instance, since a given time.
const BY_INSTANCE: Plain = Plain {
    table: "instance_restart",
    name: "tachi_restart_instance_idx",
    columns: &["instance_uuid", "at"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let found = columns(db, "recovery").await?;
        if !found.iter().any(|there| there == "joined_normal") {
            let mut column = ColumnDef::new("joined_normal");
            column.boolean().not_null().default(false);
            let mut change = Table::alter();
            change.table("recovery").add_column(column);
            alter(db, &change).await?;
        }
        let mut key = ForeignKey::create();
        key.from("instance_restart", "recovery_id").to("recovery", "id");
        let mut table = storage(db).await?.table("instance_restart");
        table
            .col(
                ColumnDef::new("recovery_id")
                    .big_integer()
                    .not_null()
                    .primary_key(),
            )
            .col(text("instance_uuid", 36))
            .col(micros("at"))
            .foreign_key(&mut key);
        create(db, &mut table).await?;
        BY_INSTANCE.create(db).await
    }
}
