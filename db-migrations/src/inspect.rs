//! Reads of the database's own catalogue.
//!
//! Names are put into the queries unescaped: they all come from this crate.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr};
use sea_orm_migration::sea_orm::{DbBackend, Statement};

use crate::statement::{number, texts};

/// Returns the names of all tables except the database's internal ones.
pub(crate) async fn tables(db: &impl ConnectionTrait) -> Result<Vec<String>, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::MySql => {
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY 1"
        }
        DbBackend::Postgres => {
            "SELECT CAST(tablename AS text) FROM pg_tables WHERE schemaname = current_schema() ORDER BY 1"
        }
        DbBackend::Sqlite | _ => {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1"
        }
    };
    texts(db, sql).await
}

/// Returns the names of a table's columns.
pub(crate) async fn columns(db: &impl ConnectionTrait, table: &str) -> Result<Vec<String>, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::MySql => format!(
            "SELECT CAST(column_name AS CHAR) FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = '{table}'"
        ),
        DbBackend::Postgres => format!(
            "SELECT CAST(column_name AS text) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = '{table}'"
        ),
        DbBackend::Sqlite | _ => format!("SELECT name FROM pragma_table_info('{table}')"),
    };
    texts(db, &sql).await
}

/// True if a table has an index of this name.
pub(crate) async fn has_index(db: &impl ConnectionTrait, table: &str, name: &str) -> Result<bool, DbErr> {
    let sql = match db.get_database_backend() {
        DbBackend::MySql => format!(
            "SELECT COUNT(*) FROM information_schema.statistics \
             WHERE table_schema = DATABASE() AND table_name = '{table}' AND index_name = '{name}'"
        ),
        DbBackend::Postgres => format!(
            "SELECT COUNT(*) FROM pg_indexes \
             WHERE schemaname = current_schema() AND tablename = '{table}' AND indexname = '{name}'"
        ),
        DbBackend::Sqlite | _ => format!(
            "SELECT COUNT(*) FROM sqlite_master WHERE type = 'index' AND tbl_name = '{table}' AND name = '{name}'"
        ),
    };
    Ok(number(db, &sql).await? > 0)
}

/// True if `PostgreSQL` has an enumeration of this name.
pub(crate) async fn has_enumeration(db: &impl ConnectionTrait, name: &str) -> Result<bool, DbErr> {
    let sql = format!(
        "SELECT COUNT(*) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
         WHERE n.nspname = current_schema() AND t.typname = '{name}' AND t.typtype = 'e'"
    );
    Ok(number(db, &sql).await? > 0)
}

/// A column of a table on `MariaDB`.
#[derive(Debug)]
pub(crate) struct MariaColumn {
    pub(crate) name: String,
    pub(crate) data_type: String,
    pub(crate) nullable: bool,
    /// For a time: the number of fractional digits of a second.
    pub(crate) fraction: Option<i64>,
    /// For a text: the collation.
    pub(crate) collation: Option<String>,
}

/// Returns the columns of a table on `MariaDB`, in their order.
pub(crate) async fn maria_columns(db: &impl ConnectionTrait, table: &str) -> Result<Vec<MariaColumn>, DbErr> {
    let sql = format!(
        "SELECT CAST(column_name AS CHAR), CAST(data_type AS CHAR), CAST(is_nullable AS CHAR), \
         CAST(datetime_precision AS SIGNED), CAST(collation_name AS CHAR) FROM information_schema.columns \
         WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY ordinal_position"
    );
    let rows = db
        .query_all_raw(Statement::from_string(DbBackend::MySql, sql))
        .await?;
    rows.iter()
        .map(|row| {
            Ok(MariaColumn {
                name: row.try_get_by_index(0)?,
                data_type: row.try_get_by_index(1)?,
                nullable: row.try_get_by_index::<String>(2)? == "YES",
                fraction: row.try_get_by_index(3)?,
                collation: row.try_get_by_index(4)?,
            })
        })
        .collect()
}

/// Returns engine, row format and collation of a table on `MariaDB`.
pub(crate) async fn maria_table(
    db: &impl ConnectionTrait,
    table: &str,
) -> Result<Option<[String; 3]>, DbErr> {
    let sql = format!(
        "SELECT CAST(engine AS CHAR), CAST(row_format AS CHAR), CAST(table_collation AS CHAR) \
         FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = '{table}'"
    );
    let row = db
        .query_one_raw(Statement::from_string(DbBackend::MySql, sql))
        .await?;
    row.map(|row| {
        Ok([
            row.try_get_by_index(0)?,
            row.try_get_by_index(1)?,
            row.try_get_by_index(2)?,
        ])
    })
    .transpose()
}
