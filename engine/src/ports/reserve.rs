//! Reserved hosts, as the database keeps them.

use tachi_domain::{HostId, Timestamp};

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

/// Where a reservation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReservationState {
    /// Taken; nothing has been asked for on the host yet.
    Held,
    /// Taken, and an instance has been asked for on it: the host's row is not reserved any more.
    Consumed,
    /// Over: something runs there, so it stays an ordinary host.
    Used,
    /// Over: in reserve again.
    GivenBack,
}

impl ReservationState {
    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Consumed => "consumed",
            Self::Used => "used",
            Self::GivenBack => "given_back",
        }
    }

    /// Whether the host is held.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Consumed)
    }
}

/// A reservation as it is from now on. One that is open and not known yet is taken, or the whole write refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservationWrite {
    /// The host.
    pub host: HostId,
    /// Its name.
    pub name: String,
    /// See [`ReservationState`].
    pub state: ReservationState,
    /// Whether its service was enabled before.
    pub was_enabled: bool,
    /// Why it was disabled before.
    pub was_reason: Option<String>,
    /// Names of the aggregates it was put into, or is to be.
    pub aggregates: Vec<String>,
    /// When; for people.
    pub at: Timestamp,
}
