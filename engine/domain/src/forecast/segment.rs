//! Headroom of a segment: the number of hosts that may be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::bound::{Load, fits, heaviest};
use super::ground::{CandidateIndex, GroupLimit};
use super::{Cloud, Demand, Method, Outcome, Room, Shape, judge};
use crate::entity::segment::RecoveryMethod;

/// Maximum number of host sets that are checked one by one; more sets are bounded together.
const MAX_HOST_SETS: usize = 300;

/// The number of hosts of a segment that may be lost, whichever they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Headroom {
    /// The number of hosts: any set of this size may be lost together.
    pub hosts: usize,
    /// True if one more host would be too many for the estimate. False if more hosts may be lost, which was not determined.
    pub exact: bool,
}

/// A segment, as an input of the forecast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForecastSegment<'a> {
    pub name: &'a str,
    /// The recovery method of its instances.
    pub method: RecoveryMethod,
    /// The hosts that can be lost.
    pub hosts: Vec<&'a str>,
    /// The reserved hosts that are ready.
    pub reserved: Vec<&'a str>,
}

/// The forecast of a segment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SegmentForecast {
    pub segment: String,
    /// The headroom; `None` if not even one host is known well enough.
    pub headroom: Option<Headroom>,
    /// The outcome of losing each host alone, by name.
    pub hosts: Vec<Outcome>,
    /// The worst of these outcomes.
    pub worst: Option<Outcome>,
}

/// Forecasts segments. State that they share is computed once.
pub fn forecast_segments<'a>(
    cloud: &Cloud,
    views: impl IntoIterator<Item = ForecastSegment<'a>>,
) -> Vec<SegmentForecast> {
    let ground = CandidateIndex::new(cloud);
    let all = views.into_iter().map(|view| of_segment(&ground, &view));
    all.collect()
}

fn of_segment(ground: &CandidateIndex<'_>, view: &ForecastSegment<'_>) -> SegmentForecast {
    let method = Method {
        method: view.method,
        reserved: &view.reserved,
    };
    // Reserved hosts are taken whole, one for each lost host, so the bound does not apply.
    let bounds = (view.method != RecoveryMethod::ReservedHost).then(|| Bounds::of(ground, view));
    let bounds = bounds.flatten();
    // Usually any host may be lost, and that is proven for all of them at once.
    let any = bounds.as_ref().is_some_and(|bounds| bounds.hold(1));
    let alone = |name: &&str| match ground.demands_of(name) {
        Some(own) if any => Outcome {
            lost: vec![(*name).to_owned()],
            instances: own.len(),
            room: Room::Enough,
            short_of: None,
            not_reckoned: None,
        },
        Some(_) | None => judge(ground, &BTreeSet::from([*name]), &method),
    };
    let hosts: Vec<Outcome> = view.hosts.iter().map(alone).collect();
    let worst = hosts
        .iter()
        .max_by_key(|outcome| (outcome.room, outcome.instances))
        .cloned();
    let headroom = match worst.as_ref().map(|outcome| outcome.room) {
        Some(Room::Enough) => Some(further(ground, view, &method, bounds.as_ref())),
        Some(Room::Tight | Room::Short) => Some(Headroom {
            hosts: 0,
            exact: true,
        }),
        Some(Room::Unknown) | None => None,
    };
    SegmentForecast {
        segment: view.name.to_owned(),
        headroom,
        hosts,
        worst,
    }
}

/// Returns the headroom of a segment that may lose any one host.
fn further(
    ground: &CandidateIndex<'_>,
    view: &ForecastSegment<'_>,
    method: &Method<'_>,
    bounds: Option<&Bounds<'_, '_>>,
) -> Headroom {
    let all = view.hosts.len();
    for count in 2..=all {
        if sets(all, count).is_none_or(|number| number > MAX_HOST_SETS) {
            return many(bounds, all, count);
        }
        if !each_set(ground, view, method, count) {
            return Headroom {
                hosts: count - 1,
                exact: true,
            };
        }
    }
    Headroom {
        hosts: all,
        exact: true,
    }
}

/// Returns the number of hosts that the bound allows; `least - 1` may be lost anyway.
fn many(bounds: Option<&Bounds<'_, '_>>, all: usize, least: usize) -> Headroom {
    let (mut good, mut bad) = (least - 1, all + 1);
    if let Some(bounds) = bounds {
        // The loss of more hosts never makes it easier, so a binary search works.
        while bad - good > 1 {
            let middle = usize::midpoint(good, bad);
            if bounds.hold(middle) {
                good = middle;
            } else {
                bad = middle;
            }
        }
    }
    Headroom {
        hosts: good,
        exact: false,
    }
}

/// Returns the number of ways to choose `count` of `all`; `None` if the number overflows.
fn sets(all: usize, count: usize) -> Option<usize> {
    let mut number = 1_usize;
    for step in 0..count.min(all - count) {
        number = number.checked_mul(all - step)? / (step + 1);
    }
    Some(number)
}

fn each_set(
    ground: &CandidateIndex<'_>,
    view: &ForecastSegment<'_>,
    method: &Method<'_>,
    count: usize,
) -> bool {
    let mut chosen: Vec<usize> = (0..count).collect();
    loop {
        let lost: BTreeSet<&str> = chosen
            .iter()
            .filter_map(|ix| view.hosts.get(*ix).copied())
            .collect();
        if judge(ground, &lost, method).room != Room::Enough {
            return false;
        }
        // Moves on to the next set, in order.
        let all = view.hosts.len();
        let Some(at) = (0..count).rev().find(|at| chosen[*at] < all - count + at) else {
            return true;
        };
        chosen[at] += 1;
        for later in at + 1..count {
            chosen[later] = chosen[later - 1] + 1;
        }
    }
}

/// The bound's state that is the same for any number of lost hosts.
struct Bounds<'a, 'b> {
    ground: &'a CandidateIndex<'b>,
    open: Vec<bool>,
    /// The amounts that each host has to place.
    loads: Vec<Load>,
    /// One instance of each sort.
    sorts: Vec<Sort<'b>>,
}

/// A sort of instances: if one of them fits, so does any other.
struct Sort<'a> {
    shape: &'a Arc<Shape>,
    /// The hosts that its groups exclude.
    kept: GroupLimit,
    /// The number of others that may be in its groups.
    group_members: usize,
}

impl<'a, 'b> Bounds<'a, 'b> {
    /// Builds the bounds; `None` if an instance has a requirement that the forecast does not model.
    fn of(ground: &'a CandidateIndex<'b>, view: &ForecastSegment<'_>) -> Option<Self> {
        let lists = view.hosts.iter().filter_map(|name| ground.demands_of(name));
        let lists: Vec<&[Demand]> = lists.collect();
        let mut counted: BTreeSet<*const Shape> = BTreeSet::new();
        let mut sorts = Vec::new();
        for demand in lists.iter().copied().flatten() {
            if demand.shape.not_reckoned.is_some() {
                return None;
            }
            let groups = ground.cloud.groups_of(demand.id);
            let group_members: usize = groups.map(|group| group.members.len().saturating_sub(1)).sum();
            if group_members > 0 || counted.insert(Arc::as_ptr(&demand.shape)) {
                sorts.push(Sort {
                    shape: &demand.shape,
                    kept: ground.excluded_hosts(demand, &BTreeMap::new()),
                    group_members,
                });
            }
        }
        Some(Self {
            ground,
            open: ground.open(&BTreeSet::new(), &view.reserved),
            loads: lists.iter().map(|own| Load::of(own.iter())).collect(),
            sorts,
        })
    }

    /// True if any `count` hosts may certainly be lost: the heaviest hosts count as lost, and so do the best of the others.
    fn hold(&self, count: usize) -> bool {
        let load = heaviest(&self.loads, count);
        let fits = |shape, limit: &GroupLimit, gone| fits(self.ground, shape, limit, &load, &self.open, gone);
        // True if an instance that may run on any host fits, even without this number of the best hosts.
        let mut free: BTreeMap<(*const Shape, usize), bool> = BTreeMap::new();
        self.sorts.iter().all(|sort| {
            let gone = count.saturating_add(sort.group_members);
            let GroupLimit::From(from) = &sort.kept else {
                return false;
            };
            // Thousands of instances may have a partner somewhere. The partner's host matters little: it may well be one of the best.
            let without = gone.saturating_add(from.len());
            let known = free.entry((Arc::as_ptr(sort.shape), without));
            *known.or_insert_with(|| fits(sort.shape, &GroupLimit::From(BTreeSet::new()), without))
                || !from.is_empty() && fits(sort.shape, &sort.kept, gone)
        })
    }
}
