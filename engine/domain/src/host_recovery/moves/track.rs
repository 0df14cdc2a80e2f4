//! The requests about the moves, and the answers that are still valid. Not stored: a new owner starts without them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::pace::Pace;
use super::completed::Done;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::nova::Migration;
use crate::pace::PollCost;
use crate::question::Question;
use crate::recovery::{DecisionTime, Restoration};

#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct MoveTrack {
    pub(in super::super) pace: Pace,
    /// The lists by which moves are followed.
    pub(in super::super) lists: Question,
    /// The records alone; `observed` covers readings with and without the servers.
    pub(in super::super) evacuations: Question,
    /// The request for the instances that are still on the host.
    pub(in super::super) server_ids: Question,
    pub(super) lists_cost: PollCost,
    pub(super) records_cost: PollCost,
    pub(super) ids_cost: PollCost,
    pub(in super::super) servers: BTreeSet<ServerId>,
    /// Evacuations whose call has not been answered.
    pub(super) evacuating: BTreeSet<ServerId>,
    /// Servers that Nova does not know, with the time of its first such answer.
    pub(super) gone: BTreeMap<ServerId, Elapsed>,
    /// Hosts on which operators report that instances run, with the operator. A reading of Nova has to confirm it.
    pub(super) said_on: BTreeMap<ServerId, (String, String)>,
    /// The unfinished evacuation records of instances, by the last lists.
    pub(super) open_records: BTreeMap<ServerId, Vec<Migration>>,
    /// Servers that must be read before anything more is requested for them.
    pub(in super::super) to_read: BTreeSet<ServerId>,
    pub(in super::super) server_not_before: BTreeMap<ServerId, Elapsed>,
    pub(super) restorations: BTreeMap<ServerId, Restoration>,
    /// The fingerprint of each move in flight when it last changed, and the time of that change.
    pub(super) progress: BTreeMap<ServerId, (u64, Elapsed)>,
    /// The moves that make no progress; `None` before the first poll.
    pub(in super::super) slow: Option<BTreeSet<ServerId>>,
    /// Instances whose evacuation no conductor had picked up when the lists were last taken.
    pub(super) unpicked: BTreeSet<ServerId>,
    /// Other hosts with a valid proof, and the time since which each has been in every answer.
    pub(super) proven_off: BTreeMap<String, Elapsed>,
    /// Instances whose evacuation is recorded as done: a check shows whether they have left.
    pub(super) done: BTreeMap<ServerId, Done>,
    /// Instances that a check has shown on the host although their evacuation is recorded as done: left to the next whole lists.
    pub(super) stays: BTreeSet<ServerId>,
    /// Instances that are read for their lock.
    pub(super) locks: BTreeSet<ServerId>,
    /// Instances whose lock was just seen to be the recovery's own, and is removed.
    pub(super) ours: BTreeSet<ServerId>,
    /// True if the records show something that only the whole lists can explain.
    pub(super) lists_due: bool,
    /// Instances that another actor has requested or moved, with the time at which that was seen. They are not requested before whole
    /// lists that were requested later have arrived.
    pub(super) others: BTreeMap<ServerId, Elapsed>,
    /// True if more than one evacuation is recorded as done.
    pub(super) server_ids_due: bool,
}

impl MoveTrack {
    /// True if the answer to its evacuation call, or to a read of it, is outstanding.
    pub(in super::super) fn is_under_way(&self, server: ServerId) -> bool {
        self.evacuating.contains(&server) || self.servers.contains(&server)
    }

    /// Reverts an evacuation call that has not left this engine.
    pub(in super::super) fn not_sent(&mut self, server: ServerId) {
        self.evacuating.remove(&server);
    }

    /// Delays the first poll after a request to the time of the one after it, because nothing of the request can be seen before.
    pub(super) fn delay_first_poll(&mut self, tick: Duration, now: DecisionTime) {
        let first = now.elapsed.plus(self.pace.pause(tick));
        self.evacuations.not_before = self.evacuations.not_before.max(first);
    }
}
