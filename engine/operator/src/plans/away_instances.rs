//! Instances that were moved away from a host, and which of them can go back.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::ServerId;
use tachi_engine::ports::operator::MoveFilter;
use tachi_engine::ports::plans::MovedAway;
use tachi_engine::ports::{JournalError, OperatorJournal, Plans};

use super::view::AwayView;
use crate::snapshot::RegionSnapshot;

/// The maximum number of instances in one giveback: the list is stored in one row.
pub const MAX_RETURNED: usize = 500;

/// An instance that was moved away, and the reason why it stays there, if any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwayInstance {
    /// The last move.
    pub moved: MovedAway,
    /// The instance's name.
    pub name: String,
    /// The reason why it stays; `None` if it can go back.
    pub stays: Option<String>,
}

impl From<&AwayInstance> for AwayView {
    fn from(instance: &AwayInstance) -> Self {
        Self {
            instance: instance.moved.server.to_string(),
            name: instance.name.clone(),
            on: instance.moved.dest.clone(),
            recovery: instance.moved.recovery,
            stays: instance.stays.clone(),
        }
    }
}

/// Returns the instances that go back first, at most [`MAX_RETURNED`], each with the host that it was moved to.
pub fn instances_to_return(all: &[AwayInstance]) -> BTreeMap<ServerId, String> {
    let back = all
        .iter()
        .filter(|instance| instance.stays.is_none())
        .take(MAX_RETURNED);
    back.map(|instance| (instance.moved.server, instance.moved.dest.clone()))
        .collect()
}

/// Lists the instances that were moved away from the host, by what an engine last read from Nova. Locks and task states are not checked
/// here: the engine checks them before it requests a migration.
///
/// # Errors
///
/// The database failed.
pub async fn list_away(
    plans: &dyn Plans,
    operator_journal: &dyn OperatorJournal,
    snapshot: &RegionSnapshot,
    host: &str,
) -> Result<Vec<AwayInstance>, JournalError> {
    let moved = plans.moved_away(host).await?;
    let needy = operator_journal.moves(MoveFilter::NeedsPerson).await?;
    let needy = needy.into_iter().filter(|line| snapshot.still_waits(line));
    let needy: BTreeSet<ServerId> = needy.map(|line| line.server).collect();
    let on = snapshot.facts.instances.iter().flat_map(|known| &known.value.on);
    let at: BTreeMap<ServerId, (&str, bool)> = on
        .flat_map(|(host, all)| {
            all.iter()
                .map(move |instance| (instance.id, (host.as_str(), instance.moving)))
        })
        .collect();
    let mut all = Vec::with_capacity(moved.len());
    for moved in moved {
        // Instances that no longer exist, and those that are on the host again, need no giveback.
        let Some((on, moving)) = at.get(&moved.server).filter(|(on, _)| *on != host) else {
            continue;
        };
        let stays = if needy.contains(&moved.server) {
            Some(format!("waits for an operator: `tachi show {}`", moved.server))
        } else if *on != moved.dest {
            Some("has been moved since".to_owned())
        } else if *moving {
            Some("has a migration in progress".to_owned())
        } else {
            None
        };
        all.push(AwayInstance {
            name: moved.name.clone(),
            moved,
            stays,
        });
    }
    Ok(all)
}
