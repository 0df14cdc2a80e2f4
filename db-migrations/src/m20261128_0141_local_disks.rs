//! The instances on a host's local disk, as a monitor bound to the host has last read them. Kept after the host's death,
//! and apart from the heartbeats, which an operator may forget.

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
        key.col("host");
        let mut table = storage.table("tachi_local_disk");
        table
            .col(text("host", 255))
            .col(long_text(storage.backend, "instances").not_null())
            .col(micros("changed_at"))
            .primary_key(&mut key);
        create(db, &mut table).await
    }
}
