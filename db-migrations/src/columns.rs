//! Column types that are spelled differently on each database.

use sea_orm_migration::prelude::{
    ColumnDef, DbErr, Expr, ExprTrait as _, SchemaManager, Table, TableCreateStatement,
};
use sea_orm_migration::sea_orm::{ConnectionTrait as _, DbBackend};

/// The integer primary key. Ids are never used again, not even after the newest row is gone: clients page by them.
pub(crate) fn id() -> ColumnDef {
    let mut column = ColumnDef::new("id");
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

/// The same for Masakari's tables, whose ids are plain integers on `MariaDB`.
fn masakari_id(backend: DbBackend) -> ColumnDef {
    let mut column = ColumnDef::new("id");
    if backend == DbBackend::MySql {
        column.integer();
    } else {
        column.big_integer();
    }
    column.not_null().auto_increment().primary_key();
    column
}

/// A date and time with microseconds, in the type `SQLAlchemy` expects.
pub(crate) fn date_time(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match backend {
        DbBackend::MySql => column.custom("DATETIME(6)"),
        DbBackend::Postgres => column.custom("timestamp(6) without time zone"),
        DbBackend::Sqlite | _ => column.custom("DATETIME"),
    };
    column
}

/// One of a few words: an enumeration where Masakari's schema has one, else checked text.
pub(crate) fn word(backend: DbBackend, name: &'static str, words: &[&'static str]) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    if backend == DbBackend::MySql {
        column.enumeration(name, words.iter().copied());
    } else {
        let longest = words.iter().map(|word| word.len()).max().unwrap_or(1);
        column
            .string_len(u32::try_from(longest).unwrap_or(255))
            .check(Expr::col(name).is_in(words.iter().copied()));
    }
    column.not_null();
    column
}

/// One of a few words, in the enumeration type of that name where the database has such types; see [`make_type`].
pub(crate) fn typed_word(
    backend: DbBackend,
    name: &'static str,
    kind: &'static str,
    words: &[&'static str],
) -> ColumnDef {
    if backend != DbBackend::Postgres {
        return word(backend, name, words);
    }
    let mut column = ColumnDef::new(name);
    column.enumeration(kind, words.iter().copied()).not_null();
    column
}

/// Makes an enumeration type on `PostgreSQL`, unless it is there. Masakari's columns are of such types.
pub(crate) async fn make_type(
    manager: &SchemaManager<'_>,
    kind: &'static str,
    words: &[&'static str],
) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let words = words.join(", ");
    let make = format!(
        "DO $$ BEGIN CREATE TYPE {kind} AS ENUM ({words}); EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    );
    manager.get_connection().execute_unprepared(&make).await?;
    Ok(())
}

/// Text without a limit that matters: what `MariaDB` calls `TEXT` ends at 64 KiB.
pub(crate) fn long_text(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    if backend == DbBackend::MySql {
        column.custom("LONGTEXT");
    } else {
        column.text();
    }
    column
}

/// A table with what every table of Masakari's begins with: times, `deleted` (the row's id once it is deleted) and `id`.
pub(crate) fn masakari_table(backend: DbBackend, name: &'static str) -> TableCreateStatement {
    let mut deleted = ColumnDef::new("deleted");
    if backend == DbBackend::MySql {
        deleted.integer();
    } else {
        deleted.big_integer();
    }
    deleted.default(0);
    let mut table = Table::create();
    table
        .table(name)
        .col(date_time(backend, "created_at"))
        .col(date_time(backend, "updated_at"))
        .col(date_time(backend, "deleted_at"))
        .col(deleted)
        .col(masakari_id(backend));
    table
}

/// Text of at most `length` characters that must be there.
pub(crate) fn text(name: &'static str, length: u32) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.string_len(length).not_null();
    column
}

/// Text of at most `length` characters, or nothing.
pub(crate) fn text_or_null(name: &'static str, length: u32) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.string_len(length);
    column
}

/// A 64-bit counter that starts at zero.
pub(crate) fn counter(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null().default(0);
    column
}

/// Microseconds since the Unix epoch.
pub(crate) fn micros(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null();
    column
}
