//! Reservations of hosts: the recovery that holds a reserved host, and the host's original state.
//!
//! `open_key` is the host while it is reserved, and NULL afterwards, so two recoveries never hold the same host.

use sea_orm_migration::prelude::*;

use crate::columns::{enum_column, id, long_text, micros, text, text_or_null};
use crate::indexes::Plain;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEX: Plain = Plain {
    table: "host_reservation",
    name: "tachi_reservation_recovery_idx",
    columns: &["recovery_id", "host_uuid"],
};

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        let backend = storage.backend;
        let mut table = storage.table("host_reservation");
        table
            .col(id())
            .col(ColumnDef::new("recovery_id").big_integer().not_null())
            .col(text("host_uuid", 36))
            .col(text("host_name", 255))
            .col(text_or_null("open_key", 36).unique_key())
            .col(enum_column(
                backend,
                "state",
                &["held", "consumed", "used", "given_back"],
            ))
            .col(ColumnDef::new("was_enabled").boolean().not_null())
            .col(text_or_null("was_reason", 255))
            .col(long_text(backend, "aggregates").not_null())
            .col(micros("taken_at"))
            .col(ColumnDef::new("over_at").big_integer())
            .foreign_key(
                ForeignKey::create()
                    .from("host_reservation", "recovery_id")
                    .to("recovery", "id"),
            );
        create(db, &mut table).await?;
        INDEX.create(db).await
    }
}
