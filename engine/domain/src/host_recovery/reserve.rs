//! The reserved hosts a recovery holds, beside its moves: from the first instance that is to go to one until every move is over, and
//! each is used or in reserve again. They are taken in the journal, made ready, used, and given back as they were.
//!
//! ```text
//! Preparing --aggregates joined, enabled and up--> Ready --every move is over--> Returning --> Over
//!     \________________ of no use after all ________________________________/
//! ```
//!
//! A host is taken by the journal's own uniqueness (R6), in the transaction that writes this state, before anything is
//! asked of it; so a crash between any two lines leaves a host that is held by a recovery somebody claims. What is asked
//! of it is idempotent and looked at before it is undone: only what is still as we made it is put back (R23).

pub(super) mod choice;
mod hosts;
mod places;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::service::Put;
use super::turn::{Moves, Turn};
use crate::elapsed::Elapsed;
use crate::id::{HostId, ServiceId};
use crate::question::Question;
use crate::reserved::{ReservedHostView, Resources, Survey};

/// How often in a row a call may be refused, or its effect be undone by somebody, before it is gone on without.
pub(super) const REFUSALS: u32 = 3;

/// How long a survey is worth anything, once it has come: a slow Nova must not make it worthless. What has changed since the
/// journal finds out when a host is taken.
const SURVEY_AGE: Duration = Duration::from_secs(5);

/// How a reserved host ends for a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenEnd {
    /// Something runs there now: it is an ordinary host.
    Used,
    /// In reserve again.
    GivenBack,
}

/// Where a reserved host is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakenStep {
    /// Until Nova shows it enabled and up.
    Preparing,
    /// Instances may be asked for on it.
    Ready,
    /// Being put back as it was.
    Returning,
    /// Nothing left to do.
    Over(TakenEnd),
}

/// An aggregate of the dead host that a reserved host joins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// Nova's number of it.
    pub aggregate: u64,
    /// Its name.
    pub name: String,
    /// Nova has said that it is in it.
    pub done: bool,
    /// It is there, or may be, because we have asked for it: to be undone.
    pub ours: bool,
}

/// A reserved host that is held, or was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Our id of it.
    pub host: HostId,
    /// Its service name in Nova.
    pub name: String,
    /// How far it is.
    pub step: TakenStep,
    /// Nova's id of its service.
    pub service: ServiceId,
    /// Whether its service was enabled before.
    pub was_enabled: bool,
    /// Why it was disabled before, if somebody had said so (R23).
    pub was_reason: Option<String>,
    /// What was left on it when it was taken; `None` if nobody knows.
    pub room: Option<Resources>,
    /// The aggregates it joins.
    pub joining: Vec<Joining>,
    /// An instance has been asked for on it: it is not registered as reserved any more.
    pub consumed: bool,
    /// How often it was enabled.
    pub enabled: u32,
    /// The latest change that was asked for.
    pub call: Option<Put>,
    /// When a change was last asked for that nobody has answered: until D + Q have passed it may still take effect (R5).
    pub loose: Option<Elapsed>,
    #[serde(skip)]
    pub(super) asked: bool,
    #[serde(skip)]
    pub(super) not_before: Elapsed,
    #[serde(skip)]
    pub(super) faults: u32,
    #[serde(skip)]
    pub(super) seen: Option<ReservedHostView>,
    /// Since when it is enabled and not up.
    #[serde(skip)]
    pub(super) waiting: Option<Elapsed>,
}

impl Taken {
    pub(super) fn is_over(&self) -> bool {
        matches!(self.step, TakenStep::Over(_))
    }

    /// Whether instances may be meant for it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.step, TakenStep::Preparing | TakenStep::Ready)
    }

    pub(super) fn intend(&mut self, now: Elapsed) {
        // An answer that comes twice ends the wait for one that has not come.
        self.loosen();
        self.asked = true;
        self.call = Some(Put {
            at: now,
            answered: false,
        });
    }

    pub(super) fn call_answered(&mut self) {
        if let Some(call) = &mut self.call {
            call.answered = true;
        }
    }

    /// A change of it will not be answered, and may yet take effect: the last one, or one before it.
    pub(super) fn not_answered(&mut self) {
        self.loose = self.call.map(|call| call.at);
    }

    /// Its last change has not been answered, and may have taken effect.
    pub(super) fn loosen(&mut self) {
        if let Some(call) = self.call.filter(|call| !call.answered) {
            self.loose = Some(call.at);
        }
    }
}

/// Questions under way. They may be forgotten.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ReserveAsks {
    pub(super) survey: Question,
    /// What came of it, and when.
    pub(super) seen: Option<(Elapsed, Survey)>,
    /// Since when a host that somebody else holds is waited for.
    pub(super) waiting: Option<Elapsed>,
}

/// What a recovery knows of its segment's reserve.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reserve {
    /// The hosts it holds, or held.
    pub hosts: Vec<Taken>,
    /// Hosts that turned out to be of no use to it, and why.
    pub unfit: BTreeMap<String, String>,
    /// Why no reserved host was found for an instance, if that has happened.
    pub lack: Option<String>,
    #[serde(skip)]
    pub(super) asks: ReserveAsks,
}

impl Reserve {
    /// A host by its id.
    pub fn taken(&self, host: HostId) -> Option<&Taken> {
        self.hosts.iter().find(|one| one.host == host)
    }

    /// Whether nothing is held.
    pub fn is_settled(&self) -> bool {
        self.hosts.iter().all(Taken::is_over)
    }

    pub(super) fn by_name(&mut self, name: &str) -> Option<&mut Taken> {
        self.hosts
            .iter_mut()
            .find(|one| one.name == name && !one.is_over())
    }

    /// The last owner's calls may or may not have been sent.
    pub(super) fn forget_answers(&mut self) {
        for one in &mut self.hosts {
            one.loosen();
        }
    }

    /// The survey, if it is young.
    pub(super) fn survey(&self, now: Elapsed) -> Option<Survey> {
        self.asks
            .seen
            .as_ref()
            .filter(|(came, _)| now.since(*came) < SURVEY_AGE)
            .map(|(_, survey)| survey.clone())
    }

    /// The journal has refused them: others hold them, or they are reserved no more.
    pub(super) fn refused(&mut self, hosts: &[HostId], now: Elapsed) {
        self.hosts
            .retain(|one| one.is_over() || !hosts.contains(&one.host));
        self.asks.seen = None;
        self.asks.survey.not_before = now.plus(Duration::from_secs(1));
    }
}
