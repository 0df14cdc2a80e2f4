//! An index of moves by their instance. Each intent of an instance's recovery queries the moves that recoveries of
//! hosts have left open, in the transaction that holds the row of its host. Without the index that query reads all
//! moves ever made.

use sea_orm_migration::prelude::*;

use crate::indexes::Plain;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        Plain {
            table: "recovery_move",
            name: "tachi_move_instance_idx",
            columns: &["instance_uuid"],
        }
        .create(manager.get_connection())
        .await
    }
}
