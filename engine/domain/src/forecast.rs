//! Is there room for the instances of a host, or of several, if they die now? From what Placement and Nova say, without asking them.
//!
//! It is an estimate that errs to one side. [`Room::Enough`] is said only of what fits **whatever the scheduler chooses and in
//! whatever order the instances come**: Nova spreads by weights that operators set, so that one good way to place them proves
//! nothing. What fits only if it is placed well is [`Room::Tight`], and no promise. What is not understood is [`Room::Unknown`].

mod bound;
mod facts;
mod ground;
mod landing;
mod needs;
mod pack;
mod rules;
mod segment;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::facts::{Amounts, Capacity, Cloud, Demand, Group, HostRoom, Provider, Shape, Wish};
pub use self::landing::{Landing, landing};
pub use self::needs::{Needs, SharedNeeds};
pub(crate) use self::rules::TENANT;
pub use self::segment::{ForecastSegment, Headroom, SegmentForecast, forecast_segments};
use crate::entity::segment::RecoveryMethod;
use crate::words::words;
use ground::Ground;

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
    /// It is not known because an instance asks for this, which is not reckoned with.
    #[serde(skip)]
    pub not_reckoned: Option<String>,
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
    judge(&Ground::new(cloud), lost, method)
}

/// On so many of so many hosts that the scheduler may choose there is room for one instance of `host`, if that is lost and nothing
/// else moves.
pub fn takers(cloud: &Cloud, host: &str, demand: &Demand, reserved: &[&str]) -> (usize, usize) {
    let ground = Ground::new(cloud);
    let open = ground.open(&BTreeSet::from([host]), reserved);
    let fit = landing::takers(&ground, demand, &open).len();
    (fit, open.iter().filter(|is_open| **is_open).count())
}

fn judge(ground: &Ground<'_>, lost: &BTreeSet<&str>, method: &Method<'_>) -> Outcome {
    let mut outcome = Outcome {
        lost: lost.iter().map(|name| (*name).to_owned()).collect(),
        instances: 0,
        room: Room::Unknown,
        short_of: None,
        not_reckoned: None,
    };
    let mut demands = Vec::new();
    for name in lost {
        let Some(own) = ground.demands_of(name) else {
            outcome.short_of = Some(Shortage {
                instance: (*name).to_owned(),
                text: "its instances are not known".to_owned(),
            });
            return outcome;
        };
        demands.extend(own);
    }
    outcome.instances = demands.len();
    let odd = |one: &&Demand| Some((one.name.to_string(), one.shape.not_reckoned.clone()?));
    if let Some((instance, why)) = demands.iter().find_map(odd) {
        let text = format!("it asks for {why}, which is not reckoned with");
        outcome.short_of = Some(Shortage { instance, text });
        outcome.not_reckoned = Some(why);
        return outcome;
    }
    let reserved: Vec<&str> = method
        .reserved
        .iter()
        .copied()
        .filter(|name| !lost.contains(name))
        .collect();
    let auto = || chosen(ground, &demands, &ground.open(lost, method.reserved));
    let reserve = || in_reserve(ground, lost, &demands, &reserved);
    (outcome.room, outcome.short_of) = match method.method {
        RecoveryMethod::Auto => auto(),
        RecoveryMethod::ReservedHost => reserve(),
        // What the first leaves over is a part of the whole: if the whole fits the second way, so does that.
        RecoveryMethod::AutoPriority => better(auto(), reserve),
        RecoveryMethod::RhPriority => better(reserve(), auto),
    };
    outcome
}

type Judged = (Room, Option<Shortage>);

fn better(first: Judged, second: impl Fn() -> Judged) -> Judged {
    if first.0 == Room::Enough {
        return first;
    }
    let second = second();
    if second.0 < first.0 { second } else { first }
}

/// On hosts that the scheduler chooses.
fn chosen(ground: &Ground<'_>, demands: &[&Demand], open: &[bool]) -> Judged {
    let Err(first) = bound::always_fits(ground, demands, open) else {
        return (Room::Enough, None);
    };
    match pack::pack(ground, demands, open) {
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
fn in_reserve(ground: &Ground<'_>, lost: &BTreeSet<&str>, demands: &[&Demand], reserved: &[&str]) -> Judged {
    if demands.is_empty() {
        return (Room::Enough, None);
    }
    if reserved.len() < lost.len() {
        let text = match reserved.len() {
            0 => "no reserved host is ready".to_owned(),
            ready => format!("{} hosts are lost, and {ready} reserved are ready", lost.len()),
        };
        let instance = demands
            .first()
            .map_or_else(String::new, |one| one.name.to_string());
        return (Room::Short, Some(Shortage { instance, text }));
    }
    for name in lost {
        let own: Vec<&Demand> = ground.demands_of(name).into_iter().flatten().collect();
        for taken in reserved {
            if let Err(shortage) = pack::pack(ground, &own, &ground.only(taken)) {
                return (Room::Short, Some(shortage));
            }
        }
    }
    (Room::Enough, None)
}

#[cfg(test)]
mod tests;
