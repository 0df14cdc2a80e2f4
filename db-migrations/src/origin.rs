//! The owner of a database: empty, Masakari's, or ours. Any other database is refused.

use sea_orm_migration::prelude::{ConnectionTrait, MigratorTrait as _};

use crate::error::{ErrorContext as _, SyncError};
use crate::inspect::{columns, tables};
use crate::statement::texts;
use crate::{Migrator, TABLE};

pub(crate) struct MasakariTable {
    pub(crate) name: &'static str,
    /// The columns of the table's first revision, without `id` and the times, which every table has.
    columns: &'static [&'static str],
    /// The first revision that has the table.
    since: Revision,
}

pub(crate) const MASAKARI_TABLES: &[MasakariTable] = &[
    MasakariTable {
        name: "failover_segments",
        columns: &[
            "uuid",
            "name",
            "service_type",
            "enabled",
            "description",
            "recovery_method",
        ],
        since: Revision::Initial,
    },
    MasakariTable {
        name: "hosts",
        columns: &[
            "uuid",
            "name",
            "reserved",
            "type",
            "control_attributes",
            "failover_segment_id",
            "on_maintenance",
        ],
        since: Revision::Initial,
    },
    MasakariTable {
        name: "notifications",
        columns: &[
            "notification_uuid",
            "generated_time",
            "source_host_uuid",
            "type",
            "payload",
            "status",
        ],
        since: Revision::Initial,
    },
    MasakariTable {
        name: "vmoves",
        columns: &[
            "uuid",
            "notification_uuid",
            "instance_uuid",
            "instance_name",
            "source_host",
            "dest_host",
            "start_time",
            "end_time",
            "type",
            "status",
            "message",
        ],
        since: Revision::Vmoves,
    },
];

const COMMON_COLUMNS: &[&str] = &["id", "created_at", "updated_at", "deleted_at", "deleted"];

/// Version table of Masakari's own migrations.
pub(crate) const ALEMBIC: &str = "masakari_alembic_version";

/// Version table of Masakari's first releases.
const LEGACY: &str = "migrate_version";

/// The tables of the workflow library, which may be in the same database.
const TASKFLOW: &[&str] = &["alembic_version", "logbooks", "flowdetails", "atomdetails"];

/// Our tables other than [`TABLE`].
const OURS: &[&str] = &[
    "recovery",
    "recovery_move",
    "recovery_step",
    "recovery_proof",
    "host_state",
    "host_reservation",
    "instance_restart",
    "tachi_meta",
    "tachi_lock",
    "tachi_engine",
    "reporter_doubt",
    "reporter_aside",
    "fence_order",
    "fence_machine",
    "tachi_freeze",
    "tachi_monitor",
    "tachi_local_disk",
    "tachi_failed_instance",
    "tachi_job",
];

/// A revision of Masakari's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Revision {
    /// Segments, hosts and notifications.
    Initial,
    /// The initial revision and vmoves.
    Vmoves,
    /// The revision with vmoves, and the segment and message of a notification.
    Messages,
}

impl Revision {
    /// The newest revision.
    pub const HEAD: Self = Self::Messages;

    const ALL: [Self; 3] = [Self::Initial, Self::Vmoves, Self::Messages];

    /// Returns alembic's name of the revision.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Initial => "8f848eb45d03",
            Self::Vmoves => "8bdf5929c5a6",
            Self::Messages => "13adff5efb9a",
        }
    }

    fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.id() == id)
    }

    /// Converts a version of the migrations before alembic.
    fn from_legacy(version: i64) -> Option<Self> {
        match version {
            7 => Some(Self::Initial),
            8 => Some(Self::Vmoves),
            _ => None,
        }
    }
}

impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// The state of a database before any change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The revision of Masakari's schema; `None` if it is absent.
    pub masakari: Option<Revision>,
    /// Our newest applied migration; `None` if none was applied.
    pub tachi: Option<String>,
}

/// Detects a database's owner. Writes nothing.
///
/// # Errors
///
/// `Unknown` for another application's database or an unknown version, `Newer`, `Database`.
pub async fn origin<C: ConnectionTrait>(db: &C) -> Result<Origin, SyncError> {
    let there = tables(db).await.during("listing the tables")?;
    let has = |name: &str| there.iter().any(|table| table == name);
    let applied = if has(TABLE) {
        applied(db).await?
    } else {
        Vec::new()
    };
    let masakari = if has(ALEMBIC) { alembic(db).await? } else { None };
    let masakari = match masakari {
        None if has(LEGACY) => legacy(db).await?,
        revision => revision,
    };
    let missing: Vec<&str> = MASAKARI_TABLES
        .iter()
        .filter(|table| !has(table.name))
        .map(|table| table.name)
        .collect();
    if !has(TABLE) {
        if let Some(name) = OURS.iter().find(|name| has(name)) {
            return Err(SyncError::unknown(format!(
                "it has a table {name}, but no {TABLE}, so it is not a Tachi database"
            )));
        }
        match masakari {
            Some(revision) => {
                let lost = MASAKARI_TABLES
                    .iter()
                    .find(|table| table.since <= revision && !has(table.name));
                if let Some(table) = lost {
                    return Err(SyncError::unknown(format!(
                        "it claims to be a Masakari database at {revision}, but has no table {}",
                        table.name
                    )));
                }
            }
            None if missing.len() < MASAKARI_TABLES.len() => {
                return Err(SyncError::unknown(format!(
                    "it has Masakari's tables, but no revision in {ALEMBIC} or {LEGACY}; the dump may be incomplete"
                )));
            }
            None => refuse_foreign_tables(&there)?,
        }
    }
    for table in MASAKARI_TABLES.iter().filter(|table| has(table.name)) {
        shape(db, table).await?;
    }
    Ok(Origin {
        masakari,
        tachi: applied.last().cloned(),
    })
}

/// Returns the revision that Masakari's own migrations recorded; `None` if there is none. Writes nothing.
///
/// # Errors
///
/// `Unknown`, `Database`.
async fn alembic(db: &impl ConnectionTrait) -> Result<Option<Revision>, SyncError> {
    let ids = texts(db, &format!("SELECT version_num FROM {ALEMBIC} ORDER BY 1"))
        .await
        .during("reading Masakari's revision")?;
    match ids.as_slice() {
        [] => Ok(None),
        [id] => Revision::from_id(id).map(Some).ok_or_else(|| {
            let known = Revision::ALL.map(Revision::id).join(", ");
            SyncError::unknown(format!(
                "{ALEMBIC} has revision {id}, which this version does not know (it knows {known})"
            ))
        }),
        several => Err(SyncError::unknown(format!(
            "{ALEMBIC} has several revisions: {}",
            several.join(", ")
        ))),
    }
}

async fn legacy(db: &impl ConnectionTrait) -> Result<Option<Revision>, SyncError> {
    // Read as text, because the three databases have integers of different sizes.
    let versions = texts(db, &format!("SELECT CAST(version AS CHAR(20)) FROM {LEGACY}"))
        .await
        .during("reading Masakari's version")?;
    let version: i64 = match versions.as_slice() {
        [version] => version.trim().parse().unwrap_or(0),
        _ => 0,
    };
    match Revision::from_legacy(version) {
        Some(revision) => Ok(Some(revision)),
        None if version < 7 => Err(SyncError::unknown(format!(
            "{LEGACY} has version {version}, which is too old; upgrade it to version 8 with a Masakari release from \
             before 2023"
        ))),
        None => Err(SyncError::unknown(format!(
            "{LEGACY} has version {version}, which no Masakari release created (the last is 8)"
        ))),
    }
}

/// Returns our applied migrations, oldest first.
async fn applied(db: &impl ConnectionTrait) -> Result<Vec<String>, SyncError> {
    let applied = texts(db, &format!("SELECT version FROM {TABLE} ORDER BY 1"))
        .await
        .during("reading the applied migrations")?;
    let known: Vec<String> = Migrator::migrations()
        .iter()
        .map(|migration| migration.name().to_owned())
        .collect();
    let versions: Vec<String> = applied
        .iter()
        .filter(|name| !known.contains(name))
        .cloned()
        .collect();
    if versions.is_empty() {
        Ok(applied)
    } else {
        Err(SyncError::Newer { versions })
    }
}

/// Rejects a database with tables of a third party, which means that the URL is wrong. An empty database is a new one.
fn refuse_foreign_tables(there: &[String]) -> Result<(), SyncError> {
    let strangers: Vec<&str> = there
        .iter()
        .map(String::as_str)
        .filter(|name| *name != ALEMBIC && *name != LEGACY && !TASKFLOW.contains(name))
        .collect();
    if strangers.is_empty() {
        return Ok(());
    }
    let some: Vec<&str> = strangers.iter().copied().take(5).collect();
    Err(SyncError::unknown(format!(
        "it contains {} tables that are not Masakari's ({}{}). Check [database] connection; a new database must be empty",
        strangers.len(),
        some.join(", "),
        if strangers.len() > some.len() { ", ..." } else { "" }
    )))
}

/// Checks that a table with one of Masakari's names has Masakari's columns.
async fn shape(db: &impl ConnectionTrait, table: &MasakariTable) -> Result<(), SyncError> {
    let found = columns(db, table.name).await.during("reading the columns")?;
    let missing: Vec<&str> = COMMON_COLUMNS
        .iter()
        .chain(table.columns)
        .copied()
        .filter(|column| !found.iter().any(|name| name == column))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(SyncError::unknown(format!(
        "its table {} is not Masakari's: it has no column {}",
        table.name,
        missing.join(", ")
    )))
}
