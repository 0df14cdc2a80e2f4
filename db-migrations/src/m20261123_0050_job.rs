//! Scheduled jobs of engines, with the result of the last run: a row per job.

use sea_orm_migration::prelude::*;

use crate::columns::{long_text, micros, text, text_or_null};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let time_column = |name: &'static str| ColumnDef::new(name).big_integer().to_owned();
        let mut table = storage.table("tachi_job");
        table
            .col(text("name", 255).primary_key())
            // Incremented by each run, so that only one of two concurrent starts succeeds.
            .col(ColumnDef::new("run").big_integer().not_null())
            .col(time_column("due_at"))
            .col(micros("begun_at"))
            .col(text("begun_by", 255))
            .col(time_column("ended_at"))
            .col(text_or_null("grade", 16))
            .col(long_text(storage.backend, "details").not_null())
            .col(time_column("good_at"));
        create(db, &mut table).await
    }
}
