//! Requests in flight and the times of the last answers. Not stored: a new owner starts without them.

use super::blockers::Blockers;
use super::excluded::StartTrack;
use super::guard::neighbours::Neighbours;
use super::moves::track::MoveTrack;
use super::nova_bus::Messaging;
use super::plan::InstanceListing;
use crate::elapsed::Elapsed;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct InFlight {
    pub(super) blockers: Blockers,
    pub(super) messaging: Messaging,
    pub(super) listing: InstanceListing,
    pub(super) move_track: MoveTrack,
    pub(super) neighbours: Neighbours,
    pub(super) starts: StartTrack,
    /// True if an operator has stopped all fencing.
    pub(super) stopped: bool,
    /// True if the hosts that are out have been counted again after the hooks before the fence.
    pub(super) counted_after_hooks: bool,
    /// The time since which an aborted recovery has tried to list the host's instances.
    pub(super) abort_listed_from: Option<Elapsed>,
    /// True if the guards passed before anything was done.
    pub(super) guarded: bool,
}
