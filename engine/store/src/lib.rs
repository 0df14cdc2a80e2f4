//! Database adapter: implements the engine's ports on one database, each by a type of its own that [`Store`] hands out:
//! [`RegistryTables`], [`JournalTables`], [`DeskTables`], [`MachineTable`], [`EngineTable`], [`FactTable`], [`FreezeTable`],
//! [`MonitorTable`]. Below them is `Database`: the connections, and how is written.
//!
//! ```text
//! store -> engine's ports, domain, migrations
//! ```
//!
//! Five rules shape the crate:
//!
//! * **One way to write.** Every change is a `Work` value that `Database::write` runs in one transaction, which it begins,
//!   commits, rolls back and, while nothing is committed, repeats. Nothing else begins a transaction.
//! * **A claim is checked by a write** (R1). Every transaction of a claimed recovery starts with a counted update of the
//!   recovery's row at the claim's epoch.
//! * **Statements are portable.** What only `SQLite`, `MariaDB` or `PostgreSQL` understands is in the module of that name.
//! * **Exclusion begins with a write** to a row that all contenders share, or rests on a unique key; never on what was
//!   read. See `lock`.
//! * **Rows stay here.** Entities are turned into the domain's types before they leave; a value the domain does not know
//!   is an error that names table, row and column.

mod adopt;
mod batches;
mod clock;
mod conn;
mod convert;
mod database;
mod desk;
mod entity;
mod error;
mod facts;
mod files;
mod freezes;
mod grants;
mod heartbeats;
mod insert;
mod jobs;
mod journal;
mod list;
mod lock;
mod machines;
mod mariadb;
mod migrate;
mod monitors;
mod open_work;
mod options;
mod plans;
mod postgres;
mod purge;
mod refusals;
mod registry;
mod reporters;
mod roll;
mod server;
mod sqlite;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod time;
mod trouble;
mod usage;
mod waits;
mod work;

pub use adopt::Adopted;
pub use desk::DeskTables;
pub use error::StoreError;
pub use facts::FactTable;
pub use freezes::FreezeTable;
pub use grants::{Role, grants};
pub use jobs::JobTable;
pub use journal::JournalTables;
pub use machines::MachineTable;
pub use migrate::Stands;
pub use monitors::MonitorTable;
pub use open_work::{OpenWork, Reporters};
pub use options::{ServerKind, ServerOptions, StoreOptions};
pub use plans::PlanTables;
pub use purge::{PurgeOptions, Purged};
pub use refusals::RefusalTable;
pub use registry::RegistryTables;
pub use roll::EngineTable;
pub use store::Store;
pub use tachi_migrations::{Origin, Report as MigrationReport, Revision, SyncError};
