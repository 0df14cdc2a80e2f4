//! Reserved hosts, as the database keeps them.

use tachi_domain::HostId;
pub use tachi_driver::journal::{ReservationState, ReservationWrite};

/// A host of the segment that is in reserve, or held by a recovery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReserveRow {
    /// Our id of it.
    pub id: HostId,
    /// Its service name in Nova.
    pub name: String,
    /// A recovery holds it, or it is being recovered itself.
    pub busy: bool,
}
