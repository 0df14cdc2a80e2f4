//! Domains: what a guest is to libvirt.

use uuid::Uuid;

use crate::xdr::{Malformed, Reader, Writer};

/// Which domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// Its name, such as `instance-0000002a`.
    pub name: String,
    /// Its UUID, which Nova makes the instance's.
    pub uuid: Uuid,
    /// Its number while it runs, new at each start; -1 when it does not run.
    pub id: i32,
}

/// The least bytes a domain takes in a message: an empty name, a UUID, a number.
pub(crate) const DOMAIN_LEAST: usize = 24;

impl Domain {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            name: reader.string()?,
            uuid: Uuid::from_bytes(reader.fixed()?),
            id: reader.i32()?,
        })
    }

    pub(crate) fn write(&self, writer: Writer) -> Writer {
        writer.string(&self.name).fixed(self.uuid.as_bytes()).i32(self.id)
    }
}

/// What a domain does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    /// Nothing is known.
    None,
    /// It runs.
    Running,
    /// It waits for a resource.
    Blocked,
    /// It is paused.
    Paused,
    /// It is going down.
    ShuttingDown,
    /// It does not run.
    Shutoff,
    /// It crashed and is kept as it is.
    Crashed,
    /// The guest sleeps.
    PmSuspended,
    /// A number this client does not know.
    Other(i32),
}

impl DomainState {
    pub(crate) fn from_number(number: i32) -> Self {
        match number {
            0 => Self::None,
            1 => Self::Running,
            2 => Self::Blocked,
            3 => Self::Paused,
            4 => Self::ShuttingDown,
            5 => Self::Shutoff,
            6 => Self::Crashed,
            7 => Self::PmSuspended,
            other => Self::Other(other),
        }
    }
}

/// Why a domain is off.
pub mod shutoff {
    /// libvirt does not know: it was off when libvirtd started.
    pub const UNKNOWN: i32 = 0;
    /// The guest shut down.
    pub const SHUTDOWN: i32 = 1;
    /// Somebody destroyed it.
    pub const DESTROYED: i32 = 2;
    /// Its process is gone, or the guest panicked.
    pub const CRASHED: i32 = 3;
    /// It runs elsewhere.
    pub const MIGRATED: i32 = 4;
    /// It was saved to a file.
    pub const SAVED: i32 = 5;
    /// It could not be started, or ended by an error.
    pub const FAILED: i32 = 6;
    /// It was taken from a snapshot.
    pub const FROM_SNAPSHOT: i32 = 7;
    /// libvirtd ended it when it found it again.
    pub const DAEMON: i32 = 8;
}

/// Why a domain is paused.
pub mod paused {
    /// Its memory is moving.
    pub const MIGRATION: i32 = 2;
    /// A disk failed.
    pub const IO_ERROR: i32 = 5;
    /// Its watchdog bit.
    pub const WATCHDOG: i32 = 6;
    /// It is about to run.
    pub const STARTING_UP: i32 = 11;
    /// Its memory is moving after it.
    pub const POSTCOPY: i32 = 12;
}

/// Which domains a list holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Those with a definition on disk, running or not.
    Persistent,
    /// Those that are forgotten when they end.
    Transient,
    /// Those that run just now.
    Running,
}

impl Listing {
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Self::Persistent => 1 << 2,
            Self::Transient => 1 << 3,
            Self::Running => 1 << 4,
        }
    }
}
