//! The events that a driver handles, and the effects that it requests.

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::fault::Fault;
use tachi_domain::pace::{Demand, EvacuationProgress};
use tachi_domain::recovery::{Command, DecisionTime, Observation, Record};
use tachi_domain::{Elapsed, Timestamp};

use crate::claim_guard::Intent;
use crate::journal::{Claim, LeaseRenewal, Write, WriteOutcome};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// The boot-time clock, which measures all durations.
    pub boot: Duration,
    /// The wall clock, for people.
    pub wall: Timestamp,
}

/// An event for a driver.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, and taken apart at once")]
pub enum Event {
    /// All observations that have arrived together. Empty when the time of [`Effect::Wait`] has come.
    Observed(Vec<Observation>),
    /// The response to [`Effect::Audit`]: the fault if the power commands could not be written to the audit log.
    Audited(Option<Fault>),
    /// The response to [`Effect::Commit`] or [`Effect::RenewLease`].
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
/// Each [`Effect::Audit`], [`Effect::Commit`] and [`Effect::RenewLease`] is answered by an event. Until then the driver only
/// collects observations.
#[derive(Debug)]
pub enum Effect {
    /// Request these permits from the engine. Includes the progress of evacuations since the previous demand.
    Demand(Demand, EvacuationProgress),
    /// Write these power commands to the audit log.
    Audit(Vec<Command>),
    /// Commit this transaction under this claim.
    Commit(Claim, Arc<Write>),
    /// Write a heartbeat.
    RenewLease(LeaseRenewal),
    /// Report that this is durable now. Needs no answer.
    Written(Box<DurableState>),
    /// Alert operators to a waiting recovery.
    Alarm {
        /// True if the recovery is on hold and its start of the hold was reported already.
        again: bool,
    },
    /// Make these calls, except those that [`crate::may_act`] forbids right before their first byte.
    Call(Calls),
    /// Return with the next event, or without observations at this time by the boot-time clock.
    Wait(Duration),
    /// Let running calls finish, and release the claim.
    Release,
    /// Stop: the driver has ended and needs no results of running calls.
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
    /// Set if power commands must not be sent. It is the result of each of them.
    pub unaudited: Option<Fault>,
    /// The transaction that wrote the intents.
    pub intent: Intent,
    /// The recovery's elapsed time when that transaction was known to be durable.
    pub started: Elapsed,
}

/// The way in which a driver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DriverEnd {
    Done,
    /// Another engine has claimed it.
    Lost,
    /// This engine may have lost the claim, so it has to claim the recovery again.
    Uncertain(UncertainClaim),
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
    /// This machine and its clocks were stopped for a while.
    ClocksStopped,
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
