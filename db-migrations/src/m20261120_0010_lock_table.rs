//! Rows that serve as locks: a writer that needs exclusive access to a host or a segment increments its counter.
//!
//! `SELECT ... FOR UPDATE` would not suffice: Galera does not replicate it to the other nodes, while of two writes to
//! one row only one commits. The rows of Masakari's tables would not do either, as a write shows in their
//! `updated_at`.

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
