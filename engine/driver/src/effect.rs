//! The events that a driver handles, and the effects that it requests.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::Fault;
use tachi_domain::pace::{Demand, EvacuationProgress};
use tachi_domain::recovery::{Command, DecisionTime, Observation, Record};
use tachi_domain::{Elapsed, Timestamp};

use crate::holding::Intent;
use crate::journal::{Claim, LeaseRenewal, Write, WriteOutcome};

/// The time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The boot-time clock, by which everything is measured.
    pub boot: Duration,
    /// The wall clock, for people.
    pub wall: Timestamp,
}

/// An event for a driver.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Event {
    /// All observations that have arrived together. The list is empty if the time of [`Effect::Wait`] has come.
    Observed(Vec<Observation>),
    /// The response to [`Effect::Audit`]: the reason if the audit log lacks the power commands.
    Audited(Option<Fault>),
    /// The response to [`Effect::Commit`] or [`Effect::Beat`].
    Journalled {
        /// The time at which it was sent to the journal, by the boot-time clock.
        sent: Duration,
        /// `None` if the write failed or the response was lost.
        outcome: Option<WriteOutcome>,
    },
    /// The engine is stopping.
    Stop,
}

/// An effect that a driver requests; effects are performed in their order.
///
/// An event answers each [`Effect::Audit`], [`Effect::Commit`] and [`Effect::Beat`]. Until then the driver collects
/// observations and decides nothing else.
#[derive(Debug)]
pub enum Effect {
    /// The recovery's demand for permits from the engine, and its observations of its evacuations since the previous
    /// demand.
    Demand(Demand, EvacuationProgress),
    /// Write these power commands to the audit log.
    Audit(Vec<Command>),
    /// Commit this transaction under this claim.
    Commit(Claim, Arc<Write>),
    /// Write a heartbeat.
    Beat(LeaseRenewal),
    /// Report that this is durable now. Requires no further action.
    Written(Box<DurableState>),
    /// Alert operators that the recovery waits.
    Alarm {
        /// True if the recovery is on hold and the commit that put it on hold has been reported already.
        again: bool,
    },
    /// Make these calls, except those that [`crate::may_act`] forbids right before their first byte.
    Call(Calls),
    /// Return with an event, or without observations at this time by the boot-time clock.
    Wait(Duration),
    /// Let running calls end, and release the claim.
    LetGo,
    /// Stop: the driver has ended, and the results of running calls are not needed any more.
    End(DriverEnd),
}

/// A decision that is durable now.
#[derive(Debug)]
pub struct DurableState {
    pub record: Record,
    pub write: Arc<Write>,
    /// The time of the decision.
    pub now: DecisionTime,
}

/// Calls whose intents are durable.
#[derive(Debug)]
pub struct Calls {
    /// The calls to send.
    pub commands: Vec<Command>,
    /// The reason if power commands must not be sent: it is the result of each of them.
    pub unaudited: Option<Fault>,
    /// The transaction that wrote the intents.
    pub intent: Intent,
    /// The recovery's elapsed time when that transaction was known to be durable.
    pub started: Elapsed,
}

/// The way in which a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverEnd {
    Over,
    /// Another engine has claimed it.
    Lost,
    /// This engine may no longer hold the claim, so the recovery has to be claimed again.
    Unsure(UncertainClaim),
    /// This engine is stopping and has released the claim.
    Released,
}

/// The reason why the claim is uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UncertainClaim {
    /// The journal failed, or its response was lost.
    Journal,
    /// A report with new information joined before the recovery could end, so it starts again from the journal, which
    /// includes that report.
    Joined,
    /// A write was refused several times in a row.
    Refused,
    /// The state cannot be serialized.
    State,
    /// This machine was stopped together with its clocks.
    StoodStill,
    /// A failover of the database has lost this owner's latest writes.
    Rewound,
    /// The driver's task failed.
    Failed,
}

/// Returns the result of a power command that must not be sent; `None` for every other command.
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
