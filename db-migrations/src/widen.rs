//! Widens the columns of tables that Masakari created. The old service can still read and write the result.
//!
//! | database | before | after | reason |
//! |---|---|---|---|
//! | `MariaDB` | `DATETIME` | `DATETIME(6)` | times with microseconds are cut off, and then compare wrongly |
//! | `MariaDB` | `TEXT` | `LONGTEXT` | a longer message makes the whole transaction fail |
//! | `MariaDB` | any character set and collation | `utf8mb4`, one collation | a name outside it makes the row fail; texts of two collations cannot be compared |
//! | `PostgreSQL` | `integer` ids | `bigint` | ids are read as such |
//!
//! `SQLite` has no such limits.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr};
use sea_orm_migration::sea_orm::DbBackend;

use crate::columns::Storage;
use crate::inspect::{MariaColumn, maria_columns, maria_table, tables};
use crate::origin::MASAKARI_TABLES;
use crate::statement::{change, number, texts};

/// The collation of new databases. Names that differ only in case are equal, as in Masakari on `MariaDB`.
const COLLATION: &str = "utf8mb4_general_ci";

/// Returns the storage options for new tables: those of the existing ones.
pub(crate) async fn storage(db: &impl ConnectionTrait) -> Result<Storage, DbErr> {
    let backend = db.get_database_backend();
    let found = if backend == DbBackend::MySql {
        maria_table(db, "failover_segments").await?
    } else {
        None
    };
    let collation = found.map_or_else(
        || COLLATION.to_owned(),
        |[_, _, collation]| in_utf8mb4(&collation),
    );
    Ok(Storage { backend, collation })
}

/// Returns the `utf8mb4` collation with the same order of characters, so that names that were different remain
/// different.
fn in_utf8mb4(collation: &str) -> String {
    match collation.split_once('_') {
        Some(("utf8mb4", _)) => collation.to_owned(),
        Some(("utf8" | "utf8mb3", order)) => format!("utf8mb4_{order}"),
        Some(_) | None if collation == "binary" || collation.ends_with("_bin") => "utf8mb4_bin".to_owned(),
        Some(_) | None => COLLATION.to_owned(),
    }
}

/// Widens all of Masakari's tables that exist.
pub(crate) async fn widen(db: &impl ConnectionTrait, storage: &Storage) -> Result<(), DbErr> {
    let there = tables(db).await?;
    let mine = MASAKARI_TABLES
        .iter()
        .map(|table| table.name)
        .filter(|name| there.iter().any(|table| table == name));
    match storage.backend {
        DbBackend::MySql => {
            for table in mine {
                maria(db, table, &storage.collation).await?;
            }
            restore_foreign_key(db, &there).await?;
        }
        DbBackend::Postgres => {
            for table in mine {
                postgres(db, table).await?;
            }
        }
        DbBackend::Sqlite | _ => {}
    }
    Ok(())
}

/// Makes all changes of a table in one statement, because each statement copies the table.
async fn maria(db: &impl ConnectionTrait, table: &str, collation: &str) -> Result<(), DbErr> {
    let Some([engine, row_format, _]) = maria_table(db, table).await? else {
        return Ok(());
    };
    let columns = maria_columns(db, table).await?;
    let mut parts: Vec<String> = columns
        .iter()
        .filter_map(|column| wider(column).map(|to| modify(column, to)))
        .collect();
    let mut found = columns.iter().filter_map(|column| column.collation.as_deref());
    if found.any(|found| found != collation) {
        drop_foreign_key(db).await?;
        parts.push(format!("CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}"));
    }
    if !engine.eq_ignore_ascii_case("InnoDB") {
        parts.push("ENGINE = InnoDB".to_owned());
    }
    if !row_format.eq_ignore_ascii_case("Dynamic") {
        parts.push("ROW_FORMAT = DYNAMIC".to_owned());
    }
    if !parts.is_empty() {
        tracing::info!(
            table,
            "widening the columns of a Masakari table; the database copies the table"
        );
        change(db, &format!("ALTER TABLE `{table}` {}", parts.join(", "))).await?;
    }
    Ok(())
}

/// The name that `MariaDB` gives Masakari's only foreign key.
const HOSTS_KEY: &str = "hosts_ibfk_1";

const HOSTS_KEYS: &str = "SELECT CAST(constraint_name AS CHAR) FROM information_schema.key_column_usage \
                          WHERE table_schema = DATABASE() AND table_name = 'hosts' \
                          AND column_name = 'failover_segment_id' AND referenced_table_name = 'failover_segments'";

/// Drops the foreign key: its two columns cannot be converted while it exists, not even with checks switched off.
async fn drop_foreign_key(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    for key in texts(db, HOSTS_KEYS).await? {
        change(db, &format!("ALTER TABLE hosts DROP FOREIGN KEY `{key}`")).await?;
    }
    Ok(())
}

/// Restores the foreign key, even after a crash in between.
async fn restore_foreign_key(db: &impl ConnectionTrait, there: &[String]) -> Result<(), DbErr> {
    if !there.iter().any(|table| table == "hosts") || !texts(db, HOSTS_KEYS).await?.is_empty() {
        return Ok(());
    }
    let add = format!(
        "ALTER TABLE hosts ADD CONSTRAINT `{HOSTS_KEY}` FOREIGN KEY (failover_segment_id) \
         REFERENCES failover_segments (uuid)"
    );
    change(db, &add).await.map(|_| ())
}

fn wider(column: &MariaColumn) -> Option<&'static str> {
    match column.data_type.to_ascii_lowercase().as_str() {
        "datetime" if column.fraction != Some(6) => Some("DATETIME(6)"),
        "tinytext" | "text" | "mediumtext" => Some("LONGTEXT"),
        _ => None,
    }
}

fn modify(column: &MariaColumn, to: &str) -> String {
    let null = if column.nullable { "NULL" } else { "NOT NULL" };
    format!("MODIFY `{}` {to} {null}", column.name)
}

async fn postgres(db: &impl ConnectionTrait, table: &str) -> Result<(), DbErr> {
    let narrow = texts(
        db,
        &format!(
            "SELECT CAST(column_name AS text) FROM information_schema.columns WHERE table_schema = current_schema() \
             AND table_name = '{table}' AND column_name IN ('id', 'deleted') AND data_type = 'integer' ORDER BY 1"
        ),
    )
    .await?;
    if !narrow.is_empty() {
        tracing::info!(
            table,
            "widening the columns of a Masakari table; the database rewrites the table"
        );
        let parts: Vec<String> = narrow
            .iter()
            .map(|column| format!("ALTER COLUMN \"{column}\" TYPE bigint"))
            .collect();
        change(db, &format!("ALTER TABLE \"{table}\" {}", parts.join(", "))).await?;
    }
    let sequence = format!("SELECT COALESCE(pg_get_serial_sequence('\"{table}\"', 'id'), '')");
    let sequence = texts(db, &sequence).await?.pop().unwrap_or_default();
    let small = format!(
        "SELECT COUNT(*) FROM pg_sequence WHERE seqrelid = to_regclass('{sequence}') AND seqtypid <> 'bigint'::regtype"
    );
    if !sequence.is_empty() && number(db, &small).await? > 0 {
        change(db, &format!("ALTER SEQUENCE {sequence} AS bigint")).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_characters_is_kept() {
        for (from, to) in [
            ("utf8_general_ci", "utf8mb4_general_ci"),
            ("utf8mb3_unicode_ci", "utf8mb4_unicode_ci"),
            ("utf8mb4_uca1400_ai_ci", "utf8mb4_uca1400_ai_ci"),
            ("utf8_bin", "utf8mb4_bin"),
            ("latin1_bin", "utf8mb4_bin"),
            ("latin1_swedish_ci", "utf8mb4_general_ci"),
        ] {
            assert_eq!(in_utf8mb4(from), to, "{from}");
        }
    }
}
