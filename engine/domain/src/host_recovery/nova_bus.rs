//! Checks if Nova's messages get through, while an evacuation waits that no conductor has picked up.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::elapsed::Elapsed;
use crate::fault::Fault;
use crate::policy::Policy;
use crate::question::Question;
use crate::recovery::{self, Command, DecisionTime};
use crate::timestamp::Timestamp;

/// The state of that check. Not stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Messaging {
    pub(super) question: Question,
    /// The time since which messages have been seen to get through, without a break.
    pub(super) since: Option<Elapsed>,
    /// The latest heartbeat of all hosts, and the time at which it was last seen to change.
    latest_heartbeat: Option<(Timestamp, Option<Elapsed>)>,
    /// The hosts that are down in Nova, with the time since their last heartbeat when that was read.
    pub(super) silent: BTreeMap<String, Duration>,
    /// The time of that reading.
    pub(super) silent_at: Elapsed,
}

impl Messaging {
    /// Asks within `every`, and only while an evacuation is `stuck`. Returns true if it requests now.
    pub(super) fn request_if_due(
        &mut self,
        stuck: bool,
        every: Duration,
        now: DecisionTime,
        commands: &mut Vec<Command>,
    ) -> bool {
        if !stuck {
            self.since = None;
            return false;
        }
        let due = self.question.age(now.elapsed).is_none_or(|age| age >= every);
        let is_requested = due && self.question.send(now.elapsed);
        if is_requested {
            commands.push(Command::ReadConductors);
        }
        is_requested
    }

    pub(super) fn read(
        &mut self,
        result: Result<recovery::Messaging, Fault>,
        policy: &Policy,
        now: DecisionTime,
    ) {
        self.question.observed = self.question.answered();
        let conductors = result.unwrap_or_default();
        let stale = policy.heartbeat_stale;
        let went_on = self.last_heartbeat_change(conductors.latest_heartbeat, now);
        let beats = conductors
            .latest_heartbeat_age
            .or_else(|| went_on.map(|at| now.elapsed.since(at)))
            .is_some_and(|age| age < stale);
        if conductors.conductors_up && beats {
            self.since.get_or_insert(now.elapsed);
        } else {
            self.since = None;
        }
        self.silent = conductors.silent;
        self.silent_at = now.elapsed;
    }

    /// Returns the time at which the latest of all heartbeats was last seen to change.
    fn last_heartbeat_change(&mut self, latest: Option<Timestamp>, now: DecisionTime) -> Option<Elapsed> {
        let latest = latest?;
        let at = match self.latest_heartbeat {
            None => None,
            Some((before, at)) if before == latest => at,
            Some(_) => Some(now.elapsed),
        };
        self.latest_heartbeat = Some((latest, at));
        at
    }
}
