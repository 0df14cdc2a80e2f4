//! What recoveries have given up of evacuations, as later ones are told of it (R10).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::id::{MigrationId, ServerId};
use crate::nova::{Migration, MigrationStatus};

/// An evacuation record that was given up in just this shape (R10). If it changes all the same, Nova has picked it up after
/// all: its conductor takes the first `accepted` record of an instance, not the one its caller made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenOff {
    /// The record.
    pub id: MigrationId,
    /// Its status then.
    pub status: MigrationStatus,
    /// Its destination then.
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

/// So many recoveries of a host are asked for what they have given up, latest first. What older ones have given up, Nova has
/// forgotten, or the later ones have found again.
pub const GIVEN_UP_BY_LATEST: u8 = 5;

/// What moves have given up, by instance, oldest first: each record in the shape in which the last of them saw it.
pub fn given_up(
    kept: impl IntoIterator<Item = (ServerId, Vec<WrittenOff>)>,
) -> BTreeMap<ServerId, Vec<WrittenOff>> {
    let mut found: BTreeMap<ServerId, Vec<WrittenOff>> = BTreeMap::new();
    for (server, offs) in kept.into_iter().filter(|(_, offs)| !offs.is_empty()) {
        let of_it = found.entry(server).or_default();
        of_it.retain(|off| !offs.iter().any(|newer| newer.id == off.id));
        of_it.extend(offs);
    }
    found
}

/// What a move has given up by its state, for rows that an older version wrote; `None` if the state is not understood.
pub fn written_off_in(state: &str) -> Option<Vec<WrittenOff>> {
    #[derive(Deserialize)]
    struct Kept {
        written_off: Vec<WrittenOff>,
    }
    let kept = serde_json::from_str::<Kept>(state).ok()?;
    Some(kept.written_off)
}

/// Where instances may run by what earlier recoveries, of whatever host, have left in the journal, oldest recovery first. What a
/// later one says of an instance counts.
pub fn may_run(
    kept: impl IntoIterator<Item = (ServerId, BTreeSet<String>)>,
) -> BTreeMap<ServerId, BTreeSet<String>> {
    let mut found: BTreeMap<_, _> = kept.into_iter().collect();
    found.retain(|_, hosts| !hosts.is_empty());
    found
}

/// The same of a move by its state, for rows that an older version wrote; `None` if the state is not understood.
pub fn may_run_in(state: &str) -> Option<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Kept {
        #[serde(default)]
        may_run: BTreeSet<String>,
    }
    let kept = serde_json::from_str::<Kept>(state).ok()?;
    Some(kept.may_run)
}
