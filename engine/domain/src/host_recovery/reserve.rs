//! The hosts that a recovery has reserved. It holds them from the first instance that needs one until every move is done and each
//! host is used or in reserve again. They are reserved in the journal, made ready, used, and returned unchanged.
//!
//! ```text
//! Preparing --aggregates joined, enabled and up--> Ready --every move is done--> Returning --> Over
//!     \________________ of no use after all ________________________________/
//! ```
//!
//! The journal's own uniqueness reserves a host, in the transaction that writes this state, before anything is requested
//! of it. A crash at any point therefore leaves a host that belongs to a recovery which an engine claims. The requests are
//! idempotent, and their effect is checked before it is undone: only what is still as this recovery made it is put back.

pub(super) mod choice;
mod hosts;
mod places;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::decision_context::{DecisionContext, Moves};
use super::service::ForceDownRequest;
use crate::elapsed::Elapsed;
use crate::id::{HostId, ServiceId};
use crate::question::Question;
use crate::reserved::{ReservedHostView, Resources, Survey};

/// Number of times in a row that a call may be refused, or its effect be undone by others, before the recovery continues without it.
pub(super) const MAX_REFUSALS: u32 = 3;

/// Lifetime of a survey, from its arrival, so that a slow Nova does not make it useless. The journal detects later changes when
/// a host is reserved.
const SURVEY_LIFETIME: Duration = Duration::from_secs(5);

/// The end of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationEnd {
    /// Something runs on the host now: it is an ordinary host.
    Used,
    /// The host is in reserve again.
    GivenBack,
}

/// The state of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStep {
    /// The host is being made ready, until Nova shows it enabled and up.
    Preparing,
    /// Instances may be requested on the host.
    Ready,
    /// The host is being put back as it was.
    Returning,
    /// The reservation is done.
    #[serde(rename = "over")]
    Done(ReservationEnd),
}

/// An aggregate of the dead host that a reserved host joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AggregateMembership {
    pub aggregate: u64,
    pub name: String,
    /// True if Nova has confirmed that the host is in it.
    pub done: bool,
    /// True if the host is in it, or may be, because this recovery has requested that: to be undone.
    pub ours: bool,
}

/// A host that is reserved for a recovery, or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// The id of the registered host.
    pub host: HostId,
    /// The host's service name in Nova.
    pub name: String,
    pub step: ReservationStep,
    /// The id of its service in Nova.
    pub service: ServiceId,
    /// True if its service was enabled before.
    pub was_enabled: bool,
    /// The reason for which it was disabled before, if one was given.
    pub was_reason: Option<String>,
    /// The free resources on it when it was reserved; `None` if they are unknown.
    pub room: Option<Resources>,
    /// The aggregates that it joins.
    pub joining: Vec<AggregateMembership>,
    /// True if an instance has been requested on it: it is not registered as reserved any more.
    pub consumed: bool,
    /// The number of times that it was enabled, since Nova last answered a disabling.
    pub enabled: u32,
    /// The latest change that was requested.
    pub call: Option<ForceDownRequest>,
    /// The time of the last change request without an answer: until D + Q have passed it may still take effect.
    #[serde(rename = "loose")]
    pub unanswered_since: Option<Elapsed>,
    #[serde(skip)]
    pub(super) requested: bool,
    #[serde(skip)]
    pub(super) not_before: Elapsed,
    #[serde(skip)]
    pub(super) faults: u32,
    #[serde(skip)]
    pub(super) observed: Option<ReservedHostView>,
    /// The time since which it has been enabled and not up.
    #[serde(skip)]
    pub(super) waiting: Option<Elapsed>,
}

impl Reservation {
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.step, ReservationStep::Done(_))
    }

    /// True if instances may be assigned to it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.step, ReservationStep::Preparing | ReservationStep::Ready)
    }

    pub(super) fn intend(&mut self, now: Elapsed) {
        // A duplicate answer can end the wait for an answer that has not arrived; that call may still take effect.
        self.keep_unanswered();
        self.requested = true;
        self.call = Some(ForceDownRequest {
            at: now,
            answered: false,
        });
    }

    pub(super) fn call_answered(&mut self) {
        if let Some(call) = &mut self.call {
            call.answered = true;
        }
    }

    /// Records that a change will not be answered, and may yet take effect: the last one, or one before it.
    pub(super) fn not_answered(&mut self) {
        self.unanswered_since = self.call.map(|call| call.at);
    }

    /// Records that its last change has not been answered, and may have taken effect.
    pub(super) fn keep_unanswered(&mut self) {
        if let Some(call) = self.call.filter(|call| !call.answered) {
            self.unanswered_since = Some(call.at);
        }
    }
}

/// Requests in flight. They may be lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReserveInFlight {
    pub(super) survey: Question,
    /// The answer to the survey, and the time at which it arrived.
    pub(super) observed: Option<(Elapsed, Survey)>,
    /// The time since which a host that others hold is awaited.
    pub(super) waiting: Option<Elapsed>,
}

/// The reservations of a recovery in its segment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reserve {
    /// The hosts that it has reserved, or had.
    pub hosts: Vec<Reservation>,
    /// Hosts that cannot be used, with the reason.
    pub unfit: BTreeMap<String, String>,
    /// The reason why no reserved host was found for an instance, if that has happened.
    pub lack: Option<String>,
    #[serde(skip)]
    pub(super) in_flight: ReserveInFlight,
}

impl Reserve {
    /// Returns a reservation by the id of the host.
    pub fn taken(&self, host: HostId) -> Option<&Reservation> {
        self.hosts.iter().find(|reservation| reservation.host == host)
    }

    /// True if no host is reserved any more.
    pub fn is_settled(&self) -> bool {
        self.hosts.iter().all(Reservation::is_finished)
    }

    pub(super) fn by_name(&mut self, name: &str) -> Option<&mut Reservation> {
        self.hosts
            .iter_mut()
            .find(|reservation| reservation.name == name && !reservation.is_finished())
    }

    /// Records that the last owner's calls may or may not have been sent.
    pub(super) fn forget_answers(&mut self) {
        for reservation in &mut self.hosts {
            reservation.keep_unanswered();
        }
    }

    /// Returns the survey, if it is fresh.
    pub(super) fn survey(&self, now: Elapsed) -> Option<Survey> {
        self.in_flight
            .observed
            .as_ref()
            .filter(|(came, _)| now.since(*came) < SURVEY_LIFETIME)
            .map(|(_, survey)| survey.clone())
    }

    /// Drops hosts that the journal has refused: others hold them, or they are not reserved any more.
    pub(super) fn refused(&mut self, hosts: &[HostId], now: Elapsed) {
        self.hosts
            .retain(|reservation| reservation.is_finished() || !hosts.contains(&reservation.host));
        self.in_flight.observed = None;
        self.in_flight.survey.not_before = now.plus(Duration::from_secs(1));
    }
}
