//! Operators' actions on recoveries, one row each, so that no action replaces another.

use sea_orm_migration::prelude::*;

use crate::columns::{counter, id, micros, text};
use crate::indexes::Plain;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: Plain = Plain {
    table: "tachi_action",
    name: "tachi_action_recovery_idx",
    columns: &["recovery_id"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let mut given_for = ColumnDef::new("given_for");
        given_for.text();
        let mut table = storage.table("tachi_action");
        table
            .col(id())
            .col(ColumnDef::new("recovery_id").big_integer().not_null())
            .col(counter("number"))
            .col(text("word", 16))
            .col(text("said_by", 255))
            .col(micros("at"))
            .col(given_for)
            .col(ColumnDef::new("heard_at").big_integer())
            .col(ColumnDef::new("heard_epoch").big_integer());
        create(db, &mut table).await?;
        INDEX.create(db).await
    }
}
