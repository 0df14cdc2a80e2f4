//! Heartbeats of engines, every few seconds, for operators. No decision depends on them.

use sea_orm_migration::prelude::*;

use crate::columns::{counter, long_text, micros, text};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let mut table = storage.table("tachi_engine");
        table
            .col(text("name", 255).primary_key())
            .col(text("version", 64))
            .col(micros("started_at"))
            .col(micros("seen_at"))
            .col(counter("beat"))
            .col(long_text(storage.backend, "facts").not_null());
        create(db, &mut table).await
    }
}
