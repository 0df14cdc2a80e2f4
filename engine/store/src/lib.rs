//! The database adapter. It implements the engine's ports on one database, each with a separate type that [`Store`]
//! returns: [`RegistryTables`], [`JournalTables`], [`DeskTables`], [`MachineTable`], [`EngineTable`], [`FactTable`],
//! [`FreezeTable`], [`MonitorTable`]. Below them is `Database`: the connections, and the only way to write.
//!
//! ```text
//! store -> engine's ports, domain, migrations
//! ```
//!
//! Five rules apply to the crate:
//!
//! * **There is one way to write.** Every change is a `Transaction` value that `Database::write` runs in one transaction. It
//!   starts, commits, rolls back and, as long as nothing is committed, repeats the transaction. No other code starts a
//!   transaction.
//! * **A write checks the claim**. Every transaction of a claimed recovery starts with a counted update of the
//!   recovery's row at the claim's epoch.
//! * **Statements are portable.** Syntax that only `SQLite`, `MariaDB` or `PostgreSQL` supports is in the module of
//!   that name.
//! * **Exclusion starts with a write** to a row that all contenders share, or uses a unique key. It never depends on
//!   data that was read. See `lock`.
//! * **Rows stay here.** Entities are converted to the domain's types before they leave. A value that the domain does
//!   not know is an error that states table, row and column.

mod adoption;
mod batches;
mod clock;
mod conn;
mod convert;
mod database;
mod engine_registry;
mod entity;
mod error;
mod facts;
mod failure_kind;
mod files;
mod freezes;
mod grants;
mod heartbeats;
mod insert;
mod jobs;
mod journal;
mod list;
mod local_disks;
mod lock;
mod machines;
mod mariadb;
mod migrate;
mod monitors;
mod open_work;
mod operator_journal;
mod options;
mod plans;
mod postgres;
mod purge;
mod refusals;
mod registry;
mod reporters;
mod server;
mod sqlite;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
mod transaction;
mod usage;
mod waits;

pub use adoption::AdoptionReport;
pub use engine_registry::EngineTable;
pub use error::StoreError;
pub use facts::FactTable;
pub use freezes::FreezeTable;
pub use grants::{Role, grants};
pub use jobs::JobTable;
pub use journal::JournalTables;
pub use machines::MachineTable;
pub use migrate::SchemaStatus;
pub use monitors::MonitorTable;
pub use open_work::{OpenWork, Reporters};
pub use operator_journal::OperatorJournalTables;
pub use options::{ServerKind, ServerOptions, StoreOptions};
pub use plans::PlanTables;
pub use purge::{PurgeCounts, PurgeOptions};
pub use refusals::RefusalTable;
pub use registry::RegistryTables;
pub use store::Store;
pub use tachi_migrations::{Origin, Report as MigrationReport, Revision, SyncError};
