//! Upstream's names for libvirt's events, exactly: the API's schema accepts no others.

use tachi_libvirt::{DomainEventKind, Lifecycle, lifecycle};

/// The names of an event in a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EventNames {
    /// The payload's `event`.
    pub(crate) event: &'static str,
    /// The payload's `vir_domain_event`.
    pub(crate) detail: &'static str,
}

impl EventNames {
    const fn new(event: &'static str, detail: &'static str) -> Self {
        Self { event, detail }
    }

    /// The guest's process is gone.
    pub(crate) const FAILED: Self = Self::new("LIFECYCLE", "STOPPED_FAILED");
    /// A disk failed and the guest got the error.
    pub(crate) const IO_ERROR: Self = Self::new("IO_ERROR", "IO_ERROR_REPORT");

    /// True if the engine acts on the event. It stores and ignores all others.
    pub(crate) fn has_effect(self) -> bool {
        self == Self::FAILED || self == Self::IO_ERROR
    }
}

/// Returns the names for an event; `None` if upstream reports nothing.
pub(crate) fn event_names(what: &DomainEventKind) -> Option<EventNames> {
    let (event, detail) = match what {
        DomainEventKind::Lifecycle(Lifecycle::Suspended, detail) => ("LIFECYCLE", suspended(*detail)?),
        DomainEventKind::Lifecycle(Lifecycle::Stopped, detail) => ("LIFECYCLE", stopped(*detail)?),
        DomainEventKind::Lifecycle(Lifecycle::Shutdown, lifecycle::SHUTDOWN_FINISHED) => {
            ("LIFECYCLE", "SHUTDOWN_FINISHED")
        }
        DomainEventKind::Reboot => ("REBOOT", "UNKNOWN"),
        DomainEventKind::Watchdog(action) => ("WATCHDOG", watchdog(*action)?),
        DomainEventKind::IoError(action) => ("IO_ERROR", io_error(*action)?),
        DomainEventKind::IoErrorReason(..) => ("IO_ERROR_REASON", "UNKNOWN"),
        DomainEventKind::ControlError => ("CONTROL_ERROR", "UNKNOWN"),
        DomainEventKind::Lifecycle(
            Lifecycle::Defined
            | Lifecycle::Undefined
            | Lifecycle::Started
            | Lifecycle::Resumed
            | Lifecycle::Shutdown
            | Lifecycle::PmSuspended
            | Lifecycle::Crashed
            | Lifecycle::Other(_),
            _,
        )
        | DomainEventKind::RtcChange
        | DomainEventKind::Graphics
        | DomainEventKind::DiskChange
        | DomainEventKind::AgentLifecycle(_) => return None,
    };
    Some(EventNames { event, detail })
}

const fn suspended(detail: i32) -> Option<&'static str> {
    match detail {
        lifecycle::SUSPENDED_IO_ERROR => Some("SUSPENDED_IOERROR"),
        lifecycle::SUSPENDED_WATCHDOG => Some("SUSPENDED_WATCHDOG"),
        lifecycle::SUSPENDED_API_ERROR => Some("SUSPENDED_API_ERROR"),
        _ => None,
    }
}

const fn stopped(detail: i32) -> Option<&'static str> {
    match detail {
        lifecycle::STOPPED_SHUTDOWN => Some("STOPPED_SHUTDOWN"),
        lifecycle::STOPPED_DESTROYED => Some("STOPPED_DESTROYED"),
        lifecycle::STOPPED_FAILED => Some("STOPPED_FAILED"),
        _ => None,
    }
}

const fn watchdog(action: i32) -> Option<&'static str> {
    match action {
        0 => Some("WATCHDOG_NONE"),
        1 => Some("WATCHDOG_PAUSE"),
        2 => Some("WATCHDOG_RESET"),
        3 => Some("WATCHDOG_POWEROFF"),
        4 => Some("WATCHDOG_SHUTDOWN"),
        5 => Some("WATCHDOG_DEBUG"),
        _ => None,
    }
}

const fn io_error(action: i32) -> Option<&'static str> {
    match action {
        0 => Some("IO_ERROR_NONE"),
        1 => Some("IO_ERROR_PAUSE"),
        2 => Some("IO_ERROR_REPORT"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers the whole table of upstream's mapping, and all other events of libvirt's.
    #[test]
    fn every_event_has_upstreams_names_or_none() {
        use Lifecycle::{
            Crashed, Defined, PmSuspended, Resumed, Shutdown, Started, Stopped, Suspended, Undefined,
        };
        let life = |event, detail| DomainEventKind::Lifecycle(event, detail);
        for (what, names_of) in [
            (life(Suspended, 2), Some(("LIFECYCLE", "SUSPENDED_IOERROR"))),
            (life(Suspended, 3), Some(("LIFECYCLE", "SUSPENDED_WATCHDOG"))),
            (life(Suspended, 6), Some(("LIFECYCLE", "SUSPENDED_API_ERROR"))),
            (life(Suspended, 0), None),
            (life(Suspended, 1), None),
            (life(Suspended, 8), None),
            (life(Stopped, 0), Some(("LIFECYCLE", "STOPPED_SHUTDOWN"))),
            (life(Stopped, 1), Some(("LIFECYCLE", "STOPPED_DESTROYED"))),
            (life(Stopped, 2), None),
            (life(Stopped, 3), None),
            (life(Stopped, 4), None),
            (life(Stopped, 5), Some(("LIFECYCLE", "STOPPED_FAILED"))),
            (life(Stopped, 6), None),
            (life(Shutdown, 0), Some(("LIFECYCLE", "SHUTDOWN_FINISHED"))),
            (life(Shutdown, 1), None),
            (life(Shutdown, 2), None),
            (life(Crashed, 0), None),
            (life(Defined, 0), None),
            (life(Undefined, 0), None),
            (life(Started, 0), None),
            (life(Resumed, 0), None),
            (life(PmSuspended, 0), None),
            (DomainEventKind::Reboot, Some(("REBOOT", "UNKNOWN"))),
            (DomainEventKind::Watchdog(0), Some(("WATCHDOG", "WATCHDOG_NONE"))),
            (DomainEventKind::Watchdog(1), Some(("WATCHDOG", "WATCHDOG_PAUSE"))),
            (DomainEventKind::Watchdog(2), Some(("WATCHDOG", "WATCHDOG_RESET"))),
            (
                DomainEventKind::Watchdog(3),
                Some(("WATCHDOG", "WATCHDOG_POWEROFF")),
            ),
            (
                DomainEventKind::Watchdog(4),
                Some(("WATCHDOG", "WATCHDOG_SHUTDOWN")),
            ),
            (DomainEventKind::Watchdog(5), Some(("WATCHDOG", "WATCHDOG_DEBUG"))),
            (DomainEventKind::Watchdog(6), None),
            (DomainEventKind::IoError(0), Some(("IO_ERROR", "IO_ERROR_NONE"))),
            (DomainEventKind::IoError(1), Some(("IO_ERROR", "IO_ERROR_PAUSE"))),
            (DomainEventKind::IoError(2), Some(("IO_ERROR", "IO_ERROR_REPORT"))),
            (DomainEventKind::IoError(9), None),
            (
                DomainEventKind::IoErrorReason(1, "enospc".to_owned()),
                Some(("IO_ERROR_REASON", "UNKNOWN")),
            ),
            (DomainEventKind::ControlError, Some(("CONTROL_ERROR", "UNKNOWN"))),
            (DomainEventKind::RtcChange, None),
            (DomainEventKind::Graphics, None),
            (DomainEventKind::DiskChange, None),
            (DomainEventKind::AgentLifecycle(2), None),
        ] {
            let expected = names_of.map(|(event, detail)| EventNames { event, detail });
            assert_eq!(event_names(&what), expected, "{what:?}");
        }
    }

    #[test]
    fn the_engine_acts_upon_two_of_them() {
        assert!(EventNames::FAILED.has_effect() && EventNames::IO_ERROR.has_effect());
        assert!(!EventNames::new("LIFECYCLE", "STOPPED_DESTROYED").has_effect());
    }
}
