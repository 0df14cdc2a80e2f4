//! `use_syslog`: sends each line to the system's log as one datagram.

use std::fmt;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The socket of the system's log.
const SOCKET: &str = "/dev/log";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facility(u8);

/// Names by number, as in RFC 5424; those from 16 on are `LOG_LOCAL0` to `LOG_LOCAL7`.
const NAMES: [&str; 12] = [
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV", "FTP",
];
const LOCAL0: u8 = 16;

impl Default for Facility {
    /// Returns `LOG_USER`.
    fn default() -> Self {
        Self(1)
    }
}

impl Facility {
    /// Returns the facility of this name, with or without `LOG_`.
    pub(crate) fn named(text: &str) -> Option<Self> {
        let name = text.trim().to_ascii_uppercase();
        let name = name.strip_prefix("LOG_").unwrap_or(&name);
        let number = match name.strip_prefix("LOCAL").map(str::parse) {
            Some(Ok(local @ 0..=7)) => LOCAL0 + local,
            Some(_) => return None,
            None => u8::try_from(NAMES.iter().position(|known| *known == name)?).ok()?,
        };
        Some(Self(number))
    }
}

impl fmt::Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => write!(f, "LOG_{name}"),
            None => write!(f, "LOG_LOCAL{}", self.0.saturating_sub(LOCAL0)),
        }
    }
}

/// A socket to the system's log, for the lines of a program.
#[derive(Clone)]
pub(crate) struct Syslog {
    socket: Arc<UnixDatagram>,
    facility: Facility,
    program: Arc<str>,
}

impl Syslog {
    /// Opens the socket; the system's log may restart afterwards.
    ///
    /// # Errors
    ///
    /// No process listens on the socket.
    pub(crate) fn open(facility: Facility, program: &str) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // This only checks that something listens. The socket itself stays unconnected, so that a restart of the
        // system's log breaks nothing.
        UnixDatagram::unbound()?.connect(SOCKET)?;
        // A hanging system log must not block a recovery: a line that it does not accept at once is lost.
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket: Arc::new(socket),
            facility,
            program: program.into(),
        })
    }
}

impl<'a> MakeWriter<'a> for Syslog {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        self.line(Level::INFO)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line {
        self.line(*metadata.level())
    }
}

impl Syslog {
    fn line(&self, level: Level) -> Line {
        Line {
            syslog: self.clone(),
            severity: severity(level),
        }
    }
}

/// Returns oslo.log's severity of a level.
const fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// A line being written.
pub(crate) struct Line {
    syslog: Syslog,
    severity: u8,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Syslog {
            socket,
            facility,
            program,
        } = &self.syslog;
        let (priority, process) = (facility.0 * 8 + self.severity, std::process::id());
        let mut datagram = format!("<{priority}>{program}[{process}]: ").into_bytes();
        datagram.extend_from_slice(bytes.trim_ascii_end());
        socket.send_to(&datagram, SOCKET)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facilities_have_the_names_of_oslo_log() {
        for (text, number, shown) in [
            ("LOG_USER", 1, "LOG_USER"),
            ("daemon", 3, "LOG_DAEMON"),
            ("LOG_LOCAL0", 16, "LOG_LOCAL0"),
            ("local7", 23, "LOG_LOCAL7"),
        ] {
            let facility = Facility::named(text).unwrap();
            assert_eq!((facility.0, facility.to_string().as_str()), (number, shown));
        }
        for text in ["", "LOG_", "local8", "LOCAL", "nobody"] {
            assert_eq!(Facility::named(text), None, "{text}");
        }
    }
}
