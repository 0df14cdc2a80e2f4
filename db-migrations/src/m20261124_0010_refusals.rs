//! Rejected reports, counted per ten minutes, to explain later why nothing happened.

use sea_orm_migration::prelude::*;

use crate::columns::{micros, text};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        // Names are untrusted and long, so they are not in the key: the writer assigns numbers.
        let mut key = Index::create();
        key.col("slot").col("writer").col("number");
        let mut table = storage.table("tachi_refusal");
        table
            .col(micros("slot"))
            .col(text("writer", 36))
            .col(ColumnDef::new("number").big_integer().not_null())
            .col(text("host", 255))
            .col(text("kind", 32))
            .col(text("reporter", 255))
            .col(text("reason", 32))
            .col(ColumnDef::new("times").big_integer().not_null())
            .col(micros("first_at"))
            .col(micros("last_at"))
            .primary_key(&mut key);
        create(db, &mut table).await
    }
}
