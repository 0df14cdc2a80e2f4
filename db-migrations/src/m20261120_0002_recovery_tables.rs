//! The tables of recoveries: claims, moves, the step journal, proofs, and the reasons why hosts are in maintenance.
//!
//! Uniqueness among open rows is enforced by a nullable unique column, which every database supports: it contains
//! the host or the instance while work is in progress, and NULL afterwards. Times are microseconds since the Unix
//! epoch.

use sea_orm_migration::prelude::*;

use crate::columns::{Storage, counter, enum_column, id, long_text, micros, text, text_or_null};
use crate::indexes::Plain;
use crate::statement::create;
use crate::widen::storage;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: &[Plain] = &[
    Plain {
        table: "recovery",
        name: "tachi_recovery_life_idx",
        columns: &["life"],
    },
    Plain {
        table: "recovery",
        name: "tachi_recovery_notification_idx",
        columns: &["notification_uuid"],
    },
    Plain {
        table: "recovery",
        name: "tachi_recovery_host_idx",
        columns: &["host_uuid", "life"],
    },
    Plain {
        table: "recovery_move",
        name: "tachi_move_recovery_idx",
        columns: &["recovery_id", "rank"],
    },
    Plain {
        table: "recovery_step",
        name: "tachi_step_recovery_idx",
        columns: &["recovery_id", "id"],
    },
    Plain {
        table: "recovery_proof",
        name: "tachi_proof_recovery_idx",
        columns: &["recovery_id", "id"],
    },
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let storage = storage(db).await?;
        for mut table in [
            recovery(&storage),
            recovery_move(&storage),
            recovery_step(&storage),
            recovery_proof(&storage),
            host_state(&storage),
            meta(&storage),
        ] {
            create(db, &mut table).await?;
        }
        for index in INDEXES {
            index.create(db).await?;
        }
        Ok(())
    }
}

fn recovery(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.table("recovery");
    table
        .col(id())
        .col(text("uuid", 36).unique_key())
        .col(text("notification_uuid", 36))
        .col(enum_column(backend, "kind", &["host", "vm", "process"]))
        .col(text("host_uuid", 36))
        .col(text("host_name", 255))
        .col(enum_column(backend, "life", &["open", "watching", "closed"]))
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
    table
}

fn recovery_move(storage: &Storage) -> TableCreateStatement {
    let mut table = storage.table("recovery_move");
    table
        .col(text("vmove_uuid", 36).primary_key())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(text("instance_uuid", 36))
        .col(text_or_null("open_key", 36).unique_key())
        .col(ColumnDef::new("rank").big_integer().not_null())
        .col(long_text(storage.backend, "state").not_null())
        .foreign_key(&mut of_recovery("recovery_move"));
    table
}

fn recovery_step(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.table("recovery_step");
    table
        .col(id())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(ColumnDef::new("epoch").big_integer().not_null())
        .col(text("task", 255))
        .col(text_or_null("instance_uuid", 36))
        .col(enum_column(backend, "kind", &["intent", "outcome", "note"]))
        .col(ColumnDef::new("progress").double().not_null())
        .col(ColumnDef::new("failed").boolean().not_null())
        .col(long_text(backend, "text").not_null())
        .col(micros("at"))
        .foreign_key(&mut of_recovery("recovery_step"));
    table
}

fn recovery_proof(storage: &Storage) -> TableCreateStatement {
    let backend = storage.backend;
    let mut table = storage.table("recovery_proof");
    table
        .col(id())
        .col(ColumnDef::new("recovery_id").big_integer().not_null())
        .col(ColumnDef::new("epoch").big_integer().not_null())
        .col(text("kind", 36))
        .col(text("read_by", 255))
        .col(long_text(backend, "read_from").not_null())
        .col(long_text(backend, "evidence").not_null())
        .col(micros("at"))
        .foreign_key(&mut of_recovery("recovery_proof"));
    table
}

fn host_state(storage: &Storage) -> TableCreateStatement {
    let mut table = storage.table("host_state");
    table
        .col(text("host_uuid", 36).primary_key())
        .col(enum_column(
            storage.backend,
            "why",
            &["operator", "recovery", "process"],
        ))
        .col(ColumnDef::new("recovery_id").big_integer())
        .foreign_key(&mut of_recovery("host_state"));
    table
}

fn meta(storage: &Storage) -> TableCreateStatement {
    let mut table = storage.table("tachi_meta");
    table
        .col(text("name", 64).primary_key())
        .col(long_text(storage.backend, "value").not_null());
    table
}

fn of_recovery(table: &'static str) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    key.from(table, "recovery_id").to("recovery", "id");
    key
}
