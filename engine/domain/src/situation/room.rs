//! Capacity: the forecast of a region from the facts that engines gather, and its consequences for the protection of instances.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::{
    AssessContext, Facts, Finding, FindingCode, Findings, Host, Instance, Protection, ProtectionState, Rooms,
    Segment, Severity, TimedFact,
};
use crate::entity::segment::RecoveryMethod;
use crate::forecast::{
    Cloud, Demand, ForecastSegment, Headroom, HostRoom, Landing, Method, Outcome, Requirement, Room,
    SegmentForecast, Shape, TENANT, candidates, destinations, forecast, forecast_segments,
};
use crate::freeze::typed;
use crate::id::ServerId;
use crate::recovery::Life;
use crate::reserved::Aggregate;
use crate::resources::Resources;
use crate::timestamp::Timestamp;

/// Maximum age of data that counts for the forecast. Two rounds of a watcher may fail within it.
pub const MAX_ROOM_FACT_AGE: Duration = Duration::from_secs(60);

/// The zone of hosts that are in no aggregate with a zone.
const DEFAULT_ZONE: &str = "nova";

/// A forecast of a region's capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// The time of the oldest input; `None` while an input was never gathered.
    pub as_of: Option<Timestamp>,
    /// The reason why the forecast is not valid, if it is not.
    pub trouble: Option<ForecastFailure>,
    /// The number of hosts whose resources are not known.
    pub unread: u64,
    /// The enabled segments, by name.
    pub segments: Vec<SegmentForecast>,
}

/// The reason why there is no forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastFailure {
    pub what: ForecastFailureKind,
    /// The text for people.
    pub text: String,
}

/// The kind of reason why there is no forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForecastFailureKind {
    /// No engine has queried Placement yet.
    NeverQueried,
    /// Placement, or Nova, denies access.
    Refused,
    /// Placement could not be read, or not recently.
    Away,
    /// The data from Nova is stale, which another finding reports.
    Old,
    /// Not all instances have been listed, which another finding reports.
    Unlisted,
}

/// Forecasts the loss of each host, for all segments.
pub fn forecast_region(facts: &Facts, now: Timestamp) -> Forecast {
    let (cloud, trouble) = cloud(facts, now, |_| true);
    let ages = [
        facts.computes.as_ref().map(|known| known.as_of),
        facts.instances.as_ref().map(|known| known.as_of),
        facts.rooms.as_ref().map(|known| known.as_of),
    ];
    let as_of: Option<Vec<Timestamp>> = ages.into_iter().collect();
    let segments = facts.segments.iter().filter(|segment| segment.enabled);
    let views = segments.map(|segment| ForecastSegment {
        name: &segment.name,
        method: segment.method,
        hosts: names(segment, |host| !host.reserved && !is_out(host)),
        reserved: ready(segment),
    });
    Forecast {
        as_of: as_of.and_then(|all| all.into_iter().min()),
        trouble,
        unread: facts.rooms.as_ref().map_or(0, |known| known.value.state.unread),
        segments: forecast_segments(&cloud, views),
    }
}

/// Forecasts the loss of these hosts of one segment together.
pub fn forecast_loss(facts: &Facts, now: Timestamp, hosts: &[&str]) -> Outcome {
    run_forecast(facts, now, hosts, forecast)
}

/// Returns the hosts on which the instances of these hosts may land, and true if an instance is marked; marked ones come first.
pub fn possible_destinations(facts: &Facts, now: Timestamp, hosts: &[&str]) -> Vec<(bool, Landing)> {
    let on = facts.instances.iter().flat_map(|known| &known.value.on);
    let own = on.filter(|(host, _)| hosts.contains(&host.as_str()));
    let marked = own
        .flat_map(|(_, all)| all.iter())
        .filter(|instance| instance.marked);
    let marked: BTreeSet<ServerId> = marked.map(|instance| instance.id).collect();
    let all = run_forecast(facts, now, hosts, destinations);
    let mut all: Vec<_> = all
        .into_iter()
        .map(|one| (marked.contains(&one.id), one))
        .collect();
    all.sort_by(|(left, one), (right, other)| right.cmp(left).then_with(|| one.name.cmp(&other.name)));
    all
}

/// Runs `evaluate` for the loss of these hosts of one segment.
fn run_forecast<T>(
    facts: &Facts,
    now: Timestamp,
    hosts: &[&str],
    evaluate: impl Fn(&Cloud, &BTreeSet<&str>, &Method<'_>) -> T,
) -> T {
    let (cloud, _) = cloud(facts, now, |name| hosts.contains(&name));
    let home = home(facts, hosts);
    let reserved = home.map(ready).unwrap_or_default();
    let method = Method {
        method: home.map_or(RecoveryMethod::Auto, |segment| segment.method),
        reserved: &reserved,
    };
    evaluate(&cloud, &hosts.iter().copied().collect(), &method)
}

fn home<'a>(facts: &'a Facts, hosts: &[&str]) -> Option<&'a Segment> {
    let mut segments = facts.segments.iter();
    segments.find(|segment| {
        segment
            .hosts
            .iter()
            .any(|host| hosts.contains(&host.name.as_str()))
    })
}

/// The number of hosts with capacity for one instance, if its host is lost and nothing else moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The number of hosts with capacity for the instance.
    pub hosts: usize,
    /// The number of hosts that Nova may choose.
    pub of: usize,
}

/// Returns the fit of an instance on this host; `None` if not known, or if the instance needs what the forecast does not model.
pub fn fit(facts: &Facts, now: Timestamp, host: &str, id: ServerId) -> Option<Fit> {
    let (cloud, trouble) = cloud(facts, now, |name| name == host);
    if trouble.is_some() {
        return None;
    }
    let own = cloud.hosts.get(host)?.demands.as_ref()?;
    let demand = own.iter().find(|demand| demand.id == id)?;
    if demand.shape.not_reckoned.is_some() {
        return None;
    }
    let reserved = home(facts, &[host]).map(ready).unwrap_or_default();
    let (hosts, of) = candidates(&cloud, host, demand, &reserved);
    Some(Fit { hosts, of })
}

/// The capacity of a region, as judged by the assessment.
pub(super) struct CapacityVerdict<'a> {
    forecast: Option<&'a Forecast>,
    /// The segment's forecast and the outcome of losing the host, by host.
    by_host: BTreeMap<&'a str, (&'a SegmentForecast, &'a Outcome)>,
}

/// Reports why there is no forecast, if there is none, and indexes the forecast by host otherwise.
pub(super) fn assess<'a>(
    forecast: &'a Forecast,
    is_observed: bool,
    all: &mut ProtectionState,
    found: &mut Findings,
) -> CapacityVerdict<'a> {
    let nothing = CapacityVerdict {
        forecast: None,
        by_host: BTreeMap::new(),
    };
    if let Some(trouble) = &forecast.trouble {
        let text = format!("it is unknown if other hosts have capacity: {}", trouble.text);
        let finding = Finding::new(FindingCode::RoomUnknown, text).fix("tachi forecast");
        match trouble.what {
            ForecastFailureKind::NeverQueried | ForecastFailureKind::Unlisted => {}
            ForecastFailureKind::Old => all.worsen(Protection::Unknown, FindingCode::FactsOld),
            // A region that denies access on purpose could never clear this, so it is one finding of grade info with no effect.
            ForecastFailureKind::Refused => found.note(finding.graded(Severity::Info)),
            ForecastFailureKind::Away => {
                all.worsen(Protection::Unknown, FindingCode::RoomUnknown);
                // Without an engine or without Nova, no data is read as a consequence, so this is no finding of its own.
                if is_observed {
                    found.note(finding);
                }
            }
        }
        return nothing;
    }
    let segments = forecast.segments.iter();
    let by_host = segments.flat_map(|segment| {
        let hosts = segment.hosts.iter();
        hosts.filter_map(move |one| Some((one.lost.first()?.as_str(), (segment, one))))
    });
    CapacityVerdict {
        forecast: Some(forecast),
        by_host: by_host.collect(),
    }
}

impl CapacityVerdict<'_> {
    /// True if there is a forecast.
    pub(super) const fn is_assessed(&self) -> bool {
        self.forecast.is_some()
    }

    /// Returns the number of hosts of a segment that may be lost.
    pub(super) fn headroom(&self, segment: &str) -> Option<Headroom> {
        let mut all = self.forecast?.segments.iter();
        all.find(|one| one.segment == segment)?.headroom
    }

    /// Reports a host whose instances would not all fit on other hosts, or may not.
    pub(super) fn of_host(
        &self,
        name: &str,
        ctx: &AssessContext<'_>,
        protection_state: &mut ProtectionState,
        found: &mut Findings,
    ) {
        let Some((segment, outcome)) = self.by_host.get(name) else {
            return;
        };
        let unread = self.forecast.map_or(0, |forecast| forecast.unread);
        let segment = &segment.segment;
        let (protection, finding) = match (outcome.room, &outcome.not_reckoned) {
            // An unread host counts as having no capacity, though it may have some.
            (Room::Tight | Room::Short, _) if unread > 0 => {
                let hosts = super::number(usize::try_from(unread).unwrap_or(usize::MAX), "host", "hosts");
                let text = format!(
                    "it is unknown if its instances would fit: the capacity of {hosts} is not read yet"
                );
                (Protection::Unknown, Finding::new(FindingCode::RoomUnknown, text))
            }
            (Room::Tight, _) => {
                let text = "if it failed now, its instances would fit only if Nova places them well";
                (Protection::Degraded, Finding::new(FindingCode::RoomTight, text))
            }
            (Room::Short, _) => {
                let text =
                    format!("if it failed now, not all of its instances would fit (segment {segment})");
                (Protection::Degraded, Finding::new(FindingCode::NoRoom, text))
            }
            (Room::Unknown, Some(why)) => {
                let text =
                    format!("it is unknown if its instances would fit: the forecast does not model {why}");
                let finding = Finding::new(FindingCode::RoomUnknown, text).graded(Severity::Info);
                (Protection::Protected, finding)
            }
            // Another finding reports that the instances are not known.
            (Room::Enough, _) | (Room::Unknown, None) => return,
        };
        protection_state.worsen(protection, finding.code);
        let instances = ctx.instances_on(name);
        found.note(
            finding
                .about(name, instances)
                .fix(format!("tachi forecast {}", typed(segment))),
        );
    }
}

fn names(segment: &Segment, which: impl Fn(&Host) -> bool) -> Vec<&str> {
    let hosts = segment.hosts.iter().filter(|host| which(host));
    hosts.map(|host| host.name.as_str()).collect()
}

fn is_out(host: &Host) -> bool {
    host.maintenance.is_some() || matches!(host.recovery, Some((_, Life::Open)))
}

/// Returns the reserved hosts that a recovery may take.
fn ready(segment: &Segment) -> Vec<&str> {
    names(segment, |host| {
        host.reserved && !is_out(host) && host.recovery.is_none()
    })
}

/// Builds the input of the forecast. Stale data does not count: a host of which little is known takes nothing, and its instances
/// are unknown. Only the instances of the hosts that `selects` accepts are read.
fn cloud(facts: &Facts, now: Timestamp, selects: impl Fn(&str) -> bool) -> (Cloud, Option<ForecastFailure>) {
    let (rooms, computes, instances) = match known(facts, now) {
        Ok(known) => known,
        Err(trouble) => return (Cloud::default(), Some(trouble)),
    };
    let mut cloud = Cloud::default();
    let in_groups: BTreeSet<ServerId> = rooms
        .groups
        .iter()
        .flat_map(|one| &one.members)
        .copied()
        .collect();
    for (name, own) in &instances.on {
        let own = own.iter().filter(|instance| in_groups.contains(&instance.id));
        cloud
            .places
            .extend(own.map(|instance| (instance.id, name.clone())));
    }
    let hosts = facts.segments.iter().flat_map(|segment| &segment.hosts);
    let out: BTreeSet<&str> = hosts
        .filter(|host| is_out(host))
        .map(|host| host.name.as_str())
        .collect();
    let mut shapes = Shapes::of(rooms);
    for compute in computes {
        let name = compute.host.as_str();
        let zone = zone_of(rooms, name);
        let own = instances.on.get(name).map_or(&[][..], |own| own.as_slice());
        let room = HostRoom {
            provider: rooms.providers.get(name).cloned(),
            open: compute.up && compute.enabled && !compute.cell_down && !out.contains(name),
            zone: zone.to_owned(),
            metadata: metadata_of(&rooms.aggregates, name),
            demands: (!compute.cell_down && selects(name)).then(|| {
                let included = own.iter().filter(|instance| instance.left.is_none());
                included.map(|instance| shapes.demand(instance, zone)).collect()
            }),
        };
        cloud.hosts.insert(compute.host.clone(), room);
    }
    rooms.groups.iter().for_each(|group| cloud.bind(group.clone()));
    (cloud, None)
}

/// True if data of that time is current enough for the forecast.
pub fn is_fresh_for_room(as_of: Timestamp, now: Timestamp) -> bool {
    u128::from(now.micros_since(as_of).unsigned_abs()) <= MAX_ROOM_FACT_AGE.as_micros()
}

type All<'a> = (&'a Rooms, &'a [super::ComputeService], &'a super::Instances);

/// Returns the facts that the forecast needs, if all of them are current.
fn known(facts: &Facts, now: Timestamp) -> Result<All<'_>, ForecastFailure> {
    fn fresh<T>(known: &TimedFact<T>, now: Timestamp) -> bool {
        is_fresh_for_room(known.as_of, now)
    }
    let trouble = |what: ForecastFailureKind, text: &str| ForecastFailure {
        what,
        text: text.to_owned(),
    };
    let Some(rooms) = &facts.rooms else {
        return Err(trouble(
            ForecastFailureKind::NeverQueried,
            "no engine has read Placement yet",
        ));
    };
    let state = &rooms.value.state;
    if let Some(text) = state.trouble.as_deref().filter(|_| state.refused) {
        return Err(trouble(ForecastFailureKind::Refused, text));
    }
    if let Some(text) = &state.trouble {
        return Err(trouble(ForecastFailureKind::Away, text));
    }
    if !fresh(rooms, now) {
        return Err(trouble(
            ForecastFailureKind::Away,
            "the data of Placement is too old",
        ));
    }
    let Some(computes) = facts.computes.as_ref().filter(|known| fresh(known, now)) else {
        let text = "the data about Nova's services is too old or missing";
        return Err(trouble(ForecastFailureKind::Old, text));
    };
    let Some(instances) = facts.instances.as_ref().filter(|known| known.value.complete) else {
        return Err(trouble(
            ForecastFailureKind::Unlisted,
            "not all instances are listed yet",
        ));
    };
    if !fresh(instances, now) {
        return Err(trouble(
            ForecastFailureKind::Old,
            "Nova's instances were listed too long ago",
        ));
    }
    Ok((&rooms.value, &computes.value, &instances.value))
}

fn zone_of<'a>(rooms: &'a Rooms, host: &str) -> &'a str {
    let mut own = rooms
        .aggregates
        .iter()
        .filter(|aggregate| aggregate.hosts.contains(host));
    own.find_map(|aggregate| aggregate.zone.as_deref())
        .unwrap_or(DEFAULT_ZONE)
}

fn metadata_of(aggregates: &[Aggregate], host: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut metadata: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let own = aggregates
        .iter()
        .filter(|aggregate| aggregate.hosts.contains(host));
    for (key, value) in own.flat_map(|aggregate| &aggregate.metadata) {
        metadata.entry(key.clone()).or_default().insert(value.clone());
    }
    metadata
}

/// The key by which instances share a shape.
type Sort<'a> = (
    Option<(Resources, &'a BTreeSet<Requirement>, Option<&'a str>)>,
    &'a str,
    &'a str,
);

/// The shapes of instances; instances with the same needs share one.
struct Shapes<'a> {
    /// True if some hosts are reserved for projects, so that the project of an instance matters.
    by_project: bool,
    made: HashMap<Sort<'a>, Arc<Shape>>,
}

impl<'a> Shapes<'a> {
    fn of(rooms: &Rooms) -> Self {
        let mut keys = rooms
            .aggregates
            .iter()
            .flat_map(|aggregate| aggregate.metadata.keys());
        Self {
            by_project: keys.any(|key| key.starts_with(TENANT)),
            made: HashMap::new(),
        }
    }

    fn demand(&mut self, instance: &'a Instance, zone: &'a str) -> Demand {
        let project = instance.needs.as_ref().filter(|_| self.by_project);
        let project = project.map_or("", |needs| needs.project.as_str());
        let needs = instance.needs.as_ref();
        let needs = needs.map(|needs| (needs.resources, &needs.wishes, needs.not_reckoned.as_deref()));
        let sort = (needs, zone, project);
        let shape = self.made.entry(sort).or_insert_with(|| Arc::new(shape(sort)));
        Demand {
            id: instance.id,
            name: instance.name.clone(),
            shape: Arc::clone(shape),
        }
    }
}

/// Builds a shape. Nova shows only to few users if an instance may leave its zone, so the shape is bound to the zone.
fn shape((needs, zone, project): Sort<'_>) -> Shape {
    let mut shape = Shape {
        project: project.to_owned(),
        ..Shape::default()
    };
    shape.wishes.insert(Requirement::Zone(zone.to_owned()));
    let Some((own, wishes, not_reckoned)) = needs else {
        shape.not_reckoned = Some("a flavor that Nova does not show".to_owned());
        return shape;
    };
    shape.wishes.extend(wishes.iter().cloned());
    shape.not_reckoned = not_reckoned.map(str::to_owned);
    for (class, amount) in [
        ("VCPU", own.vcpus),
        ("MEMORY_MB", own.memory_mb),
        ("DISK_GB", own.disk_gb),
    ] {
        shape.amounts.insert(class.to_owned(), amount);
    }
    shape
}

#[cfg(test)]
pub(super) mod tests;
