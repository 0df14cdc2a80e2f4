//! Is there room for the instances of a host, or of several, if they die now? From what Placement and Nova say, without asking them.
//!
//! It is an estimate that errs to one side. [`Room::Enough`] is said only of what fits **whatever the scheduler chooses and in
//! whatever order the instances come**: Nova spreads by weights that operators set, so that one good way to place them proves
//! nothing. What fits only if it is placed well is [`Room::Tight`], and no promise. What is not understood is [`Room::Unknown`].

mod bound;
mod facts;
mod needs;
mod pack;
mod rules;
mod segment;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::facts::{Amounts, Capacity, Cloud, Demand, Group, HostRoom, Provider, Wish};
pub use self::needs::Needs;
pub use self::segment::{Headroom, SegmentForecast, SegmentView, forecast_segment};
use crate::entity::segment::RecoveryMethod;
use crate::words::words;

words! {
    /// Whether there is room: the later, the worse.
    Room {
        /// All fit, however the scheduler places them.
        Enough = "enough",
        /// They fit if they are placed well. Nova may place them otherwise.
        Tight = "tight",
        /// Too little is known, or an instance asks for what is not reckoned with.
        Unknown = "unknown",
        /// No way to place them was found.
        Short = "short",
    }
}

/// What becomes of the instances of hosts that are lost together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// The hosts.
    pub lost: Vec<String>,
    /// How many instances need a place.
    pub instances: usize,
    /// Whether there is one for each.
    pub room: Room,
    /// Why not.
    pub short_of: Option<Shortage>,
}

/// What is wanting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The instance that finds no place.
    pub instance: String,
    /// For people.
    pub text: String,
}

/// How the instances of lost hosts get a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method<'a> {
    /// The segment's method.
    pub method: RecoveryMethod,
    /// Its reserved hosts that are ready.
    pub reserved: &'a [&'a str],
}

/// Whether the instances of the hosts `lost` find a place. They are lost together.
pub fn forecast(cloud: &Cloud, lost: &BTreeSet<&str>, method: &Method<'_>) -> Outcome {
    let names = lost.iter().map(|name| (*name).to_owned()).collect();
    let mut demands = Vec::new();
    for name in lost {
        match cloud.hosts.get(*name).and_then(|host| host.demands.as_ref()) {
            Some(own) => demands.extend(own),
            None => return unknown(names, name, "its instances are not known"),
        }
    }
    let instances = demands.len();
    if let Some((odd, why)) = demands
        .iter()
        .find_map(|one| Some((one, one.not_reckoned.as_ref()?)))
    {
        let mut outcome = unknown(
            names,
            &odd.name,
            &format!("it asks for {why}, which is not reckoned with"),
        );
        outcome.instances = instances;
        return outcome;
    }
    let open: Vec<&str> = cloud.open_hosts(lost, method.reserved);
    let reserved: Vec<&str> = method
        .reserved
        .iter()
        .copied()
        .filter(|name| !lost.contains(name))
        .collect();
    let auto = || judge(cloud, &demands, &open);
    let reserve = || in_reserve(cloud, lost, &demands, &reserved);
    let (room, short_of) = match method.method {
        RecoveryMethod::Auto => auto(),
        RecoveryMethod::ReservedHost => reserve(),
        // What the first leaves over is a part of the whole: if the whole fits the second way, so does that.
        RecoveryMethod::AutoPriority => better(auto(), reserve),
        RecoveryMethod::RhPriority => better(reserve(), auto),
    };
    Outcome {
        lost: names,
        instances,
        room,
        short_of,
    }
}

type Judged = (Room, Option<Shortage>);

fn better(first: Judged, second: impl Fn() -> Judged) -> Judged {
    if first.0 == Room::Enough {
        return first;
    }
    let second = second();
    if second.0 < first.0 { second } else { first }
}

fn unknown(lost: Vec<String>, whose: &str, text: &str) -> Outcome {
    Outcome {
        lost,
        instances: 0,
        room: Room::Unknown,
        short_of: Some(Shortage {
            instance: whose.to_owned(),
            text: text.to_owned(),
        }),
    }
}

/// On hosts that the scheduler chooses.
fn judge(cloud: &Cloud, demands: &[&Demand], open: &[&str]) -> Judged {
    let Err(first) = bound::always_fits(cloud, demands, open) else {
        return (Room::Enough, None);
    };
    match pack::pack(cloud, demands, open) {
        Ok(()) => {
            let text = "it fits only if the scheduler places the others well";
            let shortage = Shortage {
                instance: first.to_owned(),
                text: text.to_owned(),
            };
            (Room::Tight, Some(shortage))
        }
        Err(shortage) => (Room::Short, Some(shortage)),
    }
}

/// Each lost host takes one reserved host for all its instances; which, is not foreseen.
fn in_reserve(cloud: &Cloud, lost: &BTreeSet<&str>, demands: &[&Demand], reserved: &[&str]) -> Judged {
    if demands.is_empty() {
        return (Room::Enough, None);
    }
    if reserved.len() < lost.len() {
        let text = match reserved.len() {
            0 => "no reserved host is ready".to_owned(),
            ready => format!("{} hosts are lost, and {ready} reserved are ready", lost.len()),
        };
        let instance = demands.first().map_or_else(String::new, |one| one.name.clone());
        return (Room::Short, Some(Shortage { instance, text }));
    }
    for name in lost {
        let own = cloud.hosts.get(*name).and_then(|host| host.demands.as_ref());
        let own: Vec<&Demand> = own.into_iter().flatten().collect();
        for taken in reserved {
            if let Err(shortage) = pack::pack(cloud, &own, &[*taken]) {
                return (Room::Short, Some(shortage));
            }
        }
    }
    (Room::Enough, None)
}

#[cfg(test)]
mod tests;
