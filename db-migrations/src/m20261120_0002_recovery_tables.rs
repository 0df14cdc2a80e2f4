//! The tables of recoveries: claims, moves, the step journal, proofs, and why a host is on maintenance.
//!
//! Uniqueness among open things is a nullable unique column (R6), which every database has: it holds the host or the
//! instance while work is going on, and nothing afterwards. Times are microseconds since the Unix epoch.

use sea_orm_migration::prelude::*;

use crate::columns::{counter, id, long_text, micros, text, text_or_null, word};
use crate::indexes::index;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        recovery(manager).await?;
        recovery_move(manager).await?;
        recovery_step(manager).await?;
        recovery_proof(manager).await?;
        host_state(manager).await?;
        meta(manager).await
    }
}

async fn recovery(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table
        .table("recovery")
        .col(id())
        .col(text("uuid", 36).unique_key())
        .col(text("notification_uuid", 36))
        .col(word(backend, "kind", &["host", "vm", "process"]))
        .col(text("host_uuid", 36))
        .col(text("host_name", 255))
        .col(word(backend, "life", &["open", "watching", "closed"]))
        .col(text_or_null("open_key", 255).unique_key())
        .col(counter("epoch"))
        .col(counter("seq"))
        .col(counter("beat"))
        .col(text_or_null("owner", 255))
        .col(counter("elapsed_ms"))
        .col(long_text(backend, "state"))
        .col(ColumnDef::new("proven_off").boolean().not_null().default(false))
        .col(micros("opened_at"))
        .col(counter("word_number"))
        .col(text_or_null("word", 16))
        .col(text_or_null("word_by", 255))
        .col(ColumnDef::new("word_at").big_integer());
    manager.create_table(table).await?;
    index(manager, "recovery", "tachi_recovery_life_idx", &["life"]).await?;
    index(
        manager,
        "recovery",
        "tachi_recovery_notification_idx",
        &["notification_uuid"],
    )
    .await?;
    index(
        manager,
        "recovery",
        "tachi_recovery_host_idx",
        &["host_uuid", "life"],
    )
    .await
}

async fn recovery_move(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table
        .table("recovery_move")
        .col(text("vmove_uuid", 36).primary_key())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(text("instance_uuid", 36))
        .col(text_or_null("open_key", 36).unique_key())
        .col(ColumnDef::new("rank").big_integer().not_null())
        .col(long_text(backend, "state").not_null())
        .foreign_key(&mut of_recovery("recovery_move"));
    manager.create_table(table).await?;
    index(
        manager,
        "recovery_move",
        "tachi_move_recovery_idx",
        &["recovery_id", "rank"],
    )
    .await
}

async fn recovery_step(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table
        .table("recovery_step")
        .col(id())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(ColumnDef::new("epoch").big_integer().not_null())
        .col(text("task", 255))
        .col(text_or_null("instance_uuid", 36))
        .col(word(backend, "kind", &["intent", "outcome", "note"]))
        .col(ColumnDef::new("progress").double().not_null())
        .col(ColumnDef::new("failed").boolean().not_null())
        .col(long_text(backend, "text").not_null())
        .col(micros("at"))
        .foreign_key(&mut of_recovery("recovery_step"));
    manager.create_table(table).await?;
    index(
        manager,
        "recovery_step",
        "tachi_step_recovery_idx",
        &["recovery_id", "id"],
    )
    .await
}

async fn recovery_proof(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut table = Table::create();
    table
        .table("recovery_proof")
        .col(id())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(ColumnDef::new("epoch").big_integer().not_null())
        .col(text("kind", 36))
        .col(text("read_by", 255))
        .col(ColumnDef::new("read_from").text().not_null())
        .col(long_text(backend, "evidence").not_null())
        .col(micros("at"))
        .foreign_key(&mut of_recovery("recovery_proof"));
    manager.create_table(table).await?;
    index(
        manager,
        "recovery_proof",
        "tachi_proof_recovery_idx",
        &["recovery_id", "id"],
    )
    .await
}

async fn host_state(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let backend = manager.get_database_backend();
    let mut recovery = ForeignKey::create();
    recovery.from("host_state", "recovery_id").to("recovery", "id");
    let mut table = Table::create();
    table
        .table("host_state")
        .col(text("host_uuid", 36).primary_key())
        .col(word(backend, "why", &["operator", "recovery", "process"]))
        .col(ColumnDef::new("recovery_id").big_integer())
        .foreign_key(&mut recovery);
    manager.create_table(table).await
}

async fn meta(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let mut table = Table::create();
    table
        .table("tachi_meta")
        .col(text("name", 64).primary_key())
        .col(ColumnDef::new("value").text().not_null());
    manager.create_table(table).await
}

fn of_recovery(table: &'static str) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.from(table, "recovery_id").to("recovery", "id");
    key
}
