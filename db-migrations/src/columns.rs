//! Column types that are spelled differently on each database.

use sea_orm_migration::prelude::{ColumnDef, Expr, ExprTrait as _, Table, TableCreateStatement};
use sea_orm_migration::sea_orm::DbBackend;

/// Defines the integer primary key. An id is never reused, even after the newest row has been deleted, because clients
/// page by ids.
pub(crate) fn id() -> ColumnDef {
    let mut column = ColumnDef::new("id");
    column.big_integer().not_null().auto_increment().primary_key();
    column
}

/// Defines the primary key of Masakari's tables, whose ids are plain integers on `MariaDB`.
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

/// Defines a date and time with microseconds, in the type that `SQLAlchemy` expects.
pub(crate) fn date_time(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    match backend {
        DbBackend::MySql => column.custom("DATETIME(6)"),
        DbBackend::Postgres => column.custom("timestamp(6) without time zone"),
        DbBackend::Sqlite | _ => column.custom("DATETIME"),
    };
    column
}

/// Defines text of any length. On `MariaDB`, `TEXT` is limited to 64 KiB and refuses longer values.
pub(crate) fn long_text(backend: DbBackend, name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    if backend == DbBackend::MySql {
        column.custom("LONGTEXT");
    } else {
        column.text();
    }
    column
}

/// An enumeration of Masakari. On `PostgreSQL` it is a separate type, as `SQLAlchemy` creates it.
#[derive(Debug)]
pub(crate) struct Enumeration {
    pub(crate) type_name: &'static str,
    pub(crate) values: &'static [&'static str],
}

pub(crate) const RECOVERY_METHODS: Enumeration = Enumeration {
    type_name: "recovery_methods",
    values: &["auto", "reserved_host", "auto_priority", "rh_priority"],
};

pub(crate) const NOTIFICATION_STATUS: Enumeration = Enumeration {
    type_name: "notification_status",
    values: &["new", "running", "error", "failed", "ignored", "finished"],
};

impl Enumeration {
    /// Defines a column of this enumeration.
    pub(crate) fn column(&self, backend: DbBackend, name: &'static str) -> ColumnDef {
        if backend == DbBackend::Postgres {
            let mut column = ColumnDef::new(name);
            column.custom(self.type_name).not_null();
            return column;
        }
        enum_column(backend, name, self.values)
    }

    /// Returns the statement that creates the type on `PostgreSQL`.
    pub(crate) fn create_type(&self) -> String {
        let values: Vec<String> = self.values.iter().map(|value| format!("'{value}'")).collect();
        format!(
            "CREATE TYPE \"{}\" AS ENUM ({})",
            self.type_name,
            values.join(", ")
        )
    }
}

/// Defines a column with a few permitted values: an enumeration on `MariaDB`, else checked text.
pub(crate) fn enum_column(backend: DbBackend, name: &'static str, values: &[&'static str]) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    if backend == DbBackend::MySql {
        column.enumeration(name, values.iter().copied());
    } else {
        let longest = values.iter().map(|value| value.len()).max().unwrap_or(1);
        column
            .string_len(u32::try_from(longest).unwrap_or(255))
            .check(Expr::col(name).is_in(values.iter().copied()));
    }
    column.not_null();
    column
}

/// Storage options of tables on `MariaDB`; the other databases have none.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) backend: DbBackend,
    /// The collation of all tables, because texts of different collations cannot be compared.
    pub(crate) collation: String,
}

impl Storage {
    /// Starts the definition of a table.
    pub(crate) fn table(&self, name: &'static str) -> TableCreateStatement {
        let mut table = Table::create();
        table.table(name);
        if self.backend == DbBackend::MySql {
            // With DYNAMIC an index can hold 3072 bytes of a row. COMPACT permits only 767, which is less than a name
            // in utf8mb4.
            table
                .engine("InnoDB")
                .character_set("utf8mb4")
                .collate(self.collation.clone())
                .extra("ROW_FORMAT=DYNAMIC");
        }
        table
    }

    /// Starts the definition of a table with the columns that all of Masakari's tables have: times, `deleted` (the
    /// row's id once it is deleted) and `id`.
    pub(crate) fn masakari_table(&self, name: &'static str) -> TableCreateStatement {
        let backend = self.backend;
        let mut deleted = ColumnDef::new("deleted");
        if backend == DbBackend::MySql {
            deleted.integer();
        } else {
            deleted.big_integer();
        }
        deleted.default(0);
        let mut table = self.table(name);
        table
            .col(date_time(backend, "created_at"))
            .col(date_time(backend, "updated_at"))
            .col(date_time(backend, "deleted_at"))
            .col(deleted)
            .col(masakari_id(backend));
        table
    }
}

/// Defines a required text of at most `length` characters.
pub(crate) fn text(name: &'static str, length: u32) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.string_len(length).not_null();
    column
}

/// Defines an optional text of at most `length` characters.
pub(crate) fn text_or_null(name: &'static str, length: u32) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.string_len(length);
    column
}

/// Defines a 64-bit counter that starts at zero.
pub(crate) fn counter(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null().default(0);
    column
}

/// Defines a time in microseconds since the Unix epoch.
pub(crate) fn micros(name: &'static str) -> ColumnDef {
    let mut column = ColumnDef::new(name);
    column.big_integer().not_null();
    column
}
