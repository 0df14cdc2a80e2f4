//! Forecast from the data of Placement and Nova, without querying them: is there capacity for the instances of failed hosts?
//!
//! The estimate is conservative. The result is [`Room::Enough`] only if the instances fit **with every choice of the scheduler and
//! in every order**. Nova spreads by weights that operators set, so one good placement proves nothing. If the instances fit only
//! when they are placed well, the result is [`Room::Tight`]. [`Room::Unknown`] covers requirements that the forecast does not
//! model.

mod bound;
mod destinations;
mod facts;
mod ground;
mod needs;
mod pack;
mod rules;
mod segment;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::destinations::{Landing, destinations};
pub use self::facts::{Amounts, Capacity, Cloud, Demand, Group, HostRoom, Provider, Requirement, Shape};
pub use self::needs::{Needs, SharedNeeds};
pub(crate) use self::rules::TENANT;
pub use self::segment::{ForecastSegment, Headroom, SegmentForecast, forecast_segments};
use crate::entity::segment::RecoveryMethod;
use crate::string_enum::string_enum;
use ground::CandidateIndex;

string_enum! {
    /// The capacity for instances, in ascending order of severity.
    Room {
        /// All instances fit, however the scheduler places them.
        Enough = "enough",
        /// The instances fit if they are placed well. Nova may place them otherwise.
        Tight = "tight",
        /// Too little is known, or an instance has a requirement that the forecast does not model.
        Unknown = "unknown",
        /// No placement was found.
        Short = "short",
    }
}

/// The outcome for the instances of hosts that are lost together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    pub lost: Vec<String>,
    /// The number of instances to place.
    pub instances: usize,
    pub room: Room,
    /// The shortage, if the capacity is not sufficient for certain.
    pub short_of: Option<Shortage>,
    /// The requirement of an instance that the forecast does not model, if the outcome is unknown because of it.
    #[serde(skip)]
    pub not_reckoned: Option<String>,
}

/// The missing capacity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shortage {
    /// The instance that does not fit.
    pub instance: String,
    /// The text for people.
    pub text: String,
}

/// The way in which the instances of lost hosts are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Method<'a> {
    pub method: RecoveryMethod,
    /// The segment's reserved hosts that are ready.
    pub reserved: &'a [&'a str],
}

/// Forecasts whether the instances of the hosts `lost` fit. The hosts are lost together.
pub fn forecast(cloud: &Cloud, lost: &BTreeSet<&str>, method: &Method<'_>) -> Outcome {
    judge(&CandidateIndex::new(cloud), lost, method)
}

/// Returns the number of hosts with capacity for one instance of `host`, and the number of hosts that the scheduler may choose, if
/// `host` is lost and nothing else moves.
pub fn candidates(cloud: &Cloud, host: &str, demand: &Demand, reserved: &[&str]) -> (usize, usize) {
    let ground = CandidateIndex::new(cloud);
    let open = ground.open(&BTreeSet::from([host]), reserved);
    let fit = destinations::candidates(&ground, demand, &open).len();
    (fit, open.iter().filter(|is_open| **is_open).count())
}

fn judge(ground: &CandidateIndex<'_>, lost: &BTreeSet<&str>, method: &Method<'_>) -> Outcome {
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
                text: "its instances are unknown".to_owned(),
            });
            return outcome;
        };
        demands.extend(own);
    }
    outcome.instances = demands.len();
    let odd = |demand: &&Demand| Some((demand.name.to_string(), demand.shape.not_reckoned.clone()?));
    if let Some((instance, why)) = demands.iter().find_map(odd) {
        let text = format!("it requires {why}, which the forecast does not model");
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
        // The instances that the first method leaves over are a part of all: if all fit the second way, so do they.
        RecoveryMethod::AutoPriority => better(auto(), reserve),
        RecoveryMethod::RhPriority => better(reserve(), auto),
    };
    outcome
}

type GroupCheck = (Room, Option<Shortage>);

fn better(first: GroupCheck, second: impl Fn() -> GroupCheck) -> GroupCheck {
    if first.0 == Room::Enough {
        return first;
    }
    let second = second();
    if second.0 < first.0 { second } else { first }
}

/// Judges a placement on hosts that the scheduler chooses.
fn chosen(ground: &CandidateIndex<'_>, demands: &[&Demand], open: &[bool]) -> GroupCheck {
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

/// Judges a placement on reserved hosts. Each lost host takes one of them for all its instances; the choice is not predictable.
fn in_reserve(
    ground: &CandidateIndex<'_>,
    lost: &BTreeSet<&str>,
    demands: &[&Demand],
    reserved: &[&str],
) -> GroupCheck {
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
