//! Host aggregates and availability zones.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

use crate::model::{HostIx, Refusal, State};
use crate::region_time::RegionTime;

/// The zone of hosts outside any aggregate with a zone.
pub(crate) const DEFAULT_ZONE: &str = "nova";

#[derive(Debug, Clone)]
pub(crate) struct Aggregate {
    pub(crate) id: u64,
    pub(crate) uuid: Uuid,
    pub(crate) name: String,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) hosts: BTreeSet<HostIx>,
    pub(crate) created: RegionTime,
    pub(crate) updated: Option<RegionTime>,
}

impl Aggregate {
    pub(crate) fn zone(&self) -> Option<&str> {
        self.metadata.get("availability_zone").map(String::as_str)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Aggregates {
    rows: BTreeMap<u64, Aggregate>,
    zones: HashMap<HostIx, String>,
    last: u64,
}

impl Aggregates {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Aggregate> {
        self.rows.values()
    }

    pub(crate) fn get(&self, id: u64) -> Option<&Aggregate> {
        self.rows.get(&id)
    }

    pub(crate) fn zone_of(&self, ix: HostIx) -> &str {
        self.zones.get(&ix).map_or(DEFAULT_ZONE, String::as_str)
    }

    fn index(&mut self) {
        self.zones = self
            .rows
            .values()
            .filter_map(|row| row.zone().map(|zone| (zone, &row.hosts)))
            .flat_map(|(zone, hosts)| hosts.iter().map(move |ix| (*ix, zone.to_owned())))
            .collect();
    }
}

impl State {
    pub(crate) fn create_aggregate(&mut self, name: &str, zone: Option<&str>) -> Result<u64, Refusal> {
        if self.aggregates.iter().any(|row| row.name == name) {
            return Err(Refusal::conflict(format!("Aggregate {name} already exists.")));
        }
        let uuid = self.world.rng.uuid();
        self.aggregates.last += 1;
        let id = self.aggregates.last;
        let metadata = zone
            .map(|zone| ("availability_zone".to_owned(), zone.to_owned()))
            .into_iter()
            .collect();
        let row = Aggregate {
            id,
            uuid,
            name: name.to_owned(),
            metadata,
            hosts: BTreeSet::new(),
            created: self.world.now,
            updated: None,
        };
        self.aggregates.rows.insert(id, row);
        Ok(id)
    }

    pub(crate) fn delete_aggregate(&mut self, id: u64) -> Result<(), Refusal> {
        match self.aggregates.rows.get(&id) {
            None => Err(no_such_aggregate(id)),
            Some(row) if !row.hosts.is_empty() => Err(Refusal::bad_request(format!(
                "Cannot remove host from aggregate {id}: it is not empty"
            ))),
            Some(_) => {
                self.aggregates.rows.remove(&id);
                Ok(())
            }
        }
    }

    pub(crate) fn set_aggregate_metadata(
        &mut self,
        id: u64,
        changes: BTreeMap<String, Option<String>>,
    ) -> Result<(), Refusal> {
        let now = self.world.now;
        let row = self
            .aggregates
            .rows
            .get_mut(&id)
            .ok_or_else(|| no_such_aggregate(id))?;
        for (key, value) in changes {
            match value {
                Some(value) => row.metadata.insert(key, value),
                None => row.metadata.remove(&key),
            };
        }
        row.updated = Some(now);
        self.aggregates.index();
        Ok(())
    }

    pub(crate) fn add_aggregate_host(&mut self, id: u64, name: &str) -> Result<(), Refusal> {
        let now = self.world.now;
        let row = self.aggregates.get(id).ok_or_else(|| no_such_aggregate(id))?;
        let ix = self
            .world
            .hosts
            .find(name)
            .ok_or_else(|| Refusal::not_found(format!("Compute host {name} could not be found.")))?;
        if row.hosts.contains(&ix) {
            return Err(Refusal::conflict(format!(
                "Aggregate {id} already has host {name}."
            )));
        }
        if let Some(zone) = row.zone() {
            let current = self.aggregates.zone_of(ix);
            let in_other_zone = self.aggregates.iter().any(|other| {
                other.zone().is_some_and(|other_zone| other_zone != zone) && other.hosts.contains(&ix)
            });
            // Instances would change their zone without their owner's knowledge.
            if in_other_zone || (current != zone && !self.world.hosts[ix].servers.is_empty()) {
                return Err(Refusal::conflict(format!(
                    "Cannot add host to aggregate {id}. Reason: One or more hosts already in availability zone(s) \
                     [{current:?}]."
                )));
            }
        }
        if let Some(row) = self.aggregates.rows.get_mut(&id) {
            row.hosts.insert(ix);
            row.updated = Some(now);
        }
        self.aggregates.index();
        Ok(())
    }

    pub(crate) fn remove_aggregate_host(&mut self, id: u64, name: &str) -> Result<(), Refusal> {
        let now = self.world.now;
        let found = self.world.hosts.find(name);
        let row = self
            .aggregates
            .rows
            .get_mut(&id)
            .ok_or_else(|| no_such_aggregate(id))?;
        if !found.is_some_and(|ix| row.hosts.remove(&ix)) {
            return Err(Refusal::not_found(format!("Aggregate {id} has no host {name}.")));
        }
        row.updated = Some(now);
        self.aggregates.index();
        Ok(())
    }
}

pub(crate) fn no_such_aggregate(id: u64) -> Refusal {
    Refusal::not_found(format!("Aggregate {id} could not be found."))
}
