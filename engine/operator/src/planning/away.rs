//! What was moved away from a host, and what of it can go back.

use std::collections::{BTreeMap, BTreeSet};

use tachi_domain::ServerId;
use tachi_engine::ports::operator::MoveFilter;
use tachi_engine::ports::plans::MovedAway;
use tachi_engine::ports::{JournalError, OperatorDesk, Plans};

use super::view::AwayView;
use crate::seen::Seen;

/// So many go back at a time: their list is written into one row.
pub const MOST: usize = 500;

/// An instance that was moved away, and why it stays where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// As it was moved.
    pub moved: MovedAway,
    /// Its name now.
    pub name: String,
    /// Why it stays; `None` if it can go back.
    pub stays: Option<String>,
}

impl From<&Away> for AwayView {
    fn from(one: &Away) -> Self {
        Self {
            instance: one.moved.server.to_string(),
            name: one.name.clone(),
            on: one.moved.dest.clone(),
            recovery: one.moved.recovery,
            stays: one.stays.clone(),
        }
    }
}

/// What goes back first, and where each was put.
pub fn given_back(all: &[Away]) -> BTreeMap<ServerId, String> {
    let back = all.iter().filter(|one| one.stays.is_none()).take(MOST);
    back.map(|one| (one.moved.server, one.moved.dest.clone()))
        .collect()
}

/// By what an engine has seen of Nova. Locks, and what an instance is doing, the engine looks at before it asks for a migration.
///
/// # Errors
///
/// The database failed.
pub async fn seen_away(
    plans: &dyn Plans,
    desk: &dyn OperatorDesk,
    seen: &Seen,
    host: &str,
) -> Result<Vec<Away>, JournalError> {
    let moved = plans.moved_away(host).await?;
    let needy = desk.moves(MoveFilter::NeedsPerson).await?;
    let needy: BTreeSet<ServerId> = needy.into_iter().map(|line| line.server).collect();
    let on = seen.facts.instances.iter().flat_map(|known| &known.value.on);
    let at: BTreeMap<ServerId, (&str, bool)> = on
        .flat_map(|(host, all)| all.iter().map(move |one| (one.id, (host.as_str(), one.moving))))
        .collect();
    let mut all = Vec::with_capacity(moved.len());
    for moved in moved {
        // What is gone, and what has come home, is no concern of anybody any more.
        let Some((on, moving)) = at.get(&moved.server).filter(|(on, _)| *on != host) else {
            continue;
        };
        let stays = if needy.contains(&moved.server) {
            Some(format!("waits for an operator: `tachi show {}`", moved.server))
        } else if *on != moved.dest {
            Some("was moved since".to_owned())
        } else if *moving {
            Some("has a migration under way".to_owned())
        } else {
            None
        };
        all.push(Away {
            name: moved.name.clone(),
            moved,
            stays,
        });
    }
    Ok(all)
}
