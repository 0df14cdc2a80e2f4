//! What is asked about the moves, and what of the answers is still of use. Nothing of it survives a take-over, and nothing of it has to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::pace::Pace;
use super::done::Done;
use crate::elapsed::Elapsed;
use crate::id::ServerId;
use crate::nova::Migration;
use crate::pace::LookCost;
use crate::question::Question;
use crate::recovery::{Now, Restoration};

#[derive(Clone, Debug, Default, PartialEq)]
pub(in super::super) struct MoveTrack {
    pub(in super::super) pace: Pace,
    /// The lists moves are followed by.
    pub(in super::super) lists: Question,
    /// The records alone; seen with or without the servers.
    pub(in super::super) evacuations: Question,
    /// Which instances are still on the host.
    pub(in super::super) server_ids: Question,
    pub(super) lists_cost: LookCost,
    pub(super) records_cost: LookCost,
    pub(super) ids_cost: LookCost,
    pub(in super::super) servers: BTreeSet<ServerId>,
    /// Evacuations whose call has not been answered.
    pub(super) evacuating: BTreeSet<ServerId>,
    /// Servers that Nova has said it does not know, and when it did so first.
    pub(super) gone: BTreeMap<ServerId, Elapsed>,
    /// Where people say that instances run, and who: Nova is asked.
    pub(super) said_on: BTreeMap<ServerId, (String, String)>,
    /// The unfinished evacuation records of instances, by the last lists.
    pub(super) open_records: BTreeMap<ServerId, Vec<Migration>>,
    /// Servers that must be looked at before anything more is asked about them.
    pub(in super::super) look: BTreeSet<ServerId>,
    pub(in super::super) server_not_before: BTreeMap<ServerId, Elapsed>,
    pub(super) restorations: BTreeMap<ServerId, Restoration>,
    /// What each move under way looked like when it last looked different, and when that was.
    pub(super) progress: BTreeMap<ServerId, (u64, Elapsed)>,
    /// The moves that make no progress; `None` if nobody has looked yet.
    pub(in super::super) slow: Option<BTreeSet<ServerId>>,
    /// Instances whose evacuation no conductor had picked up when the lists were last taken.
    pub(super) unpicked: BTreeSet<ServerId>,
    /// Other hosts with a valid proof, and since when each has been in every answer.
    pub(super) proven_off: BTreeMap<String, Elapsed>,
    /// Instances whose evacuation is recorded as done: a look shows whether they have left.
    pub(super) done: BTreeMap<ServerId, Done>,
    /// Instances that a look has shown on the host although their evacuation is recorded as done: left to the next whole lists.
    pub(super) stays: BTreeSet<ServerId>,
    /// Instances that are looked at for their lock.
    pub(super) locks: BTreeSet<ServerId>,
    /// Instances whose lock was just seen to be ours, and is taken off.
    pub(super) ours: BTreeSet<ServerId>,
    /// The records show what only the whole lists can tell the meaning of.
    pub(super) lists_due: bool,
    /// Instances that somebody else has asked for, or has moved, and when that was seen: not to be asked for before whole lists
    /// that were asked for later are here.
    pub(super) others: BTreeMap<ServerId, Elapsed>,
    /// More than one evacuation is recorded as done.
    pub(super) server_ids_due: bool,
}

impl MoveTrack {
    /// Whether the answer of a call that evacuates it, or of a look at it, is still to come.
    pub(in super::super) fn is_under_way(&self, server: ServerId) -> bool {
        self.evacuating.contains(&server) || self.servers.contains(&server)
    }

    /// A call about an instance has not left this engine.
    pub(in super::super) fn not_sent(&mut self, server: ServerId) {
        self.evacuating.remove(&server);
    }

    /// Nothing can be seen of what was asked for just now: the first look at it is when the next would be.
    pub(super) fn look_later(&mut self, tick: Duration, now: Now) {
        let first = now.elapsed.plus(self.pace.pause(tick));
        self.evacuations.not_before = self.evacuations.not_before.max(first);
    }
}
