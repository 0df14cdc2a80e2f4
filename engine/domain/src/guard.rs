//! The guards against storms (R24): what must be so before a host is fenced or its instances are moved.
//!
//! A failed switch looks like many dead hosts, a failed broker like all of them, and fencing them would make it true. Each
//! guard is one question with one pure function, `check(&Facts, &Policy) -> Verdict`. [`rule`] asks those that matter at a
//! moment: *wait* passes by itself once its reason is gone, *hold* needs an operator's word. A word lifts the guards that were
//! named when it was said, for this recovery and no other; the rest are asked again (I8).
//!
//! [`Region`] is what an engine sees of all hosts at one moment, gathered once for all its recoveries; [`GuardFacts`] are what
//! that means for one of them.

mod all_stale;
mod capacity;
mod cliff;
mod corroboration;
mod domain;
mod evacuation;
mod facts;
mod flap;
mod global;
mod observer;
mod out;
mod pattern;
mod preview;
pub mod process;
mod protected;
mod rate;
mod region;
mod segment;
mod startup;
mod worse;

use std::collections::BTreeSet;
use std::time::Duration;

pub use crate::policy::{Doubts, GuardPolicy};
use crate::policy::{FencingMode, Policy};
use crate::words::words;

pub(crate) use cliff::is_seen as sees_cliff;
pub use domain::DomainLoss;
pub use facts::{Count, GuardFacts, NovaFacts, Own, Witness};
pub use pattern::matches;
pub use preview::WouldHold;
pub(crate) use rate::reason as too_many;
pub use region::{Dated, NovaView, Region, RegionHost};

words! {
    /// A guard, in the order in which they are asked.
    Guard {
        /// G0: has the cluster been watched for long enough since its first start?
        StartUp = "startup",
        /// G1: does the engine see enough of the world to judge?
        Observer = "observer",
        /// G2: is it Nova that is deaf, and not the hosts that are silent?
        AllStale = "all-stale",
        /// G3: does more than one report speak for it?
        Corroboration = "corroboration",
        /// G4: how many hosts of the segment are out?
        Segment = "segment",
        /// G5: how many hosts of all segments went out lately?
        Global = "global",
        /// G6: how many hosts were ordered off lately?
        Rate = "rate",
        /// G7: did most heartbeats stop at the same moment?
        Cliff = "cliff",
        /// G8: is there room for the instances?
        Capacity = "capacity",
        /// G9: can Nova evacuate at all?
        Evacuation = "evacuation",
        /// G10: has this host been fenced again and again?
        Flap = "flap",
        /// G11: is this host never to be fenced without a person's word?
        Protected = "protected",
    }
}

/// When guards are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before anything is done.
    Begin,
    /// Before a host is ordered off.
    Order,
    /// Before a host that was found off is taken for lost.
    Proof,
}

/// What a guard says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Pass,
    /// Go on, and tell.
    Warn {
        /// For people.
        reason: String,
    },
    /// Not now; it passes by itself.
    Wait {
        /// For people. No running numbers: it is written down when it changes.
        reason: String,
        /// In how long it can pass at the earliest, if that is known.
        until: Option<Duration>,
    },
    /// Not without an operator's word.
    Hold {
        /// For people.
        reason: String,
    },
}

/// What all guards together say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// Those that want an operator's word, each with its reason.
    pub holds: Vec<(Guard, String)>,
    /// Those that want patience.
    pub waits: Vec<(Guard, String)>,
    /// Those that only want it to be known.
    pub warnings: Vec<(Guard, String)>,
}

impl Guard {
    /// Its number in the list of guards, such as `G4`.
    pub const fn number(self) -> &'static str {
        match self {
            Self::StartUp => "G0",
            Self::Observer => "G1",
            Self::AllStale => "G2",
            Self::Corroboration => "G3",
            Self::Segment => "G4",
            Self::Global => "G5",
            Self::Rate => "G6",
            Self::Cliff => "G7",
            Self::Capacity => "G8",
            Self::Evacuation => "G9",
            Self::Flap => "G10",
            Self::Protected => "G11",
        }
    }

    /// Whether an operator's word lets a recovery past it. What the engine cannot see for itself, nobody can approve for it.
    pub const fn can_be_lifted(self) -> bool {
        !matches!(self, Self::Observer | Self::Corroboration)
    }

    /// Whether it is asked at this moment. Those that are about ordering a host off have no say where nobody orders.
    fn is_asked(self, moment: Moment, mode: FencingMode) -> bool {
        match self {
            Self::StartUp => mode == FencingMode::Engine,
            Self::Corroboration | Self::Rate | Self::Protected => moment == Moment::Order,
            Self::Observer
            | Self::AllStale
            | Self::Segment
            | Self::Global
            | Self::Cliff
            | Self::Capacity
            | Self::Evacuation
            | Self::Flap => true,
        }
    }

    /// What it says.
    pub fn check(self, facts: &GuardFacts, rules: &Policy) -> Verdict {
        match self {
            Self::StartUp => startup::check(facts, rules),
            Self::Observer => observer::check(facts, rules),
            Self::AllStale => all_stale::check(facts, rules),
            Self::Corroboration => corroboration::check(facts, rules),
            Self::Segment => segment::check(facts, rules),
            Self::Global => global::check(facts, rules),
            Self::Rate => rate::check(facts, rules),
            Self::Cliff => cliff::check(facts, rules),
            Self::Capacity => capacity::check(facts, rules),
            Self::Evacuation => evacuation::check(facts, rules),
            Self::Flap => flap::check(facts, rules),
            Self::Protected => protected::check(facts, rules),
        }
    }
}

/// What the guards say at `moment`, but for those an operator has lifted.
pub fn rule(facts: &GuardFacts, rules: &Policy, moment: Moment, lifted: &BTreeSet<Guard>) -> Ruling {
    let mut ruling = Ruling::default();
    for guard in Guard::ALL {
        if !guard.is_asked(moment, rules.fencing) || lifted.contains(guard) {
            continue;
        }
        match guard.check(facts, rules) {
            Verdict::Pass => {}
            Verdict::Warn { reason } => ruling.warnings.push((*guard, reason)),
            Verdict::Wait { reason, .. } => ruling.waits.push((*guard, reason)),
            Verdict::Hold { reason } => ruling.holds.push((*guard, reason)),
        }
    }
    ruling
}

/// Whether more of them are out than `percent` allows; one always may be.
fn is_over(count: Count, percent: u32) -> bool {
    count.out > 1 && count.out.saturating_mul(100) > count.hosts.saturating_mul(u64::from(percent))
}

/// What every reason of a guard against many failures ends with.
const NOT_THE_HOSTS: &str = "a switch or a rack may have failed, not the hosts";

#[cfg(test)]
mod tests;
