//! How many evacuations are in flight: one pace per engine for all of its recoveries.
//!
//! Nova accepts every evacuation at once and works on all of them side by side, so the brake has to be ours. What an engine
//! may have waiting for Nova at the same time is a window that [`Model`] makes of how many Nova takes up a second and how long
//! it needs for one; [`Aimd`] moves those for what is under way and for other calls by what Nova's answers show; [`allot`]
//! divides them among the recoveries. All are pure: the engine feeds them and hands each recovery its [`Permits`] as an
//! observation, so that `decide` stays a function of what it was told.
//!
//! Several engines each find their own windows by what they see. Nothing is agreed between them: a Nova that slows down
//! slows down for all.

mod aimd;
mod allot;
mod cost;
mod looks;
mod model;
#[cfg(test)]
mod trial;

pub use aimd::{Aimd, Bounds};
pub use allot::{Party, allot};
pub use cost::LookCost;
pub use looks::pause;
pub use model::{LookResult, Model, TakenUp};

use std::time::Duration;

/// Thousandths: windows move by parts of one.
const ONE: u64 = 1_000;

/// A service is not called slow twice for one and the same jam: at least so long between two reductions.
const APART: Duration = Duration::from_secs(1);

/// Whatever took longer took as long.
const FOREVER: Duration = Duration::from_hours(1);

/// How long the least delay seen counts as what the service can do.
const MEMORY: Duration = Duration::from_mins(5);

/// How urgent a move is, over all recoveries of an engine: greater goes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Urgency {
    /// Its owner has marked it for high availability.
    pub tagged: bool,
    /// The priority its owner has given it, if that counts across projects.
    pub priority: i64,
}

/// What a recovery could do with, and what it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Evacuations it has asked for since this engine has owned it. Never falls.
    pub asked: u64,
    /// Evacuations under way.
    pub in_flight: u32,
    /// Those of them that no destination has taken up yet.
    pub queued: u32,
    /// Moves that lack nothing but leave, most urgent first, equals together.
    pub ready: Vec<(Urgency, u32)>,
    /// Whether other calls about its instances are under way or to come.
    pub calls: bool,
    /// Whether it lists instances or moves them.
    pub active: bool,
}

/// What a recovery may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permits {
    /// How far [`Demand::asked`] may go.
    pub evacuations: u64,
    /// Other calls about instances at once.
    pub calls: u32,
    /// How long there is between two looks at what Nova is doing, at least.
    pub pause: Duration,
}

/// What a recovery has seen of its evacuations since it last told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether it has looked.
    pub looked: bool,
    /// What has been taken up.
    pub taken: Vec<TakenUp>,
}

/// Lists are shared when more recoveries than this are open in an engine (R13).
pub const ALONE: usize = 8;

/// What came of something that was asked of Nova.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Echo {
    /// Done after so long.
    Answered(Duration),
    /// Nova asks for patience (429, or 503 with a time), for so long if it says how long.
    PushedBack(Option<Duration>),
    /// 5xx, time-out, no connection.
    Failed,
}
