//! Keeps the capacity of hosts up to date with few requests. One list in each round shows the changed providers, and a
//! limited number of them is read. A changed provider that is not read yet counts as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_domain::fault::FaultClass;
use tachi_domain::forecast::{Group, Provider};
use tachi_domain::reserved::Aggregate;
use tachi_domain::situation::{Rooms as ObservedRooms, RoomsState, TimedFact};

use crate::ports::{CallError, Rooms as Port};

/// Limit of providers read in a round, in three requests each.
const MAX_PROVIDERS_PER_ROUND: usize = 20;

/// Minimum interval, in rounds, between reads of Nova's long list of nodes, which finds new ones.
const NODES_INTERVAL_ROUNDS: u64 = 20;

/// Time for which data stays valid while reads fail: three more may fail.
const READING_LIFETIME: Duration = Duration::from_secs(50);

/// Interval, in rounds, between reads of server groups.
const GROUPS_INTERVAL_ROUNDS: u64 = 4;

struct Read {
    generation: u64,
    provider: Arc<Provider>,
}

#[derive(Default)]
pub(super) struct Rooms {
    round: u64,
    nodes: BTreeMap<String, String>,
    nodes_read: Option<u64>,
    read: BTreeMap<String, Read>,
    aggregates: Vec<Aggregate>,
    groups: Option<Vec<Group>>,
    state: RoomsState,
    /// The time at which all data was valid.
    as_of: Option<Timestamp>,
    /// The time of the last successful read.
    last_success: Option<Timestamp>,
    changed: BTreeSet<String>,
}

impl Rooms {
    /// Resumes from hosts that another engine has stored. Publishes all of their data again.
    pub(super) fn resume(hosts: impl IntoIterator<Item = String>) -> Self {
        Self {
            changed: hosts.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Makes one round. Records a failure in the state; a transient one only when the earlier data has become stale.
    pub(super) async fn poll(&mut self, port: &dyn Port, now: Timestamp) {
        let polled = self.try_poll(port).await;
        self.round += 1;
        let Err(error) = polled else {
            (self.state.trouble, self.state.refused) = (None, false);
            (self.as_of, self.last_success) = (Some(now), Some(now));
            return;
        };
        tracing::debug!(%error, "failed to read the capacity of hosts");
        let refused = matches!(error.fault.class, FaultClass::Fatal | FaultClass::Permanent);
        let is_recent =
            |at: Timestamp| u128::from(now.micros_since(at).unsigned_abs()) <= READING_LIFETIME.as_micros();
        if !refused && self.last_success.is_some_and(is_recent) {
            return;
        }
        (self.state.trouble, self.state.refused) = (Some(fault_text(&error)), refused);
        self.as_of = Some(now);
    }

    async fn try_poll(&mut self, port: &dyn Port) -> Result<(), CallError> {
        let lines = port.providers().await?;
        let is_new = lines.iter().any(|line| !self.nodes.contains_key(&line.id));
        let is_due = self
            .nodes_read
            .is_none_or(|read| self.round >= read + NODES_INTERVAL_ROUNDS);
        if is_new && is_due {
            self.nodes = port.nodes().await?;
            self.nodes_read = Some(self.round);
        }
        self.aggregates = port.all_aggregates().await?;
        if self.groups.is_none() || self.round.is_multiple_of(GROUPS_INTERVAL_ROUNDS) {
            self.groups = Some(port.groups().await?);
        }
        let there: BTreeMap<&str, u64> = lines
            .iter()
            .filter(|line| self.nodes.contains_key(&line.id))
            .map(|line| (line.id.as_str(), line.generation))
            .collect();
        let nodes = &self.nodes;
        let changed = &mut self.changed;
        self.read.retain(|id, read| {
            let is_same = there.get(id.as_str()) == Some(&read.generation);
            if !is_same {
                changed.extend(nodes.get(id).cloned());
            }
            is_same
        });
        let unread: Vec<&str> = there
            .keys()
            .copied()
            .filter(|id| !self.read.contains_key(*id))
            .collect();
        self.state.unread = unread.len() as u64;
        // Providers that are skipped here come first in the next round, because read ones leave the list.
        for id in unread.into_iter().take(MAX_PROVIDERS_PER_ROUND) {
            if let Some((generation, mut provider)) = port.provider(id).await? {
                // Most hosts have the same eighty or so traits, and share one copy.
                let mut traits = self.read.values().map(|read| &read.provider.traits);
                if let Some(same) = traits.find(|known| **known == provider.traits) {
                    provider.traits = Arc::clone(same);
                }
                let provider = Arc::new(provider);
                self.read.insert(id.to_owned(), Read { generation, provider });
                self.changed.extend(self.nodes.get(id).cloned());
                self.state.unread -= 1;
            }
        }
        Ok(())
    }

    /// Returns the time at which all data was read.
    pub(super) fn known_as_of(&self) -> Option<Timestamp> {
        self.as_of
    }

    /// Returns all aggregates as read at `now`; `None` if they were not.
    pub(super) fn aggregates_of(&self, now: Timestamp) -> Option<&[Aggregate]> {
        (self.last_success == Some(now)).then_some(&*self.aggregates)
    }

    /// Returns the capacity of all hosts.
    pub(super) fn snapshot(&self) -> Option<TimedFact<ObservedRooms>> {
        let providers = self.read.iter().filter_map(|(id, read)| {
            let host = self.nodes.get(id)?;
            Some((host.clone(), Arc::clone(&read.provider)))
        });
        Some(TimedFact {
            as_of: self.as_of?,
            value: ObservedRooms {
                providers: providers.collect(),
                aggregates: self.aggregates.clone(),
                groups: self.groups.clone().unwrap_or_default(),
                state: self.state.clone(),
            },
        })
    }

    /// Returns the hosts that have changed, with their current capacity, and clears the list.
    pub(super) fn take_changed(&mut self) -> Vec<(String, Option<Arc<Provider>>)> {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() {
            return Vec::new();
        }
        let known: BTreeMap<&str, &Arc<Provider>> = self
            .read
            .iter()
            .filter_map(|(id, read)| Some((self.nodes.get(id)?.as_str(), &read.provider)))
            .collect();
        let all = changed.into_iter().map(|host| {
            let provider = known.get(host.as_str()).map(|provider| Arc::clone(provider));
            (host, provider)
        });
        all.collect()
    }
}

/// Describes an error for people, with its remedy if known.
fn fault_text(error: &CallError) -> String {
    let advice = match error.fault.status {
        Some(401 | 403) => ": the engine's user has to have the role admin, or reader of all of it, there",
        Some(404) => ": check the address of Placement in Keystone's catalogue",
        _ => "",
    };
    format!("{}{advice}", error.fault.text)
}

#[cfg(test)]
mod tests;
