//! Claims that Nova has contradicted, and the reporters that are muted for them until an operator unmutes
//! them. No foreign keys: the records outlive recoveries that are purged.

use sea_orm_migration::prelude::*;

use crate::columns::{counter, id, long_text, micros, text};
use crate::indexes::unique;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let mut doubts = storage.table("reporter_doubt");
        doubts
            .col(id())
            .col(text("voice", 64))
            .col(text("recovery_uuid", 36))
            .col(text("host_name", 255))
            .col(micros("at"))
            .index(&mut unique(
                "tachi_reporter_doubt_key",
                &["voice", "recovery_uuid"],
            ));
        create(db, &mut doubts).await?;
        let mut table = storage.table("reporter_aside");
        let mut muted_column = ColumnDef::new("aside");
        muted_column.boolean().not_null();
        table
            .col(id())
            .col(text("voice", 64))
            .col(long_text(storage.backend, "reporter").not_null())
            .col(micros("since"))
            .col(long_text(storage.backend, "why").not_null())
            .col(muted_column)
            .col(counter("unheard"))
            .index(&mut unique("tachi_reporter_aside_key", &["voice"]));
        create(db, &mut table).await
    }
}
