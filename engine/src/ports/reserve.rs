//! Reserved hosts, as stored in the database.

use tachi_domain::HostId;
pub use tachi_driver::journal::{ReservationState, ReservationWrite};

/// A host of the segment that is in reserve, or taken by a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveRow {
    pub id: HostId,
    /// The service name in Nova.
    pub name: String,
    /// True if a recovery has taken it, or it is being recovered itself.
    pub busy: bool,
}
