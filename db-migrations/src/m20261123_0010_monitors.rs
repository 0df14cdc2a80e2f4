//! Heartbeats of monitors. No foreign keys: a host may leave its segment while its monitors still run.

use sea_orm_migration::prelude::*;

use crate::columns::{long_text, micros, text};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let mut key = Index::create();
        key.col("host").col("kind");
        let mut table = storage.table("tachi_monitor");
        table
            .col(text("host", 255))
            .col(text("kind", 16))
            .col(text("version", 64))
            .col(long_text(storage.backend, "troubles").not_null())
            .col(long_text(storage.backend, "watches").not_null())
            .col(ColumnDef::new("watching").boolean().not_null())
            .col(micros("signed_at"))
            .primary_key(&mut key);
        create(db, &mut table).await
    }
}
