//! Migration records and their indexes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{HostIx, ServerIx};
use crate::region_time::RegionTime;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum MigrationKind {
    /// A rebuild on another host after its host has died.
    Evacuation,
    LiveMigration,
    Migration,
    Resize,
}

impl MigrationKind {
    /// Returns Nova's name of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Evacuation => "evacuation",
            Self::LiveMigration => "live-migration",
            Self::Migration => "migration",
            Self::Resize => "resize",
        }
    }
}

/// A live or cold migration in progress. It ends without a result if one of its hosts restarts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Relocation {
    pub(super) server: ServerIx,
    pub(super) server_id: Uuid,
    pub(super) source: HostIx,
    pub(super) source_incarnation: u64,
    pub(super) dest: HostIx,
    pub(super) dest_incarnation: u64,
    pub(super) migration: u64,
}

/// The status of a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MigrationStatus {
    Accepted,
    Preparing,
    PreMigrating,
    Running,
    Migrating,
    Finished,
    Confirmed,
    Done,
    Completed,
    Cancelled,
    Failed,
    Error,
}

impl MigrationStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Preparing => "preparing",
            Self::PreMigrating => "pre-migrating",
            Self::Running => "running",
            Self::Migrating => "migrating",
            Self::Finished => "finished",
            Self::Confirmed => "confirmed",
            Self::Done => "done",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Migration {
    pub(crate) id: u64,
    pub(crate) uuid: Uuid,
    pub(crate) server: ServerIx,
    pub(crate) server_id: Uuid,
    pub(crate) kind: MigrationKind,
    pub(crate) status: MigrationStatus,
    pub(crate) source_compute: String,
    pub(crate) source_node: String,
    pub(crate) dest_compute: Option<String>,
    pub(crate) dest_node: Option<String>,
    pub(crate) dest_host: Option<String>,
    pub(crate) created: RegionTime,
    /// NULL until the record's first update.
    pub(crate) updated: Option<RegionTime>,
    pub(crate) user_id: String,
    pub(crate) project_id: String,
    pub(crate) flavor: usize,
}

/// Filters of `GET /os-migrations`.
#[derive(Debug, Clone, Default)]
pub(crate) struct MigrationFilter {
    pub(crate) instance_uuid: Option<Uuid>,
    /// Matches source or destination.
    pub(crate) host: Option<String>,
    pub(crate) source_compute: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) user_id: Option<String>,
    pub(crate) project_id: Option<String>,
    pub(crate) changes_since: Option<RegionTime>,
    pub(crate) changes_before: Option<RegionTime>,
}

impl MigrationFilter {
    fn accepts(&self, row: &Migration) -> bool {
        let is = |expected: &Option<String>, value: &str| {
            expected.as_deref().is_none_or(|expected| expected == value)
        };
        let host_matches = match (&self.host, &self.source_compute) {
            // Nova checks `source_compute` only if `host` is not given.
            (Some(host), _) => row.source_compute == *host || row.dest_compute.as_ref() == Some(host),
            (None, Some(source)) => row.source_compute == *source,
            (None, None) => true,
        };
        host_matches
            && self.instance_uuid.is_none_or(|id| row.server_id == id)
            && is(&self.status, row.status.as_str())
            && is(&self.kind, row.kind.as_str())
            && is(&self.user_id, &row.user_id)
            && is(&self.project_id, &row.project_id)
            // SQL compares with NULL and so hides records without an update.
            && self.changes_since.is_none_or(|since| row.updated.is_some_and(|updated| updated >= since))
            && self.changes_before.is_none_or(|before| row.updated.is_some_and(|updated| updated <= before))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Migrations {
    rows: BTreeMap<u64, Migration>,
    by_uuid: HashMap<Uuid, u64>,
    by_source: HashMap<String, BTreeSet<u64>>,
    by_dest: HashMap<String, BTreeSet<u64>>,
    by_server: HashMap<Uuid, BTreeSet<u64>>,
    last: u64,
}

impl Migrations {
    pub(crate) fn next_id(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(crate) fn insert(&mut self, row: Migration) {
        self.by_uuid.insert(row.uuid, row.id);
        self.by_source
            .entry(row.source_compute.clone())
            .or_default()
            .insert(row.id);
        if let Some(dest) = &row.dest_compute {
            self.by_dest.entry(dest.clone()).or_default().insert(row.id);
        }
        self.by_server.entry(row.server_id).or_default().insert(row.id);
        self.rows.insert(row.id, row);
    }

    /// Sets the status, as a save by a service does.
    pub(crate) fn set_status(&mut self, id: u64, status: MigrationStatus, now: RegionTime) {
        if let Some(row) = self.rows.get_mut(&id) {
            row.status = status;
            row.updated = Some(now);
        }
    }

    /// Records the destination's claim.
    pub(crate) fn set_dest(&mut self, id: u64, compute: &str, node: &str, ip: &str, now: RegionTime) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        if let Some(old) = row.dest_compute.replace(compute.to_owned())
            && let Some(ids) = self.by_dest.get_mut(&old)
        {
            ids.remove(&id);
        }
        row.dest_node = Some(node.to_owned());
        row.dest_host = Some(ip.to_owned());
        row.updated = Some(now);
        self.by_dest.entry(compute.to_owned()).or_default().insert(id);
    }

    /// Removes the records of a deleted instance, which Nova hides.
    pub(crate) fn remove_server(&mut self, server_id: Uuid) {
        for id in self.by_server.remove(&server_id).unwrap_or_default() {
            let Some(row) = self.rows.remove(&id) else {
                continue;
            };
            self.by_uuid.remove(&row.uuid);
            if let Some(ids) = self.by_source.get_mut(&row.source_compute) {
                ids.remove(&id);
            }
            if let Some(ids) = row
                .dest_compute
                .as_ref()
                .and_then(|dest| self.by_dest.get_mut(dest))
            {
                ids.remove(&id);
            }
        }
    }

    /// True if there are finished evacuations of this host that it has not cleaned up after.
    pub(crate) fn has_done_evacuations(&self, source: &str) -> bool {
        self.of_source(source)
            .any(|row| row.kind == MigrationKind::Evacuation && row.status == MigrationStatus::Done)
    }

    pub(crate) fn id_of(&self, uuid: Uuid) -> Option<u64> {
        self.by_uuid.get(&uuid).copied()
    }

    /// Returns the records with this host as source, oldest first.
    pub(crate) fn of_source(&self, source: &str) -> impl Iterator<Item = &Migration> {
        self.by_source
            .get(source)
            .into_iter()
            .flatten()
            .filter_map(|id| self.rows.get(id))
    }

    /// Returns the records of this instance, oldest first.
    pub(crate) fn of_server(&self, server_id: Uuid) -> impl Iterator<Item = &Migration> {
        self.by_server
            .get(&server_id)
            .into_iter()
            .flatten()
            .filter_map(|id| self.rows.get(id))
    }

    /// Returns up to `limit` records that pass the filter and are older than `marker`, newest first.
    pub(crate) fn list(
        &self,
        filter: &MigrationFilter,
        marker: Option<u64>,
        limit: usize,
    ) -> Vec<&Migration> {
        let below = marker.unwrap_or(u64::MAX);
        let pick = |ids: &BTreeSet<u64>| -> Vec<&Migration> {
            let rows = ids.range(..below).rev().filter_map(|id| self.rows.get(id));
            rows.filter(|row| filter.accepts(row)).take(limit).collect()
        };
        if let Some(id) = filter.instance_uuid {
            return self.by_server.get(&id).map(pick).unwrap_or_default();
        }
        if let Some(host) = &filter.host {
            let mut ids = self.by_source.get(host).cloned().unwrap_or_default();
            ids.extend(self.by_dest.get(host).into_iter().flatten());
            return pick(&ids);
        }
        if let Some(source) = &filter.source_compute {
            return self.by_source.get(source).map(pick).unwrap_or_default();
        }
        let rows = self.rows.range(..below).rev().map(|(_, row)| row);
        rows.filter(|row| filter.accepts(row)).take(limit).collect()
    }
}
