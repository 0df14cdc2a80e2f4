//! Freezes of operators, with their expiry. No foreign keys: hosts and segments come and go, and instances belong to
//! Nova. Expired freezes are kept for a while, for the history.

use sea_orm_migration::prelude::*;

use crate::columns::{id, long_text, micros, text, text_or_null};
use crate::indexes::{Plain, unique};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ENDED: Plain = Plain {
    table: "tachi_freeze",
    name: "tachi_freeze_ended_idx",
    columns: &["ended_at"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let flag = |name: &'static str| ColumnDef::new(name).boolean().not_null().to_owned();
        let mut table = storage.table("tachi_freeze");
        table
            .col(id())
            .col(text("scope", 16))
            .col(text("target", 36))
            .col(long_text(storage.backend, "name").not_null())
            .col(micros("since"))
            .col(micros("until_at"))
            .col(long_text(storage.backend, "said_by").not_null())
            .col(long_text(storage.backend, "reason").not_null())
            .col(flag("unless_worse"))
            .col(flag("noticed"))
            .col(ColumnDef::new("ended_at").big_integer())
            .col(long_text(storage.backend, "ended_by"))
            // At most one open freeze per target: NULL once it has ended.
            .col(text_or_null("open_key", 64))
            .index(&mut unique("tachi_freeze_key", &["open_key"]));
        create(db, &mut table).await?;
        ENDED.create(db).await
    }
}
