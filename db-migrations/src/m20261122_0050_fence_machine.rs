//! Identity of the machine behind each device of a host: the expected one, since when and by whom, and the one that
//! responds instead. No foreign key: the devices' file refers to hosts by names, which come and go.

use sea_orm_migration::prelude::*;

use crate::columns::{id, micros, text, text_or_null};
use crate::indexes::Plain;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [Plain; 2] = [
    Plain {
        table: "fence_machine",
        name: "tachi_fence_machine_idx",
        columns: &["machine"],
    },
    Plain {
        table: "fence_machine",
        name: "tachi_fence_answers_idx",
        columns: &["answers"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let mut one_row = Index::create();
        one_row
            .name("tachi_fence_machine_device")
            .unique()
            .col("host")
            .col("device");
        let mut answered_at = ColumnDef::new("answered_at");
        answered_at.big_integer();
        let mut table = storage(db).await?.table("fence_machine");
        table
            .col(id())
            .col(text("host", 255))
            .col(text("device", 400))
            .col(text_or_null("machine", 255))
            .col(micros("since"))
            .col(text_or_null("said_by", 255))
            .col(text_or_null("before", 255))
            .col(text_or_null("answers", 255))
            .col(answered_at)
            .index(&mut one_row);
        create(db, &mut table).await?;
        for index in INDEXES {
            index.create(db).await?;
        }
        Ok(())
    }
}
