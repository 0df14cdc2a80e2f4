//! The forecast of a region, from the facts that an engine keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use super::{Facts, Host, Instance, Rooms, Segment};
use crate::Timestamp;
use crate::entity::segment::RecoveryMethod;
use crate::forecast::{
    Amounts, Cloud, Demand, HostRoom, Method, Outcome, SegmentForecast, SegmentView, Wish, forecast,
    forecast_segment,
};
use crate::recovery::Life;
use crate::reserved::Aggregate;

/// What is older says nothing good any more: two rounds of a watcher may fail.
const FRESH: Duration = Duration::from_secs(60);

/// The zone of hosts that are in no aggregate with a zone.
const DEFAULT_ZONE: &str = "nova";

/// What a region has room for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Forecast {
    /// When the oldest was so of what it is made from; `None` while something of it was never gathered.
    pub as_of: Option<Timestamp>,
    /// Why nothing of it counts, if so.
    pub trouble: Option<String>,
    /// Of so many hosts what they have is not known.
    pub unread: u64,
    /// The enabled segments, by name.
    pub segments: Vec<SegmentForecast>,
    /// What was asked for.
    pub lost: Option<Outcome>,
}

/// Judges the segments, or one of them, and the loss of these hosts together if any are named; those have to be of one segment.
pub fn forecast_region(facts: &Facts, now: Timestamp, only: Option<&str>, hosts: &[&str]) -> Forecast {
    let (cloud, trouble) = cloud(facts, now);
    let wanted = |segment: &&Segment| segment.enabled && only.is_none_or(|name| name == segment.name);
    let segments: Vec<&Segment> = facts.segments.iter().filter(wanted).collect();
    let lost = (!hosts.is_empty()).then(|| {
        let home = |segment: &&Segment| {
            segment
                .hosts
                .iter()
                .any(|host| hosts.contains(&host.name.as_str()))
        };
        let reserved = facts.segments.iter().find(home).map(ready);
        let method = Method {
            method: facts
                .segments
                .iter()
                .find(home)
                .map_or(RecoveryMethod::Auto, |segment| segment.method),
            reserved: &reserved.unwrap_or_default(),
        };
        forecast(&cloud, &hosts.iter().copied().collect(), &method)
    });
    let ages = [
        facts.computes.as_ref().map(|known| known.as_of),
        facts.instances.as_ref().map(|known| known.as_of),
        facts.rooms.as_ref().map(|known| known.as_of),
    ];
    let as_of: Option<Vec<Timestamp>> = ages.into_iter().collect();
    Forecast {
        as_of: as_of.and_then(|all| all.into_iter().min()),
        trouble,
        unread: facts.rooms.as_ref().map_or(0, |known| known.value.state.unread),
        segments: segments
            .into_iter()
            .map(|segment| {
                let view = SegmentView {
                    name: &segment.name,
                    method: segment.method,
                    hosts: names(segment, |host| !host.reserved && !is_out(host)),
                    reserved: ready(segment),
                };
                forecast_segment(&cloud, &view)
            })
            .collect(),
        lost,
    }
}

fn names(segment: &Segment, which: impl Fn(&Host) -> bool) -> Vec<&str> {
    let hosts = segment.hosts.iter().filter(|host| which(host));
    hosts.map(|host| host.name.as_str()).collect()
}

fn is_out(host: &Host) -> bool {
    host.maintenance.is_some() || matches!(host.recovery, Some((_, Life::Open)))
}

/// The reserved hosts that a recovery may take.
fn ready(segment: &Segment) -> Vec<&str> {
    names(segment, |host| {
        host.reserved && !is_out(host) && host.recovery.is_none()
    })
}

/// Nothing that is old counts: a host of which little is known takes nothing, and its instances are not known.
fn cloud(facts: &Facts, now: Timestamp) -> (Cloud, Option<String>) {
    let is_fresh = |as_of: Timestamp| u128::from(now.micros_since(as_of).unsigned_abs()) <= FRESH.as_micros();
    let rooms = facts.rooms.as_ref().filter(|known| is_fresh(known.as_of));
    let computes = facts.computes.as_ref().filter(|known| is_fresh(known.as_of));
    let instances = facts
        .instances
        .as_ref()
        .filter(|known| known.value.complete && is_fresh(known.as_of));
    let trouble = match (rooms, computes, instances) {
        (Some(known), ..) if known.value.state.trouble.is_some() => known.value.state.trouble.clone(),
        (Some(_), Some(_), Some(_)) => None,
        (None, ..) if facts.rooms.is_none() => Some("no engine has asked Placement yet".to_owned()),
        (None, ..) => Some("what Placement says is too old".to_owned()),
        (_, None, _) => Some("what Nova says of its services is too old, or was never asked".to_owned()),
        (_, _, None) => Some("not all instances are listed, or they were listed too long ago".to_owned()),
    };
    let mut cloud = Cloud::default();
    let (Some(rooms), Some(computes), Some(instances)) = (rooms, computes, instances) else {
        return (cloud, trouble);
    };
    let rooms = &rooms.value;
    if trouble.is_some() {
        return (cloud, trouble);
    }
    for (name, own) in &instances.value.on {
        cloud.places.extend(own.iter().map(|one| (one.id, name.clone())));
    }
    let out: BTreeSet<&str> = facts
        .segments
        .iter()
        .flat_map(|segment| &segment.hosts)
        .filter(|host| is_out(host))
        .map(|host| host.name.as_str())
        .collect();
    for compute in &computes.value {
        let name = compute.host.as_str();
        let zone = zone_of(rooms, name);
        let own = instances.value.on.get(name).map_or(&[][..], Vec::as_slice);
        let room = HostRoom {
            provider: rooms.providers.get(name).cloned(),
            open: compute.up && compute.enabled && !compute.cell_down && !out.contains(name),
            zone: zone.to_owned(),
            metadata: metadata_of(&rooms.aggregates, name),
            demands: (!compute.cell_down).then(|| {
                let meant = own.iter().filter(|one| one.left.is_none());
                meant.map(|one| demand(one, zone)).collect()
            }),
        };
        cloud.hosts.insert(compute.host.clone(), room);
    }
    rooms.groups.iter().for_each(|group| cloud.bind(group.clone()));
    (cloud, None)
}

fn zone_of<'a>(rooms: &'a Rooms, host: &str) -> &'a str {
    let mut own = rooms.aggregates.iter().filter(|one| one.hosts.contains(host));
    own.find_map(|one| one.zone.as_deref()).unwrap_or(DEFAULT_ZONE)
}

fn metadata_of(aggregates: &[Aggregate], host: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metadata: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let own = aggregates.iter().filter(|one| one.hosts.contains(host));
    for (key, value) in own.flat_map(|one| &one.metadata) {
        metadata.entry(key.clone()).or_default().insert(value.clone());
    }
    metadata
}

/// Whether an instance may leave its zone Nova shows to few: it is taken to be bound to it.
fn demand(one: &Instance, zone: &str) -> Demand {
    let zone = Wish::Zone(zone.to_owned());
    let (mut amounts, mut wishes, mut not_reckoned) = (Amounts::new(), BTreeSet::from([zone]), None);
    let mut project = String::new();
    match &one.needs {
        Some(needs) => {
            project.clone_from(&needs.project);
            wishes.extend(needs.wishes.iter().cloned());
            not_reckoned.clone_from(&needs.not_reckoned);
            let own = needs.resources;
            for (class, amount) in [
                ("VCPU", own.vcpus),
                ("MEMORY_MB", own.memory_mb),
                ("DISK_GB", own.disk_gb),
            ] {
                amounts.insert(class.to_owned(), amount);
            }
        }
        None => not_reckoned = Some("a flavor that Nova does not show".to_owned()),
    }
    Demand {
        id: one.id,
        name: one.name.clone(),
        project,
        amounts,
        wishes,
        not_reckoned,
    }
}
