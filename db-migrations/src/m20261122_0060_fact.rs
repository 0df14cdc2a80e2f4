//! Facts about the cloud, from one engine at a time, for operators and metrics. No decision depends on them.

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
        key.col("kind").col("subject");
        let mut table = storage.table("fact");
        table
            .col(text("kind", 32))
            .col(text("subject", 255))
            .col(long_text(storage.backend, "value").not_null())
            .col(micros("as_of"))
            .primary_key(&mut key);
        create(db, &mut table).await
    }
}
