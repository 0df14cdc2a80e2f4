//! An index of moves by their instance. Each intent of an instance's recovery asks what recoveries of hosts have left of it, in the
//! transaction that holds the row of its host: without the index that reads every move there ever was.

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
