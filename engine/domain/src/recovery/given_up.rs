//! Evacuations that recoveries have given up, for later recoveries.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{MigrationId, ServerId};
use crate::nova::{Migration, MigrationStatus};

/// An evacuation record that was given up in exactly this state. If the record changes later, Nova has picked it up after
/// all: its conductor takes the first `accepted` record of an instance, not the one its caller made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenOff {
    /// The id of the record.
    pub id: MigrationId,
    /// The status at that time.
    pub status: MigrationStatus,
    /// The destination at that time.
    pub dest: Option<String>,
}

impl WrittenOff {
    pub(crate) fn of(record: &Migration) -> Self {
        Self {
            id: record.id,
            status: record.status.clone(),
            dest: record.dest.clone(),
        }
    }
}

/// Number of recoveries of a host whose given-up records are read, latest first. Nova has forgotten the records of older
/// recoveries, or later recoveries have found them again.
pub const MAX_GIVEN_UP_RECOVERIES: u8 = 5;

/// Collects the records that moves have given up, by instance, oldest first. Each is in the state in which the last move saw it.
pub fn given_up(
    stored: impl IntoIterator<Item = (ServerId, Vec<WrittenOff>)>,
) -> BTreeMap<ServerId, Vec<WrittenOff>> {
    let mut found: BTreeMap<ServerId, Vec<WrittenOff>> = BTreeMap::new();
    for (server, offs) in stored.into_iter().filter(|(_, offs)| !offs.is_empty()) {
        let of_it = found.entry(server).or_default();
        of_it.retain(|off| !offs.iter().any(|newer| newer.id == off.id));
        of_it.extend(offs);
    }
    found
}

/// Reads the given-up records from a move's state, for rows that an older version wrote; `None` if the state is not understood.
pub fn written_off_in(state: &str) -> Option<Vec<WrittenOff>> {
    #[derive(Deserialize)]
    struct StoredFields {
        written_off: Vec<WrittenOff>,
    }
    let stored = serde_json::from_str::<StoredFields>(state).ok()?;
    Some(stored.written_off)
}

/// Collects the hosts on which instances may run, as earlier recoveries of any host have left them in the journal, oldest recovery
/// first. The latest recovery of an instance counts.
pub fn may_run(
    stored: impl IntoIterator<Item = (ServerId, BTreeSet<String>)>,
) -> BTreeMap<ServerId, BTreeSet<String>> {
    let mut found: BTreeMap<_, _> = stored.into_iter().collect();
    found.retain(|_, hosts| !hosts.is_empty());
    found
}

/// Reads these hosts from a move's state, for rows that an older version wrote; `None` if the state is not understood.
pub fn may_run_in(state: &str) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct StoredFields {
        #[serde(default)]
        may_run: BTreeSet<String>,
    }
    let stored = serde_json::from_str::<StoredFields>(state).ok()?;
    Some(stored.may_run)
}
