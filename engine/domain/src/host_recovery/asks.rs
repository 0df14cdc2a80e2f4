//! Questions under way and the times of the last answers. Nothing here survives a take-over, and nothing here has to.

use super::guard::neighbours::Neighbours;
use super::messaging::Messaging;
use super::moves::track::MoveTrack;
use super::plan::Listing;
use super::trouble::Troubles;

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Asks {
    pub(super) troubles: Troubles,
    pub(super) messaging: Messaging,
    pub(super) listing: Listing,
    pub(super) move_track: MoveTrack,
    pub(super) neighbours: Neighbours,
    /// An operator has stopped all fencing.
    pub(super) stopped: bool,
    /// The hosts that are out have been counted after the hooks before the fence.
    pub(super) counted_after_hooks: bool,
    /// The guards were content before anything was done.
    pub(super) guarded: bool,
}
