//! Execution of statements, and quoting of names for each database.

use sea_orm_migration::prelude::{ConnectionTrait, DbErr, TableAlterStatement, TableCreateStatement};
use sea_orm_migration::sea_orm::{DbBackend, Statement};

pub(crate) fn quoted(backend: DbBackend, name: &str) -> String {
    if backend == DbBackend::MySql {
        format!("`{name}`")
    } else {
        format!("\"{name}\"")
    }
}

/// Runs a statement that changes something, and returns the number of changed rows.
///
/// On `MariaDB` every schema change commits by itself, so a crash may come after any of them: the caller checks first
/// whether the change is still needed.
pub(crate) async fn change(db: &impl ConnectionTrait, sql: &str) -> Result<u64, DbErr> {
    let done = db.execute_unprepared(sql).await?;
    #[cfg(test)]
    crate::tests::crash::after_a_statement()?;
    Ok(done.rows_affected())
}

/// Creates a table unless it exists.
pub(crate) async fn create(db: &impl ConnectionTrait, table: &mut TableCreateStatement) -> Result<(), DbErr> {
    db.execute(table.if_not_exists()).await?;
    #[cfg(test)]
    crate::tests::crash::after_a_statement()?;
    Ok(())
}

pub(crate) async fn alter(db: &impl ConnectionTrait, table: &TableAlterStatement) -> Result<(), DbErr> {
    db.execute(table).await?;
    #[cfg(test)]
    crate::tests::crash::after_a_statement()?;
    Ok(())
}

/// Returns the first column of every row.
pub(crate) async fn texts(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}

/// Returns a single number.
pub(crate) async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<i64, DbErr> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    match db.query_one_raw(statement).await? {
        Some(row) => row.try_get_by_index(0),
        None => Ok(0),
    }
}
