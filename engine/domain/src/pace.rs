//! The number of evacuations in flight: one pace per engine for all of its recoveries.
//!
//! Nova accepts every evacuation at once and works on all of them in parallel, so the engine has to limit them. [`Model`]
//! computes the window of evacuations that may wait for Nova, from the rate at which Nova picks them up and the time it
//! needs for one. [`Aimd`] adjusts the windows of evacuations in progress and of other calls by Nova's answers. [`allot`]
//! divides the windows among the recoveries. All are pure: the engine feeds them and gives each recovery its [`Permits`] as
//! an observation, so that `decide` stays a function of its inputs.
//!
//! Each of several engines finds its own windows from its observations. The engines do not coordinate: a slow Nova is
//! slow for all of them.

mod aimd;
mod allot;
mod cost;
mod model;
mod poll_interval;
#[cfg(test)]
mod trial;

pub use aimd::{Aimd, Bounds};
pub use allot::{RecoveryDemand, allot};
pub use cost::PollCost;
pub use model::{Model, PollResult, StartSample};
pub use poll_interval::pause;

use std::time::Duration;

/// Windows are stored in thousandths, because they change by fractions of one.
const SLOT_MILLIS: u64 = 1_000;

/// The minimum time between two reductions, so that the same congestion does not count twice.
const MIN_REDUCTION_INTERVAL: Duration = Duration::from_secs(1);

/// The upper limit of a measured duration; a longer one counts as this.
const MAX_MEASURED_DURATION: Duration = Duration::from_hours(1);

/// The time for which the least delay seen counts as the service's normal one.
const MIN_DELAY_LIFETIME: Duration = Duration::from_mins(5);

/// The urgency of a move, over all recoveries of an engine; the greater goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urgency {
    /// True if the owner has marked the instance for high availability.
    pub tagged: bool,
    /// The priority set by the owner, if priorities count across projects.
    pub priority: i64,
}

/// The demand of a recovery, and its evacuations in flight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// The number of evacuations requested since this engine has owned the recovery. It never falls.
    pub requested: u64,
    /// The number of evacuations in flight.
    pub in_flight: u32,
    /// The number of those that no destination has picked up yet.
    pub queued: u32,
    /// The moves that wait only for a permit, most urgent first, with equal ones counted together.
    pub ready: Vec<(Urgency, u32)>,
    /// True if other calls about its instances are in progress or to come.
    pub calls: bool,
    /// True if the recovery lists or moves instances.
    pub active: bool,
}

/// The limits for a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    /// The limit for [`Demand::requested`].
    pub evacuations: u64,
    /// The number of parallel other calls about instances.
    pub calls: u32,
    /// The minimum interval between two polls of Nova's progress.
    pub pause: Duration,
}

/// A recovery's observations of its evacuations since its last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvacuationProgress {
    /// True if the recovery has polled.
    pub polled: bool,
    /// The evacuations that have been picked up.
    pub taken: Vec<StartSample>,
}

/// The number of open recoveries in an engine above which they share lists.
pub const MAX_UNSHARED_RECOVERIES: usize = 8;

/// The result of a call to Nova.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NovaFeedback {
    /// Nova was done after this time.
    Answered(Duration),
    /// Nova requires a pause (429, or 503 with a time), of this length if it gives one.
    PushedBack(Option<Duration>),
    /// The call failed: 5xx, time-out, no connection.
    Failed,
}
