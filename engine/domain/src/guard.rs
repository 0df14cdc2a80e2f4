//! Guards against storms: conditions that have to hold before a host is fenced or its instances are moved.
//!
//! A failed switch looks like many failed hosts, and a failed broker like a failure of all of them. Fencing would cut the
//! power of running hosts. Each guard is one pure function, `check(&Facts, &Policy) -> Verdict`. [`rule`] checks the guards
//! that apply at a moment: a *wait* passes once its reason has ended, a *hold* needs an operator's approval. An approval
//! lifts the guards that were shown when it was given, for this recovery only; all others are checked again.
//!
//! [`Region`] is an engine's view of all hosts at one moment, gathered once for all its recoveries; [`GuardFacts`] are the
//! consequences for one of them.

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

use crate::policy::{FencingMode, Policy};
pub use crate::policy::{GuardPolicy, MutingPolicy};
use crate::string_enum::string_enum;

pub(crate) use cliff::is_seen as sees_cliff;
pub use domain::DomainLoss;
pub use facts::{Count, GuardFacts, HostFacts, NovaFacts, Witness};
pub use pattern::matches;
pub use preview::{JointLoss, WouldHold};
pub(crate) use rate::reason as too_many;
pub use region::{HostIncident, NovaView, Region, RegionHost};

string_enum! {
    /// The guards, in the order in which they are checked.
    Guard {
        /// G0: has the cluster been watched for long enough since its first start?
        StartUp = "startup",
        /// G1: is the engine connected, and not cut off itself?
        Observer = "observer",
        /// G2: has Nova or its message bus failed, and not the hosts?
        AllStale = "all-stale",
        /// G3: does more than one report confirm the failure?
        Corroboration = "corroboration",
        /// G4: how many hosts of the segment are out?
        Segment = "segment",
        /// G5: how many hosts of all segments failed recently?
        Global = "global",
        /// G6: how many hosts were ordered off recently?
        Rate = "rate",
        /// G7: did most heartbeats stop at the same moment?
        Cliff = "cliff",
        /// G8: is there capacity for the instances?
        Capacity = "capacity",
        /// G9: can Nova evacuate at all?
        Evacuation = "evacuation",
        /// G10: has this host been fenced repeatedly?
        Flap = "flap",
        /// G11: must this host never be fenced without an operator's approval?
        Protected = "protected",
    }
}

/// The moment at which guards are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardPhase {
    /// Before any other action.
    Begin,
    /// Before a host is ordered off.
    Order,
    /// Before a host that was found off is treated as failed.
    Proof,
}

/// The verdict of a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuardResult {
    /// The recovery may continue.
    Pass,
    /// The recovery may continue, and the reason is reported.
    Warn {
        /// The reason, for people.
        reason: String,
    },
    /// The recovery has to wait; the guard passes by itself.
    Wait {
        /// The reason, for people. No running numbers: the text is written whenever it changes.
        reason: String,
        /// The shortest time after which the guard can pass, if that is known.
        until: Option<Duration>,
    },
    /// The recovery is on hold until an operator approves it.
    Hold {
        /// The reason, for people.
        reason: String,
    },
}

/// The combined verdict of all guards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruling {
    /// The guards that need an operator's approval, each with its reason.
    pub holds: Vec<(Guard, String)>,
    /// The guards that the recovery has to wait for, each with its reason.
    pub waits: Vec<(Guard, String)>,
    /// The guards that only warn, each with its reason.
    pub warnings: Vec<(Guard, String)>,
}

impl Guard {
    /// Returns the number in the list of guards, such as `G4`.
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

    /// True if an operator's approval lets a recovery pass. An operator cannot approve a guard about the engine's own view.
    pub const fn can_be_lifted(self) -> bool {
        !matches!(self, Self::Observer | Self::Corroboration)
    }

    /// True if the guard is checked at this moment. Guards of power-off orders are skipped where no such order is given.
    fn is_checked(self, phase: GuardPhase, mode: FencingMode) -> bool {
        match self {
            Self::StartUp => mode == FencingMode::Engine,
            Self::Corroboration | Self::Rate | Self::Protected => phase == GuardPhase::Order,
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

    /// Returns the verdict of this guard.
    pub fn check(self, facts: &GuardFacts, rules: &Policy) -> GuardResult {
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

/// Returns the verdict of all guards at `phase`, except those that an operator has lifted.
pub fn rule(facts: &GuardFacts, rules: &Policy, phase: GuardPhase, lifted: &BTreeSet<Guard>) -> Ruling {
    let mut ruling = Ruling::default();
    for guard in Guard::ALL {
        if !guard.is_checked(phase, rules.fencing) || lifted.contains(guard) {
            continue;
        }
        match guard.check(facts, rules) {
            GuardResult::Pass => {}
            GuardResult::Warn { reason } => ruling.warnings.push((*guard, reason)),
            GuardResult::Wait { reason, .. } => ruling.waits.push((*guard, reason)),
            GuardResult::Hold { reason } => ruling.holds.push((*guard, reason)),
        }
    }
    ruling
}

/// True if more hosts are out than `percent` allows. One host is always allowed.
fn is_finished(count: Count, percent: u32) -> bool {
    count.out > 1 && count.out.saturating_mul(100) > count.hosts.saturating_mul(u64::from(percent))
}

/// Returns the smallest number of hosts that are out at once and exceed `percent` of `hosts`, so that recoveries are on hold.
pub fn first_held(hosts: u64, percent: u32) -> Option<u64> {
    let exceeds = |out: &u64| is_finished(Count { hosts, out: *out }, percent);
    // The first multiple above the share, and at least two: one is always allowed.
    let share = hosts.saturating_mul(u64::from(percent)).div_euclid(100);
    [2, share, share.saturating_add(1)]
        .into_iter()
        .filter(|out| *out >= 2 && *out <= hosts)
        .find(exceeds)
}

/// The end of the reason of each guard against many failures.
const MASS_FAILURE_HINT: &str = "a switch or a rack may have failed, not the hosts";

#[cfg(test)]
mod tests;
