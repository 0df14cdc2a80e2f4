//! What happens to a driver, and what it wants done.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::Fault;
use tachi_domain::pace::{Demand, Sight};
use tachi_domain::recovery::{Command, Now, Observation, Record};
use tachi_domain::{Elapsed, Timestamp};

use crate::holding::Intent;
use crate::journal::{Beat, Claim, Committed, Write};

/// When something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// By the boot-time clock: what everything is measured by.
    pub boot: Duration,
    /// By the wall clock, for people.
    pub wall: Timestamp,
}

/// What happens to a driver.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Event {
    /// Observations, as many as have come together; none when the time that was waited for has come.
    Observed(Vec<Observation>),
    /// Answer to [`Effect::Audit`]: why the audit log does not have the power commands, if it does not.
    Audited(Option<Fault>),
    /// Answer to [`Effect::Commit`] or [`Effect::Beat`].
    Journalled {
        /// When it was sent to the journal, by the boot-time clock.
        sent: Duration,
        /// `None` if it failed or the answer was lost.
        outcome: Option<Committed>,
    },
    /// The engine is stopping.
    Stop,
}

/// What a driver wants done, in this order. [`Effect::Audit`], [`Effect::Commit`] and [`Effect::Beat`] are answered by an
/// event; until then observations are kept and nothing else is decided.
#[derive(Debug)]
pub enum Effect {
    /// What it could do with of the engine's pace, and what it has seen of its evacuations since.
    Demand(Demand, Sight),
    /// Write these power commands to the audit log.
    Audit(Vec<Command>),
    /// Commit this transaction under this claim.
    Commit(Claim, Arc<Write>),
    /// Raise the beat.
    Beat(Beat),
    /// Nothing to be done: this is durable now.
    Written(Box<Written>),
    /// Tell people that it waits.
    Alarm {
        /// It is held, and the commit that holds it has been told already.
        again: bool,
    },
    /// Make these calls, each unless [`crate::may_act`] forbids it right before its first byte.
    Call(Calls),
    /// Come back with an event, or with no observation at this time by the boot-time clock.
    Wait(Duration),
    /// Let calls under way end, and give the claim free.
    LetGo,
    /// It has ended. Calls under way are of no use to anyone any more.
    End(Ended),
}

/// What is durable now.
#[derive(Debug)]
pub struct Written {
    /// The decision.
    pub record: Record,
    /// Its transaction.
    pub write: Arc<Write>,
    /// When it was decided.
    pub now: Now,
}

/// Calls whose intents are durable.
#[derive(Debug)]
pub struct Calls {
    /// To be sent, now that their intents are durable.
    pub commands: Vec<Command>,
    /// Why power commands must not be sent, if so: each is answered with it.
    pub unaudited: Option<Fault>,
    /// The transaction that their intents were written with.
    pub intent: Intent,
    /// The recovery's own time when that was known to be durable.
    pub started: Elapsed,
}

/// How a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The recovery is closed.
    Over,
    /// Another engine has claimed it.
    Lost,
    /// Nothing is known to be held: it has to be claimed anew.
    Unsure(Unsure),
    /// This engine is stopping and has let go.
    Released,
}

/// Why nothing is known to be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsure {
    /// The journal failed, or its answer was lost (R1).
    Journal,
    /// It was to end on half of what is known: it begins anew from the journal, and hears the rest (R19).
    Joined,
    /// A write was refused again and again.
    Refused,
    /// The state cannot be written.
    State,
    /// This machine was stopped together with its clocks.
    StoodStill,
    /// A failover of the database has lost this owner's latest writes (R33).
    Rewound,
    /// Whatever drove it has failed.
    Failed,
}

/// What a power command that may not be sent is answered with; `None` for every other command.
pub fn refusal(command: &Command, fault: &Fault) -> Option<Observation> {
    let result = Err(fault.clone());
    if let Command::PowerOff { target, .. } = command {
        let target = target.clone();
        return Some(Observation::PowerOff { target, result });
    }
    let Command::PowerOn { target, .. } = command else {
        return None;
    };
    let target = target.clone();
    Some(Observation::PowerOn { target, result })
}
