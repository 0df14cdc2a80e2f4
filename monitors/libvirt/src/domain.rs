//! Domains: libvirt's view of guests.

use uuid::Uuid;

use crate::xdr::{DecodeError, Reader, Writer};

/// The identity of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    /// The name, such as `instance-0000002a`.
    pub name: String,
    /// The UUID, which Nova sets to the instance's.
    pub uuid: Uuid,
    /// The number while it is running, new at each start; -1 when it is not running.
    pub id: i32,
}

/// The minimum size of a domain in a message: an empty name, a UUID, a number.
pub(crate) const DOMAIN_MIN_BYTES: usize = 24;

impl Domain {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
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

/// The state of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainState {
    None,
    Running,
    Blocked,
    Paused,
    ShuttingDown,
    Shutoff,
    /// Crashed, and kept for inspection.
    Crashed,
    /// The guest is suspended to RAM.
    PmSuspended,
    /// A number that is unknown to this client.
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

/// Reasons of a shut-off domain.
pub mod shutoff {
    /// The reason is unknown: the domain was off when libvirtd started.
    pub const UNKNOWN: i32 = 0;
    /// The guest shut down.
    pub const SHUTDOWN: i32 = 1;
    /// Destroyed.
    pub const DESTROYED: i32 = 2;
    /// The process is gone, or the guest panicked.
    pub const CRASHED: i32 = 3;
    /// Migrated to another host.
    pub const MIGRATED: i32 = 4;
    /// Saved to a file.
    pub const SAVED: i32 = 5;
    /// Failed to start, or ended by an error.
    pub const FAILED: i32 = 6;
    /// Restored from a snapshot.
    pub const FROM_SNAPSHOT: i32 = 7;
    /// libvirtd ended the domain when it found it again.
    pub const DAEMON: i32 = 8;
}

/// Reasons of a paused domain.
pub mod paused {
    /// Paused for the migration of the memory.
    pub const MIGRATION: i32 = 2;
    /// A disk failed.
    pub const IO_ERROR: i32 = 5;
    pub const WATCHDOG: i32 = 6;
    pub const STARTING_UP: i32 = 11;
    /// Paused for the migration of the memory after the switch to the other host.
    pub const POSTCOPY: i32 = 12;
}

/// A filter of domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainFilter {
    /// Domains with a persistent definition, running or not.
    Persistent,
    /// Domains whose definition ends with them.
    Transient,
    /// Domains that are running now.
    Running,
}

impl DomainFilter {
    pub(crate) const fn flags(self) -> u32 {
        match self {
            Self::Persistent => 1 << 2,
            Self::Transient => 1 << 3,
            Self::Running => 1 << 4,
        }
    }
}
