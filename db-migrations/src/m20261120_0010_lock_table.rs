//! Rows that are written to be locked: whoever wants to be alone with a host or a segment raises its counter.
//!
//! `SELECT ... FOR UPDATE` would not do: Galera does not carry it to the other nodes, while two writes of one row never
//! both commit. The rows of Masakari's tables would not do either, as a write shows in their `updated_at`.

use sea_orm_migration::prelude::*;

use crate::columns::{counter, text};
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let mut table = storage(db).await?.table("tachi_lock");
        table.col(text("uuid", 36).primary_key()).col(counter("seq"));
        create(db, &mut table).await
    }
}
