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
    mood: AgentState,
    /// The round of the report.
    reported_round: u64,
    /// The last round in which the state was reset. Answers to its requests do not count.
    forgot: u64,
}

/// The states that outlive this process, by instance, each with the number of the run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Moods {
    boot: String,
    guests: BTreeMap<Uuid, (i32, AgentState)>,
}

/// A guest to poll in a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
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
    pub(crate) fn new(moods: Option<Moods>, boot: &str) -> Self {
        let before = moods
            .filter(|moods| moods.boot == boot)
            .map_or_else(BTreeMap::new, |moods| moods.guests);
        Self {
            before,
            ..Self::default()
        }
    }

    /// Starts a round with the running guests, the silent ones first.
    pub(crate) fn round(&mut self, running: Vec<Domain>) -> Vec<Question> {
        self.round += 1;
        let old = std::mem::take(&mut self.guests);
        let before = std::mem::take(&mut self.before);
        self.changed |= running.len() != old.len();
        let mut questions = Vec::new();
        for domain in running {
            let same_run = old.get(&domain.uuid).filter(|guest| guest.id == domain.id);
            let mut guest = same_run.cloned().unwrap_or_else(|| Guest {
                id: domain.id,
                agent: None,
                age: 0,
                mood: before
                    .get(&domain.uuid)
                    .filter(|(id, _)| *id == domain.id)
                    .map_or(AgentState::Unheard, |(_, mood)| *mood),
                reported_round: self.round,
                forgot: 0,
            });
            guest.age += 1;
            if guest.agent == Some(false) && guest.age > SOCKET_CHECK_ROUNDS {
                guest.agent = None;
            }
            let agent = guest.agent;
            self.guests.insert(domain.uuid, guest);
            if agent != Some(false) {
                questions.push(Question { domain, agent });
            }
        }
        questions.sort_by_key(|question| match self.mood(question.domain.uuid) {
            Some(AgentState::Silent(_)) => 0,
            Some(AgentState::Answers | AgentState::Telling { .. } | AgentState::Told) => 1,
            Some(AgentState::Unheard) | None => 2,
        });
        questions
    }

    fn mood(&self, uuid: Uuid) -> Option<AgentState> {
        self.guests.get(&uuid).map(|guest| guest.mood)
    }

    /// Records whether a guest has an agent's socket.
    pub(crate) fn looked(&mut self, uuid: Uuid, agent: bool) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            guest.agent = Some(agent);
            guest.age = 0;
        }
    }

    /// Resets a guest that started or was reset: its agent has not answered yet. Answers to earlier requests do not
    /// count.
    pub(crate) fn reset(&mut self, uuid: Uuid) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            self.changed |= guest.mood != AgentState::Unheard;
            guest.mood = AgentState::Unheard;
            guest.forgot = self.round;
        }
    }

    /// Records the answer to this round's request, or its absence.
    pub(crate) fn answered(&mut self, uuid: Uuid, answered: bool, threshold: u32) -> Transition {
        let Some(guest) = self.guests.get_mut(&uuid) else {
            return Transition::Nothing;
        };
        if guest.forgot == self.round {
            return Transition::Nothing;
        }
        let (mood, turn) = guest.mood.after(answered, threshold);
        self.changed |= mood != guest.mood;
        guest.mood = mood;
        turn
    }

    /// Records that the report of a silent guest is being sent, with its time.
    pub(crate) fn telling(&mut self, uuid: Uuid, seen: i64) {
        let round = self.round;
        if let Some(guest) = self.guests.get_mut(&uuid) {
            guest.reported_round = round;
        }
        self.set(uuid, AgentState::Telling { seen });
    }

    /// Returns the number of silent guests if they are too many for independent failures: more than `at_most`, or
    /// more than one and most of those with an agent.
    pub(crate) fn silent_at_once(&self, at_most: usize) -> Option<usize> {
        let lately = |guest: &&Guest| match guest.mood {
            AgentState::Silent(_) => true,
            AgentState::Telling { .. } | AgentState::Told => self.round - guest.reported_round < STORM_ROUNDS,
            AgentState::Unheard | AgentState::Answers => false,
        };
        let silent = self.guests.values().filter(lately).count();
        (silent > at_most || (silent > 1 && silent * 2 > self.answering())).then_some(silent)
    }

    /// Restarts all counts after a common failure.
    pub(crate) fn restart_counts(&mut self) {
        for guest in self.guests.values_mut() {
            if matches!(guest.mood, AgentState::Silent(_)) {
                guest.mood = AgentState::Silent(1);
                self.changed = true;
            }
        }
    }

    /// Records that the report is stored.
    pub(crate) fn reported(&mut self, uuid: Uuid) {
        if matches!(self.mood(uuid), Some(AgentState::Telling { .. })) {
            self.set(uuid, AgentState::Told);
        }
    }

    fn set(&mut self, uuid: Uuid, mood: AgentState) {
        if let Some(guest) = self.guests.get_mut(&uuid) {
            self.changed |= guest.mood != mood;
            guest.mood = mood;
        }
    }

    /// Returns the reports that an earlier process was sending when it died, of guests that still run.
    pub(crate) fn interrupted(&self) -> Vec<(Uuid, i64)> {
        let telling = |(uuid, guest): (&Uuid, &Guest)| match guest.mood {
            AgentState::Telling { seen } => Some((*uuid, seen)),
            AgentState::Unheard | AgentState::Answers | AgentState::Silent(_) | AgentState::Told => None,
        };
        self.guests.iter().filter_map(telling).collect()
    }

    /// Returns the state to write for the next process, if it changed.
    pub(crate) fn take_changed(&mut self, boot: &str) -> Option<Moods> {
        std::mem::take(&mut self.changed).then(|| Moods {
            boot: boot.to_owned(),
            guests: self
                .guests
                .iter()
                .filter(|(_, guest)| guest.mood != AgentState::Unheard)
                .map(|(uuid, guest)| (*uuid, (guest.id, guest.mood)))
                .collect(),
        })
    }

    /// Returns the number of guests whose agent has answered.
    pub(crate) fn answering(&self) -> usize {
        self.guests
            .values()
            .filter(|guest| guest.mood != AgentState::Unheard)
            .count()
    }
}

#[cfg(test)]
mod tests;
