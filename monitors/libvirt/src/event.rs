//! Events that libvirt sends.

use std::time::SystemTime;

use crate::domain::Domain;
use crate::procedure as proc;
use crate::xdr::{DecodeError, Reader};

/// Events that can be subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// A change of the lifecycle: started, stopped, suspended and so on.
    Lifecycle,
    /// The guest was reset.
    Reboot,
    /// The guest set its clock.
    RtcChange,
    /// The guest's watchdog fired.
    Watchdog,
    /// A disk failed.
    IoError,
    /// A client connected to the guest's screen.
    Graphics,
    /// A disk failed, with the reason.
    IoErrorReason,
    /// libvirt lost the connection to the guest's process.
    ControlError,
    /// A medium changed.
    DiskChange,
    /// The guest agent connected or disconnected.
    AgentLifecycle,
}

impl EventKind {
    pub(crate) const fn number(self) -> i32 {
        match self {
            Self::Lifecycle => 0,
            Self::Reboot => 1,
            Self::RtcChange => 2,
            Self::Watchdog => 3,
            Self::IoError => 4,
            Self::Graphics => 5,
            Self::IoErrorReason => 6,
            Self::ControlError => 7,
            Self::DiskChange => 9,
            Self::AgentLifecycle => 18,
        }
    }
}

/// An event of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub domain: Domain,
    /// The time when it was read from the socket.
    pub at: SystemTime,
    pub what: DomainEventKind,
}

/// The kind and the details of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainEventKind {
    /// A change of the domain's state; the detail is one of those in [`lifecycle`].
    Lifecycle(Lifecycle, i32),
    /// The guest was reset.
    Reboot,
    /// The guest set its clock.
    RtcChange,
    /// The guest's watchdog fired: 0 none, 1 pause, 2 reset, 3 poweroff, 4 shutdown, 5 debug, 6 inject NMI.
    Watchdog(i32),
    /// A disk failed: 0 none, 1 the guest is paused, 2 the guest got the error.
    IoError(i32),
    /// A client connected to the guest's screen.
    Graphics,
    /// A disk failed, with the action of [`DomainEventKind::IoError`] and the reason (`enospc` or nothing).
    IoErrorReason(i32, String),
    /// libvirt lost the connection to the guest's process.
    ControlError,
    /// A medium changed.
    DiskChange,
    /// The guest agent: 1 connected, 2 disconnected.
    AgentLifecycle(i32),
}

/// A change of a domain's lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifecycle {
    Defined,
    Undefined,
    Started,
    Suspended,
    Resumed,
    Stopped,
    /// The guest shut down; its process is about to end.
    Shutdown,
    /// The guest is suspended to RAM.
    PmSuspended,
    /// The guest panicked.
    Crashed,
    /// A number that is unknown to this client.
    Other(i32),
}

impl Lifecycle {
    fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Defined,
            1 => Self::Undefined,
            2 => Self::Started,
            3 => Self::Suspended,
            4 => Self::Resumed,
            5 => Self::Stopped,
            6 => Self::Shutdown,
            7 => Self::PmSuspended,
            8 => Self::Crashed,
            other => Self::Other(other),
        }
    }
}

/// The details of [`Lifecycle`]: reasons.
pub mod lifecycle {
    /// `Started`: the memory comes from another host.
    pub const STARTED_MIGRATED: i32 = 1;
    /// `Suspended`: the memory goes to another host.
    pub const SUSPENDED_MIGRATED: i32 = 1;
    /// `Suspended`: a disk failed.
    pub const SUSPENDED_IO_ERROR: i32 = 2;
    /// `Suspended`: the watchdog fired.
    pub const SUSPENDED_WATCHDOG: i32 = 3;
    /// `Suspended`: a call of libvirt's API failed half way.
    pub const SUSPENDED_API_ERROR: i32 = 6;
    /// `Resumed`: by a request.
    pub const RESUMED_UNPAUSED: i32 = 0;
    /// `Resumed`: the memory has arrived.
    pub const RESUMED_MIGRATED: i32 = 1;
    /// `Resumed`: the guest runs here while its memory follows.
    pub const RESUMED_POSTCOPY: i32 = 3;
    /// `Stopped`: the guest shut down.
    pub const STOPPED_SHUTDOWN: i32 = 0;
    /// `Stopped`: destroyed by a request.
    pub const STOPPED_DESTROYED: i32 = 1;
    /// `Stopped`: the guest panicked.
    pub const STOPPED_CRASHED: i32 = 2;
    /// `Stopped`: the guest runs on another host.
    pub const STOPPED_MIGRATED: i32 = 3;
    /// `Stopped`: the guest was saved to a file.
    pub const STOPPED_SAVED: i32 = 4;
    /// `Stopped`: the process is gone.
    pub const STOPPED_FAILED: i32 = 5;
    /// `Shutdown`: finished.
    pub const SHUTDOWN_FINISHED: i32 = 0;
    /// `Shutdown`: requested by the guest.
    pub const SHUTDOWN_GUEST: i32 = 1;
    /// `Crashed`: the guest panicked.
    pub const CRASHED_PANICKED: i32 = 0;
}

/// Parses an event; `None` for a procedure without a subscription.
pub(crate) fn read(procedure: i32, body: &[u8], at: SystemTime) -> Result<Option<Event>, DecodeError> {
    let known = proc::EVENT_LIFECYCLE..=proc::EVENT_CONTROL_ERROR;
    if !known.contains(&procedure)
        && procedure != proc::EVENT_DISK_CHANGE
        && procedure != proc::EVENT_AGENT_LIFECYCLE
    {
        return Ok(None);
    }
    let mut reader = Reader::new(body);
    let _callback = reader.i32()?;
    let domain = Domain::read(&mut reader)?;
    let what = match procedure {
        proc::EVENT_LIFECYCLE => {
            DomainEventKind::Lifecycle(Lifecycle::from_number(reader.i32()?), reader.i32()?)
        }
        proc::EVENT_REBOOT => DomainEventKind::Reboot,
        proc::EVENT_RTC_CHANGE => DomainEventKind::RtcChange,
        proc::EVENT_WATCHDOG => DomainEventKind::Watchdog(reader.i32()?),
        proc::EVENT_IO_ERROR => {
            two_strings(&mut reader)?;
            DomainEventKind::IoError(reader.i32()?)
        }
        proc::EVENT_GRAPHICS => DomainEventKind::Graphics,
        proc::EVENT_IO_ERROR_REASON => {
            two_strings(&mut reader)?;
            DomainEventKind::IoErrorReason(reader.i32()?, reader.string()?)
        }
        proc::EVENT_CONTROL_ERROR => DomainEventKind::ControlError,
        proc::EVENT_DISK_CHANGE => DomainEventKind::DiskChange,
        _ => DomainEventKind::AgentLifecycle(reader.i32()?),
    };
    Ok(Some(Event { domain, at, what }))
}

/// Skips the path and the alias of a disk.
fn two_strings(reader: &mut Reader<'_>) -> Result<(), DecodeError> {
    reader.string()?;
    reader.string()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::xdr::Writer;

    fn domain() -> Domain {
        Domain {
            name: "instance-0000002a".to_owned(),
            uuid: Uuid::from_u128(42),
            id: 7,
        }
    }

    #[test]
    fn every_kind_is_read() {
        let start = || domain().write(Writer::default().i32(3));
        let disk = || start().string("/var/disk").string("ide0-0-0");
        for (procedure, body, what) in [
            (
                318,
                start().i32(5).i32(5),
                DomainEventKind::Lifecycle(Lifecycle::Stopped, 5),
            ),
            (
                318,
                start().i32(99).i32(0),
                DomainEventKind::Lifecycle(Lifecycle::Other(99), 0),
            ),
            (319, start(), DomainEventKind::Reboot),
            (320, start().i32(0).i32(60), DomainEventKind::RtcChange),
            (321, start().i32(3), DomainEventKind::Watchdog(3)),
            (322, disk().i32(2), DomainEventKind::IoError(2)),
            (323, start().i32(0), DomainEventKind::Graphics),
            (
                324,
                disk().i32(1).string("enospc"),
                DomainEventKind::IoErrorReason(1, "enospc".to_owned()),
            ),
            (325, start(), DomainEventKind::ControlError),
            (327, start(), DomainEventKind::DiskChange),
            (348, start().i32(2).i32(1), DomainEventKind::AgentLifecycle(2)),
        ] {
            let event = read(procedure, &body.into_bytes(), SystemTime::UNIX_EPOCH)
                .unwrap()
                .unwrap();
            assert_eq!(event.what, what, "{procedure}");
            assert_eq!(event.domain, domain(), "{procedure}");
        }
        assert_eq!(read(326, &[], SystemTime::UNIX_EPOCH).unwrap(), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(procedure in 310_i32..360, bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(procedure, &bytes, SystemTime::UNIX_EPOCH);
        }
    }
}
