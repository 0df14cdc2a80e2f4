//! Migration records.

use serde::Deserialize;
use tachi_domain::nova::{Migration, MigrationType};
use tachi_domain::{MigrationId, ServerId, Timestamp};
use tachi_engine::ports::CallError;

use super::pages::{self, List, Take};
use super::version::Feature;
use super::{Nova, read, service};
use crate::answer::Answer;
use crate::fault::ErrorScope;
use crate::time;

#[derive(Deserialize)]
struct Record {
    id: u64,
    instance_uuid: ServerId,
    migration_type: String,
    status: String,
    #[serde(default)]
    source_compute: Option<String>,
    #[serde(default)]
    dest_compute: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    updated_at: Option<String>,
}

pub(super) async fn touching(nova: &Nova, host: &str) -> Result<Vec<Migration>, CallError> {
    whole(nova, host, list_touching(nova, host).await?).await
}

/// Lists the migrations that touch the host. The boolean is true if the list proves that the host's cell was read.
pub(super) async fn list_touching(nova: &Nova, host: &str) -> Result<(Vec<Migration>, bool), CallError> {
    // `host` is the only filter that matches source and destination.
    pages_of(nova, vec![("host", host.to_owned())], None).await
}

pub(super) async fn evacuations_from(
    nova: &Nova,
    host: &str,
    since: Option<Timestamp>,
) -> Result<Vec<Migration>, CallError> {
    let query = vec![
        ("source_compute", host.to_owned()),
        ("migration_type", "evacuation".to_owned()),
    ];
    // Nova stores whole seconds, so a migration created at the very beginning seems slightly older.
    let found = pages_of(nova, query, since.map(Timestamp::whole_seconds)).await?;
    whole(nova, host, found).await
}

/// Lists the evacuations of all hosts. Does not check for down cells: a missing entry proves nothing here.
pub(super) async fn evacuations(nova: &Nova, since: Option<Timestamp>) -> Result<Vec<Migration>, CallError> {
    let query = vec![("migration_type", "evacuation".to_owned())];
    let (migrations, _) = pages_of(nova, query, since.map(Timestamp::whole_seconds)).await?;
    Ok(migrations)
}

/// Lists the migrations of one server, and the progress of a running live migration in percent, as Nova counts it for
/// memory and disks together.
pub(super) async fn of_server(
    nova: &Nova,
    server: ServerId,
) -> Result<(Vec<Migration>, Option<u8>), CallError> {
    let query = vec![("instance_uuid", server.to_string())];
    let (migrations, _) = pages_of(nova, query, None).await?;
    let is_live = |migration: &&Migration| migration.kind == MigrationType::LiveMigration;
    let is_under_way = migrations
        .iter()
        .filter(is_live)
        .any(|migration| !migration.status.is_finished());
    let percent = if is_under_way {
        // The migration may end at this moment, and then Nova does not know it any more.
        progress(nova, server).await.unwrap_or_default()
    } else {
        None
    };
    Ok((migrations, percent))
}

#[derive(Deserialize)]
struct UnderWay {
    migrations: Vec<Progress>,
}

/// The progress, in bytes.
#[derive(Deserialize)]
struct Progress {
    #[serde(default, rename = "memory_total_bytes")]
    memory: Option<u64>,
    #[serde(default, rename = "memory_remaining_bytes")]
    memory_left: Option<u64>,
    #[serde(default, rename = "disk_total_bytes")]
    disk: Option<u64>,
    #[serde(default, rename = "disk_remaining_bytes")]
    disk_left: Option<u64>,
}

impl Progress {
    fn percent(&self) -> Option<u8> {
        let sum = |one: Option<u64>, other: Option<u64>| {
            one.unwrap_or_default().saturating_add(other.unwrap_or_default())
        };
        let total = sum(self.memory, self.disk);
        let left = sum(self.memory_left, self.disk_left).min(total);
        let done = u128::from(total - left) * 100;
        u8::try_from(done.checked_div(u128::from(total))?).ok()
    }
}

async fn progress(nova: &Nova, server: ServerId) -> Result<Option<u8>, CallError> {
    let id = server.to_string();
    let path = ["servers", &id, "migrations"];
    let request = read(&path, &[], ErrorScope::Object);
    let answer = nova.call(Feature::MIGRATIONS, request).await?;
    let shown: UnderWay = answer.json()?;
    Ok(shown.migrations.last().and_then(Progress::percent))
}

async fn whole(
    nova: &Nova,
    host: &str,
    (migrations, certain): (Vec<Migration>, bool),
) -> Result<Vec<Migration>, CallError> {
    // All records of a host are in its cell, so one page with an entry proves that the cell was read.
    if !certain {
        service::ensure_cell_is_up(nova, host).await?;
    }
    Ok(migrations)
}

/// Returns each record once, and true if all of them were on a single page.
async fn pages_of(
    nova: &Nova,
    query: Vec<(&'static str, String)>,
    since: Option<Timestamp>,
) -> Result<(Vec<Migration>, bool), CallError> {
    let list = List {
        feature: Feature::MIGRATIONS,
        path: &["os-migrations"],
        query,
        key: "migrations",
        marker: "uuid",
    };
    let whole = pages::list(nova, &list, |answer, item, found: &mut Vec<Migration>| {
        let record =
            Record::deserialize(item).map_err(|error| answer.malformed(&format!("a migration: {error}")))?;
        let migration = understood(answer, record)?;
        // A record without a time never counts as old.
        let old = since
            .zip(migration.created_at)
            .is_some_and(|(since, made)| made < since);
        if old {
            return Ok(Take::Enough);
        }
        found.push(migration);
        Ok(Take::More)
    })
    .await?;
    let certain = !whole.items.is_empty() && !whole.many_pages;
    let mut seen = std::collections::HashSet::new();
    let mut migrations = whole.items;
    migrations.retain(|migration| seen.insert(migration.id));
    Ok((migrations, certain))
}

fn understood(answer: &Answer, record: Record) -> Result<Migration, CallError> {
    let dated = |text: Option<&str>, what: &str| match text {
        None => Ok(None),
        Some(text) => match time::parse(text) {
            Some(at) => Ok(Some(at)),
            None => Err(answer.malformed(&format!("a migration {what} at {text}"))),
        },
    };
    let created_at = dated(record.created_at.as_deref(), "made")?;
    let updated_at = dated(record.updated_at.as_deref(), "changed")?;
    let named = |host: Option<String>| host.filter(|host| !host.is_empty());
    Ok(Migration {
        id: MigrationId(record.id),
        server: record.instance_uuid,
        kind: MigrationType::from_nova(&record.migration_type),
        status: record.status.into(),
        source: named(record.source_compute),
        dest: named(record.dest_compute),
        created_at,
        updated_at,
    })
}
