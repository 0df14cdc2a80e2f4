//! An index of recoveries by host name: each list of a host's instances queries the host's latest recoveries.

use sea_orm_migration::prelude::*;

use crate::indexes::Plain;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: Plain = Plain {
    table: "recovery",
    name: "tachi_recovery_name_idx",
    columns: &["host_name", "id"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        INDEX.create(manager.get_connection()).await
    }
}
