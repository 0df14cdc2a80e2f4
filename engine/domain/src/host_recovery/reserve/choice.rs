//! The choice of reserved hosts for the needs of instances.

use crate::reserved::{Aggregate, ReservedHost, Resources, Survey};

/// A request to the segment's reserve.
pub(in super::super) struct ReserveRequest<'a> {
    /// The dead host.
    pub(in super::super) source: &'a str,
    /// The resources of each instance that has no place yet.
    pub(in super::super) needs: &'a [Option<Resources>],
    /// True if a reserved host joins the aggregates of the dead one.
    pub(in super::super) join: bool,
    /// The hosts that this recovery has reserved already.
    pub(in super::super) taken: &'a dyn Fn(&str) -> bool,
    /// The hosts that have turned out to be unusable, with the reason.
    pub(in super::super) unfit: &'a dyn Fn(&str) -> Option<String>,
}

/// A host to be reserved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Pick {
    pub(in super::super) host: ReservedHost,
    /// The aggregates of the dead host that it is not in.
    pub(in super::super) joins: Vec<Aggregate>,
    /// The number of instances that it is to take.
    pub(in super::super) instances: usize,
}

/// The result of the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Choice {
    pub(in super::super) picks: Vec<Pick>,
    /// True if others hold some of the hosts, and may give them back.
    pub(in super::super) busy: bool,
    /// The reasons why the others were not chosen.
    pub(in super::super) reasons: Vec<String>,
}

/// Chooses the minimum number of hosts. If the free resources are known, the smallest host that fits everything comes first, or
/// else the one that fits most. Hosts with unknown free resources come last, one at a time: Nova's scheduler decides whether the
/// instances fit.
pub(in super::super) fn choose(survey: &Survey, request: &ReserveRequest<'_>) -> Choice {
    let mut choice = Choice::default();
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    for host in &survey.hosts {
        if host.name == request.source || (request.taken)(&host.name) {
            continue;
        }
        if host.busy {
            choice.busy = true;
            choice.reasons.push(format!(
                "{} is reserved by another recovery, drained or frozen",
                host.name
            ));
            continue;
        }
        match joins_of(survey, host, request) {
            Err(why) => choice.reasons.push(format!("{} {why}", host.name)),
            Ok(joins) => match host.room {
                Some(room) => known.push((host, joins, room)),
                None => unknown.push((host, joins)),
            },
        }
    }
    let mut left: Vec<Option<Resources>> = request.needs.to_vec();
    while !left.is_empty() {
        let best = known
            .iter()
            .enumerate()
            .map(|(at, (_, _, room))| (at, fill(*room, &left)))
            .max_by_key(|(at, (count, rest, _))| (*count, std::cmp::Reverse((rest.memory_mb, *at))));
        let Some((at, (count, _, unplaced))) = best.filter(|(_, (count, _, _))| *count > 0) else {
            break;
        };
        let (host, joins, _) = known.remove(at);
        choice.picks.push(Pick {
            host: host.clone(),
            joins,
            instances: count,
        });
        left = unplaced;
    }
    choice.reasons.extend(
        known
            .iter()
            .filter(|_| !left.is_empty())
            .map(|(host, _, _)| format!("{} has no capacity left", host.name)),
    );
    if !left.is_empty()
        && let Some((host, joins)) = unknown.into_iter().next()
    {
        choice.picks.push(Pick {
            host: host.clone(),
            joins,
            instances: left.len(),
        });
    }
    choice
}

/// Returns the aggregates that the host has to join, or the reason why it cannot be reserved.
fn joins_of(
    survey: &Survey,
    host: &ReservedHost,
    request: &ReserveRequest<'_>,
) -> Result<Vec<Aggregate>, String> {
    if let Some(why) = (request.unfit)(&host.name) {
        return Err(why);
    }
    let Some(service) = &host.service else {
        return Err(
            "has no nova-compute service of that name in Nova: check that it is registered under its service host name"
                .into(),
        );
    };
    if service.forced_down {
        return Err("is forced down in Nova".into());
    }
    if !service.up {
        return Err("is down in Nova".into());
    }
    let joins: Vec<Aggregate> = survey
        .aggregates
        .iter()
        .filter(|aggregate| {
            request.join && aggregate.hosts.contains(request.source) && !aggregate.hosts.contains(&host.name)
        })
        .cloned()
        .collect();
    let (zone, source) = (survey.zone_of(&host.name), survey.zone_of(request.source));
    if zone == source {
        return Ok(joins);
    }
    // A host that is in no zone yet comes into that of the dead host with its aggregate.
    if zone.is_none() && joins.iter().any(|aggregate| aggregate.zone.as_deref() == source) {
        return Ok(joins);
    }
    let name = |zone: Option<&str>| zone.map_or_else(|| "the default one".to_owned(), ToOwned::to_owned);
    Err(format!(
        "is in another availability zone ({} instead of {})",
        name(zone),
        name(source)
    ))
}

/// Returns the number of needs that fit into a room, in their order, the rest of the room, and the needs that do not fit.
fn fill(room: Resources, needs: &[Option<Resources>]) -> (usize, Resources, Vec<Option<Resources>>) {
    let mut rest = room;
    let mut count = 0;
    let mut unplaced = Vec::new();
    for need in needs {
        let size = need.unwrap_or_default();
        if rest.holds(&size) {
            rest = rest.without(&size);
            count += 1;
        } else {
            unplaced.push(*need);
        }
    }
    (count, rest, unplaced)
}

#[cfg(test)]
mod tests;
