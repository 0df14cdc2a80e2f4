//! Questions under way and the times of the last answers. Nothing here survives a take-over, and nothing here has to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::guard::Lookout;
use super::messaging::Messaging;
use super::question::Question;
use super::trouble::{Topic, Troubles};
use crate::nova::Migration;
use crate::pace::{Permits, Urgency, Wait};
use crate::recovery::{Now, Restoration};
use crate::{Elapsed, ServerId};

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what has been seen or asked"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asks {
    pub(super) troubles: Troubles,
    /// All hosts, as the guards see them.
    pub(super) lookout: Lookout,
    pub(super) messaging: Messaging,
    pub(super) inventory: Question,
    /// The lists moves are followed by.
    pub(super) lists: Question,
    /// The records alone; seen with or without the servers.
    pub(super) evacuations: Question,
    /// Which instances are still on the host.
    pub(super) server_ids: Question,
    /// An operator has stopped all fencing.
    pub(super) stopped: bool,
    pub(super) servers: BTreeSet<ServerId>,
    /// Evacuations whose call has not been answered.
    pub(super) evacuating: BTreeSet<ServerId>,
    /// Servers that Nova has said it does not know, and when it did so first.
    pub(super) gone: BTreeMap<ServerId, Elapsed>,
    /// Where people say that instances run, and who: Nova is asked.
    pub(super) said_on: BTreeMap<ServerId, (String, String)>,
    /// The unfinished evacuation records of instances, by the last lists.
    pub(super) open_records: BTreeMap<ServerId, Vec<Migration>>,
    /// When an empty list of the host's instances was asked for first.
    pub(super) empty_seen: Option<Elapsed>,
    /// Servers that must be looked at before anything more is asked about them.
    pub(super) look: BTreeSet<ServerId>,

    pub(super) server_not_before: BTreeMap<ServerId, Elapsed>,
    pub(super) restorations: BTreeMap<ServerId, Restoration>,

    /// What each move under way looked like when it last looked different, and when that was.
    pub(super) progress: BTreeMap<ServerId, (u64, Elapsed)>,
    /// The moves that make no progress; `None` if nobody has looked yet.
    pub(super) slow: Option<BTreeSet<ServerId>>,
    /// Instances whose evacuation no conductor had picked up when the lists were last taken.
    pub(super) unpicked: BTreeSet<ServerId>,
    /// Other hosts with a valid proof, and since when each has been in every answer.
    pub(super) proven_off: BTreeMap<String, Elapsed>,
    /// Instances that another recovery is working on: looked at again from time to time.
    pub(super) taken: BTreeSet<ServerId>,
    /// When they were planned again; the journal may not have spoken yet.
    pub(super) retaking: Option<Elapsed>,
    /// The inventory that is under way was asked for when every move was over.
    pub(super) looking_last: bool,
    /// That inventory has been looked through.
    pub(super) last_look: bool,
    /// The hosts that are out have been counted after the hooks before the fence.
    pub(super) counted_after_hooks: bool,
    /// The guards were content before anything was done.
    pub(super) guarded: bool,

    /// What may be begun; `None` if nobody says so.
    pub(super) permits: Option<Permits>,
    /// Evacuations asked for by this owner.
    pub(super) asked: u64,
    /// Moves that lack nothing but leave.
    pub(super) ready: Vec<(Urgency, u32)>,
    /// How long Nova took to take up moves, not told yet.
    pub(super) taken_up: Vec<Wait>,
    /// The records have been looked at, which is not told yet.
    pub(super) looked: bool,
    /// Instances whose evacuation is recorded as done, and where it went: a look shows whether it has left.
    pub(super) done: BTreeMap<ServerId, Option<String>>,
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

impl Asks {
    /// Instances that were planned again are ours, unless the journal has refused them meanwhile.
    pub(super) fn retaken(&mut self, now: Now) {
        let unrefused = |since: Elapsed| now.elapsed.since(since) >= Duration::from_secs(2);
        if self.retaking.is_some_and(unrefused) {
            self.retaking = None;
            self.taken.clear();
            self.troubles.end(Topic::Taken);
        }
    }
}
