//! Questions under way and the times of the last answers. Nothing here survives a take-over, and nothing here has to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::fence::Post;
use super::heard::Heard;
use crate::guard::Region;
use crate::nova::Migration;
use crate::pace::{Permits, Urgency, Wait};
use crate::recovery::Restoration;
use crate::{Elapsed, ServerId, Timestamp};

/// What a trouble is about, weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// The host's power controller does not answer, or not clearly.
    Power,
    /// The host has been told to power off.
    PowerOff,
    /// Nova hears a host that is reported dead.
    Heard,
    /// A word that counts only after a while.
    BareWord,
    /// Nova's record of the host cannot be read.
    Service,
    /// Nova's record of the host cannot be changed.
    Update,
    /// The lists a plan is made of.
    Inventory,
    /// The lists moves are followed by.
    Lists,
    /// Calls about instances.
    Calls,
    /// Reserved hosts that are not to be had yet.
    Reserve,
    /// Instances another recovery is working on.
    Taken,
    /// Moves that take strangely long.
    Slow,
    /// An operator's hook.
    Hook,
}

/// Something that keeps the recovery from going on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trouble {
    /// Since when. What passes by itself in a moment is not worth a write.
    pub(super) since: Elapsed,
    /// The first words for it: later ones differ in request ids only, and every change would be a write.
    pub(super) text: String,
}

/// How long a trouble must last to be told.
pub(super) const TOLD_AFTER: Duration = Duration::from_secs(3);

/// See the module.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each says something of its own about what has been seen or asked"
)]
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asks {
    pub(super) storm: Option<Elapsed>,
    pub(super) storm_not_before: Elapsed,
    pub(super) service: Option<Elapsed>,
    pub(super) levels: Option<Elapsed>,
    /// How the devices of the current level do.
    pub(super) posts: BTreeMap<usize, Post>,
    /// An operator has stopped all fencing.
    pub(super) stopped: bool,
    pub(super) inventory: Option<Elapsed>,
    pub(super) lists: Option<Elapsed>,
    pub(super) conductors: Option<Elapsed>,
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

    pub(super) troubles: BTreeMap<Topic, Trouble>,
    /// What was seen of all hosts, and when that was asked for.
    pub(super) counted: Option<(Elapsed, Arc<Region>)>,
    /// What is seen of its heartbeat while it is held.
    pub(super) heard: Heard,
    /// Since when too few hosts are out for what it is held by.
    pub(super) calm_since: Option<Elapsed>,
    /// Nova has missed the host at some time: its report was not made up.
    pub(super) was_missed: bool,
    /// Times in a row that Nova knew of no service on the host.
    pub(super) service_missing: u32,
    pub(super) service_seen: Option<Elapsed>,
    pub(super) service_not_before: Elapsed,
    pub(super) inventory_seen: Option<Elapsed>,
    pub(super) inventory_not_before: Elapsed,
    pub(super) inventory_faults: u32,
    pub(super) lists_not_before: Elapsed,
    /// What each move under way looked like when it last looked different, and when that was.
    pub(super) progress: BTreeMap<ServerId, (u64, Elapsed)>,
    /// The moves that make no progress; `None` if nobody has looked yet.
    pub(super) slow: Option<BTreeSet<ServerId>>,
    /// When the latest lists were asked for.
    pub(super) lists_seen: Option<Elapsed>,
    pub(super) conductors_not_before: Elapsed,
    /// Since when Nova's messages have been seen to get through, without a break.
    pub(super) messages_since: Option<Elapsed>,
    /// The latest heartbeat of all hosts, and when it was seen to go on.
    pub(super) latest_beat: Option<(Timestamp, Option<Elapsed>)>,
    /// Hosts that Nova does not hear, and how long it had not heard them when that was asked.
    pub(super) silent: BTreeMap<String, Duration>,
    pub(super) silent_at: Elapsed,
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
    pub(super) evacuations: Option<Elapsed>,
    pub(super) evacuations_not_before: Elapsed,
    /// When the latest records were asked for, with or without the servers.
    pub(super) evacuations_seen: Option<Elapsed>,
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
    /// When the ids that are awaited were asked for.
    pub(super) server_ids: Option<Elapsed>,
    pub(super) server_ids_not_before: Elapsed,
    /// More than one evacuation is recorded as done.
    pub(super) server_ids_due: bool,
}

/// Waits longer with each failure in a row: 1, 2, 4 ... at most 30 seconds.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_secs((1_u64 << failures.min(5)).min(30))
}
