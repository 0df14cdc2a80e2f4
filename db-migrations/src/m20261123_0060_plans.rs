//! The two kinds of recovery that operators plan for running hosts.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::inspect::columns;
use crate::statement::{change, texts};

/// All kinds, including the new ones.
const KINDS: &str = "'host', 'vm', 'process', 'drain', 'giveback'";

/// Replaces `kind` on `SQLite`, which cannot change the check of an existing column.
const WIDE: &str = "kind_wide";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        match db.get_database_backend() {
            DbBackend::MySql => {
                let sql = format!("ALTER TABLE recovery MODIFY COLUMN kind ENUM({KINDS}) NOT NULL");
                change(db, &sql).await.map(|_| ())
            }
            DbBackend::Postgres => postgres(db).await,
            DbBackend::Sqlite | _ => sqlite(db).await,
        }
    }
}

/// Makes all changes in one statement.
async fn postgres(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let found = texts(
        db,
        "SELECT conname::text FROM pg_constraint WHERE conrelid = 'recovery'::regclass AND contype = 'c' AND \
         pg_get_constraintdef(oid) LIKE '%kind%'",
    )
    .await?;
    let mut parts: Vec<String> = found
        .iter()
        .map(|name| format!("DROP CONSTRAINT \"{name}\""))
        .collect();
    parts.push("ALTER COLUMN kind TYPE varchar(16)".to_owned());
    parts.push(format!(
        "ADD CONSTRAINT recovery_kind_check CHECK (kind IN ({KINDS}))"
    ));
    let sql = format!("ALTER TABLE recovery {}", parts.join(", "));
    change(db, &sql).await.map(|_| ())
}

/// Replaces the column step by step, and skips the steps that were done before a crash.
async fn sqlite(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    let there = columns(db, "recovery").await?;
    let has = |name: &str| there.iter().any(|column| column == name);
    if has("kind") {
        let sql = "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = 'recovery'";
        if texts(db, sql).await?.iter().any(|made| made.contains("giveback")) && !has(WIDE) {
            return Ok(());
        }
        if !has(WIDE) {
            let sql = format!(
                "ALTER TABLE recovery ADD COLUMN {WIDE} varchar(16) NOT NULL DEFAULT 'host' CHECK ({WIDE} IN ({KINDS}))"
            );
            change(db, &sql).await?;
        }
        change(db, &format!("UPDATE recovery SET {WIDE} = kind")).await?;
        change(db, "ALTER TABLE recovery DROP COLUMN kind").await?;
    }
    change(db, &format!("ALTER TABLE recovery RENAME COLUMN {WIDE} TO kind"))
        .await
        .map(|_| ())
}
