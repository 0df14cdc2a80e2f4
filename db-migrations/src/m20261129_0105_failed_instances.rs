//! The instances whose recovery has failed, each with the reason, until a later one succeeds. They are found by instance, also after the recovery itself
//! has been purged.

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
        let mut key = Index::create();
        key.col("instance_uuid");
        let mut table = storage(db).await?.table("tachi_failed_instance");
        table
            .col(text("instance_uuid", 36))
            .col(micros("failed_at"))
            .col(long_text(db.get_database_backend(), "reason"))
            .primary_key(&mut key);
        create(db, &mut table).await
    }
}
