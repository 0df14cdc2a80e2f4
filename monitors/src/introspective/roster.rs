//! The guests that are polled, and the state of their agents. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tachi_libvirt::Domain;
use uuid::Uuid;

use crate::introspective::agent_state::{AgentState, Transition};

/// Number of rounds after which a guest without an agent's socket is checked again: a channel may be hot-plugged.
const SOCKET_CHECK_ROUNDS: u32 = 6;

/// Number of rounds within which reported guests count as silent at the same time as current ones: five minutes, by
/// the default interval.
const STORM_ROUNDS: u64 = 30;

/// A guest, as long as it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Guest {
    /// libvirt's number of this run, which is new at each start.
    id: i32,
    /// True if it has an agent's socket; `None` if unknown.
    agent: Option<bool>,
    /// The age of that knowledge, in rounds.
    age: u32,
    state: AgentState,
    /// The round of the report.
    reported_round: u64,
    /// The last round in which the state was reset. Answers to its requests do not count.
    reset_round: u64,
}

/// The states that outlive this process, by instance, each with the number of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SavedStates {
    boot: String,
    guests: BTreeMap<Uuid, (i32, AgentState)>,
}

/// A guest to poll in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PollTarget {
    pub(crate) domain: Domain,
    /// True if the guest has an agent's socket; `None`: check first.
    pub(crate) agent: Option<bool>,
}

/// All guests.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    guests: BTreeMap<Uuid, Guest>,
    before: BTreeMap<Uuid, (i32, AgentState)>,
    round: u64,
    changed: bool,
}

impl Roster {
    /// Creates a roster with an earlier process's state of guests that still run. A guest that hangs during a restart
    /// of the monitor is then not mistaken for one without an agent, and not reported twice.
    pub(crate) fn new(saved_states: Option<SavedStates>, boot: &str) -> Self {
        let before = saved_states
            .filter(|saved_states| saved_states.boot == boot)
            .map_or_else(BTreeMap::new, |saved_states| saved_states.guests);
        Self {
            before,
            ..Self::default()
        }
    }

    /// Starts a round with the running guests, the silent ones first.
    pub(crate) fn round(&mut self, running: Vec<Domain>) -> Vec<PollTarget> {
        self.round += 1;
        let old = std::mem::take(&mut self.guests);
        let before = std::mem::take(&mut self.before);
        self.changed |= running.len() != old.len();
        let mut targets = Vec::new();
        for domain in running {
            let same_run = old.get(&domain.uuid).filter(|guest| guest.id == domain.id);
            let mut guest = same_run.cloned().unwrap_or_else(|| Guest {
                id: domain.id,
                agent: None,
                age: 0,
                state: before
                    .get(&domain.uuid)
                    .filter(|(id, _)| *id == domain.id)
                    .map_or(AgentState::NeverAnswered, |(_, state)| *state),
                reported_round: self.round,
                reset_round: 0,
            });
            guest.age += 1;
            if guest.agent == Some(false) && guest.age > SOCKET_CHECK_ROUNDS {
                guest.agent = None;
            }
            let agent = guest.agent;
            self.guests.insert(domain.uuid, guest);
            if agent != Some(false) {
                targets.push(PollTarget { domain, agent });
            }
        }
        targets.sort_by_key(|target| match self.state(target.domain.uuid) {
            Some(AgentState::Silent(_)) => 0,
            Some(AgentState::Answers | AgentState::Reporting { .. } | AgentState::Reported) => 1,
            Some(AgentState::NeverAnswered) | None => 2,
        });
        targets
    }

    fn state(&self, uuid: Uuid) -> Option<AgentState> {
        self.guests.get(&uuid).map(|guest| guest.state)
    }

    /// Records whether a guest has an agent's socket.
    pub(crate) fn record_socket(&mut self, uuid: Uuid, agent: bool) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            guest.agent = Some(agent);
            guest.age = 0;
        }
    }

    /// Resets a guest that started or was reset: its agent has not answered yet. Answers to earlier requests do not
    /// count.
    pub(crate) fn reset(&mut self, uuid: Uuid) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            self.changed |= guest.state != AgentState::NeverAnswered;
            guest.state = AgentState::NeverAnswered;
            guest.reset_round = self.round;
        }
    }

    /// Records the answer to this round's request, or its absence.
    pub(crate) fn answered(&mut self, uuid: Uuid, answered: bool, threshold: u32) -> Transition {
        let Some(guest) = self.guests.get_mut(&uuid) else {
            return Transition::Nothing;
        };
        if guest.reset_round == self.round {
            return Transition::Nothing;
        }
        let (state, turn) = guest.state.after(answered, threshold);
        self.changed |= state != guest.state;
        guest.state = state;
        turn
    }

    /// Records that the report of a silent guest is being sent, with its time.
    pub(crate) fn report_intent(&mut self, uuid: Uuid, decided_at: i64) {
        let round = self.round;
        if let Some(guest) = self.guests.get_mut(&uuid) {
            guest.reported_round = round;
        }
        self.set(uuid, AgentState::Reporting { decided_at });
    }

    /// Returns the number of silent guests if they are too many for independent failures: more than `at_most`, or
    /// more than one and most of those with an agent.
    pub(crate) fn silence_storm(&self, at_most: usize) -> Option<usize> {
        let is_recent = |guest: &&Guest| match guest.state {
            AgentState::Silent(_) => true,
            AgentState::Reporting { .. } | AgentState::Reported => {
                self.round - guest.reported_round < STORM_ROUNDS
            }
            AgentState::NeverAnswered | AgentState::Answers => false,
        };
        let silent = self.guests.values().filter(is_recent).count();
        (silent > at_most || (silent > 1 && silent * 2 > self.answering())).then_some(silent)
    }

    /// Restarts all counts after a common failure.
    pub(crate) fn restart_counts(&mut self) {
        for guest in self.guests.values_mut() {
            if matches!(guest.state, AgentState::Silent(_)) {
                guest.state = AgentState::Silent(1);
                self.changed = true;
            }
        }
    }

    /// Records that the report is stored.
    pub(crate) fn reported(&mut self, uuid: Uuid) {
        if matches!(self.state(uuid), Some(AgentState::Reporting { .. })) {
            self.set(uuid, AgentState::Reported);
        }
    }

    fn set(&mut self, uuid: Uuid, state: AgentState) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            self.changed |= guest.state != state;
            guest.state = state;
        }
    }

    /// Returns the reports that an earlier process was sending when it died, of guests that still run.
    pub(crate) fn interrupted(&self) -> Vec<(Uuid, i64)> {
        let report_intent = |(uuid, guest): (&Uuid, &Guest)| match guest.state {
            AgentState::Reporting { decided_at } => Some((*uuid, decided_at)),
            AgentState::NeverAnswered
            | AgentState::Answers
            | AgentState::Silent(_)
            | AgentState::Reported => None,
        };
        self.guests.iter().filter_map(report_intent).collect()
    }

    /// Returns the state to write for the next process, if it changed.
    pub(crate) fn take_changed(&mut self, boot: &str) -> Option<SavedStates> {
        std::mem::take(&mut self.changed).then(|| SavedStates {
            boot: boot.to_owned(),
            guests: self
                .guests
                .iter()
                .filter(|(_, guest)| guest.state != AgentState::NeverAnswered)
                .map(|(uuid, guest)| (*uuid, (guest.id, guest.state)))
                .collect(),
        })
    }

    /// Returns the number of guests whose agent has answered.
    pub(crate) fn answering(&self) -> usize {
        self.guests
            .values()
            .filter(|guest| guest.state != AgentState::NeverAnswered)
            .count()
    }
}

#[cfg(test)]
mod tests;
